"""Detectors beside each other on the same samples: values, ranks, and gains over the best baseline."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.stats import rankdata

from msma.detection.curves import (
    Counts,
    Documents,
    alarms_at,
    area_of,
    check_sides,
    draw_metrics,
    interval_ends,
    number_sides,
    precision_of,
)
from msma.errors import ConfigError, ShapeError
from msma.results import Result, Row

Metric: TypeAlias = Literal["auroc", "aupr", "fpr95"]

_BETTER: dict[Metric, Literal["higher", "lower"]] = {"auroc": "higher", "aupr": "higher", "fpr95": "lower"}


def compare_detectors(
    scores: Mapping[str, tuple[Any, Any]],
    *,
    documents: Documents = None,
    baselines: Sequence[str] | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    provenance: Mapping[str, Any] | None = None,
) -> Result:
    """Compare detectors on the same clean and anomalous samples.

    Every draw of documents is the same for all detectors, so that the interval of a difference is a paired one. The
    best baseline is chosen on these very samples, which favours the baseline.

    Args:
        scores: For each detector its scores of the clean and of the anomalous samples; higher is more normal.
        documents: See :func:`auroc`.
        baselines: Names of the detectors that the others are held against; all but the first when left out.
        n_resamples: Draws of documents, at least 1.
        seed: Fixes the draws.
        provenance: Kept with the result.

    Returns:
        For each metric ("auroc", "aupr", "fpr95") and detector (column ``map``) its value and its rank ("auroc rank",
        1 is best, ties share the mean); for each that is no baseline, "auroc gain" and so on over the best baseline,
        positive where it is better.

    Raises:
        ConfigError: When there is no detector, or a baseline has no scores.
        ShapeError: When detectors were given unequal numbers of samples.

    Examples:
        >>> result = compare_detectors({"residuals": ([3.0, 4.0], [1.0, 2.0]), "rarity": ([3.0, 1.0], [3.0, 1.0])})
        >>> result.value("auroc", map="residuals"), result.value("auroc gain", map="residuals")
        (1.0, 0.5)
    """
    names = list(scores)
    held = names[1:] if baselines is None else list(baselines)
    if not names or not set(held) <= set(names) or n_resamples < 1:
        raise ConfigError(
            f"{len(names)} detectors, baselines {held} and {n_resamples} draws came; give scores of at least one "
            "detector, baselines among them, and 1 draw or more"
        )
    sides = {name: check_sides(*pair) for name, pair in scores.items()}
    sizes = {tuple(map(len, pair)) for pair in sides.values()}
    if len(sizes) > 1:
        raise ShapeError(
            f"detectors came with {sorted(sizes)} clean and anomalous samples; score the same samples by all of them"
        )
    n_clean, n_anomalous = sizes.pop()
    codes = number_sides(documents, n_clean, n_anomalous)
    metrics: dict[Metric, Callable[[Counts], np.ndarray]] = {
        "auroc": area_of,
        "aupr": precision_of,
        "fpr95": lambda counts: alarms_at(counts, 0.95),
    }
    nulls = {"auroc": 0.5, "aupr": n_anomalous / (n_clean + n_anomalous), "fpr95": None}
    found = {
        name: draw_metrics(list(metrics.values()), *sides[name], codes, n_resamples, seed) for name in names
    }
    rows: list[Row] = []
    for number, metric in enumerate(metrics):
        sign = 1.0 if _BETTER[metric] == "higher" else -1.0
        values = {name: float(found[name][number, 0]) for name in names}
        ranks = _ranks([sign * values[name] for name in names])
        best = max(held, key=lambda name: sign * values[name]) if held else None
        for name, rank in zip(names, ranks, strict=True):
            low, high = interval_ends(found[name][number, 1:])
            rows.append(
                Row(
                    metric=metric, value=values[name], low=low, high=high, null=nulls[metric],
                    better=_BETTER[metric], map=name, n=n_clean + n_anomalous, interval="bootstrap",
                )
            )  # fmt: skip
            rows.append(Row(metric=f"{metric} rank", value=rank, units="rank", better="lower", map=name))
            if best is not None and name not in held:
                gains = sign * (found[name][number] - found[best][number])
                low, high = interval_ends(gains[1:])
                rows.append(
                    Row(
                        metric=f"{metric} gain", value=float(gains[0]), low=low, high=high, null=0.0,
                        better="higher", map=name, n=n_clean + n_anomalous, interval="bootstrap",
                        note=f"over {best}, the best baseline",
                    )
                )  # fmt: skip
    settings = {"seed": seed, "n_resamples": n_resamples, "baselines": held}
    return Result("detection", tuple(rows), {**settings, **(provenance or {})})


def _ranks(values: Sequence[float]) -> list[float]:
    return [float(rank) for rank in rankdata([-value for value in values])]
