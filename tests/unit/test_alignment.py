"""An alignment finds planted maps, remembers where it comes from and returns from disk as it was."""

from dataclasses import replace

import numpy as np
import pytest

from msma.alignment import Alignment
from msma.alignment import alignment as module
from msma.errors import ConfigError, CorpusError, OriginError, ScaleError, StorageError
from msma.evaluation import evaluate
from msma.maps import MAPS, ProcrustesMap, RidgeMap
from msma.scale_moments import MomentsBuilder, assign_split
from msma.scales import ScalePartition, ScaleRepresentation
from msma.states import HiddenStates, Origin
from scale_pairs import FeatureMap

PARTITION = ScalePartition.thirds(6)


def planted(rng, *, n_samples=300, noise=0.0, fingerprint="", documents=None):
    """Global states, and intermediate and local ones turned from them; truths beside."""
    z = rng.normal(size=(n_samples, 5)) * np.arange(1, 6)
    first, second = np.linalg.qr(rng.normal(size=(2, 5, 5)))[0]
    scales = [z @ first @ second + 1, z @ first - 2, z]
    layers = [s + noise * rng.normal(size=s.shape) for s in scales for _ in range(2)]
    origin = Origin(model="planted", n_layers=6, d_model=5, fingerprint=fingerprint)
    states = HiddenStates.from_arrays(np.stack(layers), origin=origin, documents=documents)
    return states, first, second


def test_planted_rotations_are_recovered(rng):
    states, first, second = planted(rng)
    alignment = Alignment(ProcrustesMap()).fit(states, PARTITION)
    assert np.allclose(alignment.maps_["global", "intermediate"].coef_, first, atol=1e-5)
    assert np.allclose(alignment.maps_["intermediate", "local"].coef_, second, atol=1e-5)
    mapped = alignment.transform(states)
    assert set(mapped) == {("global", "intermediate"), ("intermediate", "local"), ("global", "local")}
    assert np.allclose(mapped["global", "local"], states.layer(0), atol=1e-4)


def test_encoding_direction(rng):
    states, *_ = planted(rng)
    pairs = (("local", "intermediate"), ("intermediate", "global"))
    mapped = Alignment(RidgeMap(alpha=1e-6), pairs=pairs).fit(states, PARTITION).transform(states)
    assert np.allclose(mapped["local", "global"], states.layer(5), atol=1e-3)


def test_twins_fitted_on_shuffled_pairs_know_nothing(rng):
    states, *_ = planted(rng, n_samples=2000)
    alignment = Alignment(RidgeMap(alpha=1.0)).fit(states, PARTITION)
    target = states.layer(5)
    null = alignment.transform(states, is_null=True)["global", "intermediate"]
    assert null.var(axis=0).sum() < 0.05 * target.var(axis=0).sum()


@pytest.mark.parametrize("kind", sorted(MAPS))
def test_streaming_fits_the_same_maps(rng, kind, monkeypatch):
    states, *_ = planted(rng, noise=0.3)
    map_ = MAPS[kind](alpha=1.0) if kind in ("ridge", "reduced_rank") else MAPS[kind]()
    whole = Alignment(map_, is_standardised=True).fit(states, PARTITION)
    monkeypatch.setattr(module, "_LARGEST_IN_MEMORY", 10)
    streamed = Alignment(map_, is_standardised=True).fit(states, PARTITION)
    for pair, mapped in whole.transform(states).items():
        assert np.allclose(mapped, streamed.transform(states)[pair], atol=1e-6)


@pytest.mark.parametrize("is_standardised", [False, True])
def test_save_and_load_bit_for_bit(rng, tmp_path, is_standardised):
    states, *_ = planted(rng, noise=0.3)
    alignment = Alignment(is_standardised=is_standardised).fit(states, PARTITION)
    loaded = Alignment.load(alignment.save(tmp_path / "a"))
    for is_null in (False, True):
        before, after = (a.transform(states, is_null=is_null) for a in (alignment, loaded))
        for pair in before:
            assert np.array_equal(before[pair], after[pair])
    assert loaded.partition_ == alignment.partition_
    assert loaded.origin_ == alignment.origin_
    assert loaded.maps_["global", "intermediate"].origin_["source_layers"] == [4, 5]
    for scale in ("local", "global"):
        assert np.array_equal(loaded.bases_[scale].directions, alignment.bases_[scale].directions)


