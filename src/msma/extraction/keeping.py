"""What is kept of the layers while a model runs: all of them, or three scales and a sketch of the rest."""

from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from jaxtyping import Float32

from msma._types import SCALES
from msma.errors import ScaleError
from msma.scales import Reduction, ScalePartition
from msma.sketches import projections

#: Sums over tokens of each sample of a batch; named, because pydoclint cannot read a shape inside a mapping.
Sums: TypeAlias = Float32[torch.Tensor, "pooled d_model"]
Stacked: TypeAlias = Float32[np.ndarray, "entries pooled width"]


class Keeper(Protocol):
    """Takes each layer entry's sums as they come, and gives what is kept of a batch."""

    def start(self) -> None:
        """Begin a batch."""

    def take(self, number: int, sums: Sums) -> None:
        """Take one layer entry.

        Args:
            number: Its number, from 0; entries come in order.
            sums: Sums over each sample's tokens.
        """

    def finish(self) -> dict[str, Stacked]:
        """Give what is kept of the batch.

        Returns:
            Arrays by name; all are linear in the states, so they add up over rows.
        """


class AllLayers:
    """Keep every layer entry.

    Examples:
        >>> keeper = AllLayers()
        >>> keeper.start()
        >>> keeper.take(0, torch.ones(1, 2))
        >>> keeper.finish()["states"].tolist()
        [[[1.0, 1.0]]]
    """

    def __init__(self) -> None:
        self._entries: list[Sums] = []

    def start(self) -> None:
        """Begin a batch."""
        self._entries = []

    def take(self, number: int, sums: Sums) -> None:
        """Take one layer entry.

        Args:
            number: Its number.
            sums: Sums over each sample's tokens.
        """
        del number
        self._entries.append(sums)

    def finish(self) -> dict[str, Stacked]:
        """Give all entries of the batch.

        Returns:
            "states": one entry a layer.
        """
        return {"states": _gather(self._entries)}


class ThreeScales:
    r"""Keep the representation of each scale, and random projections of every layer.

    .. math:: z_s = \frac{1}{|L_s|} \sum_{l \in L_s} z_l, \quad a_l = z_l R_1, \quad b_l = z_l R_2

    Nothing else of a layer outlives its block, so a batch holds three states a sample in place of N + 1.

    Args:
        partition: The scales.
        n_layers: Layer entries of the model.
        d_model: Width of one state.
        reduction: "mean" of a scale's layers, or its "last".
        sketch_width: Columns of each projection; 0 for none.
        seed: Fixes the projections.

    Raises:
        ScaleError: When the partition is for another number of layers.

    Examples:
        >>> keeper = ThreeScales(ScalePartition.parse("0|1-2|3", n_layers=4), n_layers=4, d_model=1)
        >>> keeper.start()
        >>> for number in range(4):
        ...     keeper.take(number, torch.full((1, 1), float(number)))
        >>> keeper.finish()["states"].ravel().tolist()
        [0.0, 1.5, 3.0]
    """

    def __init__(
        self,
        partition: ScalePartition,
        *,
        n_layers: int,
        d_model: int,
        reduction: Reduction = "mean",
        sketch_width: int = 0,
        seed: int = 0,
    ) -> None:
        if partition.n_layers != n_layers:
            raise ScaleError(
                f"scales of {partition.n_layers} layer entries came for a model of {n_layers}; "
                "find the scales of this model, or write ranges that cover its layers"
            )
        self._scale_of = {layer: i for i, scale in enumerate(SCALES) for layer in partition[scale]}
        self._kept = {
            layer: 1.0 / len(partition[scale]) if reduction == "mean" else 1.0
            for scale in SCALES
            for layer in (partition[scale] if reduction == "mean" else partition[scale][-1:])
        }
        self._both: Any = None
        self._width = sketch_width
        if sketch_width:
            halves = projections(d_model, width=sketch_width, seed=seed)
            self._both = torch.from_numpy(np.concatenate(halves, axis=1))
        self._scales: list[Sums | None] = [None, None, None]
        self._projected: list[Sums] = []

    def start(self) -> None:
        """Begin a batch."""
        self._scales, self._projected = [None, None, None], []

    def take(self, number: int, sums: Sums) -> None:
        """Take one layer entry.

        Args:
            number: Its number.
            sums: Sums over each sample's tokens.
        """
        if self._both is not None:
            self._projected.append((sums @ self._both.to(sums.device)).cpu())
        if number not in self._kept:
            return
        place = self._scale_of[number]
        share, before = sums * self._kept[number], self._scales[place]
        # Blocks of one scale may live on different devices.
        self._scales[place] = share if before is None else before.to(share.device) + share

    def finish(self) -> dict[str, Stacked]:
        """Give the scales and the projections of the batch.

        Returns:
            "states": one entry a scale; "first" and "second": one entry a layer, where projections are kept.
        """
        found = {"states": _gather([scale for scale in self._scales if scale is not None])}
        if self._projected:
            both = _gather(self._projected)
            found["first"], found["second"] = both[..., : self._width], both[..., self._width :]
        return found


def _gather(entries: list[Sums]) -> Stacked:
    """Stack entries that may come from different devices."""
    first = entries[0].device
    if all(entry.device == first for entry in entries):
        return torch.stack(entries).cpu().numpy()
    return torch.stack([entry.cpu() for entry in entries]).numpy()
