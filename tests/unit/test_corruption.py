"""No byte of a folder of states can change unseen, and the same run mends what was damaged."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from msma.errors import StorageError
from msma.shards import is_finished
from msma.states import HiddenStates, StatesWriter
from states_folder import ORIGIN, SIZES, fill, read_bytes

N_CHANGES = 1_000
N_TRUNCATIONS = 200
N_KILLS = 40


@pytest.fixture
def folder(tmp_path):
    assert fill(tmp_path / "s") == [0, 1, 2]
    return tmp_path / "s"


def refusal(folder, **options):
    """What loading says, or nothing where it finds no fault."""
    try:
        HiddenStates.load(folder, **options)
    except StorageError as error:
        return str(error)
    return ""


def change_byte(content, rng):
    position = int(rng.integers(len(content)))
    value = (content[position] + int(rng.integers(1, 256))) % 256
    return content[:position] + bytes([value]) + content[position + 1 :]


def test_the_untouched_folder_is_sound(folder):
    assert refusal(folder) == ""
    assert is_finished(folder)
    assert len(HiddenStates.load(folder)) == sum(SIZES)
    assert sorted(read_bytes(folder)) == [
        "attention.safetensors",
        "origin.json",
        *(f"shard-{n:05d}.{ending}" for n in range(3) for ending in ("json", "safetensors")),
        "states.json",
    ]


@pytest.mark.slow
def test_every_changed_byte_is_found_and_its_file_named(folder, rng):
    files = read_bytes(folder)
    weights = np.array([len(content) for content in files.values()], dtype=float)
    chosen = rng.choice(list(files), size=N_CHANGES, p=weights / weights.sum())
    assert set(chosen) == set(files)
    missed = []
    for name in chosen:
        (folder / name).write_bytes(change_byte(files[name], rng))
        said = refusal(folder)
        if f"{folder / name}'" not in said or "delete" not in said:
            missed.append((name, said))
        (folder / name).write_bytes(files[name])
    assert missed == []
    assert refusal(folder) == ""


def test_every_byte_of_the_manifest_counts(folder):
    whole = (folder / "states.json").read_bytes()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1 << (position % 8)
        (folder / "states.json").write_bytes(changed)
        assert "states.json' is damaged" in refusal(folder, verify=False)


def test_every_truncation_is_found_without_reading_the_states(folder, rng):
    files = read_bytes(folder)
    for name in rng.choice(list(files), size=N_TRUNCATIONS):
        kept = files[name][: rng.integers(len(files[name]))]
        (folder / name).write_bytes(kept)
        assert f"{folder / name}'" in refusal(folder, verify=False)
        (folder / name).write_bytes(files[name])


def test_anything_after_the_end_is_found(folder):
    for name, content in read_bytes(folder).items():
        (folder / name).write_bytes(content + b"\n")
        assert f"{folder / name}'" in refusal(folder, verify=False)
        (folder / name).write_bytes(content)


def test_a_missing_file_is_named(folder):
    for name, content in read_bytes(folder).items():
        (folder / name).unlink()
        said = refusal(folder, verify=False)
        assert "interrupted extraction" in said if name == "states.json" else name in said
        assert not is_finished(folder)
        (folder / name).write_bytes(content)


def test_a_shard_too_many_or_under_another_number_is_named(folder):
    files = read_bytes(folder)
    for name in ("shard-00003.json", "shard-00003.safetensors", "shard-2.json"):
        (folder / name).write_bytes(files["shard-00002.json"])
        assert f"{name}' does not belong to these states, which have 3 shards" in refusal(folder)
        (folder / name).unlink()
    for ending in ("json", "safetensors"):  # as if two shards had changed places
        (folder / f"shard-00000.{ending}").write_bytes(files[f"shard-00002.{ending}"])
        (folder / f"shard-00002.{ending}").write_bytes(files[f"shard-00000.{ending}"])
    assert "shard-00000" in refusal(folder)


def test_without_reading_the_states_their_values_are_not_checked(folder):
    path = folder / "shard-00000.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-60] + bytes([whole[-60] ^ 1]) + whole[-59:])
    assert refusal(folder, verify=False) == ""
    assert f"the content of '{path}' does not match its checksum; delete shard-00000" in refusal(folder)
    assert is_finished(folder)


def test_several_changed_files_are_all_named(folder):
    for number in (0, 2):
        path = folder / f"shard-{number:05d}.safetensors"
        whole = path.read_bytes()
        path.write_bytes(whole[:-60] + bytes([whole[-60] ^ 1]) + whole[-59:])
    said = refusal(folder)
    assert (
        "shard-00000.safetensors' does not match its checksum (nor does that of shard-00002.safeten" in said
    )


def test_attention_under_another_name_is_found_without_reading_it(folder):
    path = folder / "attention.safetensors"
    path.write_bytes(path.read_bytes().replace(b"entropy", b"entrapy"))
    assert "holds no attention statistics" in refusal(folder, verify=False)


# Mending


@pytest.mark.parametrize("with_manifest", [True, False])
def test_the_same_run_makes_again_only_what_was_deleted(folder, with_manifest):
    files = read_bytes(folder)
    for name in files:
        (folder / name).unlink()
        if not with_manifest:
            (folder / "states.json").unlink(missing_ok=True)
        expected = [int(name[6:11])] if name.startswith("shard") else []
        assert fill(folder) == expected
        assert read_bytes(folder) == files


def test_a_run_finds_and_makes_again_what_is_damaged(folder, rng):
    files = read_bytes(folder)
    shards = [name for name in files if name.startswith("shard")]
    (folder / "states.json").unlink()
    for name in rng.choice(shards, size=200):
        (folder / name).write_bytes(change_byte(files[name], rng))
        writer = StatesWriter(folder, ORIGIN, settings={"window": 4})
        damaged = [number for number in range(3) if not writer.is_whole(number)]
        assert damaged == [int(name[6:11])]
        assert writer.has_shard(damaged[0])
        (folder / name).write_bytes(files[name])
    for name in shards:
        (folder / name).write_bytes(change_byte(files[name], rng))
        assert fill(folder) == [int(name[6:11])]
        assert read_bytes(folder) == files


def test_a_damaged_manifest_is_made_again(folder):
    files = read_bytes(folder)
    (folder / "states.json").write_bytes(files["states.json"].replace(b"3", b"2", 1))
    assert fill(folder) == []
    assert read_bytes(folder) == files


def test_a_damaged_origin_is_named_and_can_be_deleted(folder):
    files = read_bytes(folder)
    (folder / "origin.json").write_bytes(files["origin.json"].replace(b'"m"', b'"n"'))
    with pytest.raises(StorageError, match=r"origin.json' is damaged.*keeps the shards"):
        fill(folder)
    (folder / "origin.json").unlink()
    assert fill(folder) == []
    assert read_bytes(folder) == files


def test_shards_of_other_settings_are_not_taken_where_the_origin_was_lost(folder):
    (folder / "origin.json").unlink()
    writer = StatesWriter(folder, ORIGIN, settings={"window": 5})
    assert [writer.has_shard(number) for number in range(3)] == [True] * 3
    assert [writer.is_whole(number, verify=False) for number in range(3)] == [False] * 3


# Killed

KILL = """
import os, shutil, signal, sys
from pathlib import Path
from states_folder import fill, read_bytes

