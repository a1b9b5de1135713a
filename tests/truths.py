"""Generators that know their answer: what an estimate is held against."""

import numpy as np

from msma.moments import CrossMoments, Moments


def gaussian_kl_truth(mean_p, cov_p, mean_q, cov_q):
    """KL(N(mean_p, cov_p) || N(mean_q, cov_q)) in nats, by the textbook formula and nothing else."""
    inverse = np.linalg.inv(cov_q)
    delta = mean_q - mean_p
    determinants = np.linalg.slogdet(cov_q)[1] - np.linalg.slogdet(cov_p)[1]
    return 0.5 * (np.trace(inverse @ cov_p) + delta @ inverse @ delta - len(delta) + determinants)


def gaussian_mi_truth(covariance, d_source):
    """Mutual information between the first ``d_source`` coordinates and the rest, in nats."""
    parts = covariance[:d_source, :d_source], covariance[d_source:, d_source:], covariance
    first, second, joint = (np.linalg.slogdet(part)[1] for part in parts)
    return 0.5 * (first + second - joint)


def random_covariance(rng, d):
    """A well-conditioned covariance that is neither diagonal nor isotropic."""
    root = np.eye(d) + 0.5 * rng.normal(size=(d, d)) / np.sqrt(d)
    return root @ root.T


def random_rotation(rng, d):
    """An orthogonal matrix, reflections included."""
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def independent_pair(rng, n, d_source, d_target=None):
    """Two samples that have nothing to do with each other: MI 0, all correlations 0."""
    return rng.normal(size=(n, d_source)), rng.normal(size=(n, d_target or d_source))


def shifted_pair(rng, n, d, *, kl, n_target=None):
    """Independent samples of two laws of one covariance whose means are apart by exactly ``kl`` nats."""
    root = np.linalg.cholesky(random_covariance(rng, d))
    direction = rng.normal(size=d)
    shift = root @ (direction / np.linalg.norm(direction)) * np.sqrt(2 * kl)
    return rng.normal(size=(n, d)) @ root.T + shift, rng.normal(size=(n_target or n, d)) @ root.T


class DependentLaw:
    """Pairs (x, y): y Gaussian, x a noisy linear image of y, as a map's output is beside its target.

    Attributes: ``kl`` of x's law from y's; ``mi`` between x and y.
    """

    def __init__(self, rng, d, *, correlation):
        self.root = np.eye(d) + 0.3 * rng.normal(size=(d, d)) / np.sqrt(d)
        self.slope = correlation * (np.eye(d) + 0.2 * rng.normal(size=(d, d)) / np.sqrt(d))
        self.noise = np.sqrt(1 - correlation**2) * self.root
        self.shift = 0.2 * rng.normal(size=d)
        cov_y = self.root @ self.root.T
        cov_x = self.slope @ cov_y @ self.slope.T + self.noise @ self.noise.T
        self.covariance = np.block([[cov_x, self.slope @ cov_y], [cov_y @ self.slope.T, cov_y]])
        self.kl = gaussian_kl_truth(self.shift, cov_x, np.zeros(d), cov_y)
        self.mi = gaussian_mi_truth(self.covariance, d)

    def sample(self, rng, n):
        first, second = rng.normal(size=(2, n, len(self.shift)))
        y = first @ self.root.T
        return y @ self.slope.T + second @ self.noise.T + self.shift, y


def informed_pair(rng, n, d, *, mi):
    """Gaussian pairs with exactly ``mi`` nats of mutual information, spread evenly over ``d`` coordinates."""
    correlation = np.sqrt(1 - np.exp(-2 * mi / d))
    x, noise = rng.normal(size=(2, n, d))
    return x, correlation * x + np.sqrt(1 - correlation**2) * noise


def rotated_pair(rng, n, d, *, scale=2.0):
    """Anisotropic samples, the same ones turned, scaled and shifted, and the rotation."""
    rotation = random_rotation(rng, d)
    x = rng.normal(size=(n, d)) * np.linspace(1, 3, d)
    return x, scale * x @ rotation + rng.normal(size=d), rotation


def sphere(rng, n, dimension, *, radius=1.0, width=None, noise=0.0):
    """Uniform on a sphere of ``dimension`` (its surface) in ``width`` coordinates: curvature 1 / radius."""
    points = rng.normal(size=(n, dimension + 1))
    points *= radius / np.linalg.norm(points, axis=1, keepdims=True)
    return _embed(rng, points, width or dimension + 2, noise)


def flat(rng, n, dimension, *, width=None, noise=0.0):
    """Uniform on a cube of ``dimension`` in a plane of ``width`` coordinates: curvature 0."""
    return _embed(rng, rng.uniform(-1, 1, size=(n, dimension)), width or dimension + 2, noise)


def _embed(rng, points, width, noise):
    turn = np.linalg.qr(rng.normal(size=(width, points.shape[1])))[0]
    return points @ turn.T + noise * rng.normal(size=(len(points), width))


def gaussian_moments(rng, n, root, mean=None):
    """Moments that ``n`` samples of N(mean, root root^T) would have, without drawing them (Bartlett 1933)."""
    d = len(root)
    lower = np.tril(rng.normal(size=(d, d)), -1)
    lower[np.diag_indices(d)] = np.sqrt(rng.chisquare(n - 1 - np.arange(d)))
    factor = root @ lower
    centre = rng.normal(size=d) @ root.T / np.sqrt(n) + (0.0 if mean is None else mean)
    return Moments(n=n, mean=centre, scatter=factor @ factor.T)


def gaussian_cross_moments(rng, n, root, d_source):
    """The same for pairs: the first ``d_source`` coordinates are the source, the others the target."""
    joint = gaussian_moments(rng, n, root)
    source, target = slice(None, d_source), slice(d_source, None)
    return CrossMoments(
        n=n,
        mean_source=joint.mean[source],
        mean_target=joint.mean[target],
        scatter_source=joint.scatter[source, source],
        scatter_cross=joint.scatter[source, target],
        scatter_target=joint.scatter[target, target],
    )
