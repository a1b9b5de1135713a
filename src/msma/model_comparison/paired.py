"""The maps of two studies on the same texts: R2 and cosine with paired intervals, and the error of every text."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES, Pair, Scale
from msma.comparison import holm
from msma.model_comparison.matching import Common
from msma.model_comparison.prediction import cosines, mean_null, mean_parts, r2_parts
from msma.model_comparison.record import TextDifference
from msma.model_comparison.rows import COMMON, DIFFERENCE, parts_row
from msma.model_comparison.sides import Side
from msma.model_comparison.similarity import Orders, Scaled
from msma.results import Row

#: Random signs drawn for the test over documents.
_FLIPS = 9999

Errors: TypeAlias = dict[Pair, tuple[Float[np.ndarray, " samples"], Float[np.ndarray, " samples"]]]


@dataclass(frozen=True, eq=False)
class Mapped:
    """What both studies' maps make of the common test samples.

    Args:
        rows: R2, cosine and error, with paired differences.
        errors: Squared error of each sample over the mean squared deviation of the targets, by pair, on both sides.
    """

    rows: tuple[Row, ...]
    errors: Errors


def compare_mapped(
    sides: tuple[Side, Side],
    scales: tuple[Scaled, Scaled],
    *,
    documents: Int[np.ndarray, " samples"],
    groups: Int[np.ndarray, " samples"],
    orders: Orders,
    seed: int = 0,
) -> Mapped:
    """Compare the maps of two studies on the samples that both held out.

    Args:
        sides: The studies.
        scales: Representations of the scales of the same samples in both models.
        documents: The document of each sample.
        groups: The jackknife group of each sample.
        orders: Permutations that pair no sample with its own document.
        seed: Fixes the random signs.

    Returns:
        Rows ``r2``, ``cosine`` and ``error_share`` of either and of their difference (``map`` says which), rows
        ``error_share_p``, and the error of every sample.
    """
    outputs = [side.alignment.transform_scales(own) for side, own in zip(sides, scales, strict=True)]
    names = (sides[0].name, sides[1].name)
    rows: list[Row] = []
    errors: Errors = {}
    for pair in (pair for pair in outputs[0] if pair in outputs[1]):
        both = [(output[pair], own[pair[1]]) for output, own in zip(outputs, scales, strict=True)]
        shared: dict[str, Any] = {"groups": groups, "pair": pair, "names": names}
        parts = [r2_parts(mapped, target, groups) for mapped, target in both]
        nulls = [mean_null(mapped, target, orders) for mapped, target in both]
        rows += _sided_rows("r2", parts, nulls=nulls, better="higher", units="share of variance", **shared)
        angles = [
            cosines(mapped, target, side.alignment.bases_[pair[1]].mean)
            for (mapped, target), side in zip(both, sides, strict=True)
        ]
        parts = [mean_parts(angle, groups) for angle in angles]
        note = "seen from the mean of the training states"
        rows += _sided_rows("cosine", parts, nulls=None, better="higher", units="1", note=note, **shared)
        first, second = (error_shares(mapped, target) for mapped, target in both)
        errors[pair] = first, second
        parts = [mean_parts(first, groups), mean_parts(second, groups)]
        rows += _sided_rows(
            "error_share", parts, nulls=None, better="lower", units="share of spread", **shared
        )
    return Mapped((*rows, *_test_rows(errors, documents, names=names, seed=seed)), errors)


def error_shares(
    mapped: Float[np.ndarray, "samples d"], target: Float[np.ndarray, "samples d"]
) -> Float[np.ndarray, " samples"]:
    """Compute how far each mapped state is from its target, over the spread of the targets.

    Args:
        mapped: Mapped states.
        target: Their targets.

    Returns:
        Squared error over the mean squared deviation of the targets from their mean; its mean is 1 - R2. Not a
        number where the targets do not vary.

    Examples:
        >>> error_shares(np.array([[1.0], [1.0]]), np.array([[1.0], [3.0]])).tolist()
        [0.0, 4.0]
    """
    spread = float(((target - target.mean(axis=0)) ** 2).sum(axis=1).mean())
    squared = ((target - mapped) ** 2).sum(axis=1)
    return np.asarray(squared / spread) if spread > 0 else np.full(len(target), np.nan)


def flip_signs(
    differences: Float[np.ndarray, " samples"], documents: Int[np.ndarray, " samples"], *, seed: int = 0
) -> float:
    """Test whether paired differences lie about 0: the sign-flip test over documents.

    Where there is no difference, that of a document is as likely to have the other sign; 9,999 draws of random
    signs, one a document, say how often their sum is at least as far from 0.

    Args:
        differences: Second less first, one a sample.
        documents: The document of each.
        seed: Fixes the signs.

    Returns:
        The two-sided p-value, 0.0001 at least.

    Examples:
        >>> flip_signs(np.zeros(8), np.arange(8)), flip_signs(np.ones(40), np.arange(40))
        (1.0, 0.0001)
    """
    codes = np.unique(documents, return_inverse=True)[1]
    sums = np.bincount(codes, weights=differences)
    rng, count = np.random.default_rng(seed), 0
    # A draw that is the sum itself, but for the order of its terms, counts as equal to it.
    own = abs(float(sums.sum())) - 1e-9 * float(np.abs(sums).sum())
    for start in range(0, _FLIPS, 1000):
        signs = rng.choice([-1.0, 1.0], size=(min(1000, _FLIPS - start), len(sums)))
        count += int(np.count_nonzero(np.abs(signs @ sums) >= own))
    return (1 + count) / (1 + _FLIPS)


def describe_texts(
    common: Common,
    errors: Errors,
    overlaps: dict[Scale, Float[np.ndarray, " samples"]],
) -> tuple[TextDifference, ...]:
    """Make the record of each text and pair of scales, those that differ most first.

    Args:
        common: The samples.
        errors: Their errors on both sides.
        overlaps: Share of each sample's neighbours that both models have, by scale.

    Returns:
        One record a sample and pair.
    """
    states = common.test[0]
    shared = [{s: float(overlaps[s][i]) for s in SCALES} for i in range(len(states))]
    found = [
        TextDifference(
            document=states.document_ids[i],
            position=common.positions[i],
            text=states.texts[i],
            source=pair[0],
            target=pair[1],
            first=float(first[i]),
            second=float(second[i]),
            difference=float(second[i] - first[i]),
            overlap_local=shared[i]["local"],
            overlap_intermediate=shared[i]["intermediate"],
            overlap_global=shared[i]["global"],
        )
        for pair, (first, second) in errors.items()
        if np.isfinite(first).all() and np.isfinite(second).all()
        for i in range(len(states))
    ]
    return tuple(sorted(found, key=lambda text: -abs(text.difference)))


def _sided_rows(
    metric: str,
    parts: list[Float[np.ndarray, " parts"]],
    *,
    nulls: list[float] | None,
    groups: Int[np.ndarray, " samples"],
    pair: Pair,
    names: tuple[str, str],
    better: str,
    units: str,
    note: str | None = None,
) -> list[Row]:
    """Make the rows of the first, of the second, and of the second less the first with its paired interval."""
    shared: dict[str, Any] = {
        "source": pair[0],
        "target": pair[1],
        "n": len(groups),
        "units": units,
        "better": better,
    }
    rows = [
        parts_row(metric, part, map=name, null=None if nulls is None else nulls[side], note=note, **shared)
        for side, (part, name) in enumerate(zip(parts, names, strict=True))
    ]
    told = f"{names[1]} less {names[0]}, paired: the same documents are left out on both sides"
    told = f"{told}; {note}" if note else told
    return [*rows, parts_row(metric, parts[1] - parts[0], map=DIFFERENCE, null=0.0, note=told, **shared)]


def _test_rows(
    errors: Errors, documents: Int[np.ndarray, " samples"], *, names: tuple[str, str], seed: int
) -> list[Row]:
    known = {
        pair: second - first
        for pair, (first, second) in errors.items()
        if np.isfinite(first).all() and np.isfinite(second).all()
    }
    p_values = [flip_signs(difference, documents, seed=seed) for difference in known.values()]
    rows = []
    for (pair, difference), p, corrected in zip(known.items(), p_values, holm(p_values), strict=True):
        codes = np.unique(documents, return_inverse=True)[1]
        sums = np.bincount(codes, weights=difference)
        above, below = int((sums > 0).sum()), int((sums < 0).sum())
        rows.append(
            Row(
                metric="error_share_p",
                value=corrected,
                units="probability",
                source=pair[0],
                target=pair[1],
                split=COMMON,
                map=DIFFERENCE,
                n=len(difference),
                note=f"sign-flip test over {len(sums)} documents, p = {p:.2g} before Holm's correction over "
                f"{len(known)} pairs of scales; further from the target in {names[1]} in {above} documents, in "
                f"{names[0]} in {below}",
            )
        )
    return rows
