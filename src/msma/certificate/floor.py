"""The least error that the information between two scales allows, and how far a map is from it."""

from collections.abc import Callable
from typing import NamedTuple, SupportsFloat, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from msma.certificate.rate import distortion_rate
from msma.linalg import psd_eigh
from msma.measures.information import copula_transform, gaussian_mi_from_moments
from msma.moments import CrossMoments, Moments
from msma.resampling import Interval, jackknife_interval

Samples: TypeAlias = Float[np.ndarray, "samples d"]
#: Takes source and target samples and returns their mutual information in nats, with ``low`` and ``high`` if known.
Information: TypeAlias = Callable[[Samples, Samples], SupportsFloat]

#: Directions that two sets of coordinates share have this share of their strongest, or less.
_SHARED = 1e-6


class Floor(NamedTuple):
    """What no map can beat, stated for a Gaussian target.

    Args:
        information: I(X; Y) in nats.
        error: D(I), in squared units of the target.
        headroom: The map's error over D(I).
        null_information: I where pairs are shuffled.
        null_error: D there.
        has_intervals: Whether there are intervals; an estimate from outside may come without.
    """

    information: Interval
    error: Interval
    headroom: Interval
    null_information: float | None
    null_error: float | None
    has_intervals: bool


def spectrum_of(states: Samples) -> Float[np.ndarray, " d"]:
    """Compute the variances of samples along their principal directions.

    Args:
        states: At least two samples, in rows.

    Returns:
        Eigenvalues of the covariance, descending.

    Examples:
        >>> spectrum_of(np.array([[0.0, 3.0], [0.0, -3.0]])).tolist()
        [18.0, 0.0]
    """
    return psd_eigh(Moments.from_batch(states).covariance(), max_rank=len(states) - 1)[0]


def join_directions(
    first: Float[np.ndarray, "samples d_first"], second: Float[np.ndarray, "samples d_second"]
) -> Float[np.ndarray, "samples k"]:
    """Give uncorrelated coordinates of what two sets of coordinates hold together.

    Args:
        first: Samples.
        second: The same samples in other coordinates.

    Returns:
        Coordinates of unit variance, without the directions both share.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(20, 2))
        >>> join_directions(x, x[:, :1] + x[:, 1:]).shape
        (20, 2)
    """
    tiny = np.finfo(np.float64).tiny
    both = np.hstack([side / side.std(axis=0).clip(tiny) for side in (first, second)])
    left, values, _ = np.linalg.svd(both - both.mean(axis=0), full_matrices=False)
    joined: Float[np.ndarray, "samples k"] = left[:, values > _SHARED * values[0]] * len(both) ** 0.5
    return joined


def error_floor(
    source: Float[np.ndarray, "samples d_source"],
    target: Float[np.ndarray, "samples d_target"],
    mapped: Float[np.ndarray, "samples d_target"],
    groups: Int[np.ndarray, " samples"],
    *,
    shuffle: Int[np.ndarray, " samples"],
    information: Information | None = None,
) -> Floor:
    r"""Bound from below the mean squared error of any map of the source, from mutual information.

    .. math:: E\|g(X) - Y\|^2 \ge D(I(g(X); Y)) \ge D(I(X; Y))

    by data processing; D is :func:`~msma.certificate.rate.distortion_rate` of the target's sample spectrum and
    I the bias-corrected information of the Gaussian copula unless another estimate is given.

    Args:
        source: What maps read.
        target: What they aim at.
        mapped: What the map at hand gives.
        groups: Jackknife group of each pair.
        shuffle: A permutation that pairs no sample with its own document.
        information: Another estimate of I(X; Y) in nats; its own ``low`` and ``high`` are used where it has
            them, and there is no null.

    Returns:
        Information, least error, and the map's error over it, with 95 % jackknife intervals.

    Raises:
        ShapeError: When the information is infinite or pairs are too few for their width.

    Examples:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 4000, 1))
        >>> found = error_floor(x, x + noise, x, np.arange(4000) % 10, shuffle=np.arange(4000)[::-1])
        >>> round(found.error.value, 1), round(found.headroom.value, 1)  # the best map: leave x as it is
        (1.0, 1.0)
    """
    errors = ((mapped - target) ** 2).sum(axis=1)
    if information is not None:
        return _given_floor(target, errors, information(source, target))
    scores = copula_transform(source), copula_transform(target)
    whole = CrossMoments.from_batch(*scores)
    everything = _triple(target, errors, gaussian_mi_from_moments(whole))
    without: dict[int, tuple[float, float, float]] = {}
    for group in np.unique(groups):
        out = groups == group
        rest = whole - CrossMoments.from_batch(scores[0][out], scores[1][out])
        without[int(group)] = _triple(target[~out], errors[~out], gaussian_mi_from_moments(rest))

    def interval(place: int) -> Interval:
        return jackknife_interval(
            lambda kept: without[int(np.setdiff1d(groups, groups[kept])[0])][place],
            groups,
            value=everything[place],
        )

    empty = gaussian_mi_from_moments(CrossMoments.from_batch(scores[0][shuffle], scores[1]))
    nothing = distortion_rate(spectrum_of(target), empty)
    return Floor(interval(0), interval(1), interval(2), empty, nothing, True)


def _given_floor(target: Samples, errors: Float[np.ndarray, " samples"], found: SupportsFloat) -> Floor:
    """Take an estimate as it came, with its own interval where it brings one."""
    rates = float(found), getattr(found, "low", None), getattr(found, "high", None)
    has_interval = rates[1] is not None and rates[2] is not None
    value, low, high = (
        _triple(target, errors, rates[0] if rate is None or not has_interval else float(rate))
        for rate in rates
    )
    # More information leaves less error, so the ends change places.
    return Floor(
        Interval(value[0], low[0], high[0], "as given"),
        Interval(value[1], high[1], low[1], "as given"),
        Interval(value[2], low[2], high[2], "as given"),
        None,
        None,
        has_interval,
    )


def _triple(
    target: Samples, errors: Float[np.ndarray, " samples"], rate: float
) -> tuple[float, float, float]:
    least = distortion_rate(spectrum_of(target), rate)
    return rate, least, float(errors.mean()) / least
