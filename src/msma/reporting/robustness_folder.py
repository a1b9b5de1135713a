"""Read the folder of a robustness audit, or say in one sentence what is damaged."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from msma.errors import MsmaError, StorageError
from msma.reporting.audit_files import check_scale, load_rows, read_record
from msma.results import Result

_AGAIN = "make the robustness audit again into an empty folder"
_DETECTOR = "detector.safetensors"
_AT = "accuracy_at_"
#: Key of a perturbation: what it holds.
_KEYS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "strength": (int, float),
    "does": (str,),
    "keeps_meaning": (bool,),
    "edits_per_word": (int, float),
    "n": (int,),
    "n_skipped": (int,),
    "n_unchanged": (int,),
}


@dataclass(frozen=True, kw_only=True)
class RobustnessRecord:
    """What a robustness audit wrote.

    Args:
        folder: Where it lies.
        unit: What one text was: "sentence" or "text".
        label: What probes were trained to tell, where there were labels.
        said: What was found, in sentences.
        cautions: What the audit does not show, in sentences.
        perturbations: What was done to the texts, each with an example.
        displacement: How far texts move, by layer and scale.
        detection: Which detector notices what.
        probes: Which probe withstands what.
        gates: What to abstain by.
        detector: File of the detector, where one was written.
    """

    folder: Path
    unit: str
    label: str | None
    said: tuple[str, ...]
    cautions: tuple[str, ...]
    perturbations: tuple[Mapping[str, Any], ...]
    displacement: Result | None = None
    detection: Result | None = None
    probes: Result | None = None
    gates: Result | None = None
    detector: Path | None = None


def read_robustness(folder: str | os.PathLike[str]) -> RobustnessRecord:
    """Read the folder of a robustness audit; pieces that are not there are left out.

    Args:
        folder: A folder that an audit filled.

    Returns:
        Everything in it that a report shows.

    Raises:
        StorageError: When ``robustness.json`` is missing, or a piece is damaged.
    """
    home = Path(folder)
    try:
        audit = _check_audit(home / "robustness.json")
        return RobustnessRecord(
            folder=home,
            unit=audit["unit"],
            label=audit["label"],
            said=tuple(audit["said"]),
            cautions=tuple(audit["cautions"]),
            perturbations=tuple(audit["perturbations"]),
            displacement=_rows(home / "displacement.json", "map", "target"),
            detection=_rows(home / "detection.json", "map", "split"),
            probes=_rows(home / "probes.json", "map"),
            gates=_rows(home / "gates.json", "map", "split"),
            detector=home / _DETECTOR if (home / _DETECTOR).is_file() else None,
        )
    except StorageError:
        raise
    except (MsmaError, AttributeError, TypeError, KeyError, ValueError) as error:
        raise StorageError(f"the robustness audit in '{folder}' is damaged ({error}); {_AGAIN}") from error


def _check_audit(path: Path) -> Mapping[str, Any]:
    content = read_record(path, audit="robustness audit", again=_AGAIN)
    if not isinstance(content.get("unit"), str) or not isinstance(content["label"], str | None):
        raise StorageError(f"'{path}' holds no whole robustness audit (no 'unit' or 'label'); {_AGAIN}")
    done = content.get("perturbations")
    if not isinstance(done, list):
        raise StorageError(f"'{path}' holds no whole robustness audit (no list 'perturbations'); {_AGAIN}")
    for number, one in enumerate(done):
        _check_perturbation(path, number, one)
    return content


def _check_perturbation(path: Path, number: int, one: Any) -> None:
    for key, kinds in _KEYS.items():
        value = one[key]
        if not isinstance(value, kinds) or (isinstance(value, float) and not isfinite(value)):
            raise StorageError(f"'{path}' holds {value!r} as '{key}' of perturbation {number}; {_AGAIN}")
    if not isinstance(one.get("note"), str | None):
        raise StorageError(f"'{path}' holds {one['note']!r} as 'note' of perturbation {number}; {_AGAIN}")
    if not all(isinstance(one["example"][key], str) for key in ("original", "text")):
        raise StorageError(f"'{path}' holds no example of perturbation {number} in two texts; {_AGAIN}")


def _rows(path: Path, *columns: str) -> Result | None:
    """Read a table whose rows must name what they are about."""
    if not path.is_file():
        return None
    result = load_rows(path, again=_AGAIN)
    for row in result:
        for column in columns:
            if not isinstance(getattr(row, column), str):
                raise StorageError(f"'{path}' holds a row '{row.metric}' without '{column}'; {_AGAIN}")
        if row.metric.startswith(_AT) and not row.metric.removeprefix(_AT).isdecimal():
            raise StorageError(
                f"'{path}' holds '{row.metric}', expected a percentage after '{_AT}'; {_AGAIN}"
            )
        for scale in (row.source, row.target):
            if scale is not None:
                check_scale(path, scale, again=_AGAIN)
        if not isinstance(row.layer, int | None) or not isinstance(row.split, str | None):
            raise StorageError(f"'{path}' holds a row '{row.metric}' with a wrong layer or split; {_AGAIN}")
    return result
