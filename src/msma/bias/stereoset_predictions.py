"""Read a published file of StereoSet predictions."""

import os
from collections.abc import Mapping
from typing import get_args

import numpy as np

from msma.bias.formats import PathLike, StereoKind, read_json_content, read_stereoset_records
from msma.bias.stereoset import StereoScore
from msma.errors import CorpusError


def read_stereoset_predictions(path: PathLike, gold_path: PathLike) -> StereoScore:
    """Read a published file of predictions, so that its figures can be had.

    Args:
        path: The predictions, {"intrasentence": [{"id": ..., "score": ...}], "intersentence": [...]}.
        gold_path: StereoSet's published file, whose sentences have these ids.

    Returns:
        Items and scores.

    Raises:
        StorageError: When a file is missing.
        CorpusError: When a file is of another layout, or a sentence of the items predicted has no score.
    """
    content = read_json_content(path)
    kinds = [kind for kind in get_args(StereoKind) if isinstance(content, Mapping) and content.get(kind)]
    if not kinds:
        raise CorpusError(
            f"'{path}' holds no predictions; expected "
            '{"intrasentence": [{"id": ..., "score": ...}], "intersentence": [...]}'
        )
    given: dict[str, float] = {}
    for kind in kinds:
        for number, row in enumerate(content[kind], start=1):
            if (
                not isinstance(row, Mapping)
                or not isinstance(row.get("score"), int | float)
                or "id" not in row
            ):
                raise CorpusError(
                    f"{kind} prediction {number} of '{path}' is {str(row)[:60]}; expected an id and a score that is a "
                    "number"
                )
            given[str(row["id"])] = float(row["score"])
    records = [record for record in read_stereoset_records(gold_path) if record.item.kind in kinds]
    lacking = [name for record in records for name in record.ids if name not in given]
    if lacking or not records:
        raise CorpusError(
            f"'{path}' has no score for {len(lacking)} of {3 * len(records)} sentences of '{gold_path}'"
            f"{f' (first {lacking[0]!r})' if lacking else ''}; expected predictions for that file"
        )
    scores = np.array([[given[name] for name in record.ids] for record in records])
    return StereoScore(
        tuple(record.item for record in records), scores, {"predictions": os.path.basename(path)}
    )
