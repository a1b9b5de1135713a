"""Laws whose mutual information is known: the 40 tasks of Czyz et al. (2023) and eight of other families.

Rebuilt from their definitions in "Beyond Normal: On the Evaluation of Mutual Information Estimators" (NeurIPS 2023):
a few laws of known information and maps of single sides, under which information does not change. The eight others,
named ``other-...``, are there to show whether an estimator was fitted to those families; their truth comes from
closed forms, from quadrature, or for the two mixtures from the mean of the exact log density ratio over a million
draws (``error`` is its standard error).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.integrate import quad
from scipy.special import digamma, gammaln, logsumexp, ndtr
from scipy.stats import norm

Sampler = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Task:
    """A law of pairs.

    Args:
        name: As in the paper's benchmark.
        d_source: Columns of x.
        d_target: Columns of y.
        mi: The truth in nats.
        sample: Draws n pairs.
        error: Standard error of the truth, where it is a mean over draws.
    """

    name: str
    d_source: int
    d_target: int
    mi: float
    sample: Sampler
    error: float = 0.0


# Laws.


def gaussian(covariance: np.ndarray, d_source: int) -> tuple[float, Sampler]:
    root = np.linalg.cholesky(covariance)
    parts = covariance[:d_source, :d_source], covariance[d_source:, d_source:], covariance
    logs = [np.linalg.slogdet(part)[1] for part in parts]

    def sample(n, rng):
        z = rng.normal(size=(n, len(covariance))) @ root.T
        return z[:, :d_source], z[:, d_source:]

    return 0.5 * (logs[0] + logs[1] - logs[2]), sample


def dense(d: int, correlation: float = 0.5) -> tuple[float, Sampler]:
    """Every two columns have one correlation."""
    return gaussian((1 - correlation) * np.eye(2 * d) + correlation, d)


def two_pairs(d: int, strength: float = 2.0) -> tuple[float, Sampler]:
    """Two columns of x share a latent of that strength with two of y; every column has noise of its own."""
    covariance = np.eye(2 * d)
    correlation = strength**2 / (1 + strength**2)
    for k in range(2):
        covariance[k, d + k] = covariance[d + k, k] = correlation
    return gaussian(covariance, d)


def student(d: int, degrees: int) -> tuple[float, Sampler]:
    """Spherical Student's t of 2 d columns: uncorrelated, sharing one scale."""

    def entropy(k):
        rest = gammaln(degrees / 2) - gammaln((degrees + k) / 2) + 0.5 * k * math.log(degrees * math.pi)
        return rest + 0.5 * (degrees + k) * (digamma((degrees + k) / 2) - digamma(degrees / 2))

    def sample(n, rng):
        z = rng.normal(size=(n, 2 * d)) / np.sqrt(rng.chisquare(degrees, size=(n, 1)) / degrees)
        return z[:, :d], z[:, d:]

    return float(2 * entropy(d) - entropy(2 * d)), sample


def additive(width: float) -> tuple[float, Sampler]:
    """X uniform on (0, 1), y = x + noise uniform on (-width, width)."""

    def sample(n, rng):
        x = rng.uniform(size=(n, 1))
        return x, x + rng.uniform(-width, width, size=(n, 1))

    # y has a trapezoid density of height 1 / max(1, 2 width); its entropy less that of the noise.
    return (1 / (4 * width) if width > 0.5 else width - math.log(2 * width)), sample


# Maps of one side that lose nothing.


def half_cube(x):
    return x * np.sqrt(np.abs(x))


def wiggle_x(x):
    return x + 0.4 * np.sin(x) + 0.2 * np.sin(1.7 * x + 1) + 0.03 * np.sin(3.3 * x - 2.5)


def wiggle_y(x):
    return x - 0.4 * np.sin(0.4 * x) + 0.17 * np.sin(1.3 * x + 3.5) + 0.02 * np.sin(4.3 * x - 2.5)


def bimodal(weight: float, left: float, right: float) -> Callable[[np.ndarray], np.ndarray]:
    """Carry a standard normal column onto a mixture of two normal laws of spread 1."""
    grid = np.linspace(-12, 12, 200_001)
    cdf = weight * ndtr(grid - left) + (1 - weight) * ndtr(grid - right)
    return lambda x: np.interp(ndtr(x), cdf, grid)


def swiss_roll(u):
    angle = 1.5 * np.pi * (1 + 2 * u[:, 0])
    return np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1) / 21


def spiral(i: int, j: int) -> Callable[[np.ndarray], np.ndarray]:
    """Turn the plane of columns i and j by the squared length over the width."""

    def turn(x):
        angle = (x**2).sum(axis=1) / x.shape[1]
        turned = x.copy()
        turned[:, i] = np.cos(angle) * x[:, i] - np.sin(angle) * x[:, j]
        turned[:, j] = np.sin(angle) * x[:, i] + np.cos(angle) * x[:, j]
        return turned

    return turn


