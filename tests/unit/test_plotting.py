"""Figures: what they draw, what they refuse, and that they leave matplotlib as it was."""

import re
import subprocess
import sys
import zlib
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from msma import plotting
from msma.certificate import CurvePoint
from msma.errors import ConfigError, MissingExtraError, ShapeError
from msma.plotting.inline import DARK, LIGHT
from msma.results import Row
from study_folder import make_clouds, make_curves, make_evaluation, make_maps, make_partition, make_probes

PROVENANCE = {"model": "gpt2"}
PARTITION = make_partition()
VOTES = {name: signal.votes for name, signal in PARTITION.signals.items()}
PROFILES = {name: signal.profile for name, signal in PARTITION.signals.items()}


def _clouds():
    return make_clouds(["a", "b", "c"], ["law", "music", "law"], np.random.default_rng(0))


#: Every figure by name, as a function of its width.
FIGURES = {
    "bands": lambda width: plotting.plot_bands(13, (3, 9), votes=VOTES, published=(4, 8), width=width),
    "similarity": lambda width: plotting.plot_similarity(PROFILES["similarity"]["cka"], (3, 9), width=width),
    "signals": lambda width: plotting.plot_signals(PROFILES, n_layers=13, boundaries=(3, 9), width=width),
    "spectra": lambda width: plotting.plot_spectra(make_curves()["spectrum"], width=width),
    "dimensions": lambda width: plotting.plot_dimensions(make_curves()["dimension"], width=width),
    "maps": lambda width: plotting.plot_maps(make_maps(PROVENANCE), width=width),
    "measures": lambda width: plotting.plot_rows(make_evaluation(PROVENANCE), width=width),
    "probes": lambda width: plotting.plot_rows(make_probes(PROVENANCE), width=width),
    "certificate": lambda width: plotting.plot_certificate(_curve(), width=width),
    "clouds": lambda width: plotting.plot_clouds(
        _clouds()["points"], mapped=_clouds()["mapped"], labels=["law", "music", "law"], width=width
    ),
    "tokens": lambda width: plotting.plot_tokens(
        ["The", "sea"], {"local": [0.0, 1.0], "global": [-2.0, 0.5]}, width=width
    ),
}


def _curve():
    """A bracket over three blurs for two pairs, as a certificate holds it."""
    ends = {"n_directions": 3, "null": 20.0, "estimate_low": 0.8, "estimate_high": 1.2}
    ends |= {"lower_low": 0.2, "lower_high": 0.4, "upper_low": 7.0, "upper_high": 9.5, "gaussian_high": 5.0}
    return [
        CurvePoint(
            source=source,
            target=target,
            share=share,
            sigma=share,
            is_chosen=share == 1.0,
            certified=9.0 / share**2,
            upper=8.0 / share**2,
            gaussian=4.0 / share**2,
            estimate=1.0,
            lower=0.3,
            **ends,
        )
        for source, target in (("global", "intermediate"), ("intermediate", "local"))
        for share in (0.5, 1.0, 2.0)
    ]


@pytest.mark.parametrize("width", [plotting.COLUMN, plotting.PAGE])
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_the_width_asked_for_and_can_be_drawn(name, width):
    axes = FIGURES[name](width)
    figure = axes.get_figure(root=True)
    assert figure.get_size_inches()[0] == pytest.approx(width)
    figure.canvas.draw()


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_of_a_figure_is_smaller_than_ten_pixels_on_screen(name):
    svg = plotting.to_inline_svg(FIGURES[name](plotting.COLUMN), name="x", title="t", description="d")
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)]
    assert sizes
    assert min(sizes) * 4 / 3 >= 10


@pytest.mark.parametrize("name", FIGURES)
def test_an_inline_figure_is_whole_xml_without_colours_or_fonts_of_its_own(name):
    svg = plotting.to_inline_svg(FIGURES[name](plotting.COLUMN), name="x", title="A < B & C", description="d")
    root = ElementTree.fromstring(svg)
    assert root.find("title").text == "A < B & C"
    assert root.attrib["role"] == "img"
    assert "font-family" not in svg
    assert "http" not in svg
    assert not re.search(r"#[0-9a-fA-F]{6}\b", svg)
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    assert all(value.startswith("x-") for value in ids)
    for reference in re.findall(r'(?:href="|url\()#([^")]+)', svg):
        assert reference in ids


@pytest.mark.slow
def test_every_variable_of_a_figure_has_a_light_and_a_dark_colour():
    assert set(LIGHT) == set(DARK)
    used = set()
    for draw in FIGURES.values():
        svg = plotting.to_inline_svg(draw(plotting.PAGE), name="x", title="t", description="d")
        used.update(re.findall(r"var\(--([\w-]+)\)", svg))
    assert used <= set(LIGHT)


@pytest.mark.slow
def test_matplotlib_is_left_as_it_was(tmp_path):
    before = dict(mpl.rcParams)
    for draw in FIGURES.values():
        plotting.save_figure(draw(plotting.COLUMN), tmp_path / "figure", formats=("svg",))
    assert dict(mpl.rcParams) == before


def test_figures_are_drawn_on_the_axes_given():
    for draw in (
        lambda ax: plotting.plot_bands(7, (3, 5), ax=ax),
        lambda ax: plotting.plot_spectra({"local": [1.0]}, ax=ax),
        lambda ax: plotting.plot_rows([Row(metric="r2", value=0.5)], ax=ax),
    ):
        ax = Figure(figsize=(6, 4)).add_subplot()
        assert draw(ax) is ax


