"""Read a study folder whole, or say in one sentence what is missing."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from msma._types import SCALES
from msma.certificate import Certificate
from msma.errors import MsmaError, StorageError
from msma.experiment import Experiment
from msma.reporting.bias_folder import BiasRecord, read_bias
from msma.reporting.robustness_folder import RobustnessRecord, read_robustness
from msma.results import Result
from msma.scales.partition import ScalePartition
from msma.storage import read_json
from msma.tuning import Tuning

T = TypeVar("T")

_AGAIN = "run the study again into an empty folder"


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """What a study wrote.

    Args:
        folder: Where it lies.
        config: Every setting.
        provenance: Model, texts, seed, versions, counts.
        best_map: The map that the evaluation used.
        partition: Which layers are which scale.
        published: The partition printed in the paper for this architecture, where there is one.
        manifold: The shape of each scale.
        maps: Every map compared.
        evaluation: The measures of the best map.
        probes: What each scale holds, where there were labels.
        gain: What the learned map adds, where one was asked for.
        certificate: The two-sided bound; ``None`` in folders of older versions.
        tuning: The search in ``tuning/``, where 'msma tune' wrote one there.
        ablation: The ablation in ``ablation/``, where 'msma ablate' wrote one there.
        intervention: The experiment in ``intervention/``, where 'msma intervene' wrote one there.
        bias: The audit in ``bias/``, where 'msma bias' wrote one there.
        robustness: The audit in ``robustness/``, where one was written there.
        curves: Spectra and dimension over neighbourhood size.
        clouds: Positions of test samples in a plane.
        examples: Nearest neighbours of a few samples.
    """

    folder: Path
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    best_map: str
    partition: ScalePartition
    published: ScalePartition | None
    manifold: Result
    maps: Result
    evaluation: Result
    probes: Result | None
    gain: Result | None = None
    certificate: Certificate | None = None
    tuning: Tuning | None = None
    ablation: Result | None = None
    intervention: Experiment | None = None
    bias: BiasRecord | None = None
    robustness: RobustnessRecord | None = None
    curves: Mapping[str, Any]
    clouds: Mapping[str, Any]
    examples: Mapping[str, Any]


def read_study(folder: str | os.PathLike[str]) -> StudyRecord:
    """Read a study folder.

    Args:
        folder: A folder that a study filled.

    Returns:
        Everything in it that a report shows.

    Raises:
        StorageError: When a piece is missing or damaged.
    """
    home = Path(folder)
    if not home.is_dir():
        raise StorageError(f"there is no folder '{folder}'; give one that 'msma analyze' filled")
    try:
        study = read_json(home / "study.json")
        for key, kind in (("config", dict), ("provenance", dict), ("best_map", str)):
            if not isinstance(study.get(key), kind):
                raise StorageError(f"'{home / 'study.json'}' holds no whole study (no '{key}'); {_AGAIN}")
        return StudyRecord(
            folder=home,
            config=study["config"],
            provenance=study["provenance"],
            best_map=study["best_map"],
            partition=ScalePartition.load(home / "scales.json"),
            published=_optional(home / "published.json", ScalePartition.load),
            manifold=_table(home, "manifold"),
            maps=_table(home, "maps"),
            evaluation=_table(home, "evaluation"),
            probes=_optional(home / "tables" / "probes.json", lambda _: _table(home, "probes")),
            gain=_optional(home / "tables" / "gain.json", Result.load),
            certificate=_optional(home / "tables" / "certificate.json", Certificate.load),
            tuning=_optional(home / "tuning" / "tuning.json", Tuning.load),
            ablation=_optional(home / "ablation" / "results.json", Result.load),
            intervention=_optional(
                home / "intervention" / "experiment.json", lambda path: Experiment.load(path.parent)
            ),
            bias=_optional(home / "bias" / "bias.json", lambda path: read_bias(path.parent)),
            robustness=_optional(
                home / "robustness" / "robustness.json", lambda path: read_robustness(path.parent)
            ),
            curves=_checked(home / "curves.json", _check_curves),
            clouds=_checked(home / "clouds.json", _check_clouds),
            examples=_checked(home / "examples.json", _check_examples),
        )
    except StorageError:
        raise
    except (MsmaError, AttributeError) as error:
        raise StorageError(f"the study in '{folder}' is damaged ({error}); {_AGAIN}") from error


def _optional(path: Path, load: Callable[[Path], T]) -> T | None:
    return load(path) if path.is_file() else None


def _table(home: Path, name: str) -> Result:
    path = home / "tables" / f"{name}.json"
    result = Result.load(path)
    if not any(row.value is not None for row in result):
        raise StorageError(f"'{path}' holds no value; {_AGAIN}")
    return result


def _checked(path: Path, check: Any) -> Mapping[str, Any]:
    content = read_json(path)
    try:
        check(content)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        detail = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise StorageError(f"'{path}' is damaged ({detail}); {_AGAIN}") from error
    return dict(content)


def _check_curves(content: Any) -> None:
    for scale in SCALES:
        if not content["spectrum"][scale]:
            raise ValueError(f"the spectrum of {scale} is empty")
        _check_numbers(content["spectrum"][scale])
        curve = content["dimension"][scale]
        if len(curve["neighbours"]) != len(curve["mle"]):
            raise ValueError(f"the dimension curve of {scale} has unequal sides")
        _check_numbers(curve["mle"])


def _check_clouds(content: Any) -> None:
    n_texts = len(content["texts"])
    columns = {f"label {name}": column for name, column in content["labels"].items()}
    points = {f"points of {scale}": content["points"][scale] for scale in SCALES}
    mapped = {f"mapped points of {scale}": content["mapped"][scale] for scale in content["mapped"]}
    for name, column in {**columns, **points, **mapped}.items():
        if len(column) != n_texts:
            raise ValueError(f"{len(column)} {name} for {n_texts} texts")
    for positions in (*points.values(), *mapped.values()):
        for x, y in positions:
            _check_numbers([x, y])
    if unknown := set(content["mapped"]) - set(SCALES):
        raise ValueError(f"mapped points of unknown scale {min(unknown)}")


def _check_examples(content: Any) -> None:
    for query in content["queries"]:
        _ = query["text"], query.get("label")
        for scale in SCALES:
            for neighbour in query["neighbours"][scale]:
                _ = neighbour["text"], neighbour.get("label")
                _check_numbers([neighbour["similarity"]])


def _check_numbers(values: list[Any]) -> None:
    for value in values:
        if not isinstance(value, (int, float)) or not isfinite(value):
            raise ValueError(f"{value!r} where a finite number was expected")
