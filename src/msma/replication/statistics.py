"""Paired tests between arms: over documents and over seeds, corrected within each family of quantities."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from msma.comparison import Contrast, contrast_documents, contrast_seeds, holm
from msma.readings import Reading
from msma.replication.measurement import Key, Measurement, family_of
from msma.resampling import Interval

__all__ = ["BASELINE", "BEFORE", "FROZEN", "Difference", "compare_arms", "mean_over_seeds"]

#: What an arm is held against: plain multi-task fine-tuning with the same seeds; the model as it came; and a
#: ridge map fitted to the model as it came.
BASELINE, BEFORE, FROZEN = "baseline", "before", "frozen ridge"
_LEVEL = 0.05

#: Measurements of one arm by seed.
Seeds = Mapping[int, Measurement]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One quantity of an arm minus that of what it is held against.

    Args:
        arm: The arm.
        against: :data:`BASELINE`, :data:`BEFORE` or :data:`FROZEN`.
        key: The quantity.
        documents: Whether it would be there on other documents, with these trainings.
        seeds: Whether it would be there with other seeds, on these documents.
        p_documents: Corrected for the family; ``None`` where there is no test.
        p_seeds: Likewise.
    """

    arm: str
    against: str
    key: Key
    documents: Contrast
    seeds: Contrast
    p_documents: float | None = None
    p_seeds: float | None = None

    @property
    def holds(self) -> bool:
        """Whether both tests hold at 5 % after correction; with one seed, the one over documents."""
        has_seeds = self.p_seeds is None or self.p_seeds < _LEVEL
        return self.p_documents is not None and self.p_documents < _LEVEL and has_seeds


def compare_arms(before: Measurement, arms: Mapping[str, Seeds]) -> list[Difference]:
    """Hold every arm against the baseline, against the model as it came, and against the frozen protocol.

    An arm minus the baseline is what alignment did; the baseline minus before is what fine-tuning does by
    itself. Holm's correction runs over all arms and quantities of a family, for each of the three.

    Args:
        before: The model as it came.
        arms: Measurements by arm and seed.

    Returns:
        Every difference that can be told.
    """
    found = []
    for arm, seeds in arms.items():
        if arm != BASELINE and BASELINE in arms:
            found += _against_baseline(arm, seeds, arms[BASELINE])
        for key in _keys(seeds.values()):
            if key in before.readings:
                found += _against_fixed(arm, BEFORE, key, seeds, before.readings[key])
            elif key.map == "trained":
                frozen = before.readings.get(key._replace(map="ridge"), Reading(None))
                found += _against_fixed(arm, FROZEN, key, seeds, frozen)
    return _corrected(found)


def mean_over_seeds(readings: Sequence[Reading]) -> tuple[Interval, float] | None:
    """Average readings over seeds.

    Args:
        readings: One a seed.

    Returns:
        The mean with its interval over documents, and the standard deviation over seeds (0 for one seed);
        ``None`` where no seed has a value.

    Examples:
        >>> found = mean_over_seeds([Reading(1.0, (0.9, 1.1)), Reading(3.0, (2.9, 3.1))])
        >>> found[0].value, round(found[1], 3)
        (2.0, 1.414)
    """
    known = [reading for reading in readings if reading.value is not None]
    if not known:
        return None
    values = np.array([reading.value for reading in known], dtype=np.float64)
    rest = np.array([reading.left_out for reading in known]).mean(axis=0)
    ends = contrast_documents(float(values.mean()), rest)
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    low, high = (float("nan") if end is None else end for end in (ends.low, ends.high))
    return Interval(ends.value, low, high, "jackknife"), spread


def _keys(measurements: Iterable[Measurement]) -> list[Key]:
    return list(dict.fromkeys(key for found in measurements for key in found.readings))


def _against_baseline(arm: str, seeds: Seeds, baseline: Seeds) -> list[Difference]:
    shared = [seed for seed in seeds if seed in baseline]
    found = []
    for key in _keys(seeds[seed] for seed in shared):
        pairs = [(seeds[s].readings.get(key), baseline[s].readings.get(key)) for s in shared]
        found += _difference(arm, BASELINE, key, pairs)
    return found


def _against_fixed(arm: str, against: str, key: Key, seeds: Seeds, fixed: Reading) -> list[Difference]:
    return _difference(arm, against, key, [(found.readings.get(key), fixed) for found in seeds.values()])


def _difference(
    arm: str, against: str, key: Key, pairs: Sequence[tuple[Reading | None, Reading | None]]
) -> list[Difference]:
    values: list[float] = []
    rest: list[Float[np.ndarray, " groups"]] = []
    for mine, its in pairs:
        if mine is None or its is None or mine.value is None or its.value is None:
            continue
        values.append(mine.value - its.value)
        rest.append(np.array(mine.left_out) - np.array(its.left_out))
    if not values:
        return []
    differences = np.array(values)
    documents = contrast_documents(float(differences.mean()), np.mean(rest, axis=0))
    seeds = contrast_seeds(differences)
    return [Difference(arm=arm, against=against, key=key, documents=documents, seeds=seeds)]


def _corrected(differences: Sequence[Difference]) -> list[Difference]:
    found = list(differences)
    families = dict.fromkeys((d.against, family_of(d.key)) for d in found)
    for family in families:
        members = [i for i, d in enumerate(found) if (d.against, family_of(d.key)) == family]
        for side in ("documents", "seeds"):
            tested = [(i, p) for i in members if (p := getattr(found[i], side).p) is not None]
            for (i, _), p in zip(tested, holm([p for _, p in tested]), strict=True):
                found[i] = (
                    replace(found[i], p_documents=p) if side == "documents" else replace(found[i], p_seeds=p)
                )
    return found
