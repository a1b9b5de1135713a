"""Curves agree with scikit-learn, drawn documents included; intervals cover a known answer."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from msma.detection import aupr, auroc, compare_detectors, fpr_at_tpr
from msma.detection.curves import Counts, area_of, precision_of
from msma.errors import ConfigError, ShapeError


@pytest.fixture(params=[1, 8])
def sides(request, rng):
    """Scores with few ties, and with many."""
    return rng.normal(1.0, 1.0, size=70).round(request.param), rng.normal(size=55).round(request.param)


def labelled(clean, anomalous):
    return np.repeat([0, 1], [len(clean), len(anomalous)]), -np.concatenate([clean, anomalous])


def test_estimates_are_those_of_scikit_learn(sides):
    y, scores = labelled(*sides)
    assert auroc(*sides, n_resamples=0).value == pytest.approx(roc_auc_score(y, scores))
    assert aupr(*sides, n_resamples=0).value == pytest.approx(average_precision_score(y, scores))
    for tpr in (0.5, 0.95, 1.0):
        alarms, found, _ = roc_curve(y, scores, drop_intermediate=False)
        assert fpr_at_tpr(*sides, tpr=tpr, n_resamples=0).value == pytest.approx(
            alarms[found >= tpr - 1e-12][0]
        )


def test_draws_are_those_of_scikit_learn_with_weights(sides, rng):
    y, scores = labelled(*sides)
    weights = rng.integers(0, 4, size=len(y)).astype(float)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(-scores[order])), len(y) - 1)
    counts = Counts(
        np.cumsum(weights[order] * (y[order] == 1))[None, ends],
        np.cumsum(weights[order] * (y[order] == 0))[None, ends],
    )
    assert area_of(counts)[0] == pytest.approx(roc_auc_score(y, scores, sample_weight=weights))
    assert precision_of(counts)[0] == pytest.approx(average_precision_score(y, scores, sample_weight=weights))


def test_cases_done_by_hand():
    assert auroc([1.0, 1.0], [1.0], n_resamples=0).value == 0.5
    assert auroc([2.0], [1.0], n_resamples=0).value == 1.0
    assert auroc([1.0], [2.0], n_resamples=0).value == 0.0
    assert aupr([1.0], [2.0], n_resamples=0).value == 0.5
    assert fpr_at_tpr([1.0, 3.0], [2.0, 2.0], n_resamples=0).value == 0.5
    assert fpr_at_tpr([1.0, 3.0], [0.0, 2.0], tpr=0.5, n_resamples=0).value == 0.0


@pytest.mark.parametrize("is_paired", [False, True])
def test_intervals_hold_the_true_area_about_19_times_in_20(is_paired):
    # N(1, 1) against N(0, 1): the difference of two scores is N(1, 2); pairs share a part of their noise.
    held, tries = 0, 200
    for seed in range(tries):
        rng = np.random.default_rng(seed)
        shared = rng.normal(size=120) * np.sqrt(0.6 if is_paired else 0.0)
        own = np.sqrt(1 - (0.6 if is_paired else 0.0)) * rng.normal(size=(2, 120))
        documents = None if is_paired else (np.arange(120), np.arange(120, 240))
        found = auroc(1.0 + shared + own[0], shared + own[1], documents=documents, n_resamples=300, seed=seed)
        held += found.low <= norm.cdf(1 / np.sqrt(2)) <= found.high
    assert 0.90 * tries <= held <= 0.99 * tries


def test_pairs_of_a_document_are_drawn_together(rng):
    # Every clean sample lies just above its own anomalous one: only drawn apart does their order vary much.
    level = np.repeat([0.0, 10.0], 40)
    together = auroc(level + 1.0, level, n_resamples=400)
    apart = auroc(level + 1.0, level, documents=(np.arange(80), np.arange(80, 160)), n_resamples=400)
    assert together.value == apart.value == 0.75
    assert together.high - together.low < 0.5 * (apart.high - apart.low)


def test_samples_of_a_document_count_as_one(rng):
    clean, anomalous = rng.normal(1.0, 1.0, size=20), rng.normal(size=20)
    once = auroc(clean, anomalous, documents=np.arange(20), n_resamples=500)
    copied = auroc(
        np.repeat(clean, 9), np.repeat(anomalous, 9), documents=np.repeat(np.arange(20), 9), n_resamples=500
    )
    assert copied.value == pytest.approx(once.value)
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))


def test_one_document_on_each_side_never_leaves_a_side_empty():
    found = auroc([1.0, 2.0], [0.0], documents=(["a", "a"], ["b"]), n_resamples=200)
    assert tuple(found[:3]) == (1.0, 1.0, 1.0)


def test_comparing_ranks_detectors_and_sets_them_against_the_best_baseline(rng):
    truth = rng.normal(size=(2, 300))
    scores = {
        "residuals": (truth[0] + 3.0, truth[1]),
        "weak": (truth[0] + 0.5, truth[1]),
        "blind": (truth[0], truth[1]),
        "copy": (truth[0] + 0.5, truth[1]),
    }
    result = compare_detectors(scores, n_resamples=200, provenance={"model": "none"})
    assert [result.value("auroc rank", map=name) for name in scores] == [1.0, 2.5, 4.0, 2.5]
    assert [result.value("fpr95 rank", map=name) for name in scores] == [1.0, 2.5, 4.0, 2.5]
    for metric, measure in {"auroc": auroc, "aupr": aupr, "fpr95": fpr_at_tpr}.items():
        for name, pair in scores.items():
            found, row = measure(*pair, n_resamples=200), result.row(metric, map=name)
            assert (row.value, row.low, row.high) == pytest.approx(tuple(found[:3]))
        sign = -1.0 if metric == "fpr95" else 1.0
        gain = result.row(f"{metric} gain")
        difference = result.value(metric, map="residuals") - result.value(metric, map="weak")
        assert gain.value == pytest.approx(sign * difference)
        assert gain.map == "residuals"
        assert gain.note == "over weak, the best baseline"
        assert gain.low > 0.0
    assert result.row("aupr", map="blind").null == 0.5
    assert result.provenance["model"] == "none"


def test_a_copy_of_the_best_baseline_gains_exactly_nothing(rng):
    pair = (rng.normal(1.0, 1.0, size=50), rng.normal(size=50))
    result = compare_detectors({"same": pair, "baseline": pair}, n_resamples=100)
    for metric in ("auroc", "aupr", "fpr95"):
        row = result.row(f"{metric} gain")
        assert (row.value, row.low, row.high) == (0.0, 0.0, 0.0)


def test_the_difference_is_paired_and_so_narrower_than_the_curves_own_intervals(rng):
    base = rng.normal(size=(2, 200))
    scores = {"a": (base[0] + 1.0 + 0.05 * rng.normal(size=200), base[1]), "b": (base[0] + 1.0, base[1])}
    result = compare_detectors(scores, n_resamples=300)
    gain, own = result.row("auroc gain"), result.row("auroc", map="a")
    assert gain.high - gain.low < 0.5 * (own.high - own.low)


def test_impossible_requests_are_refused():
    good = ([1.0, 2.0], [0.0, 1.0])
    for bad in ([], [[1.0]], [np.nan], [np.inf]):
        with pytest.raises(ShapeError, match="scores of shape"):
            auroc(bad, good[1])
        with pytest.raises(ShapeError, match="anomalous scores"):
            auroc(good[0], bad)
    with pytest.raises(ShapeError, match="3 and 3 documents"):
        auroc(*good, documents=["a", "b", "c"])
    with pytest.raises(ConfigError, match=r"tpr=0\.0"):
        fpr_at_tpr(*good, tpr=0.0)
    with pytest.raises(ConfigError, match="baselines"):
        compare_detectors({"a": good}, baselines=["b"])
    with pytest.raises(ConfigError, match="0 detectors"):
        compare_detectors({})
    with pytest.raises(ConfigError, match="0 draws"):
        compare_detectors({"a": good}, n_resamples=0)
    with pytest.raises(ShapeError, match="score the same samples"):
        compare_detectors({"a": good, "b": ([1.0], [0.0])})
