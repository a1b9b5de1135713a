"""Coverage against accuracy: cases worked by hand, a naive loop, optimal and random gates, intervals that hold."""

import itertools

import numpy as np
import pytest

from msma.errors import ConfigError, ShapeError
from msma.robust_probes import (
    abstention_curve,
    area_difference,
    area_under_risk,
    compare_gates,
    gate_scores,
    selective_risks,
)


def naive_area(is_correct, scores):
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    risks = []
    for k in range(1, len(order) + 1):
        risks.append(sum(not is_correct[i] for i in order[:k]) / k)
    return sum(risks) / len(risks)


def test_a_case_worked_by_hand():
    right, scores = [True, True, False, True, False], [0.9, 0.5, 0.8, 0.6, 0.1]
    # kept in the order right, wrong, right, right, wrong: risks 0, 1/2, 1/3, 1/4, 2/5
    assert selective_risks(right, scores) == pytest.approx([0, 1 / 2, 1 / 3, 1 / 4, 2 / 5])
    assert area_under_risk(right, scores) == pytest.approx((1 / 2 + 1 / 3 + 1 / 4 + 2 / 5) / 5)
    curve = abstention_curve(right, scores, n_resamples=20)
    assert curve.accuracy_at(1.0) == pytest.approx(3 / 5)
    assert curve.accuracy_at(0.8) == pytest.approx(3 / 4)
    assert curve.accuracy_at(0.61) == pytest.approx(3 / 4)  # 4 samples are the fewest that reach 0.61
    assert curve.risk_at(0.2) == 0.0
    assert curve.error_rate == pytest.approx(2 / 5)
    assert curve.optimal == pytest.approx((1 / 4 + 2 / 5) / 5)


def test_area_agrees_with_a_naive_loop(rng):
    for n in (1, 2, 17, 100):
        right, scores = rng.random(n) < 0.7, rng.normal(size=n)
        assert area_under_risk(right, scores) == pytest.approx(naive_area(right, scores), abs=1e-12)


def test_equal_scores_count_as_kept_in_random_order():
    right, scores = np.array([True, False, False, True, True]), np.array([1, 1, 1, 0, 0])
    areas = []
    for order in itertools.permutations(range(5)):
        order = sorted(order, key=lambda i: -scores[i])  # stable: permutes within equal scores
        areas.append(naive_area(right[order], np.arange(5, 0, -1)))
    assert area_under_risk(right, scores) == pytest.approx(np.mean(areas))


def test_order_of_the_samples_does_not_matter(rng):
    right, scores = rng.random(60) < 0.6, rng.integers(0, 5, size=60)
    order = rng.permutation(60)
    assert area_under_risk(right, scores) == pytest.approx(area_under_risk(right[order], scores[order]))


def test_only_the_order_of_the_scores_matters(rng):
    right, scores = rng.random(60) < 0.6, rng.normal(size=60)
    assert area_under_risk(right, scores) == area_under_risk(right, np.exp(3 * scores))


def test_drawn_copies_equal_copies_written_out(rng):
    right, scores, counts = rng.random(30) < 0.6, rng.integers(0, 8, size=30), rng.integers(0, 4, size=30)
    written = selective_risks(np.repeat(right, counts), np.repeat(scores, counts))
    assert np.allclose(selective_risks(right, scores, counts=counts), written)


def test_a_gate_that_knows_nothing_has_the_error_rate_and_no_gate_beats_the_optimum(rng):
    right = rng.random(200) < 0.7
    areas = [area_under_risk(right, rng.normal(size=200)) for _ in range(400)]
    curve = abstention_curve(right, np.zeros(200), n_resamples=20)
    assert np.mean(areas) == pytest.approx(curve.error_rate, abs=0.01)
    assert curve.aurc.value == pytest.approx(curve.error_rate)  # all scores equal
    assert min(areas) > curve.optimal == area_under_risk(right, right.astype(float))


def test_the_interval_of_the_area_holds_the_truth(rng):
    """Scores are uniform and P(error) = 1 - score: the risk at coverage c is c / 2, its area 1 / 4."""
    held = 0
    for seed in range(100):
        scores = rng.random(300)
        found = abstention_curve(rng.random(300) < scores, scores, n_resamples=200, seed=seed).aurc
        held += found.low <= 0.25 <= found.high
    assert held >= 87  # 95 expected; 87 or fewer come by less than one chance in 700


def test_the_band_is_pointwise_and_holds_the_curve(rng):
    scores = rng.random(500)
    curve = abstention_curve(rng.random(500) < scores, scores, n_resamples=300)
    assert len(curve.coverages) == 20
    assert curve.coverages[0] == 1.0
    assert (curve.low <= curve.accuracies).all()
    assert (curve.accuracies <= curve.high).all()
    assert np.allclose(curve.accuracies, [curve.accuracy_at(c) for c in curve.coverages])
    error = np.sqrt(curve.accuracies[0] * (1 - curve.accuracies[0]) / 500)
    assert (curve.high - curve.low)[0] == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_copies_of_a_text_in_one_document_do_not_narrow_the_interval(rng):
    right, scores = rng.random(100) < 0.7, rng.normal(size=100)
    alone = abstention_curve(right, scores, n_resamples=400).aurc
    copied = abstention_curve(
        np.repeat(right, 5), np.repeat(scores, 5), np.repeat(np.arange(100), 5), n_resamples=400
    ).aurc
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.1)


