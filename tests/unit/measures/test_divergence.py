"""Gaussian KL: unbiased on independent samples and on pairs, and honest where it cannot be told."""

import numpy as np
import pytest
import torch

from msma.errors import ConfigError, ShapeError
from msma.measures.divergence import (
    gaussian_kl,
    gaussian_kl_from_cross_moments,
    gaussian_kl_from_moments,
    split_gaussian_kl,
)
from msma.moments import CrossMoments, Moments
from truths import (
    DependentLaw,
    gaussian_cross_moments,
    gaussian_kl_truth,
    gaussian_moments,
    independent_pair,
    random_covariance,
    shifted_pair,
)


def is_within_three_errors(values, truth):
    values = np.asarray(values)
    return abs(values.mean() - truth) < 3 * values.std(ddof=1) / np.sqrt(len(values))


@pytest.mark.parametrize(("n_source", "n_target"), [(14, 40), (40, 12), (25, 25)])
def test_corrected_is_unbiased_for_independent_samples(rng, n_source, n_target):
    d = 6
    cov_p, cov_q, shift = random_covariance(rng, d), random_covariance(rng, d), 0.5 * rng.normal(size=d)
    truth = gaussian_kl_truth(shift, cov_p, np.zeros(d), cov_q)
    root_p, root_q = np.linalg.cholesky(cov_p), np.linalg.cholesky(cov_q)
    values = [
        gaussian_kl_from_moments(
            gaussian_moments(rng, n_source, root_p, shift), gaussian_moments(rng, n_target, root_q)
        )
        for _ in range(3000)
    ]
    assert is_within_three_errors(values, truth)


def test_plugin_is_biased_where_corrected_is_not(rng):
    x, y = independent_pair(rng, 60, 20)
    assert gaussian_kl(x, y, estimator="plugin") > 4
    assert gaussian_kl(x, y, estimator="shrinkage") > gaussian_kl(x, y)
    assert abs(gaussian_kl(x, y)) < 2


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.95])
def test_paired_is_unbiased_whatever_the_dependence(rng, correlation):
    law = DependentLaw(rng, 5, correlation=correlation)
    values = [gaussian_kl(*law.sample(rng, 16), estimator="paired") for _ in range(3000)]
    assert is_within_three_errors(values, law.kl)


def test_corrected_is_far_too_low_on_dependent_pairs(rng):
    # The bias is about d (d + 1) / (2 n) nats times the explained share of the variance: 3.4 here.
    law = DependentLaw(rng, 64, correlation=0.9)
    values = np.array(
        [
            [gaussian_kl(x, y), gaussian_kl(x, y, estimator="paired"), split_gaussian_kl(x, y)]
            for x, y in (law.sample(rng, 500) for _ in range(20))
        ]
    )
    bias = values.mean(axis=0) - law.kl
    assert bias[0] < -2
    error = values.std(axis=0, ddof=1) / np.sqrt(20)
    assert (np.abs(bias[1:]) < 3 * error[1:]).all()


@pytest.mark.slow
def test_split_is_unbiased_on_pairs(rng):
    law = DependentLaw(rng, 4, correlation=0.9)
    values = [split_gaussian_kl(*law.sample(rng, 40), seed=i) for i in range(1500)]
    assert is_within_three_errors(values, law.kl)


def test_split_keeps_groups_together(rng):
    # Every row stands twice in a document: halves that cut through one would see a singular covariance.
    x = np.repeat(rng.normal(size=(200, 3)), 2, axis=0)
    assert abs(split_gaussian_kl(x, x, groups=np.repeat(np.arange(200), 2))) < 0.5


@pytest.mark.parametrize("estimator", ["corrected", "plugin", "diagonal"])
def test_samples_and_moments_agree(rng, estimator):
    x, y = shifted_pair(rng, 50, 4, kl=1.0, n_target=70)
    streamed = gaussian_kl_from_moments(Moments.from_batch(x), Moments.from_batch(y), estimator=estimator)
    assert gaussian_kl(x, y, estimator=estimator) == pytest.approx(streamed, abs=1e-12)


def test_paired_samples_and_moments_agree(rng):
    x, y = DependentLaw(rng, 4, correlation=0.7).sample(rng, 50)
    streamed = gaussian_kl_from_cross_moments(CrossMoments.from_batch(x, y))
    assert gaussian_kl(x, y, estimator="paired") == pytest.approx(streamed, abs=1e-12)


def test_paired_reads_zero_for_the_same_rows_and_corrected_does_not(rng):
    x = rng.normal(size=(300, 40)) @ rng.normal(size=(40, 40))
    assert gaussian_kl(x, x, estimator="paired") == pytest.approx(0, abs=1e-9)
    assert gaussian_kl(x, x) < -2


def test_huge_dimensions_do_not_drown_the_rest(rng):
    x, y = shifted_pair(rng, 400, 5, kl=1.0)
    scale = np.array([1e6, 1.0, 1e-6, 1.0, 1e3])
    assert gaussian_kl(x * scale, y * scale) == pytest.approx(gaussian_kl(x, y), abs=1e-9)


