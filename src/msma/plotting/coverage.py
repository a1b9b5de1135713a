"""Figures of classifying perturbed input: accuracy of probes, and what staying silent brings."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msma.errors import ShapeError
from msma.plotting.detection import detector_lines
from msma.plotting.displacement import split_strength
from msma.plotting.dot_panels import Panel, draw_dot_panels
from msma.plotting.style import PAGE, RowLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AT = "accuracy_at_"
_CLEAN = "clean"


def plot_probes(rows: Iterable[RowLike], *, ax: "Axes | None" = None, width: float = PAGE) -> "Axes":
    """Draw the accuracy of each probe, one panel for clean texts and for each perturbation at its highest strength.

    Bars are 95 % intervals. The cross is the control, the same probe on labels dealt out at random; the dotted line is
    the most frequent class. Probes on one scale alone have its colour and marker.

    Args:
        rows: Rows "accuracy" of ``compare_probes``, with the probe in ``map``, its scale in ``target`` and the texts in
            ``split``; other metrics are left out.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; panels are within them.

    Raises:
        ShapeError: When no accuracy comes.

    Examples:
        >>> from msma.results import Row
        >>> rows = [Row(metric="accuracy", value=0.8, map="plain", split=split)
        ...         for split in ("clean", "case 0.1", "case 0.3")]
        >>> [panel.get_title(loc="left") for panel in plot_probes(rows).child_axes]
        ['clean', 'case 0.3']
    """
    found = {
        (row.map or "", row.target, row.split or ""): row
        for row in rows
        if row.metric == "accuracy" and row.value is not None
    }
    if not found:
        raise ShapeError("rows without a value of 'accuracy' came; expected those of compare_probes")
    lines = list(dict.fromkeys((name, scale) for name, scale, _ in found))
    splits = _strongest(split for *_, split in found)
    return draw_dot_panels(
        [Panel(split, [found.get((*line, split)) for line in lines]) for split in splits],
        [name if scale is None else f"{name}, {scale}" for name, scale in lines],
        scales=[scale for _, scale in lines],
        null="control: labels dealt out",
        floor="most frequent class",
        ax=ax,
        width=width,
    )


def plot_coverage(
    rows: Iterable[RowLike], *, split: str | None = None, ax: "Axes | None" = None, width: float = PAGE
) -> "Axes":
    """Draw the accuracy that is left when each gate silences the classifier on some texts, one panel a share answered.

    Bars are 95 % intervals. The dashed line is the accuracy on all texts; the tick is what a perfect gate would reach.

    Args:
        rows: Rows "accuracy_at_<percent>" of ``compare_gates``, with the gate in ``map``; other metrics are left out.
        split: The texts drawn; the clean ones, or the first named, when left out.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; panels are within them.

    Raises:
        ShapeError: When no accuracy comes, or none of that split.

    Examples:
        >>> from msma.results import Row
        >>> rows = [Row(metric=f"accuracy_at_{k}", value=0.9, map="entropy", split="clean") for k in (90, 50)]
        >>> [panel.get_title(loc="left") for panel in plot_coverage(rows).child_axes]
        ['90% answered', '50% answered']
    """
    given = [row for row in rows if row.metric.startswith(_AT) and row.value is not None]
    splits = list(dict.fromkeys(row.split for row in given))
    shown = split if split is not None else _CLEAN if _CLEAN in splits else next(iter(splits), None)
    found = {(row.map or "", row.metric): row for row in given if row.split == shown}
    if not found:
        known = ", ".join(f"'{name}'" for name in splits if name is not None)
        raise ShapeError(
            f"rows without a value of '{_AT}<percent>'{f' for the texts {split!r}' if split else ''} came"
            f"{f'; there are {known}' if known else ''}; expected those of compare_gates"
        )
    gates = list(dict.fromkeys(gate for gate, _ in found))
    metrics = sorted({metric for _, metric in found}, key=lambda metric: -_percent(metric))
    return draw_dot_panels(
        [
            Panel(f"{_percent(metric):g}% answered", [found.get((gate, metric)) for gate in gates])
            for metric in metrics
        ],
        [gate_name(gate) for gate in gates],
        scales=[None] * len(gates),
        null="accuracy on all texts",
        ceiling="a perfect gate",
        is_null_shared=True,
        ax=ax,
        width=width,
    )


def gate_name(name: str) -> str:
    """Name a gate in a few words; p is the largest probability.

    Args:
        name: Its name in results.

    Returns:
        The words.

    Examples:
        >>> gate_name("probability"), gate_name("probability + mahalanobis last"), gate_name("entropy")
        ('probability p', 'p + Mahalanobis last layer', 'entropy')
    """
    parts = name.split(" + ")
    words = [" ".join(detector_lines(part)) for part in parts]
    if parts[0] == "probability":
        words[0] = "p" if len(parts) > 1 else "probability p"
    return " + ".join(words)


def _strongest(splits: Iterable[str]) -> list[str]:
    """Keep each perturbation at its highest strength, and everything that has none."""
    best: dict[str, str] = {}
    for split in dict.fromkeys(splits):
        kind, strength = split_strength(split)
        if kind not in best or strength >= split_strength(best[kind])[1]:
            best[kind] = split
    return list(best.values())


def _percent(metric: str) -> float:
    try:
        return float(metric.removeprefix(_AT))
    except ValueError as error:
        raise ShapeError(f"metric '{metric}' came; expected a percentage after '{_AT}'") from error