base, n_kills = Path(sys.argv[1]), int(sys.argv[2])
fill(base / "reference")
reference = read_bytes(base / "reference")

def run(folder, last):
    steps = 0
    def count(frame, event, argument):
        nonlocal steps
        name = frame.f_globals.get("__name__", "")
        if not name.startswith(("msma.storage", "msma.shards", "pathlib")):
            return None
        steps += event == "line"
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return count
    sys.settrace(count)
    fill(folder)
    sys.settrace(None)
    return steps

n_steps = run(base / "counted", None)
n_killed = 0
for kill in range(n_kills):
    folder = base / str(kill)
    child = os.fork()
    if not child:
        run(folder, 1 + kill * n_steps // n_kills)
        os._exit(0)
    n_killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    found = read_bytes(folder) if folder.is_dir() else {}
    for name, content in found.items():
        assert name.endswith(".tmp") or content == reference[name], name
    made = fill(folder)
    assert not [n for n in made if f"shard-{n:05d}.json" in found], made
    for path in folder.glob(".*.tmp"):
        path.unlink()
    assert read_bytes(folder) == reference, kill
    shutil.rmtree(folder)
print(n_steps, n_killed)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_killed_at_any_line_the_same_run_ends_with_the_same_bytes(tmp_path):
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = subprocess.run(
        [sys.executable, "-c", KILL, str(tmp_path), str(N_KILLS)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert result.returncode == 0, result.stderr
    n_steps, n_killed = map(int, result.stdout.split())
    assert n_steps > 500
    assert n_killed == N_KILLS