@pytest.mark.slow
def test_acceptance_kl_at_full_width(rng):
    """A true 2.0 nats and a true 0 at d = 768, n = 5,000; one draw has a spread of 0.17, the least there is."""
    d, n, root = 768, 5000, np.eye(768)
    shift = np.zeros(d)
    shift[0] = 2.0  # |shift|^2 / 2 = 2 nats
    same, apart = [], []
    for _ in range(10):
        p, q = gaussian_moments(rng, n, root), gaussian_moments(rng, n, root)
        moved = Moments(n=n, mean=p.mean + shift, scatter=p.scatter)
        same.append(gaussian_kl_from_moments(p, q))
        apart.append(gaussian_kl_from_moments(moved, q))
    assert abs(np.mean(same)) < 0.1
    assert abs(np.mean(apart) - 2.0) < 0.1
    assert np.std(same) < 0.3


@pytest.mark.slow
def test_acceptance_paired_kl_at_full_width(rng):
    """Pairs of correlation 0.9 between equal laws: 0, where the formula for independent samples reads -48."""
    d, n = 768, 5000
    root = np.block([[np.eye(d), np.zeros((d, d))], [0.9 * np.eye(d), np.sqrt(1 - 0.81) * np.eye(d)]])
    crosses = [gaussian_cross_moments(rng, n, root, d) for _ in range(4)]
    assert abs(np.mean([gaussian_kl_from_cross_moments(cross) for cross in crosses])) < 0.1
    assert gaussian_kl_from_moments(crosses[0].source, crosses[0].target) < -40


@pytest.mark.parametrize("estimator", ["corrected", "paired", "plugin", "shrinkage", "diagonal"])
def test_gradients_are_right(rng, estimator):
    x, y = (torch.tensor(part, requires_grad=True) for part in shifted_pair(rng, 12, 3, kl=1.0))
    assert torch.autograd.gradcheck(lambda a, b: gaussian_kl(a, b, estimator=estimator), (x, y))


def test_shrinkage_of_an_exact_ball_has_nothing_to_shrink(rng):
    cross = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert gaussian_kl(cross, cross, estimator="shrinkage") == pytest.approx(0)


def test_tensors_come_back_as_tensors(rng):
    x, y = shifted_pair(rng, 30, 3, kl=1.0)
    found = gaussian_kl(torch.from_numpy(x).float(), torch.from_numpy(y).float())
    assert isinstance(found, torch.Tensor)
    assert found.shape == ()
    assert float(found) == pytest.approx(gaussian_kl(x, y), abs=1e-4)
    assert isinstance(split_gaussian_kl(torch.from_numpy(x), torch.from_numpy(y)), torch.Tensor)


def test_refusals(rng):
    x, y = shifted_pair(rng, 30, 4, kl=1.0)
    with pytest.raises(ConfigError, match="'wrong' came; expected one of corrected, paired"):
        gaussian_kl(x, y, estimator="wrong")
    with pytest.raises(ConfigError, match=r"expected one of corrected, plugin, diagonal$"):
        gaussian_kl_from_moments(Moments.from_batch(x), Moments.from_batch(y), estimator="paired")
    with pytest.raises(ShapeError, match="source is 4 wide and target 3"):
        gaussian_kl(x, y[:, :3])
    with pytest.raises(ShapeError, match="4 and 3 wide"):
        gaussian_kl_from_moments(Moments.from_batch(x), Moments.from_batch(y[:, :3]))
    with pytest.raises(ShapeError, match="4 -> 3 wide"):
        gaussian_kl_from_cross_moments(CrossMoments.from_batch(x, y[:, :3]))
    with pytest.raises(ShapeError, match="30 samples and target with 20"):
        gaussian_kl(x, y[:20], estimator="paired")
    with pytest.raises(
        ShapeError, match=r"target came with 6 samples; .* needs at least 7.*leading_projection"
    ):
        gaussian_kl(x, y[:6])
    with pytest.raises(ShapeError, match=r"target came with 6 samples; .* needs at least 7"):
        gaussian_kl(x[:6], y[:6], estimator="paired")
    with pytest.raises(ShapeError, match="source came with 4 samples; the determinant"):
        gaussian_kl(x[:4], y)


@pytest.mark.parametrize("estimator", ["corrected", "paired", "plugin", "diagonal"])
def test_constant_columns_are_named(rng, estimator):
    x, y = shifted_pair(rng, 30, 4, kl=1.0)
    y[:, 2] = 0.1  # not exactly representable: its mean has rounding
    with pytest.raises(ShapeError, match="target is constant in column 2"):
        gaussian_kl(x, y, estimator=estimator)


@pytest.mark.parametrize("estimator", ["corrected", "paired", "plugin"])
def test_singular_covariances_are_refused(rng, estimator):
    x, y = shifted_pair(rng, 30, 4, kl=1.0)
    x[:, 3] = x[:, 0] + x[:, 1]
    with pytest.raises(ShapeError, match="covariance of source is singular"):
        gaussian_kl(x, y, estimator=estimator)
    # A constraint that holds up to float32 rounding (a layer norm's) is one too.
    rounded = x.astype(np.float32).astype(np.float64)
    with pytest.raises(ShapeError, match="covariance of source is singular"):
        gaussian_kl(rounded, y, estimator=estimator)


def test_split_refuses_groups_that_do_not_fit(rng):
    x, y = shifted_pair(rng, 30, 2, kl=1.0)
    with pytest.raises(ShapeError, match="at least 2 groups"):
        split_gaussian_kl(x, y, groups=np.zeros(30))
    with pytest.raises(ShapeError, match="one label"):
        split_gaussian_kl(x, y, groups=np.arange(7))
