"""Figure of a replication: each arm beside the model as it came, and the effective rank over the epochs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msma._types import SCALES
from msma.errors import ShapeError
from msma.plotting.style import (
    CATEGORIES,
    GRID,
    INK,
    MUTED,
    PAGE,
    SCALE_COLOURS,
    TEXT,
    RowLike,
    headed,
    legend,
    new_figure,
    panel_grid,
)
from msma.plotting.words import pair_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_collapse_course", "plot_replication"]

#: What is followed, by arm and seed: epoch, quantity, scale, value.
Courses = Mapping[str, Sequence[Mapping[int, Mapping[str, Mapping[str, float | None]]]]]

#: Quantities drawn, with heading and whether as published.
_SHOWN: tuple[tuple[str, str, str], ...] = (
    ("kl_diagonal", "KL, diagonal", "as published, no map, nats"),
    ("kl", "KL, full", "corrected, no map, nats"),
    ("mi", "Information", "corrected, no map, nats"),
    ("cka", "CKA", "debiased, no map"),
    ("effective_rank", "Effective rank", "directions, a marker a scale"),
    ("nats_a_token", "Language", "nats a token"),
)
_DASHES: tuple[Any, ...] = ("solid", (0, (4, 1.5)), (0, (1, 1)), (0, (3, 1, 1, 1)))
_WIDE = 40.0


def plot_replication(
    rows: Iterable[RowLike], courses: Courses, *, ax: "Axes | None" = None, width: float = PAGE
) -> "Axes":
    """Draw each arm's measures beside the model as it came, and below them the effective rank over the epochs.

    Above: a line an arm, a marker a pair of scales (or a scale) with its 95 % interval over documents; the dashed
    line is the model as it came. Below: a panel a scale, a line an arm, the mean over seeds.

    Args:
        rows: Rows of a replication.
        courses: What was followed over the epochs, by arm and then by seed.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; each quantity and scale is a panel within them.

    Raises:
        ShapeError: When no row of an arm has a value.
    """
    kept = [row for row in rows if row.value is not None and row.map and "_minus_" not in row.metric]
    arms = list(dict.fromkeys(_arm(row) for row in kept))
    trained = [arm for arm in arms if arm != "before"]
    if not trained:
        raise ShapeError("0 rows of an arm came; expected rows of a replication")
    new_figure(0.1, 0.1)  # says what to install before anything else is tried
    shown = [entry for entry in _SHOWN if any(_is_shown(row, entry[0]) for row in kept)]
    columns = 3
    n_above = -(-len(shown) // columns) * columns
    ax, panels = panel_grid(
        ax,
        n_above + len(SCALES),
        width=width,
        height=max(0.95, 0.1 + 0.2 * len(arms)),
        columns=columns,
        left=0.78,
        gap=0.62,
        top=0.5,
        bottom=0.42,
        head=0.46,
    )
    for place, panel in enumerate(panels[:n_above]):
        if place >= len(shown):
            panel.set_visible(False)
            continue
        metric, title, below = shown[place]
        _draw_arms(panel, [row for row in kept if _is_shown(row, metric)], arms)
        headed(panel, title, below=below, is_raised=True)
    for scale, panel in zip(SCALES, panels[n_above:], strict=True):
        _draw_course(panel, courses, scale, "effective_rank", trained)
        headed(panel, f"Rank, {scale}", below="effective, over the epochs", is_raised=True)
    _draw_key(ax, trained)
    return ax


def plot_collapse_course(
    courses: Courses, *, quantity: str = "effective_rank", ax: "Axes | None" = None, width: float = PAGE
) -> "Axes":
    """Draw one quantity over the epochs, a panel a scale, a line an arm, the mean over seeds.

    Args:
        courses: What was followed over the epochs, by arm and then by seed.
        quantity: "effective_rank", "relative_spread", "text_cosine", ...
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes.

    Raises:
        ShapeError: When nothing was followed.
    """
    arms = [arm for arm, seeds in courses.items() if any(seeds)]
    if not arms:
        raise ShapeError("0 epochs came; expected what a replication followed over its epochs")
    new_figure(0.1, 0.1)
    ax, panels = panel_grid(
        ax, len(SCALES), width=width, height=1.3, columns=len(SCALES), left=0.6, gap=0.55, top=0.5, head=0.46
    )
    for scale, panel in zip(SCALES, panels, strict=True):
        _draw_course(panel, courses, scale, quantity, arms)
        headed(panel, scale.capitalize(), below=quantity.replace("_", " "), is_raised=True)
    _draw_key(ax, arms)
    return ax


def _arm(row: RowLike) -> str:
    return (row.map or "").split(":")[0]


def _is_shown(row: RowLike, metric: str) -> bool:
    return row.metric == metric and (row.map or "").partition(": ")[2] in ("", "none")


def _draw_arms(axes: "Axes", rows: Sequence[RowLike], arms: Sequence[str]) -> None:
    places = list(dict.fromkeys((row.source, row.target) for row in rows))
    for line, arm in enumerate(arms):
        for row in (row for row in rows if _arm(row) == arm):
            number = places.index((row.source, row.target))
            y = line + 0.22 * (number - (len(places) - 1) / 2)
            colour = SCALE_COLOURS.get(row.target or "", INK)
            value = float(row.value or 0.0)
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [y, y], color=colour, linewidth=1.1, zorder=2)
            axes.plot([value], [y], color=colour, marker="o", markersize=3.6, linestyle="none", zorder=3)
            if arm == "before":
                axes.axvline(value, color=colour, linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
    values = [float(row.value or 0.0) for row in rows]
    if min(values) > 0 and max(values) > _WIDE * min(values):
        axes.set_xscale("log")
        axes.set_xlim(
            min(values) / 3.0, max(values) * 3.0
        )  # an interval may reach below 0, which has no place
        axes.minorticks_off()
    else:
        axes.locator_params(axis="x", nbins=3)
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.set_yticks(range(len(arms)), [arm.replace("_", " ") for arm in arms])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID, linewidth=0.6)


def _draw_course(axes: "Axes", courses: Courses, scale: str, quantity: str, arms: Sequence[str]) -> None:
    for number, arm in enumerate(arms):
        runs = courses.get(arm, ())
        epochs = sorted({epoch for run in runs for epoch in run})
        points = []
        for epoch in epochs:
            found = [run[epoch].get(quantity, {}).get(scale) for run in runs if epoch in run]
            known = [value for value in found if value is not None]
            if known:
                points.append((epoch, sum(known) / len(known)))
        axes.plot(
            [epoch for epoch, _ in points], [value for _, value in points], **_line(number), linewidth=1.2
        )
    axes.margins(y=0.12)
    axes.set_ylim(bottom=0.0)
    axes.locator_params(axis="both", nbins=4)
    axes.set_xlabel("epoch", fontsize=TEXT, color=MUTED, labelpad=1.5)
    axes.grid(axis="y", color=GRID, linewidth=0.6)


def _line(number: int) -> dict[str, Any]:
    return {"color": CATEGORIES[number % len(CATEGORIES)], "linestyle": _DASHES[number % len(_DASHES)]}


def _draw_key(ax: "Axes", arms: Sequence[str]) -> None:
    """Draw the arms in one line and the scales in another."""
    from matplotlib.lines import Line2D

    above = [(arm.replace("_", " "), {"linewidth": 1.2, **_line(n)}) for n, arm in enumerate(arms)]
    names = {
        "local": f"{pair_name('intermediate', 'local')}; local",
        "intermediate": f"{pair_name('global', 'intermediate')}; intermediate",
        "global": "global",
    }
    dot: dict[str, Any] = {"marker": "o", "markersize": 3.6, "linestyle": "none"}
    below = [(names[scale], {"color": SCALE_COLOURS[scale], **dot}) for scale in SCALES]
    for number, entries in enumerate((above, below)):
        legend(
            ax,
            handles=[Line2D([], [], **style) for _, style in entries],
            labels=[name for name, _ in entries],
            loc="upper left",
            bbox_to_anchor=(0.0, 1.0),
            bbox_transform=_lowered(ax, 0.17 * number),
            ncols=len(entries),
            borderaxespad=0.1,
            columnspacing=0.9,
            handletextpad=0.4,
            handlelength=1.8,
        )
        if number == 0:
            ax.add_artist(ax.get_legend())  # type: ignore[arg-type]


def _lowered(ax: "Axes", inches: float) -> Any:
    """Give the place of the axes, so many inches further down."""
    from matplotlib.transforms import ScaledTranslation

    owner: Any = ax.get_figure(root=True)
    return ax.transAxes + ScaledTranslation(0.0, -inches, owner.dpi_scale_trans)
