"""A fitted detector as one file: numbers as tensors, maps as the files they save themselves as."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from msma._types import Pair
from msma._version import __version__
from msma.detection.calibration import ConformalCalibration
from msma.detection.residuals import CrossScaleResiduals
from msma.detection.whitening import WhitenedNorm
from msma.errors import StorageError
from msma.maps import BaseMap
from msma.storage import open_tensors, verify_tensors, write_tensors

if TYPE_CHECKING:
    from msma.detection.detector import AnomalyDetector

_CONTENT = "msma anomaly detector"


def write_detector(
    path: str | os.PathLike[str], detector: "AnomalyDetector", *, facts: Mapping[str, Any] | None = None
) -> Path:
    """Write a fitted detector.

    Args:
        path: The file.
        detector: A fitted detector.
        facts: What else to keep with it; plain values.

    Returns:
        The path written.
    """
    check_is_fitted(detector)
    residuals, calibration = detector.residuals_, detector.calibration_
    arrays = {"calibration.scores": calibration.scores, "calibration.cumulative": calibration.cumulative}
    for pair in residuals.pairs:
        key = "-".join(pair)
        arrays |= {f"{key}.norm.{name}": array for name, array in residuals.norms_[pair].to_arrays().items()}
        arrays |= {f"{key}.map.{name}": array for name, array in _pack_map(residuals.maps[pair]).items()}
    params = {name: value for name, value in detector.get_params(deep=False).items() if name != "map"}
    content = {
        "params": {**params, "pairs": [list(pair) for pair in detector.pairs]},
        "pairs": [list(pair) for pair in residuals.pairs],
        "n_documents": calibration.n_documents,
        "n_features_in": int(detector.n_features_in_),
        "offset": detector.offset_,
        "has_map": detector.map is not None,
        "version": __version__,
        "facts": dict(facts or {}),
    }
    return write_tensors(path, arrays, metadata={"content": _CONTENT, "detector": json.dumps(content)})


def read_detector(path: str | os.PathLike[str]) -> tuple["AnomalyDetector", dict[str, Any]]:
    """Read what :func:`write_detector` wrote.

    Args:
        path: The file.

    Returns:
        The detector, and the facts kept with it.

    Raises:
        StorageError: When the file is missing, damaged or holds no detector.
    """
    from msma.detection.detector import AnomalyDetector

    arrays, metadata = open_tensors(path)
    verify_tensors(path)
    try:
        content = json.loads(metadata["detector"])
        params = content["params"]
        params["pairs"] = tuple((source, target) for source, target in params["pairs"])
        params["fractions"] = tuple(params["fractions"])
        pairs: list[Pair] = [(source, target) for source, target in content["pairs"]]
        maps = {pair: _unpack_map(_under(arrays, f"{'-'.join(pair)}.map.")) for pair in pairs}
        detector = AnomalyDetector(**params)
        if content["has_map"]:
            from sklearn.base import clone

            detector.map = clone(maps[pairs[0]])
        detector.residuals_ = CrossScaleResiduals(maps, shrinkage=params["shrinkage"])
        detector.residuals_.norms_ = {
            pair: WhitenedNorm.from_arrays(_under(arrays, f"{'-'.join(pair)}.norm.")) for pair in pairs
        }
        detector.calibration_ = ConformalCalibration(
            np.array(arrays["calibration.scores"]),
            np.array(arrays["calibration.cumulative"]),
            content["n_documents"],
        )
        detector.n_features_in_ = content["n_features_in"]
        detector.offset_ = content["offset"]
        return detector, content["facts"]
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise StorageError(
            f"'{path}' holds no detector ({error}); give a file written by its save"
        ) from error


def _under(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _pack_map(map_: BaseMap) -> dict[str, np.ndarray]:
    """Give the files a map saves itself as, byte for byte, so that maps of every kind come back as they were."""
    with TemporaryDirectory() as folder:
        files = sorted(map_.save(folder).iterdir())
        return {file.name: np.frombuffer(file.read_bytes(), dtype=np.uint8) for file in files}


def _unpack_map(files: Mapping[str, np.ndarray]) -> BaseMap:
    with TemporaryDirectory() as folder:
        for name, content in files.items():
            # The name alone: a file from elsewhere must not choose where it is written.
            (Path(folder) / Path(name).name).write_bytes(content.tobytes())
        return BaseMap.load(folder)
