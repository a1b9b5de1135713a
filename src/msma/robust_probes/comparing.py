"""Do these probes withstand perturbed input better than a plain one? Accuracy with and without, and the gain."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from msma.errors import ConfigError
from msma.progress import progress
from msma.resampling import Interval, bootstrap_interval
from msma.results import Result, Row
from msma.robust_probes.base import PENALTIES
from msma.robust_probes.consistent import LAMBDAS
from msma.robust_probes.contenders import Probes, fit_probes
from msma.robust_probes.labelled import LabelledStates, check_same_scales, encode, number_classes

#: The split of the test texts as they are.
CLEAN = "clean"


def compare_probes(
    train: LabelledStates,
    validation: LabelledStates,
    test_clean: LabelledStates,
    test_perturbed: Mapping[str, LabelledStates],
    *,
    augmented_train: LabelledStates | None = None,
    unlabelled: Any = None,
    penalties: Sequence[float] = PENALTIES,
    lambdas: Sequence[float] = LAMBDAS,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Result:
    """Fit every probe on clean texts, choose its settings on validation, and read it on clean and perturbed test texts.

    "plain" is one logistic regression on all scales side by side, and one on each scale (named in ``target``);
    "consistent" is :class:`ConsistentProbe`; "ensemble" is :class:`ScaleEnsemble`; "gated ensemble" is the same with
    its gate, on those test texts that come with residuals; "augmented" is "plain" trained on perturbed copies too.
    What validation cannot show cannot be chosen on it: whether consistency helps on perturbed texts is seen there only
    where validation holds some. Intervals and gains are each for themselves, not corrected for their number.

    Args:
        train: Clean texts to train on.
        validation: Texts that choose penalties, lambda and weights; their residuals calibrate the gate.
        test_clean: Test texts as they are.
        test_perturbed: Test texts by the name of their perturbation, with the documents of their originals.
        augmented_train: Perturbed copies of training texts, added to them for "augmented".
        unlabelled: States side by side on which "consistent" also learns to agree.
        penalties: Penalties to choose from.
        lambdas: Strengths of consistency to choose from; with 0 it can be found not to help.
        n_resamples: Draws of the document bootstrap.
        seed: Fixes control labels and draws.

    Returns:
        Rows ``accuracy`` (``map`` the probe, ``split`` "clean" or the perturbation; null: control task of Hewitt and
        Liang 2019; floor: the most frequent class); ``gain``, accuracy minus that of "plain" on the same texts;
        ``lambda`` and ``weight``, what was chosen.

    Raises:
        ShapeError: When the parts do not have the same scales.
        CorpusError: When training labels are of one class, or other parts hold labels that were not learned.
        ConfigError: When a perturbation is called "clean" or a setting is impossible.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> def draw(n):
        ...     y = np.arange(n) % 2
        ...     return LabelledStates(scales={s: y[:, None] + 0.1 * rng.normal(size=(n, 1)) for s in "abc"}, labels=y)
        >>> result = compare_probes(draw(80), draw(40), draw(40), {}, penalties=(0.01,), n_resamples=50)
        >>> result.value("accuracy", map="consistent"), result.row("gain", map="consistent").note
        (1.0, 'no gain that these texts can tell')
    """
    if CLEAN in test_perturbed:
        raise ConfigError(
            f"a perturbation named '{CLEAN}' came; that name stands for the texts as they are: rename it"
        )
    tests = {CLEAN: test_clean, **test_perturbed}
    classes = number_classes(train.labels)[0]
    parts = {"validation texts": validation, **{f"test texts '{name}'": part for name, part in tests.items()}}
    for name, part in parts.items():
        check_same_scales(train, part, names=("training texts", name))
        encode(part.labels, classes, name=name)
    copies = None if augmented_train is None else train.extended(augmented_train)
    settings: dict[str, Any] = {"penalties": tuple(penalties), "seed": seed}
    real = fit_probes(train, validation, copies, unlabelled, lambdas=lambdas, **settings)
    # The control has the capacity of the real probe: its settings, not ones chosen on labels that mean nothing.
    chosen = {*real.ensemble.penalty_, real.plain.penalty_, real.consistent.penalty_}
    control = fit_probes(
        _dealt(train, seed=seed),
        _dealt(validation, seed=seed),
        None if copies is None else _dealt(copies, seed=seed),
        unlabelled,
        lambdas=(real.consistent.lambda_,),
        penalties=tuple(sorted(chosen)),
        seed=seed,
    )
    frequent = max(classes, key=lambda name: int((train.labels == name).sum()))
    pairs = list(zip(real.contenders(), control.contenders(), strict=True))
    rows: list[Row] = []
    for split, part in progress(list(tests.items()), label="robust probes"):
        dealt = _dealt(part, seed=seed)
        hits: dict[tuple[str, str | None], Bool[np.ndarray, " samples"]] = {}
        for contender, twin in pairs:
            if contender.needs_residuals and part.residuals is None:
                continue
            hits[contender.name, contender.scale] = contender.predict(part) == part.labels
            null = float((twin.predict(part) == dealt.labels).mean())
            found = _interval(hits[contender.name, contender.scale], part, n_resamples=n_resamples, seed=seed)
            rows.append(
                Row(
                    metric="accuracy",
                    **_ends(found),
                    null=null,
                    floor=float((part.labels == frequent).mean()),
                    ceiling=1.0,
                    units="accuracy",
                    better="higher",
                    map=contender.name,
                    target=contender.scale,
                    split=split,
                    n=len(part),
                    note="null: control task; floor: most frequent class",
                )
            )
        for (name, scale), right in hits.items():
            if name == "plain" or scale is not None:
                continue
            difference = right.astype(np.float64) - hits["plain", None]
            found = _interval(difference, part, n_resamples=n_resamples, seed=seed)
            rows.append(
                Row(
                    metric="gain",
                    **_ends(found),
                    null=0.0,
                    units="accuracy",
                    better="higher",
                    map=name,
                    split=split,
                    n=len(part),
                    note=tell_gain(found),
                )
            )
    rows += _choices(real, train)
    provenance = {
        "seed": seed,
        "n_resamples": n_resamples,
        "penalties": list(penalties),
        "lambdas": list(lambdas),
        "n_train": len(train),
        "n_validation": len(validation),
        "n_unlabelled": 0 if unlabelled is None else len(unlabelled),
        "intervals": "95 %, each for itself, over documents",
    }
    return Result("robust_probes", tuple(rows), provenance)


def tell_gain(found: Interval) -> str:
    """Say what a difference to the plain probe means.

    Args:
        found: Accuracy minus that of the plain probe.

    Returns:
        A sentence part.

    Examples:
        >>> tell_gain(Interval(0.02, -0.01, 0.05, "bootstrap")), tell_gain(Interval(0.1, 0.05, 0.15, "bootstrap"))
        ('no gain that these texts can tell', 'a gain over the plain probe')
    """
    if found.low <= 0.0 <= found.high:
        return "no gain that these texts can tell"
    return "a gain over the plain probe" if found.low > 0.0 else "a loss against the plain probe"


def _dealt(part: LabelledStates, *, seed: int) -> LabelledStates:
    """Deal the labels out anew: to documents where each has one label, else to samples."""
    rng = np.random.default_rng([seed, 3])
    _, first, codes = np.unique(part.documents, return_index=True, return_inverse=True)
    of_documents = part.labels[first]
    if (of_documents[codes] == part.labels).all():
        labels = rng.permutation(of_documents)[codes]
    else:
        labels = rng.permutation(part.labels)
    return LabelledStates(
        scales=part.scales, labels=labels, documents=part.documents, residuals=part.residuals
    )


def _interval(
    values: Bool[np.ndarray, " samples"] | Float[np.ndarray, " samples"],
    part: LabelledStates,
    *,
    n_resamples: int,
    seed: int,
) -> Interval:
    numbers = values.astype(np.float64)
    codes = np.unique(part.documents, return_inverse=True)[1]
    return bootstrap_interval(
        lambda weights: weights @ numbers / weights.sum(axis=1), codes, n_resamples=n_resamples, seed=seed
    )


def _ends(found: Interval) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "interval": found.method}


def _choices(real: Probes, train: LabelledStates) -> list[Row]:
    strength = real.consistent.lambda_
    note = "0: agreement between scales did not lower the loss on validation by more than its standard error"
    rows = [
        Row(
            metric="lambda",
            value=strength,
            map="consistent",
            split="validation",
            note=note if strength == 0 else "agreement between scales lowered the loss on validation",
        )
    ]
    for scale, weight in zip(train.scales, real.ensemble.weights_, strict=True):
        rows.append(
            Row(metric="weight", value=float(weight), map="ensemble", target=scale, split="validation")
        )
    return rows
