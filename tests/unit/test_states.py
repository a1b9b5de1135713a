"""States come back from disk as they went, in order, and splits share no document."""

import json

import numpy as np
import pytest

from msma.errors import CorpusError, ShapeError, StorageError
from msma.locking import folder_lock
from msma.shards import Origin, read_manifest, read_notes, read_shard, write_shard
from msma.shards.files import read_columns
from msma.states import HiddenStates, StatesWriter
from msma.storage import file_checksum, write_json, write_sealed_json, write_tensors
from states_folder import ORIGIN, fill, make_attention, make_shard, read_bytes


@pytest.fixture(params=["memory", "disk"])
def states(request, tmp_path):
    writer = StatesWriter(None if request.param == "memory" else tmp_path / "s", ORIGIN)
    writer.write_shard(0, make_shard(0, 10))
    writer.write_shard(1, make_shard(10, 7))
    return writer.finish(attention=make_attention([1, 4, 12]))


def test_layers_and_columns_are_in_corpus_order(states):
    assert (states.n_layers, states.n_samples, states.d_model, len(states)) == (3, 17, 2, 17)
    assert np.array_equal(states.layer(2)[:, 0], 200 + np.arange(17))
    assert states.layers([2, 0]).shape == (2, 17, 2)
    assert states.texts == [f"text {i}" for i in range(17)]
    assert states.documents.tolist() == [
        int(d) for d in np.unique(states.document_ids, return_inverse=True)[1]
    ]
    assert states.lengths.tolist() == list(range(17))
    assert states.truncated.sum() == 6
    assert states.labels["parity"][:3] == [0, 1, 0]
    assert "17 samples" in repr(states)


def test_batches_cover_everything_once(states):
    batches = list(states.batches(4))
    assert max(batch.shape[1] for batch in batches) == 4
    assert np.array_equal(np.concatenate(batches, axis=1)[0, :, 0], np.arange(17))


def test_subsets_of_subsets_keep_order_and_attention(states):
    part = states.subset([12, 3, 16, 4, 0]).subset([0, 3, 2])
    assert part.layer(0)[:, 0].tolist() == [12, 4, 16]
    assert part.texts == ["text 12", "text 4", "text 16"]
    assert part.attention.texts.tolist() == [4, 12]
    assert part.attention.distance.tolist() == [[4.0, 12.0]]
    assert states.subset([0]).attention is None
    with pytest.raises(ShapeError, match="there are 5 samples"):
        states.subset([1, 2, 3, 4, 5]).subset([5])


def test_save_and_load_of_a_view(states, tmp_path):
    part = states.subset([16, 1, 2])
    loaded = HiddenStates.load(part.save(tmp_path / "copy"))
    assert np.array_equal(loaded.layers([0, 1, 2]), part.layers([0, 1, 2]))
    assert loaded.texts == part.texts
    assert loaded.labels == part.labels
    assert loaded.fingerprint == part.fingerprint
    assert loaded.attention.texts.tolist() == [1]


def test_splits_share_no_document_and_depend_on_the_seed(states):
    parts = states.split(seed=1)
    assert [p.part for p in parts] == ["train", "validation", "test"]
    ids = [set(p.document_ids) for p in parts]
    assert len(set.union(*ids)) == sum(map(len, ids))
    assert sum(p.n_samples for p in parts) == 17
    assert parts.test.texts == states.split(seed=1).test.texts
    assert any(parts.test.texts != states.split(seed=s).test.texts for s in range(2, 6))


def test_identical_texts_never_straddle_splits():
    texts = ["same" if i % 3 == 0 else f"text {i}" for i in range(60)]
    states = HiddenStates.from_arrays(np.zeros((3, 60, 2)), texts=texts)
    assert sum("same" in part.texts for part in states.split()) == 1


def test_too_few_documents():
    with pytest.raises(CorpusError, match="2"):
        HiddenStates.from_arrays(np.zeros((3, 4, 2)), documents=["a", "a", "b", "b"]).split()


def test_an_interrupted_extraction_is_not_taken_for_whole(tmp_path):
    StatesWriter(tmp_path / "s", ORIGIN).write_shard(0, make_shard(0, 4))
    with pytest.raises(StorageError, match="an interrupted extraction"):
        HiddenStates.load(tmp_path / "s")
    with pytest.raises(StorageError, match="no states"):
        HiddenStates.load(tmp_path)


