"""A full disk, a read-only folder and a kill in the middle of writing leave nothing half-written."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from msma.errors import StorageError
from msma.states import HiddenStates, StatesWriter
from msma.storage import read_json, write_json, write_sealed_json, write_tensors, write_text
from states_folder import ORIGIN, fill, make_shard, read_bytes

WRITERS = {
    "text": lambda path, n: write_text(path, "x" * n),
    "json": lambda path, n: write_json(path, ["x" * n]),
    "sealed": lambda path, n: write_sealed_json(path, {"x": "x" * n}),
    "tensors": lambda path, n: write_tensors(path, {"x": np.zeros(n, np.uint8)}),
}


def run_script(script, *arguments, before=()):
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [*before, sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )


# A full disk


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_device(kind, tmp_path, monkeypatch):
    path = tmp_path / "a"
    WRITERS[kind](path, 1)
    old = path.read_bytes()
    monkeypatch.setattr("secrets.token_hex", lambda n: "0" * 2 * n)
    (tmp_path / f".a.{'0' * 16}.tmp").symlink_to("/dev/full")
    with pytest.raises(
        StorageError, match="No space left on device; nothing half-written was left"
    ) as caught:
        WRITERS[kind](path, 100_000)
    assert "\n" not in str(caught.value)
    assert read_bytes(tmp_path) == {"a": old}
    WRITERS[kind](path, 100_000)
    assert path.stat().st_size >= 100_000


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.mkdir"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_an_error_of_the_system_at_any_call(call, number, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    folder = tmp_path / "s"
    monkeypatch.setattr(call, fail)
    with pytest.raises(StorageError, match=os.strerror(number)):
        fill(folder)
    monkeypatch.undo()
    assert not folder.exists() or read_bytes(folder) == {}
    assert fill(folder) == [0, 1, 2]
    assert len(HiddenStates.load(folder)) == 11


def test_a_disk_that_fills_up_at_any_file(tmp_path, monkeypatch):
    """The n-th file to be flushed finds the disk full; the same run goes on from there."""
    fill(tmp_path / "reference")
    reference = read_bytes(tmp_path / "reference")
    flush, n_errors = os.fsync, 0
    for last in range(1, 100):
        folder, left = tmp_path / str(last), [last]

        def limited(opened, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            flush(opened)

        monkeypatch.setattr("os.fsync", limited)
        try:
            fill(folder)
            break
        except StorageError as error:
            n_errors += "No space left on device" in str(error)
        finally:
            monkeypatch.undo()
        found = read_bytes(folder) if folder.exists() else {}
        assert all(reference[name] == content for name, content in found.items())
        fill(folder)
        assert read_bytes(folder) == reference
    assert n_errors == last - 1 > 15


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_systems_that_cannot_flush_a_folder(number, tmp_path, monkeypatch):
    flush = os.fsync

    def refuse_folders(opened):
        if os.path.isdir(f"/proc/self/fd/{opened}"):
            raise OSError(number, os.strerror(number))
        flush(opened)

    monkeypatch.setattr("os.fsync", refuse_folders)
    assert fill(tmp_path / "a" / "s") == [0, 1, 2]


def test_a_system_that_cannot_open_a_folder(tmp_path, monkeypatch):
    def refuse(path, *args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("os.open", refuse)
    assert write_text(tmp_path / "a" / "b", "text").read_text() == "text"


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from msma.errors import StorageError
from msma.states import HiddenStates, StatesWriter
from states_folder import ORIGIN, make_shard

folder = Path(sys.argv[1])
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
writer = StatesWriter(folder, ORIGIN)
writer.write_shard(0, make_shard(0, 10))
try:
    writer.write_shard(1, make_shard(10, 2_000))
except StorageError as error:
    print(error)
print(sorted(path.name for path in folder.iterdir()))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
writer.write_shard(1, make_shard(10, 2_000))
print(len(writer.finish()))
"""


def test_a_limit_on_the_length_of_files(tmp_path):
    pytest.importorskip("resource")
    result = run_script(LIMITED, tmp_path / "s")
    said, names, n_samples = result.stdout.splitlines()
    assert result.returncode == 0, result.stderr
    assert "shard-00001.safetensors': File too large; nothing half-written was left there" in said
    assert names == "['origin.json', 'shard-00000.json', 'shard-00000.safetensors']"
    assert n_samples == "2010"


SMALL_DISK = """
import os, sys
from pathlib import Path
from msma.errors import StorageError
from msma.locking import folder_lock
from msma.states import HiddenStates, StatesWriter
from states_folder import ORIGIN, make_shard

disk = Path(sys.argv[1])
def run(how_many):
    with folder_lock(disk / "s", what="a test"):
        writer = StatesWriter(disk / "s", ORIGIN)
        for number in range(how_many):
            if not writer.is_whole(number):
                writer.write_shard(number, make_shard(1000 * number, 1000))
        return len(writer.finish(n_shards=how_many))
try:
    run(10)
except StorageError as error:
    print(error)
print(sum(path.name.endswith(".tmp") for path in (disk / "s").iterdir()))
os.system(f"mount -o remount,size=8m {disk}")
print(run(10), len(HiddenStates.load(disk / "s")))
os.system(f"mount -o remount,ro {disk}")
try:
    run(10)
except StorageError as error:
    print(error)
print(len(HiddenStates.load(disk / "s")))
try:
    StatesWriter(disk / "new", ORIGIN)
except StorageError as error:
    print(error)
"""


