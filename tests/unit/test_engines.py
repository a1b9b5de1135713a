"""Every job is done exactly once, whoever dies; errors come out as they were; nothing is left running."""

import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import psutil
import pytest

from fake_worker import FakeJob, FakeSetup, Odd, make_jobs
from msma import errors
from msma.errors import ConfigError, MissingExtraError, ModelError, StorageError
from msma.extraction import crew, process_engine, process_worker
from msma.extraction.engines import run_jobs
from msma.extraction.process_engine import run_processes, share_threads
from msma.extraction.ray_cluster import check_device, find_share
from msma.extraction.ray_engine import _check_visible, run_ray

TESTS = Path(__file__).resolve().parents[1]
SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from fake_worker import FakeSetup, make_jobs
from msma.extraction.process_engine import run_processes
setup = FakeSetup(folder=Path({folder!r}), trouble={trouble!r})
for outcome in run_processes(setup, make_jobs(4), workers=2):
    print(outcome.number, outcome.pid, flush=True)
"""


def count_children():
    return len(psutil.Process().children(recursive=True))


def wait_until(is_so, *, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def run(setup, n_jobs=6, *, workers=2, **options):
    return sorted(o.number for o in run_processes(setup, make_jobs(n_jobs), workers=workers, **options))


@pytest.fixture(autouse=True)
def _nothing_is_left():
    before = count_children()
    yield
    assert count_children() == before


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_job_is_done_once(workers):
    assert run(FakeSetup(), 12, workers=workers) == list(range(12))


def test_no_more_processes_than_jobs_and_none_without_jobs(monkeypatch):
    started = []
    monkeypatch.setattr(process_engine, "_Process", lambda *args: started.append(args))
    assert run(FakeSetup(), 0) == []
    assert not started
    monkeypatch.undo()
    assert len({o.pid for o in run_processes(FakeSetup(), make_jobs(1), workers=4)}) == 1


@pytest.mark.parametrize("engine", ["local", "processes"])
def test_jobs_are_pulled_as_workers_become_free(engine):
    pulled, n_done, workers = [], 0, 1 if engine == "local" else 2
    setup = FakeSetup(nap=0.005)
    for _ in run_jobs(setup, make_jobs(30, pulled), engine=engine, workers=workers):
        assert len(pulled) - n_done <= 2 * workers
        n_done += 1
        time.sleep(0.005)
    assert n_done == 30


def test_a_job_that_takes_for_ever_does_not_let_outcomes_pile_up(tmp_path):
    pulled = []
    setup = FakeSetup(folder=tmp_path, trouble={0: "hang"})
    outcomes = run_processes(setup, make_jobs(100, pulled), workers=2)
    done = [o.number for o in islice(outcomes, 2 * crew.LEAD - 1)]
    assert sorted(done) == list(range(1, 2 * crew.LEAD))
    assert len(pulled) == 2 * crew.LEAD
    outcomes.close()


def test_the_other_workers_start_while_the_first_job_is_waited_for(tmp_path):
    done = []

    def jobs():
        yield FakeJob(0)
        while not done:
            yield None

    outcomes = run_processes(FakeSetup(nap=0.5), jobs(), workers=3)
    done.append(next(outcomes))
    assert count_children() == 3
    assert list(outcomes) == []


@pytest.mark.parametrize("engine", ["local", "processes"])
def test_the_next_job_may_depend_on_an_outcome(engine):
    done = []

    def jobs():
        yield FakeJob(0)
        while not done:
            yield None
        yield FakeJob(done[0] + 10)

    for outcome in run_jobs(FakeSetup(), jobs(), engine=engine):
        done.append(outcome.number)
    assert done == [0, 10]


def test_devices_are_shared_in_turn_and_the_setup_decides_without():
    setup = FakeSetup(nap=0.2)
    found = {o.device for o in run_processes(setup, make_jobs(4), workers=2, devices=("cuda:0", "cuda:1"))}
    assert found == {"cuda:0", "cuda:1"}
    assert {o.device for o in run_jobs(FakeSetup(), make_jobs(2), engine="processes")} == {None}


def test_all_gpus_are_taken_where_there_are_several(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    setup = FakeSetup(nap=0.3)
    found = {o.device for o in run_jobs(setup, make_jobs(6), engine="processes", devices=("auto",))}
    assert found == {"cuda:0", "cuda:1", "cuda:2"}


@pytest.mark.parametrize(
    ("loading", "devices", "expected"),
    [
        ({"device": "cpu"}, None, {"cpu"}),
        ({"device": "cpu"}, ("a", "b"), {"a", "b"}),
        ({"device": "auto", "device_map": "auto"}, None, {None}),
    ],
)
def test_a_device_of_the_setup_stands_and_a_spread_model_has_none(monkeypatch, loading, devices, expected):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    setup = FakeSetup(loading=loading, nap=0.2)
    outcomes = run_jobs(setup, make_jobs(4), engine="processes", workers=2, devices=devices)
    assert {o.device for o in outcomes} == expected


def test_threads_are_shared_unless_told(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert share_threads(3, cores=12) == 5
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert [share_threads(workers, cores=12) for workers in (1, 3, 5, 50)] == [12, 4, 2, 1]
    cores = process_engine.count_cores()
    assert {o.threads for o in run_processes(FakeSetup(), make_jobs(1), workers=1)} == {str(cores)}


def test_a_job_whose_worker_is_killed_is_done_by_another(tmp_path):
    setup = FakeSetup(folder=tmp_path, trouble={1: "die once", 4: "die once"})
    started = time.monotonic()
    assert run(setup) == list(range(6))
    assert {path.name for path in tmp_path.glob("died-*")} == {"died-1", "died-4"}
    assert time.monotonic() - started < 5


def test_a_worker_that_is_killed_while_it_waits_is_not_missed():
    outcomes = run_processes(FakeSetup(), make_jobs(4), workers=1)
    first = next(outcomes)
    wait_until(lambda: psutil.Process(first.pid).status() == psutil.STATUS_SLEEPING)
    os.kill(first.pid, signal.SIGKILL)
    assert sorted(o.number for o in outcomes) == [1, 2, 3]


def test_a_worker_that_dies_while_it_loads_is_replaced(tmp_path):
    assert run(FakeSetup(folder=tmp_path, build_trouble="die once"), 3, workers=1) == [0, 1, 2]


def test_a_death_is_noticed_even_where_the_pipe_stays_open(monkeypatch):
    monkeypatch.setattr(crew, "TICK", 0.1)
    talk = process_engine._Process._converse

    def be_deaf(self):
        """Do as if something else still held the pipe: nothing comes from it at the first death."""
        if self.slot == 0 and not deaf:
            deaf.append(self)
            self.tell = lambda content: None
            self._process.kill()
            return
        talk(self)

    deaf = []
    monkeypatch.setattr(process_engine._Process, "_converse", be_deaf)
    assert run(FakeSetup(), 3, workers=1) == [0, 1, 2]
    assert deaf


def test_a_job_that_kills_every_worker_is_named():
    with pytest.raises(
        ModelError, match=r"3 workers died \(killed by signal 9\) while they read texts 8 to 11"
    ):
        run(FakeSetup(trouble={2: "die"}))
    with pytest.raises(ModelError, match=r"3 workers died \(exit code 7\)"):
        run(FakeSetup(trouble={2: "exit"}))


def test_a_model_that_kills_every_worker_is_told_from_a_job():
    with pytest.raises(ModelError, match=r"3 workers in a row died .* while they loaded the model"):
        run(FakeSetup(build_trouble="die"))


@pytest.mark.parametrize(
    "name",
    sorted(name for name, e in vars(errors).items() if isinstance(e, type) and name != "MissingExtraError"),
)
def test_errors_come_out_as_they_were(name):
    kind = getattr(errors, name)
    for setup in (FakeSetup(trouble={1: name}), FakeSetup(build_trouble=name)):
        with pytest.raises(kind) as caught:
            run(setup)
        assert type(caught.value) is kind
        assert str(caught.value) == f"{name} came; expected none"
        assert "fake_worker.py" in caught.value.__notes__[0]


def test_errors_of_others_come_out_too():
    with pytest.raises(MissingExtraError, match=r"pip install 'msma\[report\]'") as caught:
        run(FakeSetup(trouble={0: "extra"}))
    assert (caught.value.package, caught.value.extra) == ("pandas", "report")
    with pytest.raises(KeyError, match="a key"):
        run(FakeSetup(trouble={0: "key"}))
    with pytest.raises(Odd, match="one and two") as odd:
        run(FakeSetup(trouble={0: "odd"}))
    assert odd.value.second == "two"
    with pytest.raises(RuntimeError, match=r"Wordy: \('a',\) and more"):
        run(FakeSetup(trouble={0: "wordy"}))
    packed = process_worker.pack_error(Odd(1, 2)) | {"module": "no_such_module"}
    assert repr(process_worker.unpack_error(packed)) == "RuntimeError('Odd: 1 and 2')"


def test_what_cannot_be_unpickled_here_is_an_error(monkeypatch):
    def refuse(content):
        raise ModuleNotFoundError("no module 'm'")

    monkeypatch.setattr(process_engine.pickle, "loads", refuse)
    with pytest.raises(ModuleNotFoundError, match="no module 'm'"):
        run(FakeSetup())


def test_an_error_of_the_jobs_themselves_ends_the_workers():
    def jobs():
        yield from make_jobs(3)
        raise errors.CorpusError("text 3 came broken")

    with pytest.raises(errors.CorpusError, match="text 3"):
        list(run_processes(FakeSetup(), jobs(), workers=2))


def test_closing_early_ends_workers_in_the_middle_of_a_job(tmp_path):
    outcomes = run_processes(FakeSetup(folder=tmp_path, trouble={3: "hang"}), make_jobs(9), workers=2)
    assert len(list(islice(outcomes, 3))) == 3
    wait_until(lambda: list(tmp_path.glob("hangs-*")))
    assert count_children() == 2
    started = time.monotonic()
    outcomes.close()
    assert count_children() == 0
    assert time.monotonic() - started < process_worker.GRACE


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL])
def test_a_script_needs_no_guard_and_leaves_nothing_when_it_is_killed(number, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(TESTS), folder=str(tmp_path), trouble={3: "hang"}))
    driver = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: list(tmp_path.glob("hangs-*")), seconds=60)
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(number)
    stdout, stderr = driver.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=2 * process_worker.GRACE)
    assert len(children) == 2
    assert not alive
    assert driver.returncode == -number
    assert {int(line.split()[0]) for line in stdout.splitlines()} <= {0, 1, 2}
    assert stderr.count(b"Traceback") == (number == signal.SIGINT)  # the driver's own; none of a worker


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "threads"}, "expected one of local, processes, ray"),
        ({"engine": "processes", "workers": 0}, "0 workers came"),
        ({"workers": 2}, "say 'processes' or 'ray'"),
        ({"devices": ("cuda:0", "cuda:1")}, "say 'processes'"),
        ({"engine": "processes", "address": "auto"}, "only 'ray' has one"),
        ({"engine": "processes", "setup": FakeSetup(is_portable=False)}, "a str in memory .* name or folder"),
        ({"engine": "ray", "setup": FakeSetup(is_portable=False)}, "a str in memory .* name or folder"),
    ],
)
def test_impossible_settings_are_refused_before_anything_starts(options, message):
    with pytest.raises(ConfigError, match=message):
        run_jobs(options.pop("setup", FakeSetup()), make_jobs(1), **options)


def test_one_worker_here_takes_a_model_in_memory_and_a_device():
    outcomes = list(run_jobs(FakeSetup(is_portable=False), make_jobs(3), devices=("cpu",)))
    assert [(o.number, o.pid, o.device) for o in outcomes] == [(n, os.getpid(), "cpu") for n in range(3)]
    assert [o.device for o in run_jobs(FakeSetup(), make_jobs(1), devices=("auto",))] == [None]


def make_nodes(*resources):
    return [{"Alive": True, "Resources": dict(zip(("CPU", "GPU"), r, strict=False))} for r in resources]


@pytest.mark.parametrize(
    ("nodes", "workers", "expected"),
    [
        ([(8,)], 2, (2, 4, 0)),
        ([(8,), (2,)], 2, (2, 4, 0)),  # two of five cores each would not fit
        ([(8,), (3,)], 3, (3, 3, 0)),
        ([(2,)], 4, (4, 0, 0)),
        ([(16,)], None, (4, 4, 0)),
        ([(8, 2), (8, 0)], None, (2, 4, 1)),
        ([(8, 1), (8, 1)], 2, (2, 8, 1)),
    ],
)
def test_workers_on_a_cluster_get_the_largest_equal_share(nodes, workers, expected):
    share = find_share(make_nodes(*nodes), workers=workers, device="auto")
    assert (share.workers, share.n_cpus, share.n_gpus) == expected


def test_devices_of_a_cluster_are_checked():
    assert find_share(make_nodes((8, 2)), workers=4, device="cpu").n_gpus == 0
    with pytest.raises(ConfigError, match="4 workers came and the Ray cluster has 2 GPUs"):
        find_share(make_nodes((8, 2)), workers=4, device="auto")
    with pytest.raises(ConfigError, match="has no GPU"):
        find_share(make_nodes((8,)), workers=4, device="cuda")
    with pytest.raises(ConfigError, match="expected one of auto, cpu, cuda"):
        check_device(("cuda:0", "cuda:1"))


def test_a_folder_that_is_not_shared_is_named(tmp_path, monkeypatch):
    (tmp_path / "there").touch()
    _check_visible(tmp_path / "there")
    _check_visible(None)
    monkeypatch.setattr("msma.extraction.ray_engine.PATIENCE", 0.0)
    with pytest.raises(StorageError, match="that all nodes of the Ray cluster share"):
        _check_visible(tmp_path / "not there")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'msma\[ray\]'"):
        next(run_ray(FakeSetup(), make_jobs(1), workers=1))
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ
