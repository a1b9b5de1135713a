"""Names of code in the text lead to the reference: `msma.measures.cka` in a page is a link where it is described.

Pages stay plain Markdown, which reads as well in a repository as it does here.
"""

import re
from functools import cache
from importlib import import_module
from inspect import isclass, isfunction
from typing import Any

from docutils import nodes
from reference import described, homes, public_modules
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

NAME = re.compile(r"(msma(?:\.\w+)+)(?:\(.*\))?", re.DOTALL)


def link_names(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Turn literals that are full names of something in the reference into links.

    Args:
        app: Sphinx.
        doctree: The page.
        docname: Its name.
    """
    objects = app.env.domains["py"].objects
    known = {f"msma.{name}": f"{home}.{name}" for name, home in homes().items()}
    for literal in list(doctree.findall(nodes.literal)):
        found = NAME.fullmatch(literal.astext())
        if found is None or isinstance(literal.parent, nodes.reference) or _is_in_title(literal):
            continue
        name = known.get(found[1], found[1])
        if name in objects and objects[name].docname != docname:
            target = objects[name]
            link = make_refnode(
                app.builder, docname, target.docname, target.node_id, literal.deepcopy(), found[1]
            )
            literal.replace_self(link)


def find_elsewhere(
    app: Sphinx, env: BuildEnvironment, node: nodes.Element, content: nodes.TextElement
) -> nodes.reference | None:
    """Resolve a name by the module it is written in, where the reference has it under its package.

    Args:
        app: Sphinx.
        env: What is known of all pages.
        node: The reference that leads nowhere.
        content: Its text.

    Returns:
        A link, or nothing.
    """
    if node.get("refdomain") != "py":
        return None
    target, module = node["reftarget"], node.get("py:module") or ""
    for name in (target, f"{module}.{target}"):
        known = _described_as().get(id(_import(name))) if name.startswith("msma.") else None
        entry = env.domains["py"].objects.get(known) if known else None
        if entry is not None:
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, target)
    return None


@cache
def _described_as() -> dict[int, str]:
    return {
        id(getattr(import_module(module), name)): full
        for module, names in described(public_modules()).items()
        for name, full in names.items()
        if isclass(getattr(import_module(module), name)) or isfunction(getattr(import_module(module), name))
    }


def _import(name: str) -> Any:
    """The thing with this full name; something that is nowhere described where there is none."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute, NAME)
    except ImportError:
        return NAME


def _is_in_title(node: nodes.Node) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, nodes.title):
            return True
    return False


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at every page once all names are known.

    Args:
        app: Sphinx.

    Returns:
        What Sphinx asks of an extension.
    """
    app.connect("missing-reference", find_elsewhere)
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
