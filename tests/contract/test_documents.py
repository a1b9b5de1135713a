"""README, changelog and citation say what is true of the code; what they tell a reader to type works."""

import inspect
import re
import shlex
from pathlib import Path

import pytest

import msma
from explained_study import make_study
from study_inputs import save_model, write_texts
from tiny import WORDS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


#: Every block of Python in the README, by a phrase that no other one has.
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PHRASES = (
    "msma.find_scales(",
    "msma.intervene(",
    "msma.audit_bias(",
    "msma.audit_robustness(",
    "msma.extract_moments(",
    "msma.Explainer.open(",
)


def run_block(phrase, scope, *, model):
    """Run the block with this phrase as it stands, but for the model's name."""
    (code,) = [block for block in BLOCKS if phrase in block]
    scope = {"msma": msma, **scope}
    exec(compile(code.replace('"gpt2"', repr(str(model))), "README.md", "exec"), scope)
    return scope


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A folder with a tiny model, which is also where the README's files go."""
    monkeypatch.chdir(tmp_path)
    save_model("gpt2", tmp_path / "gpt2")
    return tmp_path / "gpt2"


@pytest.fixture
def decoder(tmp_path, monkeypatch):
    """The embedded decoder as a reader of the README would have loaded it, with a prompt of two tokens' work."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.chdir(tmp_path)
    folder = msma.demo_decoder().folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = {**tokenizer("It was a cold morning, and", return_tensors="pt"), "max_new_tokens": 2}
    network = AutoModelForCausalLM.from_pretrained(folder)
    return folder, {"model": network, "tokenizer": tokenizer, "inputs": inputs}


def test_every_python_block_of_the_readme_is_run_here():
    for code in BLOCKS:
        assert sum(phrase in code for phrase in PHRASES) == 1, (
            f"no test of this file runs this block:\n{code}"
        )


def test_the_python_of_the_readme_runs(tiny, monkeypatch, rng):
    texts = [" ".join(rng.choice(WORDS, size=12)) + f" {i}" for i in range(150)]
    pushed = []
    monkeypatch.setattr("msma.alignment.Alignment.push_to_hub", lambda self, name: pushed.append(name))
    scope = run_block("msma.find_scales(", {"texts": texts}, model=tiny)
    assert scope["scales"].n_layers == 5
    assert scope["scores"].value("r2", source="global", target="local", map="ridge") is not None
    assert pushed == ["you/gpt2-msma"]


def test_the_python_about_large_corpora_runs(tiny, tmp_path):
    write_texts(tmp_path / "corpus.jsonl")
    scope = run_block("msma.extract_moments(", {}, model=tiny)
    assert scope["moments"].test.n_samples > 0
    assert (tmp_path / "moments" / "moments.json").is_file()


@pytest.mark.slow
def test_the_python_about_explaining_runs(tmp_path, monkeypatch):
    make_study(tmp_path)
    (tmp_path / "study").rename(tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    scope = run_block("msma.Explainer.open(", {}, model=tmp_path / "model")
    assert scope["found"].describe()


def make_light(monkeypatch, function, **settings):
    """Let a function do less where its caller leaves a setting out, as the README does."""
    defaults = inspect.unwrap(function).__kwdefaults__
    for name, value in settings.items():
        assert name in defaults
        monkeypatch.setitem(defaults, name, value)


@pytest.mark.slow
def test_the_python_about_acting_on_a_scale_runs(decoder, monkeypatch):
    from msma.steering import DEMONSTRATIONS

    make_light(monkeypatch, msma.steer, strengths=(0.1, 0.2), seeds=(0,))
    folder, scope = decoder
    sea, home = (DEMONSTRATIONS[name][:8] for name in ("demo-sea", "demo-home"))
    texts = {"texts_about_the_sea": sea, "texts_about_gardens": home, "texts_a": sea, "texts_b": home}
    partition = msma.ScalePartition.parse("0-2|3-8|9-12", n_layers=13)
    scope = run_block("msma.intervene(", {**scope, **texts, "partition": partition}, model=folder)
    assert scope["steering"].chosen.scale in ("local", "intermediate", "global")


@pytest.mark.slow
def test_the_python_about_bias_runs(decoder, monkeypatch):
    from msma.bias import standard_tests

    less = {"tests": standard_tests(["weat7"]), "methods": ("leace",), "strengths": (1.0,)}
    make_light(monkeypatch, msma.audit_bias, documents=list(msma.demo_corpus())[::4], **less)
    folder, scope = decoder
    audit = run_block("msma.audit_bias(", scope, model=folder)["audit"]
    assert {price.scale for price in audit.prices.prices} >= {"local", "intermediate", "global"}


@pytest.mark.slow
def test_the_python_about_robustness_runs(decoder, monkeypatch):
    make_light(monkeypatch, msma.audit_robustness, perturbations="keyboard,order", strengths=(0.3,))
    folder, scope = decoder
    documents = list(msma.demo_corpus())[::2]
    found = run_block("msma.audit_robustness(", {**scope, "documents": documents}, model=folder)
    assert 0.0 < found["detector"].p_values(["teh rievr rsoe"])[0] <= 1.0


def commands():
    """Every line of README and pages that runs a command of the package, with where it stands."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for page in pages:
        for line in page.read_text(encoding="utf-8").splitlines():
            found = re.match(r"(?:    |\$ )?(msma [a-z-].*)", line)
            if found:
                for part in found[1].split("&&"):
                    yield pytest.param(part.strip(), id=f"{page.stem}: {part.strip()[:60]}")


@pytest.mark.parametrize("line", list(commands()))
def test_every_command_that_is_shown_exists_with_its_options(line, tmp_path, monkeypatch):
    import typer

    monkeypatch.chdir(tmp_path)  # a log is opened before the command is called

    from msma.cli import app

    words = shlex.split(line.removesuffix("\\"), comments=True)[1:]
    group = typer.main.get_command(app)
    called = []
    for command in group.commands.values():
        command.callback = lambda **given: called.append(given)
    group.callback = None
    group.main(words, prog_name="msma", standalone_mode=False)
    assert len(called) == 1


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
