"""Captions with their figures, as a paper would include them, set by a real LaTeX."""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from bias_folder import make_bias_folder
from msma.reporting.figures import save_drawings
from msma.reporting.reading import read_study
from planted_experiment import make_experiment
from robustness_folder import make_robustness_folder
from study_folder import make_study_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("pdflatex") is None, reason="pdflatex is not installed (Debian: texlive-latex-base)"
    ),
]
HOSTILE = r"models/_a%b$c&d#e{f}g~h^i\j<k>l|m" + "\"n'o é ü ß 你 🐙 ∑ ½ ﬁ İ"
#: Longer than any line, so that it must be broken.
LONG = "/".join(["a_rather_long_organisation", "model-with_a_long_name.v2"] * 4)


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """Every figure of a study whose model bears a hostile name, and their captions."""
    folder = make_study_folder(tmp_path_factory.mktemp("study"))
    make_bias_folder(folder / "bias")
    make_robustness_folder(folder / "robustness")
    make_experiment().save(folder / "intervention")
    record = read_study(folder)
    named = {**record.provenance, "model": HOSTILE, "revision": LONG}
    save_drawings(replace(record, provenance=named), folder / "paper", formats=("pdf",))
    return folder / "paper"


@pytest.mark.parametrize("kind", ["a4paper", "letterpaper", "a4paper,twocolumn"])
def test_every_caption_compiles_and_every_figure_fits_the_page(figures, kind):
    paper = f"\\documentclass[{kind}]{{article}}\\usepackage{{graphicx}}\n\\begin{{document}}\n"
    (figures / "paper.tex").write_text(
        f"{paper}\\input{{captions.tex}}\n\\end{{document}}\n", encoding="utf-8"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=figures, capture_output=True, check=False, timeout=120)
    told = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, told[-2000:]
    # Where one column is narrow, a line may stand out by a letter; a figure, or a name, may not.
    overfull = [float(points) for points in re.findall(r"Overfull \\hbox \((.*?)pt too wide\)", told)]
    assert max(overfull, default=0.0) < 12.0, told[-2000:]
    assert "Float too large" not in told
    assert (figures / "paper.pdf").read_bytes().startswith(b"%PDF")
