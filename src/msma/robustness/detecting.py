"""Which detector notices which anomaly: residuals between scales beside the usual baselines, on the same texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from msma.detection import (
    AnomalyDetector,
    MahalanobisDetector,
    NeighbourDetector,
    RarityDetector,
    SurpriseDetector,
    compare_detectors,
    stack_scales,
)
from msma.generation import text_nats
from msma.models import LoadedModel
from msma.results import Row
from msma.scales import ScalePartition
from msma.states import HiddenStates

RESIDUALS = "residuals"

_Scores = Mapping[str, Float[np.ndarray, " texts"]]


@dataclass(frozen=True, eq=False)
class Panel:
    """Detectors fitted on the same clean texts; see :func:`fit_panel`.

    Args:
        detectors: By name.
        loaded: The model.
        partition: The scales.
        alpha: Share of clean texts that may be flagged.
        seed: Fixes which tokens an encoder is asked about.
    """

    detectors: Mapping[str, Any]
    loaded: LoadedModel
    partition: ScalePartition
    alpha: float
    seed: int

    def score(self, states: HiddenStates, texts: Sequence[str]) -> dict[str, Float[np.ndarray, " texts"]]:
        """Score texts by every detector.

        Args:
            states: Their states.
            texts: The texts.

        Returns:
            Scores by detector; higher is more normal.
        """
        return {
            name: detector.score_samples(_input(name, states, texts, self.partition, self.loaded, self.seed))
            for name, detector in self.detectors.items()
        }

    def flagged(self, scores: _Scores) -> dict[str, Float[np.ndarray, " texts"]]:
        """Tell which texts each detector flags at its threshold.

        Args:
            scores: From :meth:`score`.

        Returns:
            1 where a text is flagged, by detector.
        """
        return {name: (scores[name] < self.detectors[name].offset_).astype(float) for name in scores}


def fit_panel(
    loaded: LoadedModel,
    states: HiddenStates,
    texts: Sequence[str],
    partition: ScalePartition,
    *,
    alpha: float = 0.05,
    seed: int = 0,
) -> Panel:
    """Fit residuals between scales and all baselines on clean texts.

    Baselines: Mahalanobis distance at the last layer, at the worst of the three scales and of all layers; distance to
    the tenth neighbour at the last layer; rarity of words; surprise, where the model has a language head.

    Args:
        loaded: The model.
        states: States of clean texts.
        texts: The texts, in the same order.
        partition: The scales.
        alpha: Share of clean texts that may be flagged.
        seed: Fixes which texts fit and which calibrate, the same for all.

    Returns:
        The detectors.
    """
    shared: dict[str, Any] = {"alpha": alpha, "seed": seed}
    kinds: dict[str, Any] = {
        RESIDUALS: AnomalyDetector(**shared),
        "mahalanobis last": MahalanobisDetector(**shared),
        "mahalanobis scales": MahalanobisDetector(n_blocks=3, block="max", **shared),
        "mahalanobis layers": MahalanobisDetector(n_blocks=states.n_layers, block="max", **shared),
        "neighbours": NeighbourDetector(**shared),
        "rarity": RarityDetector(**shared),
    }
    if loaded.head in ("causal", "masked"):
        kinds["surprise"] = SurpriseDetector(**shared)
    fitted = {
        name: kind.fit(_input(name, states, texts, partition, loaded, seed), groups=states.documents)
        for name, kind in kinds.items()
    }
    return Panel(fitted, loaded, partition, alpha, seed)


def _input(
    name: str,
    states: HiddenStates,
    texts: Sequence[str],
    partition: ScalePartition,
    loaded: LoadedModel,
    seed: int,
) -> Any:
    """Give a detector what it looks at."""
    if name == "rarity":
        return list(texts)
    if name == "surprise":
        nats = text_nats(loaded, texts, seed=seed)
        return np.zeros((len(texts), 1)) if nats is None else nats[:, None]
    if name in (RESIDUALS, "mahalanobis scales"):
        return stack_scales(states, partition)
    if name == "mahalanobis layers":
        return np.hstack([states.layer(k) for k in range(states.n_layers)])
    return states.layer(states.n_layers - 1)


def detection_rows(
    clean: _Scores,
    anomalous: _Scores,
    *,
    name: str,
    documents: tuple[Sequence[Any], Sequence[Any]],
    note: str | None = None,
    seed: int = 0,
) -> list[Row]:
    """Compare all detectors on one kind of anomaly.

    Args:
        clean: Scores of clean texts by detector.
        anomalous: Scores of anomalous ones.
        name: Of the anomaly.
        documents: The document of each clean and each anomalous text.
        note: What a reader must know of the anomaly.
        seed: Fixes the intervals.

    Returns:
        Rows of :func:`msma.detection.compare_detectors`, ``split`` the anomaly.
    """
    scores = {detector: (clean[detector], anomalous[detector]) for detector in clean}
    baselines = [detector for detector in clean if detector != RESIDUALS]
    found = compare_detectors(scores, documents=documents, baselines=baselines, seed=seed)
    return [replace(row, split=name, note=row.note or note) for row in found]