def test_a_run_continues_and_other_settings_are_refused(tmp_path):
    StatesWriter(tmp_path / "s", ORIGIN, settings={"window": 4}).write_shard(0, make_shard(0, 4))
    again = StatesWriter(tmp_path / "s", ORIGIN, settings={"window": 4})
    assert again.has_shard(0)
    assert not again.has_shard(1)
    with pytest.raises(StorageError, match="window = 4; this run has window = 8"):
        StatesWriter(tmp_path / "s", ORIGIN, settings={"window": 8})
    with pytest.raises(StorageError, match="model = 'm'"):
        StatesWriter(tmp_path / "s", Origin(model="other", n_layers=3, d_model=2), settings={"window": 4})


def test_a_damaged_shard_is_named(tmp_path):
    writer = StatesWriter(tmp_path / "s", ORIGIN)
    writer.write_shard(0, make_shard(0, 4))
    writer.finish()
    columns = tmp_path / "s" / "shard-00000.json"
    columns.write_text("{}")
    with pytest.raises(StorageError, match=r"shard-00000\.json' holds 2 bytes where"):
        HiddenStates.load(tmp_path / "s")


def test_arrays_are_checked(rng):
    with pytest.raises(ShapeError, match="stack states as layers"):
        HiddenStates.from_arrays(np.zeros((3, 4)))
    broken = np.zeros((3, 4, 2))
    broken[1, 2, 0] = np.nan
    with pytest.raises(ShapeError, match="sample 2 at layer 1 is not finite"):
        HiddenStates.from_arrays(broken)
    with pytest.raises(ShapeError, match="3 texts came for 4 samples"):
        HiddenStates.from_arrays(np.zeros((3, 4, 2)), texts=["a", "b", "c"])
    with pytest.raises(ShapeError, match="expected \\(3 layers, samples, 2\\)"):
        HiddenStates([make_shard(0, 4, d_model=5)], ORIGIN)
    with pytest.raises(ShapeError, match="0 samples came"):
        HiddenStates([], ORIGIN)
    states = HiddenStates.from_arrays(np.zeros((3, 4, 2)))
    with pytest.raises(ShapeError, match="layers 0 to 2"):
        states.layer(3)


def test_states_are_mapped_not_read(tmp_path):
    writer = StatesWriter(tmp_path / "s", ORIGIN)
    writer.write_shard(0, make_shard(0, 4))
    states = writer.finish()
    assert isinstance(states._shards[0].states, np.memmap)
    assert np.shares_memory(states.layer(1), states._shards[0].states)


# Writing


