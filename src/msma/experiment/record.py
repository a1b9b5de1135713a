"""Keep what every cell wrote: one file a cell, written whole, so that the same command goes on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from msma.errors import StorageError
from msma.storage import write_text


@dataclass(frozen=True)
class Written:
    """What came of one prompt and seed in one arm.

    Args:
        prompt: Number of the prompt.
        seed: Seed of the draw.
        text: The continuation; for an encoder, the text with what it filled in.
        values: Measures that need the model, by name; ``None`` where undefined.
    """

    prompt: int
    seed: int
    text: str
    values: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class CellRecord:
    """What one cell wrote.

    Args:
        about: Relative norms reached and layers acted on, by seed.
        treated: Under the intervention.
        control: Under its control.
    """

    about: Mapping[str, Any]
    treated: tuple[Written, ...]
    control: tuple[Written, ...]


def write_cell(path: Path, record: CellRecord) -> None:
    """Write a cell as JSON lines: what it is, then a line for each arm, seed and prompt.

    Args:
        path: The file.
        record: What to keep.

    Raises:
        StorageError: When it cannot be written.
    """
    lines = [json.dumps({"about": dict(record.about)}, allow_nan=False, ensure_ascii=False)]
    for arm, entries in (("treated", record.treated), ("control", record.control)):
        lines += [
            json.dumps({"arm": arm, **asdict(entry)}, allow_nan=False, ensure_ascii=False)
            for entry in entries
        ]
    write_text(path, "\n".join(lines) + "\n")


def read_cell(path: Path, *, expected: int, is_clean: bool = False) -> CellRecord | None:
    """Read what a cell wrote.

    Args:
        path: The file.
        expected: Lines that each arm has.
        is_clean: Whether it is the arm without an intervention, which has no control.

    Returns:
        The record; ``None`` where there is no such file yet.

    Raises:
        StorageError: When the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        first, *rest = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        arms: dict[str, list[Written]] = {"treated": [], "control": []}
        for entry in rest:
            arms[entry.pop("arm")].append(Written(**entry))
        record = CellRecord(first["about"], tuple(arms["treated"]), tuple(arms["control"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"'{path}' is damaged ({error}); delete it and run the same again") from error
    counts = (len(record.treated), len(record.control))
    if counts != (expected, 0 if is_clean else expected):
        raise StorageError(
            f"'{path}' holds {counts[0]} and {counts[1]} continuations where {expected} were expected; delete it "
            "and run the same again"
        )
    return record


def column(entries: Sequence[Written], name: str) -> list[float]:
    """Give one stored measure of every entry.

    Args:
        entries: What was written.
        name: The measure.

    Returns:
        Values in order, NaN where undefined.
    """
    values = [entry.values.get(name) for entry in entries]
    return [float("nan") if value is None else float(value) for value in values]
