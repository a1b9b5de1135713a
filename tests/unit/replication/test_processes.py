"""Several processes train what one trains."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from msma.models.accelerating import LaunchedProcesses, Processes, find_processes
from msma.replication import TrainedArm

SCRIPT = Path(__file__).parents[2] / "joint_processes.py"


def launch(out, n):
    """Start processes as ``accelerate launch --cpu --num_processes n`` does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    if n > 1:
        common |= {"WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        common |= {"ACCELERATE_USE_CPU": "true"}
    started = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(out)],
            env={**common, **({"RANK": str(k), "LOCAL_RANK": str(k)} if n > 1 else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for k in range(n)
    ]
    said = [process.communicate(timeout=600)[0] for process in started]
    assert all(process.returncode == 0 for process in started), "\n".join(said)
    assert all(f"{n} 1" in text for text in said)
    return TrainedArm.load(out)


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path):
    one, two = launch(tmp_path / "one", 1), launch(tmp_path / "two", 2)
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
