"""How alike the layers and the scales of two models are on the same texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES, Scale
from msma.model_comparison.kernels import (
    Kernel,
    cka_parts,
    hsic_parts,
    keep_neighbours,
    rank_neighbours,
    share_neighbours,
    shuffle_neighbours,
)
from msma.model_comparison.rows import parts_row
from msma.progress import progress
from msma.results import Row
from msma.scales import ScalePartition
from msma.states import HiddenStates

Scaled: TypeAlias = Mapping[Scale, Float[np.ndarray, "samples d"]]
Orders: TypeAlias = Sequence[Int[np.ndarray, " samples"]]

#: What similarities are: better where higher, and 1 at most.
_BOUNDED: dict[str, Any] = {"better": "higher", "ceiling": 1.0}
#: Added to a row that was chosen for its value.
_CHOSEN = "chosen for its value on these very texts"


@dataclass(frozen=True, eq=False)
class LayerSimilarity:
    """Debiased linear CKA of every layer of one model with every layer of another.

    Args:
        matrix: One row a layer of the first, one column a layer of the second.
        rows: The best match of every layer of either, with interval and null.
    """

    matrix: Float[np.ndarray, "layers_first layers_second"]
    rows: tuple[Row, ...]


def compare_layers(
    states: tuple[HiddenStates, HiddenStates],
    partitions: tuple[ScalePartition, ScalePartition],
    *,
    names: tuple[str, str],
    groups: Int[np.ndarray, " samples"],
    orders: Orders,
) -> LayerSimilarity:
    """Compare every layer of one model with every layer of the other.

    Args:
        states: The same samples in both models.
        partitions: Which layers belong to which scale.
        names: What the two are called.
        groups: The jackknife group of each sample.
        orders: Permutations that pair no sample with its own document.

    Returns:
        The matrix, and the best match of every layer.
    """
    others = [Kernel.from_states(states[1].layer(j), groups) for j in range(states[1].n_layers)]
    own_others = [hsic_parts(kernel, kernel) for kernel in others]
    values = np.empty((states[0].n_layers, len(others), len(own_others[0])))
    chance = np.empty(values.shape[:2])
    for i in progress(range(states[0].n_layers), label="layers"):
        kernel = Kernel.from_states(states[0].layer(i), groups)
        own, shuffled = hsic_parts(kernel, kernel), kernel.permute(orders[0])
        own_shuffled = hsic_parts(shuffled, shuffled)
        for j, (other, own_other) in enumerate(zip(others, own_others, strict=True)):
            values[i, j] = cka_parts(kernel, other, own_first=own, own_second=own_other)
            chance[i, j] = cka_parts(shuffled, other, own_first=own_shuffled, own_second=own_other)[-1]
    rows = _best_rows(values, chance, partitions, names=names, n=len(groups))
    rows += _best_rows(
        values.swapaxes(0, 1), chance.T, partitions[::-1], names=(names[1], names[0]), n=len(groups)
    )
    return LayerSimilarity(values[:, :, -1], tuple(rows))


def _best_rows(
    values: Float[np.ndarray, "layers others parts"],
    chance: Float[np.ndarray, "layers others"],
    partitions: tuple[ScalePartition, ...],
    *,
    names: tuple[str, str],
    n: int,
) -> list[Row]:
    rows = []
    for layer, line in enumerate(values):
        known = np.isfinite(line[:, -1])
        best = int(np.where(known, line[:, -1], -np.inf).argmax())
        rows.append(
            parts_row(
                "layer_cka_best",
                line[best],
                null=float(chance[layer, best]),
                layer=layer,
                source=partitions[0].scale_of(layer),
                target=partitions[1].scale_of(best) if known.any() else None,
                map=f"{names[0]} → {names[1]}",
                n=n,
                note=f"layer {best} of {names[1]}, {_CHOSEN}",
                **_BOUNDED,
            )
        )
    return rows


def compare_scales(
    scales: tuple[Scaled, Scaled],
    *,
    names: tuple[str, str],
    groups: Int[np.ndarray, " samples"],
    orders: Orders,
) -> tuple[list[Row], dict[Scale, Float[np.ndarray, " samples"]]]:
    """Compare every scale of one model with every scale of the other.

    Args:
        scales: Representations of the scales of the same samples in both models.
        names: What the two are called.
        groups: The jackknife group of each sample.
        orders: Permutations that pair no sample with its own document.

    Returns:
        Rows ``cross_cka``, ``cross_knn`` (source: a scale of the first; target: one of the second) and
        ``cross_cka_margin``; and the overlap of each sample's neighbours at scales of the same name.
    """
    kernels = [{s: Kernel.from_states(side[s], groups) for s in SCALES} for side in scales]
    own = [{s: hsic_parts(side[s], side[s]) for s in SCALES} for side in kernels]
    both = f"{names[0]} | {names[1]}"
    rows: list[Row] = []
    found: dict[tuple[Scale, Scale], Float[np.ndarray, " parts"]] = {}
    for s in SCALES:
        shuffled = [kernels[0][s].permute(order) for order in orders]
        for t in SCALES:
            found[s, t] = cka_parts(kernels[0][s], kernels[1][t], own_first=own[0][s], own_second=own[1][t])
            chance = [cka_parts(side, kernels[1][t], own_second=own[1][t])[-1] for side in shuffled]
            rows.append(
                parts_row(
                    "cross_cka",
                    found[s, t],
                    null=float(np.mean(chance)),
                    source=s,
                    target=t,
                    map=both,
                    n=len(groups),
                    **_BOUNDED,
                )
            )
    rows += _margins(found, names=names, n=len(groups))
    overlaps, of_samples = _compare_neighbours(scales, both=both, groups=groups, orders=orders)
    return rows + overlaps, of_samples


def _margins(
    found: Mapping[tuple[Scale, Scale], Float[np.ndarray, " parts"]], *, names: tuple[str, str], n: int
) -> list[Row]:
    """Weigh the scale of the same name against the best of the two others, from either side."""
    rows = []
    for side, name in enumerate(names):
        for scale in SCALES:
            others = [s for s in SCALES if s != scale]
            pairs = [(scale, s) if side == 0 else (s, scale) for s in others]
            values = np.array([found[pair] for pair in pairs])
            rival = others[int(values[:, -1].argmax())] if np.isfinite(values[:, -1]).all() else others[0]
            rows.append(
                parts_row(
                    "cross_cka_margin",
                    found[scale, scale] - values.max(axis=0),
                    null=0.0,
                    source=scale,
                    target=scale,
                    map=f"{name} → {names[1 - side]}",
                    n=n,
                    note=f"CKA with the same scale of {names[1 - side]} less the largest with another ({rival})",
                )
            )
    return rows


def _compare_neighbours(
    scales: tuple[Scaled, Scaled], *, both: str, groups: Int[np.ndarray, " samples"], orders: Orders
) -> tuple[list[Row], dict[Scale, Float[np.ndarray, " samples"]]]:
    ranked = [{s: rank_neighbours(side[s], groups) for s in SCALES} for side in scales]
    left_out: list[int | None] = [*np.unique(groups).tolist(), None]
    near = [
        {s: [keep_neighbours(side[s], groups, without=g) for g in left_out] for s in SCALES}
        for side in ranked
    ]
    rows, own = [], {}
    for s in SCALES:
        for t in SCALES:
            pairs = list(zip(near[0][s], near[1][t], strict=True))
            shares = np.array([share_neighbours(a, b).mean() for a, b in pairs])
            a, b = pairs[-1]
            if s == t:
                own[s] = share_neighbours(a, b)
            null = np.mean([share_neighbours(shuffle_neighbours(a, o), b).mean() for o in orders])
            rows.append(
                parts_row(
                    "cross_knn",
                    shares,
                    null=float(null),
                    source=s,
                    target=t,
                    map=both,
                    n=len(groups),
                    note=f"share of {a.shape[1]} nearest neighbours",
                    **_BOUNDED,
                )
            )
    return rows, own