def test_differences_are_paired(rng):
    """Two nearly equal gates differ by little, whatever the sample: pairing makes the interval far narrower."""
    right, scores = rng.random(300) < 0.7, rng.normal(size=300)
    near = scores + 0.01 * rng.normal(size=300)
    single = abstention_curve(right, scores, n_resamples=300).aurc
    paired = area_difference(right, near, scores, n_resamples=300)
    assert paired.value == pytest.approx(area_under_risk(right, near) - area_under_risk(right, scores))
    assert paired.high - paired.low < 0.3 * (single.high - single.low)
    same = area_difference(right, scores, scores, n_resamples=50)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    swapped = area_difference(right, scores, near, n_resamples=300)
    assert (swapped.low, swapped.high) == pytest.approx((-paired.high, -paired.low))


def test_draws_are_fixed_by_the_seed(rng):
    right, scores = rng.random(80) < 0.7, rng.normal(size=80)
    first, again, other = (abstention_curve(right, scores, n_resamples=50, seed=s).aurc for s in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.fixture
def gated(rng):
    """A probe whose errors a detector sees and its own confidence does not."""
    is_odd = rng.random(600) < 0.3
    confidence = 0.5 + 0.5 * rng.random(600)
    right = np.where(is_odd, rng.random(600) < 0.5, rng.random(600) < 0.98)
    return np.column_stack([confidence, 1 - confidence]), right, 0.1 * rng.normal(size=600) - 1.0 * is_odd


def test_a_detector_that_sees_the_errors_is_told_to_be_the_better_gate(gated):
    probabilities, right, detector = gated
    blind = np.random.default_rng(1).normal(size=600)
    result = compare_gates(
        probabilities, right, detectors={"residual": detector, "blind": blind}, n_resamples=200
    )
    gates = ["probability", "entropy", "residual", "probability + residual", "blind", "probability + blind"]
    assert [row.map for row in result.where(metric="aurc")] == gates
    row = result.row("aurc_difference", map="residual")
    assert row.high < 0
    assert row.note == "a better gate than the largest probability"
    assert result.row("aurc_difference", map="blind").note.startswith("no difference")
    for row in result.where(metric="aurc"):
        assert row.floor < row.value
        assert row.null == pytest.approx(1 - right.mean())
        assert row.low <= row.value <= row.high
        if row.map != "probability":
            base = result.value("aurc", map="probability")
            assert result.value("aurc_difference", map=row.map) == pytest.approx(row.value - base)
    kept = result.row("accuracy_at_50", map="residual")
    assert kept.value > 0.95 > kept.null
    assert kept.low <= kept.value <= kept.high <= kept.ceiling == 1.0


def test_a_worse_gate_is_called_worse(gated):
    probabilities, right, detector = gated
    result = compare_gates(probabilities, right, detectors={"upside down": -detector}, n_resamples=100)
    assert result.row("aurc_difference", map="upside down").note.startswith("a worse gate")


def test_entropy_orders_two_classes_as_probability_does_and_three_not(rng):
    two = rng.dirichlet([1, 1], size=50)
    scores = gate_scores(two)
    assert np.array_equal(np.argsort(scores["probability"]), np.argsort(scores["entropy"]))
    scores = gate_scores(rng.dirichlet([1, 1, 1], size=50))
    assert not np.array_equal(np.argsort(scores["probability"]), np.argsort(scores["entropy"]))
    assert gate_scores([[1.0, 0.0]])["entropy"] == [0.0]


def test_what_does_not_fit_is_an_error():
    with pytest.raises(ShapeError, match="expected one each a sample"):
        area_under_risk([True, False], [1.0])
    with pytest.raises(ShapeError, match="at least one sample"):
        area_under_risk([], [])
    with pytest.raises(ShapeError, match="1 of 2 not finite"):
        area_under_risk([True, False], [1.0, float("nan")])
    with pytest.raises(ShapeError, match="other than true and false"):
        area_under_risk([2, 0], [1.0, 2.0])
    with pytest.raises(ShapeError, match="needs at least 2"):
        abstention_curve([True, False], [1.0, 2.0], ["a", "a"])
    with pytest.raises(ShapeError, match="documents came with shape"):
        abstention_curve([True, False], [1.0, 2.0], ["a"])
    curve = abstention_curve([True, False], [1.0, 2.0], n_resamples=5)
    for coverage in (0.0, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="above 0 and at most 1"):
            curve.accuracy_at(coverage)
    with pytest.raises(ShapeError, match="take them from predict_proba"):
        gate_scores([[0.5, 0.2]])
    with pytest.raises(ShapeError, match="scores of 'd' came with shape"):
        gate_scores([[0.5, 0.5]], {"d": [1.0, 2.0]})
