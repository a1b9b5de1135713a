"""One mapped pair of scales on held-out samples, and each term of its certificate."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from msma._types import Pair
from msma.certificate.bounds import kl_upper_bound, wasserstein2_scores
from msma.certificate.floor import Floor, Information, error_floor, join_directions, spectrum_of
from msma.certificate.limits import Limits, mean_limits
from msma.certificate.record import CurvePoint
from msma.certificate.smoothing import smoothed_gaussian_kl, smoothed_kl_lower_bound
from msma.errors import ShapeError
from msma.measures.projection import projection_width
from msma.resampling import Interval
from msma.scales import Basis

Samples: TypeAlias = Float[np.ndarray, "samples d"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A pair of scales under one map.

    Args:
        pair: Source and target scale.
        source: The source representation.
        mapped: What the map makes of it.
        null_mapped: What the twin fitted on shuffled pairs makes of it.
        target: The target representation.
        bases: Leading directions of source and target, from the training states.
        documents: The document of each sample.
        groups: Its jackknife group.
        shuffle: A permutation that pairs no sample with its own document.
        confidence: Coverage of one-sided limits.
        seed: Fixes every draw.
        information: Another estimate of mutual information; the Gaussian copula's when ``None``.
    """

    pair: Pair
    source: Samples
    mapped: Samples
    null_mapped: Samples
    target: Samples
    bases: tuple[Basis, Basis]
    documents: Int[np.ndarray, " samples"]
    groups: Int[np.ndarray, " samples"]
    shuffle: Int[np.ndarray, " samples"]
    confidence: float
    seed: int
    information: Information | None = None

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.target)

    @property
    def d(self) -> int:
        """Width of the target."""
        return self.target.shape[1]

    @cached_property
    def spectrum(self) -> Float[np.ndarray, " d"]:
        """Variances of the target along its principal directions."""
        return spectrum_of(self.target)

    @property
    def spread(self) -> float:
        """The target's rms spread a dimension, in units of the states."""
        return float(np.sqrt(self.spectrum.mean()))

    @property
    def width(self) -> int:
        """Leading directions that the samples can carry."""
        width = projection_width(self.n, self.d)
        return width if width == self.d else min(width, *(b.directions.shape[1] for b in self.bases))

    def limits(self, values: Float[np.ndarray, " samples"]) -> Limits:
        """Give limits of a mean over these documents.

        Args:
            values: One number a sample.

        Returns:
            The mean with its limits at the case's confidence.
        """
        return mean_limits(values, self.documents, confidence=self.confidence, seed=self.seed)

    @cached_property
    def errors(self) -> Float[np.ndarray, " samples"]:
        """Squared distance of each mapped sample from its target."""
        distances: Float[np.ndarray, " samples"] = ((self.mapped - self.target) ** 2).sum(axis=1)
        return distances

    @cached_property
    def error(self) -> Limits:
        """Mean squared error."""
        return self.limits(self.errors)

    @cached_property
    def null_error(self) -> Limits:
        """Mean squared error of the twin that learned nothing."""
        return self.limits(((self.null_mapped - self.target) ** 2).sum(axis=1))

    @cached_property
    def transport(self) -> Limits:
        """Squared W2 distance between Gaussian fits."""
        return self.limits(wasserstein2_scores(self.mapped, self.target))

    @cached_property
    def null_transport(self) -> float:
        """The same for the twin that learned nothing."""
        return float(wasserstein2_scores(self.null_mapped, self.target).mean())

    def smoothed(self, sigma: float, *, is_null: bool = False) -> tuple[Interval | None, Interval | None]:
        """Estimate the KL of the smoothed laws, and bound it from below.

        Args:
            sigma: The blur.
            is_null: Whether to take the twin that learned nothing.

        Returns:
            The Gaussian estimate on the leading directions, and the classifier's bound; ``None`` where samples
            are too few.
        """
        output = self.null_mapped if is_null else self.mapped
        leading = (self.bases[1].project(side, self.width) for side in (output, self.target))
        estimate = _attempt(smoothed_gaussian_kl, *leading, self.groups, sigma=sigma, seed=self.seed)
        sides = (output, self.target, self.documents)
        return estimate, _attempt(smoothed_kl_lower_bound, *sides, sigma=sigma, seed=self.seed)

    def point(self, share: float, *, is_chosen: bool) -> CurvePoint:
        """Compute the bracket at one blur.

        Args:
            share: The blur over the target's spread.
            is_chosen: Whether rows are written for this blur.

        Returns:
            The point of the curve.
        """
        sigma = share * self.spread
        upper, gaussian = (part.scaled(kl_upper_bound(1.0, sigma)) for part in (self.error, self.transport))
        numbers: dict[str, float] = {}
        for name, interval in zip(("estimate", "lower"), self.smoothed(sigma), strict=True):
            if interval is not None:
                ends = (interval.value, interval.low, interval.high)
                numbers |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
        return CurvePoint(
            source=self.pair[0],
            target=self.pair[1],
            share=share,
            sigma=sigma,
            n_directions=int((self.spectrum > sigma**2).sum()),
            is_chosen=is_chosen,
            certified=upper.limit,
            upper=upper.value,
            upper_low=upper.low,
            upper_high=upper.high,
            gaussian=gaussian.value,
            gaussian_high=gaussian.high,
            null=kl_upper_bound(self.null_error.limit, sigma),
            **numbers,
        )

    def leading_error(self, *, is_null: bool = False) -> float:
        """Compute the mean squared error along the leading directions of the target.

        Args:
            is_null: Whether to take the twin that learned nothing.

        Returns:
            Squared units of the states.
        """
        output = self.null_mapped if is_null else self.mapped
        left = self.bases[1].project(output, self.width) - self.bases[1].project(self.target, self.width)
        return float((left**2).sum(axis=1).mean())

    def floor(self) -> Floor:
        """Bound from below the error of any map that reads what this one reads.

        Returns:
            The information, the error it must leave, and how far this map is from that.

        Raises:
            ShapeError: When the information is infinite or the samples are too few.
        """
        target = self.bases[1].project(self.target, self.width)
        output = self.bases[1].project(self.mapped, self.width)
        source = self.source
        if self.width < self.d:
            # Leading directions of the source need not be those that tell of the target, so the output joins
            # them: then no map of what is read, and not this one either, holds more than what is measured.
            source = join_directions(self.bases[0].project(self.source, self.width), output)
        return error_floor(
            source, target, output, self.groups, shuffle=self.shuffle, information=self.information
        )


def _attempt(function: Callable[..., Interval], *args: Any, **options: Any) -> Interval | None:
    """Call; ``None`` where samples are too few or a law has no density."""
    try:
        return function(*args, **options)
    except ShapeError:
        return None
