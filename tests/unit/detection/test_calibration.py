"""Conformal p-values: right by hand, and no more false alarms than promised, with documents and without."""

import numpy as np
import pytest

from msma.detection import AnomalyDetector, ConformalCalibration, SurpriseDetector
from msma.detection.calibration import check_level, number_groups
from msma.errors import ConfigError, ShapeError

SEEDS = 200
LEVELS = (0.01, 0.05, 0.1)


def test_p_values_are_those_counted_one_by_one(rng):
    clean, new = rng.normal(size=40).round(1), rng.normal(size=30).round(1)
    expected = [(1 + sum(c <= s for c in clean)) / 41 for s in new]
    assert ConformalCalibration.from_scores(clean).p_values(new) == pytest.approx(expected)


def test_p_values_of_documents_are_those_counted_one_by_one(rng):
    clean, new = rng.normal(size=60).round(1), rng.normal(size=30).round(1)
    documents = rng.integers(0, 9, size=60)
    shares = [[np.mean(clean[documents == k] <= s) for k in np.unique(documents)] for s in new]
    expected = [(1 + sum(share)) / (len(share) + 1) for share in shares]
    assert ConformalCalibration.from_scores(clean, documents).p_values(new) == pytest.approx(expected)


@pytest.mark.parametrize("has_documents", [False, True])
def test_below_the_threshold_is_where_p_is_at_most_alpha(rng, has_documents):
    scores = rng.normal(size=99).round(1)
    calibration = ConformalCalibration.from_scores(
        scores, rng.integers(0, 30, size=99) if has_documents else None
    )
    new = np.concatenate([scores, scores - 1e-9, scores + 1e-9])
    for alpha in (0.05, 0.1, 0.2, 0.5):
        assert ((calibration.p_values(new) <= alpha + 1e-12) == (new < calibration.threshold(alpha))).all()


def _tolerance(alpha, *, n_clean, n_new):
    """Three standard errors of the mean false-alarm rate, whose spread is that of a beta and a binomial."""
    return 3 * np.sqrt(alpha * (1 - alpha) * (1 / (n_clean + 2) + 1 / n_new) / SEEDS)


@pytest.mark.slow
def test_false_alarms_of_the_detector_keep_their_bound():
    rates, n_clean = [], 100
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        z = rng.standard_t(4, size=(600, 1))
        X = np.hstack([z + 0.3 * rng.standard_t(4, size=z.shape) for _ in range(3)])
        detector = AnomalyDetector(alpha=0.1, seed=seed).fit(X[:400])
        p = detector.p_values(X[400:])
        assert detector.calibration_.n_documents == n_clean
        assert (detector.predict(X[400:]) == np.where(p <= 0.1 + 1e-12, -1, 1)).all()
        rates.append([(p <= alpha + 1e-12).mean() for alpha in LEVELS])
    for alpha, rate in zip(LEVELS, np.mean(rates, axis=0), strict=True):
        tolerance = _tolerance(alpha, n_clean=n_clean, n_new=200)
        exact = np.floor(alpha * (n_clean + 1) + 1e-9) / (n_clean + 1)
        assert rate <= alpha + tolerance
        assert rate >= exact - tolerance  # and the promise is used up: nothing is given away


def _documents(rng, count):
    """Documents of 1 to 12 samples, the small ones odd: counting samples would promise too much."""
    sizes = rng.integers(1, 13, size=count)
    centres = np.where(sizes <= 3, 2.0, 0.0) + rng.normal(size=count)
    documents = np.repeat(np.arange(count), sizes)
    return centres[documents] + 0.3 * rng.normal(size=len(documents)), documents


def test_false_alarms_on_new_documents_keep_their_bound_where_counting_samples_does_not():
    rates, naive_rates = [], []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        nats, documents = _documents(rng, 480)
        detector = SurpriseDetector(alpha=0.1, seed=seed).fit(nats[:, None], groups=documents)
        held = detector.calibration_
        assert held.n_documents == 120
        new, of_new = _documents(rng, 200)
        one = new[np.unique(of_new, return_index=True)[1]]
        rates.append([(detector.p_values(one[:, None]) <= alpha + 1e-12).mean() for alpha in LEVELS])
        naive = ConformalCalibration.from_scores(held.scores).p_values(-one)
        naive_rates.append([(naive <= alpha).mean() for alpha in LEVELS])
    for alpha, rate, naive in zip(LEVELS, np.mean(rates, axis=0), np.mean(naive_rates, axis=0), strict=True):
        tolerance = _tolerance(alpha, n_clean=120, n_new=200)
        assert alpha / 2 < rate <= alpha + tolerance
        assert naive > alpha + tolerance


def test_too_few_samples_for_a_level_are_refused_with_the_number_needed():
    X = np.linspace(0.0, 1.0, 40)[:, None]
    with pytest.raises(ConfigError, match=r"10 samples .* alpha=0.05 needs 19"):
        SurpriseDetector(alpha=0.05).fit(X)
    with pytest.raises(ConfigError, match=r"5 samples .* alpha=0.1 needs 9"):
        SurpriseDetector(alpha=0.1).fit(X, groups=np.arange(40) // 2)
    check_level(0.05, n_documents=19)
    check_level(0.1, n_documents=9)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_levels_that_are_no_share_are_refused(alpha):
    with pytest.raises(ConfigError, match="share of false alarms"):
        check_level(alpha, n_documents=100)


def test_numbering_documents_twice_changes_nothing():
    once = number_groups([str(i) for i in range(30)], n_samples=30)
    assert once.tolist() != list(range(30))  # by name, "10" comes before "2"
    assert number_groups(once, n_samples=30).tolist() == once.tolist()


def test_scores_and_groups_that_do_not_fit_are_refused():
    for scores in (np.zeros(0), np.zeros((2, 2)), np.array([0.0, np.nan])):
        with pytest.raises(ShapeError, match="calibration scores"):
            ConformalCalibration.from_scores(scores)
    with pytest.raises(ShapeError, match="3 groups came for 2 samples"):
        number_groups(["a", "b", "c"], n_samples=2)
