"""Scores are right where the answer is known, honest where there is nothing, and refuse what was fitted on."""

import numpy as np
import pytest

from msma.alignment import Alignment
from msma.errors import ConfigError, CorpusError
from msma.evaluation import compare_maps, evaluate
from msma.maps import RidgeMap
from msma.scales import ScalePartition
from msma.scoring import METRICS
from msma.states import HiddenStates

PARTITION = ScalePartition.thirds(3)


def gaussian_states(rng, *, n=3000, d=4, noise=0.5, sentences=1):
    """Global ~ N(0, I); intermediate = global + noise; local almost global: R2 and MI are known."""
    z = rng.normal(size=(n, d))
    y = z + noise * rng.normal(size=(n, d))
    z_local = np.sqrt(1 - 1e-4) * z + 0.01 * rng.normal(size=(n, d))
    documents = [str(i // sentences) for i in range(n)]
    return HiddenStates.from_arrays(np.stack([z_local, y, z]), documents=documents)


@pytest.fixture(scope="module")
def scored():
    states = gaussian_states(np.random.default_rng(0))
    train, _, test = states.split()
    alignment = Alignment(RidgeMap(alpha=1e-6)).fit(train, PARTITION)
    return evaluate(alignment, test)


def test_every_metric_has_value_interval_and_null_or_floor(scored):
    for row in scored:
        assert row.value is not None, row
        assert row.low <= row.value <= row.high, row
        assert row.null is not None or row.floor is not None, row
        assert row.split == "test"
        assert row.units
        assert row.better in ("higher", "lower")
    shown = {row.metric for row in scored}
    assert shown == set(METRICS) | {"retention", "r2_uniform"}


def test_r2_is_what_the_noise_leaves(scored):
    # intermediate = z + 0.5 e: R2 = 1 / 1.25
    row = scored.row("r2", source="global", target="intermediate", map="ridge")
    assert row.low < 0.8 < row.high
    assert row.value == pytest.approx(0.8, abs=0.02)
    assert row.null < 0


def test_mutual_information_is_the_closed_form(scored):
    truth = 4 * 0.5 * np.log(1 + 1 / 0.25)
    for map_ in ("none", "ridge"):
        row = scored.row("mi", source="global", target="intermediate", map=map_)
        assert row.value == pytest.approx(truth, abs=0.25)
        assert abs(row.null) < 0.1
    assert scored.value("retention", source="global", target="intermediate", map="ridge") == pytest.approx(
        1, abs=0.02
    )


def test_divergence_of_the_regression_is_the_closed_form(scored):
    # the mapped law is N(0, 1), the target's N(0, 1.25)
    truth = 4 * 0.5 * (1 / 1.25 - 1 + np.log(1.25))
    row = scored.row("kl", source="global", target="intermediate", map="ridge")
    assert row.value == pytest.approx(truth, abs=0.06)
    assert abs(row.floor) < 0.05
    assert row.null > 10 * truth  # a map that learned nothing shrinks to a point


def test_identical_laws_read_zero_although_samples_are_paired(scored):
    row = scored.row("kl", source="global", target="local", map="none")
    assert abs(row.value) < 0.03


@pytest.mark.slow
def test_intervals_cover_the_truth_of_r2_and_kl_in_repeats():
    truth_r2, truth_kl = 0.8, 3 * 0.5 * (1 / 1.25 - 1 + np.log(1.25))
    hits = np.zeros(2)
    repeats = 20
    for seed in range(repeats):
        states = gaussian_states(np.random.default_rng(seed), n=900, d=3)
        train, _, test = states.split(seed=seed)
        alignment = Alignment(RidgeMap(alpha=1e-6)).fit(train, PARTITION)
        found = evaluate(alignment, test, metrics=["r2", "kl"], seed=seed)
        for i, (metric, truth) in enumerate((("r2", truth_r2), ("kl", truth_kl))):
            row = found.row(metric, source="global", target="intermediate", map="ridge")
            hits[i] += row.low <= truth <= row.high
    assert hits.min() >= 0.8 * repeats


def test_few_samples_are_projected_and_it_is_said(rng):
    states = gaussian_states(rng, n=200, d=30)
    train, _, test = states.split()
    alignment = Alignment().fit(train, PARTITION)
    found = evaluate(alignment, test, metrics=["kl", "mi"])
    row = found.row("kl", source="global", target="intermediate", map="ridge")
    assert "6 leading of 30 directions" in row.note
    assert row.value is not None


def test_a_map_of_low_rank_has_no_finite_kl_and_says_so(rng):
    from msma.maps import ReducedRankMap

    states = gaussian_states(rng, n=600, d=6)
    train, _, test = states.split()
    alignment = Alignment(ReducedRankMap(rank=2)).fit(train, PARTITION)
    row = evaluate(alignment, test, metrics=["kl"]).row(
        "kl", source="global", target="intermediate", map="reduced_rank"
    )
    assert row.value is None
    assert "infinite" in row.note


def test_texts_that_were_fitted_on_are_refused(rng):
    states = gaussian_states(rng, n=200)
    train, _, test = states.split()
    alignment = Alignment().fit(train, PARTITION)
    with pytest.raises(CorpusError, match="120 of 120 samples to be scored were fitted on"):
        evaluate(alignment, train)
    with pytest.raises(CorpusError, match="120 of 200"):
        evaluate(alignment, states)
    with pytest.raises(CorpusError, match="10 held-out samples"):
        evaluate(alignment, test.subset(np.arange(10)))
    with pytest.raises(ConfigError, match="metric 'bleu' came"):
        evaluate(alignment, test, metrics=["bleu"])


def test_many_samples_are_thinned(rng, monkeypatch):
    monkeypatch.setattr("msma.evaluation._MOST_SAMPLES", 50)
    train, _, test = gaussian_states(rng, n=500).split()
    found = evaluate(Alignment().fit(train, PARTITION), test, metrics=["r2"])
    assert {row.n for row in found} == {50}


def test_maps_are_compared_on_validation_and_test(rng):
    splits = gaussian_states(rng, n=600).split()
    found = compare_maps(splits, PARTITION, names=["identity", "ridge"])
    assert {(row.map, row.split) for row in found} == {
        (m, s) for m in ("identity", "ridge") for s in ("validation", "test")
    }
    r2 = {
        m: found.value("r2", map=m, split="test", source="global", target="intermediate")
        for m in ("identity", "ridge")
    }
    assert r2["ridge"] == pytest.approx(0.8, abs=0.05)
    with pytest.raises(ConfigError, match="map 'magic' came"):
        compare_maps(splits, PARTITION, names=["magic"])