def test_an_empty_shard_is_written_read_and_skipped(tmp_path):
    writer = StatesWriter(tmp_path / "s", ORIGIN)
    for number, (start, n) in enumerate([(0, 0), (0, 3), (3, 0), (3, 2), (5, 0)]):
        writer.write_shard(number, make_shard(start, n))
        assert writer.is_whole(number)
    states = writer.finish(n_shards=5)
    assert read_shard(tmp_path / "s", 2).states.shape == (3, 0, 2)
    assert read_manifest(tmp_path / "s").n_samples == len(states) == 5
    assert states.layer(0)[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert [batch.shape[1] for batch in states.batches(2)] == [2, 1, 2]
    assert states.subset([4, 0]).texts == ["text 4", "text 0"]
    assert HiddenStates.load(states.save(tmp_path / "copy")).texts == states.texts


def test_states_without_a_sample_are_refused(tmp_path):
    writer = StatesWriter(tmp_path / "s", ORIGIN)
    writer.write_shard(0, make_shard(0, 0))
    with pytest.raises(ShapeError, match="0 samples came"):
        writer.finish()


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_notes_come_back(place, tmp_path):
    writer = StatesWriter(None if place == "memory" else tmp_path / "s", ORIGIN)
    notes = {"n_cut": 2, "readable": [1, 3], "records": "ab", "\u00fc": None}
    writer.write_shard(0, make_shard(0, 2), notes)
    writer.write_shard(1, make_shard(2, 2))
    assert writer.read_notes(0) == notes
    assert writer.read_notes(1) == {}
    assert writer.is_whole(0)
    writer.discard_shard(0)
    assert not writer.has_shard(0)
    assert not writer.is_whole(0)
    assert writer.shard_bytes(0) == 0


def test_a_worker_writes_the_same_bytes(tmp_path):
    fill(tmp_path / "a")
    writer = StatesWriter(tmp_path / "b", ORIGIN, settings={"window": 4})
    write_shard(tmp_path / "b", 0, make_shard(0, 6), notes={"n_cut": 0, "records": "hash 0"})
    assert writer.is_whole(0)
    names = ("shard-00000.json", "shard-00000.safetensors")
    assert all(read_bytes(tmp_path / "a")[name] == read_bytes(tmp_path / "b")[name] for name in names)
    assert writer.shard_bytes(0) == sum((tmp_path / "b" / name).stat().st_size for name in names)


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_no_shard_may_be_missing_or_too_many(place, tmp_path):
    writer = StatesWriter(None if place == "memory" else tmp_path / "s", ORIGIN)
    writer.write_shard(0, make_shard(0, 2))
    writer.write_shard(2, make_shard(4, 2))
    for n_shards in (None, 3, 2):
        message = "there is no file .*shard-00001" if place == "disk" else r"shards \[0, 2\] came where 0 to "
        with pytest.raises(StorageError, match=message):
            writer.finish(n_shards=n_shards)
    writer.write_shard(1, make_shard(2, 2))
    for n_shards, on_disk in (
        (2, "shard-00002.json' does not belong"),
        (4, "there is no file .*shard-00003"),
    ):
        with pytest.raises(StorageError, match=on_disk if place == "disk" else r"shards \[0, 1, 2\] came"):
            writer.finish(n_shards=n_shards)
    assert writer.finish(n_shards=3).texts == [f"text {i}" for i in range(6)]


def test_the_manifest_names_every_file_with_its_checksum(tmp_path):
    fill(tmp_path)
    manifest = read_manifest(tmp_path)
    assert (manifest.n_shards, manifest.n_samples, manifest.has_attention) == (3, 11, True)
    assert set(manifest.files) == set(read_bytes(tmp_path)) - {"states.json"}
    for name, mark in manifest.files.items():
        assert mark == ((tmp_path / name).stat().st_size, file_checksum(tmp_path / name))
    assert json.loads((tmp_path / "states.json").read_text())["files"]["origin.json"]["size"] > 0


def test_while_anything_is_written_there_is_no_manifest(tmp_path):
    fill(tmp_path)
    writer = StatesWriter(tmp_path, ORIGIN, settings={"window": 4})
    assert (tmp_path / "states.json").exists()
    writer.write_shard(0, make_shard(0, 6))
    assert not (tmp_path / "states.json").exists()
    fill(tmp_path)
    writer.discard_shard(1)
    assert not (tmp_path / "states.json").exists()
    fill(tmp_path)
    writer.close(n_shards=3)
    assert not (tmp_path / "attention.safetensors").exists()
    assert HiddenStates.load(tmp_path).attention is None


def test_smaller_states_saved_over_larger_ones_leave_nothing_of_them(tmp_path):
    states = HiddenStates([make_shard(0, 4), make_shard(4, 4), make_shard(8, 4)], ORIGIN)
    states.save(tmp_path)
    states.subset([9, 10]).save(tmp_path)
    assert HiddenStates.load(tmp_path).texts == ["text 9", "text 10"]
    assert not (tmp_path / "shard-00001.json").exists()


def test_leftovers_of_killed_runs_are_removed_under_the_lock_only(tmp_path):
    fill(tmp_path)
    files = read_bytes(tmp_path)
    leftover = tmp_path / ".shard-00001.json.0123456789abcdef.tmp"
    leftover.write_text("half")
    fill(tmp_path)
    assert leftover.exists()
    with folder_lock(tmp_path, what="a test"):
        fill(tmp_path)
    assert not leftover.exists()
    assert {name: content for name, content in read_bytes(tmp_path).items() if name != ".lock"} == files


# Folders of older versions


@pytest.fixture
def old_folder(tmp_path):
    """Shards and manifest as they were written before there were checksums."""
    folder, shard = tmp_path / "old", make_shard(0, 4)
    fill(tmp_path / "new")
    origin = json.loads((tmp_path / "new" / "origin.json").read_text())
    write_json(folder / "origin.json", {name: origin[name] for name in ("origin", "settings")})
    columns = {"texts": shard.texts, "documents": shard.documents, "labels": shard.labels}
    write_json(folder / "shard-00000.json", columns)
    names = ("states", "lengths", "truncated", "positions")
    write_tensors(folder / "shard-00000.safetensors", {name: getattr(shard, name) for name in names})
    write_json(folder / "states.json", {"n_shards": 1, "has_attention": False})
    return folder


def test_an_older_folder_still_loads(old_folder):
    before = read_bytes(old_folder)
    states = HiddenStates.load(old_folder)
    assert states.texts == make_shard(0, 4).texts
    assert np.array_equal(states.layer(1), make_shard(0, 4).states[1])
    assert read_notes(old_folder, 0) == {}
    assert read_bytes(old_folder) == before
    (old_folder / "shard-00000.json").unlink()
    with pytest.raises(StorageError, match=r"there is no file .*shard-00000.json"):
        HiddenStates.load(old_folder)


def test_an_older_folder_is_gone_on_with(old_folder):
    writer = StatesWriter(old_folder, ORIGIN, settings={"window": 4})
    assert writer.is_whole(0)
    writer.write_shard(1, make_shard(4, 2))
    writer.close(n_shards=2)
    assert len(HiddenStates.load(old_folder)) == 6
    path = old_folder / "shard-00000.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-60] + bytes([whole[-60] ^ 1]) + whole[-59:])
    assert not writer.is_whole(0)
    with pytest.raises(StorageError, match=r"shard-00000\.safetensors' does not match"):
        HiddenStates.load(old_folder)


def test_a_manifest_of_another_version_is_refused(tmp_path):
    fill(tmp_path)
    write_json(tmp_path / "states.json", {"n_shards": "many", "has_attention": False})
    with pytest.raises(StorageError, match="another version of this package"):
        HiddenStates.load(tmp_path)


def test_a_columns_file_without_its_columns_is_named(old_folder):
    write_tensors(old_folder / "shard-00000.safetensors", {"states": np.zeros((3, 1, 2), np.float32)})
    for read in (HiddenStates.load, lambda folder: read_shard(folder, 0)):
        with pytest.raises(StorageError, match="lacks 'lengths'"):
            read(old_folder)


def test_texts_are_read_when_they_are_asked_for(tmp_path, monkeypatch):
    fill(tmp_path)
    read = []
    monkeypatch.setattr(
        "msma.shards.opening.read_columns",
        lambda folder, number: read.append(number) or read_columns(folder, number),
    )
    states = HiddenStates.load(tmp_path)
    assert states.layer(0).shape == (11, 2)
    assert read == []
    order = [10, 0, 9, 1, 8, 2]
    mixed = states.subset(order)
    assert mixed.texts == [f"text {i}" for i in order]
    assert mixed.labels == {"parity": [i % 2 for i in order]}
    assert sorted(set(read)) == [0, 2]
    assert len(read) <= 4
    assert states.subset([0]).labels["parity"] == [0]


def test_columns_that_were_changed_since_are_refused(tmp_path):
    fill(tmp_path)
    states = HiddenStates.load(tmp_path)
    StatesWriter(tmp_path, ORIGIN, settings={"window": 4}).write_shard(2, make_shard(6, 5))
    with pytest.raises(
        StorageError, match=r"shard-00002\.safetensors' was changed or removed after it was opened"
    ):
        _ = states.texts
    (tmp_path / "shard-00000.json").unlink()
    with pytest.raises(StorageError, match=r"shard-00000\.json' was changed or removed"):
        _ = states.labels


def test_states_saved_over_themselves(tmp_path):
    states = HiddenStates([make_shard(0, 4), make_shard(4, 4), make_shard(8, 4)], ORIGIN)
    states.save(tmp_path)
    order = [11, 0, 5, 4, 8]
    HiddenStates.load(tmp_path).subset(order).save(tmp_path)
    again = HiddenStates.load(tmp_path)
    assert again.texts == [f"text {i}" for i in order]
    assert again.layer(2)[:, 0].tolist() == [200 + i for i in order]
    assert again.labels["parity"] == [i % 2 for i in order]


def test_a_column_that_is_not_there_is_named(old_folder):
    columns = old_folder / "shard-00000.json"
    write_sealed_json(columns, {"texts": ["a"] * 4})
    with pytest.raises(StorageError, match=r"shard 0 of .* lacks 'documents'"):
        _ = HiddenStates.load(old_folder).document_ids
