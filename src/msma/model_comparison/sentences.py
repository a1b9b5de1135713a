"""A comparison of two models in a few plain sentences."""

from typing import TYPE_CHECKING

from msma._types import SCALES
from msma.model_comparison.rows import DIFFERENCE
from msma.results import Row

if TYPE_CHECKING:
    from msma.model_comparison.record import StudyComparison

_LEVEL = 0.05
#: Longest beginning of a text that is quoted.
_LONGEST = 80


def say_comparison(comparison: "StudyComparison") -> list[str]:
    """Say where two studies agree and where they differ.

    Args:
        comparison: The comparison.

    Returns:
        One sentence an element.
    """
    said = [_say_basis(comparison), _say_boundaries(comparison), _say_scales(comparison)]
    said += [_say_layers(comparison), _say_prediction(comparison), *_say_errors(comparison)]
    if comparison.texts and comparison.texts[0].difference != 0:
        said.append(_say_text(comparison))
    return [sentence for sentence in said if sentence]


def _say_basis(comparison: "StudyComparison") -> str:
    first, second = comparison.names
    given = comparison.provenance
    told = (
        f"{first} and {second} are compared on {given.get('n_test')} samples of {given.get('n_documents')} documents "
        "that both held out."
    )
    if given.get("same_weights"):
        told += " Their weights are the same."
    return told


def _say_boundaries(comparison: "StudyComparison") -> str:
    told = []
    for name in comparison.names:
        rows = comparison.table.where(metric="boundary_depth", map=name).rows
        layers = " and ".join(str(row.layer) for row in rows)
        depths = " and ".join(f"{row.value:.0%}" for row in rows if row.value is not None)
        told.append(f"at layers {layers} of {name} ({depths} of its depth)")
    return f"The intermediate and the global scale begin {told[0]}, and {told[1]}."


def _say_scales(comparison: "StudyComparison") -> str:
    rows = comparison.table.where(metric="cross_cka").rows
    same = [row for row in rows if row.source == row.target]
    values = ", ".join(f"{row.source} {_interval(row)}" for row in same)
    margins = comparison.table.where(metric="cross_cka_margin").rows
    lost = [row for row in margins if row.high is not None and row.high < 0]
    held = [row for row in margins if row.low is not None and row.low > 0]
    if len(held) == len(margins):
        verdict = "every scale is most like the scale of the same name"
    elif lost:
        which = ", ".join(f"{row.source} ({row.map})" for row in lost)
        verdict = f"more like a scale of another name are: {which}"
    else:
        verdict = f"for {len(held)} of {len(margins)} the scale of the same name is clearly the most alike"
    return f"Scales of the same name have a CKA of {values}; {verdict}."


def _say_layers(comparison: "StudyComparison") -> str:
    told = []
    for name, other in (comparison.names, comparison.names[::-1]):
        rows = comparison.table.where(metric="layer_cka_best", map=f"{name} → {other}").rows
        rows = tuple(row for row in rows if row.value is not None)
        same = sum(row.source == row.target for row in rows)
        told.append(f"{same} of {len(rows)} of {name}")
    return f"The best match of a layer lies in the scale of the same name for {told[0]} and {told[1]}."


def _say_prediction(comparison: "StudyComparison") -> str:
    told = []
    for name, other in (comparison.names, comparison.names[::-1]):
        rows = [comparison.table.where(metric="cross_r2", target=s, map=f"{name} → {other}") for s in SCALES]
        values = ", ".join(f"{found.rows[0].target} {_interval(found.rows[0])}" for found in rows)
        told.append(f"{name} predicts of {other}'s variance: {values}")
    return f"By ridge regression, {told[0]}; {told[1]}."


def _say_errors(comparison: "StudyComparison") -> list[str]:
    said = []
    for test in comparison.table.where(metric="error_share_p").rows:
        row = comparison.table.row("error_share", source=test.source, target=test.target, map=DIFFERENCE)
        if row.value is None or test.value is None:
            continue
        where = f"From {row.source} to {row.target}"
        if row.value == 0 == row.low == row.high:
            said.append(f"{where} the mapped states are as far from their targets in both.")
            continue
        is_shown = test.value < _LEVEL
        nearer = comparison.names[0 if row.value > 0 else 1]
        verdict = f"they are nearer in {nearer}" if is_shown else "no difference is shown"
        said.append(
            f"{where} the error, as a share of the targets' spread, differs by {_interval(row, is_signed=True)} "
            f"({comparison.names[1]} less {comparison.names[0]}; sign-flip test, p = {test.value:.2g} after Holm): "
            f"{verdict}."
        )
    return said


def _say_text(comparison: "StudyComparison") -> str:
    text = comparison.texts[0]
    words = " ".join(text.text.split())
    words = words if len(words) <= _LONGEST else words[:_LONGEST].rstrip() + "…"
    return (
        f"The text that differs most ({text.source} to {text.target}: {text.first:.2f} in {comparison.names[0]}, "
        f"{text.second:.2f} in {comparison.names[1]}) begins “{words}”."
    )


def _interval(row: Row, *, is_signed: bool = False) -> str:
    if row.value is None:
        return "unknown"
    sign, digits = ("+", 3) if is_signed else ("", 2)
    numbers = [round(number or 0.0, digits) for number in (row.value, row.low, row.high)]
    # A number that is rounded to nothing has no sign.
    told = [f"{n:{sign}.{digits}f}".replace("-", "−") if n else f"{0:.{digits}f}" for n in numbers]
    return f"{told[0]} [{told[1]}, {told[2]}]"
