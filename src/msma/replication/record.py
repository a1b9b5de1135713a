"""What a replication ends with: every arm and seed, before and after, as numbers, table, figure and sentences."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msma.errors import StorageError
from msma.replication.collapse import Collapse
from msma.replication.findings import tell_replication
from msma.replication.measurement import Key, Measurement
from msma.replication.rows import replication_rows
from msma.replication.statistics import Difference, compare_arms
from msma.results import Result, make_frame
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["Cell", "Replication"]

_FILE = "replication.json"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One arm trained with one seed.

    Args:
        arm: The arm.
        seed: The seed.
        after: What was measured after training.
        epochs: What was followed, by epoch; 0 is before the first step.
        collapse: What became of the scales.
        accuracies: Test accuracy of the trained heads, by scale.
        losses: First and last value of every term of the objective.
    """

    arm: str
    seed: int
    after: Measurement
    epochs: Mapping[int, Mapping[str, Mapping[str, float | None]]]
    collapse: Collapse
    accuracies: Mapping[str, float | None]
    losses: Mapping[str, tuple[float, float]]

    def to_dict(self) -> dict[str, Any]:
        """Write as JSON knows it.

        Returns:
            All fields.
        """
        return {
            "arm": self.arm,
            "seed": self.seed,
            "after": self.after.to_dict(),
            "epochs": {str(epoch): found for epoch, found in self.epochs.items()},
            "collapse": self.collapse.to_dict(),
            "accuracies": dict(self.accuracies),
            "losses": {name: list(ends) for name, ends in self.losses.items()},
        }

    @classmethod
    def from_dict(cls, content: Any) -> "Cell":
        """Read what :meth:`to_dict` wrote.

        Args:
            content: All fields.

        Returns:
            An equal cell.

        Raises:
            StorageError: When it is something else.
        """
        try:
            return cls(
                arm=content["arm"],
                seed=int(content["seed"]),
                after=Measurement.from_dict(content["after"]),
                epochs={int(epoch): found for epoch, found in content["epochs"].items()},
                collapse=Collapse.from_dict(content["collapse"]),
                accuracies=content["accuracies"],
                losses={name: (ends[0], ends[1]) for name, ends in content["losses"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(
                f"no arm of a replication came ({error!r}); delete the file and run again"
            ) from error


@dataclass(frozen=True, kw_only=True)
class Replication:
    """Every arm and seed of a replication of the published protocol.

    Args:
        before: The model as it came, with ridge maps on its states: the frozen protocol.
        cells: One for each arm and seed.
        provenance: Model, texts, settings, version.
    """

    before: Measurement
    cells: tuple[Cell, ...]
    provenance: Mapping[str, Any]

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in the order run."""
        return tuple(dict.fromkeys(cell.arm for cell in self.cells))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds, in the order run."""
        return tuple(dict.fromkeys(cell.seed for cell in self.cells))

    def by_arm(self) -> dict[str, dict[int, Measurement]]:
        """Give what was measured after training.

        Returns:
            By arm and seed.
        """
        return {arm: {c.seed: c.after for c in self.cells if c.arm == arm} for arm in self.arms}

    @cached_property
    def differences(self) -> list[Difference]:
        """Every arm against the baseline, the model as it came, and the frozen protocol, tested."""
        return compare_arms(self.before, self.by_arm())

    def to_result(self) -> Result:
        """Give means over seeds with intervals over documents, and every tested difference, as rows.

        Returns:
            The rows; the provenance holds the findings in sentences.
        """
        rows = replication_rows(self.before, self.by_arm(), self.differences)
        return Result("replication", tuple(rows), {**self.provenance, "findings": self.describe()})

    def to_frame(self) -> "pd.DataFrame":
        """Give every value of every arm and seed, one a line; arm "before" is the model as it came.

        Returns:
            Columns arm, seed, metric, source, target, map, value, null, note.

        Raises:
            MissingExtraError: When pandas is not installed.
        """
        named: list[tuple[str, int | None, Measurement]] = [("before", None, self.before)]
        named += [(cell.arm, cell.seed, cell.after) for cell in self.cells]
        records = [
            {
                "arm": arm,
                "seed": seed,
                **key._asdict(),
                "value": reading.value,
                "null": reading.null,
                "note": reading.note,
            }
            for arm, seed, found in named
            for key, reading in found.readings.items()
        ]
        return make_frame(records, columns=("arm", "seed", *Key._fields, "value", "null", "note"))

    def plot(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw each arm's measures beside the model as it came, and effective rank over the epochs.

        Args:
            ax: Axes to draw on; new ones when left out.

        Returns:
            The axes; nothing is shown.

        Raises:
            MissingExtraError: When matplotlib is not installed.
        """
        from msma.plotting.replication import plot_replication

        courses = {arm: [dict(cell.epochs) for cell in self.cells if cell.arm == arm] for arm in self.arms}
        return plot_replication(self.to_result().rows, courses, ax=ax)

    def describe(self) -> list[str]:
        """Say in sentences what alignment did, what fine-tuning did by itself, and what became of the scales.

        Returns:
            The sentences.
        """
        collapses = {arm: [c.collapse for c in self.cells if c.arm == arm] for arm in self.arms}
        return tell_replication(self.before, self.by_arm(), self.differences, collapses)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write everything to a folder.

        Args:
            folder: Where to.

        Returns:
            The file written.

        Raises:
            StorageError: When it cannot be written.
        """
        content = {
            "before": self.before.to_dict(),
            "cells": [cell.to_dict() for cell in self.cells],
            "provenance": dict(self.provenance),
        }
        return write_json(Path(folder) / _FILE, content)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Replication":
        """Read what :meth:`save` wrote.

        Args:
            folder: Where it is.

        Returns:
            An equal replication.

        Raises:
            StorageError: When the folder holds none.
        """
        content = read_json(Path(folder) / _FILE)
        try:
            cells = tuple(Cell.from_dict(cell) for cell in content["cells"])
            return cls(
                before=Measurement.from_dict(content["before"]), cells=cells, provenance=content["provenance"]
            )
        except (KeyError, TypeError) as error:
            raise StorageError(f"'{folder}' holds no replication ({error!r}); run it again") from error
