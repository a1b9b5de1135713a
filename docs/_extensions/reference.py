"""One page of the reference for each public package, and one for the commands, made when the site is built.

Nothing is listed by hand: packages come from the source folder, names from their `__all__`, commands from the
parser. So nothing can be missing from the reference, and nothing in it can be out of date.
"""

from enum import Enum
from importlib import import_module
from inspect import getdoc, isclass, isfunction
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

import typer
from docstrings import telling_bases
from sphinx.application import Sphinx

import msma

HIDDEN = ("cli",)  # its commands have a page of their own
TITLE = "=" * 80


def public_modules() -> list[str]:
    """Packages and modules of the reference, by their full names.

    Returns:
        Every module on the first level of `msma` that has no underscore and is not the command line.
    """
    names = (module.name for module in iter_modules(msma.__path__))
    return [f"msma.{name}" for name in sorted(names) if not name.startswith("_") and name not in HIDDEN]


def public_names(module: ModuleType) -> list[str]:
    """What a module offers: its `__all__`, or else what it defines without an underscore.

    Args:
        module: The module.

    Returns:
        Names, sorted.
    """
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    own = (
        name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
    )
    return sorted(name for name in own if not name.startswith("_"))


def homes() -> dict[str, str]:
    """For each name of `msma` itself, the module whose page describes it.

    Returns:
        Name to module; `__version__` has none.
    """
    return {name: msma._HOMES[name] for name in msma.__all__ if name != "__version__"}


def _first_sentence(value: object) -> str:
    return (getdoc(value) or "").split("\n\n")[0].replace("\n", " ")


def _role(value: object) -> str:
    return "class" if isclass(value) else "func" if isfunction(value) else "obj"


def face_page() -> str:
    """The page of the names that `import msma` gives.

    Returns:
        reStructuredText.
    """
    lines = [
        "What ``import msma`` gives",
        TITLE,
        "",
        "Loaded when first used, so that the import stays fast.",
        "",
    ]
    lines += [
        ".. list-table::",
        "   :widths: 30 70",
        "   :header-rows: 1",
        "",
        "   * - name",
        "     - what it is",
    ]
    for name, home in homes().items():
        value = getattr(msma, name)
        lines += [f"   * - :{_role(value)}:`msma.{name} <{home}.{name}>`", f"     - {_first_sentence(value)}"]
    lines += ["", f"``msma.__version__`` is the version, here ``{msma.__version__}``.", ""]
    return "\n".join(lines)


def described(modules: list[str]) -> dict[str, dict[str, str]]:
    """Where each public thing is described: in the package that defines it, or else the first that offers it.

    Args:
        modules: The packages of the reference.

    Returns:
        For each package its public names, each with the full name under which it is described.
    """
    offered = {name: public_names(import_module(name)) for name in modules}
    described_as: dict[tuple[int, str], str] = {}
    for is_own in (True, False):
        for name, items in offered.items():
            for item in items:
                value = getattr(import_module(name), item)
                if (f"{getattr(value, '__module__', name)}.").startswith(f"{name}.") or not is_own:
                    described_as.setdefault(_identity(value, item), f"{name}.{item}")
    return {
        name: {
            item: described_as[_identity(value, item)]
            for item in items
            if not isinstance(value := getattr(import_module(name), item), ModuleType)
        }
        for name, items in offered.items()
    }


def _identity(value: object, name: str) -> tuple[int, str]:
    # Two constants may be one object by accident, such as a small number: they are the same if their names are.
    return id(value), "" if isclass(value) or isfunction(value) else name


def module_page(name: str, members: dict[str, str]) -> str:
    """The page of one package.

    Args:
        name: The full name of the package.
        members: Its public names, and under which full name each is described.

    Returns:
        reStructuredText.
    """
    module = import_module(name)
    lines = [f"``{name}``", TITLE, "", f".. automodule:: {name}", "   :no-members:", ""]
    for member, full in members.items():
        value = getattr(module, member)
        if full != f"{name}.{member}":
            lines += [f"``{member}`` is :{_role(value)}:`{full}`.", ""]
            continue
        kind = "autoclass" if isclass(value) else "autofunction" if isfunction(value) else "autodata"
        if isclass(value) and issubclass(value, BaseException):
            kind = "autoexception"
        lines += [f".. {kind}:: {full}"]
        lines += ["   :no-value:"] if kind == "autodata" else []
        lines += ["   :show-inheritance:"] if isclass(value) and telling_bases(value.__bases__) else []
        lines += [""]
    return "\n".join(lines)


def commands_page() -> str:
    """The page of the command line: every command with its arguments and options.

    Returns:
        reStructuredText.
    """
    from msma.cli import app

    lines = ["The commands", TITLE, "", "``msma --help`` and ``msma COMMAND --help`` say the same.", ""]
    for name, command in sorted(typer.main.get_command(app).commands.items()):
        lines += [f"``msma {name}``", "-" * 80, "", (command.help or "").strip(), ""]
        lines += [line for parameter in command.params for line in _parameter(parameter)]
    return "\n".join(lines)


def _parameter(parameter: Any) -> list[str]:
    """One argument or option: its names, what it is, what it may be, and what it is when left out."""
    is_argument = parameter.param_type_name == "argument"
    names = [parameter.name.upper()] if is_argument else [*parameter.opts, *parameter.secondary_opts]
    text = [" ".join((parameter.help or "").split()).replace("*", r"\*").replace("`", "")]
    default = parameter.default
    if isinstance(default, Enum):
        text += [f"One of {', '.join(choice.value for choice in type(default))}."]
        default = default.value
    if default not in (None, True, False, "") and not (isinstance(default, tuple | list) and not default):
        text += [f"Default: ``{default}``."]
    return [f"``{', '.join(names)}``", f"    {' '.join(text) or '–'}", ""]


def index_page(modules: list[str]) -> str:
    """The first page of the reference.

    Args:
        modules: Packages with a page.

    Returns:
        reStructuredText.
    """
    lines = ["Reference", TITLE, "", "Made from the code: every public name, and every command.", ""]
    lines += [".. toctree::", "   :maxdepth: 1", "   :hidden:", "", "   msma", "   commands"]
    lines += [f"   {name}" for name in modules]
    lines += ["", ".. list-table::", "   :widths: 30 70", ""]
    lines += ["   * - :doc:`msma`", "     - Everything that a first script needs."]
    lines += ["   * - :doc:`commands`", "     - Every command of ``msma`` with its options."]
    for name in modules:
        lines += [f"   * - :doc:`{name}`", f"     - {_first_sentence(import_module(name))}"]
    return "\n".join([*lines, ""])


def write_reference(folder: Path) -> list[Path]:
    """Write all pages; those that are the same already are left alone, so that they are not built again.

    Args:
        folder: Where to.

    Returns:
        The pages.
    """
    modules = public_modules()
    pages = {"index": index_page(modules), "msma": face_page(), "commands": commands_page()}
    pages |= {name: module_page(name, members) for name, members in described(modules).items()}
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.rst"):
        if old.stem not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    return [folder / f"{name}.rst" for name in pages]


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks which there are.

    Args:
        app: Sphinx.

    Returns:
        What Sphinx asks of an extension.
    """
    app.connect("config-inited", lambda app, config: write_reference(Path(app.confdir) / "api"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
