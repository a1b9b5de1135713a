"""Figure of association tests: every test against every layer and every scale."""

from collections.abc import Sequence
from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from msma._types import SCALES
from msma.errors import ShapeError
from msma.plotting.scale_bands import SCALE_HEADS
from msma.plotting.style import (
    COLUMN,
    DIVERGING,
    INK,
    MUTED,
    PAGE,
    SCALE_COLOURS,
    SURFACE,
    TEXT,
    new_figure,
)
from msma.plotting.widths import fit, inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEVEL = 0.05
#: Effect size from one colour to the next; the last ones stand for everything beyond.
_STEP = 0.5
#: Inches: a line of cells, room above the cells and below them, a scale's column, the gap before these.
_LINE, _HEAD, _KEY, _WHOLE, _GAP = 0.34, 0.5, 0.34, 0.46, 0.16
#: Widest cell of a layer, narrowest one that has room for a number, and for a bold one with its sign.
_WIDEST, _ROOM, _BOLD = 0.42, 0.26, 0.34
#: Size of numbers in cells, in points: 10 pixels on a screen.
_SMALL = 7.6
#: Widest room for the tests' names beside their lines.
_MOST_NAMED = 1.85


@runtime_checkable
class AssociationLike(Protocol):
    """What the figure needs of one test at one layer or scale; see :class:`msma.bias.associations.AssociationRow`."""

    @property
    def test(self) -> str:
        """Name of the test."""

    @property
    def label(self) -> str:
        """The test in a few words."""

    @property
    def layer(self) -> int | None:
        """Layer entry; none for a scale as a whole."""

    @property
    def scale(self) -> str:
        """The scale, or the one that the layer belongs to."""

    @property
    def effect(self) -> float | None:
        """Effect size."""

    @property
    def p_holm(self) -> float | None:
        """Corrected p."""


class _Column(NamedTuple):
    """A layer or a whole scale: where its cells stand and how wide they are, in inches."""

    layer: int | None
    scale: str
    left: float
    width: float


def plot_associations(
    rows: Sequence[AssociationLike], *, ax: "Axes | None" = None, width: float = PAGE
) -> "Axes":
    """Draw the effect size of every association test (lines) at every layer and scale (columns).

    Colours go from -2 to 2 standard deviations in steps of one half; a dot means p < 0.05 after Holm's correction,
    hatching that there is no effect size there. Where layers are too many for numbers, colours and dots are left.

    Args:
        rows: Tests by layer and by scale, as ``AssociationTable.rows`` holds them.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches; up to one column, tests are named above their line.

    Returns:
        The axes; both their units are inches.

    Raises:
        ShapeError: When no row comes.

    Examples:
        >>> from types import SimpleNamespace
        >>> found = {"layer": None, "scale": "local", "effect": -1.04, "p_holm": 0.01}
        >>> row = SimpleNamespace(test="weat7", label="maths/arts", **found)
        >>> [text.get_text() for text in plot_associations([row]).texts if "1.0" in text.get_text()]
        ['−1.0']
    """
    if not rows:
        raise ShapeError("0 association tests came; expected at least one row of AssociationTable.rows")
    tests = name_tests(rows)
    is_narrow = width <= COLUMN + 0.5
    left = 0.06 if is_narrow else _label_room(list(tests.values()))
    columns = _lay_columns(rows, left=left, width=width)
    above = 0.2 if is_narrow else 0.0
    key = _KEY + (0.22 if is_narrow else 0.0)
    height = _HEAD + len(tests) * (_LINE + above) + key
    if ax is None:
        ax = new_figure(width, height).add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set_axis_off()
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    _draw_head(ax, columns)
    found = {(row.test, row.layer, None if row.layer is not None else row.scale): row for row in rows}
    for number, (test, label) in enumerate(tests.items()):
        top = _HEAD + number * (_LINE + above) + above
        _name_test(ax, label, left=left, top=top, room=width - 0.12 if is_narrow else left - 0.12)
        for column in columns:
            row = found.get((test, column.layer, None if column.layer is not None else column.scale))
            _draw_cell(ax, row, column, top=top)
    _draw_key(ax, rows, top=height - key + 0.18, left=left, width=width, is_narrow=is_narrow)
    return ax


