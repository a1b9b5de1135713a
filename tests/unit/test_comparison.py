"""Corrections and paired tests against hand computations, and their rates of error where the truth is known."""

import numpy as np
import pytest
from scipy import stats

from msma.comparison import cliffs_delta, contrast_documents, contrast_seeds, holm
from msma.errors import ConfigError, ShapeError
from msma.resampling import group_documents


def test_holm_is_the_stepdown_by_hand():
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.0, 1.0]) == [0.0, 1.0]
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="0 to 1"):
            holm([p])


def test_holm_keeps_the_rate_of_any_false_alarm():
    rng = np.random.default_rng(0)
    alarms = [min(holm(rng.uniform(size=12).tolist())) < 0.05 for _ in range(2000)]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.015)


def test_cliffs_delta_is_the_share_of_pairs(rng):
    for _ in range(20):
        x, y = (
            rng.integers(0, 5, size=int(rng.integers(1, 9))),
            rng.integers(0, 5, size=int(rng.integers(1, 9))),
        )
        brute = np.mean(np.sign(x[:, None].astype(float) - y[None, :]))
        assert cliffs_delta(x.astype(float), y.astype(float)) == pytest.approx(brute)
    with pytest.raises(ShapeError, match="at least one each"):
        cliffs_delta(np.zeros(0), np.ones(1))


def test_the_test_over_seeds_is_the_paired_t_test(rng):
    first, second = rng.normal(size=(2, 6))
    found = contrast_seeds(first - second)
    expected = stats.ttest_rel(first, second)
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert contrast_seeds(np.array([0.5])) == (0.5, None, None, None)
    assert contrast_seeds(np.zeros(3)).p == 1.0
    assert contrast_seeds(np.ones(3)).p == 0.0
    with pytest.raises(ShapeError, match="0 differences"):
        contrast_seeds(np.zeros(0))


def test_the_test_over_documents_keeps_its_level_and_its_interval_covers():
    """Sentences share what their document brings; a test over sentences would be wrong several times as often."""
    rng = np.random.default_rng(0)
    documents = np.repeat(np.arange(60), 5)
    groups = group_documents(documents)
    alarms, hits, naive = [], [], []
    for _ in range(300):
        gains = rng.normal(size=60)[documents] + 0.5 * rng.normal(size=300)
        left_out = np.array([gains[groups != g].mean() for g in range(20)])
        alarms.append((contrast_documents(float(gains.mean()), left_out).p or 0) < 0.05)
        naive.append(stats.ttest_1samp(gains, 0).pvalue < 0.05)
        shifted = contrast_documents(float(gains.mean()) + 1.0, left_out + 1.0)
        hits.append(shifted.low <= 1.0 <= shifted.high)
    assert np.mean(alarms) < 0.09
    assert np.mean(hits) > 0.91
    assert np.mean(naive) > 0.25
    with pytest.raises(ShapeError, match="at least 2"):
        contrast_documents(0.0, np.zeros(1))