def _mapped(law: tuple[float, Sampler], *maps) -> tuple[float, Sampler]:
    """Apply maps to both sides; a map that is a pair treats the sides apart."""
    mi, sample = law

    def mapped(n, rng):
        x, y = sample(n, rng)
        for map_ in maps:
            of_x, of_y = map_ if isinstance(map_, tuple) else (map_, map_)
            x, y = of_x(x), of_y(y)
        return x, y

    return mi, mapped


# Laws of other families.


def mixture(weights, means, spreads) -> tuple[float, float, Sampler]:
    """A mixture of normal laws, independent within a component, in 2 + 2 columns."""
    weights, means, spreads = (np.asarray(part, dtype=float) for part in (weights, means, spreads))

    def log_density(z, columns):
        each = norm.logpdf(z[:, None, :], means[None][..., columns], spreads[None][..., columns]).sum(axis=2)
        return logsumexp(each + np.log(weights), axis=1)

    def draw(n, rng):
        k = rng.choice(len(weights), size=n, p=weights)
        return means[k] + spreads[k] * rng.normal(size=(n, means.shape[1]))

    d = means.shape[1] // 2
    z = draw(1_000_000, np.random.default_rng(12345))
    first, second = slice(0, d), slice(d, 2 * d)
    terms = (
        log_density(z, slice(0, 2 * d)) - log_density(z[:, first], first) - log_density(z[:, second], second)
    )

    def sample(n, rng):
        z = draw(n, rng)
        return z[:, :d], z[:, d:]

    return float(terms.mean()), float(terms.std() / len(terms) ** 0.5), sample


def clayton(theta: float) -> tuple[float, float, Sampler]:
    """The Clayton copula: dependent in the lower tail (Nelsen 2006, table 4.1)."""

    def draw(n, rng):
        u, w = rng.uniform(size=(2, n))
        v = (u**-theta * (w ** (-theta / (1 + theta)) - 1) + 1) ** (-1 / theta)
        return u, v

    # E log c: -log u has mean 1, and -log C(u, v) has mean 1 + 1 / (1 + theta) by Kendall's law.
    mi = math.log(1 + theta) + 2 * (1 + theta) - (1 + 2 * theta) * (2 + theta) / (1 + theta)

    def sample(n, rng):
        return tuple(part[:, None] for part in draw(n, rng))

    return mi, 0.0, sample


def sine(noise: float = 0.3) -> tuple[float, float, Sampler]:
    """X uniform on (-pi, pi), y = sin(2 x) + noise."""
    grid = np.linspace(-np.pi, np.pi, 4000, endpoint=False)  # periodic: exact to rounding

    def density(y):
        return np.mean(norm.pdf(y, np.sin(2 * grid), noise))

    entropy = quad(lambda y: -density(y) * np.log(density(y)), -1 - 8 * noise, 1 + 8 * noise, limit=300)[0]

    def sample(n, rng):
        x = rng.uniform(-np.pi, np.pi, size=(n, 1))
        return x, np.sin(2 * x) + noise * rng.normal(size=(n, 1))

    return float(entropy - 0.5 * math.log(2 * math.pi * math.e * noise**2)), 0.0, sample


def laplace_channel(noise: float = 1.0) -> tuple[float, float, Sampler]:
    """X normal, y = x + Laplace noise."""

    def density(y):
        # Convolution of the normal and the Laplace law in closed form.
        tails = [np.exp(noise**-2 / 2 + s * y / noise) * ndtr(-s * y - 1 / noise) for s in (1, -1)]
        return sum(tails) / (2 * noise)

    entropy = quad(lambda y: -density(y) * np.log(density(y)), -30, 30, limit=500)[0]

    def sample(n, rng):
        x = rng.normal(size=(n, 1))
        return x, x + rng.laplace(scale=noise, size=(n, 1))

    return float(entropy - 1 - math.log(2 * noise)), 0.0, sample


def rings(d: int, spread: float = 0.1) -> tuple[float, float, Sampler]:
    """Sides that share a length of 1 or 2 and have directions of their own: log 2 where lengths are told apart."""

    def sample(n, rng):
        length = rng.integers(1, 3, size=n)[:, None].astype(float)
        sides = []
        for _ in range(2):
            direction = rng.normal(size=(n, d))
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            sides.append(direction * length * np.exp(spread * rng.uniform(-1, 1, size=(n, 1))))
        return tuple(sides)

    return math.log(2), 0.0, sample


