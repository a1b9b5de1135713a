"""The environment that every page is rendered in: texts escaped, unknown names refused, ranges kept on one line."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msma.errors import MissingExtraError

_TEMPLATES = Path(__file__).parents[1] / "templates"


def make_environment() -> Any:
    """Make the environment that renders every page: all texts escaped, no unknown names.

    Returns:
        A jinja2 environment.

    Raises:
        MissingExtraError: When jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("jinja2", extra="report") from error
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=keep_together,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def mark_safe(svgs: Sequence[str]) -> list[Any]:
    """Mark figures as finished HTML: drawn by this package, every text in them escaped by the XML writer.

    Args:
        svgs: SVG elements.

    Returns:
        The same, no longer escaped.
    """
    from markupsafe import Markup

    return [Markup(svg) for svg in svgs]


def keep_together(value: Any) -> Any:
    r"""Keep a range and an interval on one line; everything else stays as it is.

    Args:
        value: What the template is about to write.

    Returns:
        Strings with a word joiner around dashes between digits, and a fixed space within intervals.

    Examples:
        >>> keep_together("layers 3–8"), keep_together("2.3 [1.9, 2.7]"), keep_together(3)
        ('layers 3\u2060–\u20608', '2.3\xa0[1.9,\xa02.7]', 3)
    """
    if type(value) is not str:
        return value
    value = re.sub(r"(?<=\d)–(?=\d)", "\u2060–\u2060", value)
    return re.sub(r"(?<=\d) \[(−?[\d.,]+), (−?[\d.,]+\])", "\u00a0[\\1,\u00a0\\2", value)
