"""The Gaussian ground floor and the projection onto leading components."""

import numpy as np
import pytest
import torch

from msma.errors import ShapeError
from msma.measures.divergence import gaussian_kl
from msma.measures.gaussian import GaussianFit, factorise, log_determinant, log_determinant_bias, whiten
from msma.measures.projection import leading_projection, projection_width
from msma.moments import Moments
from truths import gaussian_moments, independent_pair, random_covariance


def test_log_determinant_bias_is_the_simulated_one(rng):
    n, d = 12, 5
    root = np.linalg.cholesky(random_covariance(rng, d))
    truth = np.linalg.slogdet(root @ root.T)[1]
    values = np.array(
        [np.linalg.slogdet(gaussian_moments(rng, n, root).covariance())[1] for _ in range(4000)]
    )
    error = 3 * values.std() / np.sqrt(len(values))
    assert values.mean() - truth == pytest.approx(log_determinant_bias(n, d), abs=error)


def test_fits_of_samples_and_moments_agree(rng):
    x, _ = independent_pair(rng, 20, 3)
    samples, moments = (
        GaussianFit.of_samples(torch.from_numpy(x)),
        GaussianFit.of_moments(Moments.from_batch(x)),
    )
    torch.testing.assert_close(samples.covariance, moments.covariance)
    torch.testing.assert_close(samples.mean, moments.mean)


def test_factor_gives_the_covariance_back(rng):
    fit = GaussianFit.of_samples(torch.from_numpy(rng.normal(size=(50, 4)) * [1e-5, 1.0, 1e5, 3.0]))
    factor = factorise(fit, name="states")
    torch.testing.assert_close(factor @ factor.T, fit.covariance)
    assert float(log_determinant(factor)) == pytest.approx(float(torch.logdet(fit.covariance)))


@pytest.mark.parametrize("rank", [4, 2])
def test_whitening_whitens_within_the_rank(rng, rank):
    x = torch.from_numpy(rng.normal(size=(50, rank)) @ rng.normal(size=(rank, 4)))
    covariance = x.T @ x
    whitener = whiten(covariance)
    assert whitener.shape == (4, rank)
    torch.testing.assert_close(whitener.T @ covariance @ whitener, torch.eye(rank).double())


def test_leading_projection_is_that_of_the_singular_vectors(rng):
    x = rng.normal(size=(60, 6)) * [5, 1, 4, 1, 3, 1] + 10
    basis = leading_projection(x, k=3)
    assert np.allclose(basis.T @ basis, np.eye(3))
    _, _, right = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    assert np.allclose(np.abs((basis * right[:3].T).sum(axis=0)), 1)
    assert (basis[np.abs(basis).argmax(axis=0), np.arange(3)] > 0).all()


def test_projection_makes_few_samples_enough(rng):
    train, _ = independent_pair(rng, 300, 100)
    x, y = independent_pair(rng, 60, 100)
    with pytest.raises(ShapeError, match="leading_projection"):
        gaussian_kl(x, y)
    basis = leading_projection(train, k=projection_width(60, 100))
    assert basis.shape == (100, 10)
    assert abs(gaussian_kl(x @ basis, y @ basis)) < 1


def test_projection_width_is_a_sixth_within_bounds():
    assert projection_width(3, 10) == 1
    assert projection_width(60, 8) == 8


@pytest.mark.parametrize("k", [0, 5, 3])
def test_impossible_numbers_of_components_are_refused(rng, k):
    samples = rng.normal(size=(3 if k == 3 else 30, 4))
    with pytest.raises(ShapeError, match=f"k={k} components"):
        leading_projection(samples, k=k)
