"""One of the two studies that are compared: what its folder holds, and what it is called."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from msma.alignment import Alignment
from msma.errors import OriginError
from msma.reporting.reading import StudyRecord, read_study
from msma.states import HiddenStates, Splits

#: Digits of a revision that tell it from another.
_REVISION = 8


@dataclass(frozen=True, kw_only=True)
class Side:
    """One study, opened.

    Args:
        name: What it is called beside the other.
        record: Its settings, scales and tables.
        states: The states of its model.
        alignment: Its fitted maps.
    """

    name: str
    record: StudyRecord
    states: HiddenStates
    alignment: Alignment

    @property
    def splits(self) -> Splits:
        """Its texts, divided as it divided them."""
        config = self.record.config
        first, second, third = config["fractions"]
        return self.states.split(seed=config["seed"], fractions=(first, second, third))

    def facts(self) -> dict[str, object]:
        """Tell which study it is.

        Returns:
            What is kept of it with a comparison.
        """
        given = self.record.provenance
        kept = (
            "model",
            "revision",
            "architecture",
            "model_fingerprint",
            "n_layers",
            "d_model",
            "n_truncated",
        )
        return {
            "folder": self.record.folder.name,
            **{name: given.get(name) for name in kept},
            "map": self.record.best_map,
            "reduction": self.alignment.reduction,
            "seed": self.record.config["seed"],
            "fractions": list(self.record.config["fractions"]),
        }


def read_sides(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> tuple[Side, Side]:
    """Open two studies and name them so that they can be told apart.

    Args:
        first: A folder that a study filled.
        second: Another one.

    Returns:
        Both sides.

    Raises:
        OriginError: When their samples are of different units, or maps and states of one are not of one model.
        StorageError: When a folder holds no whole study.
    """
    sides = [_open(folder) for folder in (first, second)]
    units = [side.states.origin.unit for side in sides]
    if units[0] != units[1]:
        raise OriginError(
            f"'{first}' came with one sample a {units[0]} and '{second}' with one sample a {units[1]}; compare "
            "studies of the same unit: run one of them again with the other's --unit"
        )
    models = [str(side.record.provenance.get("model", "model")) for side in sides]
    revisions = [side.record.provenance.get("revision") for side in sides]
    names = name_sides(models, revisions)
    one, other = (replace(side, name=name) for side, name in zip(sides, names, strict=True))
    return one, other


def name_sides(models: Sequence[str], revisions: Sequence[str | None]) -> tuple[str, str]:
    """Name two models so that the names differ: by model, else by revision, else by letter.

    Args:
        models: Their names; of a folder only the last part is taken.
        revisions: Their revisions, where known.

    Returns:
        Two different names.

    Examples:
        >>> name_sides(["gpt2", "bert"], [None, None])
        ('gpt2', 'bert')
        >>> name_sides(["gpt2", "gpt2"], ["0123456789", "abcdef0123"])
        ('gpt2@01234567', 'gpt2@abcdef01')
        >>> name_sides(["runs/a/model", "runs/a/model"], [None, None])
        ('runs/a/model A', 'runs/a/model B')
    """
    short = [_shorten(model) for model in models]
    if short[0] == short[1]:
        known = [str(revision)[:_REVISION] for revision in revisions if revision]
        marks = (f"@{known[0]}", f"@{known[1]}") if len(set(known)) == 2 else (" A", " B")
        short = [name + mark for name, mark in zip(short, marks, strict=True)]
    return short[0], short[1]


def _shorten(model: str) -> str:
    """Take the last part of a folder; a name on the Hub stays whole."""
    path = PurePath(model)
    return path.name if path.is_absolute() or model.startswith(".") else model


def _open(folder: str | os.PathLike[str]) -> Side:
    record = read_study(folder)
    states = HiddenStates.load(Path(folder) / "states")
    alignment = Alignment.load(Path(folder) / "alignment")
    alignment.check_origin(states)
    return Side(name="", record=record, states=states, alignment=alignment)
