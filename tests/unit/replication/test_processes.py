"""Several processes train what one trains."""

import pytest
import torch

from msma.models.accelerating import LaunchedProcesses, Processes, find_processes
from msma.replication import TrainedArm
from process_launcher import launch


def train(out, n):
    said = launch("joint_processes.py", out, n)
    assert all(f"{n} 1" in text for text in said)
    return TrainedArm.load(out)


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path):
    one, two = train(tmp_path / "one", 1), train(tmp_path / "two", 2)
    for mine, yours in zip(one.history, two.history, strict=True):
        assert mine == pytest.approx(yours, rel=1e-6, abs=1e-9)
    ours, theirs = one.model.network.state_dict(), two.model.network.state_dict()
    assert all(torch.allclose(ours[key], theirs[key], rtol=0, atol=1e-6) for key in ours)
    for pair, map_ in one.maps.items():
        for mine, yours in zip(map_.parameters(), two.maps[pair].parameters(), strict=True):
            assert torch.allclose(mine, yours, rtol=0, atol=1e-6)


def test_one_process_is_alone():
    alone = find_processes()
    assert isinstance(alone, Processes)
    assert not isinstance(alone, LaunchedProcesses)
    alone.wait()
    assert alone.device is None
    assert torch.equal(alone.sum(torch.ones(2)), torch.ones(2))
