"""Mutual information: exact where the law is Gaussian, and never clipped."""

import numpy as np
import pytest
import torch

from msma.errors import ConfigError, ShapeError
from msma.measures.information import (
    copula_mi,
    copula_transform,
    gaussian_mi,
    gaussian_mi_from_moments,
    histogram_mi,
    ksg_mi,
)
from msma.moments import CrossMoments
from truths import DependentLaw, gaussian_cross_moments, independent_pair, informed_pair


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.95])
def test_corrected_is_unbiased(rng, correlation):
    law = DependentLaw(rng, 4, correlation=correlation)
    values = np.array([gaussian_mi(*law.sample(rng, 14)) for _ in range(3000)])
    assert abs(values.mean() - law.mi) < 3 * values.std(ddof=1) / np.sqrt(len(values))


def test_estimates_of_nothing_fall_on_both_sides_of_zero(rng):
    values = np.array([gaussian_mi(*independent_pair(rng, 60, 3, 5)) for _ in range(100)])
    assert values.min() < 0 < values.max()
    plugin = np.array([gaussian_mi(*independent_pair(rng, 60, 3, 5), corrected=False) for _ in range(100)])
    assert plugin.min() > 0


@pytest.mark.slow
@pytest.mark.parametrize("mi", [0.0, 2.0])
def test_acceptance_at_full_width(rng, mi):
    """d = 768 + 768, n = 5,000: read to 0.1; the plug-in reads 70 nats too many."""
    d, n = 768, 5000
    correlation = np.sqrt(1 - np.exp(-2 * mi / d))
    eye = np.eye(d)
    root = np.block([[eye, 0 * eye], [correlation * eye, np.sqrt(1 - correlation**2) * eye]])
    crosses = [gaussian_cross_moments(rng, n, root, d) for _ in range(4)]
    assert abs(np.mean([gaussian_mi_from_moments(cross) for cross in crosses]) - mi) < 0.1
    assert gaussian_mi_from_moments(crosses[0], corrected=False) == pytest.approx(70 + mi, abs=1)


def test_samples_and_moments_agree(rng):
    x, y = informed_pair(rng, 50, 3, mi=1.0)
    y = y[:, :2]
    streamed = gaussian_mi_from_moments(CrossMoments.from_batch(x, y))
    assert gaussian_mi(x, y) == pytest.approx(streamed, abs=1e-12)
    assert gaussian_mi(y, x) == pytest.approx(streamed, abs=1e-12)


def test_output_of_a_low_rank_map_is_measured_in_its_own_dimensions(rng):
    x, y = informed_pair(rng, 200, 4, mi=2.0)
    narrow = x[:, :2]
    wide = narrow @ rng.normal(size=(2, 6)) + 1.0
    assert gaussian_mi(wide, y) == pytest.approx(gaussian_mi(narrow, y), abs=1e-9)


def test_copula_ignores_the_margins_and_gaussian_does_not(rng):
    x, y = informed_pair(rng, 2000, 3, mi=1.0)
    bent_x, bent_y = np.exp(3 * x), y**3
    assert copula_mi(bent_x, bent_y) == pytest.approx(copula_mi(x, y), abs=1e-12)
    assert copula_mi(bent_x, bent_y) == pytest.approx(1.0, abs=0.1)
    assert gaussian_mi(bent_x, bent_y) < 0.5


def test_copula_scores_share_ranks_on_ties():
    scores = copula_transform(np.array([[1.0], [2.0], [2.0], [3.0]])).ravel()
    assert scores[1] == scores[2] == 0
    assert scores[0] == pytest.approx(-scores[3])


@pytest.mark.parametrize("mi", [0.0, 0.5, 1.5])
def test_ksg_reads_the_truth_in_few_dimensions(rng, mi):
    assert ksg_mi(*informed_pair(rng, 2000, 2, mi=mi)) == pytest.approx(mi, abs=0.12)


def test_ksg_of_a_non_gaussian_law(rng):
    # y = x + uniform noise of width 1/2 on a circle of length 1: I = log 2, correlation of the copula about 0.
    x = rng.uniform(size=(3000, 1))
    y = (x + 0.5 * rng.uniform(size=(3000, 1))) % 1.0
    assert ksg_mi(x, y) == pytest.approx(np.log(2), abs=0.06)


def test_ksg_of_leading_components(rng):
    x, y = informed_pair(rng, 1500, 1, mi=1.0)
    noise_x, noise_y = independent_pair(rng, 1500, 20)
    wide_x = np.hstack([x + 0.01 * noise_x[:, :5], noise_x])
    wide_y = np.hstack([y + 0.01 * noise_y[:, :5], noise_y])
    assert ksg_mi(wide_x, wide_y, components=1) > 0.7
    assert ksg_mi(wide_x, wide_y) < 0.5
    assert ksg_mi(x, y, components=7) == pytest.approx(ksg_mi(copula_transform(x), copula_transform(y)))