def test_saved_figures_are_the_same_for_the_same_numbers(tmp_path):
    for name in ("one", "two"):
        plotting.save_figure(plotting.plot_bands(13, (3, 9), votes=VOTES), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()
    assert "<text" in (tmp_path / "one.svg").read_text()


def test_a_pdf_is_drawn_in_lines_with_its_fonts_in_it_and_bears_no_date(tmp_path):
    [path] = plotting.save_figure(
        plotting.plot_bands(13, (3, 9), votes=VOTES), tmp_path / "x", formats=("pdf",)
    )
    content = path.read_bytes()
    assert b"/CIDFontType2" in content  # TrueType, embedded as type 42
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert b"/CreationDate" not in content
    assert b"/Subtype /Image" not in content
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
    drawn = b"".join(zlib.decompress(stream) for stream in streams if stream[:1] == b"x")
    assert b"/ToUnicode" in content  # so that text can be searched and copied
    assert len(re.findall(rb"\bT[jJ]\b", drawn)) >= 13


def test_bands_show_their_scales_and_votes():
    axes = plotting.plot_bands(13, (3, 9), votes=VOTES)
    texts = {text.get_text() for text in axes.texts}
    assert {"local", "intermediate", "global"} <= texts
    assert any(text.endswith("%") for text in texts)


def test_a_band_too_narrow_for_its_name_gets_a_shorter_one():
    axes = plotting.plot_bands(40, (38, 39), width=plotting.COLUMN)
    texts = [text.get_text() for text in axes.texts]
    assert "intermediate" not in texts


def test_similar_cells_are_drawn_together():
    axes = plotting.plot_similarity(np.ones((80, 80)))
    assert sum(len(collection.get_paths()) for collection in axes.collections) == 80


def test_signals_without_attention_show_information_alone():
    axes = plotting.plot_signals({"information": PROFILES["information"]}, n_layers=13)
    assert [panel.get_title(loc="left") for panel in axes.child_axes] == ["Information with next layer, nats"]


def test_one_metric_over_several_maps_and_splits_gets_a_line_each():
    rows = [
        Row(metric="r2", value=0.1, map=m, split=s) for m in ("ridge", "identity") for s in ("test", "train")
    ]
    axes = plotting.plot_rows(rows)
    labels = [label.get_text() for label in axes.child_axes[0].get_yticklabels()]
    assert labels == ["ridge, test", "ridge, train", "identity, test", "identity, train"]


def test_values_over_many_powers_of_ten_get_a_logarithmic_axis_that_holds_zero():
    rows = [Row(metric="kl", value=v, floor=-0.05, target="local") for v in (812.0, 2.0)]
    panel = plotting.plot_rows(rows).child_axes[0]
    assert panel.get_xscale() == "symlog"
    labels = [label.get_text() for label in panel.get_xticklabels()]
    assert "0" in labels
    assert len(labels) <= 6


@pytest.mark.parametrize("value", [0.0, -3.0, 5.0])
def test_a_single_value_has_an_axis_around_it(value):
    low, high = plotting.plot_rows([Row(metric="r2", value=value)]).child_axes[0].get_xlim()
    assert low < value < high


def test_published_quantities_are_marked():
    panel = plotting.plot_rows([Row(metric="kl_diagonal", value=1.0)]).child_axes[0]
    assert "as published" in [text.get_text() for text in panel.texts]


def test_at_most_six_groups_are_drawn_apart():
    labels = [f"label {i}" for i in range(9)]
    names, codes = plotting.rank_groups(labels)
    assert names[-1] == "all others"
    assert len(names) == 6
    assert max(codes) == 5
    axes = plotting.plot_clouds({"local": np.eye(9)[:, :2]}, labels=labels)
    assert len(axes.child_axes[0].collections) == 6


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plotting.plot_bands(7, (5, 3)), "boundaries 5 and 3 came for 7"),
        (lambda: plotting.plot_bands(7, (3, 5), published=(3, 7)), "boundaries 3 and 7"),
        (lambda: plotting.plot_bands(7, (3, 5), votes={"x": ([0.1], [0.1])}), "votes of 'x' came"),
        (lambda: plotting.plot_similarity([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]), r"shape \(2, 3\) came"),
        (lambda: plotting.plot_similarity(np.eye(4), (3, 9)), "boundaries 3 and 9"),
        (lambda: plotting.plot_signals({}, n_layers=7), "expected at least one"),
        (lambda: plotting.plot_signals({"information": {"mi": [1.0]}}, n_layers=7), "came with 1 values"),
        (lambda: plotting.plot_spectra({"local": [0.0]}), "without a positive share"),
        (
            lambda: plotting.plot_dimensions({"local": {"neighbours": [5, 10], "mle": [1.0]}}),
            "2 neighbourhoods and 1 dimensions",
        ),
        (lambda: plotting.plot_clouds({}), r"clouds of \[\] samples"),
        (
            lambda: plotting.plot_clouds({"local": np.ones((3, 2))}, labels=["a"]),
            r"clouds of \[1, 3\] samples",
        ),
        (lambda: plotting.plot_rows([]), "0 rows"),
        (lambda: plotting.plot_rows([Row(metric="r2", value=None)]), "0 rows"),
        (lambda: plotting.plot_maps([]), "0 rows"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(draw, words):
    with pytest.raises(ShapeError, match=words):
        draw()


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="'bmp' came"):
        plotting.save_figure(plotting.plot_bands(7, (3, 5)), tmp_path / "x", formats=("bmp",))


@pytest.mark.parametrize("name", FIGURES)
def test_without_matplotlib_the_message_says_what_to_install(name, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"msma\[report\]"):
        FIGURES[name](plotting.COLUMN)


def test_importing_plotting_imports_neither_matplotlib_nor_torch():
    code = "import sys, msma.plotting; print([m for m in ('matplotlib', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
