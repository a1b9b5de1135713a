"""Figures as inline SVG: text stays text, and colours become variables that follow light and dark."""

import io
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from msma.plotting.style import CATEGORIES, DIVERGING, GRID, INK, MUTED, RAMP, SCALE_COLOURS, SURFACE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_XLINK = "{http://www.w3.org/1999/xlink}href"
#: Colour in a figure: the CSS variable that stands for it on a page.
VARIABLES: dict[str, str] = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    SURFACE: "surface",
    **{colour: scale for scale, colour in SCALE_COLOURS.items()},
    **{colour: f"ramp-{number}" for number, colour in enumerate(RAMP)},
    **{colour: f"label-{number}" for number, colour in enumerate(CATEGORIES)},
    **{colour: f"change-{number}" for number, colour in enumerate(DIVERGING)},
}
#: Each variable's colour on a light and on a dark page.
LIGHT: dict[str, str] = {variable: colour for colour, variable in VARIABLES.items()} | {"surface": "#fdfcfa"}
_DARK_RAMP = (
    "#1d1b29",
    "#262238",
    "#302a48",
    "#3b3359",
    "#473d6b",
    "#54487d",
    "#62558f",
    "#7263a1",
    "#8474b3",
    "#9a89c6",
    "#b4a4da",
    "#d3c6f1",
)
_DARK_DIVERGING = (
    "#2a5f93",
    "#234f7a",
    "#1e4062",
    "#1b2f46",
    "#1d2028",
    "#40261f",
    "#5c2f22",
    "#7a3927",
    "#98452d",
)
_DARK_LABELS = ("#a890fd", "#fd887b", "#6fc8ec", "#cec94a", "#eea5bd", "#d2d9e7")
DARK: dict[str, str] = {
    "ink": "#eceef2",
    "muted": "#a7adba",
    "grid": "#31353f",
    "surface": "#15171c",
    **dict(zip(SCALE_COLOURS, ("#f0b23e", "#35c9a5", "#86b1ff"), strict=True)),
    **{f"ramp-{number}": colour for number, colour in enumerate(_DARK_RAMP)},
    **{f"label-{number}": colour for number, colour in enumerate(_DARK_LABELS)},
    **{f"change-{number}": colour for number, colour in enumerate(_DARK_DIVERGING)},
}
_COLOUR = re.compile("|".join(VARIABLES), re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
#: matplotlib writes the whole font in one property, or size and family apart; the page has its own family.
_FONT = re.compile(r"font:\s*(?:(\d+)\s+)?([\d.]+)px[^;]*")
_FAMILY = re.compile(r"font-family:[^;]*;?\s*")
_NO_TURN = re.compile(r"rotate\(-?0 [^)]*\)\s*")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_GEOMETRY = ("d", "x", "y", "x1", "y1", "x2", "y2", "width", "height", "transform", "points")


def to_inline_svg(axes: "Axes", *, name: str, title: str, description: str) -> str:
    """Turn a figure into an SVG element for a page.

    Args:
        axes: Any axes of the figure.
        name: A word that is unique on the page; it goes in front of every id.
        title: What a screen reader says first.
        description: What it says then.

    Returns:
        The element, without scripts, styles of its own or references to other files.

    Examples:
        >>> from msma.plotting import plot_bands
        >>> svg = to_inline_svg(plot_bands(7, (3, 5)), name="b", title="Bands <1>", description="Three.")
        >>> svg[:4], "var(--local)" in svg, "Bands &lt;1&gt;" in svg
        ('<svg', True, True)
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    figure: Any = axes.get_figure(root=True)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "msma"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith(("metadata", "}style")):
                parent.remove(child)
    used = _references(root)
    for element in root.iter():
        _rewrite(element, name, used)
    width = float(root.attrib["viewBox"].split()[2])
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-description",
        # One point of print is 4/3 pixels of screen; the page may shrink the figure, never enlarge it far.
        "style": f"--width: {width * 4 / 3:.0f}px",
    }
    for number, (tag, text) in enumerate((("title", title), ("desc", description))):
        label = ElementTree.Element(tag, {"id": f"{name}-{'title' if tag == 'title' else 'description'}"})
        label.text = text
        root.insert(number, label)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _references(root: ElementTree.Element) -> set[str]:
    used: set[str] = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            used.update(_REFERENCE.findall(value))
            if key in (_XLINK, "href"):
                used.add(value.removeprefix("#"))
    return used


def _rewrite(element: ElementTree.Element, name: str, used: set[str]) -> None:
    element.tag = element.tag.rpartition("}")[2]
    if element.tag != "text":
        # Line breaks between elements are a fifth of the file.
        element.text = (element.text or "").strip() or None
    element.tail = (element.tail or "").strip() or None
    attributes: dict[str, str] = {}
    for key, value in element.attrib.items():
        if key == "id":
            if value not in used:
                continue
            value = f"{name}-{value}"
        elif key in (_XLINK, "href") and value.startswith("#"):
            key, value = "href", f"#{name}-{value[1:]}"
        elif key in _GEOMETRY:
            value = _NO_TURN.sub("", _shorter(value))
        elif key == "style":
            value = _FAMILY.sub("", _FONT.sub(_sized, _COLOUR.sub(_variable, _shorter(value))))
        elif key in ("fill", "stroke") and _COLOUR.fullmatch(value):
            # A variable works in a style, not in an attribute.
            attributes["style"] = f"{attributes.get('style', '')}; {key}: {_COLOUR.sub(_variable, value)}"
            continue
        if value:
            attributes[key] = value.replace("url(#", f"url(#{name}-")
    attributes["style"] = attributes.get("style", "").strip("; ")
    element.attrib = {key: value for key, value in attributes.items() if value}


def _shorter(text: str) -> str:
    text = _NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), text)
    return " ".join(text.split())


def _variable(match: re.Match[str]) -> str:
    return f"var(--{VARIABLES[match[0].lower()]})"


def _sized(match: re.Match[str]) -> str:
    """Keep size and weight of a font; the family is the page's."""
    weight = f"font-weight: {match[1]}; " if match[1] else ""
    return f"{weight}font-size: {match[2]}px"
