"""What a replication found, in plain sentences."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msma._types import PAIRS
from msma.replication.collapse import Collapse
from msma.replication.measurement import FAMILIES, Key, Measurement, family_of
from msma.replication.statistics import BASELINE, BEFORE, FROZEN, Difference, mean_over_seeds

__all__ = ["tell_replication"]

#: Quantities that sentences are about; the rest is in the table.
_TOLD = (
    "kl_diagonal",
    "mi_histogram",
    "kl",
    "mi",
    "cka",
    "effective_rank",
    "relative_spread",
    "nats_a_token",
)
#: Differences named in one sentence at most, the clearest first.
_MOST = 6


def tell_replication(
    before: Measurement,
    arms: Mapping[str, Mapping[int, Measurement]],
    differences: Sequence[Difference],
    collapses: Mapping[str, Sequence[Collapse]],
) -> list[str]:
    """Say what fine-tuning does by itself, what alignment adds, what became of the scales, what frozen maps do.

    Args:
        before: The model as it came.
        arms: Measurements by arm and seed.
        differences: Tested differences.
        collapses: What became of the scales, by arm and then by seed.

    Returns:
        The sentences.
    """
    told = []
    if BASELINE in arms:
        found = [d for d in differences if (d.arm, d.against) == (BASELINE, BEFORE)]
        told.append(f"Fine-tuning by itself (baseline minus before): {_list(found)}.")
    for arm in (arm for arm in arms if arm != BASELINE):
        against = BASELINE if BASELINE in arms else BEFORE
        found = [d for d in differences if (d.arm, d.against) == (arm, against)]
        told.append(f"Due to alignment ({arm} minus {against}): {_list(found)}.")
    told += [_tell_collapse(arm, found) for arm, found in collapses.items()]
    told += _tell_frozen(before, arms, differences)
    return told


def _list(differences: Sequence[Difference]) -> str:
    shown = [d for d in differences if d.key.map in (None, "none") and _is_told(d.key)]
    held = [d for d in shown if d.holds]
    only = [d for d in shown if not d.holds and d.p_documents is not None and d.p_documents < 0.05]
    if not held and not only:
        return "no difference shown in any quantity"
    parts = [f"{_name(d.key)} {d.documents.value:+.3g}" for d in _clearest(held)]
    first = ", ".join(parts) if parts else "nothing over documents and seeds both"
    if not only:
        return first
    rest = ", ".join(f"{_name(d.key)} {d.documents.value:+.3g}" for d in _clearest(only))
    return f"{first}; over documents but not shown over seeds: {rest}"


def _clearest(differences: Sequence[Difference]) -> list[Difference]:
    """Take the clearest of each family in turn, so that none is drowned by another."""
    by_family = {
        family: sorted(
            (d for d in differences if family_of(d.key) == family), key=lambda d: d.documents.p or 0.0
        )
        for family in FAMILIES
    }
    turns = range(max((len(found) for found in by_family.values()), default=0))
    taken = [found[turn] for turn in turns for found in by_family.values() if turn < len(found)]
    return taken[:_MOST]


def _is_told(key: Key) -> bool:
    return key.metric in _TOLD or key.metric.startswith(("probe_", "transfer_"))


def _name(key: Key) -> str:
    if key.source is not None:
        return f"{key.metric} {key.source} → {key.target}"
    return key.metric if key.target is None else f"{key.metric} ({key.target})"


def _tell_collapse(arm: str, collapses: Sequence[Collapse]) -> str:
    counts = Counter(kind for found in collapses for kind in found.kinds)
    n = len(collapses)
    if not counts:
        return f"{arm}: no collapse in {n} of {n} seeds. {collapses[0].sentence}"
    told = ", ".join(f"{kind} in {count} of {n} seeds" for kind, count in counts.items())
    first = next(found for found in collapses if found.kinds)
    return f"{arm}: collapse {told}. {first.sentence}"


def _tell_frozen(
    before: Measurement,
    arms: Mapping[str, Mapping[int, Measurement]],
    differences: Sequence[Difference],
) -> list[str]:
    told = []
    for source, target in PAIRS:
        words = _tell_closed(before, source, target)
        if words is None:
            continue
        key = Key("kl_diagonal", source, target, "trained")
        for arm, seeds in arms.items():
            found = mean_over_seeds([one.readings[key] for one in seeds.values() if key in one.readings])
            gap = next((d for d in differences if (d.arm, d.against, d.key) == (arm, FROZEN, key)), None)
            if found is not None and gap is not None:
                ends = f"{gap.documents.low:.3g} to {gap.documents.high:.3g}"
                words += (
                    f"; {arm} with its trained maps reaches {found[0].value:.3g} (difference, 95 %: {ends})"
                )
        told.append(f"{words}.")
    return told


def _tell_closed(before: Measurement, source: str, target: str) -> str | None:
    """Say what closed forms do to the published divergence of the model as it came."""
    keys = (Key("kl_diagonal", source, target, kind) for kind in ("none", "shift", "ridge"))
    values = [before.readings[key].value if key in before.readings else None for key in keys]
    if values[0] is None or values[2] is None:
        return None
    shift = "" if values[1] is None else f", a mere shift of the mean to {values[1]:.3g}"
    return (
        f"Frozen protocol, {source} → {target}: a ridge map on the model as it came takes the diagonal KL from "
        f"{values[0]:.3g} to {values[2]:.3g} on test texts{shift}, with nothing trained"
    )
