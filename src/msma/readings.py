"""What a fitted map reaches on held-out documents: all of them, and without each group.

The values without each group of documents are what pairs two maps: their differences, group by group, say
whether one is better on other documents too, whatever the documents have in common.
"""

import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int

from msma.errors import ConfigError, ShapeError
from msma.heldout import PairData, Part
from msma.linalg import psd_sqrt
from msma.maps import BaseMap
from msma.measures.bending import squared_bending
from msma.measures.divergence import gaussian_kl, gaussian_kl_from_cross_moments
from msma.measures.information import copula_transform, gaussian_mi_from_moments
from msma.measures.projection import projection_width
from msma.moments import CrossMoments, Moments
from msma.resampling import group_documents, shuffle_documents
from msma.scales import Basis

Samples: TypeAlias = Float[np.ndarray, "samples d"]
Groups: TypeAlias = Int[np.ndarray, " samples"]
#: What is read of a map on held-out documents, in the order shown.
READINGS: tuple[str, ...] = ("r2", "mi", "kl", "map_curvature")
#: Which way each is better; curvature is a price, so less of it is better at the same error.
BETTER: dict[str, str] = {"r2": "higher", "mi": "higher", "kl": "lower", "map_curvature": "lower"}
UNITS: dict[str, str] = {
    "r2": "share of variance",
    "mi": "nats",
    "kl": "nats",
    "map_curvature": "share of variance",
}
#: Rows at which the bend of a map is looked at; each costs several passes through it.
_MOST_BENDS = 512
_N_PROBES = 4


class Reading(NamedTuple):
    """A quantity on held-out documents.

    Args:
        value: On all of them; ``None`` where it is infinite or not estimable.
        left_out: Without each group of documents; empty where that was not asked for.
        null: With the pairs shuffled between documents; ``None`` where shuffling changes nothing.
        note: Anything a reader must know, in a sentence.
    """

    value: float | None
    left_out: tuple[float, ...] = ()
    null: float | None = None
    note: str | None = None


def read_map(
    map_: BaseMap,
    data: PairData,
    *,
    part: Part = "test",
    metrics: Sequence[str] = READINGS,
    n_groups: int = 20,
    has_left_out: bool = True,
    seed: int = 0,
) -> dict[str, Reading]:
    """Read quantities of a fitted map on held-out documents.

    ``r2`` weighs dimensions by variance; ``mi`` is the bias-corrected Gaussian-copula information between the
    mapped states and the target, ``kl`` the Gaussian divergence unbiased for pairs (both on as many leading
    directions as the samples carry); ``map_curvature`` is how much the map itself bends at the states.

    Args:
        map_: The fitted map.
        data: The pair of scales.
        part: Which part is scored.
        metrics: Names out of :data:`READINGS`.
        n_groups: Groups of documents left out one at a time.
        has_left_out: Whether the values without each group are wanted; they cost as much again or more.
        seed: Fixes the groups and the probes of the curvature.

    Returns:
        One reading a metric.

    Raises:
        ConfigError: When a metric is unknown.
    """
    check_metrics(metrics)
    paired = data.part(part)
    groups = group_documents(paired.documents, n_groups=n_groups, seed=seed)
    mapped = np.asarray(map_.transform(paired.source))
    readings = {}
    for name in metrics:
        try:
            if name == "map_curvature":
                readings[name] = _read_curvature(map_, paired.source, groups, seed)
                continue
            parts, value = _STATISTICS[name](mapped, paired.target, groups, data.bases[1])
            null = None
            if has_left_out and name != "kl":
                order = shuffle_documents(paired.documents, seed=seed)
                null = _whole(*_STATISTICS[name](mapped[order], paired.target, groups, data.bases[1]))
            readings[name] = _read_parts(parts, value, has_left_out)._replace(null=null)
        except ShapeError as error:
            readings[name] = Reading(None, note=f"infinite or not estimable: {error}")
    return readings


def check_metrics(metrics: Sequence[str]) -> None:
    """Refuse names that are no readings.

    Args:
        metrics: Names.

    Raises:
        ConfigError: When one is unknown, or none is given.
    """
    if not metrics:
        raise ConfigError(f"0 metrics came; give at least one of {', '.join(READINGS)}")
    for name in metrics:
        if name not in READINGS:
            raise ConfigError(f"metric '{name}' came; expected one of {', '.join(READINGS)}")


