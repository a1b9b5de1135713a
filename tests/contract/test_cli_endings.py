"""Every command ends in a documented exit code and at most one line, and tells its log so."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from msma.cli import leaving, run
from msma.cli.leaving import explain
from msma.progress import progress
from msma.states import HiddenStates


@pytest.fixture
def states_dir(tmp_path):
    layers = np.random.default_rng(0).normal(size=(5, 40, 3))
    return HiddenStates.from_arrays(layers, texts=[f"text {i}" for i in range(40)]).save(tmp_path / "states")


@pytest.fixture
def ends_in(monkeypatch, tmp_path, capsys):
    """Run a command that meets an exception; give its code, its line on standard error and its log."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def end(error):
        def load(*arguments, **named):
            if callable(error):
                error()
            raise error

        monkeypatch.setattr(HiddenStates, "load", load)
        log = tmp_path / "run.jsonl"
        log.unlink(missing_ok=True)
        code = run(["--log-json", str(log), "scales", "somewhere"])
        (line,) = capsys.readouterr().err.splitlines()
        return code, line, events(log)

    return end


def events(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_a_command_that_goes_well(states_dir, tmp_path, capsys):
    log = tmp_path / "run.jsonl"
    arguments = ["scales", str(states_dir), "--out", str(tmp_path / "s.json"), "--n-votes", "5"]
    assert run(["--log-json", str(log), *arguments]) == 0
    first, *between, last = events(log)
    assert (first["event"], first["label"]) == ("start", "scales")
    assert {e["event"] for e in between} == {"start", "progress", "done"}
    assert (last["event"], last["label"], last["exit_code"]) == ("done", "scales", 0)
    size = log.stat().st_size
    assert run(arguments) == 0
    assert log.stat().st_size == size  # the next command does not log unless asked to
    assert run(["--log-json", "-", *arguments]) == 0
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert said[-1]["exit_code"] == 0


def test_what_is_said_is_logged(states_dir, tmp_path, monkeypatch, capsys):
    def run_ablation(*arguments, say, **named):
        say("arm [half] of [/2]")
        raise KeyboardInterrupt

    monkeypatch.setattr("msma.ablation.ablate", run_ablation)
    scales, log = str(tmp_path / "s.json"), tmp_path / "run.jsonl"
    assert run(["scales", str(states_dir), "--out", scales, "--method", "0-1|2-3|4"]) == 0
    assert run(["--log-json", str(log), "ablate", str(states_dir), "--scales", scales]) == 130
    told = [e for e in events(log) if "message" in e]
    assert [(e["event"], e["message"][:18]) for e in told] == [
        *(("say", "arm [half] of [/2]"), ("error", "interrupted; the s"))
    ]
    assert "· arm [half] of [/2]" in capsys.readouterr().out


def test_an_interrupted_loop_tells_how_far_it_was(ends_in):
    def work():
        for item in progress(range(9), label="reading"):
            if item == 5:
                os.kill(os.getpid(), signal.SIGTERM)

    _, _, log = ends_in(work)
    assert [(e["event"], e["label"], e["done"]) for e in log[1:]] == [
        *(("start", "reading", 0), ("progress", "reading", 5), ("error", "scales", None))
    ]


def test_the_documentation_names_every_code_and_every_name(ends_in):
    page = (Path(__file__).resolve().parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert codes == {0, leaving.DEFECT, leaving.MISTAKE, leaving.INTERRUPTED, leaving.TERMINATED}
    shown = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])
    _, _, log = ends_in(KeyboardInterrupt())
    assert list(shown) == list(log[-1])[:10]
    for name in {name for event in log for name in event} | {"seconds"}:
        assert f"`{name}`" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scales", "absent"], "absent"),
        (["scales", "--nonsense"], "No such option"),
        (["scales", "absent", "--seed", "x"], "Invalid value for '--seed'"),
        (["nothing"], "No such command"),
    ],
)
def test_mistakes_are_logged_with_their_code(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["--log-json", "run.jsonl", *arguments]) == 2
    last = events("run.jsonl")[-1]
    assert (last["event"], last["exit_code"]) == ("error", 2)
    assert message in last["message"]


