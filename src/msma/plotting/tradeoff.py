"""Figure of steering: what each scale and strength moves, over what it costs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msma._types import SCALES
from msma.errors import ShapeError
from msma.plotting.style import (
    COLUMN,
    INK,
    MUTED,
    SCALE_COLOURS,
    SCALE_MARKERS,
    TEXT,
    calm,
    legend,
    single_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_tradeoff(
    points: Sequence[Mapping[str, Any]],
    *,
    chosen: Mapping[str, Any] | None = None,
    max_loss: float | None = None,
    ax: "Axes | None" = None,
    width: float = COLUMN,
) -> "Axes":
    """Draw effect over loss, one line a scale from the clean text at (0, 0) through its strengths.

    Bars are 95 % intervals of the effect, grey lines the controls, the upright dashes the loss allowed.

    Args:
        points: For each setting its ``scale``, ``strength``, ``effect`` with ``effect_low`` and ``effect_high``,
            ``loss``, ``control_effect`` and ``control_loss``.
        chosen: The one that is ringed.
        max_loss: The loss allowed.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes.

    Raises:
        ShapeError: When no point comes.

    Examples:
        >>> point = {"scale": "global", "strength": 0.1, "effect": 0.4, "effect_low": 0.1, "effect_high": 0.7,
        ...          "loss": 0.2, "control_effect": 0.0, "control_loss": 0.1}
        >>> plot_tradeoff([point]).get_xlabel()
        'loss, nats a token · ← better'
    """
    if not points:
        raise ShapeError("0 points came; expected at least one setting")
    ax = single_axes(ax, width=width, height=0.85 * width)
    calm(ax, grid="both")
    ax.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    if max_loss is not None:
        ax.axvline(max_loss, color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    for scale in SCALES:
        own = sorted((p for p in points if p["scale"] == scale), key=lambda p: float(p["strength"]))
        if not own:
            continue
        colour = SCALE_COLOURS[scale]
        aside = [0.0, *(float(p["control_loss"]) for p in own)]
        ax.plot(
            aside,
            [0.0, *(float(p["control_effect"]) for p in own)],
            color=MUTED,
            marker=SCALE_MARKERS[scale],
            markersize=2.8,
            linewidth=0.8,
            zorder=2,
        )
        x, y = [float(p["loss"]) for p in own], [float(p["effect"]) for p in own]
        ax.plot([0.0, *x], [0.0, *y], color=colour, linewidth=1.4, zorder=3)
        ends = [[a - float(p["effect_low"]) for a, p in zip(y, own, strict=True)]]
        ends.append([float(p["effect_high"]) - a for a, p in zip(y, own, strict=True)])
        ax.errorbar(
            x,
            y,
            yerr=ends,
            color=colour,
            marker=SCALE_MARKERS[scale],
            markersize=4.5,
            elinewidth=0.7,
            linestyle="none",
            label=scale,
            zorder=4,
        )
    ax.plot([], [], color=MUTED, linewidth=0.8, label="random")
    if chosen is not None:
        ax.plot(
            [float(chosen["loss"])],
            [float(chosen["effect"])],
            color=INK,
            marker="o",
            markerfacecolor="none",
            markeredgewidth=1.2,
            markersize=11.0,
            linestyle="none",
            label="chosen",
            zorder=6,
        )
        ax.annotate(
            f"{float(chosen['strength']):g}",
            (float(chosen["loss"]), float(chosen["effect"])),
            xytext=(8, 5),
            textcoords="offset points",
            fontsize=TEXT,
            color=INK,
        )
    ax.set_xlabel("loss, nats a token · ← better", fontsize=TEXT, color=MUTED)
    ax.set_ylabel("effect, judged log-odds · better ↑", fontsize=TEXT, color=MUTED)
    handles, labels = ax.get_legend_handles_labels()
    order = [*(labels.index(scale) for scale in SCALES if scale in labels), labels.index("random")]
    order += [labels.index("chosen")] if "chosen" in labels else []
    legend(
        ax,
        handles=[handles[i] for i in order],
        labels=[labels[i] for i in order],
        loc="lower left",
        bbox_to_anchor=(-0.15, 1.0),
        ncols=3,
        columnspacing=0.8,
        handletextpad=0.3,
    )
    return ax