def test_ksg_takes_ties_but_not_atoms(rng):
    x, y = informed_pair(rng, 500, 1, mi=0.5)
    rounded = np.round(x, 1)
    assert np.isfinite(ksg_mi(rounded, y))
    x[:7], y[:7] = 0.0, 0.0
    with pytest.raises(ShapeError, match="occurs more than k=5 times"):
        ksg_mi(x, y)


def test_histogram_is_the_published_quantity_and_not_information(rng):
    x, y = independent_pair(rng, 200, 5)
    mean = 10 * np.arange(5)
    assert histogram_mi(x + mean, y + mean) > 1  # independent states, common column means
    assert histogram_mi(x, y, bins=2) < 0.01


@pytest.mark.parametrize("corrected", [True, False])
def test_gradients_are_right(rng, corrected):
    x, y = (torch.tensor(part, requires_grad=True) for part in informed_pair(rng, 14, 3, mi=1.0))
    assert torch.autograd.gradcheck(lambda a, b: gaussian_mi(a, b, corrected=corrected), (x, y))


def test_tensors_come_back_as_tensors(rng):
    x, y = informed_pair(rng, 40, 2, mi=1.0)
    for measure in (gaussian_mi, copula_mi, ksg_mi, histogram_mi):
        found = measure(torch.from_numpy(x), torch.from_numpy(y))
        assert isinstance(found, torch.Tensor)
        assert float(found) == pytest.approx(measure(x, y), abs=1e-12)


def test_refusals(rng):
    x, y = informed_pair(rng, 30, 3, mi=1.0)
    with pytest.raises(ShapeError, match=r"7 samples; a joint covariance 3 \+ 3 wide needs at least 8"):
        gaussian_mi(x[:7], y[:7])
    with pytest.raises(ShapeError, match="mutual information is infinite"):
        gaussian_mi(x, x @ rng.normal(size=(3, 3)))
    with pytest.raises(ShapeError, match="30 samples and target with 29"):
        gaussian_mi(x, y[1:])
    with pytest.raises(ConfigError, match="k=0 came"):
        ksg_mi(x, y, k=0)
    with pytest.raises(ConfigError, match="components=0 came"):
        ksg_mi(x, y, components=0)
    with pytest.raises(ConfigError, match="queries=0 came; expected 1 or more"):
        ksg_mi(x, y, queries=0)
    with pytest.raises(ConfigError, match="bins=1 came"):
        histogram_mi(x, y, bins=1)
    with pytest.raises(ShapeError, match=r"shapes \(30, 3\) and \(30, 2\)"):
        histogram_mi(x, y[:, :2])


def test_constant_columns_are_named(rng):
    x, y = informed_pair(rng, 30, 3, mi=1.0)
    y[:, 1] = 0.1
    with pytest.raises(ShapeError, match="target is constant in column 1"):
        gaussian_mi(x, y)
    with pytest.raises(ShapeError, match="source is constant in column 1"):
        gaussian_mi(y, x)
    with pytest.raises(ShapeError, match="constant in column 1"):
        copula_transform(y)
    with pytest.raises(ShapeError, match="constant in column 1"):
        ksg_mi(x, y)


@pytest.mark.parametrize("width", [2, 30])
def test_fewer_queries_have_the_same_expectation_and_the_same_neighbours(rng, width):
    from msma.measures.information import ksg_terms

    x, y = informed_pair(rng, 900, width, mi=1.0)
    every = ksg_terms(x, y, k=5)
    np.testing.assert_array_equal(ksg_terms(x, y, k=5, rows=np.array([7, 0, 899])), every[[7, 0, 899]])
    whole = ksg_mi(x, y)
    found = [ksg_mi(x, y, queries=60, seed=seed) for seed in range(200)]
    # A mean over 60 of 900 terms, 200 times: within five standard errors of the mean over all.
    error = every.std() * np.sqrt((1 - 60 / 900) / 60 / 200)
    assert np.mean(found) == pytest.approx(whole, abs=5 * error)
    assert len(set(found)) > 190
    assert ksg_mi(x, y, queries=900) == ksg_mi(x, y, queries=10**6) == whole


def test_neighbours_by_trees_and_by_all_distances_are_the_same():
    from msma.measures.information import _count_by_distances, _count_by_trees

    rng = np.random.default_rng(0)
    x = rng.normal(size=(700, 3))
    y = x @ rng.normal(size=(3, 4)) + rng.normal(size=(700, 4))
    for k, rows in ((1, np.arange(700)), (5, np.arange(700)), (5, np.array([699, 3, 400]))):
        first, second = _count_by_trees(x, y, k, rows), _count_by_distances(x, y, k, rows)
        np.testing.assert_array_equal(first[0], second[0])
        for one, other in zip(first[1], second[1], strict=True):
            np.testing.assert_array_equal(one, other)
    wide = [np.hstack([part, np.zeros((700, 20))]) for part in (x, y)]
    from msma.measures.information import ksg_terms

    np.testing.assert_allclose(ksg_terms(*wide, k=3), ksg_terms(x, y, k=3))
