"""Figure of a text: its tokens on coloured ground, once a scale, by what each does to the state there."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from msma._types import SCALES
from msma.errors import ShapeError
from msma.plotting.style import (
    COLUMN,
    DIVERGING,
    INK,
    MUTED,
    PAGE,
    SCALE_COLOURS,
    SCALE_MARKERS,
    TEXT,
    TITLE,
    new_figure,
)
from msma.plotting.widths import fit, inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches: a line of text, its ground, the margin, room for a title, a scale's name and the key's line.
_LINE, _GROUND, _MARGIN, _TITLE, _NAME, _KEY = 0.225, 0.175, 0.08, 0.3, 0.25, 0.24
#: Inches between words, between parts of one word, and from a ground's edge to its letters.
_SPACE, _SEAM, _PAD = 0.055, 0.012, 0.022
#: A scale shows this many lines at most.
_MOST_LINES = 12
#: Steps of colour each way, and from which on a token is underlined.
_STEPS, _STRONG = 4, 3
#: How tokenizers write that a word begins, or goes on.
_STARTS, _GOES_ON = (" ", "Ġ", "▁"), "##"


class _Token(NamedTuple):
    """A token as shown: number, letters, and whether it belongs to the word before it."""

    number: int
    text: str
    is_glued: bool


class _Placed(NamedTuple):
    """A token and where it stands: line, left edge and width in inches."""

    token: _Token
    line: int
    left: float
    width: float


def plot_tokens(
    tokens: Sequence[str],
    scores: Mapping[str, Sequence[float]],
    *,
    units: str = "score",
    is_glued: Sequence[bool] | None = None,
    title: str | None = None,
    ax: "Axes | None" = None,
    width: float = PAGE,
) -> "Axes":
    """Draw a text once a scale, each token on the colour of its score: orange above 0, blue below.

    The colours of all scales mean the same, up to the largest score there is. The strongest tokens are underlined:
    with a solid line above 0, with a dashed one below. After 12 lines a scale's text is cut, which is said.

    Args:
        tokens: The tokens, in order; a leading space, "Ġ" or "▁" begins a word, "##" goes on with one.
        scores: For each scale one score a token.
        units: Of the scores.
        is_glued: Whether each token belongs to the word before it; read from the tokens when left out, and where
            no token after the first begins a word, each is one.
        title: A heading.
        ax: Axes to draw on; new ones when left out.
        width: Width of a new figure in inches.

    Returns:
        The axes; both their units are inches.

    Raises:
        ShapeError: When there is no token or scale, a scale is unknown, a count is not that of the tokens, or a
            score is not finite.

    Examples:
        >>> ax = plot_tokens(["The", "sea"], {"local": [0.0, 1.0], "global": [-2.0, 0.5]})
        >>> [text.get_text() for text in ax.texts][:4]
        ['local', 'The', 'sea', 'global']
    """
    scales = _check(tokens, scores, is_glued)
    words = _read(tokens, is_glued)
    new_figure(0.1, 0.1)  # says what to install before anything is measured
    whole = width if ax is None else _width_of(ax)
    placed = _lay_out(words, whole - 2 * _MARGIN)
    shown = [piece for piece in placed if piece.line < _MOST_LINES]
    n_left = len(placed) - len(shown)
    n_lines = shown[-1].line + 1 + (1 if n_left else 0)
    is_narrow = whole <= COLUMN + 0.5
    block = _NAME + n_lines * _LINE + 0.06
    top = _MARGIN + (_TITLE if title else 0.0)
    height = top + len(scales) * block + _KEY * (2 if is_narrow else 1) + _MARGIN
    if ax is None:
        ax = new_figure(width, height).add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set_axis_off()
    ax.set_xlim(0, whole)
    ax.set_ylim(height, 0)
    if title:
        ax.set_title(
            fit(title, (whole - 2 * _MARGIN) * TEXT / TITLE),
            loc="left",
            x=_MARGIN / whole,
            y=1.0,
            pad=-14,
            fontsize=TITLE,
            color=INK,
            fontweight="bold",
            parse_math=False,
        )
    limit = _nice(max(abs(score) for scale in scales for score in scores[scale]))
    for number, scale in enumerate(scales):
        _draw_scale(ax, scale, shown, scores[scale], top=top + number * block, limit=limit, n_left=n_left)
    _draw_key(
        ax, units, top=height - _MARGIN - _KEY * (2 if is_narrow else 1), limit=limit, is_narrow=is_narrow
    )
    return ax


def step_of(score: float, limit: float) -> int:
    """Give the step of colour of a score.

    Args:
        score: The score.
        limit: The score of the outermost colour, above 0.

    Returns:
        From -4 to 4; 0 for what is next to nothing.

    Examples:
        >>> [step_of(score, 2.0) for score in (-9.0, -0.9, 0.1, 1.0, 2.0)]
        [-4, -2, 0, 2, 4]
    """
    return max(-_STEPS, min(_STEPS, round(_STEPS * score / limit)))


def _check(
    tokens: Sequence[str], scores: Mapping[str, Sequence[float]], is_glued: Sequence[bool] | None
) -> list[str]:
    """Return the scales to draw in their order, or say what is wrong."""
    if not tokens or not scores:
        raise ShapeError(
            f"{len(tokens)} tokens and scores of {len(scores)} scales came; give one or more of both"
        )
    if unknown := set(scores) - set(SCALES):
        raise ShapeError(f"scores of '{min(unknown)}' came; the scales are {', '.join(SCALES)}")
    for name, column in {**scores, "is_glued": is_glued or [False] * len(tokens)}.items():
        if len(column) != len(tokens):
            raise ShapeError(
                f"{len(column)} entries of '{name}' came for {len(tokens)} tokens; give one a token"
            )
    for name, column in scores.items():
        if not all(math.isfinite(score) for score in column):
            raise ShapeError(f"a score of '{name}' is not finite; give 0 where a token has none")
    return [scale for scale in SCALES if scale in scores]


def _read(tokens: Sequence[str], is_glued: Sequence[bool] | None) -> list[_Token]:
    """Take the marks of tokenizers off, and tell which tokens go on with a word."""
    has_starts = any(token.startswith(_STARTS) for token in tokens[1:])
    found = []
    for number, token in enumerate(tokens):
        goes_on = token.startswith(_GOES_ON) or (has_starts and not token.startswith(_STARTS))
        glued = number > 0 and (goes_on if is_glued is None else bool(is_glued[number]))
        text = token.removeprefix(_GOES_ON) if len(token) > len(_GOES_ON) else token
        text = text.lstrip("".join(_STARTS)).rstrip(" ").replace("\n", "↵").replace("\t", "→")
        text = "".join(letter if letter.isprintable() else "·" for letter in text)
        found.append(_Token(number, text or "␣", glued))
    return found


def _measure(text: str) -> float:
    with warnings.catch_warnings():
        # A letter the font lacks is drawn as a box here; a page has fonts of its own.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        return max(0.05, inches(text)) + 2 * _PAD


def _lay_out(words: Sequence[_Token], room: float) -> list[_Placed]:
    """Set tokens line by line; a word breaks only where it is wider than a line."""
    groups: list[list[_Token]] = []
    for word in words:
        if word.is_glued:
            groups[-1].append(word)
        else:
            groups.append([word])
    placed: list[_Placed] = []
    line, x = 0, 0.0
    for group in groups:
        widths = [min(room, _measure(word.text)) for word in group]
        if x > 0 and x + _SPACE + sum(widths) + _SEAM * (len(group) - 1) > room:
            line, x = line + 1, 0.0
        x += _SPACE if x > 0 else 0.0
        for number, (word, wide) in enumerate(zip(group, widths, strict=True)):
            x += _SEAM if number else 0.0
            if x > 0 and x + wide > room + 1e-9:
                line, x = line + 1, 0.0
            placed.append(_Placed(word, line, x, wide))
            x += wide
    return placed


def _draw_scale(
    ax: "Axes",
    scale: str,
    placed: Sequence[_Placed],
    scores: Sequence[float],
    *,
    top: float,
    limit: float,
    n_left: int,
) -> None:
    from matplotlib.patches import Rectangle

    middle = top + _NAME / 2 - 0.02
    mark: dict[str, Any] = {"marker": SCALE_MARKERS[scale], "markersize": 5.5, "linestyle": "none"}
    ax.plot([_MARGIN + 0.05], [middle], color=SCALE_COLOURS[scale], **mark)
    ax.text(_MARGIN + 0.15, middle, scale, fontsize=TEXT, color=INK, fontweight="bold", va="center")
    style: dict[str, Any] = {"fontsize": TEXT, "va": "center", "parse_math": False}
    for word, line, left, wide in placed:
        step = step_of(scores[word.number], limit)
        x, y = _MARGIN + left, top + _NAME + (line + 0.5) * _LINE
        ground = Rectangle(
            (x, y - _GROUND / 2), wide, _GROUND, facecolor=DIVERGING[_STEPS + step], linewidth=0
        )
        ax.add_patch(ground)
        ax.text(x + wide / 2, y, fit(word.text, wide), ha="center", color=INK, **style)
        if abs(step) >= _STRONG:
            _underline(ax, x, x + wide, y + _GROUND / 2, is_below=step < 0)
    if n_left:
        y = top + _NAME + (placed[-1].line + 1.5) * _LINE
        more = f"… and {n_left:,} more token{'s' if n_left > 1 else ''}"
        ax.text(_MARGIN, y, more, ha="left", color=MUTED, **style)


def _underline(ax: "Axes", left: float, right: float, y: float, *, is_below: bool) -> None:
    style: Any = (0, (2.2, 1.4)) if is_below else "solid"
    ax.plot(
        [left + 0.01, right - 0.01], [y, y], color=INK, linewidth=1.1, linestyle=style, solid_capstyle="butt"
    )


def _draw_key(ax: "Axes", units: str, *, top: float, limit: float, is_narrow: bool) -> None:
    from matplotlib.patches import Rectangle

    style: dict[str, Any] = {
        "fontsize": TEXT,
        "color": INK,
        "va": "center",
        "ha": "left",
        "parse_math": False,
    }
    number, each = f"{limit:.3g}", 0.12 if is_narrow else 0.17
    x, y = _MARGIN, top + _KEY / 2
    ax.text(x, y, f"−{number}", **style)
    x += _measure(f"−{number}") + 0.04
    for place, colour in enumerate(DIVERGING):
        ax.add_patch(
            Rectangle((x + place * each, y - 0.07), each - 0.005, 0.14, facecolor=colour, linewidth=0)
        )
    x += len(DIVERGING) * each + 0.05
    unit = fit(f"+{number} {units}", (ax.get_xlim()[1] - _MARGIN if is_narrow else 4.0) - x)
    ax.text(x, y, unit, **style)
    x, y = (_MARGIN, y + _KEY) if is_narrow else (x + _measure(unit) + 0.25, y)
    for words, is_below in (("strongest above 0", False), ("strongest below 0", True)):
        _underline(ax, x, x + 0.28, y + 0.01, is_below=is_below)
        ax.text(x + 0.33, y, words, **style)
        x += 0.33 + _measure(words) + 0.2


def _width_of(ax: "Axes") -> float:
    owner: Any = ax.get_figure(root=True)
    return float(owner.get_size_inches()[0]) * ax.get_position().width


def _nice(number: float) -> float:
    """Round up to two digits, so that the key can be read; 1 where everything is 0."""
    if number == 0:
        return 1.0
    unit = 10.0 ** (math.floor(math.log10(number)) - 1)
    return float(math.ceil(number / unit - 1e-9) * unit)
