"""The command that writes figures: formats, widths, and what it refuses."""

import pytest
import typer
from typer.testing import CliRunner

from msma.cli.figures import register
from msma.errors import ConfigError, StorageError
from msma.plotting import COLUMN
from msma.reporting.figures import list_drawings
from study_folder import make_study_folder


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study_folder(tmp_path_factory.mktemp("study"))


@pytest.fixture
def few(monkeypatch):
    """Two figures are enough."""

    def listed(record):
        return {name: drawing for name, drawing in list_drawings(record).items() if name in ("bands", "maps")}

    monkeypatch.setattr("msma.reporting.figures.list_drawings", listed)


def _run(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["figures", *map(str, arguments)])


@pytest.mark.usefixtures("few")
def test_figures_have_the_formats_and_width_asked_for(study, tmp_path):
    done = _run(study, "--out", tmp_path / "paper", "--format", "pdf, pdf", "--width", "column")
    assert done.exit_code == 0
    assert done.output.startswith("2 figures and their captions: ")
    names = {file.name for file in (tmp_path / "paper").iterdir()}
    assert names == {"bands.pdf", "maps.pdf", "captions.md", "captions.tex"}
    points = int(COLUMN * 72)
    assert b"/MediaBox [ 0 0 %d " % points in (tmp_path / "paper" / "bands.pdf").read_bytes()


@pytest.mark.usefixtures("few")
def test_left_to_themselves_figures_lie_in_the_study(study):
    assert _run(study).exit_code == 0
    assert {file.suffix for file in (study / "figures").iterdir()} == {".pdf", ".svg", ".png", ".md", ".tex"}


@pytest.mark.usefixtures("few")
def test_an_unknown_format_and_an_empty_folder_are_refused(study, tmp_path):
    assert isinstance(_run(study, "--out", tmp_path, "--format", "eps").exception, ConfigError)
    assert isinstance(_run(tmp_path / "none").exception, StorageError)
