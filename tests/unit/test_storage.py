"""Files are whole or not there, and damage is named."""

import errno
import json

import numpy as np
import pytest

from msma.errors import StorageError
from msma.storage import (
    atomic_path,
    file_checksum,
    open_tensors,
    read_json,
    verify_tensors,
    write_json,
    write_tensors,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")

    def interrupted():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_one_clear_sentence(tmp_path):
    def full():
        with atomic_path(tmp_path / "a.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="No space left on device; nothing half-written") as caught:
        full()
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not write"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_storage_errors_inside_pass_unchanged(tmp_path):
    def nested():
        with atomic_path(tmp_path / "a"):
            raise StorageError("inner")

    with pytest.raises(StorageError, match=r"^inner$"):
        nested()


def test_json_knows_arrays_ranges_and_paths(tmp_path):
    content = {"a": np.arange(2), "f": np.float64(0.5), "r": range(2), "p": tmp_path, "t": (1, 2)}
    found = read_json(write_json(tmp_path / "x.json", content))
    assert found == {"a": [0, 1], "f": 0.5, "r": [0, 1], "p": str(tmp_path), "t": [1, 2]}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), object()])
def test_json_refuses_what_it_has_no_word_for(tmp_path, bad):
    with pytest.raises(StorageError, match="as JSON"):
        write_json(tmp_path / "x.json", {"bad": bad})
    assert list(tmp_path.iterdir()) == []


def test_reading_json_names_what_is_wrong(tmp_path):
    with pytest.raises(StorageError, match="there is no file"):
        read_json(tmp_path / "absent.json")
    (tmp_path / "bad.json").write_text("{\n'a'")
    with pytest.raises(StorageError, match="line 2"):
        read_json(tmp_path / "bad.json")
    with pytest.raises(StorageError, match="could not read"):
        read_json(tmp_path)


def test_tensors_return_bit_for_bit_and_mapped(tmp_path, rng):
    arrays = {
        "f4": rng.normal(size=(3, 4)).astype(np.float32),
        "f8": rng.normal(size=5),
        "i8": np.arange(4),
        "b1": np.array([True, False]),
        "empty": np.zeros((0, 3), dtype=np.float32),
        "turned": rng.normal(size=(3, 4)).T,
    }
    path = write_tensors(tmp_path / "x.safetensors", arrays, metadata={"a": "b"})
    found, metadata = open_tensors(path)
    assert metadata == {"a": "b"}
    for name, array in arrays.items():
        assert np.array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert isinstance(found["f4"], np.memmap)
    verify_tensors(path)


def test_tensors_agree_with_the_library(tmp_path, rng):
    from safetensors.numpy import load_file

    arrays = {"a": rng.normal(size=(2, 2))}
    path = write_tensors(tmp_path / "x.safetensors", arrays)
    assert np.array_equal(load_file(path)["a"], open_tensors(path)[0]["a"])


def test_damage_is_found(tmp_path):
    path = write_tensors(tmp_path / "x.safetensors", {"a": np.ones(100)})
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    with pytest.raises(StorageError, match="not a whole safetensors file"):
        open_tensors(path)
    path.write_bytes(whole[:4])
    with pytest.raises(StorageError, match="not a whole safetensors file"):
        open_tensors(path)
    path.write_bytes(b"this is text, not tensors, and rather long")
    with pytest.raises(StorageError, match="not a whole safetensors file"):
        open_tensors(path)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StorageError, match="checksum"):
        verify_tensors(path)
    with pytest.raises(StorageError, match="there is no file"):
        open_tensors(tmp_path / "absent")


def test_a_tensor_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(StorageError, match="could not write"):
        write_tensors(tmp_path / "x.safetensors", {"a": np.array([object()])})


def test_checksum_is_sha256(tmp_path):
    path = write_text(tmp_path / "a", "abc")
    assert file_checksum(path).startswith("ba7816bf")
    with pytest.raises(StorageError, match="could not read"):
        file_checksum(tmp_path / "absent")


def test_json_is_readable_by_people(tmp_path):
    path = write_json(tmp_path / "a.json", {"ü": 1})
    assert "ü" in path.read_text(encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == {"ü": 1}
