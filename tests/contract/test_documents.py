"""README, changelog and citation say what is true of the code."""

import re
from pathlib import Path

import pytest

import msma
from study_inputs import save_model
from tiny import WORDS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, rng):
    save_model("gpt2", tmp_path / "gpt2")
    texts = [" ".join(rng.choice(WORDS, size=12)) + f" {i}" for i in range(150)]
    pushed = []
    monkeypatch.setattr("msma.alignment.Alignment.push_to_hub", lambda self, name: pushed.append(name))
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    scope = {"texts": texts}
    exec(code.replace('"gpt2"', repr(str(tmp_path / "gpt2"))), scope)
    assert scope["scales"].n_layers == 5
    assert scope["scores"].value("r2", source="global", target="local", map="ridge") is not None
    assert pushed == ["you/gpt2-msma"]


def test_the_readme_names_every_measure_and_map():
    from msma.maps import ALL_MAPS
    from msma.measures import MEASURES

    for name in MEASURES:
        assert f"`{name}`" in README, name
    for map_ in ALL_MAPS.values():
        assert f"`{map_.__name__}`" in README


def test_linked_files_exist():
    pages = sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))
    for name in ("README.md", "CONTRIBUTING.md", *pages):
        page = ROOT / name
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{name} links to {target}"


def test_make_has_the_promised_commands():
    makefile = (ROOT / "Makefile").read_text()
    for command in re.findall(
        r"^make ([a-z-]+)", README + (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE
    ):
        assert f"\n{command}:" in makefile


def test_changelog_and_citation_agree_with_the_version():
    released = msma.__version__.split(".dev")[0]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changelog if ".dev" in msma.__version__ else f"## [{released}]" in changelog
    assert f"version: {released}" in (ROOT / "CITATION.cff").read_text()


def test_architecture_names_every_module():
    page = (ROOT / "docs" / "architecture.md").read_text()
    for path in (ROOT / "src" / "msma").iterdir():
        name = path.stem
        if name.startswith("__") or path.name in ("py.typed", "data", "templates"):
            continue
        if path.suffix == ".py" or path.is_dir():
            assert f"`{name}`" in page, name


@pytest.mark.parametrize("name", ["pyproject.toml", "README.md", "Makefile", ".ci/run", "constraints.txt"])
def test_no_path_of_one_machine(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"/(home|root|work|Users)/", text)
    assert "file://" not in text
