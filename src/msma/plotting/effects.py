"""Figure of an intervention experiment: every intervention against every measure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msma._types import SCALES
from msma.errors import ShapeError
from msma.plotting.style import (
    COLUMN,
    DIVERGING,
    INK,
    MUTED,
    PAGE,
    SCALE_COLOURS,
    SURFACE,
    TEXT,
    TITLE,
    legend,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Measures in a word or two, for the heads of columns.
MEASURE_NAMES: dict[str, str] = {
    "lexical_variation": "distinct-1",
    "distinct_2": "distinct-2",
    "distinct_3": "distinct-3",
    "mtld": "MTLD",
    "sentence_count": "sentences",
    "mean_sentence_length": "sentence length",
    "dependency_depth": "parse depth",
    "repeated_4grams": "repeated 4-grams",
    "longest_repeat": "longest repeat",
    "coherence": "coherence",
    "sentiment": "sentiment",
    "sentiment_consistency": "steady sentiment",
    "nats": "surprise",
    "entropy": "entropy",
    "log_rank": "log rank",
    "lexical_change": "other token*",
}
#: Cliff's delta below which an effect is nothing much, negligible, small, medium (Romano et al. 2006); else large.
_STEPS = (0.05, 0.147, 0.33, 0.474)
_LINE, _GAP, _KEY = 0.19, 0.26, 0.45
_LEFT = 1.22
#: Turn of the columns' names, room for them above and to the right of the last: slanted, upright.
_SLANTED, _UPRIGHT = (38, 0.74, 0.5), (90, 1.2, 0.08)
#: Narrowest column that has room for a number.
_ROOM = 0.36


def plot_effects(
    records: Sequence[Mapping[str, Any]], *, ax: "Axes | None" = None, width: float = PAGE
) -> "Axes":
    """Draw Cliff's delta of every intervention (lines) on every measure (columns).

    A filled dot differs from the clean text and from its control after Holm's correction; a ring differs from the
    clean text only, so that as strong a disturbance elsewhere does as much. Where a measure means nothing without
    an intervention, the colour is that against the control (marked with an asterisk).

    Args:
        records: One an effect, as ``Experiment.to_records`` gives them.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches; below two columns' width, colours without numbers.

    Returns:
        The axes; each scale is a panel within them.

    Raises:
        ShapeError: When no record comes.

    Examples:
        >>> record = {"scale": "local", "kind": "noise", "strength": 0.1, "measure": "mtld", "delta": 0.2,
        ...           "beyond": 0.1, "is_significant": True, "is_beyond_control": False}
        >>> [label.get_text() for label in plot_effects([record]).child_axes[0].get_yticklabels()]
        ['noise +0.1']
    """
    if not records:
        raise ShapeError("0 effects came; expected those of an experiment")
    scales = [scale for scale in SCALES if any(r["scale"] == scale for r in records)]
    measures = list(dict.fromkeys(str(r["measure"]) for r in records))
    lines = {
        s: list(dict.fromkeys((r["kind"], r["strength"]) for r in records if r["scale"] == s)) for s in scales
    }
    count = sum(map(len, lines.values()))
    is_narrow = width <= COLUMN + 0.5
    turn, head, right = _UPRIGHT if is_narrow else _SLANTED
    height = head + count * _LINE + len(scales) * _GAP + _KEY
    if ax is None:
        ax = new_figure(width, height).add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set_axis_off()
    each = min((width - _LEFT - right) / len(measures), 0.62)
    top = height - head
    for number, scale in enumerate(scales):
        tall = len(lines[scale]) * _LINE
        top -= _GAP + tall
        box = (_LEFT / width, top / height, each * len(measures) / width, tall / height)
        panel = ax.inset_axes(box)
        _draw_panel(
            panel,
            [r for r in records if r["scale"] == scale],
            lines[scale],
            measures,
            has_numbers=each >= _ROOM,
        )
        panel.set_title(
            scale, loc="left", fontsize=TITLE, color=SCALE_COLOURS[scale], fontweight="bold", pad=3
        )
        if number == 0:
            _name_columns(panel, measures, turn)
    _draw_key(ax, is_narrow=is_narrow)
    return ax


def _draw_panel(
    axes: "Axes",
    records: Sequence[Mapping[str, Any]],
    lines: Sequence[tuple[str, float]],
    measures: Sequence[str],
    *,
    has_numbers: bool,
) -> None:
    from matplotlib.patches import Rectangle

    found = {(r["kind"], r["strength"], r["measure"]): r for r in records}
    axes.set_facecolor("none")
    for line, (kind, strength) in enumerate(lines):
        for place, measure in enumerate(measures):
            record = found.get((kind, strength, measure))
            value = None if record is None else shown_delta(record)
            if record is None or value is None:
                axes.text(place + 0.5, line + 0.5, "–", fontsize=TEXT, color=MUTED, ha="center", va="center")
                continue
            axes.add_patch(
                Rectangle((place, line), 1, 1, facecolor=colour_of(value), edgecolor=SURFACE, linewidth=1.2)
            )
            is_beyond, is_found = bool(record["is_beyond_control"]), bool(record["is_significant"])
            if has_numbers:
                text = "0" if abs(value) < 0.005 else f"{value:+.2f}".replace("0.", ".", 1).replace("-", "−")
                weight = "bold" if is_beyond else "normal"
                axes.text(
                    place + 0.42,
                    line + 0.53,
                    text,
                    fontsize=TEXT - 1,
                    color=INK,
                    ha="center",
                    va="center",
                    fontweight=weight,
                )
            if is_beyond or is_found:
                fill = INK if is_beyond else "none"
                x = place + (0.87 if has_numbers else 0.5)
                axes.plot([x], [line + 0.5], **{**_MARK, "markerfacecolor": fill})
    axes.set_xlim(0, len(measures))
    axes.set_ylim(len(lines), 0)
    axes.set_xticks([])
    axes.set_yticks([line + 0.5 for line in range(len(lines))], [_line_name(*line) for line in lines])
    axes.tick_params(axis="y", length=0, labelsize=TEXT, labelcolor=INK)
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)


def shown_delta(record: Mapping[str, Any]) -> float | None:
    """Give the delta that a cell shows: against clean, or against the control where clean means nothing.

    Args:
        record: An effect.

    Returns:
        The delta.
    """
    value = record["delta"] if record["delta"] is not None else record["beyond"]
    return None if value is None else float(value)


def colour_of(delta: float) -> str:
    """Give the colour of a delta.

    Args:
        delta: From -1 to 1.

    Returns:
        A colour of :data:`msma.plotting.style.DIVERGING`.

    Examples:
        >>> colour_of(0.0) == DIVERGING[4], colour_of(-0.9) == DIVERGING[0], colour_of(0.2) == DIVERGING[6]
        (True, True, True)
    """
    size = sum(abs(delta) >= step for step in _STEPS)
    return DIVERGING[4 + (size if delta > 0 else -size)]


def measure_name(measure: str) -> str:
    """Give a measure's name in a word or two.

    Args:
        measure: Its name in results.

    Returns:
        The words.
    """
    return MEASURE_NAMES.get(measure, measure.replace("_", " "))


def _line_name(kind: str, strength: float) -> str:
    return f"{kind} {strength:+g}".replace("-", "−")


def _name_columns(axes: "Axes", measures: Sequence[str], turn: float) -> None:
    for place, measure in enumerate(measures):
        axes.annotate(
            measure_name(measure),
            xy=(place + (0.4 if turn < 90 else 0.8), 0),
            xytext=(0, 17),
            textcoords="offset points",
            fontsize=TEXT,
            color=INK,
            rotation=turn,
            ha="left",
            va="bottom",
            rotation_mode="anchor",
            annotation_clip=False,
        )


def _draw_key(ax: "Axes", *, is_narrow: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=colour, edgecolor=MUTED, linewidth=0.4) for colour in DIVERGING]
    names = ["large −", "", "", "", "none", "", "", "", "large +"]
    chosen = range(0, 9, 4) if is_narrow else range(9)
    handles: list[Any] = [patches[i] for i in chosen]
    labels = [names[i] for i in chosen]
    marks = [
        ("beyond its control", INK),
        ("differs only" if is_narrow else "differs, not beyond control", "none"),
    ]
    handles += [Line2D([], [], **{**_MARK, "markerfacecolor": fill}) for _, fill in marks]
    labels += [name for name, _ in marks]
    legend(
        ax,
        handles=handles,
        labels=labels,
        loc="lower left",
        bbox_to_anchor=(0.0, 0.0),
        ncols=3 if is_narrow else len(handles),
        columnspacing=0.45,
        handletextpad=0.25,
        handlelength=1.1,
        borderaxespad=0.3,
    )


_MARK: dict[str, Any] = {
    "marker": "o",
    "markersize": 3.6,
    "markeredgewidth": 0.8,
    "color": INK,
    "linestyle": "none",
}
