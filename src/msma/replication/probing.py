"""What a linear probe reads from states about a label, against a control task, text by text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from msma._types import Split

__all__ = ["Probed", "probe_label"]

#: A label is probed when it has from two to so many values with so many training texts each.
_MOST_CLASSES, _FEWEST_A_CLASS = 50, 5
_STRENGTHS = (0.003, 0.03, 0.3)

Codes = Mapping[Split, Int[np.ndarray, " k"]]
States = Mapping[Split, Float[np.ndarray, "k d_model"]]


class Probed(NamedTuple):
    """What a probe told right on test texts.

    Args:
        hits: 1 where right, 0 where wrong, NaN where a test text has no label that was learned.
        control: Share told right by a probe of labels dealt at random (Hewitt and Liang 2019).
        majority: Share of the label most common in training.
        n_classes: Values told apart.
    """

    hits: Float[np.ndarray, " k"]
    control: float
    majority: float
    n_classes: int


def probe_label(
    states: Float[np.ndarray, "texts d_model"],
    labels: Sequence[str | None],
    splits: Mapping[Split, Int[np.ndarray, " k"]],
    *,
    seed: int = 0,
) -> Probed | None:
    """Train a linear probe for one label on training texts and read it on test texts.

    A logistic regression on standardised states; its strength is chosen on the validation texts.

    Args:
        states: One row a text.
        labels: One a text; ``None`` where there is none.
        splits: Positions in each part.
        seed: Fixes the control labels.

    Returns:
        What it told right; ``None`` where the label has too few or too many values.

    Examples:
        >>> odd = np.arange(60) % 2
        >>> parts = {"train": np.arange(30), "validation": np.arange(30, 40), "test": np.arange(40, 60)}
        >>> found = probe_label(odd[:, None] + np.zeros((60, 2)), [str(o) for o in odd], parts)
        >>> float(found.hits.mean()), found.majority, found.n_classes
        (1.0, 0.5, 2)
    """
    train = splits["train"]
    counts = Counter(labels[i] for i in train if labels[i] is not None)
    classes = sorted(str(value) for value, count in counts.items() if count >= _FEWEST_A_CLASS)
    if not 2 <= len(classes) <= _MOST_CLASSES:
        return None
    place = {value: code for code, value in enumerate(classes)}
    codes: dict[Split, Int[np.ndarray, " k"]] = {
        part: np.array([place.get(labels[i] or "", -1) for i in positions])
        for part, positions in splits.items()
    }
    if not (codes["test"] >= 0).any():
        return None
    mean, deviation = states[train].mean(axis=0), states[train].std(axis=0)
    scaled = (states - mean) / np.where(deviation > 0, deviation, 1.0)
    parts: States = {part: scaled[positions].astype(np.float32) for part, positions in splits.items()}
    hits, strength = _fit(parts, codes, _STRENGTHS)
    rng = np.random.default_rng(seed)
    dealt = {part: _deal(values, rng) for part, values in codes.items()}
    control, _ = _fit(parts, dealt, (strength,))
    majority = int(np.bincount(codes["train"][codes["train"] >= 0]).argmax())
    known = codes["test"] >= 0
    return Probed(
        hits=hits,
        control=float(np.nanmean(control)),
        majority=float((codes["test"][known] == majority).mean()),
        n_classes=len(classes),
    )


def _deal(codes: Int[np.ndarray, " k"], rng: np.random.Generator) -> Int[np.ndarray, " k"]:
    dealt = codes.copy()
    known = np.flatnonzero(codes >= 0)
    dealt[known] = codes[rng.permutation(known)]
    return dealt


def _fit(states: States, codes: Codes, strengths: Sequence[float]) -> tuple[Float[np.ndarray, " k"], float]:
    from sklearn.linear_model import LogisticRegression

    known = {part: np.flatnonzero(values >= 0) for part, values in codes.items()}
    probe = LogisticRegression(max_iter=1000, tol=1e-3, warm_start=True)
    best, best_score = strengths[0], -1.0
    hits = np.full(len(codes["test"]), np.nan)
    for strength in strengths:
        probe.set_params(C=strength).fit(states["train"][known["train"]], codes["train"][known["train"]])
        kept = known["validation"]
        score = probe.score(states["validation"][kept], codes["validation"][kept]) if len(kept) else 0.0
        if score > best_score:
            best, best_score = strength, float(score)
            told = probe.predict(states["test"][known["test"]])
            hits[known["test"]] = told == codes["test"][known["test"]]
    return hits, best
