"""Variational bounds: what they are at the true ratio, their ceilings, their gradients, their refusals."""

import math

import numpy as np
import pytest
import torch

from msma.errors import ConfigError, ShapeError
from msma.measures.bounds import (
    BOUNDS,
    club_bound,
    find_bound,
    infonce_bound,
    jensen_shannon_bound,
    mine_bound,
    mine_surrogate,
    nwj_bound,
    smile_bound,
    vib_rate,
)

RHO = 0.8
TRUTH = -0.5 * math.log(1 - RHO**2)


@pytest.fixture(scope="module")
def log_ratio():
    """The true log p(x, y) / p(x) p(y) of a Gaussian pair, for every way to pair 3,000 samples."""
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 3000))
    y = RHO * x + math.sqrt(1 - RHO**2) * noise
    x, y = torch.tensor(x)[:, None], torch.tensor(y)[None, :]
    quadratic = (x**2 + y**2 - 2 * RHO * x * y) / (1 - RHO**2) - x**2 - y**2
    return TRUTH - 0.5 * quadratic


@pytest.mark.parametrize(
    ("bound", "optimum"),
    [(infonce_bound, 0.0), (nwj_bound, 1.0), (mine_bound, 3.0), (smile_bound, 0.0)],
)
def test_at_the_true_ratio_every_bound_reads_the_truth(log_ratio, bound, optimum):
    assert float(bound(log_ratio + optimum)) == pytest.approx(TRUTH, abs=0.05)


@pytest.mark.parametrize("bound", [infonce_bound, nwj_bound, mine_bound])
def test_any_other_critic_reads_less(log_ratio, bound):
    shift = 1.0 if bound is nwj_bound else 0.0
    best = float(bound(log_ratio + shift))
    for wrong in (0.5 * log_ratio, log_ratio + 0.5 * torch.sin(3 * log_ratio), 0.0 * log_ratio):
        assert float(bound(wrong + shift)) < best


@pytest.mark.parametrize("name", list(BOUNDS))
def test_independent_pairs_and_no_critic_read_nothing(name):
    shift = 1.0 if name == "nwj" else 0.0
    assert float(BOUNDS[name](torch.full((20, 20), shift))) == pytest.approx(0.0, abs=1e-6)


def test_infonce_has_its_ceiling_and_the_others_do_not():
    scores = 50.0 * torch.eye(16) - 25.0
    assert float(infonce_bound(scores)) == pytest.approx(math.log(16))
    assert float(mine_bound(scores)) == pytest.approx(50.0)


@pytest.mark.parametrize("bound", [infonce_bound, nwj_bound, mine_bound, jensen_shannon_bound])
def test_gradients_against_finite_differences(bound):
    scores = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.5
    assert torch.autograd.gradcheck(bound, scores.requires_grad_(True))


def test_smile_has_the_gradient_of_a_classifier_and_its_own_value():
    scores = torch.randn(5, 5, dtype=torch.float64).requires_grad_(True)
    (first,) = torch.autograd.grad(smile_bound(scores), scores)
    (second,) = torch.autograd.grad(jensen_shannon_bound(scores), scores)
    torch.testing.assert_close(first, second)
    scores = scores.detach()
    assert float(smile_bound(scores)) == pytest.approx(float(mine_bound(scores)))  # nothing is clipped
    assert float(smile_bound(scores, clip=0.1)) != pytest.approx(float(mine_bound(scores)))


def test_a_classifier_of_certain_pairs_reaches_its_ceiling():
    assert float(jensen_shannon_bound(100.0 * torch.eye(9) - 50.0)) == pytest.approx(2 * math.log(2))


def test_mine_gradient_with_its_own_average_is_the_bound_s_gradient():
    scores = torch.randn(6, 6, dtype=torch.float64).requires_grad_(True)
    surrogate, average = mine_surrogate(scores, None)
    (first,) = torch.autograd.grad(surrogate, scores)
    (second,) = torch.autograd.grad(mine_bound(scores), scores)
    torch.testing.assert_close(first, second)
    # With an average from elsewhere the shuffled pairs weigh by that average.
    surrogate, moved = mine_surrogate(scores, average + 2.0)
    (third,) = torch.autograd.grad(surrogate, scores)
    apart = ~torch.eye(6, dtype=torch.bool)
    torch.testing.assert_close(third[apart], first[apart] * math.exp(average - moved))
    assert average < moved < average + 2.0


def test_mine_looks_at_shuffled_pairs_only():
    scores = torch.zeros(4, 4)
    scores.fill_diagonal_(100.0)
    assert float(mine_bound(scores)) == pytest.approx(100.0)


def test_club_is_above_the_truth_with_the_true_conditional():
    rng = np.random.default_rng(1)
    x, noise = rng.normal(size=(2, 2000))
    y = RHO * x + math.sqrt(1 - RHO**2) * noise
    log_q = -0.5 * (torch.tensor(y)[None] - RHO * torch.tensor(x)[:, None]) ** 2 / (1 - RHO**2)
    assert float(club_bound(log_q)) == pytest.approx(RHO**2 / (1 - RHO**2), rel=0.1)
    assert float(club_bound(log_q)) > TRUTH


def test_the_rate_is_the_divergence_from_the_prior():
    mean, log_variance = torch.randn(7, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)
    encoder = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = torch.distributions.kl_divergence(encoder, prior).sum(dim=1).mean()
    torch.testing.assert_close(vib_rate(mean, log_variance), expected)


def test_refusals():
    with pytest.raises(ShapeError, match="every x beside every y"):
        infonce_bound(torch.zeros(3, 4))
    with pytest.raises(ShapeError, match="n >= 2"):
        nwj_bound(torch.zeros(1, 1))
    with pytest.raises(ShapeError, match="equal shapes"):
        vib_rate(torch.zeros(3, 2), torch.zeros(3, 3))
    with pytest.raises(ConfigError, match="above 0"):
        smile_bound(torch.zeros(3, 3), clip=0.0)
    with pytest.raises(ConfigError, match="expected one of infonce, nwj, smile, mine"):
        find_bound("nce")
