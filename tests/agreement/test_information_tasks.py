"""The truths of the information benchmark against computations of another kind, and its samplers against them."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import dblquad, quad
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, multivariate_t, norm

from msma.measures import copula_mi, ksg_mi

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from information_tasks import (
    clayton,
    laplace_channel,
    mixture,
    published_tasks,
    rings,
    shared_scale,
    sine,
    student,
)

TASKS = published_tasks()


def mean_log_ratio(joint, first, second, z, d):
    """Average the exact log density ratio over draws: value and standard error."""
    terms = joint.logpdf(z) - first.logpdf(z[:, :d]) - second.logpdf(z[:, d:])
    return terms.mean(), terms.std() / len(terms) ** 0.5


def test_there_are_the_forty_tasks_with_their_widths():
    assert len(TASKS) == 40
    for name, task in TASKS.items():
        x, y = task.sample(10, np.random.default_rng(0))
        assert x.shape == (10, task.d_source), name
        assert y.shape == (10, task.d_target), name


@pytest.mark.parametrize(("d", "degrees"), [(1, 1), (2, 1), (3, 3), (5, 2)])
def test_student_truths_are_means_of_the_log_ratio(d, degrees):
    z = np.hstack(TASKS[f"student-identity-{d}-{d}-{degrees}"].sample(100_000, np.random.default_rng(1)))
    part, joint = (multivariate_t(shape=np.eye(k), df=degrees) for k in (d, 2 * d))
    value, error = mean_log_ratio(joint, part, part, z, d)
    assert abs(value - student(d, degrees)[0]) < 4 * error


@pytest.mark.parametrize("name", ["multinormal-dense-5-5-0.5", "multinormal-sparse-3-3-2-2.0"])
def test_gaussian_truths_are_means_of_the_log_ratio(name):
    task = TASKS[name]
    z = np.hstack(task.sample(200_000, np.random.default_rng(2)))
    d = task.d_source
    covariance = 0.5 * np.eye(2 * d) + 0.5
    if "sparse" in name:
        covariance = np.eye(2 * d)
        covariance[[0, 1, d, d + 1], [d, d + 1, 0, 1]] = 0.8
    joint = multivariate_normal(cov=covariance)
    first, second = (multivariate_normal(cov=covariance[s, s]) for s in (slice(0, d), slice(d, None)))
    value, error = mean_log_ratio(joint, first, second, z, d)
    assert abs(value - task.mi) < 4 * error


@pytest.mark.parametrize("width", [0.1, 0.75])
def test_additive_truths_by_quadrature(width):
    def density(y):
        return (min(y + width, 1) - max(y - width, 0)) / (2 * width)

    knots = sorted({-width, width, 1 - width, 1 + width})
    entropy = quad(lambda y: -density(y) * math.log(density(y)), -width, 1 + width, points=knots[1:3])[0]
    assert entropy - math.log(2 * width) == pytest.approx(TASKS[f"1v1-additive-{width}"].mi, abs=1e-6)


@pytest.mark.slow
def test_a_mixture_by_quadrature():
    weights, means, spread = [0.5, 0.5], [[-1.0, -1.0], [1.0, 1.0]], 0.8
    value, error, _ = mixture(weights, means, np.full((2, 2), spread))

    def one(t):
        return 0.5 * norm.pdf(t, -1, spread) + 0.5 * norm.pdf(t, 1, spread)

    def term(y, x):
        both = 0.5 * norm.pdf(x, -1, spread) * norm.pdf(y, -1, spread)
        both += 0.5 * norm.pdf(x, 1, spread) * norm.pdf(y, 1, spread)
        return both * math.log(both / (one(x) * one(y)))

    exact = dblquad(term, -5, 5, -5, 5, epsabs=1e-4)[0]
    assert abs(value - exact) < 4 * error + 1e-3


def test_clayton_by_quadrature():
    theta = 2.0
    grid = np.linspace(-5.5, 5.5, 1501)
    u, v = norm.cdf(grid)[:, None], norm.cdf(grid)[None, :]
    size = u**-theta + v**-theta - 1
    density = (1 + theta) * (u * v) ** (-1 - theta) * size ** (-2 - 1 / theta)
    weight = norm.pdf(grid)[:, None] * norm.pdf(grid)[None, :] * (grid[1] - grid[0]) ** 2
    exact = float((weight * density * np.log(density)).sum())
    assert clayton(theta)[0] == pytest.approx(exact, abs=1e-3)


def test_clayton_draws_have_that_mean_log_density():
    u, v = (part[:, 0] for part in clayton(2.0)[2](400_000, np.random.default_rng(8)))
    terms = math.log(3) - 3 * np.log(u * v) - 2.5 * np.log(u**-2 + v**-2 - 1)
    assert abs(terms.mean() - clayton(2.0)[0]) < 4 * terms.std() / len(terms) ** 0.5


def test_the_sine_channel_by_another_quadrature():
    """The law of a sine of a uniform angle is the arcsine law, whose quadrature is Chebyshev's."""
    noise, nodes = 0.3, 2000
    sines = np.cos((2 * np.arange(nodes) + 1) * np.pi / (2 * nodes))
    y = np.linspace(-4, 4, 2001)
    density = norm.pdf(y[:, None], sines, noise).mean(axis=1)
    entropy = -(density * np.log(density)).sum() * (y[1] - y[0])
    assert entropy - 0.5 * math.log(2 * math.pi * math.e * noise**2) == pytest.approx(sine()[0], abs=1e-6)


