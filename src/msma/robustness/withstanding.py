"""Whether probes that look at all scales withstand perturbed texts better than a plain one, and when to abstain."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from msma._types import SCALES
from msma.detection import AnomalyDetector, stack_scales
from msma.results import Result, Row
from msma.robust_probes import LabelledStates, PlainProbe, compare_gates, compare_probes
from msma.scales import ScalePartition, ScaleRepresentation
from msma.states import HiddenStates


def labelled_states(
    states: HiddenStates,
    labels: Sequence[Any],
    partition: ScalePartition,
    *,
    detector: AnomalyDetector | None = None,
) -> LabelledStates:
    """Put states, labels and residuals of some texts together.

    Args:
        states: The states.
        labels: A label a text.
        partition: The scales.
        detector: Gives how strange each scale is, for the gated ensemble: the surprise of the map into it, and for the
            first source that of the map out of it.

    Returns:
        What probes read.
    """
    scales = ScaleRepresentation(partition).transform(states)
    residuals = None
    if detector is not None:
        by_pair = detector.explain(stack_scales(states, partition))
        columns = []
        for scale in SCALES:
            own = [values for (_, target), values in by_pair.items() if target == scale]
            own = own or [values for (source, _), values in by_pair.items() if source == scale]
            columns.append(np.mean(own, axis=0))
        residuals = np.stack(columns, axis=1)
    return LabelledStates(
        scales={str(scale): scales[scale] for scale in SCALES},
        labels=list(labels),
        documents=states.documents,
        residuals=residuals,
    )


def probe_rows(
    train: LabelledStates,
    validation: LabelledStates,
    clean: LabelledStates,
    perturbed: Mapping[str, LabelledStates],
    *,
    augmented: LabelledStates,
    seed: int = 0,
) -> Result:
    """Compare a plain probe with consistent, ensembled, gated and augmented ones; see :func:`compare_probes`.

    Args:
        train: Clean texts to train on.
        validation: Texts that choose settings.
        clean: Test texts as they are.
        perturbed: Test texts by perturbation.
        augmented: Perturbed copies of training texts; their states without labels are also what the consistent probe
            learns to agree on.
        seed: Fixes every draw.

    Returns:
        Accuracies and gains.
    """
    found = compare_probes(
        train,
        validation,
        clean,
        perturbed,
        augmented_train=augmented,
        unlabelled=augmented.side_by_side,
        seed=seed,
    )
    return replace(found, name="probes")


def gate_rows(
    train: LabelledStates,
    validation: LabelledStates,
    tests: Mapping[str, tuple[LabelledStates, Float[np.ndarray, " texts"]]],
    *,
    seed: int = 0,
) -> Result:
    """Tell which score to abstain by: the plain probe's own confidence, residuals between scales, or both.

    Args:
        train: Clean texts to train on.
        validation: Texts that choose the penalty.
        tests: For each split its texts and the detector's scores; higher is more normal.
        seed: Fixes every draw.

    Returns:
        Areas under the risk, differences to confidence, accuracies at coverages.
    """
    probe = PlainProbe().fit(train.side_by_side, train.labels, held_out=validation)
    rows: list[Row] = []
    for name, (part, scores) in tests.items():
        probabilities = probe.predict_proba(part.side_by_side)
        right = probe.classes_[probabilities.argmax(axis=1)] == part.labels
        found = compare_gates(
            probabilities, right, part.documents, detectors={"residuals": scores}, split=name, seed=seed
        )
        rows += found.rows
    return Result("gates", tuple(rows), {"seed": seed})
