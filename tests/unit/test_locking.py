"""One process a folder: others are refused and told who holds it, and a killed one holds nothing."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from msma.errors import StorageError
from msma.locking import folder_lock, holds_lock

HOLD = """
import sys
from msma.locking import folder_lock
with folder_lock(sys.argv[1], what="an extraction"):
    print("held", flush=True)
    sys.stdin.readline()
"""
TRY = """
import sys
from msma.errors import StorageError
from msma.locking import folder_lock
try:
    with folder_lock(sys.argv[1], what="a second one"):
        print("held")
except StorageError as error:
    print(error)
assert "torch" not in sys.modules
"""


def try_lock(folder):
    return subprocess.run(
        [sys.executable, "-c", TRY, str(folder)], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def start_holder(tmp_path):
    started = []

    def start():
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "s")], text=True, **pipes)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_process_is_refused_and_told_who_holds_the_folder(tmp_path, start_holder):
    holder = start_holder()
    said = try_lock(tmp_path / "s")
    assert said.startswith(f"'{tmp_path / 's'}' is in use by an extraction (process {holder.pid} on ")
    assert socket.gethostname() in said
    assert said.endswith("wait until that has ended, or choose another folder")
    with (
        pytest.raises(StorageError, match=f"process {holder.pid} on "),
        folder_lock(tmp_path / "s", what="x"),
    ):
        pass
    holder.communicate("\n")
    assert try_lock(tmp_path / "s") == "held"


def test_a_killed_holder_stands_in_nobodys_way(tmp_path, start_holder):
    for _ in range(3):
        holder = start_holder()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert (tmp_path / "s" / ".lock").exists()
        assert (tmp_path / "s" / ".lock.holder").exists()
        assert try_lock(tmp_path / "s") == "held"


def test_a_holder_that_could_not_write_its_name_is_still_refused_to(tmp_path, start_holder):
    start_holder()
    (tmp_path / "s" / ".lock.holder").write_text("[")
    assert "is in use by another process; wait" in try_lock(tmp_path / "s")


def test_it_ends_with_the_body_even_when_that_raises(tmp_path):
    def fail():
        with folder_lock(tmp_path, what="x"):
            assert holds_lock(tmp_path)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not holds_lock(tmp_path)
    assert not (tmp_path / ".lock.holder").exists()
    assert try_lock(tmp_path) == "held"


def test_the_same_thread_may_ask_again(tmp_path):
    with folder_lock(tmp_path, what="a study"):
        with folder_lock(tmp_path / "." / "", what="an extraction"):
            assert "a study" in try_lock(tmp_path)
        assert holds_lock(tmp_path)
        assert "a study" in try_lock(tmp_path)
    assert try_lock(tmp_path) == "held"


def test_two_threads(tmp_path):
    said = []

    def ask(folder):
        try:
            with folder_lock(folder, what="y"):
                said.append("held")
        except StorageError as error:
            said.append(str(error))

    with folder_lock(tmp_path / "a", what="x"):
        for folder in (tmp_path / "b", tmp_path / "a"):
            thread = threading.Thread(target=ask, args=(folder,))
            thread.start()
            thread.join()
        assert holds_lock(tmp_path / "a")
    assert said[0] == "held"
    assert f"is in use by x (process {os.getpid()} on" in said[1]
    ask(tmp_path / "a")
    assert said[2] == "held"


def test_a_child_of_the_holder_does_not_hold(tmp_path, monkeypatch):
    with folder_lock(tmp_path, what="x"):
        monkeypatch.setattr("os.getpid", lambda: -1)
        assert not holds_lock(tmp_path)
        monkeypatch.undo()
        assert holds_lock(tmp_path)


def test_work_in_memory_needs_no_lock():
    with folder_lock(None, what="x"), folder_lock(None, what="y"):
        assert not holds_lock(".")


@pytest.mark.parametrize("below", ["", "s", "s/t"])
def test_a_file_in_place_of_the_folder(tmp_path, below):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / below
    with pytest.raises(StorageError, match="is a file, or lies below"), folder_lock(folder, what="x"):
        pass


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    with pytest.raises(StorageError, match="cannot be written to"), folder_lock("/proc/self", what="x"):
        pass
    with pytest.raises(StorageError, match="cannot be written to"), folder_lock("/proc/none", what="x"):
        pass
    (tmp_path / ".lock").mkdir()
    with pytest.raises(StorageError, match="cannot be written to"), folder_lock(tmp_path, what="x"):
        pass

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(StorageError, match="Read-only file system"), folder_lock(tmp_path / "a", what="x"):
        pass


def test_a_folder_in_which_nothing_was_done_is_not_left_behind(tmp_path):
    with folder_lock(tmp_path / "new", what="a test"):
        pass
    assert not (tmp_path / "new").exists()
    with folder_lock(tmp_path / "used", what="a test"):
        (tmp_path / "used" / "file").write_text("x")
    assert (tmp_path / "used" / "file").exists()
    (tmp_path / "there").mkdir()
    with folder_lock(tmp_path / "there", what="a test"):
        pass
    assert list((tmp_path / "there").iterdir()) == []
