"""Linear probes: what each scale holds about labels a reader gave, against a control task."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES, Scale
from msma.errors import CorpusError
from msma.progress import progress
from msma.resampling import bootstrap_interval
from msma.results import Result, Row
from msma.scales import ScaleRepresentation
from msma.states import HiddenStates, Splits

#: A column is probed when it has at least two and at most this many different values ...
_MOST_CLASSES = 50
#: ... and each value at least this many training samples; rarer values are left out.
_FEWEST_A_CLASS = 8
_STRENGTHS = (0.003, 0.03, 0.3)


def probe_scales(splits: Splits, representation: ScaleRepresentation, *, seed: int = 0) -> Result:
    """Train a linear probe for each label and scale, and a control probe beside it.

    A logistic regression on the standardised representation, its strength chosen on the validation split and
    its accuracy read on the test split. The control (Hewitt and Liang 2019) learns the same labels dealt at
    random to the documents: what it reaches is what the probe could do without the model knowing anything.
    ``floor`` is the share of the most frequent training label in the test split.

    Args:
        splits: States with label columns, divided by document.
        representation: Fitted on the training states.
        seed: Fixes the control labels and the bootstrap.

    Returns:
        Rows ``probe_<label>``: accuracy from 0 to 1, with interval, null (control) and floor (majority).

    Raises:
        CorpusError: When no label column can be probed.

    Examples:
        >>> from msma.scales import ScalePartition
        >>> rng = np.random.default_rng(0)
        >>> label = np.arange(200) % 2
        >>> noise, told = rng.normal(size=(2, 200, 2)), label[:, None] + 0.1 * rng.normal(size=(200, 2))
        >>> states = HiddenStates.from_arrays(np.stack([noise[0], noise[1], told]), labels={"odd": label})
        >>> representation = ScaleRepresentation(ScalePartition.thirds(3))
        >>> probe_scales(states.split(), representation).value("probe_odd", target="global")
        1.0
    """
    columns = _probed_columns(splits.train)
    if not columns:
        raise CorpusError(
            f"no label column can be probed; one needs 2 to {_MOST_CLASSES} values with at least "
            f"{_FEWEST_A_CLASS} training samples each: give --label-column, or more labelled texts"
        )
    scales = [representation.transform(part) for part in splits]
    scaled: dict[Scale, list[Float[np.ndarray, "samples d_model"]]] = {}
    for scale in SCALES:
        mean, deviation = scales[0][scale].mean(axis=0), scales[0][scale].std(axis=0)
        deviation = np.where(deviation > 0, deviation, 1.0)
        # Half the memory traffic, and the same accuracies to every digit shown.
        scaled[scale] = [((part[scale] - mean) / deviation).astype(np.float32) for part in scales]
    work = [(name, scale) for name in columns for scale in SCALES]
    rows = [
        _probe(splits, scaled[scale], name=name, scale=scale, classes=columns[name], seed=seed)
        for name, scale in progress(work, label="probes")
    ]
    provenance = {"model": splits.train.origin.model, "seed": seed, "probe": "logistic regression"}
    return Result("probes", tuple(rows), provenance)


def _probed_columns(train: HiddenStates) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for name, values in train.labels.items():
        if all(value is None or isinstance(value, float) for value in values):
            continue
        counts = Counter(value for value in values if value is not None)
        classes = sorted((v for v, count in counts.items() if count >= _FEWEST_A_CLASS), key=str)
        if 2 <= len(classes) <= _MOST_CLASSES:
            columns[name] = classes
    return columns


def _probe(
    splits: Splits,
    features: Sequence[Float[np.ndarray, "samples d_model"]],
    *,
    name: str,
    scale: Scale,
    classes: Sequence[Any],
    seed: int,
) -> Row:
    code = {value: number for number, value in enumerate(classes)}
    labels = [np.array([code.get(v, -1) for v in part.labels[name]]) for part in splits]
    control = _control_labels(splits, labels, seed=seed)
    hits, kept, strength = _hits(features, labels, strengths=_STRENGTHS)
    control_hits, _, _ = _hits(features, control, strengths=(strength,))
    majority = np.bincount(labels[0][labels[0] >= 0]).argmax()
    interval = bootstrap_interval(
        lambda weights: weights @ hits / weights.sum(axis=1), splits.test.documents[kept], seed=seed
    )
    return Row(
        metric=f"probe_{name}",
        value=interval.value,
        low=interval.low,
        high=interval.high,
        null=float(control_hits.mean()),
        floor=float((labels[2][kept] == majority).mean()),
        ceiling=1.0,
        units="accuracy",
        better="higher",
        target=scale,
        split="test",
        n=len(hits),
        interval=interval.method,
        note=f"{len(classes)} classes; null: control task; floor: most frequent class",
    )


def _control_labels(
    splits: Splits, labels: Sequence[Int[np.ndarray, " samples"]], *, seed: int
) -> list[Int[np.ndarray, " samples"]]:
    """Deal the labels out anew, keeping label frequencies and what samples of one document share."""
    rng = np.random.default_rng(seed)
    dealt = []
    for part, codes in zip(splits, labels, strict=True):
        by_document: Mapping[int, list[int]] = {}
        is_shared = all(
            len(set(codes[part.documents == document])) == 1 for document in np.unique(part.documents)
        )
        if is_shared:
            names, first = np.unique(part.documents, return_index=True)
            shuffled = rng.permutation(codes[first])
            by_document = dict(zip(names.tolist(), shuffled.tolist(), strict=True))
            dealt.append(np.array([by_document[document] for document in part.documents.tolist()]))
        else:
            dealt.append(rng.permutation(codes))
    return dealt


def _hits(
    features: Sequence[Float[np.ndarray, "samples d_model"]],
    labels: Sequence[Int[np.ndarray, " samples"]],
    *,
    strengths: Sequence[float],
) -> tuple[Float[np.ndarray, " kept"], Int[np.ndarray, " kept"], float]:
    """Fit on train, choose the strength on validation, tell right from wrong on test."""
    from sklearn.linear_model import LogisticRegression

    (x_train, x_valid, x_test), kept = features, [np.flatnonzero(codes >= 0) for codes in labels]
    if len(kept[2]) == 0:
        raise CorpusError("no test sample carries a label that was learned; give more labelled texts")
    # Probes compare scales with each other; a tighter optimum changes no digit shown and costs minutes. The
    # weights found at one strength are a good start for the next.
    probe = LogisticRegression(max_iter=1000, tol=1e-3, warm_start=True)
    best, best_score, hits = strengths[0], -1.0, np.zeros(len(kept[2]))
    for strength in strengths:
        probe.set_params(C=strength).fit(x_train[kept[0]], labels[0][kept[0]])
        score = probe.score(x_valid[kept[1]], labels[1][kept[1]]) if len(kept[1]) else 0.0
        if score > best_score:
            best, best_score = strength, score
            hits = (probe.predict(x_test[kept[2]]) == labels[2][kept[2]]).astype(float)
    return hits, kept[2], best
