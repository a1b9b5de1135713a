"""The page and the files it needs, rendered once from templates."""

from collections.abc import Mapping
from dataclasses import dataclass

from msma.explorer.questions import MAX_CHARACTERS, MAX_NEW_TOKENS
from msma.plotting.inline import DARK, LIGHT
from msma.reporting.environment import make_environment

#: Scripts of the page: each is one module.
SCRIPTS = ("", "_acting", "_clouds", "_elements", "_places", "_tokens")
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect x="2" y="11" width="9" height="9" fill="#c87a00"/>'
    '<path d="M16 6l7 13H9z" fill="#00836b"/>'
    '<circle cx="24" cy="21" r="6" fill="#2653a3"/></svg>'
)


@dataclass(frozen=True)
class File:
    """A file that the server gives.

    Args:
        content: Its text.
        media_type: What it is.
    """

    content: str
    media_type: str


def render_files(facts: Mapping[str, object]) -> dict[str, File]:
    """Render everything that the page is made of.

    Args:
        facts: What the template of the page shows: ``name``, ``study``.

    Returns:
        Path: the file there.

    Raises:
        MissingExtraError: When jinja2 is not installed.
    """
    environment = make_environment()
    limits = {"max_characters": MAX_CHARACTERS, "max_new_tokens": MAX_NEW_TOKENS}
    page = environment.get_template("explorer.html.j2").render(**facts, **limits)
    style = environment.get_template("explorer.css.j2").render(light=LIGHT, dark=DARK)
    scripts = {
        f"/explorer{part}.js": File(
            environment.get_template(f"explorer{part}.js.j2").render(), "text/javascript"
        )
        for part in SCRIPTS
    }
    return {
        "/": File(page, "text/html"),
        "/explorer.css": File(style, "text/css"),
        "/icon.svg": File(_ICON, "image/svg+xml"),
        **scripts,
    }
