r"""Log density ratios log p(x, y) / p(x) p(y) of laws that have one in closed form: the Gaussian and Student's t.

Both depend on a pair only through the Mahalanobis sizes of x, of y and of the two together,

.. math:: m_x = x^T\Sigma_X^{-1}x,\quad m_y = y^T\Sigma_Y^{-1}y,\quad m = (x, y)^T\Sigma^{-1}(x, y),

so the scores of all n^2 ways to pair samples cost one product of matrices.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import gammaln
from scipy.stats import t as student_t
from torch import Tensor

__all__ = ["DensityRatio", "fit_gaussian_ratio", "fit_student_ratio", "student_scores"]

#: Degrees of freedom tried for Student's t, from the heaviest tails to nearly Gaussian ones.
DEGREES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0)
_STEPS = 100


@dataclass(frozen=True, eq=False)
class DensityRatio:
    """A log density ratio of centred elliptical pairs.

    Args:
        precision_source: Inverse of the source's scale matrix.
        precision_target: Inverse of the target's.
        precision: Inverse of the joint one.
        constant: Half the difference of log-determinants, -1/2 log |S| + 1/2 log |S_X| + 1/2 log |S_Y|.
        degrees: Degrees of freedom of Student's t; infinity for the Gaussian.
    """

    precision_source: Float[Tensor, "d_source d_source"]
    precision_target: Float[Tensor, "d_target d_target"]
    precision: Float[Tensor, "d d"]
    constant: float
    degrees: float = float("inf")

    @classmethod
    def from_scale(cls, scale: Float[Tensor, "d d"], d_source: int, *, degrees: float = float("inf")) -> Self:
        """Build the ratio from a joint scale matrix.

        Args:
            scale: Covariance, or scale matrix of Student's t; source columns first.
            d_source: Number of source columns.
            degrees: Degrees of freedom.

        Returns:
            The ratio.
        """
        source, target = scale[:d_source, :d_source], scale[d_source:, d_source:]
        logs = [float(torch.linalg.slogdet(part).logabsdet) for part in (source, target, scale)]
        constant = 0.5 * (logs[0] + logs[1] - logs[2])
        if np.isfinite(degrees):
            dims = (len(source), len(target), len(scale))
            first, second, both = (float(gammaln((degrees + d) / 2)) for d in dims)
            constant += both + float(gammaln(degrees / 2)) - first - second
        return cls(
            torch.linalg.inv(source), torch.linalg.inv(target), torch.linalg.inv(scale), constant, degrees
        )

    def of_all(
        self, source: Float[Tensor, "n d_source"], target: Float[Tensor, "m d_target"]
    ) -> Float[Tensor, "n m"]:
        """Compute the ratio of every source sample beside every target sample.

        Args:
            source: Samples in rows.
            target: Samples in rows.

        Returns:
            log p(x_i, y_j) / p(x_i) p(y_j), in nats.
        """
        sizes, cross = self._sizes(source, target)
        own_x, own_y, in_x, in_y = sizes
        return self._link(own_x[:, None], own_y[None, :], in_x[:, None] + in_y[None, :] + cross @ target.T)

    def of_pairs(
        self, source: Float[Tensor, "n d_source"], target: Float[Tensor, "n d_target"]
    ) -> Float[Tensor, " n"]:
        """Compute the ratio of each source sample beside its own target sample.

        Args:
            source: Samples in rows.
            target: Row i belongs to row i of the source.

        Returns:
            log p(x_i, y_i) / p(x_i) p(y_i), in nats.
        """
        sizes, cross = self._sizes(source, target)
        own_x, own_y, in_x, in_y = sizes
        return self._link(own_x, own_y, in_x + in_y + (cross * target).sum(dim=1))

    def _sizes(self, source: Tensor, target: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        d = len(self.precision_source)
        blocks = (
            (source, self.precision_source),
            (target, self.precision_target),
            (source, self.precision[:d, :d]),
            (target, self.precision[d:, d:]),
        )
        sizes = tuple(((part @ matrix) * part).sum(dim=1) for part, matrix in blocks)
        return sizes, 2.0 * source @ self.precision[:d, d:]

    def _link(self, own_x: Tensor, own_y: Tensor, both: Tensor) -> Tensor:
        if not np.isfinite(self.degrees):
            return self.constant - 0.5 * (both - own_x - own_y)
        nu, d_x, d_y = self.degrees, len(self.precision_source), len(self.precision_target)
        bent = (
            0.5 * (nu + d_x) * torch.log1p(own_x / nu)
            + 0.5 * (nu + d_y) * torch.log1p(own_y / nu)
            - 0.5 * (nu + d_x + d_y) * torch.log1p(both.clamp_min(0.0) / nu)
        )
        return self.constant + bent


def fit_gaussian_ratio(
    source: Float[Tensor, "n d_source"], target: Float[Tensor, "n d_target"]
) -> DensityRatio:
    """Fit the Gaussian ratio by moments about 0.

    Args:
        source: Centred samples.
        target: Their pairs, centred.

    Returns:
        The ratio; its mean over the very pairs is the plug-in Gaussian mutual information.

    Examples:
        >>> x = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
        >>> y = torch.tensor([[1.0], [-1.0], [-1.0], [1.0]])
        >>> float(fit_gaussian_ratio(x, y).of_pairs(x, y).mean())
        0.0
    """
    both = torch.cat([source, target], dim=1)
    return DensityRatio.from_scale(both.T @ both / len(both), source.shape[1])


def student_scores(ranks: Float[np.ndarray, "samples d"], degrees: float) -> Float[Tensor, "samples d"]:
    """Turn uniform ranks into quantiles of Student's t.

    Args:
        ranks: In (0, 1).
        degrees: Degrees of freedom.

    Returns:
        Quantiles.

    Examples:
        >>> student_scores(np.array([[0.75]]), 1.0).round(decimals=6).tolist()
        [[1.0]]
    """
    return torch.from_numpy(np.asarray(student_t.ppf(ranks, degrees), dtype=np.float64))


def fit_student_ratio(
    ranks_source: Float[np.ndarray, "samples d_source"], ranks_target: Float[np.ndarray, "samples d_target"]
) -> DensityRatio:
    r"""Fit Student's t copula by maximum likelihood (Demarta and McNeil 2005, section 3).

    Samples that share one random scale, as all coordinates of a hidden state share its norm, depend on each other
    even where they are uncorrelated: that is what this family adds to the Gaussian one. For each number of degrees
    of freedom the scale matrix comes from the fixed point :math:`S = \frac1n\sum_i \frac{\nu + d}{\nu + m_i}z_iz_i^T`
    (Liu and Rubin 1995) on the t quantiles of the ranks; the number with the greatest likelihood is taken.

    Args:
        ranks_source: Ranks in (0, 1), column by column.
        ranks_target: Ranks of the pairs.

    Returns:
        The ratio, on quantiles of t with its ``degrees`` (:func:`student_scores`).

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> pairs = rng.normal(size=(4000, 2)) / np.sqrt(rng.chisquare(2, size=(4000, 1)) / 2)
        >>> ranks = (pairs.argsort(axis=0).argsort(axis=0) + 1) / 4001
        >>> fit_student_ratio(ranks[:, :1], ranks[:, 1:]).degrees
        2.0
    """
    ranks = np.hstack([ranks_source, ranks_target])
    fits: list[tuple[float, float, Float[Tensor, "d d"]]] = []
    for degrees in DEGREES:
        scores = student_scores(ranks, degrees)
        scale = _student_scale(scores, degrees)
        fits.append((_copula_likelihood(scores, scale, degrees), degrees, scale))
        if len(fits) > 1 and fits[-1][0] < fits[-2][0]:
            break
    _, degrees, scale = max(fits, key=lambda fit: fit[0])
    return DensityRatio.from_scale(scale, ranks_source.shape[1], degrees=degrees)


def _copula_likelihood(scores: Float[Tensor, "n d"], scale: Float[Tensor, "d d"], degrees: float) -> float:
    """Mean log density of Student's t copula, up to terms that neither scale nor data change."""
    d = scores.shape[1]
    sizes = (scores @ torch.linalg.inv(scale) * scores).sum(dim=1)
    joint = -0.5 * (degrees + d) * torch.log1p(sizes / degrees)
    margins = -0.5 * (degrees + 1) * torch.log1p(scores.square() / degrees)
    half = gammaln(degrees / 2)
    norm = gammaln((degrees + d) / 2) - half - d * (gammaln((degrees + 1) / 2) - half)
    return float((joint - margins.sum(dim=1)).mean() - 0.5 * torch.linalg.slogdet(scale).logabsdet) + float(
        norm
    )


def _student_scale(samples: Float[Tensor, "n d"], degrees: float) -> Float[Tensor, "d d"]:
    n, d = samples.shape
    scale = torch.diag(samples.square().median(dim=0).values + 1e-9)
    for _ in range(_STEPS):
        sizes = (samples @ torch.linalg.inv(scale) * samples).sum(dim=1)
        weights = (degrees + d) / (degrees + sizes)
        new = (samples * weights[:, None]).T @ samples / n
        moved = float((new - scale).abs().max() / scale.abs().max())
        scale = new
        if moved < 1e-6:
            break
    spread = scale.diagonal().sqrt()
    return scale / torch.outer(spread, spread)  # the margins of a copula have no scale of their own
