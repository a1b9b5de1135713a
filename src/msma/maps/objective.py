r"""The three-term objective of a learned map, each term without units.

.. math:: L = \lambda_{geo} L_{geo} + \lambda_{info} L_{info} + \lambda_{curv} L_{curv}

All terms look at standardised samples: the target centred and divided by the root of its mean variance, so that
a squared error per dimension is a share of the target's variance.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from msma.measures.bending import squared_bending
from msma.measures.bounds import BOUNDS, mine_surrogate, vib_rate

__all__ = ["Prediction", "Terms", "Weights", "distance_stress", "map_bending", "paired_error"]

#: One in so many rows of a batch is looked at for its curvature: two nested derivatives cost about four passes.
CURVATURE_SHARE = 16
#: So many pairs of a batch are scored against each other: the critics' price grows with them, and at the default
#: weight more of them changed nothing that was measured. InfoNCE can say log of this at most.
SCORED_PAIRS = 128


def paired_error(mapped: Float[Tensor, "samples d"], target: Float[Tensor, "samples d"]) -> Float[Tensor, ""]:
    r"""Compute the squared error per sample and dimension: 1 - R2 for a standardised target.

    .. math:: \frac{1}{nd}\sum_i \|f(x_i) - y_i\|^2

    Args:
        mapped: Samples mapped from the source.
        target: Row i belongs to row i.

    Returns:
        0 or more; 1 for a map that always gives the mean.

    Examples:
        >>> float(paired_error(torch.zeros(2, 3), torch.ones(2, 3)))
        1.0
    """
    return (mapped - target).square().mean()


def distance_stress(
    mapped: Float[Tensor, "samples d"], target: Float[Tensor, "samples d"]
) -> Float[Tensor, ""]:
    r"""Compute how far distances between samples differ from those between their targets.

    .. math:: \frac{\sum_i (\|f(x_i) - f(x_j)\| - \|y_i - y_j\|)^2}{\sum_i \|y_i - y_j\|^2}, \quad j = i + 1

    Kruskal's (1964, Psychometrika 29) stress over neighbours in a shuffled batch: every pair of samples is as
    likely as any other, at a price linear in the batch. It is zero exactly where the mapped samples are the
    targets up to a rotation, reflection and shift, which is what Procrustes analysis leaves over.

    Args:
        mapped: Samples mapped from the source.
        target: Row i belongs to row i.

    Returns:
        0 or more; 1 for a map onto one point.

    Examples:
        >>> y = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
        >>> float(distance_stress(-y + 1.0, y)), round(float(distance_stress(2.0 * y, y)), 6)
        (0.0, 1.0)
    """
    tiny = torch.finfo(mapped.dtype).tiny
    ours, theirs = (
        ((part - part.roll(1, dims=0)).square().sum(dim=1) + tiny).sqrt() for part in (mapped, target)
    )
    return (ours - theirs).square().sum() / theirs.square().sum().clamp_min(tiny)


def map_bending(
    residual: Callable[[Tensor], Tensor], rows: Float[Tensor, "samples k"], *, generator: torch.Generator
) -> Float[Tensor, ""]:
    r"""Compute the share of the target's variance that the map's second order brings.

    .. math:: \tfrac12 \cdot \tfrac1d\, E_x \|D^2 f(x)\|_F^2

    in standardised coordinates, by one pair of probes (:func:`msma.measures.bending.squared_bending`). The base
    is affine and has no second derivative, so that the residual stands for the map.

    Args:
        residual: Standardised rows to standardised residuals.
        rows: Where to look.
        generator: Draws the probes.

    Returns:
        0 or more.

    Examples:
        >>> rows, generator = torch.zeros(4, 2), torch.Generator()
        >>> float(map_bending(lambda z: 3.0 * z, rows, generator=generator))
        0.0
    """
    width = residual(rows[:1].detach()).shape[1]
    return 0.5 * squared_bending(residual, rows, generator=generator).mean() / width


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What each term counts.

    Args:
        geo: Of the geometric term, L_geo = paired error + isometry x stress.
        info: Of the information term, L_info = rate_weight x rate - lower bound on I(f(x); y).
        curv: Of the curvature term.
        isometry: Of the stress within L_geo.
        rate_weight: Of the rate of a stochastic map within L_info (beta of the bottleneck).
    """

    geo: float
    info: float
    curv: float
    isometry: float
    rate_weight: float


@dataclass(frozen=True, eq=False)
class Prediction:
    """A batch as the map sees it.

    Args:
        mapped: What the map gives: its mean, and noise where it is stochastic.
        mean: The mean alone.
        target: What it should be.
        log_variance: Of the noise; ``None`` for a deterministic map.
    """

    mapped: Float[Tensor, "samples d"]
    mean: Float[Tensor, "samples d"]
    target: Float[Tensor, "samples d"]
    log_variance: Float[Tensor, "samples d"] | None = None


class Terms:
    """Weigh the terms of one batch; what weighs nothing is not computed.

    Args:
        weights: Of the terms.
        estimator: Name of the lower bound on mutual information.
        critic: Scores all pairs of a batch; ``None`` where information weighs nothing.
    """

    def __init__(self, weights: Weights, *, estimator: str, critic: nn.Module | None) -> None:
        self.weights = weights
        self.estimator = estimator
        self.critic = critic
        #: MINE's moving average (its logarithm), kept from step to step of the training.
        self.average: float | None = None

    def geometry(self, batch: Prediction) -> dict[str, Float[Tensor, ""]]:
        """Compute the geometric term and its parts.

        Args:
            batch: What the map gave.

        Returns:
            "paired", "isometry" where it weighs something, and their weighted sum "geo".
        """
        parts = {"paired": paired_error(batch.mapped, batch.target)}
        parts["geo"] = parts["paired"]
        if self.weights.isometry:
            parts["isometry"] = distance_stress(batch.mapped, batch.target)
            parts["geo"] = parts["geo"] + self.weights.isometry * parts["isometry"]
        return parts

    def information(self, batch: Prediction, *, is_training: bool) -> dict[str, Float[Tensor, ""]]:
        """Compute the information term and its parts.

        Args:
            batch: What the map gave.
            is_training: Whether its gradient will be taken: MINE's is then corrected by the moving average.

        Returns:
            "bound" in nats, "rate" in nats where the map is stochastic, and the term "info"; nothing where it
            weighs nothing. On held-out rows a critic that does worse than none (a constant, which proves 0 nats)
            counts as none; "bound" says what it did.
        """
        if not self.weights.info or self.critic is None:
            return {}
        scores = self.critic(batch.mapped[:SCORED_PAIRS], batch.target[:SCORED_PAIRS])
        scores = scores.to(batch.target.dtype)  # exponentials of half precision would overflow
        bound = ascended = BOUNDS[self.estimator](scores)
        if not is_training:
            ascended = bound.clamp_min(0.0)
        elif self.estimator == "mine":
            ascended, self.average = mine_surrogate(scores, self.average)
        parts = {"bound": bound.detach(), "info": -ascended}
        if batch.log_variance is not None:
            parts["rate"] = vib_rate(batch.mean, batch.log_variance)
            parts["info"] = parts["info"] + self.weights.rate_weight * parts["rate"]
        return parts

    def total(self, parts: dict[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """Weigh the terms.

        Args:
            parts: Terms by name; those that are missing weigh nothing.

        Returns:
            The objective.
        """
        weights = {"geo": self.weights.geo, "info": self.weights.info, "curv": self.weights.curv}
        found = [weight * parts[name] for name, weight in weights.items() if name in parts]
        return torch.stack(found).sum()
