"""The shape of each scale's representation: spread, dimension, isotropy, norm, curvature."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES, Better, Scale
from msma.errors import ConfigError, ShapeError
from msma.measures.curvature import curvature
from msma.measures.dimension import mle_dimension, twonn_dimension
from msma.measures.geometry import isotropy, mean_norm, participation_ratio
from msma.progress import progress
from msma.resampling import group_documents, jackknife_interval
from msma.results import Result, Row
from msma.scales import ScaleRepresentation
from msma.states import HiddenStates

Samples = Float[np.ndarray, "samples d_model"]


@dataclass(frozen=True)
class _Shape:
    """One number about a cloud of samples, and whether leaving samples out changes it smoothly."""

    metric: str
    function: Callable[[Samples], float]
    units: str
    better: Better = "none"
    note: str | None = None


def _shapes(n_samples: int) -> list[_Shape]:
    sizes = [k for k in (10, 20) if k < n_samples // 2]
    return [
        _Shape("participation_ratio", lambda x: float(participation_ratio(x)), "dimensions"),
        _Shape("dimension_twonn", lambda x: float(twonn_dimension(x)), "dimensions"),
        *[
            _Shape(
                f"dimension_mle_{k}",
                lambda x, k=k: float(mle_dimension(x, k=k)),  # type: ignore[misc]
                "dimensions",
                note=f"{k} neighbours",
            )
            for k in sizes
        ],
        _Shape("isotropy", lambda x: float(isotropy(x)), "1"),
        _Shape("mean_norm", lambda x: float(mean_norm(x)), "norm"),
    ]


def describe_manifold(
    states: HiddenStates, representation: ScaleRepresentation, *, n_groups: int = 20, seed: int = 0
) -> Result:
    """Measure the shape of each scale's representation, each number with an interval over documents.

    Args:
        states: Held-out states.
        representation: Which layers stand for which scale.
        n_groups: Groups of documents left out one at a time.
        seed: Fixes the groups.

    Returns:
        Rows by scale: participation ratio, intrinsic dimension (two nearest neighbours; maximum likelihood
        over neighbourhood sizes), isotropy (0 to 1), mean norm, curvature (with its standard error).

    Raises:
        ShapeError: When there are fewer than 8 samples.

    Examples:
        >>> from msma.scales import ScalePartition
        >>> rng = np.random.default_rng(0)
        >>> plane = rng.normal(size=(3, 400, 2)) @ rng.normal(size=(2, 6))
        >>> states = HiddenStates.from_arrays(plane)
        >>> shape = describe_manifold(states, ScaleRepresentation(ScalePartition.thirds(3)))
        >>> round(shape.value("dimension_twonn", target="local"))
        2
    """
    if states.n_samples < 8:
        raise ShapeError(f"{states.n_samples} samples came; the shape of a scale needs at least 8")
    scales = representation.transform(states)
    groups = group_documents(states.documents, n_groups=n_groups, seed=seed)
    split = states.part
    rows: list[Row] = []
    work = [(scale, shape) for scale in SCALES for shape in _shapes(states.n_samples)]
    for scale, shape in progress(work, label="manifold"):
        points = scales[scale]

        def statistic(
            kept: Int[np.ndarray, " kept"], shape: _Shape = shape, points: Samples = points
        ) -> float:
            return shape.function(points[kept])

        columns: dict[str, Any] = {
            "units": shape.units,
            "better": shape.better,
            "target": scale,
            "split": split,
        }
        try:
            found = jackknife_interval(statistic, groups)
        except ShapeError as error:
            rows.append(Row(metric=shape.metric, value=None, note=str(error), **columns))
            continue
        numbers: dict[str, Any] = {
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "interval": found.method,
        }
        rows.append(Row(metric=shape.metric, n=states.n_samples, note=shape.note, **numbers, **columns))
    rows += [_curvature_row(scales[scale], scale, split) for scale in SCALES]
    provenance = {"model": states.origin.model, "texts": states.fingerprint, "seed": seed}
    return Result("manifold", tuple(rows), provenance)


def _curvature_row(points: Samples, scale: Scale, split: str | None) -> Row:
    """Read the curvature with the interval of its own standard error: neighbourhoods are its samples."""
    columns: dict[str, Any] = {
        "metric": "curvature",
        "units": "1/norm",
        "target": scale,
        "split": split,
        "n": len(points),
    }
    try:
        found = curvature(points)
    except (ShapeError, ConfigError) as error:
        return Row(value=None, note=str(error), **columns)
    low, high = found.interval
    note = (
        f"tangent planes of {found.dimension} dimensions, {found.k} neighbours within {found.radius:.3g}; "
        "interval from its standard error"
    )
    return Row(
        value=found.value,
        low=low,
        high=high,
        note=note,
        **columns,
    )