def read_references(data: PairData, metric: str, *, part: Part = "test", seed: int = 0) -> dict[str, float]:
    """Compute what is known beside a quantity whatever the map: its ceiling, or its floor.

    Args:
        data: The pair of scales.
        metric: A name out of :data:`READINGS`.
        part: Which part is scored.
        seed: Fixes halves.

    Returns:
        ``floor`` of ``kl`` (two halves of the target) and ``map_curvature`` (0, an affine map), ``ceiling`` of
        ``r2`` (1).
    """
    paired = data.part(part)
    if metric == "r2":
        return {"ceiling": 1.0}
    if metric == "map_curvature":
        return {"floor": 0.0}
    if metric == "mi":
        # Nothing is known: a map that straightens a bend raises the Gaussian reading, though not what there is.
        return {}
    width = projection_width(*paired.target.shape)
    target = data.bases[1].project(paired.target, width)
    groups = group_documents(paired.documents, seed=seed)
    names = np.unique(groups)
    first = np.isin(groups, np.random.default_rng(seed).permutation(names)[: len(names) // 2])
    try:
        return {"floor": float(gaussian_kl(target[first], target[~first]))}
    except ShapeError:
        return {}


def _whole(parts: list[Any], value: Callable[[Any], float]) -> float:
    return float(value(reduce(operator.add, parts)))


def _read_parts(parts: list[Any], value: Callable[[Any], float], has_left_out: bool) -> Reading:
    if not has_left_out:
        return Reading(_whole(parts, value))
    rest = (reduce(operator.add, parts[:number] + parts[number + 1 :]) for number in range(len(parts)))
    return Reading(_whole(parts, value), tuple(value(left) for left in rest))


class _Errors(NamedTuple):
    """Sums from which R2 follows."""

    n: int
    residual: float
    square: float
    total: Float[np.ndarray, " d"]

    def __add__(self, other: Any) -> "_Errors":
        return _Errors(*(mine + its for mine, its in zip(self, other, strict=True)))


def _error_parts(mapped: Samples, target: Samples, groups: Groups, basis: Basis) -> Any:
    # About the training mean, so that large means cost no digits.
    centred = target - basis.mean
    residual = ((target - mapped) ** 2).sum(axis=1)
    square = (centred**2).sum(axis=1)
    parts = []
    for name in np.unique(groups):
        rows = groups == name
        sums = float(residual[rows].sum()), float(square[rows].sum()), centred[rows].sum(axis=0)
        parts.append(_Errors(int(rows.sum()), *sums))

    def share(sums: _Errors) -> float:
        total = sums.square - float((sums.total**2).sum()) / sums.n
        return 1.0 - sums.residual / total

    return parts, share


def _cross_parts(mapped: Samples, target: Samples, groups: Groups, basis: Basis, *, is_copula: bool) -> Any:
    width = projection_width(len(target), target.shape[1])
    width = width if width == target.shape[1] else min(width, basis.directions.shape[1])
    mapped, target = basis.project(mapped, width), basis.project(target, width)
    if is_copula:
        mapped, target = copula_transform(mapped), copula_transform(target)
    rows = [groups == name for name in np.unique(groups)]
    parts = [CrossMoments.from_batch(mapped[kept], target[kept]) for kept in rows]
    return parts, gaussian_mi_from_moments if is_copula else gaussian_kl_from_cross_moments


_STATISTICS: dict[str, Callable[..., Any]] = {
    "r2": _error_parts,
    "mi": partial(_cross_parts, is_copula=True),
    "kl": partial(_cross_parts, is_copula=False),
}


def _read_curvature(map_: BaseMap, source: Samples, groups: Groups, seed: int) -> Reading:
    """Read the relative curvature of :func:`msma.measures.bending.map_curvature`, group by group."""
    rows = np.arange(len(source))
    if len(rows) > _MOST_BENDS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _MOST_BENDS, replace=False))
    moments = Moments.from_batch(source[rows])
    mapped = np.asarray(map_.transform(source[rows]))
    spread = float(mapped.var(axis=0, ddof=1).sum())
    if spread <= 1e-24 * float((mapped**2).mean(axis=0).sum()):  # no more than the rounding of one point
        raise ShapeError("the map takes all states to one point, which has no share of variance to bend")
    with torch.no_grad():
        squares = squared_bending(
            map_.transform,
            torch.from_numpy(source[rows]),
            n_probes=_N_PROBES,
            root=torch.from_numpy(psd_sqrt(moments.covariance())),
            generator=torch.Generator().manual_seed(seed),
        ).numpy()
    squares = squares * (0.5 / spread)
    kept = groups[rows]
    left_out = tuple(float(squares[kept != name].mean()) for name in np.unique(groups))
    return Reading(float(squares.mean()), left_out)
