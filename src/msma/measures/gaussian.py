"""What every Gaussian closed form is built from: fits, Cholesky factors, log-determinants without bias."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.special import digamma
from torch import Tensor

from msma.errors import ShapeError
from msma.measures._inputs import check_varies
from msma.moments import Moments

#: A squared Cholesky pivot of the correlation matrix (the share of a column's variance that the columns before
#: it leave unexplained) below this is rounding: float32 states carry noise of about 1e-14 in that share.
_SINGULAR = 1e-12


class GaussianFit(NamedTuple):
    """A Gaussian fitted to samples.

    Args:
        n: Number of samples.
        mean: Their mean.
        covariance: Their unbiased covariance.
    """

    n: int
    mean: Float[Tensor, " d"]
    covariance: Float[Tensor, "d d"]

    @classmethod
    def of_samples(cls, samples: Float[Tensor, "samples d"]) -> "GaussianFit":
        """Fit samples.

        Args:
            samples: At least two, in rows.

        Returns:
            The fit.
        """
        mean = samples.mean(dim=0)
        centred = samples - mean
        return cls(len(samples), mean, centred.T @ centred / (len(samples) - 1))

    @classmethod
    def of_moments(cls, moments: Moments) -> "GaussianFit":
        """Take the fit that streamed moments hold.

        Args:
            moments: Of at least two samples.

        Returns:
            The fit.
        """
        covariance = torch.from_numpy(moments.covariance(ddof=1))
        return cls(moments.n, torch.tensor(moments.mean, dtype=torch.float64), covariance)

    @classmethod
    def shrunk(cls, samples: Float[Tensor, "samples d"]) -> "GaussianFit":
        """Fit with a covariance shrunk towards a multiple of the identity (Ledoit and Wolf 2004, lemma 3.3).

        Args:
            samples: At least two, in rows.

        Returns:
            The fit; always invertible, so it counts as of more than ``d`` samples.
        """
        n, d = samples.shape
        mean = samples.mean(dim=0)
        centred = samples - mean
        covariance = centred.T @ centred / n
        level = covariance.diagonal().mean()
        spread = covariance.square().sum() - d * level**2
        noise = (centred.square().sum(dim=1).square().sum() / n - covariance.square().sum()) / n
        amount = (
            torch.clamp(noise / spread, max=1.0) if float(spread.detach()) > 0 else torch.ones_like(spread)
        )
        eye = torch.eye(d, dtype=samples.dtype, device=samples.device)
        return cls(max(n, d + 1), mean, (1 - amount) * covariance + amount * level * eye)


def factorise(fit: GaussianFit, *, name: str) -> Float[Tensor, "d d"]:
    """Compute the lower Cholesky factor of a covariance, through the correlation matrix.

    Scaling to unit variances first makes rank a matter of dependence, not of the units of a few huge columns.

    Args:
        fit: A fitted Gaussian.
        name: What to call the samples in an error.

    Returns:
        L with L L^T the covariance.

    Raises:
        ShapeError: When a column is constant or the covariance is singular.

    Examples:
        >>> fit = GaussianFit(9, torch.zeros(2), torch.tensor([[4.0, 2.0], [2.0, 2.0]]).double())
        >>> [[round(entry, 6) for entry in row] for row in factorise(fit, name="states").tolist()]
        [[2.0, 0.0], [1.0, 1.0]]
    """
    variance = fit.covariance.diagonal()
    check_varies(variance, fit.mean, name=name)
    scale = variance.sqrt()
    factor, failed = torch.linalg.cholesky_ex(fit.covariance / torch.outer(scale, scale))
    if bool(failed) or float(factor.detach().diagonal().min()) ** 2 < _SINGULAR:
        raise ShapeError(
            f"the covariance of {name} is singular (n={fit.n}, d={len(scale)}): some columns are sums of "
            "others, and no density exists; project both on the target's leading components first "
            "(leading_projection)"
        )
    scaled: Float[Tensor, "d d"] = scale[:, None] * factor
    return scaled


def whiten(covariance: Float[Tensor, "d d"]) -> Float[Tensor, "d r"]:
    """Compute a matrix that whitens a covariance within the dimensions it fills.

    Differentiable where the covariance has full rank, and then through its Cholesky factor, which has a
    gradient where eigenvectors have none. A covariance of lower rank is first cut down to its range.

    Args:
        covariance: Positive semi-definite, with a diagonal above 0; a scatter does as well.

    Returns:
        T with T^T S T the identity; as many columns as S has rank.

    Examples:
        >>> whiten(torch.ones(2, 2).double()).shape  # two copies of one column
        torch.Size([2, 1])
    """
    scale = covariance.diagonal().sqrt()
    correlation = covariance / torch.outer(scale, scale)
    basis = torch.eye(len(scale), dtype=covariance.dtype, device=covariance.device)
    factor, failed = torch.linalg.cholesky_ex(correlation)
    if bool(failed) or float(factor.detach().diagonal().min()) ** 2 < _SINGULAR:
        values, vectors = torch.linalg.eigh(correlation.detach())
        basis = vectors[:, values > len(scale) * _SINGULAR]
        factor = torch.linalg.cholesky(basis.T @ correlation @ basis)
    whitener: Float[Tensor, "d r"] = torch.linalg.solve_triangular(factor, basis.T, upper=False).T
    return whitener / scale[:, None]


def log_determinant(factor: Float[Tensor, "d d"]) -> Float[Tensor, ""]:
    """Compute the log-determinant of a covariance from its Cholesky factor.

    Args:
        factor: Lower triangular.

    Returns:
        log |L L^T|.

    Examples:
        >>> float(log_determinant(torch.eye(3)))
        0.0
    """
    return 2.0 * factor.diagonal().log().sum()


def log_determinant_bias(n: int, d: int) -> float:
    r"""Compute how far the log-determinant of a sample covariance is from the truth on average.

    .. math:: E\log|S| - \log|\Sigma| = \sum_{i=1}^{d} \psi\!\left(\frac{\nu-i+1}{2}\right) - d\log\frac{\nu}{2}

    With :math:`\nu = n - 1`, exact for Gaussian samples (Anderson 2003, *An Introduction to Multivariate
    Statistical Analysis*, theorem 7.5.3: the determinant is a product of independent chi-squares).

    Args:
        n: Number of samples, more than ``d``.
        d: Number of dimensions.

    Returns:
        The bias in nats, never above 0.

    Examples:
        >>> round(log_determinant_bias(5000, 768), 2), round(log_determinant_bias(10**6, 1), 6)
        (-62.35, -1e-06)
    """
    nu = n - 1
    return float(sum(digamma((nu - i) / 2) for i in range(d)) - d * math.log(nu / 2))


def check_enough(n: int, needed: int, *, name: str, why: str) -> None:
    """Refuse too few samples for a closed form.

    Args:
        n: Samples that came.
        needed: Fewest samples that will do.
        name: What to call them in an error.
        why: What needs them.

    Raises:
        ShapeError: When ``n`` is below ``needed``.
    """
    if n < needed:
        raise ShapeError(
            f"{name} came with {n} samples; {why} needs at least {needed}: give more samples, or project on "
            "the leading components first (leading_projection)"
        )
