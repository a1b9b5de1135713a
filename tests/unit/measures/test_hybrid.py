"""The default estimate of mutual information: truth, no ceiling, no invented remainder, documents, refusals."""

import math

import numpy as np
import pytest
from scipy.special import gammaln

from msma.errors import ConfigError, ShapeError
from msma.measures import club_mi, copula_mi, critic_mi, hybrid_mi, recommend
from msma.measures.remainder import FEWEST
from msma.measures.trained import deal_folds
from truths import informed_pair


def student_truth(d, degrees):
    """Mutual information of two blocks of d columns of one spherical Student's t, by its entropies."""
    from scipy.special import digamma

    def entropy(k):
        rest = gammaln(degrees / 2) - gammaln((degrees + k) / 2) + 0.5 * k * math.log(degrees * math.pi)
        return rest + 0.5 * (degrees + k) * (digamma((degrees + k) / 2) - digamma(degrees / 2))

    return 2 * entropy(d) - entropy(2 * d)


@pytest.mark.slow
@pytest.mark.parametrize(("d", "mi"), [(1, 0.7), (3, 1.0), (20, 1.5)])
def test_gaussian_pairs_read_their_gaussian_part(rng, d, mi):
    x, y = informed_pair(rng, 3000, d, mi=mi)
    found = hybrid_mi(np.exp(x), y**3, n_seeds=1)
    assert found.low < mi < found.high
    assert found.value == pytest.approx(copula_mi(x, y), abs=0.02)


def test_no_ceiling_at_the_logarithm_of_the_sample(rng):
    x, y = informed_pair(rng, 2000, 200, mi=100.0)
    found = hybrid_mi(x, y)
    assert found.value == pytest.approx(100.0, abs=3.0)
    assert found.low < 100.0 < found.high
    assert "directions" in found.note


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 4])
def test_a_shared_scale_is_seen_though_nothing_correlates(rng, d):
    z = rng.normal(size=(5000, 2 * d)) / np.sqrt(rng.chisquare(2, size=(5000, 1)) / 2)
    found = hybrid_mi(z[:, :d], z[:, d:], n_seeds=1)
    assert found.value == pytest.approx(student_truth(d, 2), abs=0.03)
    assert "Student" in found.method
    assert copula_mi(z[:, :d], z[:, d:]) < 0.02


def test_a_curve_in_few_dimensions_is_seen_by_neighbours(rng):
    x = rng.uniform(-1, 1, size=(4000, 1))
    y = np.where(rng.uniform(size=(4000, 1)) < 0.5, 1, -1) * x + rng.uniform(-0.1, 0.1, size=(4000, 1))
    assert copula_mi(x, y) < 0.05
    found = hybrid_mi(x, y)
    # p(y | x) is uniform on two strips 0.2 wide: h(y | x) is log 0.4, or log 0.2 where they overlap.
    assert found.value > 0.6
    assert "neighbours" in found.method


@pytest.mark.slow
def test_a_turn_in_more_dimensions_is_seen_by_critics(rng):
    x, y = informed_pair(rng, 4000, 3, mi=1.0)
    angle = (x**2).sum(axis=1) / 2
    turned = x.copy()
    turned[:, 0] = np.cos(angle) * x[:, 0] - np.sin(angle) * x[:, 1]
    turned[:, 1] = np.sin(angle) * x[:, 0] + np.cos(angle) * x[:, 1]
    found = hybrid_mi(turned, y, n_folds=3, n_seeds=1)
    assert "critics" in found.method
    assert copula_mi(turned, y) < 0.65
    assert 0.8 < found.value < 1.05


def test_independent_pairs_read_nothing_whatever_the_margins(rng):
    x, y = rng.standard_cauchy(size=(3000, 2)), rng.exponential(size=(3000, 3))
    found = hybrid_mi(x, y, n_seeds=1)
    assert abs(found.value) < 0.02
    assert found.low < 0 < found.high


@pytest.mark.slow
def test_shared_documents_widen_the_interval(rng):
    x, y = informed_pair(rng, 200, 2, mi=1.0)
    x, y = np.repeat(x, 10, axis=0), np.repeat(y, 10, axis=0)
    x, y = x + 1e-3 * rng.normal(size=x.shape), y + 1e-3 * rng.normal(size=y.shape)
    alone = hybrid_mi(x, y, n_folds=2, n_seeds=1)
    together = hybrid_mi(x, y, groups=np.repeat(np.arange(200), 10), n_folds=2, n_seeds=1)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_the_same_seed_gives_the_same_number_and_leaves_torch_alone(rng):
    import torch

    x, y = informed_pair(rng, 600, 2, mi=0.5)
    state = torch.get_rng_state()
    first, second = (hybrid_mi(x, y, n_folds=2, n_seeds=1, seed=3) for _ in range(2))
    assert first == second
    assert torch.equal(state, torch.get_rng_state())


