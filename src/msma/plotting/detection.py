"""Figure of detectors: how well each tells every kind of anomaly from texts as they should be."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from msma.errors import ShapeError
from msma.plotting.style import DIVERGING, INK, MUTED, PAGE, SURFACE, TEXT, RowLike, new_figure
from msma.plotting.widths import fit, inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Metric = Literal["auroc", "aupr", "fpr95"]

#: Detector: its name in at most two lines. One that is not here is shown under its own name.
DETECTOR_NAMES: dict[str, tuple[str, ...]] = {
    "residuals": ("scale", "residuals"),
    "mahalanobis last": ("Mahalanobis", "last layer"),
    "mahalanobis scales": ("Mahalanobis", "scales"),
    "mahalanobis layers": ("Mahalanobis", "layers"),
    "neighbours": ("nearest", "neighbours"),
    "surprise": ("surprise",),
    "rarity": ("word", "rarity"),
}
_TITLES: dict[str, tuple[str, float | None]] = {
    "auroc": ("AUROC", 0.5),
    "aupr": ("AUPR", None),
    "fpr95": ("false alarms", 0.95),
}
#: Inches: a line of cells, the key, the heads where they lie, the widest cell, the narrowest with a number.
_LINE, _KEY, _HEAD, _WIDEST, _ROOM = 0.235, 0.36, 0.4, 0.85, 0.27
#: Inches: the most that names of anomalies take beside their line, and names of detectors above theirs.
_NAMED, _TURNED = 1.9, 1.5
#: Size of numbers in cells, in points: 10 pixels on a screen.
_SMALL = 7.6


def plot_detection(
    rows: Iterable[RowLike], *, metric: Metric = "auroc", ax: "Axes | None" = None, width: float = PAGE
) -> "Axes":
    """Draw how well every detector (columns) tells every anomaly (lines) from clean texts.

    Colours go from worse than chance, over chance in the middle, to perfect. The best of each line is framed and bold,
    several where they tie, none where its interval does not tell it from chance; hatching means that it was not
    measured.

    Args:
        rows: Rows of ``compare_detectors`` with the detector in ``map`` and the anomaly in ``split``; other metrics
            are left out.
        metric: What is drawn: "auroc", "aupr" or "fpr95".
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; both their units are inches.

    Raises:
        ShapeError: When no value of the metric comes, or the metric is unknown.

    Examples:
        >>> from msma.results import Row
        >>> rows = [Row(metric="auroc", value=value, map=name, split="case 0.1")
        ...         for name, value in (("residuals", 0.9), ("rarity", 0.5))]
        >>> [text.get_text() for text in plot_detection(rows).texts if text.get_fontweight() == "bold"]
        ['.90']
    """
    if metric not in _TITLES:
        raise ShapeError(f"metric '{metric}' came; expected one of {', '.join(_TITLES)}")
    found = {
        (row.split or "", row.map or ""): row
        for row in rows
        if row.metric == metric and row.value is not None
    }
    if not found:
        raise ShapeError(f"rows without a value of '{metric}' came; expected those of compare_detectors")
    anomalies = list(dict.fromkeys(split for split, _ in found))
    detectors = list(dict.fromkeys(name for _, name in found))
    longest = 0.2 + max(map(inches, anomalies))
    is_beside = longest <= min(_NAMED, 0.36 * width)
    left = longest if is_beside else 0.06
    above = 0.0 if is_beside else 0.18
    each = min(_WIDEST, (width - left - 0.06) / len(detectors))
    names = [detector_lines(name) for name in detectors]
    is_turned = any(inches(line) > each - 0.02 for lines in names for line in lines)
    turned = [fit(" ".join(lines), _TURNED) for lines in names]
    head = 0.2 + max(map(inches, turned)) if is_turned else _HEAD
    key = _KEY + (0.22 if width <= 5 else 0.0)
    height = head + len(anomalies) * (_LINE + above) + key
    if ax is None:
        ax = new_figure(width, height).add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set_axis_off()
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    lefts = [left + number * each for number in range(len(detectors))]
    _draw_heads(
        ax,
        [(line,) for line in turned] if is_turned else names,
        lefts,
        each=each,
        bottom=head,
        is_turned=is_turned,
    )
    for number, anomaly in enumerate(anomalies):
        top = head + number * (_LINE + above) + above
        if is_beside:
            ax.text(left - 0.09, top + _LINE / 2, anomaly, ha="right", va="center", fontsize=TEXT, color=INK)
        else:
            ax.text(
                left,
                top - 0.02,
                fit(anomaly, 0.92 * width - 0.1),
                ha="left",
                va="bottom",
                fontsize=TEXT,
                color=INK,
            )
        best = [
            name
            for name in best_detectors(found, anomaly, metric)
            if not _is_chance(found[anomaly, name], metric)
        ]
        for detector, x in zip(detectors, lefts, strict=True):
            row = found.get((anomaly, detector))
            _draw_cell(ax, row, metric, x=x, top=top, each=each, is_best=detector in best)
    has_gap = len(found) < len(anomalies) * len(detectors)
    _draw_key(ax, metric, top=height - key + 0.2, left=0.1, is_narrow=width <= 5, has_gap=has_gap)
    return ax


def detector_lines(name: str) -> tuple[str, ...]:
    """Name a detector in at most two lines.

    Args:
        name: Its name in results.

    Returns:
        The lines.

    Examples:
        >>> detector_lines("mahalanobis last"), detector_lines("my_detector")
        (('Mahalanobis', 'last layer'), ('my detector',))
    """
    return DETECTOR_NAMES.get(name, (name.replace("_", " "),))


def best_detectors(
    found: Mapping[tuple[str, str], RowLike], anomaly: str, metric: Metric = "auroc"
) -> list[str]:
    """Name the best detectors of an anomaly.

    Args:
        found: Rows by anomaly and detector.
        anomaly: The anomaly.
        metric: The metric of the rows.

    Returns:
        One name, or several where values are equal.

    Examples:
        >>> from msma.results import Row
        >>> found = {("case", name): Row(metric="fpr95", value=value) for name, value in (("a", 0.2), ("b", 0.1))}
        >>> best_detectors(found, "case", "fpr95")
        ['b']
    """
    sign = -1.0 if metric == "fpr95" else 1.0
    values = {
        name: sign * float(row.value)
        for (split, name), row in found.items()
        if split == anomaly and row.value is not None
    }
    return [name for name, value in values.items() if value == max(values.values())]


def colour_of_detection(value: float, *, chance: float, is_higher_better: bool = True) -> str:
    """Give the colour of a value between chance and perfect, or between chance and always wrong.

    Args:
        value: From 0 to 1.
        chance: What a detector that knows nothing gets, between 0 and 1.
        is_higher_better: Whether 1 is perfect; else 0 is.

    Returns:
        A colour of :data:`msma.plotting.style.DIVERGING`.

    Examples:
        >>> [DIVERGING.index(colour_of_detection(value, chance=0.5)) for value in (0.0, 0.5, 0.75, 1.0)]
        [0, 4, 6, 8]
        >>> DIVERGING.index(colour_of_detection(0.0, chance=0.95, is_higher_better=False))
        8
    """
    sign = 1.0 if is_higher_better else -1.0
    gained = value - chance
    room = (1.0 - chance) if gained > 0 else chance
    share = sign * gained / room if room > 0 else 0.0
    return DIVERGING[4 + max(-4, min(4, round(4 * share)))]


def _draw_heads(
    ax: "Axes",
    names: Sequence[Sequence[str]],
    lefts: Sequence[float],
    *,
    each: float,
    bottom: float,
    is_turned: bool,
) -> None:
    for lines, x in zip(names, lefts, strict=True):
        style: dict[str, Any] = {"ha": "center", "fontsize": TEXT, "color": INK}
        if is_turned:
            ax.text(x + each / 2, bottom - 0.06, lines[0], va="bottom", rotation=90, **style)
            continue
        for number, line in enumerate(reversed(lines)):
            ax.text(x + each / 2, bottom - 0.09 - 0.135 * number, line, va="baseline", **style)


def _draw_cell(
    ax: "Axes", row: RowLike | None, metric: Metric, *, x: float, top: float, each: float, is_best: bool
) -> None:
    from matplotlib.patches import Rectangle

    corner, size = (x + 0.012, top + 0.012), (each - 0.024, _LINE - 0.024)
    if row is None or row.value is None:
        # The hatching is drawn in the edge's colour.
        ax.add_patch(Rectangle(corner, *size, facecolor=SURFACE, edgecolor=MUTED, hatch="////", linewidth=0))
        return
    colour = colour_of_detection(row.value, chance=_chance(row, metric), is_higher_better=metric != "fpr95")
    frame: dict[str, Any] = {"edgecolor": INK, "linewidth": 1.1} if is_best else {"linewidth": 0}
    ax.add_patch(Rectangle(corner, *size, facecolor=colour, zorder=2 if is_best else 1, **frame))
    if each >= _ROOM:
        ax.text(
            x + each / 2,
            top + _LINE / 2,
            _number(row.value),
            fontsize=_SMALL,
            color=INK,
            ha="center",
            va="center",
            fontweight="bold" if is_best else "normal",
            zorder=3,
        )


def _chance(row: RowLike, metric: Metric) -> float:
    known = _TITLES[metric][1]
    return known if known is not None else row.null if row.null is not None else 0.5


def _is_chance(row: RowLike, metric: Metric) -> bool:
    """Tell whether an interval holds chance; to be the best of nothing is nothing."""
    if row.low is None or row.high is None:
        return False
    return row.low <= _chance(row, metric) <= row.high


def _number(value: float) -> str:
    """Write a share with two decimals; only what is 1 is "1"."""
    if value == 1:
        return "1"
    text = f"{min(value, 0.99) if value < 1 else value:.2f}"
    return text.removeprefix("0")


def _draw_key(ax: "Axes", metric: Metric, *, top: float, left: float, is_narrow: bool, has_gap: bool) -> None:
    from matplotlib.patches import Rectangle

    style: dict[str, Any] = {"fontsize": TEXT, "color": INK, "va": "center", "ha": "left"}
    title, chance = _TITLES[metric]
    named = f"chance {chance:g}" if chance is not None else "chance"
    worst, perfect = ("1", "0") if metric == "fpr95" else ("0", "1")
    x, y = left, top
    ax.text(x, y, f"{title}  {worst}", **style)
    x += 0.06 + inches(f"{title}  {worst}")
    for number, colour in enumerate(DIVERGING):
        ax.add_patch(Rectangle((x + number * 0.15, y - 0.07), 0.145, 0.14, facecolor=colour, linewidth=0))
    x += 9 * 0.15 + 0.05
    ax.text(x, y, perfect, **style)
    x, y = (left, y + 0.22) if is_narrow else (x + 0.3, y)
    ax.text(x, y, f"middle: {named}", **style)
    x += 0.25 + inches(f"middle: {named}")
    ax.add_patch(Rectangle((x, y - 0.07), 0.2, 0.14, facecolor=SURFACE, edgecolor=INK, linewidth=1.1))
    ax.text(x + 0.26, y, "best", **style)
    if has_gap:
        x += 0.72
        ax.add_patch(
            Rectangle((x, y - 0.07), 0.2, 0.14, facecolor=SURFACE, edgecolor=MUTED, hatch="////", linewidth=0)
        )
        ax.text(x + 0.26, y, "not measured", **style)
