"""The site: every page can be reached, every name is in the reference, nothing is fetched from elsewhere."""

import importlib
import re
import subprocess
import sys
from fnmatch import fnmatch
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import msma

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
INDEX = (DOCS / "index.md").read_text(encoding="utf-8")


@pytest.fixture
def extension(monkeypatch):
    """Loads one of the site's own extensions; without Sphinx there is none."""
    pytest.importorskip("sphinx", reason="sphinx is not installed; it comes with the extra 'docs'")
    monkeypatch.syspath_prepend(DOCS / "_extensions")
    return importlib.import_module


def test_every_page_and_notebook_is_in_the_menu():
    entries = re.findall(r"```\{toctree\}\n(?::.*\n)*\n?((?:.+\n)+?)```", INDEX)
    lines = [line for block in entries for line in block.splitlines()]
    entries = [re.sub(r".*<(.*)>", r"\1", line).strip() for line in lines]
    assert "self" in entries
    pages = [path.stem for path in DOCS.glob("*.md") if path.stem != "index"]
    notebooks = [f"notebooks/{path.stem}" for path in (DOCS / "notebooks").glob("*.ipynb")]
    for page in (*pages, *notebooks):
        assert any(fnmatch(page, entry) for entry in entries), (
            f"{page} is in no table of contents of docs/index.md"
        )
    for entry in entries:
        if "*" not in entry and entry not in ("self", "api/index"):
            assert (DOCS / f"{entry}.md").is_file(), f"docs/index.md lists {entry}, which is not there"


def test_the_first_page_says_what_the_readme_says():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for code in re.findall(r"```(?:python|console)\n(.*?)```", INDEX, re.DOTALL):
        for line in code.strip().splitlines():
            assert line in readme, line


def test_every_name_is_in_the_reference(extension):
    reference = extension("reference")
    described = reference.described(reference.public_modules())
    assert set(reference.homes()) == set(msma.__all__) - {"__version__"}
    face = reference.face_page()
    for name, home in reference.homes().items():
        assert name in described[home]
        assert f"`msma.{name} <" in face
    for module, names in described.items():
        page = reference.module_page(module, names)
        for name in getattr(importlib.import_module(module), "__all__", names):
            assert re.search(rf"[.`]{re.escape(name)}\b", page), f"{module}.{name}"


def test_every_command_is_in_the_reference(extension):
    from msma.cli import app

    page = extension("reference").commands_page()
    for command in app.registered_commands:
        assert f"``msma {command.name or command.callback.__name__.replace('_', '-')}``" in page
    assert "``--out``\n    Folder for the states. Default: ``states``." in page
    assert "One of text, sentence, token." in page


def test_names_of_code_in_the_pages_exist():
    for path in DOCS.glob("*.md"):
        for name in set(re.findall(r"`(msma(?:\.\w+)+)(?:\(.*?\))?`", path.read_text(encoding="utf-8"))):
            resolve(name)


def resolve(name):
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            value = getattr(value, part)
        return value
    raise AssertionError(name)


def test_a_formula_becomes_mathml(extension):
    mathml = extension("mathml")
    made = mathml.to_mathml(r"\frac{1}{n} \sum_i x_i", is_block=True)
    assert made.startswith('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block"')
    assert r'alttext="\frac{1}{n} \sum_i x_i"' in made
    assert "<mfrac><mrow><mn>1</mn></mrow><mrow><mi>n</mi></mrow></mfrac>" in made
    assert "<mtable" in mathml.to_mathml(r"a &= b \\ c &= d", is_block=True)
    assert "<mo>arg</mo>" in mathml.to_mathml(r"\arg\max_v p(v)")


@pytest.mark.parametrize("formula", [r"\nosuchcommand{x}", r"\frac{1}", r"a & b"])
def test_a_formula_that_does_not_convert_is_named(formula, extension):
    mathml = extension("mathml")
    with pytest.raises(mathml.FormulaError, match="MathML"):
        mathml.to_mathml(formula)


class Page(HTMLParser):
    """What a page has, links to and fetches."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.fetched, self.n_formulas = set(), [], [], 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids |= {values[name] for name in ("id", "name") if values.get(name)}
        self.n_formulas += tag == "math"
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        elif tag in ("script", "img", "iframe", "source", "video", "audio", "embed") and values.get("src"):
            self.fetched.append(values["src"])
        elif tag == "link" and {"stylesheet", "preload", "icon", "preconnect"} & set(values["rel"].split()):
            self.fetched.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("sphinx", reason="sphinx is not installed; it comes with the extra 'docs'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")],
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "html"


@pytest.mark.slow
def test_the_site_is_built_strictly_and_stands_alone(site):
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert {"index.html", "theory.html", "limits.html"} <= {path.name for path in pages}
    assert pages[site / "theory.html"].n_formulas > 60
    assert pages[site / "api" / "msma.measures.html"].n_formulas > 20
    for path, page in pages.items():
        for source in page.fetched:
            parts = urlsplit(source)
            assert not parts.netloc, f"{path.name} fetches {source}"
            assert parts.scheme == "data" or (path.parent / unquote(parts.path)).is_file(), source
        assert "mathjax" not in path.read_text(encoding="utf-8").lower()
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", text), style.name
    for path, page in pages.items():
        for link in page.links:
            check_link(site, pages, path, link)


def check_link(site, pages, path, link):
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return
    target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
    target = target / "index.html" if target.is_dir() else target
    assert target.is_file(), f"{path.relative_to(site)} links to {link}, which is not there"
    if parts.fragment and target in pages:
        assert unquote(parts.fragment) in pages[target].ids, f"{path.relative_to(site)}: no place {link}"
