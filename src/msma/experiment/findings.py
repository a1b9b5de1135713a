"""What an experiment's effects say, in sentences chosen by rules."""

from collections.abc import Mapping, Sequence
from typing import Any

from msma._types import SCALES
from msma.experiment.effects import LEVEL, Effect
from msma.experiment.statistics import least_p

#: Effects named for each scale.
_NAMED = 3


def tell_effects(effects: Sequence[Effect], provenance: Mapping[str, Any]) -> list[str]:
    """Say what was found, what was not, and what could not be told.

    Args:
        effects: Effects of an experiment.
        provenance: Where they come from.

    Returns:
        Sentences.
    """
    return [
        _tell_counts(effects),
        *(_tell_scale(effects, scale) for scale in SCALES if any(e.scale == scale for e in effects)),
        *_tell_limits(effects, provenance),
    ]


def _tell_counts(effects: Sequence[Effect]) -> str:
    tested = [e for e in effects if e.is_tested]
    found = [e for e in tested if e.is_significant]
    beyond = [e for e in effects if e.is_beyond_control]
    return (
        f"{len(found)} of {len(tested)} effects differ from the text without an intervention (Holm, "
        f"{LEVEL:.0%}); {len(beyond)} differ from their control as well, which disturbs the model as strongly "
        "elsewhere."
    )


def _tell_scale(effects: Sequence[Effect], scale: str) -> str:
    own = [e for e in effects if e.scale == scale]
    beyond = sorted((e for e in own if e.is_beyond_control), key=lambda e: -abs(e.beyond or 0.0))
    shown = list({(e.kind, e.measure): e for e in reversed(beyond)}.values())[::-1]
    if not beyond:
        count = sum(e.is_significant for e in own)
        tail = f", though {count} differ from the clean text" if count else ""
        return f"{scale.capitalize()} scale: no effect goes beyond its control{tail}."
    told = "; ".join(describe(e) for e in shown[:_NAMED])
    more = len(beyond) - min(len(shown), _NAMED)
    return f"{scale.capitalize()} scale: {told}" + (f"; and {more} more." if more > 0 else ".")


def describe(effect: Effect) -> str:
    """Write one effect in words.

    Args:
        effect: The effect.

    Returns:
        Kind, strength, measure, change, Cliff's delta with interval, and the control's.
    """
    name = f"{effect.kind} {signed(effect.strength)}: {effect.label} {change_of(effect)}"
    if effect.delta is None:
        return f"{name} (against its control: delta {signed(effect.beyond)})"
    ends = "" if effect.low is None else f" [{signed(effect.low)}, {signed(effect.high)}]"
    return f"{name} (delta {signed(effect.delta)}{ends}; control {signed(effect.control_delta)})"


def change_of(effect: Effect) -> str:
    """Write the relative change, or the two means where there is none to speak of.

    Args:
        effect: The effect.

    Returns:
        Words.
    """
    if effect.change is not None and abs(effect.change) < 10:
        return f"{100 * effect.change:+.1f} %".replace("-", "−")
    if effect.treated is None or effect.clean is None:
        return "undefined"
    return f"{effect.clean:.3g} to {effect.treated:.3g}"


def signed(value: float | None) -> str:
    """Write a number with its sign, two digits.

    Args:
        value: The number.

    Returns:
        The text; an en dash for nothing.

    Examples:
        >>> signed(0.234), signed(-0.1), signed(None)
        ('+0.23', '−0.10', '–')
    """
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def _tell_limits(effects: Sequence[Effect], provenance: Mapping[str, Any]) -> list[str]:
    sentences = []
    untested = [e for e in effects if not e.is_tested and e.p is None and e.delta is not None]
    if untested:
        names = ", ".join(dict.fromkeys(e.label for e in untested))
        sentences.append(f"{len(untested)} effects could not be tested, too few texts have a value: {names}.")
    n_tests = sum(e.is_tested for e in effects)
    n_prompts = int(provenance.get("n_prompts", 0))
    if n_tests and n_prompts and least_p(n_prompts, n_tests) * n_tests >= LEVEL:
        sentences.append(
            f"With {n_prompts} prompts no single effect can survive a correction for {n_tests} tests: give more "
            "prompts, or fewer kinds, strengths or measures."
        )
    missed = {(e.scale, e.kind, e.strength): e.note for e in effects if e.note and "asked for" in e.note}
    if missed:
        told = ", ".join(f"{s} {k} {signed(v)}" for s, k, v in missed)
        sentences.append(f"Not every strength could be reached ({told}); the table says what was.")
    sentences += [f"Left out: {sentence}." for sentence in provenance.get("left_out", ())]
    return sentences
