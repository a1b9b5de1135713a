"""Files are whole or not there, and damage is named."""

import errno
import json

import numpy as np
import pytest

from msma.errors import StorageError
from msma.storage import (
    atomic_path,
    file_checksum,
    mark_file,
    open_tensors,
    read_json,
    read_sealed_json,
    remove_file,
    remove_leftovers,
    verify_tensors,
    write_json,
    write_marked_tensors,
    write_sealed_json,
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


# Sealed JSON


@pytest.mark.parametrize("ending", ["", "x", "\n", ' "'])
def test_sealed_json_comes_back_and_is_byte_for_byte_what_it_was(tmp_path, ending):
    content = {"a": [1, 2.5, None, True], "ü": {"b": "\u2028\x00\x7f" + ending}, "f": np.float32(0.1)}
    path = tmp_path / "a.json"
    mark = write_sealed_json(path, content)
    assert mark == mark_file(path)
    found = read_sealed_json(path)
    assert found == {**content, "f": float(np.float32(0.1))}
    assert write_sealed_json(tmp_path / "b.json", found) == mark
    assert json.loads(path.read_bytes())["ü"] == content["ü"]


def test_sealed_json_accepts_no_other_writing_of_the_same_content(tmp_path):
    path = tmp_path / "a.json"
    write_sealed_json(path, {"a": 1, "b": 2})
    whole = path.read_bytes()
    for changed in (whole[:-1], whole + b" ", whole.replace(b": 1", b":  1"), b" " + whole, b"", b"[]"):
        path.write_bytes(changed)
        with pytest.raises(StorageError, match=r"a.json' is damaged: .* make it again"):
            read_sealed_json(path, unsealed=["a", "b"])
    write_json(path, {"b": 2, "a": 1})
    assert read_sealed_json(path, unsealed=["a", "b"]) == {"a": 1, "b": 2}
    with pytest.raises(StorageError, match=r"is damaged: .* call us"):
        read_sealed_json(path, remedy="call us")
    with pytest.raises(StorageError, match="there is no file"):
        read_sealed_json(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a\udc80b", "a\udc80b"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ud83d \ude00", "\ud83d \ude00"),
        ("\\ud83d\ud83d\\ude00", "\\ud83d\ud83d\\ude00"),
    ],
)
def test_text_that_was_not_valid_utf8_survives(tmp_path, text, found):
    assert read_json(write_json(tmp_path / "a.json", [text])) == [found]
    write_sealed_json(tmp_path / "b.json", {"t": [text]})
    assert read_sealed_json(tmp_path / "b.json") == {"t": [found]}
    assert write_text(tmp_path / "c.txt", text).read_text(encoding="utf-8").isprintable()


# Tensors


def test_the_same_arrays_make_the_same_bytes_whatever_their_order(tmp_path):
    arrays = {"a": np.arange(3), "b": np.ones((2, 2), np.float32), "c": np.array([True])}
    metadata = {str(n): "x" for n in range(20)}
    first = write_marked_tensors(tmp_path / "a", arrays, metadata=metadata)
    second = write_marked_tensors(tmp_path / "b", dict(reversed(arrays.items())), metadata=metadata)
    assert first == second == mark_file(tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    begin = 8 + int.from_bytes(whole[:8], "little")
    assert begin % 8 == 0
    assert whole[begin:] == np.arange(3).tobytes() + np.ones((2, 2), np.float32).tobytes() + b"\x01"


def test_foreign_byte_order_is_turned(tmp_path):
    path = write_tensors(tmp_path / "a", {"a": np.arange(3, dtype=">i8")})
    assert open_tensors(path)[0]["a"].tolist() == [0, 1, 2]
    verify_tensors(path)


def test_files_of_the_library_are_read(tmp_path, rng):
    from safetensors.numpy import save_file

    arrays = {"a": rng.normal(size=(2, 3)).astype(np.float32), "b": np.array([False, True, True])}
    save_file(arrays, tmp_path / "a", metadata={"x": "y"})
    found, metadata = open_tensors(tmp_path / "a")
    assert metadata == {"x": "y"}
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    verify_tensors(tmp_path / "a")


@pytest.mark.parametrize("header", [b"{}]", b"[]", b'{"a": 1}', b'{"a": {"dtype": "F32"}}'])
def test_a_damaged_header_is_found(tmp_path, header):
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + b"0" * 8)
    with pytest.raises(StorageError, match="not a whole safetensors file"):
        open_tensors(tmp_path / "a")


def test_a_header_whose_sizes_disagree_is_found(tmp_path):
    path = write_tensors(tmp_path / "a", {"a": np.arange(3)})
    whole = path.read_bytes()
    for before, after in ((b"[3]", b"[2]"), (b"[0,24]", b"[8,24]"), (b"I64", b"F16")):
        path.write_bytes(whole.replace(before, after))
        with pytest.raises(StorageError, match="header gives"):
            open_tensors(path)


# Leftovers


def test_only_our_own_leftovers_are_removed(tmp_path):
    ours = [".a.json.0123456789abcdef.tmp", ".b.4711.tmp"]
    others = [
        "a.json",
        ".a.tmp",
        "a.0123456789abcdef.tmp",
        ".a.0123456789ABCDEF.tmp",
        ".a.json.0123456789abcdef",
    ]
    for name in ours + others:
        (tmp_path / name).write_text("")
    (tmp_path / ".c.json.0123456789abcdef.tmp").mkdir()
    assert [path.name for path in remove_leftovers(tmp_path)] == ours
    assert {path.name for path in tmp_path.iterdir()} == {*others, ".c.json.0123456789abcdef.tmp"}
    assert remove_leftovers(tmp_path / "absent") == []


def test_each_writing_has_a_name_of_its_own_that_counts_as_leftover(tmp_path):
    with atomic_path(tmp_path / "a") as first, atomic_path(tmp_path / "a") as second:
        assert first != second
        for path in (first, second):
            path.write_text("x")
        assert remove_leftovers(tmp_path) == sorted([first, second])
        for path in (first, second):
            path.write_text("x")


def test_removing_says_what_is_in_the_way(tmp_path):
    remove_file(tmp_path / "absent")
    remove_file(tmp_path / "absent" / "a")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=r"could not remove .*folder'"):
        remove_file(tmp_path / "folder")
