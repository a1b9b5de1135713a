"""Moments of scales: the numbers of whole states, whichever way texts come, and an honest held-out sample."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msma._types import PAIRS, SCALES
from msma.errors import ConfigError, CorpusError, OriginError, ScaleError, ShapeError, StorageError
from msma.moments import CrossMoments, Moments
from msma.scale_moments import (
    DocumentCount,
    HeldoutSample,
    MomentsBuilder,
    MomentSettings,
    ScaleMoments,
    SeenTexts,
    assign_split,
    mark_texts,
)
from msma.scales import ScalePartition
from msma.shards import Origin, Shard
from msma.sketches import LayerSketch, projections

PARTITION = ScalePartition.parse("0-1|2-3|4", n_layers=5)
ORIGIN = Origin(model="m", n_layers=3, d_model=4, scales="0-1|2-3|4", reduction="mean", fingerprint="f")
WORDS = "the river rose in spring and every boat was under the bridge"


class Texts:
    """Samples of layered states with everything that goes with them, three samples a document."""

    def __init__(self, n=240, *, seed=0, far=0.0, per_document=3):
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(n, 4))
        layers = np.stack([z + 0.3 * i * rng.normal(size=(n, 4)) for i in range(5)]) + far
        self.scales = np.stack([layers[:2].mean(0), layers[2:4].mean(0), layers[4]]).astype(np.float32)
        self.projected = tuple(layers @ half for half in projections(4, width=6))
        self.columns = {
            "texts": [f"text {i} of {seed}: {WORDS}" for i in range(n)],
            "documents": [f"document {seed}-{i // per_document}" for i in range(n)],
            "lengths": np.arange(n) + 1,
            "truncated": np.arange(n) % 7 == 0,
            "positions": np.arange(n),
        }
        self.labels = {
            "kind": [i % 5 for i in range(n)],
            "tone": [None if i % 2 else "kind" for i in range(n)],
        }

    def batch(self, rows):
        columns = {
            k: v[rows] if isinstance(v, np.ndarray) else [v[i] for i in rows] for k, v in self.columns.items()
        }
        return {
            "scales": self.scales[:, rows],
            "labels": {name: [column[i] for i in rows] for name, column in self.labels.items()},
            "projected": tuple(half[:, rows] for half in self.projected),
            **columns,
        }

    def batches(self, size=40):
        return [
            self.batch(rows)
            for rows in np.array_split(np.arange(self.scales.shape[1]), -(-self.scales.shape[1] // size))
        ]

    def train(self):
        return np.array(
            [i for i, name in enumerate(self.columns["documents"]) if assign_split(name) == "train"]
        )


def make_builder(**options):
    return MomentsBuilder(ORIGIN, PARTITION, **{"sketch_width": 6, "filter_bits": 2**16, **options})


def gather(batches, **options):
    builder = make_builder(**options)
    for batch in batches:
        builder.add(**batch)
    return builder.build()


def assert_same(first, second, *, tolerance=1e-9):
    """Numbers within the tolerance, the held-out sample exactly."""
    for name, array in first.sums.to_arrays().items():
        np.testing.assert_allclose(
            second.sums.to_arrays()[name], array, rtol=tolerance, atol=tolerance, err_msg=name
        )
    assert (first.n, first.n_shuffled, first.n_documents) == (second.n, second.n_shuffled, second.n_documents)
    assert first.fingerprint == second.fingerprint
    assert np.array_equal(first.seen.bits, second.seen.bits)
    if first.sketch is not None:
        np.testing.assert_allclose(second.layer_similarity(), first.layer_similarity(), atol=tolerance)
    assert np.array_equal(first.sample.states, second.sample.states)
    assert np.array_equal(first.sample.keys, second.sample.keys)
    for name in ("texts", "documents", "labels"):
        assert getattr(first.sample, name) == getattr(second.sample, name)
    assert np.array_equal(first.is_dropped, second.is_dropped)
    if first.heldout is not None:
        assert first.heldout.texts == second.heldout.texts
        assert np.array_equal(first.heldout.layer(2), second.heldout.layer(2))
        for name in ("lengths", "truncated", "positions"):
            assert np.array_equal(getattr(first.heldout, name), getattr(second.heldout, name))


@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_moments_are_those_of_the_training_rows(far):
    corpus = Texts(far=far)
    moments = gather(corpus.batches())
    rows = corpus.scales[:, corpus.train()]
    assert moments.n == rows.shape[1]
    assert moments.n_documents == moments.n / 3
    for place, scale in enumerate(SCALES):
        whole = Moments.from_batch(rows[place])
        np.testing.assert_allclose(moments.scale(scale).mean, whole.mean, rtol=1e-12)
        np.testing.assert_allclose(moments.scale(scale).scatter, whole.scatter, rtol=1e-9, atol=1e-9)
    for source, target in PAIRS:
        whole = CrossMoments.from_batch(rows[SCALES.index(source)], rows[SCALES.index(target)])
        kept, back = moments.pair(source, target), moments.pair(target, source)
        np.testing.assert_allclose(kept.scatter_cross, whole.scatter_cross, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(back.scatter_cross, whole.scatter_cross.T, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(back.mean_source, whole.mean_target, rtol=1e-12)
    sketch = LayerSketch.from_projected(*(half[:, corpus.train()] for half in corpus.projected))
    np.testing.assert_allclose(moments.layer_similarity(), sketch.cka(), atol=1e-8)


def test_shuffled_pairs_know_nothing_of_each_other():
    corpus = Texts(6000)
    moments = gather(corpus.batches(200))
    assert moments.n_shuffled == moments.n
    for pair in PAIRS:
        true, null = moments.pair(*pair), moments.pair(*pair, is_shuffled=True)
        assert np.array_equal(true.scatter_source, null.scatter_source)
        assert np.linalg.norm(null.scatter_cross) < 0.1 * np.linalg.norm(true.scatter_cross)
        back = moments.pair(pair[1], pair[0], is_shuffled=True)
        assert np.array_equal(back.scatter_cross, null.scatter_cross.T)


def test_shuffled_pairs_of_one_batch_are_those_of_a_permutation():
    corpus = Texts(60)
    train = corpus.batch(corpus.train())
    sums, counts = shuffled_counts(train["documents"], train["texts"])
    assert sums.n_shuffled == sums.n == len(corpus.train())
    np.testing.assert_allclose(np.diag(counts), 0, atol=1e-9)  # no sample with its own document
    np.testing.assert_allclose(counts.sum(axis=0), 3, atol=1e-9)  # each row once on either side
    np.testing.assert_allclose(counts.sum(axis=1), 3, atol=1e-9)


def shuffled_counts(documents, texts):
    """How often a sample of each document was paired with one of each other."""
    names = np.unique(documents, return_inverse=True)[1]
    eye = np.eye(names.max() + 1, dtype=np.float32)
    origin = replace(ORIGIN, d_model=len(eye))
    builder = MomentsBuilder(origin, PARTITION, sketch_width=0, filter_bits=2**16)
    builder.add(np.stack([eye[names]] * 3), texts=texts, documents=documents)
    sums = builder.build().sums
    return sums, sums.shuffled_crosses[0] + sums.n_shuffled * np.outer(*sums.shuffled_means[0])


def test_a_document_of_most_samples_is_not_paired_with_itself():
    names = [name for name in map(str, range(20)) if assign_split(name) == "train"][:3]
    documents = [names[0]] * 10 + [names[1]] * 2 + [names[2]]
    sums, counts = shuffled_counts(documents, [f"text {i}" for i in range(13)])
    assert (sums.n, sums.n_shuffled) == (13, 6)  # three of the ten have a partner on either side
    np.testing.assert_allclose(np.diag(counts), 0, atol=1e-9)


def test_documents_that_repeat_each_other_are_not_paired():
    names = sorted(name for name in map(str, range(40)) if assign_split(name) == "train")[:8]
    texts = [f"{WORDS} {max(i, 3)}" for i in range(8)]  # the first four share one text
    sums, counts = shuffled_counts(names, texts)
    assert sums.n_shuffled == 8
    np.testing.assert_allclose(counts[:4, :4], 0, atol=1e-9)


def test_batches_of_one_document_add_nothing_to_the_null():
    corpus = Texts(240)
    by_document = corpus.batches(3)
    assert len({batch["documents"][0] for batch in by_document}) == len(by_document) == 80
    moments = gather(by_document)
    assert moments.n > 0
    assert moments.n_shuffled == 0
    with pytest.raises(CorpusError, match="0 shuffled pairs"):
        moments.pair("global", "intermediate", is_shuffled=True)
    mixed = gather([*by_document, *Texts(1800, seed=1).batches()])
    null = mixed.pair("global", "intermediate", is_shuffled=True)
    assert mixed.n_shuffled < mixed.n == null.n
    scaled = mixed.sums.shuffled_crosses[0] * mixed.n / mixed.n_shuffled
    np.testing.assert_allclose(null.scatter_cross, scaled)
    assert np.linalg.norm(null.scatter_cross) < 0.2 * np.linalg.norm(
        mixed.pair("global", "intermediate").scatter_cross
    )


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 6))
def test_neither_order_nor_division_counts(order, cut):
    batches = Texts(240, far=10.0).batches()
    whole = gather(batches, n_heldout=20)
    shuffled = [batches[i] for i in order]
    assert_same(whole, gather(shuffled, n_heldout=20))
    first, second = gather(shuffled[:cut], n_heldout=20), gather(shuffled[cut:], n_heldout=20)
    assert_same(whole, first + second)
    builder = make_builder(n_heldout=20)
    for batch in shuffled[:cut]:
        builder.add(**batch)
    builder.merge(second)
    assert_same(whole, builder.build())


def test_building_goes_on_after_a_build():
    batches = Texts(240).batches()
    builder = make_builder()
    builder.add(**batches[0])
    early = builder.build()
    before = early.sums.copy(), early.seen.bits.copy(), early.layer_similarity()
    for batch in batches[1:]:
        builder.add(**batch)
    assert_same(gather(batches), builder.build())
    assert_same(gather(batches[:1]), early)
    assert np.array_equal(early.sums.scatters, before[0].scatters)
    assert np.array_equal(early.seen.bits, before[1])
    builder.merge(gather(Texts(60, seed=3).batches()))
    assert np.array_equal(early.sums.scatters, before[0].scatters)


def test_the_heldout_sample_holds_whole_samples():
    corpus = Texts(300)
    moments = gather(corpus.batches())
    held = moments.heldout
    assert held.origin.scales == ORIGIN.scales
    names = corpus.columns["documents"]
    assert held.positions.tolist() == [i for i, name in enumerate(names) if assign_split(name) != "train"]
    assert np.array_equal(held.layers(range(3)), corpus.scales[:, held.positions])
    assert held.texts == [corpus.columns["texts"][i] for i in held.positions]
    assert held.lengths.tolist() == (held.positions + 1).tolist()
    assert held.labels["kind"] == [i % 5 for i in held.positions]
    parts = {"validation": moments.validation, "test": moments.test}
    assert sum(len(part) for part in parts.values()) == len(held)
    for name, part in parts.items():
        assert part.part == name
        assert {assign_split(document) for document in part.document_ids} == {name}


def test_the_sample_is_drawn_evenly():
    """Of 40 documents of 2 samples 10 samples are drawn; over many seeds each document is there as often."""
    n_documents, n_draws, hits = 40, 600, np.zeros(40)
    names = [str(i // 2) for i in range(2 * n_documents)]
    shard = Shard(
        states=np.zeros((3, 80, 1), dtype=np.float32),
        texts=[str(i) for i in range(80)],
        documents=names,
        lengths=np.ones(80, dtype=int),
        truncated=np.zeros(80, dtype=bool),
        positions=np.arange(80),
    )
    for seed in range(n_draws):
        sample = HeldoutSample.of(shard, size=10, seed=seed)
        assert len(sample) == 10
        drawn = [int(name) for name in sample.documents]
        assert len(set(drawn)) == 5
        hits[sorted(set(drawn))] += 1
    expected = n_draws * 5 / n_documents
    chi2 = ((hits - expected) ** 2 / (expected * (1 - 5 / n_documents))).sum()
    assert chi2 < 39 + 4 * np.sqrt(2 * 39)


def test_the_sample_stays_within_its_size():
    moments = gather(Texts(900).batches(), n_heldout=17)
    assert len(moments.sample) == 17
    counts = [moments.sample.documents.count(name) for name in dict.fromkeys(moments.sample.documents)]
    assert sorted(counts) == [2, 3, 3, 3, 3, 3]  # all but the last document are whole
    assert len(gather(Texts(60).batches(), n_heldout=0).sample) == 0


@pytest.mark.parametrize("size", range(11, 17))
def test_a_document_that_comes_in_pieces_is_sampled_as_one(rng, size):
    corpus = Texts(300)
    whole = gather(corpus.batches(), n_heldout=size)
    pieces = gather([corpus.batch(np.array([row])) for row in rng.permutation(300)], n_heldout=size)
    assert np.array_equal(whole.sample.keys, pieces.sample.keys)
    assert whole.sample.texts == pieces.sample.texts
    # a sample that is full has room for more of its last document, and for none behind
    last = whole.sample.documents[int(whole.sample.keys[:, 0].argmax())]
    behind = sorted({*corpus.columns["documents"]} - {*whole.sample.documents})
    held = [name for name in behind if assign_split(name) != "train"]
    assert whole.sample.has_room([last, *held], seed=0).tolist() == [True] + [False] * len(held)


def test_texts_that_were_trained_on_are_dropped():
    corpus = Texts(300)
    train, held = corpus.train(), [i for i in range(300) if i not in set(corpus.train())]
    texts = corpus.columns["texts"]
    texts[held[0]] = texts[train[5]].upper()  # a copy under another document's name
    moments = gather(corpus.batches())
    assert moments.n_dropped == 1
    assert len(moments.heldout) == len(held) - 1
    assert held[0] not in moments.heldout.positions
    # the same where the copies come in different parts, the held-out one first
    batches = corpus.batches()
    parts = [gather([batch]) for batch in reversed(batches)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert_same(moments, total)


def test_texts_of_validation_and_test_are_dropped_from_test():
    corpus = Texts(300)
    parts = [assign_split(name) for name in corpus.columns["documents"]]
    test, validation = parts.index("test"), parts.index("validation")
    corpus.columns["texts"][test] = corpus.columns["texts"][validation]
    moments = gather(corpus.batches())
    assert test not in moments.test.positions
    assert validation in moments.validation.positions
    assert moments.n_dropped == 1


def test_sentences_are_known_by_the_whole_they_are_part_of():
    """Short sentences recur honestly; whole texts and long sentences do not."""
    names = [f"d{i}" for i in range(60)]
    train = next(name for name in names if assign_split(name) == "train")
    first, second, third = [name for name in names if assign_split(name) == "test"][:3]
    long = "a sentence that goes on for more than eight words in all"
    rows = [(train, "Yes.", "Yes. " + long), (train, long, "Yes. " + long), (first, "Yes.", "Yes. And more.")]
    rows += [(second, "Yes.", "yes. " + long), (third, long, long + " and more")]
    builder = MomentsBuilder(replace(ORIGIN, unit="sentence"), PARTITION, sketch_width=0, filter_bits=2**16)
    documents, texts, records = zip(*rows, strict=True)
    builder.add(np.zeros((3, 5, 4), dtype=np.float32), texts=texts, documents=documents, record_texts=records)
    moments = builder.build()
    assert moments.heldout.document_ids == [first]
    assert moments.n_dropped == 2


def test_splits_need_no_list_of_documents():
    names = [f"document {i}" for i in range(20_000)]
    parts = [assign_split(name, seed=3, fractions=(0.5, 0.3, 0.2)) for name in names]
    for part, share in zip(("train", "validation", "test"), (0.5, 0.3, 0.2), strict=True):
        assert abs(parts.count(part) / len(names) - share) < 4 * np.sqrt(share * (1 - share) / len(names))
    assert parts != [assign_split(name, seed=4, fractions=(0.5, 0.3, 0.2)) for name in names]
    assert assign_split("\udc80") in ("train", "validation", "test")  # half a surrogate pair
    with pytest.raises(ConfigError, match="expected three positive shares"):
        assign_split("a", fractions=(0.5, 0.5, 0.5))


def test_a_filter_forgets_nothing_and_errs_as_it_says():
    seen = SeenTexts(n_bits=2**14)
    seen.add(mark_texts(f"text {i}" for i in range(2000)))
    assert seen.contains(mark_texts(f"text {i}" for i in range(2000))).all()
    wrong = seen.contains(mark_texts(f"other {i}" for i in range(50_000))).mean()
    assert 0.01 < seen.error_rate < 0.2
    assert abs(wrong - seen.error_rate) < 5 * np.sqrt(seen.error_rate / 50_000)
    assert SeenTexts(n_bits=8).error_rate == 0.0
    half, other = SeenTexts(n_bits=2**14), SeenTexts(n_bits=2**14)
    half.add(mark_texts(f"text {i}" for i in range(1000)))
    other.add(mark_texts(f"text {i}" for i in range(1000, 2000)))
    half.absorb(other)
    assert np.array_equal(half.bits, seen.bits)
    for filled in (seen, SeenTexts(n_bits=2**20)):  # one written whole, one by its few places
        filled.add(mark_texts(["one more"]))
        again = SeenTexts.from_arrays(filled.to_arrays())
        assert (again.n_bits, np.array_equal(again.bits, filled.bits)) == (filled.n_bits, True)
    with pytest.raises(ConfigError, match="use one size"):
        half.absorb(SeenTexts(n_bits=8))
    with pytest.raises(ConfigError, match="multiple of 8"):
        SeenTexts(n_bits=12)
    with pytest.raises(ConfigError, match="give 2"):
        SeenTexts(n_bits=16, bits=np.zeros(3, dtype=np.uint8))


def test_documents_are_counted_within_a_few_percent():
    names = [f"document {i}" for i in range(30_000)]
    parts = [DocumentCount.of(names[start : start + 10_000]) for start in (0, 5_000, 20_000)]
    total = parts[0] + parts[1] + parts[2]
    assert abs(total.value / 25_000 - 1) < 0.1  # the first two parts overlap
    assert np.array_equal(total.hashes, (parts[2] + parts[0] + parts[1]).hashes)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_batches():
    columns = Texts(100, per_document=1).batches(100)[0]

    def peak(n_batches):
        builder = make_builder(n_heldout=200)
        tracemalloc.start()
        for number in range(n_batches):
            names = [f"{number}-{i}" for i in range(100)]
            builder.add(**{**columns, "texts": names, "documents": names})
        moments = builder.build()
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest, len(moments.sample)

    peak(2)  # what is loaded once
    (few, n_few), (many, n_many) = peak(50), peak(400)
    assert n_few == n_many == 200
    assert many < 1.05 * few


@pytest.mark.parametrize("sketch_width", [0, 6])
def test_save_and_load(tmp_path, sketch_width):
    corpus = Texts(300)
    texts, train = corpus.columns["texts"], corpus.train()
    texts[next(i for i in range(300) if i not in set(train))] = texts[train[0]]
    batches = corpus.batches()
    if not sketch_width:
        batches = [{**batch, "projected": None} for batch in batches]
    moments = gather(batches, sketch_width=sketch_width, seed=0)
    assert moments.n_dropped == 1
    loaded = ScaleMoments.load(moments.save(tmp_path / "m", notes={"n": 3}))
    assert_same(moments, loaded, tolerance=0)
    assert (loaded.origin, loaded.partition, loaded.settings) == (
        moments.origin,
        moments.partition,
        moments.settings,
    )
    assert (loaded.sketch is None) == (sketch_width == 0)
    # what was read can be merged and written again, also where it came from
    more = gather(Texts(60, seed=2).batches() if sketch_width else [], sketch_width=sketch_width)
    assert_same(moments + more, loaded + more)
    (loaded + more).save(tmp_path / "m")
    assert_same(moments + more, ScaleMoments.load(tmp_path / "m"))
    assert not (tmp_path / "m" / "notes.json").exists()  # it was of the others


def test_the_same_moments_are_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        gather(Texts(120).batches()).save(tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) > 5
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_moments_of_no_text_can_be_kept_and_joined(tmp_path):
    nothing = ScaleMoments.load(make_builder().build().save(tmp_path / "m"))
    assert nothing.heldout is None
    assert (nothing.n, nothing.n_documents) == (0, 0)
    whole = gather(Texts(120).batches())
    assert_same(whole, nothing + whole)
    assert_same(whole, whole + nothing)
    with pytest.raises(CorpusError, match="0 training samples"):
        nothing.scale("local")
    with pytest.raises(CorpusError, match="0 held-out samples of the test part"):
        _ = nothing.test


def test_every_changed_byte_is_found_and_named(tmp_path, rng):
    folder = gather(Texts(120).batches()).save(tmp_path / "m")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".json", ".safetensors")]
    assert {path.name for path in files} >= {
        "moments.json",
        "moments.safetensors",
        "scales.json",
        "states.json",
    }
    for _ in range(60):
        path = files[rng.integers(len(files))]
        whole = path.read_bytes()
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with pytest.raises(StorageError, match=path.name):
            ScaleMoments.load(folder)
        path.write_bytes(whole)
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(StorageError, match=path.name):
            ScaleMoments.load(folder)
        path.unlink()
        with pytest.raises(
            StorageError, match=path.name if path.name != "moments.json" else "no whole moments"
        ):
            ScaleMoments.load(folder)
        path.write_bytes(whole)
    ScaleMoments.load(folder)


def test_other_moments_are_refused_naming_both():
    batches = Texts(60).batches()
    moments = gather(batches)
    for change, expected in (
        ({"model": "n"}, "origin model 'm' and 'n'"),
        ({"fingerprint": "g"}, "origin fingerprint 'f' and 'g'"),
        ({"reduction": "last"}, "origin reduction 'mean' and 'last'"),
    ):
        with pytest.raises(OriginError, match=expected):
            moments + replace(moments, origin=replace(ORIGIN, **change))
    assert (moments + replace(moments, origin=replace(ORIGIN, revision="r"))).n == 2 * moments.n
    for change, expected in (
        ({"seed": 1}, "settings seed 0 and 1"),
        ({"n_heldout": 5}, "n_heldout 4096 and 5"),
    ):
        with pytest.raises(OriginError, match=expected):
            moments + gather(batches, **change)
    other = replace(
        moments,
        origin=replace(ORIGIN, scales="0|1-3|4"),
        partition=ScalePartition.parse("0|1-3|4", n_layers=5),
    )
    with pytest.raises(OriginError, match=r"'0-1\|2-3\|4' and '0\|1-3\|4'"):
        moments + other
    with pytest.raises(OriginError, match="layers sketched and not sketched"):
        moments + replace(moments, sketch=None)
    with pytest.raises(OriginError, match="settings seed 1 and 0"):
        make_builder(seed=1).merge(moments)


def test_what_is_not_kept_is_said():
    moments = gather([{**batch, "projected": None} for batch in Texts(60).batches()])
    assert "30 training samples x 4, local 0-1 | intermediate 2-3 | global 4, 30 held out" in repr(moments)
    with pytest.raises(ScaleError, match="global and local were asked for; only neighbouring"):
        moments.pair("global", "local")
    with pytest.raises(ScaleError, match="scale 'middle'"):
        moments.scale("middle")
    with pytest.raises(ConfigError, match="no sketch"):
        moments.layer_similarity()


def test_errors_say_what_to_do():
    batch = Texts(40).batches()[0]
    with pytest.raises(ShapeError, match=r"scales came with shape \(2, 40, 4\); expected \(3, 40, 4\)"):
        make_builder().add(**{**batch, "scales": batch["scales"][:2]})
    broken = batch["scales"].copy()
    broken[1, 7, 2] = np.inf
    with pytest.raises(ShapeError, match="sample 7 at scale 1"):
        make_builder().add(**{**batch, "scales": broken})
    with pytest.raises(ShapeError, match="39 documents came for 40 samples"):
        make_builder().add(**{**batch, "documents": batch["documents"][1:]})
    with pytest.raises(ShapeError, match="39 kind came for 40 samples"):
        make_builder().add(**{**batch, "labels": {"kind": [1] * 39}})
    with pytest.raises(ShapeError, match="39 record_texts came for 40 samples"):
        make_builder().add(**{**batch, "record_texts": batch["texts"][1:]})
    with pytest.raises(ShapeError, match="projections came with shapes"):
        make_builder(sketch_width=5).add(**batch)
    with pytest.raises(ConfigError, match="moments without a sketch"):
        make_builder(sketch_width=0).add(**batch)
    builder = make_builder()
    builder.add(**batch)
    with pytest.raises(ConfigError, match="batch without projections came after one with them"):
        builder.add(**{**batch, "projected": None})
    builder = make_builder()
    builder.add(**{**batch, "projected": None})
    with pytest.raises(ConfigError, match="batch with projections came after one without them"):
        builder.add(**batch)
    full = replace(ORIGIN, n_layers=5, scales=None, reduction=None)
    with pytest.raises(ScaleError, match="states of 5 layers without their scales"):
        MomentsBuilder(full, PARTITION)
    with pytest.raises(ScaleError, match="take their own partition"):
        MomentsBuilder(ORIGIN, ScalePartition.parse("0|1-3|4", n_layers=5))
    for options, expected in (
        ({"n_heldout": -1}, "n_heldout=-1"),
        ({"filter_bits": 9}, "filter_bits=9"),
        ({"fractions": (1.0, 0.0, 0.0)}, "expected three positive shares"),
    ):
        with pytest.raises(ConfigError, match=expected):
            MomentSettings(**options)


def test_labels_that_one_part_lacks_are_none():
    first, second = Texts(60), Texts(60, seed=1)
    second.labels = {"kind": second.labels["kind"]}
    held = (gather(first.batches()) + gather(second.batches())).heldout
    tones = held.labels["tone"]
    assert "kind" in tones
    assert all(tone is None for tone, text in zip(tones, held.texts, strict=True) if "of 1" in text)