def colour_of_effect(effect: float) -> str:
    """Give the colour of an effect size.

    Args:
        effect: In standard deviations.

    Returns:
        A colour of :data:`msma.plotting.style.DIVERGING`.

    Examples:
        >>> [DIVERGING.index(colour_of_effect(effect)) for effect in (-2.5, -0.2, 0.2, 1.1)]
        [0, 4, 4, 6]
    """
    return DIVERGING[4 + max(-4, min(4, round(effect / _STEP)))]


def name_tests(rows: Sequence[AssociationLike]) -> dict[str, str]:
    """Name each test by its label, and those that share one by their short name too.

    Args:
        rows: Tests by layer and by scale.

    Returns:
        Test: what it is called.

    Examples:
        >>> from types import SimpleNamespace
        >>> rows = [SimpleNamespace(test=test, label=label) for test, label in
        ...         (("weat3", "names, words"), ("weat4", "names, words"), ("weat7", "maths/arts"))]
        >>> list(name_tests(rows).values())
        ['weat3: names, words', 'weat4: names, words', 'maths/arts']
    """
    labels = {row.test: row.label or row.test for row in rows}
    known = list(labels.values())
    return {test: f"{test}: {label}" if known.count(label) > 1 else label for test, label in labels.items()}


def _two_lines(label: str) -> list[str]:
    """Break a label after its targets."""
    parts = label.split(", ", 1)
    return [f"{parts[0]},", parts[1]] if len(parts) == 2 else parts


def _label_room(labels: Sequence[str]) -> float:
    longest = max(inches(part) for label in labels for part in _two_lines(label))
    return min(_MOST_NAMED, max(0.5, 0.17 + longest))


def _lay_columns(rows: Sequence[AssociationLike], *, left: float, width: float) -> list[_Column]:
    layers = {row.layer: row.scale for row in rows if row.layer is not None}
    wholes = [scale for scale in SCALES if any(row.layer is None and row.scale == scale for row in rows)]
    gap = _GAP if layers and wholes else 0.0
    room = width - left - 0.06 - gap - _WHOLE * len(wholes)
    each = min(_WIDEST, room / len(layers)) if layers else 0.0
    columns = [
        _Column(layer, layers[layer], left + number * each, each)
        for number, layer in enumerate(sorted(layers))
    ]
    start = left + len(layers) * each + gap
    return columns + [
        _Column(None, scale, start + number * _WHOLE, _WHOLE) for number, scale in enumerate(wholes)
    ]


def _draw_head(ax: "Axes", columns: Sequence[_Column]) -> None:
    """Write scales over coloured bands, and layer numbers under them."""
    from matplotlib.patches import Rectangle

    bottom = _HEAD - 0.04
    style: dict[str, Any] = {"fontsize": TEXT, "color": INK, "ha": "center", "va": "center"}
    for (is_layer, scale), members in groupby(columns, key=lambda c: (c.layer is not None, c.scale)):
        own = list(members)
        start, room = own[0].left, sum(column.width for column in own)
        names = SCALE_HEADS[scale] if is_layer else SCALE_HEADS[scale][-2:]
        name = next((n for n in names if inches(n) + 0.04 <= room), names[-1])
        ax.text(start + room / 2, bottom - 0.36, name, **style)
        band = Rectangle(
            (start + 0.015, bottom - 0.25), room - 0.03, 0.055, color=SCALE_COLOURS[scale], linewidth=0
        )
        ax.add_patch(band)
    layers = [column for column in columns if column.layer is not None]
    if layers:
        step = ceil(0.21 / layers[0].width)
        for column in layers[::step]:
            ax.text(
                column.left + column.width / 2, bottom - 0.08, str(column.layer), **{**style, "color": MUTED}
            )
    wholes = [column for column in columns if column.layer is None]
    if wholes:
        middle = (wholes[0].left + wholes[-1].left + wholes[-1].width) / 2
        name = "mean of layers" if len(wholes) > 1 else "mean"
        ax.text(middle, bottom - 0.08, name, **{**style, "color": MUTED})