def test_the_laplace_channel_is_the_mean_of_the_log_ratio():
    x, y = (part[:, 0] for part in laplace_channel()[2](200_000, np.random.default_rng(9)))
    grid, inner = np.linspace(-16, 16, 801), np.linspace(-8, 8, 1601)
    convolved = (np.exp(-np.abs(grid[:, None] - inner)) / 2 * norm.pdf(inner)).sum(axis=1) * 0.01
    terms = -np.abs(y - x) - math.log(2) - np.log(np.interp(y, grid, convolved))
    assert abs(terms.mean() - laplace_channel()[0]) < 4 * terms.std() / len(terms) ** 0.5


@pytest.mark.parametrize("d", [1, 5])
def test_a_shared_scale_is_the_mean_of_the_log_ratio(d):
    """The scale is integrated out by Gauss and Hermite's rule, the samples by drawing them."""
    truth, _, sample = shared_scale(d)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    kept = weights > 1e-20
    log_scales, weights = 0.6 * nodes[kept], np.log(weights[kept] / weights.sum())

    def log_density(part):
        squares, k = (part**2).sum(axis=1), part.shape[1]
        each = -0.5 * squares[:, None] * np.exp(-2 * log_scales) - k * log_scales + weights
        return logsumexp(each, axis=1)  # the constants of both sides and of the pair cancel

    x, y = sample(40_000, np.random.default_rng(10))
    terms = log_density(np.hstack([x, y])) - log_density(x) - log_density(y)
    assert abs(terms.mean() - truth) < 4 * terms.std() / len(terms) ** 0.5


@pytest.mark.parametrize("d", [2, 5])
def test_rings_share_one_bit_and_nothing_else(d):
    truth, _, sample = rings(d)
    x, y = sample(20_000, np.random.default_rng(11))
    lengths = [np.linalg.norm(part, axis=1) for part in (x, y)]
    outer = [part > 1.5 for part in lengths]
    assert not any(((part > 1.2) & (part < 1.7)).any() for part in lengths)  # told apart without doubt
    assert (outer[0] == outer[1]).all()
    assert abs(outer[0].mean() - 0.5) < 0.02
    assert truth == math.log(2)
    for k in (True, False):
        inside = outer[0] == k
        assert abs(np.corrcoef(lengths[0][inside], lengths[1][inside])[0, 1]) < 0.05
    assert np.abs(np.corrcoef(x.T / lengths[0], y.T / lengths[1])[:d, d:]).max() < 0.05


@pytest.mark.parametrize("d", [2, 3, 5, 25, 50])
def test_dense_truths_from_the_one_canonical_correlation(d):
    correlation = 0.5 * d / (1 + 0.5 * (d - 1))
    assert TASKS[f"multinormal-dense-{d}-{d}-0.5"].mi == pytest.approx(-0.5 * math.log1p(-(correlation**2)))


@pytest.mark.parametrize("name", [name for name in TASKS if "sparse" in name])
def test_sparse_truths_are_those_of_two_columns(name):
    assert TASKS[name].mi == pytest.approx(-math.log1p(-(0.8**2)))


@pytest.mark.parametrize("law", [sine, laplace_channel])
def test_channels_against_neighbours(law):
    truth, _, sample = law()
    assert ksg_mi(*sample(6000, np.random.default_rng(3))) == pytest.approx(truth, abs=0.04)


@pytest.mark.parametrize(
    "name",
    ["normal_cdf-1v1-normal-0.75", "half_cube-1v1-normal-0.75", "wiggly-1v1-normal-0.75", "1v1-bimodal-0.75"],
)
def test_increasing_maps_of_one_column_keep_the_ranks(name):
    plain, mapped = TASKS["1v1-normal-0.75"], TASKS[name]
    values = [copula_mi(*task.sample(4000, np.random.default_rng(12))) for task in (plain, mapped)]
    assert values[0] == pytest.approx(values[1], abs=1e-9)
    assert mapped.mi == plain.mi == pytest.approx(-0.5 * math.log(1 - 0.75**2))


def test_the_swiss_roll_can_be_unrolled():
    """The angle is the column that was rolled up: the length of a point is 1.5 pi (1 + 2 u) / 21."""
    rolled = TASKS["swissroll_x-normal_cdf-1v1-normal-0.75"].sample(2000, np.random.default_rng(13))
    flat = TASKS["normal_cdf-1v1-normal-0.75"].sample(2000, np.random.default_rng(13))
    lengths = np.linalg.norm(rolled[0], axis=1)
    np.testing.assert_allclose(0.5 * (21 * lengths / (1.5 * np.pi) - 1), flat[0][:, 0], atol=1e-12)
    np.testing.assert_array_equal(rolled[1], flat[1])


@pytest.mark.parametrize("prefix", ["normal_cdf", "half_cube"])
def test_maps_of_single_columns_change_nothing(prefix):
    plain, mapped = TASKS["multinormal-sparse-3-3-2-2.0"], TASKS[f"{prefix}-multinormal-sparse-3-3-2-2.0"]
    values = [copula_mi(*task.sample(4000, np.random.default_rng(4))) for task in (plain, mapped)]
    assert values[0] == pytest.approx(values[1], abs=1e-9)
    assert mapped.mi == plain.mi


def test_a_spiral_keeps_lengths_and_hides_correlation():
    plain, turned = TASKS["multinormal-sparse-5-5-2-2.0"], TASKS["spiral-multinormal-sparse-5-5-2-2.0"]
    x, y = plain.sample(4000, np.random.default_rng(5))
    u, v = turned.sample(4000, np.random.default_rng(5))
    np.testing.assert_allclose((x**2).sum(axis=1), (u**2).sum(axis=1))
    np.testing.assert_allclose((y**2).sum(axis=1), (v**2).sum(axis=1))
    assert copula_mi(u, v) < 0.6 < copula_mi(x, y)