def test_few_pairs_tell_the_gaussian_part_alone(rng):
    x, y = informed_pair(rng, FEWEST - 1, 2, mi=1.0)
    found = hybrid_mi(x, y)
    assert found.value == pytest.approx(copula_mi(x, y))
    assert "only the Gaussian part" in found.note


@pytest.mark.slow
@pytest.mark.parametrize("bound", ["infonce", "nwj", "smile", "mine"])
def test_every_critic_finds_a_gaussian_pair(rng, bound):
    x, y = informed_pair(rng, 3000, 2, mi=1.0)
    found = critic_mi(x, y, bound=bound, n_folds=3, n_seeds=1)
    assert found.value == pytest.approx(1.0, abs=0.12)
    assert found.method == bound


@pytest.mark.parametrize("bound", ["infonce", "nwj", "mine"])
def test_critics_find_nothing_in_shuffled_pairs(rng, bound):
    x, y = informed_pair(rng, 1500, 8, mi=5.0)
    found = critic_mi(x, y[rng.permutation(1500)], bound=bound, n_folds=3, n_seeds=1)
    assert abs(found.value) < 0.03


def test_scores_on_training_pairs_would_read_high(rng):
    """The check that disjoint pairs matter: a critic scored on what it was trained on invents information."""
    import torch

    from msma.measures.contrast import Pairs, fit_critic, score_pairs
    from msma.measures.critics import SeparableCritic

    x, y = (torch.tensor(part).float() for part in rng.normal(size=(2, 400, 30)))
    critic = SeparableCritic(30, 30)
    pairs = Pairs(x, y)
    # Stopped by the very pairs it is trained on, and scored on them.
    fit_critic(critic, Pairs(torch.cat([x, x]), torch.cat([y, y])), held=np.arange(400), epochs=60)
    own, taken = score_pairs(critic, pairs)
    assert (own - taken).mean() > 0.5
    assert abs(critic_mi(x.numpy(), y.numpy(), n_folds=2, n_seeds=1).value) < 0.05


def test_club_stays_above_the_lower_bounds(rng):
    x, y = informed_pair(rng, 2000, 2, mi=1.0)
    upper, lower = (f(x, y, n_folds=2, n_seeds=1) for f in (club_mi, critic_mi))
    assert upper.value > 1.0 > lower.value - 0.05


@pytest.mark.parametrize(
    ("sizes", "name", "why"),
    [
        ((100, 3, 3), "copula_mi", "Gaussian copula"),
        ((1000, 768, 768), "leading_projection", "1538"),
        ((2000, 768, 768), "hybrid_mi", "leading directions only"),
        ((10_000, 1, 1), "hybrid_mi", "nearest neighbours"),
        ((10_000, 25, 25), "hybrid_mi", "no ceiling"),
    ],
)
def test_recommendations_say_why(sizes, name, why):
    found = recommend(*sizes)
    assert found.estimator == name
    assert why in found.reason


def test_refusals(rng):
    x, y = rng.normal(size=(2, 200, 2))
    with pytest.raises(ConfigError, match="expected one of infonce"):
        critic_mi(x, y, bound="nce")
    with pytest.raises(ConfigError, match="2 folds"):
        critic_mi(x, y, n_folds=1)
    with pytest.raises(ConfigError, match="1 round"):
        hybrid_mi(x, y, n_seeds=0)
    with pytest.raises(ConfigError, match="whole numbers from 1"):
        recommend(0, 3, 3)
    with pytest.raises(ShapeError, match="at least 100"):
        critic_mi(x[:50], y[:50])
    with pytest.raises(ShapeError, match="constant in column 0"):
        hybrid_mi(np.zeros((200, 1)), y)
    with pytest.raises(ShapeError, match="expected pairs"):
        hybrid_mi(x[:150], y)
    with pytest.raises(ShapeError, match="needs at least 122"):
        hybrid_mi(rng.normal(size=(100, 60)), rng.normal(size=(100, 60)))
    with pytest.raises(ShapeError, match="infinite"):
        hybrid_mi(x, np.hstack([x[:, :1], y]))
    with pytest.raises(ShapeError, match="one label for each of 10 pairs"):
        deal_folds(np.arange(3), 10, n_folds=2, seed=0)
    with pytest.raises(ShapeError, match="name 2 documents; 5 folds"):
        deal_folds(np.arange(10) % 2, 10, n_folds=5, seed=0)
