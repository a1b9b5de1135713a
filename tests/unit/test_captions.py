"""Captions of figures: read from the rows and the record, never assumed; and LaTeX that sets."""

import re
from dataclasses import replace

import pytest

from bias_folder import make_bias_folder
from latex_source import check_latex
from msma.errors import ConfigError, StorageError
from msma.plotting import FORMATS
from msma.reporting.captions import list_captions, write_captions
from msma.reporting.figures import list_drawings, save_drawings
from msma.reporting.latex import escape_latex
from msma.reporting.reading import read_study
from msma.results import Result, Row
from planted_experiment import make_experiment
from robustness_folder import make_robustness_folder
from study_folder import make_study_folder


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = make_study_folder(tmp_path_factory.mktemp("study"))
    make_bias_folder(folder / "bias")
    make_robustness_folder(folder / "robustness")
    make_experiment().save(folder / "intervention")
    found = read_study(folder)
    partition = found.partition
    return replace(found, partition=replace(partition, provenance={**partition.provenance, "split": "train"}))


@pytest.fixture(scope="module")
def captions(record):
    return list_captions(record, list_drawings(record))


def test_every_figure_has_a_caption_with_seed_interval_and_origin(record, captions):
    assert list(captions) == list(list_drawings(record))
    for name, caption in captions.items():
        assert caption.finding
        assert caption.about
        assert "seed" in caption.seed, name
        assert "interval" in caption.interval, name
        assert "Model gpt2, revision 607a30d783dfa663caf39e06633721c8d4cfcd7e" in caption.text
        assert "texts 51ab51ab51ab; msma 0.1.0." in caption.text
        assert ".." not in caption.text
        assert caption.sample.startswith("n = ") or re.match(r"[\d,–]+ ", caption.sample), name


def test_samples_and_documents_are_those_of_the_split(captions):
    assert captions["measures"].sample == "n = 1,224 test texts (all splits together: 6,120 documents)"
    assert captions["bands"].sample == "n = 3,672 training texts"
    assert captions["votes"].sample.endswith(
        "; attention read on 128 texts; information on the leading 32 components of each layer"
    )
    assert captions["maps"].sample.startswith("n = 1,224 test and 1,224 validation texts (")
    assert captions["effects"].sample == "n = 12 prompts"
    assert captions["clouds"].sample == "240 test texts drawn"


def test_the_kind_of_interval_is_read_from_the_rows(record):
    def said(*rows):
        changed = replace(record, evaluation=Result("evaluation", rows, {}))
        return list_captions(changed, ["measures"])["measures"].interval

    kl = Row(metric="kl", value=1.0, low=0.5, high=2.0, interval="jackknife", map="ridge", target="local")
    r2 = Row(metric="r2", value=0.5, low=0.4, high=0.6, interval="bootstrap", map="ridge", target="local")
    r2 = replace(r2, source="global")
    kl = replace(kl, source="global")
    assert said(kl) == "intervals: 95 % delete-group jackknife over documents"
    assert said(r2) == "intervals: 95 % bootstrap over documents"
    assert said(kl, r2) == (
        "intervals: 95 % delete-group jackknife over documents for KL divergence; "
        "95 % bootstrap over documents for R²"
    )
    assert said(replace(kl, low=None, high=None, interval=None)) == "no intervals"
    assert said(replace(kl, interval=None)) == "intervals: 95 %, the rows do not say how"
    own = replace(kl, interval=None, note="few planes; interval from its standard error")
    assert said(own) == "intervals: 95 % from the estimator's own standard error"


def test_intervals_over_other_things_and_those_not_drawn_are_said(captions):
    assert captions["dose"].interval == "intervals: 95 % bootstrap over prompts"
    assert captions["effects"].interval == "intervals, not drawn: 95 % bootstrap over prompts"
    assert captions["associations"].interval == "intervals, not drawn: 95 % bootstrap over words"
    assert captions["detection"].interval.startswith("intervals, not drawn: ")
    assert captions["similarity"].interval == "no intervals"
    assert captions["votes"].interval == "shares of 100 random halves of the documents, no intervals"
    assert captions["effects"].seed == "seeds 0, 1"


def test_marks_are_told_only_where_they_are_drawn(record, captions):
    assert "Null: " in captions["measures"].marks
    assert "Floor: " in captions["measures"].marks
    assert captions["shapes"].marks == ""
    plain = replace(
        record, evaluation=Result("e", tuple(replace(r, null=None) for r in record.evaluation), {})
    )
    assert "Null: " not in list_captions(plain, ["measures"])["measures"].marks


def test_what_the_record_does_not_know_is_left_out(record):
    bare = replace(record, provenance={}, config={})
    caption = list_captions(bare, ["bands"])["bands"]
    assert caption.sample == ""
    assert caption.text.count("Model unknown") == 1


