"""AnomalyDetector: flag samples whose scales do not belong together."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int
from sklearn.utils.validation import check_is_fitted

from msma._types import PAIRS, SCALES, Pair, Scale, Split
from msma.detection.base import FRACTIONS, BaseDetector
from msma.detection.residuals import CrossScaleResiduals, split_scales
from msma.detection.whitening import Shrinkage
from msma.errors import ScaleError
from msma.maps import BaseMap, RidgeMap, fit_map
from msma.scales import Reduction, ScalePartition, ScaleRepresentation
from msma.states import HiddenStates


class AnomalyDetector(BaseDetector):
    """Find samples whose scales do not fit each other: cross-scale residuals, with conformal p-values.

    Maps between scales are fitted on one part of the clean samples, the covariance of what they leave over on a
    second, and the threshold on a third; see :class:`CrossScaleResiduals` and
    :class:`msma.detection.calibration.ConformalCalibration`. The score is minus the surprise of all pairs, in nats.

    States that are means over tokens vary more the fewer the tokens, so short samples are flagged more often than long
    ones: the promise holds for samples drawn like the clean ones, of their lengths too. Violations between scales are
    all it sees: input that is odd at every scale in the way scales usually go together is for a distance to find.

    Args:
        map: The kind of map and its parameters; ridge when left out.
        pairs: Pairs of scales, source first, each with a map of its own; the decoding direction when left out.
        alpha: Share of clean samples that may be flagged.
        shrinkage: Of the residuals' correlations: "ledoit-wolf", or a share from 0 to 1.
        fractions: Shares of the documents for maps, covariance and calibration.
        seed: Fixes that division.

    Fitted attributes: ``residuals_``, ``calibration_``, ``offset_``, ``n_features_in_``.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=(600, 2))
        >>> X = np.hstack([z + 0.1 * rng.normal(size=z.shape) for _ in range(3)])
        >>> detector = AnomalyDetector().fit(X)
        >>> swapped = np.array([[2.0, 0.0, 0.0, 2.0, 0.0, 2.0]])  # nothing odd about any one scale
        >>> detector.predict(swapped).tolist(), bool(detector.p_values(swapped)[0] < 0.01)
        ([-1], True)
        >>> max(detector.explain(swapped), key=lambda pair: detector.explain(swapped)[pair][0])
        ('intermediate', 'local')
    """

    def __init__(
        self,
        *,
        map: BaseMap | None = None,
        pairs: Sequence[Pair] = PAIRS,
        alpha: float = 0.05,
        shrinkage: Shrinkage = "ledoit-wolf",
        fractions: tuple[float, float, float] = FRACTIONS,
        seed: int = 0,
    ) -> None:
        self.map = map
        self.pairs = pairs
        self.alpha = alpha
        self.shrinkage: Shrinkage = shrinkage
        self.fractions = fractions
        self.seed = seed

    @classmethod
    def from_states(
        cls, states: HiddenStates, partition: ScalePartition, *, reduction: Reduction = "mean", **params: Any
    ) -> Self:
        """Fit on states of a model.

        Args:
            states: Clean states.
            partition: Which layers belong to which scale.
            reduction: "mean" of a scale's layers, or its "last".
            **params: Parameters of the detector.

        Returns:
            A fitted detector.
        """
        return cls(**params).fit_states(states, partition, reduction=reduction)

    def fit_states(
        self, states: HiddenStates, partition: ScalePartition, *, reduction: Reduction = "mean"
    ) -> Self:
        """Fit on states of a model; their documents are the groups.

        Args:
            states: Clean states.
            partition: Which layers belong to which scale.
            reduction: "mean" of a scale's layers, or its "last".

        Returns:
            Itself.
        """
        return self.fit(stack_scales(states, partition, reduction=reduction), groups=states.documents)

    def explain(self, X: Any) -> dict[Pair, Float[np.ndarray, " samples"]]:
        """Say which step between scales is broken.

        Args:
            X: Samples, [local | intermediate | global].

        Returns:
            Surprise in nats of each pair, 0 or more, about 1 on average for clean samples; the pairs add up to minus
            ``score_samples(X)``.
        """
        check_is_fitted(self)
        return self.residuals_.contributions(self._split(self._read(X, is_fitting=False)))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted detector as one safetensors file.

        Args:
            path: The file.

        Returns:
            The path written.
        """
        from msma.detection.storing import write_detector

        return write_detector(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "AnomalyDetector":
        """Read what :meth:`save` wrote.

        Args:
            path: The file.

        Returns:
            A detector that gives the same scores bit for bit.

        Raises:
            StorageError: When the file is missing, damaged or holds no detector.
        """
        from msma.detection.storing import read_detector

        return read_detector(path)[0]

    def _split(
        self, rows: Float[np.ndarray, "samples width"]
    ) -> dict[Scale, Float[np.ndarray, "samples d_model"]]:
        return split_scales(rows)

    def _fit_parts(
        self,
        rows: Float[np.ndarray, "samples width"],
        documents: Int[np.ndarray, " samples"],
        parts: Mapping[Split, Int[np.ndarray, " k"]],
    ) -> None:
        pairs = check_pairs_of_scales(self.pairs)
        train, held = parts["train"], parts["validation"]
        scales = self._split(rows)
        fresh = RidgeMap() if self.map is None else self.map
        maps = {
            (s, t): fit_map(fresh, scales[s][train], scales[t][train], documents[train]) for s, t in pairs
        }
        self.residuals_ = CrossScaleResiduals(maps, shrinkage=self.shrinkage)
        self.residuals_.fit({scale: part[held] for scale, part in scales.items()}, groups=documents[held])

    def _score(self, rows: Float[np.ndarray, "samples width"]) -> Float[np.ndarray, " samples"]:
        return -self.residuals_.surprise(self._split(rows))


def stack_scales(
    states: HiddenStates, partition: ScalePartition, *, reduction: Reduction = "mean"
) -> Float[np.ndarray, "samples width"]:
    """Put the representations of the three scales side by side, as detectors read them.

    Args:
        states: States of a model.
        partition: Which layers belong to which scale.
        reduction: "mean" of a scale's layers, or its "last".

    Returns:
        [local | intermediate | global], (samples, 3 d_model).

    Examples:
        >>> states = HiddenStates.from_arrays(np.arange(3.0).reshape(3, 1, 1))
        >>> stack_scales(states, ScalePartition.thirds(3)).tolist()
        [[0.0, 1.0, 2.0]]
    """
    representation = ScaleRepresentation(partition, reduction=reduction).transform(states)
    return np.hstack([representation[scale] for scale in SCALES])


def check_pairs_of_scales(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Refuse what are no pairs of different scales.

    Args:
        pairs: Pairs, source first.

    Returns:
        The same, as a tuple.

    Raises:
        ScaleError: When there is none, or one is not two different scales.
    """
    found = tuple((pair[0], pair[1]) if len(pair) == 2 else pair for pair in pairs)
    for pair in found:
        if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(SCALES):
            raise ScaleError(f"pair {pair!r} came; expected two different ones of {', '.join(SCALES)}")
    if not found:
        raise ScaleError("no pair of scales came; give at least one, such as ('global', 'intermediate')")
    return found
