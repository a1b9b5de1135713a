"""Read the folder of a bias audit, or say in one sentence what is damaged."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from msma._types import SCALES
from msma.bias.associations import AssociationTable
from msma.bias.crows import CrowsScore
from msma.bias.price_list import PriceList
from msma.bias.stereoset import StereoScore
from msma.bias.winobias import WinoScore
from msma.errors import MsmaError, StorageError
from msma.reporting.audit_files import check_scale, load_rows, read_record
from msma.results import Result

T = TypeVar("T")
_AGAIN = "run 'msma bias' again into an empty folder"
_ERASER = "eraser.safetensors"
_SCORES: dict[str, Callable[[Path], Any]] = {
    "crows": CrowsScore.load,
    "stereoset": StereoScore.load,
    "winobias": WinoScore.load,
}


@dataclass(frozen=True, kw_only=True)
class BiasRecord:
    """What a bias audit wrote.

    Args:
        folder: Where it lies.
        concept: What was looked for: "gender".
        said: What was found, in sentences.
        cautions: What the tests do not show, in sentences.
        associations: Association tests by layer and scale, where they were run.
        location: Where it lives, by layer and scale.
        carried: What the maps between scales carry of it.
        scores: Tests of the language model by name: "crows", "stereoset", "winobias".
        prices: What erasing it leaves and costs.
        eraser: File of the recommended eraser, where one was written.
    """

    folder: Path
    concept: str
    said: tuple[str, ...]
    cautions: tuple[str, ...]
    associations: AssociationTable | None = None
    location: Result | None = None
    carried: Result | None = None
    scores: Mapping[str, Result] = field(default_factory=dict)
    prices: PriceList | None = None
    eraser: Path | None = None


def read_bias(folder: str | os.PathLike[str]) -> BiasRecord:
    """Read the folder of a bias audit; pieces that were not asked for are left out.

    Args:
        folder: A folder that 'msma bias' filled.

    Returns:
        Everything in it that a report shows.

    Raises:
        StorageError: When ``bias.json`` is missing, or a piece is damaged.
    """
    home = Path(folder)
    try:
        audit = _check_audit(home / "bias.json")
        return BiasRecord(
            folder=home,
            concept=audit["concept"],
            said=tuple(audit["said"]),
            cautions=tuple(audit["cautions"]),
            associations=_optional(home / "associations.json", _load_associations),
            location=_optional(home / "location.json", partial(load_rows, again=_AGAIN)),
            carried=_optional(home / "carried.json", partial(load_rows, again=_AGAIN)),
            scores={
                name: load(home / f"{name}.json").to_result()
                for name, load in _SCORES.items()
                if (home / f"{name}.json").is_file()
            },
            prices=_optional(home / "prices.json", _load_prices),
            eraser=home / _ERASER if (home / _ERASER).is_file() else None,
        )
    except StorageError:
        raise
    except (MsmaError, AttributeError, TypeError, KeyError, ValueError) as error:
        raise StorageError(f"the bias audit in '{folder}' is damaged ({error}); {_AGAIN}") from error


def _optional(path: Path, load: Callable[[Path], T]) -> T | None:
    return load(path) if path.is_file() else None


def _check_audit(path: Path) -> Mapping[str, Any]:
    content = read_record(path, audit="bias audit", again=_AGAIN)
    if not isinstance(content.get("concept"), str):
        raise StorageError(f"'{path}' holds no whole bias audit (no 'concept'); {_AGAIN}")
    return content


def _load_associations(path: Path) -> AssociationTable:
    table = AssociationTable.load(path)
    if not table.rows:
        raise StorageError(f"'{path}' holds no association test; {_AGAIN}")
    for row in table.rows:
        check_scale(path, row.scale, again=_AGAIN)
        _check_numbers(path, row.effect, row.low, row.high, row.p_holm, row.floor)
    return table


def _load_prices(path: Path) -> PriceList:
    prices = PriceList.load(path.parent)
    if not prices.erasures or len(prices.erasures) == len(prices.prices):
        raise StorageError(f"'{path}' holds no price list with the model as it is and an erasure; {_AGAIN}")
    for price in prices.prices:
        check_scale(path, price.scale, again=_AGAIN, known=("none", *SCALES))
        _check_numbers(path, price.strength, price.cost.value, price.output_linear.value)
    return prices


def _check_numbers(path: Path, *values: Any) -> None:
    for value in values:
        if value is not None and (not isinstance(value, (int, float)) or not isfinite(value)):
            raise StorageError(f"'{path}' holds {value!r} where a finite number was expected; {_AGAIN}")