def _name_test(ax: "Axes", label: str, *, left: float, top: float, room: float) -> None:
    """Write a test's name above its line where the room for it is there, else before it in two lines."""
    style: dict[str, Any] = {"fontsize": TEXT, "color": INK, "linespacing": 0.98}
    if room > left:
        ax.text(left, top - 0.03, fit(label, room), ha="left", va="bottom", **style)
    else:
        text = "\n".join(fit(line, room) for line in _two_lines(label))
        ax.text(left - 0.09, top + _LINE / 2, text, ha="right", va="center", **style)


def _draw_cell(ax: "Axes", row: AssociationLike | None, column: _Column, *, top: float) -> None:
    from matplotlib.patches import Rectangle

    inset = 0.012 if column.width > 0.12 else 0.003
    corner = (column.left + inset, top + 0.012)
    size = (column.width - 2 * inset, _LINE - 0.024)
    if row is None or row.effect is None:
        # The hatching is drawn in the edge's colour.
        ax.add_patch(Rectangle(corner, *size, facecolor=SURFACE, edgecolor=MUTED, hatch="////", linewidth=0))
        return
    ax.add_patch(Rectangle(corner, *size, facecolor=colour_of_effect(row.effect), linewidth=0))
    is_found = row.p_holm is not None and row.p_holm < _LEVEL
    x, y = column.left + column.width / 2, top + _LINE / 2
    if column.width >= _ROOM:
        is_wide = column.width >= _BOLD
        text = "0" if abs(row.effect) < 0.05 else f"{row.effect:+.1f}".replace("-", "−")
        text = text if is_wide else text.lstrip("+").replace("0.", ".")
        weight = "bold" if is_found and is_wide else "normal"
        place = y - 0.05 if is_found else y
        ax.text(x, place, text, fontsize=_SMALL, color=INK, ha="center", va="center", fontweight=weight)
        y += 0.085
    if is_found:
        ax.plot([x], [y], marker="o", markersize=min(2.8, 30 * column.width), color=INK, linestyle="none")


def _draw_key(
    ax: "Axes", rows: Sequence[AssociationLike], *, top: float, left: float, width: float, is_narrow: bool
) -> None:
    from matplotlib.patches import Rectangle

    style: dict[str, Any] = {"fontsize": TEXT, "color": INK, "va": "center"}
    has_none = any(row.effect is None for row in rows)
    x, y = (left if is_narrow else min(left, width - (5.5 if has_none else 3.9))), top
    ax.text(x, y, "d  −2", ha="left", **style)
    x += 0.36
    for number, colour in enumerate(DIVERGING):
        ax.add_patch(Rectangle((x + number * 0.17, y - 0.07), 0.165, 0.14, facecolor=colour, linewidth=0))
    x += 9 * 0.17 + 0.05
    ax.text(x, y, "+2", ha="left", **style)
    x, y = (left, y + 0.22) if is_narrow else (x + 0.4, y)
    ax.plot([x + 0.04], [y], marker="o", markersize=3.2, color=INK, linestyle="none")
    ax.text(x + 0.13, y, "p < 0.05 after Holm", ha="left", **style)
    if has_none:
        x += 1.5
        ax.add_patch(
            Rectangle(
                (x, y - 0.07), 0.24, 0.14, facecolor=SURFACE, edgecolor=MUTED, hatch="////", linewidth=0
            )
        )
        ax.text(x + 0.3, y, "nothing to measure", ha="left", **style)