def test_states_of_another_model_are_refused(rng):
    states, *_ = planted(rng, fingerprint="a")
    alignment = Alignment().fit(states, PARTITION)
    other, *_ = planted(rng, fingerprint="b")
    with pytest.raises(OriginError, match="model_fingerprint"):
        alignment.transform(other)
    wide = HiddenStates.from_arrays(
        rng.normal(size=(6, 20, 7)), origin=Origin(model="planted", n_layers=6, d_model=7, fingerprint="a")
    )
    with pytest.raises(OriginError, match="d_model 7"):
        alignment.transform(wide)


def test_errors_say_what_to_do(rng, tmp_path):
    states, *_ = planted(rng)
    with pytest.raises(OriginError, match=r"call fit\(states, scales\) first"):
        Alignment().transform(states)
    with pytest.raises(OriginError, match="no fitted maps"):
        Alignment().save(tmp_path)
    with pytest.raises(ScaleError, match="expected two different ones"):
        Alignment(pairs=[("global", "global")])
    with pytest.raises(ScaleError, match="expected two different ones"):
        Alignment(pairs=[("global", "middle")])
    with pytest.raises(StorageError, match="holds no alignment"):
        Alignment.load(tmp_path)
    folder = Alignment().fit(states, PARTITION).save(tmp_path / "a")
    (folder / "alignment.json").write_text('{"settings": {}}')
    with pytest.raises(StorageError, match="damaged alignment"):
        Alignment.load(folder)
    with pytest.raises(ScaleError, match="states of 6 layers"):
        Alignment().fit(states, ScalePartition.thirds(7))


def test_repr_tells_the_state(rng):
    states, *_ = planted(rng)
    assert "not fitted" in repr(Alignment())
    assert "not fitted" not in repr(Alignment().fit(states, PARTITION))


def test_hub_round_trip(rng, tmp_path, monkeypatch):
    import shutil

    pushed = tmp_path / "hub"

    class Api:
        def create_repo(self, repo_id, *, private, exist_ok):
            assert (repo_id, private, exist_ok) == ("you/msma", True, True)

        def upload_folder(self, *, repo_id, folder_path):
            shutil.copytree(folder_path, pushed)
            return f"https://hub/{repo_id}"

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, revision: str(pushed))
    states, *_ = planted(rng)
    alignment = Alignment().fit(states, PARTITION)
    assert alignment.push_to_hub("you/msma", private=True).endswith("you/msma")
    for loaded in (Alignment.from_pretrained("you/msma"), Alignment.from_pretrained(pushed)):
        pair = ("global", "local")
        assert np.array_equal(loaded.transform(states)[pair], alignment.transform(states)[pair])


