"""Jobs on Ray: a Ray of this machine, and two nodes on loopback, whose workers and nodes are killed."""

import os
import signal
import socket

import pytest

from fake_worker import FakeSetup, Odd, make_jobs
from msma import errors
from msma.errors import ConfigError, MissingExtraError, ModelError, StorageError
from msma.extraction.engines import run_jobs
from msma.extraction.ray_engine import run_ray

ray = pytest.importorskip("ray")

# Clusters that run side by side on one machine take ports from one another.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


@pytest.fixture(scope="module")
def two_nodes():
    """Address of a cluster of two nodes of one core each."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()
    del os.environ["RAY_USAGE_STATS_ENABLED"]


def read(address, setup, n_jobs=4):
    outcomes = list(run_ray(setup, make_jobs(n_jobs), workers=2, address=address))
    assert not ray.is_initialized()
    assert sorted(o.number for o in outcomes) == list(range(n_jobs))
    return outcomes


def test_a_ray_of_this_machine_survives_a_death_and_goes_with_the_iterator(tmp_path):
    handler = signal.getsignal(signal.SIGTERM)
    setup = FakeSetup(folder=tmp_path, trouble={3: "die once"}, nap=0.05)
    pulled, done = [], []
    for outcome in run_jobs(setup, make_jobs(12, pulled), engine="ray", workers=2):
        assert len(pulled) - len(done) <= 4
        assert ray.is_initialized()
        done.append(outcome.number)
    assert sorted(done) == list(range(12))
    assert (tmp_path / "died-3").exists()
    assert {int(path.stem[-5:]) for path in tmp_path.glob("shard-*")} == set(range(12))
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) == handler
    assert "RAY_ENABLE_UV_RUN_RUNTIME_ENV" not in os.environ


def test_both_nodes_work(two_nodes, tmp_path):
    outcomes = read(two_nodes, FakeSetup(folder=tmp_path, nap=1.0), 12)
    assert len({o.node for o in outcomes}) == 2
    assert {o.threads for o in outcomes} == {"1"}


@pytest.mark.parametrize("name", ["OriginError", "StorageError"])
def test_errors_come_out_as_they_were(two_nodes, name):
    for setup in (FakeSetup(trouble={1: name}), FakeSetup(build_trouble=name)):
        with pytest.raises(getattr(errors, name), match=f"^{name} came; expected none") as caught:
            read(two_nodes, setup)
        assert "fake_worker.py" in caught.value.__notes__[0]
    assert not ray.is_initialized()


def test_errors_that_cannot_be_pickled_come_out_too(two_nodes):
    with pytest.raises(MissingExtraError, match="pip install"):
        read(two_nodes, FakeSetup(trouble={1: "extra"}))
    with pytest.raises(Odd, match="one and two"):
        read(two_nodes, FakeSetup(trouble={1: "odd"}))


def test_a_job_that_kills_every_worker_is_named(two_nodes):
    with pytest.raises(ModelError, match=r"3 workers died .* while they read texts 8 to 11"):
        read(two_nodes, FakeSetup(trouble={2: "die"}))


def test_closing_early_frees_the_cluster(two_nodes, tmp_path):
    ray.init(address=two_nodes, logging_level="ERROR", log_to_driver=False)
    try:
        outcomes = run_ray(FakeSetup(folder=tmp_path, trouble={1: "hang"}), make_jobs(9), workers=2)
        next(outcomes)
        outcomes.close()
        assert ray.is_initialized()  # the connection was not ours
        outcomes = run_ray(FakeSetup(), make_jobs(3), workers=2)
        assert sorted(o.number for o in outcomes) == [0, 1, 2]
    finally:
        ray.shutdown()


def test_another_version_on_a_node_is_refused(two_nodes, monkeypatch):
    monkeypatch.setattr("msma.extraction.ray_engine.__version__", "0.0.1")
    with pytest.raises(ConfigError, match=r"and this machine has 0\.0\.1"):
        read(two_nodes, FakeSetup())


def test_nodes_without_the_package_are_told_from_a_lack_of_memory(two_nodes, monkeypatch):
    class Foreign:
        def __init__(self):
            raise RuntimeError("The actor with name Replica failed to import on the worker: no module 'msma'")

        def join(self, *args):
            return b""

    monkeypatch.setattr("msma.extraction.ray_engine.Replica", Foreign)
    with pytest.raises(ConfigError, match="cannot import msma"):
        read(two_nodes, FakeSetup())


def test_a_cluster_without_room_is_not_waited_for_for_ever(two_nodes, monkeypatch):
    class Occupant:
        def sit(self):
            return True

    ray.init(address=two_nodes, logging_level="ERROR", log_to_driver=False)
    try:
        monkeypatch.setattr("msma.extraction.ray_engine.ROOM_PATIENCE", 3.0)
        taken = [ray.remote(Occupant).options(num_cpus=1).remote() for _ in range(2)]
        ray.get([occupant.sit.remote() for occupant in taken])
        with pytest.raises(ConfigError, match="no room for a worker with 1 cores"):
            list(run_ray(FakeSetup(), make_jobs(1), workers=2))
    finally:
        ray.shutdown()


def test_a_folder_that_is_not_shared_is_refused(two_nodes, tmp_path, monkeypatch):
    monkeypatch.setattr("msma.extraction.ray_engine.PATIENCE", 0.0)
    monkeypatch.setattr(
        "msma.extraction.ray_engine._find_result", lambda setup, outcome: tmp_path / "elsewhere"
    )
    with pytest.raises(StorageError, match="all nodes of the Ray cluster share"):
        read(two_nodes, FakeSetup(folder=tmp_path))


def test_an_address_where_nobody_is_is_named_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"does not answer at '{address}'"):
            list(run_ray(FakeSetup(), make_jobs(1), workers=1, address=address))


def test_a_node_that_dies_takes_no_job_with_it(tmp_path):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        other = cluster.add_node(num_cpus=1)
        setup, nodes, numbers = FakeSetup(folder=tmp_path, nap=0.5), set(), []
        for outcome in run_ray(setup, make_jobs(40), workers=2, address=cluster.address):
            numbers.append(outcome.number)
            nodes.add(outcome.node)
            if other is not None and len(nodes) == 2:
                cluster.remove_node(other, allow_graceful=False)
                other = None
        assert other is None
        assert sorted(numbers) == list(range(40))
    finally:
        cluster.shutdown()