def test_a_small_disk_that_fills_and_one_that_is_read_only(tmp_path):
    """On a disk of half a megabyte, seen by the script alone; only where the system lets us make one."""
    if shutil.which("unshare") is None:
        pytest.skip("no 'unshare' to make a disk with")
    alone = ["unshare", "--mount", "--map-root-user"]
    mount = f"mount -t tmpfs -o size=512k none {tmp_path}"
    if subprocess.run([*alone, "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this system does not let us make a disk")
    result = run_script(SMALL_DISK, tmp_path, before=[*alone, "sh", "-c", f'{mount} && exec "$0" "$@"'])
    assert result.returncode == 0, result.stderr
    full, n_left, n_samples, locked, n_loaded, read_only = result.stdout.splitlines()
    assert "No space left on device; nothing half-written was left there" in full
    assert n_left == "0"
    assert n_samples == "10000 10000"
    assert "Read-only file system" in locked
    assert n_loaded == "10000"
    assert "Read-only file system" in read_only


# A folder that cannot be written to


def test_folders_of_the_system_end_in_one_sentence(tmp_path):
    for folder in ("/proc/self", "/proc/none"):
        with pytest.raises(StorageError, match="could not write '/proc/") as caught:
            StatesWriter(folder, ORIGIN)
        assert "\n" not in str(caught.value)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match="could not write"):
            StatesWriter(folder, ORIGIN)
        with pytest.raises(StorageError, match="holds no states"):
            HiddenStates.load(folder)


def test_a_shard_that_cannot_be_removed(tmp_path, monkeypatch):
    fill(tmp_path)

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    writer = StatesWriter(tmp_path, ORIGIN, settings={"window": 4})
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(StorageError, match=r"could not remove .*: Permission denied; check"):
        writer.discard_shard(0)
    with pytest.raises(StorageError, match="could not remove"):
        writer.write_shard(0, make_shard(0, 6))
    monkeypatch.undo()
    assert len(HiddenStates.load(tmp_path)) == 11


# Killed in the middle of writing

KILL = """
import os, signal, sys
from pathlib import Path
import numpy as np
from msma.storage import write_tensors, write_text

base, kind = Path(sys.argv[1]), sys.argv[2]
WRITE = {
    "text": lambda path, n: write_text(path, "x" * n),
    "tensors": lambda path, n: write_tensors(path, {"x": np.zeros(n, np.uint8)}),
}[kind]

def run(path, last):
    "Write while counting lines of Python and calls of the system; die at the last."
    steps = 0
    def step():
        nonlocal steps
        steps += 1
        if last is not None and steps >= last:
            os.kill(os.getpid(), signal.SIGKILL)
    def trace(frame, event, argument):
        if not frame.f_globals.get("__name__", "").startswith("msma.storage"):
            return None
        step()
        return trace
    def counted(call):
        def called(*args, **kwargs):
            step()
            result = call(*args, **kwargs)
            step()
            return result
        return called
    kept = {name: getattr(os, name) for name in ("fsync", "replace", "open", "unlink", "mkdir", "close")}
    for name, call in kept.items():
        setattr(os, name, counted(call))
    sys.settrace(trace)
    WRITE(path, 200_000)
    sys.settrace(None)
    for name, call in kept.items():
        setattr(os, name, call)
    return steps

(base / "counted").mkdir()
WRITE(base / "counted" / "a", 1)
old = (base / "counted" / "a").read_bytes()
run(base / "counted" / "a", None)  # the first time things are imported
n_steps = run(base / "counted" / "a", None)
new = (base / "counted" / "a").read_bytes()
seen = {"old": 0, "new": 0, "leftovers": 0}
for last in range(1, 2 * n_steps):
    folder = base / "killed"
    folder.mkdir(exist_ok=True)
    (folder / "a").write_bytes(old)
    child = os.fork()
    if not child:
        run(folder / "a", last)
        os._exit(0)
    if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
        break
    content = (folder / "a").read_bytes()
    assert content in (old, new), last
    seen["old" if content == old else "new"] += 1
    for path in folder.iterdir():
        if path.name != "a":
            seen["leftovers"] += 1
            assert path.name.startswith(".a.") and path.name.endswith(".tmp")
            path.unlink()
print(n_steps, last - 1, *seen.values())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("kind", ["text", "tensors"])
def test_killed_at_any_step_the_old_file_or_the_new_one_is_there(kind, tmp_path):
    result = run_script(KILL, tmp_path, kind)
    assert result.returncode == 0, result.stderr
    n_steps, n_killed, n_old, n_new, n_leftovers = map(int, result.stdout.split())
    assert n_old + n_new == n_killed > 0.9 * n_steps > 40
    assert min(n_old, n_new, n_leftovers) > 4


def test_an_interrupted_json_is_the_old_one(tmp_path, monkeypatch):
    path = write_json(tmp_path / "a.json", {"a": 1})

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
