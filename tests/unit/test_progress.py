"""What a terminal and a scheduler are told of a job, and that a broken log never ends it."""

import io
import json
import math
import os
import subprocess
import sys
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from msma.errors import ConfigError, StorageError
from msma.progress import Meter, log_event, log_json, meter, peak_memory, progress, resident_memory

ALWAYS = {
    *("time", "event", "label", "done", "total", "unit", "rate", "remaining_seconds"),
    *("memory_bytes", "peak_memory_bytes"),
}


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def lines_of(text):
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def fail(act, *arguments, **named):
    act(*arguments, **named)
    raise ZeroDivisionError


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """A clock that goes forward only when told."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(meter.time, "monotonic", lambda: self.now)


def test_memory_follows_what_is_held():
    before = resident_memory()
    held = np.ones(50_000_000 // 8)
    assert resident_memory() - before > 45_000_000
    assert peak_memory() >= before + 45_000_000
    top = peak_memory()
    del held
    assert resident_memory() < top - 40_000_000
    assert peak_memory() >= top - 1_000_000  # the kernel counts in rough steps


def test_memory_where_there_is_no_proc(monkeypatch):
    from msma.progress import memory

    def absent(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(memory.Path, "read_bytes", absent)
    assert 10_000_000 < resident_memory() == peak_memory() < 10**12


def test_the_peak_is_not_that_of_the_parent():
    held = np.ones(200_000_000 // 8)
    code = "from msma.progress import peak_memory; print(peak_memory())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(found) < held.nbytes


def test_events_of_a_loop_and_of_a_meter():
    stream = io.StringIO()
    with log_json(stream, every=0):
        assert list(progress(["a", "b"], label="reading", unit="text")) == ["a", "b"]
        with Meter(label="writing", unit="shard") as counting:
            counting.advance(3, n_tokens=np.int64(7))
        log_event("say", message="all\nread")
    events = lines_of(stream.getvalue())
    assert all(set(event) >= ALWAYS for event in events)
    reading = [e for e in events if e["label"] == "reading"]
    assert [(e["event"], e["done"], e["total"]) for e in reading] == [
        *(("start", 0, 2), ("progress", 1, 2), ("progress", 2, 2), ("progress", 2, 2), ("done", 2, 2))
    ]
    assert reading[0]["remaining_seconds"] is None
    assert reading[-1]["remaining_seconds"] == 0
    writing = [e for e in events if e["label"] == "writing"]
    assert writing[-1]["done"] == 3
    assert writing[-1]["n_tokens"] == 7
    assert writing[-1]["total"] is None
    assert writing[-1]["seconds"] >= 0
    assert events[-1]["message"] == "all\nread"
    for event in events:
        assert abs((datetime.now(UTC) - datetime.fromisoformat(event["time"])).total_seconds()) < 60
        assert 0 < event["memory_bytes"] <= event["peak_memory_bytes"] * 1.1


def test_nothing_is_written_when_the_log_is_off(capsys):
    stream = io.StringIO()
    with log_json(stream):
        pass
    assert list(progress(range(3), label="counting")) == [0, 1, 2]
    log_event("say", message="nobody listens")
    assert stream.getvalue() == ""
    assert capsys.readouterr() == ("", "")


def test_an_inner_log_gives_way_to_the_outer_again():
    outer, inner = io.StringIO(), io.StringIO()
    with log_json(outer):
        with pytest.raises(ZeroDivisionError), log_json(inner):
            fail(log_event, "say", message="inner")
        log_event("say", message="outer")
    assert [e["message"] for e in lines_of(outer.getvalue())] == ["outer"]
    assert [e["message"] for e in lines_of(inner.getvalue())] == ["inner"]


def test_rate_and_remaining_time(monkeypatch):
    clock = Clock(monkeypatch)
    with Meter(label="reading", total=1000, done=100) as counting:
        assert counting.rate is None
        assert counting.remaining_seconds is None
        for _ in range(20):
            clock.now += 2
            counting.advance(10)
        assert counting.rate == pytest.approx(5)
        assert counting.remaining_seconds == pytest.approx(700 / 5)
        for _ in range(60):  # the pace changes, and the rate follows within a minute or two
            clock.now += 2
            counting.advance(2)
        assert counting.rate == pytest.approx(1 + 4 * math.exp(-4) * (1 - math.exp(-40 / 30)), rel=0.05)
        counting.advance(10_000)
        assert counting.remaining_seconds == 0


def test_progress_is_logged_every_few_seconds_and_at_the_end(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    with log_json(stream, every=5):
        for _ in progress(range(23), label="reading"):
            clock.now += 1
    events = lines_of(stream.getvalue())
    assert [e["done"] for e in events if e["event"] == "progress"] == [5, 10, 15, 20, 23]


def test_short_jobs_of_one_name_do_not_flood_the_log(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    with log_json(stream, every=5):
        for _ in range(100):
            for _ in progress(range(3), label="short"):
                clock.now += 0.01
        for _ in progress(range(3), label="short"):
            clock.now += 4
    events = lines_of(stream.getvalue())
    assert [e["event"] for e in events] == [
        "start",
        "progress",
        "done",
        "start",
        "progress",
        "progress",
        "done",
    ]
    assert [e["done"] for e in events] == [0, 3, 3, 2, 2, 3, 3]


def test_a_loop_left_early_is_not_done():
    stream = io.StringIO()
    with log_json(stream):
        for item in (loop := progress(range(9), label="reading")):
            if item == 3:
                break
        loop.close()
        with pytest.raises(ZeroDivisionError), Meter(label="writing") as counting:
            fail(counting.advance)
    assert [(e["event"], e["done"]) for e in lines_of(stream.getvalue())] == [
        *(("start", 0), ("progress", 3), ("start", 0), ("progress", 1))
    ]


def test_no_number_in_the_log_is_infinite_and_every_fact_is_plain():
    stream = io.StringIO()
    with log_json(stream):
        log_event(
            *("say",),
            message="half \udc80 a character\u2028",
            loss=math.nan,
            losses=[1.0, -math.inf, {"deep": np.float32("inf")}],
            path=os.path,
            time="never",
            memory_bytes=-1,
        )
    (event,) = lines_of(stream.getvalue())
    assert event["message"] == "half \udc80 a character\u2028"
    assert event["loss"] is None
    assert event["losses"] == [1.0, None, {"deep": None}]
    assert isinstance(event["path"], str)
    assert event["time"] != "never"
    assert event["memory_bytes"] > 0


def test_a_file_is_appended_to_and_a_torn_line_is_closed(tmp_path):
    path = tmp_path / "run.jsonl"
    for n in (1, 2):
        with log_json(path):
            log_event("say", message=n)
            assert lines_of(path.read_text())[-1]["message"] == n  # there before the block ends
    with path.open("a") as file:
        file.write('{"time": "2026-')
    with log_json(str(path)):
        log_event("say", message=3)
    first, second, torn, third = path.read_text().splitlines()
    assert torn == '{"time": "2026-'
    assert [json.loads(line)["message"] for line in (first, second, third)] == [1, 2, 3]


def test_a_log_that_cannot_be_opened_is_a_mistake(tmp_path):
    for path in (tmp_path / "absent" / "run.jsonl", tmp_path, "nul\0byte"):
        with pytest.raises(StorageError, match="could not open the log"), log_json(path):
            raise AssertionError
    with pytest.raises(ConfigError, match="0 or more seconds"), log_json(io.StringIO(), every=-1):
        raise AssertionError


class Failing(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_a_broken_log_never_ends_the_job(tmp_path):
    closed = io.StringIO()
    closed.close()
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as pipe:
        for stream in (Failing(), closed, pipe):
            with log_json(stream, every=0):
                assert list(progress(range(3), label="reading")) == [0, 1, 2]
        with pytest.raises(BrokenPipeError):
            pipe.close()
    with log_json("/dev/full", every=0):
        assert list(progress(range(3), label="reading")) == [0, 1, 2]


def test_the_bar_shows_count_share_rate_time_and_memory(monkeypatch):
    import tqdm

    whole = tqdm.tqdm
    monkeypatch.setattr(tqdm, "tqdm", lambda **given: whole(**{**given, "delay": 0, "mininterval": 0}))
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(meter, "_MEMORY_PAUSE", 0)
    with Meter(label="reading", total=4, unit="text") as counting:
        time.sleep(0.01)
        counting.advance(3)
    drawn = terminal.getvalue()
    for part in ("reading:  75%", "3/4", "<00:0", "text/s", " GB]"):
        assert part in drawn, part
    assert drawn.endswith("\r")  # nothing is left of it
