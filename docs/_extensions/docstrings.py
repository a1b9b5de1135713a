"""What is made of a docstring before it is shown: small repairs that keep the code's own text as it is."""

import re
from collections.abc import Iterable, Mapping
from inspect import getdoc

from sphinx.application import Sphinx


def telling_bases(bases: Iterable[type]) -> list[type]:
    """Keep the bases that a reader can look up: those of this package, and exceptions.

    Args:
        bases: Of a class.

    Returns:
        Some of them.
    """
    classes = [base for base in bases if isinstance(base, type)]
    return [
        base for base in classes if base.__module__.startswith("msma.") or issubclass(base, BaseException)
    ]


def keep_bases(app: Sphinx, name: str, value: type, options: object, bases: list[type]) -> None:
    """Show no other bases.

    Args:
        app: Sphinx.
        name: Of the class.
        value: The class.
        options: Those of the directive.
        bases: Which are changed.
    """
    bases[:] = telling_bases(bases)


def describe_data(
    app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Say of a table or a constant what is in it, in place of what Python says of its type.

    Args:
        app: Sphinx.
        what: What is described.
        name: Its full name.
        value: Itself.
        options: Those of the directive.
        lines: The text, which is changed.
    """
    if what != "data" or (getdoc(type(value)) or "").split() != " ".join(lines).split():
        return
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        lines[:] = ["Holds " + ", ".join(f"``{item}``" for item in value) + "."]
    else:
        lines[:] = [f"``{value!r}``"] if len(repr(value)) < 300 else []


def keep_underscores(
    app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Let a fitted attribute such as coef_ be a word: in reStructuredText its underscore would make it a link.

    Args:
        app: Sphinx.
        what: What is described.
        name: Its full name.
        value: Itself.
        options: Those of the directive.
        lines: The text, which is changed.
    """
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(``.+?``|`[^`]*`)", line)
            parts[::2] = [re.sub(r"(\w)_(?!\w)", r"\1\\_", part) for part in parts[::2]]
            lines[i] = "".join(parts)


def leave_out(app: Sphinx, what: str, name: str, value: object, is_skipped: bool, options: object) -> bool:
    """Leave out the setters that scikit-learn adds to every estimator, and fields that Python only numbers.

    Args:
        app: Sphinx.
        what: What the member belongs to.
        name: The member.
        value: Itself.
        is_skipped: Whether it is left out anyway.
        options: Those of the directive.

    Returns:
        Whether it is left out.
    """
    is_numbered = (getattr(value, "__doc__", None) or "").startswith("Alias for field number")
    return is_skipped or is_numbered or bool(re.fullmatch(r"set_\w+_request", name))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect what is above.

    Args:
        app: Sphinx.

    Returns:
        What Sphinx asks of an extension.
    """
    app.connect("autodoc-process-bases", keep_bases)
    app.connect("autodoc-process-docstring", describe_data)
    app.connect("autodoc-process-docstring", keep_underscores)
    app.connect("autodoc-skip-member", leave_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