@pytest.mark.slow
def test_captions_lie_beside_the_figures_in_the_formats_asked_for(record, tmp_path, monkeypatch):
    few = {name: drawing for name, drawing in list_drawings(record).items() if name in ("bands", "maps")}
    monkeypatch.setattr("msma.reporting.figures.list_drawings", lambda _: few)
    files = save_drawings(record, tmp_path, formats=("pdf",), width=5.0)
    assert [file.name for file in files] == ["bands.pdf", "maps.pdf", "captions.md", "captions.tex"]
    assert b"/MediaBox [ 0 0 360 " in files[0].read_bytes()  # points
    assert len(save_drawings(record, tmp_path / "all")) == 2 * len(FORMATS) + 2
    with pytest.raises(ConfigError, match="'bmp' came"):
        save_drawings(record, tmp_path, formats=("bmp",))


def test_captions_that_cannot_be_written_say_so(record, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError):
        write_captions(record, ["bands"], tmp_path / "taken")


def test_latex_has_a_float_for_every_figure_and_nothing_that_needs_more_than_graphicx(record, tmp_path):
    names = list(list_drawings(record))
    plain, latex = (file.read_text(encoding="utf-8") for file in write_captions(record, names, tmp_path))
    assert plain.count("\n## ") == len(names)
    assert latex.isascii()
    assert "\\newcommand" not in latex
    assert re.findall(r"\\includegraphics\[.*\]\{(.*)\.pdf\}", latex) == names
    assert re.findall(r"\\label\{fig:msma-(.*)\}", latex) == names
    check_latex(latex)


HOSTILE = (
    r"_ % $ & # { } ~ ^ \ < > | '" + '"',
    "é ü ñ č ą ø ß İ à̂ 你 ∑ 🐙 ½ ﬁ",
    r"\input{secret} $x$ %comment",
    "a_long/path/with_no/space_in.it/at_all/and_100%$&#{}~^<>|",
    "line\nbreak\ttab\x00 and 95 % of 5",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_of_models_and_labels_are_set_as_they_are(record, tmp_path, name):
    provenance = {**record.provenance, "model": name, "revision": name}
    rows = [replace(row, metric=f"probe_{name}") for row in record.probes]
    hostile = replace(record, provenance=provenance, probes=Result("probes", tuple(rows), {}))
    latex = write_captions(hostile, ["bands", "probes"], tmp_path)[1].read_text(encoding="ascii")
    check_latex(latex)
    assert "input{" not in latex.replace(r"input\{", "")


def test_a_figure_wider_than_a_column_spans_both_and_none_is_larger_than_its_page(record, tmp_path):
    latex = write_captions(record, ["bands", "maps"], tmp_path, widths={"bands": 3.5})[1].read_text()
    assert re.findall(r"\\begin\{(.*?)\}", latex) == ["figure", "figure*"]
    # Without its aspect a figure shrunk in height would be stretched.
    size = (
        r"[width=\ifdim3.5in>\linewidth\linewidth\else3.5in\fi,totalheight=0.65\textheight,keepaspectratio]"
    )
    assert size in latex
    assert latex.count("keepaspectratio") == latex.count(r"\includegraphics") == 2
    assert r"\else7in\fi" in latex


def test_information_above_what_there_was_is_said_to_be_error(record, captions):
    rows = [
        replace(row, value=1.01) if (row.metric, row.source) == ("retention", "intermediate") else row
        for row in record.evaluation
    ]
    changed = list_captions(replace(record, evaluation=Result("e", tuple(rows), {})), ["measures"])
    assert changed["measures"].interval.endswith(
        "; information kept above 1 (intermediate → local) is error of the estimate, as no map adds any"
    )
    assert "above 1" not in captions["measures"].interval


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        (r"50% of a_b & #1 {x} $5 \n", r"50\% of a\_b \& \#1 \{x\} \$5 \textbackslash{}n"),
        ("~ ^ < > |", r"\textasciitilde{} \textasciicircum{} \textless{} \textgreater{} \textbar{}"),
        ("a ≥ b → c – d — e × f", r"a $\geq$ b $\rightarrow$ c -- d --- e $\times$ f"),
        ("R² = −0.5 ± δ …", r"R$^{2}$ = $-$0.5 $\pm$ $\delta$ \ldots{}"),
        ("“topic”, it’s", "``topic'', it's"),
        ("naïve Ångström žena", r"na\"{\i}ve \r{A}ngstr\"{o}m \v{z}ena"),
        ("ﬁt ½ 中", r"fit [U+00BD] [U+4E2D]"),
        ("organisation/a_model.v1", r"organisation/\allowbreak{}a\_\allowbreak{}model.\allowbreak{}v1"),
        ("95 % over\n two\tlines \x00", "95~\\% over two lines "),
    ],
)
def test_text_is_escaped(text, latex):
    assert escape_latex(text) == latex
