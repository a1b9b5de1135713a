"""What is written when all stages are done: where the numbers come from, and the numbers as CSV."""

import csv
import io
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from msma._types import SPLITS
from msma._version import __version__
from msma.configuration import StudyConfig
from msma.results import Result
from msma.states import HiddenStates, Splits


def describe_origin(config: StudyConfig, states: HiddenStates, splits: Splits) -> dict[str, Any]:
    """Say what a study's numbers come from: model, texts, settings, sizes, versions.

    Args:
        config: The study's settings.
        states: All its states.
        splits: Their three parts.

    Returns:
        What every result of the study carries.
    """
    origin = states.origin
    return {
        "model": origin.model,
        "revision": origin.revision,
        "architecture": origin.architecture,
        "stack": origin.stack,
        "model_fingerprint": origin.fingerprint,
        "texts": config.texts,
        "texts_fingerprint": states.fingerprint,
        "seed": config.seed,
        "n_layers": origin.n_layers,
        "d_model": origin.d_model,
        "unit": origin.unit,
        "long": origin.long,
        "final_norm": origin.final_norm,
        "reading_note": origin.note,
        "n_documents": len(set(states.document_ids)),
        "n_samples": {name: part.n_samples for name, part in zip(SPLITS, splits, strict=True)},
        "n_truncated": int(states.truncated.sum()),
        "versions": {
            "msma": __version__,
            "python": platform.python_version(),
            "torch": version("torch"),
            "transformers": version("transformers"),
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def to_csv(result: Result) -> str:
    """Write the rows of a result as CSV.

    Args:
        result: One row or more.

    Returns:
        A header and a line a row.
    """
    records = result.to_records()
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return buffer.getvalue()
