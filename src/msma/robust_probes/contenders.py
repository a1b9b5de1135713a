"""The probes that are compared, fitted on the same texts and choosing on the same texts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from msma.robust_probes.consistent import ConsistentProbe
from msma.robust_probes.ensemble import ScaleEnsemble
from msma.robust_probes.labelled import LabelledStates
from msma.robust_probes.plain import PlainProbe

Predict = Callable[[LabelledStates], np.ndarray]


@dataclass(frozen=True, eq=False)
class Contender:
    """A fitted probe under its name.

    Args:
        name: As in the column ``map``.
        scale: The scale it reads, where it reads one alone.
        predict: Gives a class for each sample.
        needs_residuals: Whether it can only predict samples that come with residuals.
    """

    name: str
    scale: str | None
    predict: Predict
    needs_residuals: bool = False


@dataclass(frozen=True, eq=False)
class Probes:
    """The fitted estimators.

    Args:
        plain: On all scales side by side.
        single: On each scale alone.
        consistent: With a head for each scale.
        ensemble: Probes of the scales, pooled; gated where validation came with residuals.
        augmented: As ``plain``, trained on perturbed copies too.
    """

    plain: PlainProbe
    single: Mapping[str, PlainProbe]
    consistent: ConsistentProbe
    ensemble: ScaleEnsemble
    augmented: PlainProbe | None

    def contenders(self) -> list[Contender]:
        """List everything that predicts.

        Returns:
            The plain probe of all scales first.
        """
        found = [Contender("plain", None, lambda part: self.plain.predict(part.side_by_side))]
        for scale, probe in self.single.items():
            # The default binds this scale's probe, not the last one's.
            found.append(
                Contender("plain", scale, lambda part, p=probe, s=scale: p.predict(part.scales[s]))  # type: ignore[misc]
            )
        found.append(Contender("consistent", None, lambda part: self.consistent.predict(part.side_by_side)))
        found.append(Contender("ensemble", None, lambda part: self.ensemble.predict(part.side_by_side)))
        if self.ensemble.clean_residuals_ is not None:
            found.append(Contender("gated ensemble", None, self._predict_gated, needs_residuals=True))
        if self.augmented is not None:
            augmented = self.augmented
            found.append(Contender("augmented", None, lambda part: augmented.predict(part.side_by_side)))
        return found

    def _predict_gated(self, part: LabelledStates) -> np.ndarray:
        return self.ensemble.predict(part.side_by_side, residuals=part.residuals)


def fit_probes(
    train: LabelledStates,
    validation: LabelledStates,
    copies: LabelledStates | None,
    unlabelled: Any,
    *,
    lambdas: Sequence[float],
    penalties: Sequence[float],
    seed: int,
) -> Probes:
    """Fit every probe.

    Args:
        train: Clean texts to train on.
        validation: Texts that choose every setting.
        copies: Clean texts and perturbed copies of them, for ``augmented``.
        unlabelled: States side by side on which ``consistent`` also learns to agree.
        lambdas: Strengths of consistency to choose from.
        penalties: Penalties to choose from.
        seed: Kept with the probes; nothing is drawn where validation is given.

    Returns:
        The fitted probes.
    """
    common: dict[str, Any] = {"penalties": penalties, "seed": seed}
    n_scales = train.n_scales
    single = {}
    for scale, states in train.scales.items():
        held = LabelledStates(
            scales={scale: validation.scales[scale]},
            labels=validation.labels,
            documents=validation.documents,
        )
        single[scale] = PlainProbe(**common).fit(states, train.labels, held_out=held)
    X = train.side_by_side
    consistent = ConsistentProbe(n_scales=n_scales, lambdas=lambdas, **common)
    augmented = None
    if copies is not None:
        augmented = PlainProbe(**common).fit(copies.side_by_side, copies.labels, held_out=validation)
    return Probes(
        PlainProbe(**common).fit(X, train.labels, held_out=validation),
        single,
        consistent.fit(X, train.labels, held_out=validation, unlabelled=unlabelled),
        ScaleEnsemble(n_scales=n_scales, **common).fit(X, train.labels, held_out=validation),
        augmented,
    )
