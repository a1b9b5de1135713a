"""The division of a model's layers into three contiguous scales."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from msma._types import SCALES, Scale
from msma.errors import ScaleError, StorageError
from msma.results import Result, Row
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: Partitions printed in arXiv 2505.20333, by architecture and number of layer entries.
_PUBLISHED = {
    ("gpt2", 13): (3, 9),
    ("bert", 13): (5, 9),
    ("roberta", 13): (5, 9),
    ("t5", 7): (3, 5),
}


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What one signal says about the boundaries.

    Args:
        name: "similarity", "attention" or "information".
        boundaries: First layer of the intermediate and of the global scale by this signal alone.
        votes: How often resampling the documents put each boundary at each layer: two rows of frequencies.
        profile: The signal itself, by layer, for figures.
        note: What a reader must know about it.
    """

    name: str
    boundaries: tuple[int, int]
    votes: tuple[tuple[float, ...], tuple[float, ...]]
    profile: Mapping[str, Any] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class ScalePartition:
    """Which layers are local, intermediate and global.

    Args:
        n_layers: Layer entries, the embedding output included.
        boundaries: First layer of the intermediate and first layer of the global scale.
        method: How they were found.
        stability: For each boundary, the share of resampling votes for exactly this layer; ``None`` by hand.
        near: The same within one layer either way.
        disagreement: Mean distance in layers between the boundaries of the signals, two by two.
        signals: Each signal's own boundaries, votes and profile.
        provenance: Model, texts, seed and settings.

    Raises:
        ScaleError: When the boundaries do not leave at least one layer to each scale.

    Examples:
        >>> partition = ScalePartition.thirds(7)
        >>> print(partition)
        local 0-2 | intermediate 3-4 | global 5-6
        >>> partition["global"], partition.scale_of(3)
        (range(5, 7), 'intermediate')
    """

    n_layers: int
    boundaries: tuple[int, int]
    method: str = "by hand"
    stability: tuple[float, float] | None = None
    near: tuple[float, float] | None = None
    disagreement: float | None = None
    signals: Mapping[str, Signal] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first, second = self.boundaries
        if self.n_layers < 3:
            raise ScaleError(
                f"{self.n_layers} layer entries came; three scales need at least 3: choose a deeper model"
            )
        if not 0 < first < second < self.n_layers:
            raise ScaleError(
                f"boundaries {first} and {second} came for layers 0-{self.n_layers - 1}; "
                "each scale needs at least one layer, in order from shallow to deep"
            )

    @classmethod
    def thirds(cls, n_layers: int) -> Self:
        """Divide the layers into three ranges of nearly equal length, the longer ones first.

        Args:
            n_layers: Layer entries.

        Returns:
            The partition.

        Raises:
            ScaleError: When there are fewer than three layers.
        """
        if n_layers < 3:
            raise ScaleError(
                f"{n_layers} layer entries came; three scales need at least 3: choose a deeper model"
            )
        first, second = np.cumsum([len(part) for part in np.array_split(np.arange(n_layers), 3)])[:2]
        return cls(n_layers=n_layers, boundaries=(int(first), int(second)), method="thirds")

    @classmethod
    def parse(cls, text: str, *, n_layers: int) -> Self:
        """Read ranges written by hand, as "0-2|3-4|5-6".

        Args:
            text: Three ranges, inclusive, separated by "|".
            n_layers: Layer entries of the model.

        Returns:
            The partition.

        Raises:
            ScaleError: When the text is not three contiguous ranges that cover every layer.

        Examples:
            >>> ScalePartition.parse("0-2 | 3-8 | 9-12", n_layers=13).boundaries
            (3, 9)
        """
        found = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*\|\s*(\d+)(?:-(\d+))?\s*\|\s*(\d+)(?:-(\d+))?\s*", text)
        expected = f"expected three ranges that cover layers 0-{n_layers - 1} in order, such as '0-2|3-4|5-6'"
        if found is None:
            raise ScaleError(f"'{text}' came; {expected}")
        numbers = [int(n) if n is not None else None for n in found.groups()]
        starts = [n for n in numbers[::2] if n is not None]
        ends = [end if end is not None else start for start, end in zip(starts, numbers[1::2], strict=True)]
        if starts[0] != 0 or ends[2] != n_layers - 1 or ends[0] + 1 != starts[1] or ends[1] + 1 != starts[2]:
            raise ScaleError(f"'{text}' came; {expected}")
        return cls(n_layers=n_layers, boundaries=(starts[1], starts[2]))

    @property
    def ranges(self) -> dict[Scale, range]:
        """The layers of each scale."""
        edges = (0, *self.boundaries, self.n_layers)
        return {scale: range(edges[i], edges[i + 1]) for i, scale in enumerate(SCALES)}

    def __getitem__(self, scale: Scale) -> range:
        try:
            return self.ranges[scale]
        except KeyError as error:
            raise ScaleError(f"scale '{scale}' was asked for; there are {', '.join(SCALES)}") from error

    def __iter__(self) -> Iterator[Scale]:
        return iter(SCALES)

    def scale_of(self, layer: int) -> Scale:
        """Tell the scale of a layer.

        Args:
            layer: Its number.

        Returns:
            The scale.

        Raises:
            ScaleError: When there is no such layer.
        """
        for scale, layers in self.ranges.items():
            if layer in layers:
                return scale
        raise ScaleError(f"layer {layer} was asked for; this partition covers 0 to {self.n_layers - 1}")

    @property
    def written(self) -> str:
        """The ranges as :meth:`parse` reads them."""
        return "|".join(_show(layers) for layers in self.ranges.values())

    def __str__(self) -> str:
        return " | ".join(f"{scale} {_show(layers)}" for scale, layers in self.ranges.items())

    def to_result(self) -> Result:
        """Return boundaries, their stability and the signals' disagreement as tidy rows.

        Returns:
            A result named "scales".
        """
        rows = []
        for number, (boundary, scale) in enumerate(zip(self.boundaries, SCALES[1:], strict=True)):
            rows.append(
                Row(
                    metric="first_layer", value=float(boundary), units="layer", target=scale, note=self.method
                )
            )
            for metric, shares in (("boundary_stability", self.stability), ("boundary_near", self.near)):
                if shares is not None:
                    rows.append(
                        Row(
                            metric=metric, value=shares[number], better="higher", target=scale, layer=boundary
                        )
                    )
            for name, signal in self.signals.items():
                rows.append(
                    Row(
                        metric="first_layer",
                        value=float(signal.boundaries[number]),
                        units="layer",
                        target=scale,
                        note=f"{name} alone",
                    )
                )
        if self.disagreement is not None:
            rows.append(
                Row(metric="signal_disagreement", value=self.disagreement, units="layers", better="lower")
            )
        return Result("scales", tuple(rows), dict(self.provenance))

    def to_frame(self) -> "pd.DataFrame":
        """Return the partition as a pandas table; see :meth:`to_result`.

        Returns:
            A tidy table.
        """
        return self.to_result().to_frame()

    def plot(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw the three bands over the layers with the votes for each boundary.

        Args:
            ax: Axes to draw on; new ones when left out.

        Returns:
            The axes.
        """
        from msma.plotting import plot_bands

        votes = {name: signal.votes for name, signal in self.signals.items()}
        return plot_bands(self.n_layers, self.boundaries, votes=votes, ax=ax)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the partition as JSON.

        Args:
            path: The file.

        Returns:
            The path written.
        """
        signals = {
            name: {
                "boundaries": signal.boundaries,
                "votes": signal.votes,
                "profile": dict(signal.profile),
                "note": signal.note,
            }
            for name, signal in self.signals.items()
        }
        return write_json(
            path,
            {
                "n_layers": self.n_layers,
                "ranges": {scale: [layers[0], layers[-1]] for scale, layers in self.ranges.items()},
                "boundaries": self.boundaries,
                "method": self.method,
                "stability": self.stability,
                "near": self.near,
                "disagreement": self.disagreement,
                "signals": signals,
                "provenance": dict(self.provenance),
            },
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            path: The file.

        Returns:
            An equal partition.

        Raises:
            StorageError: When the file is missing or holds no partition.
        """
        content = read_json(path)
        try:
            signals = {
                name: Signal(
                    name=name,
                    boundaries=_two(signal["boundaries"]),
                    votes=(tuple(signal["votes"][0]), tuple(signal["votes"][1])),
                    profile=signal["profile"],
                    note=signal["note"],
                )
                for name, signal in content["signals"].items()
            }
            return cls(
                n_layers=content["n_layers"],
                boundaries=_two(content["boundaries"]),
                method=content["method"],
                stability=None if content["stability"] is None else _two(content["stability"]),
                near=None if content["near"] is None else _two(content["near"]),
                disagreement=content["disagreement"],
                signals=signals,
                provenance=content["provenance"],
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ScaleError):
                raise
            raise StorageError(
                f"'{path}' does not hold a partition ({error}); give a file written by ScalePartition.save"
            ) from error


def _show(layers: range) -> str:
    return f"{layers[0]}" if len(layers) == 1 else f"{layers[0]}-{layers[-1]}"


def _two(pair: Any) -> tuple[Any, Any]:
    first, second = pair
    return first, second


def published_partition(architecture: str, n_layers: int) -> ScalePartition | None:
    """Return the partition printed in arXiv 2505.20333 for an architecture, where there is one.

    Args:
        architecture: Family as in a model's configuration ("gpt2", "bert", "roberta", "t5").
        n_layers: Layer entries; must be those of the published model.

    Returns:
        The partition, or ``None`` where nothing was published for such a model.

    Examples:
        >>> print(published_partition("gpt2", 13))
        local 0-2 | intermediate 3-8 | global 9-12
        >>> published_partition("llama", 13) is None
        True
    """
    boundaries = _PUBLISHED.get((architecture, n_layers))
    if boundaries is None:
        return None
    return ScalePartition(n_layers=n_layers, boundaries=boundaries, method="published")