def test_a_log_that_cannot_be_opened(tmp_path, capsys):
    assert run(["--log-json", str(tmp_path / "absent" / "run.jsonl"), "scales", "absent"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "could not open the log" in line


def test_a_defect_of_ours(ends_in, monkeypatch):
    code, line, log = ends_in(ZeroDivisionError("division\nby zero"))
    assert code == 1
    assert "ZeroDivisionError (division by zero)" in line
    assert "defect of msma" in line
    assert log[-1]["exit_code"] == 1
    assert log[-1]["message"] == line
    kept = Path(re.search("'(.*msma-error-.*txt)'", line)[1]).read_text()
    assert "Traceback" in kept
    assert "in load" in kept
    monkeypatch.setattr("tempfile.NamedTemporaryFile", fail_to_open)
    assert "MSMA_DEBUG=1" in ends_in(ZeroDivisionError())[1]
    monkeypatch.setenv("MSMA_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        ends_in(ZeroDivisionError())


def fail_to_open(*arguments, **named):
    raise OSError(errno.ENOSPC, "No space left on device")


def torch_fails():
    import torch

    torch.empty(2**50, dtype=torch.float64)


def numpy_fails():
    np.empty(2**50)


@pytest.mark.parametrize("fail", [torch_fails, numpy_fails])
def test_too_little_memory(fail, ends_in):
    code, line, log = ends_in(fail)
    assert code == log[-1]["exit_code"] == 2
    assert "not enough memory" in line
    if fail is torch_fails:
        assert f"({2**53 / 1e9:.3g} GB were asked for)" in line


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b.pt"),
            "'a/b.pt': No space left on device; make",
        ),
        (PermissionError(errno.EACCES, "Permission denied", b"a"), "'a': Permission denied; check its perm"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "Broken pipe"),  # not that of our own output
    ],
)
def test_failures_of_the_system(error, message, ends_in):
    code, line, _ = ends_in(error)
    assert code == 2
    assert message in line


def test_a_name_that_is_not_utf8(ends_in):
    def write():
        "caf\udce9.txt".encode("utf-8")

    code, line, _ = ends_in(write)
    assert code == 2
    assert line == r"error: 'caf\udce9.txt' came, which is not UTF-8; rename the file or type it anew"


def test_interruptions(ends_in):
    assert ends_in(KeyboardInterrupt())[0] == 130
    before = signal.getsignal(signal.SIGTERM)
    for terminate in (lambda: os.kill(os.getpid(), signal.SIGTERM), SystemExit(15)):
        code, line, log = ends_in(terminate)
        assert code == log[-1]["exit_code"] == 143
        assert "goes on where this one stopped" in line
        assert signal.getsignal(signal.SIGTERM) is before
    assert explain(SystemExit(3)).code == 3
    assert explain(SystemExit("why")).code == 1
    assert explain(SystemExit()).code == 0


def test_a_command_in_a_thread_leaves_signals_alone(tmp_path, capsys):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(run(["scales", str(tmp_path / "absent")])))
    thread.start()
    thread.join()
    assert codes == [2]


FAKE = """
import sys, time, types
from pathlib import Path
from msma.cli import run
from msma.cli.saying import make_console, speak_on

def write_report(study, out=None):
    sys.stdin.readline()
    for n in range(3):
        speak_on(make_console())(f"line {n}")
    Path("done").touch()
    return study

sys.modules["msma.reporting"] = types.SimpleNamespace(write_report=write_report)
sys.exit(run(sys.argv[1:]))
"""


def start(*arguments, folder, **variables):
    """Start ``msma report`` in a process of its own, with a quick stand-in for the work."""
    return subprocess.Popen(
        [sys.executable, "-c", FAKE, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, **variables},
    )


def test_sigterm_ends_a_process_with_143(tmp_path):
    with start("--log-json", "run.jsonl", "report", "study", folder=tmp_path) as process:
        while not (tmp_path / "run.jsonl").exists() or not (tmp_path / "run.jsonl").read_text():
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        told = process.stderr.read()
    assert process.returncode == events(tmp_path / "run.jsonl")[-1]["exit_code"] == 143
    assert told.strip() == "told to end; the same command again goes on where this one stopped"


@pytest.mark.parametrize("arguments", [["--help"], ["report", "--help"], ["report", "study"]])
def test_a_reader_that_goes_away_is_no_failure(arguments, tmp_path):
    with start(*arguments, folder=tmp_path) as process:
        process.stdout.close()
        process.stdin.close()
        told = process.stderr.read()
        assert process.wait(timeout=60) == 0
    assert told == ""
    if "--help" not in arguments:
        assert (tmp_path / "done").exists()


def test_a_terminal_that_knows_few_characters(tmp_path):
    with start("report", "größe", folder=tmp_path, PYTHONIOENCODING="ascii") as process:
        shown, told = process.communicate("\n", timeout=60)
    assert (process.returncode, told) == (0, "")
    assert "\\xb7 line 0" in shown
