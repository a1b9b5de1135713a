"""How far a perturbation moves a text at each layer and scale, against how far apart texts are anyway."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES
from msma.errors import ScaleError, ShapeError
from msma.resampling import bootstrap_interval
from msma.results import Row
from msma.scales import ScalePartition
from msma.states import HiddenStates

#: A move of less than this share of the distance of two texts is what batching and rounding do.
_ROUNDING = 1e-5

_States = Float[np.ndarray, "samples d_model"]


class Moved(NamedTuple):
    """Squared distances of one layer or scale, text by text.

    Args:
        moved: How far each text moved, squared.
        apart: Twice its squared distance from the mean of all texts; the mean of this is the expected squared
            distance of two texts.
    """

    moved: Float[np.ndarray, " samples"]
    apart: Float[np.ndarray, " samples"]


def measure_move(clean: _States, perturbed: _States) -> Moved:
    """Compare states of texts with those of the same texts perturbed.

    Args:
        clean: One row a text.
        perturbed: Row i is the perturbed text i.

    Returns:
        Squared distances, 0 where a text moved by rounding alone; ``apart`` is corrected so that its mean is unbiased
        for two independent texts.

    Raises:
        ShapeError: When shapes differ, there are fewer than two texts, or all have the same state.

    Examples:
        >>> clean = np.array([[0.0], [2.0]])
        >>> measure_move(clean, clean + 1.0)
        Moved(moved=array([1., 1.]), apart=array([4., 4.]))
    """
    if clean.shape != perturbed.shape or len(clean) < 2:
        raise ShapeError(
            f"states of shapes {clean.shape} and {perturbed.shape} came; expected the same shape, of two texts or more"
        )
    moved = ((perturbed.astype(np.float64) - clean) ** 2).sum(axis=1)
    centred = clean.astype(np.float64) - clean.mean(axis=0, dtype=np.float64)
    apart = 2.0 * (centred**2).sum(axis=1) * len(clean) / (len(clean) - 1)
    if not apart.any():
        raise ShapeError(
            f"all {len(clean)} texts have the same state, so there is no natural variation to compare with"
        )
    return Moved(np.where(moved > _ROUNDING**2 * apart.mean(), moved, 0.0), apart)


def displacement_rows(
    clean: HiddenStates,
    perturbed: HiddenStates,
    partition: ScalePartition,
    *,
    name: str,
    strength: float,
    seed: int = 0,
    note: str | None = None,
) -> list[Row]:
    r"""Measure how far a perturbation moves texts at each layer and scale, and how that grows from scale to scale.

    .. math:: D_l = \sqrt{\frac{\overline{\|z'_{l,i} - z_{l,i}\|^2}}{\overline{\|z_{l,i} - z_{l,j}\|^2}}},
        \qquad A_{s \to t} = D_t / D_s

    for texts i and j that differ. D is 0 where nothing moves and 1 where a perturbed text is as far from itself as from
    any other text. A above 1 means that the deeper scale moves further than the one before it, each measured by its own
    variation.

    Args:
        clean: States of the texts.
        perturbed: States of the same texts perturbed, in the same order.
        partition: The scales.
        name: Name of the perturbation.
        strength: Edits a word asked for.
        seed: Fixes the intervals, bootstrapped over documents.
        note: What a reader must know of the perturbation.

    Returns:
        Rows "displacement" for every layer and every scale (the mean of its layers), "amplification" for neighbouring
        scales with source and target; ``map`` is name and strength.

    Raises:
        ShapeError: When the two do not have the same texts.
        ScaleError: When the partition is for another number of layers.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=(3, 200, 4))
        >>> moved = z + np.array([0.1, 0.2, 0.4])[:, None, None] * rng.normal(size=(3, 200, 4))
        >>> states = [HiddenStates.from_arrays(array) for array in (z, moved)]
        >>> rows = displacement_rows(*states, ScalePartition.thirds(3), name="noise", strength=0.1)
        >>> [(row.metric, row.target, round(row.value, 1)) for row in rows if row.layer is None][:2]
        [('displacement', 'local', 0.1), ('displacement', 'intermediate', 0.1)]
    """
    if partition.n_layers != clean.n_layers:
        raise ScaleError(
            f"a partition of {partition.n_layers} layer entries came for states of {clean.n_layers}; find the scales "
            "of these states"
        )
    shared: dict[str, Any] = {
        "map": f"{name} {strength:g}",
        "n": len(clean),
        "interval": "bootstrap",
        "better": "lower",
        "note": note,
        "split": "test",
    }
    documents = clean.documents
    rows = [
        _displacement(
            measure_move(clean.layer(k), perturbed.layer(k)), documents, seed=seed,
            target=partition.scale_of(k), layer=k, **shared,
        )
        for k in range(clean.n_layers)
    ]  # fmt: skip
    moves = {
        scale: measure_move(*(_mean(states, partition[scale]) for states in (clean, perturbed)))
        for scale in SCALES
    }
    rows += [
        _displacement(moves[scale], documents, seed=seed, target=scale, layer=None, **shared)
        for scale in SCALES
    ]
    for source, target in ((SCALES[0], SCALES[1]), (SCALES[1], SCALES[2]), (SCALES[0], SCALES[2])):
        rows.append(
            _amplification(
                moves[source], moves[target], documents, seed=seed, source=source, target=target, **shared
            )
        )
    return rows


def _mean(states: HiddenStates, layers: Sequence[int]) -> _States:
    return np.asarray(np.mean([states.layer(k).astype(np.float64) for k in layers], axis=0))


def _root(weights: Float[np.ndarray, "draws samples"], move: Moved) -> Float[np.ndarray, " draws"]:
    return np.asarray(np.sqrt(weights @ move.moved / (weights @ move.apart)))


def _displacement(move: Moved, documents: Int[np.ndarray, " samples"], *, seed: int, **columns: Any) -> Row:
    found = bootstrap_interval(lambda weights: _root(weights, move), documents, seed=seed)
    return Row(
        metric="displacement",
        value=found.value,
        low=found.low,
        high=found.high,
        null=0.0,
        ceiling=1.0,
        **columns,
    )


def _amplification(
    before: Moved, after: Moved, documents: Int[np.ndarray, " samples"], *, seed: int, **columns: Any
) -> Row:
    if not before.moved.any():
        columns = {
            **columns,
            "interval": None,
            "note": "nothing moves at the source, so there is nothing to amplify",
        }
        return Row(metric="amplification", value=None, **columns)
    found = bootstrap_interval(
        lambda weights: _root(weights, after) / np.maximum(_root(weights, before), 1e-300),
        documents,
        seed=seed,
    )
    return Row(metric="amplification", value=found.value, low=found.low, high=found.high, null=1.0, **columns)