def shared_scale(d: int) -> tuple[float, float, Sampler]:
    """Normal columns times one log-normal scale: heavy, but not Student's t. Truth by quadrature."""
    log_scales = np.linspace(-5, 5, 601) * 0.6
    weights = norm.logpdf(log_scales, scale=0.6) + math.log(log_scales[1] - log_scales[0])
    log_lengths = np.linspace(-9, 7, 1601)

    def entropy(k):
        """Of k columns, over the length of a row: the density is the same in all directions."""
        squares = np.exp(2 * (log_lengths[:, None] - log_scales))
        each = -0.5 * squares - k * (log_scales + 0.5 * math.log(2 * math.pi))
        log_density = logsumexp(each + weights, axis=1)
        area = math.log(2) + 0.5 * k * math.log(math.pi) - gammaln(k / 2)
        mass = np.exp(log_density + area + k * log_lengths) * (log_lengths[1] - log_lengths[0])
        return -(mass * log_density).sum() / mass.sum()

    def sample(n, rng):
        z = rng.normal(size=(n, 2 * d)) * np.exp(0.6 * rng.normal(size=(n, 1)))
        return z[:, :d], z[:, d:]

    return float(2 * entropy(d) - entropy(2 * d)), 0.0, sample


@cache
def published_tasks() -> dict[str, Task]:
    """Give the 40 tasks of the benchmark by name."""
    one = gaussian(np.array([[1.0, 0.75], [0.75, 1.0]]), 1)
    tasks = [
        ("1v1-normal-0.75", 1, one),
        ("normal_cdf-1v1-normal-0.75", 1, _mapped(one, ndtr)),
        ("1v1-additive-0.1", 1, additive(0.1)),
        ("1v1-additive-0.75", 1, additive(0.75)),
        ("1v1-bimodal-0.75", 1, _mapped(one, (bimodal(0.3, 0, 5), bimodal(0.5, -1, 3)))),
        ("wiggly-1v1-normal-0.75", 1, _mapped(one, (wiggle_x, wiggle_y))),
        ("half_cube-1v1-normal-0.75", 1, _mapped(one, half_cube)),
        ("student-identity-1-1-1", 1, student(1, 1)),
        ("asinh-student-identity-1-1-1", 1, _mapped(student(1, 1), np.arcsinh)),
        ("swissroll_x-normal_cdf-1v1-normal-0.75", 2, _mapped(one, ndtr, (swiss_roll, lambda y: y))),
    ]
    tasks += [(f"multinormal-dense-{d}-{d}-0.5", d, dense(d)) for d in (2, 3, 5, 25, 50)]
    tasks += [(f"multinormal-sparse-{d}-{d}-2-2.0", d, two_pairs(d)) for d in (2, 3, 5, 25)]
    heavy = ((2, 1), (2, 2), (3, 2), (3, 3), (5, 2), (5, 3))
    tasks += [(f"student-identity-{d}-{d}-{nu}", d, student(d, nu)) for d, nu in heavy]
    turns = spiral(0, 1), spiral(1, 2)
    for name, maps in (
        ("normal_cdf", (ndtr,)),
        ("half_cube", (half_cube,)),
        ("spiral", (turns,)),
        ("spiral-normal_cdf", (ndtr, turns)),
    ):
        tasks += [
            (f"{name}-multinormal-sparse-{d}-{d}-2-2.0", d, _mapped(two_pairs(d), *maps)) for d in (3, 5, 25)
        ]
    tasks += [
        (f"asinh-student-identity-{d}-{d}-{nu}", d, _mapped(student(d, nu), np.arcsinh))
        for d, nu in ((2, 1), (3, 2), (5, 2))
    ]
    return {
        name: Task(name, d, 1 if name.startswith("swissroll") else d, mi, sample)
        for name, d, (mi, sample) in tasks
    }


@cache
def other_tasks() -> dict[str, Task]:
    """Give eight tasks of other families by name; some truths are averaged over draws, which takes seconds."""
    far = [[-1.5, -1.5, -1.5, 1.5], [1.5, 1.5, 1.5, -1.5], [0, 0, 3, 3]]
    near = np.repeat(np.array([[0.0], [0.0]]), 4, axis=1)
    tasks = [
        ("other-mixture-2-2", 2, mixture([0.4, 0.4, 0.2], far, np.full((3, 4), 0.7))),
        ("other-contaminated-2-2", 2, mixture([0.7, 0.3], near, [[0.4] * 4, [2.0] * 4])),
        ("other-clayton-1-1", 1, clayton(2.0)),
        ("other-sine-1-1", 1, sine()),
        ("other-laplace-1-1", 1, laplace_channel()),
        ("other-rings-2-2", 2, rings(2)),
        ("other-rings-5-5", 5, rings(5)),
        ("other-scale-5-5", 5, shared_scale(5)),
    ]
    return {name: Task(name, d, d, mi, sample, error) for name, d, (mi, error, sample) in tasks}
