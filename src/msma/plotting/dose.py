"""Figure of an intervention experiment: effects over strength, beside their controls."""

from collections.abc import Mapping, Sequence
from math import copysign
from typing import TYPE_CHECKING, Any

from msma._types import SCALES
from msma.errors import ConfigError, ShapeError
from msma.plotting.effects import measure_name
from msma.plotting.style import (
    COLUMN,
    INK,
    MUTED,
    PAGE,
    SCALE_COLOURS,
    SCALE_MARKERS,
    SURFACE,
    TEXT,
    calm,
    headed,
    legend,
    new_figure,
    panel_grid,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_MEASURES = 3
_MOST_NARROW = 2


def plot_dose_response(
    records: Sequence[Mapping[str, Any]],
    *,
    measures: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    ax: "Axes | None" = None,
    width: float = PAGE,
) -> "Axes":
    """Draw Cliff's delta over strength: one line of panels a kind, one panel a measure, one line a scale.

    Dashed lines are the controls, bands 95 % intervals; a filled marker goes beyond its control.

    Args:
        records: One an effect, as ``Experiment.to_records`` gives them.
        measures: Which; when left out the three (two in a narrow figure) with most effects beyond their control,
            then the largest.
        kinds: Which; all when left out.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; each kind and measure is a panel within them.

    Raises:
        ShapeError: When no effect against the clean text comes.
        ConfigError: When a measure or kind is not there.

    Examples:
        >>> records = [{"scale": "local", "kind": "noise", "strength": s, "measure": "mtld", "delta": s, "low": 0.0,
        ...             "high": 1.0, "control_delta": 0.0, "is_beyond_control": False} for s in (0.1, 0.2)]
        >>> plot_dose_response(records).child_axes[0].get_title(loc="left")
        'MTLD'
    """
    kept = [record for record in records if record["delta"] is not None]
    if not kept:
        raise ShapeError("0 effects with a delta came; expected those of an experiment")
    new_figure(0.1, 0.1)  # says what to install before anything else is tried
    most = _MOST_NARROW if width <= COLUMN else _MOST_MEASURES
    chosen = _pick_measures(kept, most) if measures is None else list(measures)
    shown = list(dict.fromkeys(str(r["kind"]) for r in kept)) if kinds is None else list(kinds)
    for what, names in (("measure", chosen), ("kind", shown)):
        for name in names:
            if all(record[what] != name for record in kept):
                known = ", ".join(dict.fromkeys(str(record[what]) for record in kept))
                raise ConfigError(f"{what} '{name}' came; these effects have {known}")
    head = 0.72 if width <= COLUMN else 0.54
    ax, panels = panel_grid(
        ax,
        len(chosen) * len(shown),
        width=width,
        height=0.9,
        columns=len(chosen),
        left=0.62,
        gap=0.3,
        top=0.08,
        bottom=0.38,
        head=head,
    )
    low, high = _limits(kept, chosen, shown)
    places = [_place(record) for record in kept if record["kind"] in shown]
    left, right = min(0.0, *places), max(0.0, *places)
    for number, panel in enumerate(panels):
        line, column = divmod(number, len(chosen))
        members = [r for r in kept if r["kind"] == shown[line] and r["measure"] == chosen[column]]
        _draw_panel(panel, members)
        panel.set_ylim(low, high)
        panel.set_xlim(left - 0.04 * (right - left), right + 0.06 * (right - left))
        panel.locator_params(axis="x", nbins=4)
        panel.locator_params(axis="y", nbins=4)
        if column:
            panel.set_yticklabels([])
        else:
            panel.set_ylabel(shown[line], fontsize=TEXT, color=INK, fontweight="bold")
        if line == 0:
            headed(panel, measure_name(chosen[column]))
        if line == len(shown) - 1:
            panel.set_xlabel("relative norm reached", fontsize=TEXT, color=MUTED, labelpad=1.5)
    _draw_key(ax, [s for s in SCALES if any(r["scale"] == s for r in kept)], is_narrow=width <= COLUMN)
    return ax


def _place(record: Mapping[str, Any]) -> float:
    """Where an effect stands: at the strength that was reached, which may be less than was asked for."""
    return copysign(float(record.get("reached", abs(record["strength"]))), float(record["strength"]))


def _pick_measures(records: Sequence[Mapping[str, Any]], most: int) -> list[str]:
    names = list(dict.fromkeys(str(record["measure"]) for record in records))

    def weight(name: str) -> tuple[int, float]:
        own = [record for record in records if record["measure"] == name]
        return sum(bool(r["is_beyond_control"]) for r in own), max(abs(float(r["delta"])) for r in own)

    best = sorted(names, key=weight, reverse=True)[:most]
    return [name for name in names if name in best]


def _limits(
    records: Sequence[Mapping[str, Any]], measures: Sequence[str], kinds: Sequence[str]
) -> tuple[float, float]:
    ends = [0.0]
    for record in records:
        if record["measure"] in measures and record["kind"] in kinds:
            columns = ("delta", "low", "high", "control_delta")
            ends += [float(record[name]) for name in columns if record[name] is not None]
    return max(-1.05, min(ends) - 0.05), min(1.05, max(ends) + 0.05)


def _draw_panel(axes: "Axes", records: Sequence[Mapping[str, Any]]) -> None:
    calm(axes, grid="y")
    axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    for scale in SCALES:
        own = sorted((r for r in records if r["scale"] == scale), key=_place)
        if not own:
            continue
        x = [_place(record) for record in own]
        # Strength 0 changes nothing; lines start there.
        before = sum(place < 0 for place in x)
        colour = SCALE_COLOURS[scale]
        at = [*x[:before], 0.0, *x[before:]]

        def through(name: str, own: Sequence[Mapping[str, Any]] = own, before: int = before) -> list[float]:
            values = [float("nan") if r[name] is None else float(r[name]) for r in own]
            return [*values[:before], 0.0, *values[before:]]

        if any(record["low"] is not None for record in own):
            axes.fill_between(
                at,
                through("low"),
                through("high"),
                color=colour,
                alpha=0.13,
                linewidth=0,
                zorder=1,
            )
        axes.plot(at, through("control_delta"), color=colour, linewidth=1.0, linestyle=(0, (3, 2)), zorder=2)
        axes.plot(at, through("delta"), color=colour, linewidth=1.5, zorder=3)
        for place, record in zip(x, own, strict=True):
            fill = colour if record["is_beyond_control"] else SURFACE
            axes.plot(
                [place],
                [float(record["delta"])],
                color=colour,
                markerfacecolor=fill,
                marker=SCALE_MARKERS[scale],
                **_DOT,
            )


def _draw_key(ax: "Axes", scales: Sequence[str], *, is_narrow: bool) -> None:
    from matplotlib.lines import Line2D

    entries: list[tuple[str, dict[str, Any]]] = [
        (
            scale,
            {
                "color": SCALE_COLOURS[scale],
                "marker": SCALE_MARKERS[scale],
                "linewidth": 1.5,
                "markersize": 4.5,
            },
        )
        for scale in scales
    ]
    entries += [
        ("control", {"color": INK, "linewidth": 1.0, "linestyle": (0, (3, 2))}),
        ("beyond its control", {"color": INK, "marker": "o", **_DOT}),
        ("not", {"color": INK, "marker": "o", "markerfacecolor": SURFACE, **_DOT}),
    ]
    legend(
        ax,
        handles=[Line2D([], [], **style) for _, style in entries],
        labels=[name for name, _ in entries],
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=3 if is_narrow else len(entries),
        borderaxespad=0.1,
        columnspacing=0.9,
        handletextpad=0.4,
    )


_DOT: dict[str, Any] = {"markersize": 4.5, "markeredgewidth": 1.1, "linestyle": "none", "zorder": 4}
