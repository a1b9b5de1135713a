"""How the site is built: `make docs`, or `sphinx-build -W --keep-going -b html docs docs/_build/html`."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pygments.lexers.shell import BashLexer, BashSessionLexer
from sphinx.application import Sphinx

import msma

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "MSMA"
author = "The MSMA developers"
project_copyright = f"2026, {author}"
version = release = msma.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "mathml",
    "docstrings",
    "reference",
    "crossnames",
]
exclude_patterns = ["_build", "_extensions"]
nitpicky = False

# Pages
myst_enable_extensions = ["amsmath", "deflist", "dollarmath", "fieldlist", "html_image"]
myst_heading_anchors = 4
myst_update_mathjax = False
nb_execution_mode = "off"  # notebooks are committed as they ran; a test runs them again
nb_merge_streams = True
nb_ipywidgets_js = {}  # nothing is fetched from elsewhere
html_math_renderer = "mathml"

# Reference
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_rtype = False
add_module_names = False
toc_object_entries_show_parents = "hide"

# Looks
html_theme = "furo"
html_title = f"MSMA {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": False}
pygments_style = "friendly"
pygments_dark_style = "monokai"

# A link of a page to a file beside the README leads to the page of the site that holds it.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "training/README.md": "training.md",
    "src/msma/data/decoder/README.md": "cards.md",
}


def prepare(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn links to files outside `docs` that have a page on the site into links to that page.

    In the table of contents, patterns that match no page are left out: Sphinx would warn of them.

    Args:
        app: Sphinx.
        docname: The page.
        source: Its text, in a list of one.
    """
    if docname == "index":
        source[0] = re.sub(
            r"^[\w/-]+\*$\n", lambda line: line[0] if _is_found(line[0]) else "", source[0], flags=re.M
        )
    up = "../" * docname.count("/")
    for outside, inside in OUTSIDE.items():
        source[0] = re.sub(rf"\]\({up}\.\./{re.escape(outside)}", f"]({up}{inside}", source[0])


def _is_found(pattern: str) -> bool:
    return any(path.suffix in (".md", ".ipynb") for path in HERE.glob(pattern.strip() + ".*"))


class CommandsLexer(BashLexer):
    """Commands with or without prompts: Pygments' own lexer takes what has no prompt for output."""

    def get_tokens_unprocessed(self, text: str, *stack: Any) -> Iterator[tuple[int, Any, str]]:
        """Divide text into tokens.

        Args:
            text: Of a block.
            stack: Where the lexer begins.

        Returns:
            Places, kinds and texts of tokens.
        """
        if re.search(r"^\$ ", text, re.MULTILINE):
            return BashSessionLexer(**self.options).get_tokens_unprocessed(text)
        return super().get_tokens_unprocessed(text, *stack)


def setup(app: Sphinx) -> None:
    """Connect what is above.

    Args:
        app: Sphinx.
    """
    app.connect("source-read", prepare)
    app.add_lexer("console", CommandsLexer)
