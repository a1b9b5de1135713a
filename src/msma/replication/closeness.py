"""How close two scales are, with or without a map: the published quantities and sound ones side by side."""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from msma.errors import ShapeError
from msma.measures import cka, copula_mi, distance_correlation, gaussian_kl, histogram_mi, r2
from msma.measures.projection import projection_width
from msma.moments import Moments
from msma.readings import Reading
from msma.resampling import shuffle_documents
from msma.scales import Basis

__all__ = ["BETTER", "CLOSENESS", "PUBLISHED", "UNITS", "read_closeness"]

#: What the published code computes, by the name it has here.
PUBLISHED: tuple[str, ...] = ("kl_diagonal", "mi_histogram", "distance_correlation_biased")
#: Every quantity of a pair, published ones first.
CLOSENESS: tuple[str, ...] = (*PUBLISHED, "kl", "mi", "distance_correlation", "cka", "r2")
UNITS: dict[str, str] = {"kl_diagonal": "nats", "mi_histogram": "nats", "kl": "nats", "mi": "nats"}
BETTER: dict[str, str] = {"kl_diagonal": "lower", "kl": "lower"}

#: Quantities of pairs of texts, whose null is the same with pairs shuffled.
_PAIRED = frozenset(CLOSENESS) - {"kl_diagonal", "kl"}
#: Quantities read on leading directions where texts are few.
_PROJECTED = frozenset(("kl", "mi"))

Rows = Float[np.ndarray, "texts d_model"]

_FUNCTIONS: dict[str, Callable[[Rows, Rows], object]] = {
    "kl_diagonal": partial(gaussian_kl, estimator="diagonal"),
    "mi_histogram": histogram_mi,
    "distance_correlation_biased": partial(distance_correlation, debiased=False),
    "kl": partial(gaussian_kl, estimator="paired"),
    "mi": copula_mi,
    "distance_correlation": distance_correlation,
    "cka": cka,
    "r2": r2,
}


def read_closeness(
    source: Float[np.ndarray, "texts d_model"],
    target: Float[np.ndarray, "texts d_model"],
    *,
    train_target: Float[np.ndarray, "others d_model"],
    groups: Int[np.ndarray, " texts"],
    documents: Int[np.ndarray, " texts"],
) -> dict[str, Reading]:
    """Read every quantity of a pair of scales on test texts, and again without each group of documents.

    KL and mutual information are of full covariance and corrected for the sample; where texts are few they are
    read on the target's leading directions, taken from training texts, one for six test texts.

    Args:
        source: States of one scale, or what a map made of them.
        target: States of the other.
        train_target: The target's states of training texts.
        groups: The jackknife group of each text.
        documents: The document of each text.

    Returns:
        A reading by the names of :data:`CLOSENESS`; its value is ``None`` where it cannot be told.
    """
    width = projection_width(len(target), target.shape[1])
    is_projected = width < target.shape[1]
    basis = Basis.from_moments(Moments.from_batch(train_target))
    width = min(width, basis.directions.shape[1]) if is_projected else width
    leading = basis.project(source, width), basis.project(target, width)
    order = shuffle_documents(documents)
    found = {}
    for name in CLOSENESS:
        x, y = leading if name in _PROJECTED else (source, target)
        note = f"on {width} of {target.shape[1]} directions" if name in _PROJECTED and is_projected else None
        found[name] = _read(name, x, y, groups=groups, order=order if name in _PAIRED else None, note=note)
    return found


def _read(
    name: str,
    source: Rows,
    target: Rows,
    *,
    groups: Int[np.ndarray, " texts"],
    order: Int[np.ndarray, " texts"] | None,
    note: str | None,
) -> Reading:
    def value(x: Rows, y: Rows) -> float:
        number = float(_FUNCTIONS[name](x, y))  # type: ignore[arg-type]
        if not np.isfinite(number):
            raise ShapeError(f"{name} came out as {number}")
        return number

    try:
        whole = value(source, target)
        left_out = tuple(value(source[groups != g], target[groups != g]) for g in np.unique(groups))
        null = None if order is None else value(source[order], target)
    except ShapeError as error:
        return Reading(None, note=f"not to be told: {error}")
    return Reading(whole, left_out, null, note)
