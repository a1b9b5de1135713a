"""Formulas as MathML, written into the pages when the site is built.

A browser shows MathML by itself, so the pages need no script and no font from elsewhere, and a screen reader
reads a formula as a formula. A formula that does not convert is a warning, which a strict build does not forgive.
"""

import re
from html import escape
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert
from latex2mathml.exceptions import NumeratorNotFoundError
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

LOGGER = logging.getLogger(__name__)
UNKNOWN = {r"\arg": r"\operatorname{arg}"}  # commands that the converter does not know, by ones that it does
NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"
#: Elements that need a certain number of parts.
PARTS = {"mfrac": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "mroot": 2, "msubsup": 3, "munderover": 3}


class FormulaError(SphinxError):
    """A formula holds something that has no MathML here."""

    category = "Formula"


def to_mathml(latex: str, *, is_block: bool = False) -> str:
    """One formula as a `<math>` element, with its source beside it.

    Args:
        latex: The formula, without dollar signs.
        is_block: Whether it stands on a line of its own.

    Returns:
        MathML, with the LaTeX as `alttext` and as an annotation.

    Raises:
        FormulaError: If a command is unknown or the result is not well-formed.
    """
    source = " ".join(latex.split())
    known = re.sub(r"\\[a-zA-Z]+", lambda command: UNKNOWN.get(command[0], command[0]), source)
    try:
        made = convert(_aligned(known) if is_block else known, display="block" if is_block else "inline")
        root = ElementTree.fromstring(made)
    except (ElementTree.ParseError, NumeratorNotFoundError, ValueError, IndexError, KeyError) as error:
        raise FormulaError(f"'{source}' does not convert to MathML: {error}") from error
    for element in root.iter():
        needed = PARTS.get(element.tag.removeprefix(NAMESPACE), len(element))
        if len(element) != needed:
            raise FormulaError(
                f"'{source}' does not convert to MathML: a part of a fraction or an index is missing"
            )
    left = [text for element in root.iter() if (text := element.text or "").startswith("\\") or text == "&"]
    if left:
        raise FormulaError(f"'{source}' holds what has no MathML here: {', '.join(left)}")
    content = made[made.index(">") + 1 : made.rindex("</math>")]
    kind = "block" if is_block else "inline"
    return (
        f'<math xmlns="{NAMESPACE[1:-1]}" display="{kind}" alttext="{escape(source)}"><semantics>{content}'
        f'<annotation encoding="application/x-tex">{escape(source)}</annotation></semantics></math>'
    )


def _aligned(source: str) -> str:
    # Sphinx allows lines and marks of alignment without saying which environment they belong to.
    if source.startswith(r"\begin") or (r"\\" not in source and "&" not in source):
        return source
    return rf"\begin{{align*}}{source}\end{{align*}}"


def _written(node: nodes.Node, *, is_block: bool) -> str:
    try:
        return to_mathml(node.astext(), is_block=is_block)
    except FormulaError as error:
        LOGGER.warning(str(error), location=node, type="mathml", subtype="formula")
        return f"<code>{escape(node.astext())}</code>"


def visit_math(translator: Any, node: nodes.math) -> None:
    """A formula in a line of text.

    Args:
        translator: What writes the page.
        node: The formula.

    Raises:
        SkipNode: Always: everything is written.
    """
    translator.body.append(_written(node, is_block=False))
    raise nodes.SkipNode


def visit_math_block(translator: Any, node: nodes.math_block) -> None:
    """A formula on a line of its own; one too wide scrolls, also by keys.

    Args:
        translator: What writes the page.
        node: The formula.

    Raises:
        SkipNode: Always: everything is written.
    """
    name = node["ids"][0] if node.get("ids") else None
    mark = f' id="{escape(name)}"' if name else ""
    translator.body.append(f'<div class="math-block" tabindex="0"{mark}>{_written(node, is_block=True)}')
    if node.get("number"):
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({escape(str(number))})</span>')
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Give Sphinx the renderer `mathml`.

    Args:
        app: Sphinx.

    Returns:
        What Sphinx asks of an extension.
    """
    app.add_html_math_renderer(
        "mathml", inline_renderers=(visit_math, None), block_renderers=(visit_math_block, None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