def test_an_unreachable_hub_is_named(rng, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no connection\nand more")

    states, *_ = planted(rng)
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", refuse)
    with pytest.raises(StorageError, match=r"could not push to 'you/msma' \(no connection\)"):
        Alignment().fit(states, PARTITION).push_to_hub("you/msma")
    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(StorageError, match="neither a folder nor a repository"):
        Alignment.from_pretrained("you/absent")


def three_scales(states, *, partition=PARTITION, reduction="mean"):
    """What extraction keeps where only the scales are wanted: the same samples, three entries."""
    reduced = ScaleRepresentation(partition, reduction=reduction).fit(states).transform(states)
    origin = replace(states.origin, n_layers=3, scales=partition.written, reduction=reduction)
    return HiddenStates.from_arrays(
        np.stack([reduced[scale] for scale in partition]),
        texts=states.texts,
        documents=states.document_ids,
        origin=origin,
    )


def gathered(states, *, n_batches=6, filter_bits=2**16):
    """Moments of states, with the samples that went into them."""
    reduced = three_scales(states)
    builder = MomentsBuilder(reduced.origin, PARTITION, sketch_width=0, filter_bits=filter_bits)
    for rows in np.array_split(np.arange(states.n_samples), n_batches):
        part = reduced.subset(rows)
        columns = {"texts": part.texts, "documents": part.document_ids, "positions": part.positions}
        builder.add(part.layers(range(3)), **columns)
    train = [i for i, name in enumerate(states.document_ids) if assign_split(name) == "train"]
    return builder.build(), states.subset(np.array(train))


def make_map(kind):
    return MAPS[kind](alpha=1.0) if kind in ("ridge", "reduced_rank") else MAPS[kind]()


@pytest.mark.parametrize("kind", sorted(MAPS))
def test_three_scales_are_as_good_as_all_layers(rng, kind):
    states, *_ = planted(rng, noise=0.3)
    reduced = three_scales(states)
    whole = Alignment(make_map(kind)).fit(states, PARTITION)
    fitted = Alignment(make_map(kind)).fit(reduced, PARTITION)
    for pair, map_ in whole.maps_.items():
        np.testing.assert_allclose(fitted.maps_[pair].coef_, map_.coef_, rtol=1e-5, atol=1e-5)
    # either takes the states of the other
    for pair, mapped in whole.transform(states).items():
        np.testing.assert_allclose(fitted.transform(states)[pair], mapped, atol=1e-4)
        np.testing.assert_allclose(whole.transform(reduced)[pair], mapped, atol=1e-4)
    assert fitted.origin_ == whole.origin_
    assert fitted.maps_["global", "intermediate"].origin_ == whole.maps_["global", "intermediate"].origin_


@pytest.mark.parametrize("kind", sorted(MAPS))
def test_moments_fit_the_same_maps_as_their_samples(rng, kind):
    states, *_ = planted(rng, n_samples=400, noise=0.3)
    pairs = (("global", "intermediate"), ("local", "intermediate"))
    moments, train = gathered(states)
    whole = Alignment(make_map(kind), pairs=pairs).fit(three_scales(train), PARTITION)
    fitted = Alignment(make_map(kind), pairs=pairs).fit_moments(moments)
    assert moments.n == train.n_samples < states.n_samples
    for pair in pairs:
        for name in ("coef_", "intercept_"):
            mine, theirs = (getattr(a.maps_[pair], name) for a in (fitted, whole))
            assert np.abs(mine - theirs).max() <= 1e-6 * np.abs(theirs).max()
    for scale, basis in whole.bases_.items():
        np.testing.assert_allclose(fitted.bases_[scale].mean, basis.mean, rtol=1e-9, atol=1e-9)
        turned = np.abs(fitted.bases_[scale].directions.T @ basis.directions)
        np.testing.assert_allclose(turned, np.eye(5), atol=1e-6)
    # fitted on all layers, the maps differ by the rounding of what was kept
    full = Alignment(make_map(kind), pairs=pairs).fit(train, PARTITION)
    for pair, mapped in full.transform(states).items():
        np.testing.assert_allclose(fitted.transform(states)[pair], mapped, atol=1e-4)
    texts = {"texts": full.origin_["texts"]}
    assert {**fitted.origin_, **texts} == full.origin_


def test_twins_from_moments_know_nothing(rng):
    states, *_ = planted(rng, n_samples=3000)
    moments, _ = gathered(states)
    alignment = Alignment(RidgeMap(alpha=1.0)).fit_moments(moments)
    target = states.layer(5)
    null = alignment.transform(states, is_null=True)["global", "intermediate"]
    assert null.var(axis=0).sum() < 0.05 * target.var(axis=0).sum()


def test_moments_are_scored_as_whole_states_are(rng, tmp_path):
    states, *_ = planted(rng, n_samples=600, noise=0.3)
    moments, _ = gathered(states)
    alignment = Alignment(RidgeMap(alpha=1.0)).fit_moments(moments)
    loaded = Alignment.load(alignment.save(tmp_path / "a"))
    same_rows = states.subset(moments.test.positions, part="test")
    assert same_rows.texts == moments.test.texts
    metrics = ["r2", "kl", "mi"]
    kept = evaluate(alignment, moments.test, metrics=metrics)
    assert kept.value("r2", source="global", target="intermediate", map="ridge") > 0.9
    for other in (
        evaluate(alignment, same_rows, metrics=metrics),
        evaluate(loaded, moments.test, metrics=metrics),
    ):
        for first, second in zip(kept.rows, other.rows, strict=True):
            for name in ("value", "low", "high", "null", "floor"):
                ours, theirs = getattr(first, name), getattr(second, name)
                close = ours is theirs is None or ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
                assert close, (first.metric, name)
    assert "filter of the texts fitted on, which misses none" in kept.provenance["held_out"]
    assert kept.provenance["fitted_on_texts"] == moments.fingerprint


def test_texts_that_moments_were_made_of_are_not_scored(rng, tmp_path):
    states, *_ = planted(rng, n_samples=600, noise=0.3)
    moments, train = gathered(states)
    alignment = Alignment().fit_moments(moments)
    rows = np.concatenate([moments.test.positions, train.positions[:1]])
    for fitted in (alignment, Alignment.load(alignment.save(tmp_path / "a"))):
        with pytest.raises(CorpusError, match=f"{train.n_samples} of {train.n_samples} samples"):
            evaluate(fitted, train, metrics=["r2"])
        with pytest.raises(CorpusError, match="1 of "):
            evaluate(fitted, states.subset(rows), metrics=["r2"])


def test_sentences_of_moments_are_known_by_document(rng):
    states, *_ = planted(rng, n_samples=300)
    documents = [str(i // 3) for i in range(300)]
    sentences = HiddenStates.from_arrays(
        states.layers(range(6)),
        texts=[("Yes.", f"It is {i}.", "No.")[i % 3] for i in range(300)],
        documents=documents,
        origin=replace(states.origin, unit="sentence"),
    )
    moments, train = gathered(sentences)
    alignment = Alignment().fit_moments(moments)
    assert alignment.count_seen(train) == train.n_samples
    assert alignment.count_seen(moments.test) == 0  # though "Yes." was trained on
    others = [f"other {i}" for i in range(300)]
    elsewhere = {"texts": sentences.texts, "documents": others, "origin": sentences.origin}
    assert alignment.count_seen(HiddenStates.from_arrays(states.layers(range(6)), **elsewhere)) == 0
    same_names = {"texts": others, "documents": documents, "origin": sentences.origin}
    assert alignment.count_seen(HiddenStates.from_arrays(states.layers(range(6)), **same_names)) == 0


def test_a_full_filter_does_not_cry_leak(rng):
    states, *_ = planted(rng, n_samples=600)
    moments, train = gathered(states, filter_bits=2**11)
    alignment = Alignment().fit_moments(moments)
    assert moments.seen.error_rate > 0.01
    fresh = HiddenStates.from_arrays(
        states.layers(range(6)), texts=[f"new {i}" for i in range(600)], origin=states.origin
    )
    assert alignment.count_seen(fresh) == 0
    assert alignment.count_seen(train) == train.n_samples
    assert alignment.count_seen(moments.test) == 0


def test_fitting_again_forgets_how_it_was_fitted(rng):
    states, *_ = planted(rng)
    moments, train = gathered(states)
    alignment = Alignment().fit_moments(moments).fit(train, PARTITION)
    assert alignment.seen_ is None
    assert "each of" in alignment.leak_check
    assert alignment.count_seen(train) == train.n_samples
    alignment.fit_moments(moments)
    assert len(alignment.fitted_on_) == 0
    assert alignment.count_seen(train) == train.n_samples


def test_three_scales_of_other_layers_are_refused(rng):
    states, *_ = planted(rng, fingerprint="a")
    reduced = three_scales(states)
    moments, _ = gathered(states)
    alignment = Alignment().fit(states, PARTITION)
    other = ScalePartition.parse("0|1-4|5", n_layers=6)
    with pytest.raises(
        ScaleError, match=r"'0\|1-4\|5', reduced by 'mean', came for the scales '0-1\|2-3\|4-5'"
    ):
        alignment.transform(three_scales(states, partition=other))
    with pytest.raises(ScaleError, match="reduced by 'last', came for the scales '0-1"):
        alignment.transform(three_scales(states, reduction="last"))
    with pytest.raises(ScaleError, match="needs all layers"):
        Alignment(is_standardised=True).fit(reduced, PARTITION)
    with pytest.raises(ScaleError, match="needs all layers"):
        Alignment(is_standardised=True).fit_moments(moments)
    with pytest.raises(ScaleError, match=r"reduced by 'mean', came for .* reduced by 'last'"):
        Alignment(reduction="last").fit_moments(moments)
    deeper = replace(reduced.origin, scales="0-1|2-3|4-6")
    with pytest.raises(OriginError, match="n_layers 7"):
        alignment.transform(HiddenStates.from_arrays(reduced.layers(range(3)), origin=deeper))


def test_moments_do_not_fit_everything(rng):
    states, *_ = planted(rng)
    moments, _ = gathered(states)
    with pytest.raises(ConfigError, match="FeatureMap came with moments"):
        Alignment(FeatureMap()).fit_moments(moments)
    with pytest.raises(ScaleError, match="only neighbouring scales"):
        Alignment(pairs=[("global", "local")]).fit_moments(moments)
    with pytest.raises(CorpusError, match="0 shuffled pairs"):
        Alignment().fit_moments(gathered(states, n_batches=300)[0])
