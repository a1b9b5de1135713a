"""States come back from disk as they went, in order, and splits share no document."""

import numpy as np
import pytest

from msma.errors import CorpusError, ShapeError, StorageError
from msma.shards import AttentionSummary, Origin, Shard
from msma.states import HiddenStates, StatesWriter

ORIGIN = Origin(model="m", n_layers=3, d_model=2)


def make_shard(start, n, *, n_layers=3, d_model=2):
    values = np.arange(start, start + n, dtype=np.float32)
    states = (
        np.broadcast_to(values[None, :, None], (n_layers, n, d_model))
        + np.arange(n_layers)[:, None, None] * 100
    )
    return Shard(
        states=states.astype(np.float32),
        texts=[f"text {i}" for i in range(start, start + n)],
        documents=[str(i // 2) for i in range(start, start + n)],
        lengths=np.arange(start, start + n),
        truncated=np.arange(start, start + n) % 3 == 0,
        labels={"parity": [i % 2 for i in range(start, start + n)]},
        positions=np.arange(start, start + n),
    )


def make_attention(texts):
    row = np.asarray(texts, dtype=np.float32)[None]
    names = ("distance", "distance_raw", "distance_uniform", "entropy", "entropy_uniform", "sink_share")
    return AttentionSummary(**dict.fromkeys(names, row), texts=np.asarray(texts))


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
    with pytest.raises(StorageError, match=r"shard 0 .* lacks 'texts'"):
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
