"""Which score tells best when to stay silent: the probe's own confidence, a detector's score, or both."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import xlogy
from scipy.stats import rankdata

from msma.errors import ShapeError
from msma.linalg import check_samples
from msma.resampling import Interval
from msma.results import Result, Row
from msma.robust_probes.abstention import abstention_curve, area_difference
from msma.robust_probes.labelled import number_documents

#: The gate that others are compared with.
CONFIDENCE = "probability"


def gate_scores(
    probabilities: Any, detectors: Mapping[str, Any] | None = None
) -> dict[str, Float[np.ndarray, " samples"]]:
    r"""Score samples by every gate; a higher score is kept longer.

    "probability" is the largest predicted probability (Hendrycks and Gimpel 2017), "entropy" is
    :math:`\sum_k p_k \log p_k`, each detector stands under its name, and "probability + name" is the mean of the two
    scores' ranks among the samples given, so it can only be had for a set of samples.

    Args:
        probabilities: (samples, classes), rows adding up to 1.
        detectors: Scores by name, higher is more normal.

    Returns:
        Scores by gate. With two classes "entropy" orders samples as "probability" does.

    Raises:
        ShapeError: When rows are not distributions, or a detector's scores do not match.

    Examples:
        >>> scores = gate_scores([[0.9, 0.1], [0.5, 0.5]], {"detector": [0.0, 1.0]})
        >>> scores["probability"].tolist(), scores["probability + detector"].tolist()
        ([0.9, 0.5], [0.75, 0.75])
    """
    rows = check_samples(probabilities, name="probabilities")
    if rows.min() < 0 or not np.allclose(rows.sum(axis=1), 1.0, atol=1e-6):
        raise ShapeError(
            f"probabilities came with a row that adds up to {float(rows.sum(axis=1).min()):.4g} or holds a negative "
            "number; expected rows that add up to 1: take them from predict_proba"
        )
    scores = {CONFIDENCE: rows.max(axis=1), "entropy": np.sum(xlogy(rows, rows), axis=1)}
    for name, given in (detectors or {}).items():
        values = np.asarray(given, dtype=np.float64)
        if values.shape != (len(rows),):
            raise ShapeError(
                f"scores of '{name}' came with shape {values.shape} for {len(rows)} samples; give one a sample"
            )
        scores[name] = values
        ranks = rankdata(scores[CONFIDENCE]) + rankdata(values)
        scores[f"{CONFIDENCE} + {name}"] = ranks / (2.0 * len(rows))
    return scores


def compare_gates(
    probabilities: Any,
    is_correct: Any,
    documents: Any = None,
    *,
    detectors: Mapping[str, Any] | None = None,
    coverages: tuple[float, ...] = (0.9, 0.8, 0.5),
    split: str = "test",
    n_resamples: int = 1000,
    seed: int = 0,
) -> Result:
    """Compare gates of one classifier by the area under the risk, and by accuracy at some coverages.

    Args:
        probabilities: (samples, classes), rows adding up to 1.
        is_correct: Whether each sample was classified right.
        documents: The document of each sample; every one its own when left out.
        detectors: Scores by name, higher is more normal.
        coverages: Shares of samples kept at which accuracy is told.
        split: What to call these samples.
        n_resamples: Draws of the document bootstrap.
        seed: Fixes the draws.

    Returns:
        Rows ``aurc`` (null: the error rate, which a gate that knows nothing has on average; floor: what a perfect
        gate would reach), ``aurc_difference`` to "probability" with its paired interval (below 0: the better gate),
        and ``accuracy_at_<percent>`` (null: accuracy without a gate); the gate stands in the column ``map``.

    Raises:
        ShapeError: When the arrays do not fit each other or hold one document.

    Examples:
        >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.5, 0.5]])
        >>> result = compare_gates(p, [True, True, False, False], n_resamples=50)
        >>> round(result.value("aurc", map="probability"), 4)  # (0 + 0 + 1/3 + 1/2) / 4
        0.2083
    """
    scores = gate_scores(probabilities, detectors)
    right = np.asarray(is_correct)
    names = number_documents(documents, n_samples=len(right))
    rows = []
    for gate, values in scores.items():
        curve = abstention_curve(
            right, values, names, coverages=coverages, n_resamples=n_resamples, seed=seed
        )
        common: dict[str, Any] = {"map": gate, "split": split, "n": curve.n}
        note = "null: a gate that knows nothing; floor: every error has a lower score than every hit"
        rows.append(
            Row(
                metric="aurc",
                **_ends(curve.aurc),
                null=curve.error_rate,
                floor=curve.optimal,
                better="lower",
                note=note,
                **common,
            )
        )
        if gate != CONFIDENCE:
            found = area_difference(
                right, values, scores[CONFIDENCE], names, n_resamples=n_resamples, seed=seed
            )
            rows.append(
                Row(
                    metric="aurc_difference",
                    **_ends(found),
                    null=0.0,
                    better="lower",
                    note=tell_gate(found),
                    **common,
                )
            )
        for point, coverage in enumerate(coverages):
            rows.append(
                Row(
                    metric=f"accuracy_at_{round(100 * coverage)}",
                    value=float(curve.accuracies[point]),
                    low=float(curve.low[point]),
                    high=float(curve.high[point]),
                    interval="bootstrap",
                    null=1.0 - curve.error_rate,
                    ceiling=min(1.0, (1.0 - curve.error_rate) / coverage),
                    units="accuracy",
                    better="higher",
                    note="null: accuracy on all samples",
                    **common,
                )
            )
    provenance = {"seed": seed, "n_resamples": n_resamples, "compared_with": CONFIDENCE}
    return Result("gates", tuple(rows), provenance)


def _ends(found: Interval) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "interval": found.method}


def tell_gate(found: Interval) -> str:
    """Say what a difference of areas means.

    Args:
        found: Gate minus confidence.

    Returns:
        A sentence part.

    Examples:
        >>> tell_gate(Interval(-0.01, -0.03, 0.01, "bootstrap"))
        'no difference to the largest probability that these texts can tell'
    """
    if found.low <= 0.0 <= found.high:
        return "no difference to the largest probability that these texts can tell"
    if found.high < 0.0:
        return "a better gate than the largest probability"
    return "a worse gate than the largest probability"
