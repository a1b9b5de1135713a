"""How well each scale's head tells its labels, beside what always saying the most common one would give."""

import numpy as np
import torch
from jaxtyping import Bool, Int

from msma._types import SCALES, SPLITS, Scale, Split
from msma.replication.model import JointModel
from msma.replication.samples import MISSING, Labels, Samples
from msma.resampling import bootstrap_interval
from msma.results import Result, Row

__all__ = ["label_accuracies"]


def label_accuracies(model: JointModel, samples: Samples) -> Result:
    """Measure the share of labels that are told right, in every part.

    Args:
        model: Trained; left as it is.
        samples: The texts.

    Returns:
        Rows "label_accuracy" by scale (column ``target``) and split; the null is the share of the label most
        common in training. A label that no training text has counts as told wrong.
    """
    rows = []
    for split in SPLITS:
        positions = samples.splits[split]
        states = model.read([samples.rows[i] for i in positions])
        for scale in (scale for scale in SCALES if scale in samples.labels):
            labels = samples.labels[scale]
            with torch.no_grad():
                told = model.heads[scale](states[scale]).argmax(dim=1).cpu().numpy()
            rows += _rows(told, labels, positions, samples, split=split, scale=scale)
    return Result("label_accuracy", tuple(rows))


def _rows(
    told: Int[np.ndarray, " k"],
    labels: Labels,
    positions: Int[np.ndarray, " k"],
    samples: Samples,
    *,
    split: Split,
    scale: Scale,
) -> list[Row]:
    codes = labels.codes.numpy()
    true = codes[positions]
    known = true != MISSING
    if not known.any():
        return []
    train = codes[samples.splits["train"]]
    most_common = np.bincount(train[train >= 0]).argmax()
    is_right = (told == true)[known]
    documents = np.unique([samples.documents[i] for i in positions[known]], return_inverse=True)[1]
    low, high = _interval(is_right, documents)
    return [
        Row(
            metric="label_accuracy",
            value=float(is_right.mean()),
            low=low,
            high=high,
            null=float((true[known] == most_common).mean()),
            better="higher",
            target=scale,
            split=split,
            n=int(known.sum()),
            interval=None if low is None else "bootstrap",
            ceiling=1.0,
            note=f"label '{labels.column}', {len(labels.classes)} values",
        )
    ]


def _interval(
    is_right: Bool[np.ndarray, " k"], documents: Int[np.ndarray, " k"]
) -> tuple[float | None, float | None]:
    if documents.max() < 1:
        return None, None
    found = bootstrap_interval(lambda weights: weights @ is_right / weights.sum(axis=1), documents)
    return found.low, found.high
