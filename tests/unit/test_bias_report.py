"""The bias audit in the report: shown where it is, silent where it is not, clear where it is damaged."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from bias_folder import (
    CAUTIONS,
    PIECES,
    SAID,
    make_associations,
    make_bias_folder,
    make_carried,
    make_crows,
    make_location,
    make_prices,
    make_stereoset,
)
from msma.bias.associations import AssociationTable
from msma.bias.price_list import PriceList
from msma.errors import StorageError
from msma.reporting import page, write_report
from msma.reporting.bias import describe_bias, title_associations, title_layers, title_prices
from msma.reporting.bias_folder import read_bias
from msma.reporting.bias_tables import (
    association_lines,
    carried_lines,
    location_table,
    price_table,
    score_groups,
)
from msma.reporting.figures import list_bias
from msma.reporting.reading import read_study
from msma.results import Result, Row
from study_folder import make_study_folder


class Section(HTMLParser):
    """Visible text, headings and tags of the section about bias."""

    def __init__(self, html):
        super().__init__()
        start = html.index('<section id="bias">')
        self.text, self.tags, self.open = [], [], []
        self.feed(html[start : html.index("</section>", start)])

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag or tag == "section"

    def handle_data(self, data):
        if "svg" not in self.open:
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).replace("\u2060", "").split())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = make_study_folder(tmp_path_factory.mktemp("study"))
    make_bias_folder(folder / "bias")
    return folder


@pytest.fixture(scope="module")
def html(study, tmp_path_factory):
    """The whole report with its figures about bias alone, which are those under test."""
    shown = ("associations", "bias_layers", "prices")
    with pytest.MonkeyPatch.context() as patch:
        draw = page.inline_figure
        patch.setattr(
            page, "inline_figure", lambda d, *, name, **o: draw(d, name=name, **o) if name in shown else []
        )
        patch.setattr("msma.reporting.save_drawings", lambda *_: [])
        return write_report(study, out=tmp_path_factory.mktemp("out") / "r.html").read_text(encoding="utf-8")


@pytest.fixture
def quick(monkeypatch):
    """Leave the figures out, which take most of the time."""
    monkeypatch.setattr(page, "inline_figure", lambda *_, **__: [])
    monkeypatch.setattr("msma.reporting.save_drawings", lambda *_: [])


def _section(folder):
    return Section(write_report(folder).read_text(encoding="utf-8"))


def test_the_section_says_first_what_was_found_and_last_what_was_not_shown(html):
    words = Section(html).words
    order = [
        *SAID,
        "Tests with an association after correction",
        "Where it lives",
        "What the maps between scales carry of it",
        "What the language model prefers",
        "CrowS-Pairs",
        "StereoSet",
        "What it costs to take it out",
        "bias/eraser.safetensors",
        "What these tests do not show",
        *CAUTIONS,
    ]
    places = [words.index(part) for part in order]
    assert places == sorted(places)
    assert '<a href="#bias">' in html


def test_cautions_are_not_hidden_behind_a_summary(html):
    assert "details" not in Section(html).tags


def test_labels_and_sentences_that_contain_html_are_shown_as_texts(html):
    assert "&lt;i&gt;most&lt;/i&gt;" in html
    assert "<i>most" not in html
    assert "<b>his" not in html
    assert "engineering &amp; law/nursing" in html


def test_all_figures_about_bias_are_drawn_at_two_widths(html):
    for name in ("associations", "bias_layers", "prices"):
        for number in (0, 1):
            assert f'id="{name}-{number}-title"' in html


def test_a_study_without_an_audit_has_no_section_about_bias(tmp_path, quick):
    text = write_report(make_study_folder(tmp_path)).read_text(encoding="utf-8")
    assert 'id="bias"' not in text
    assert "#bias" not in text


@pytest.mark.parametrize("kept", PIECES)
def test_a_single_piece_is_shown_and_missing_ones_are_left_out(study, tmp_path, quick, kept):
    heads = {
        "associations": "Tests with an association",
        "location": "Where it lives",
        "carried": "What the maps between scales carry",
        "crows": "CrowS-Pairs",
        "stereoset": "StereoSet",
        "prices": "What it costs to take it out",
    }
    folder = make_study_folder(tmp_path)
    make_bias_folder(folder / "bias", pieces=(kept,))
    words = _section(folder).words
    for piece, head in heads.items():
        assert (head in words) == (piece == kept or (piece, kept) in {("crows", "prices")}), piece
    assert CAUTIONS[0] in words


def test_no_eraser_is_named_where_none_was_written(tmp_path):
    home = make_bias_folder(tmp_path / "bias")
    (home / "eraser.safetensors").unlink()
    assert describe_bias(read_bias(home))["bias"]["eraser"] == ""


def test_scale_rows_stand_in_the_table_with_interval_floor_and_p():
    table = make_associations()
    lines = association_lines(table)
    rows = [row for row in table.rows if row.layer is None]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert (line["scale"], line["test"], line["floor"]) == (row.scale, row.label, "0.620")
        assert line["effect"].count(",") == 1
        assert line["is_significant"] == (row.p_holm < 0.05)
    assert [line["is_first"] for line in lines] == [True, False, False] * 5


def test_a_note_about_several_scales_is_written_once_a_test():
    rows = [replace(row, note="the same") for row in make_associations().rows]
    notes = [line["note"] for line in association_lines(AssociationTable(tuple(rows)))]
    assert notes == ["The same", "", ""] * 5


def test_effects_that_do_not_exist_are_dashes_with_their_reason():
    rows = [
        replace(
            row, effect=None, low=None, high=None, p_holm=None, floor=None, note="all states are the same"
        )
        for row in make_associations().rows
    ]
    line = association_lines(AssociationTable(tuple(rows)))[0]
    assert (line["effect"], line["p"], line["floor"]) == ("–", "–", "–")
    assert line["note"] == "All states are the same"
    assert (
        title_associations(AssociationTable(tuple(rows)))
        == "None of 5 tests shows an association after correction"
    )


@pytest.mark.parametrize(
    ("p", "words"), [(0.0499, "0.0499"), (0.00001, "<0.0001"), (1.0, "1"), (0.9999, "1"), (None, "–")]
)
def test_p_is_never_rounded_to_nothing_nor_over_the_level(p, words):
    row = replace(make_associations().rows[-1], p_holm=p)
    assert association_lines(AssociationTable((row,)))[0]["p"] == words


def test_associations_are_counted_by_scale():
    rows = [
        replace(row, p_holm=0.01 if row.scale == "global" else 1.0)
        for row in make_associations(has_gap=False).rows
    ]
    title = title_associations(AssociationTable(tuple(rows)))
    assert title == "Tests with an association after correction, of 5: local 0, intermediate 0 and global 5"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([(0.9, 0.8, 0.5), (0.95, 0.9, 0.5)], "best at layer 1: 95% of texts (control 50%)"),
        ([(0.9, 0.8, 0.5), (0.95, 0.45, 0.5)], "best at layer 0: 90% of texts (control 50%)"),
        ([(0.6, 0.45, 0.5)], "At no layer does a linear probe clearly tell the sides apart; at best 60%"),
        ([(0.7, 0.6, 0.65)], "At no layer"),
        ([], "How far pairs of texts agree"),
    ],
)
def test_a_layer_is_only_named_where_a_probe_clearly_reads_there(found, words):
    rows = [
        Row(metric="bias_probe", value=value, low=low, high=1.0, null=null, target="local", layer=layer)
        for layer, (value, low, null) in enumerate(found)
    ]
    assert words in title_layers(Result("bias_location", tuple(rows)))


def test_where_it_lives_has_a_column_of_nulls_only_where_they_are_not_zero():
    table = location_table(make_location())
    assert [(head["name"], head["has_null"]) for head in table["heads"]] == [
        ("Linear probe", True),
        ("On new people", True),
        ("Agreement", False),
        ("Share of variance", False),
        ("First direction", True),
    ]
    line = table["lines"][0]
    assert line["scale"] == "local"
    assert len(line["cells"]) == 5 + 3
    assert line["cells"][1] == {"text": "0.520", "is_null": True}
    assert "after Holm" in line["note"]
    layers_only = tuple(row for row in make_location() if row.layer is not None)
    assert location_table(Result("bias_location", layers_only)) == {}


def test_what_maps_carry_stands_beside_its_floor_and_null():
    lines = carried_lines(make_carried())
    assert [line["pair"] for line in lines] == ["global → intermediate", "intermediate → local"]
    assert lines[0]["cells"] == [
        "0.830 [0.780, 0.880]", "0.210", "0.440 [0.380, 0.500]", "−0.400", "1.31 [1.18, 1.44]", "1",
    ]  # fmt: skip


def test_a_null_of_nearly_nothing_has_the_decimals_of_its_value():
    row = Row(
        metric="carried_variance", value=0.623, null=-2e-7, source="global", target="local", map="ridge"
    )
    assert carried_lines(Result("bias_carried", (row,)))[0]["cells"][3] == "0.000"


def test_what_cannot_be_carried_says_why():
    row = Row(
        metric="carried_cosine",
        value=None,
        source="global",
        target="local",
        map="ridge",
        note="the same state",
    )
    [line] = carried_lines(Result("bias_carried", (row,)))
    assert line["cells"] == ["–", "–", "–", "–", "–", "–"]
    assert line["note"] == "The same state"


def test_scores_of_the_language_model_are_given_over_all_and_by_type_with_fifty_as_null():
    score = make_crows()
    [group] = score_groups("crows", score.to_result())
    assert [line["what"] for line in group["lines"]] == ["All", "Gender", "Race-color", "Socioeconomic"]
    assert {line["null"] for line in group["lines"]} == {"50"}
    assert group["lines"][0]["value"].startswith(f"{score.metric_score:.1f} [")
    assert group["meaning"].startswith("Share of pairs where the more stereotyping sentence is likelier")
    assert "after Holm" in group["lines"][1]["note"]
    assert "likelier" not in group["lines"][1]["note"]


def test_stereoset_has_three_scores_by_type_and_by_kind():
    groups = score_groups("stereoset", make_stereoset().to_result())
    assert [group["title"].removeprefix("StereoSet, ") for group in groups] == [
        "stereotype score",
        "language modelling score",
        "ICAT",
    ]
    for group in groups:
        assert [line["what"] for line in group["lines"]] == [
            "All", "Gender", "Profession", "Intrasentence", "Intersentence",
        ]  # fmt: skip
    assert groups[2]["meaning"].startswith("lms * min(ss, 100 - ss) / 50")


def test_winobias_rows_are_shown_in_percent_only():
    rows = (
        Row(metric="winobias", value=61.0, null=50.0, units="%", n=20, note="a; b"),
        Row(metric="winobias_type1", value=60.0, null=50.0, units="%", n=10, note="a; c"),
        Row(metric="winobias_nats", value=0.2, null=0.0, units="nats", n=20),
    )
    [group] = score_groups("winobias", Result("winobias", rows))
    assert (group["title"], group["meaning"]) == ("WinoBias", "A.")
    assert [(line["what"], line["note"]) for line in group["lines"]] == [("All", "B"), ("Type 1", "C")]
    assert score_groups("winobias", Result("winobias", ())) == []


def test_the_price_list_marks_one_line_and_leaves_empty_columns_out():
    prices = make_prices()
    table = price_table(prices)
    assert "StereoSet, %" not in table["heads"]
    assert "Probe of topic" in table["heads"]
    assert len(table["lines"]) == len(prices.prices)
    [best] = [line for line in table["lines"] if line["is_best"]]
    chosen = prices.recommended
    assert (best["scale"], best["what"]) == (chosen.scale, f"LEACE {chosen.strength:g}")
    assert {len(line["cells"]) for line in table["lines"]} == {len(table["heads"])}
    assert sum(line["is_frontier"] for line in table["lines"]) == len(prices.frontier)
    assert table["lines"][0]["what"] == "as it is"


def test_the_heading_of_the_price_list_says_what_is_left_and_what_it_costs():
    title = title_prices(make_prices())
    assert "LEACE 1 at the global scale" in title
    assert "tells 51% of texts apart, 94% before; it costs 0.052 nats a token" in title


def test_rows_without_a_value_by_layer_have_no_figure(tmp_path):
    home = make_bias_folder(tmp_path, pieces=())
    Result("bias_location", (Row(metric="bias_probe", value=0.7, target="local"),)).save(
        home / "location.json"
    )
    assert list(list_bias(read_bias(home))) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", "7"])
@pytest.mark.parametrize(
    "name",
    ["bias.json", "associations.json", "location.json", "carried.json", "crows.json", "stereoset.json",
     "winobias.json", "prices.json"],
)  # fmt: skip
def test_a_damaged_piece_of_an_audit_is_named_in_one_sentence(tmp_path, name, content):
    home = make_bias_folder(tmp_path / "bias", pieces=("associations",))
    (home / name).write_text(content)
    with pytest.raises(StorageError) as caught:
        read_bias(home)
    assert name in str(caught.value) or "damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_audit_stops_the_report_in_words(tmp_path):
    folder = make_study_folder(tmp_path)
    home = make_bias_folder(folder / "bias", pieces=("associations",))
    (home / "associations.json").write_text("{")
    with pytest.raises(StorageError, match=r"associations\.json"):
        read_study(folder)


def _damage(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("bias.json", lambda c: c.pop("concept"), "no 'concept'"),
        ("bias.json", lambda c: c.update(said="one"), "no list of sentences 'said'"),
        ("bias.json", lambda c: c.update(cautions=[1]), "no list of sentences 'cautions'"),
        ("associations.json", lambda c: c.update(associations=[]), "no association test"),
        ("associations.json", lambda c: c["associations"][0].update(scale="big"), "the scale 'big'"),
        ("associations.json", lambda c: c["associations"][0].update(effect="1"), "'1' where a finite number"),
        ("prices.json", lambda c: c.update(prices=c["prices"][:1]), "the model as it is and an erasure"),
        ("prices.json", lambda c: c.update(prices=c["prices"][1:]), "the model as it is and an erasure"),
        ("prices.json", lambda c: c["prices"][1].update(scale="big"), "the scale 'big'"),
        ("prices.json", lambda c: c["prices"][1].update(strength="much"), "'much' where a finite number"),
        ("location.json", lambda c: c.update(rows=[]), "holds no row"),
        ("crows.json", lambda c: c.update(pairs=[], more_nats=[], less_nats=[]), "0 pairs"),
    ],
)
def test_what_does_not_fit_in_an_audit_is_refused_in_words(tmp_path, name, change, words):
    home = make_bias_folder(tmp_path)
    _damage(home / name, change)
    with pytest.raises(StorageError, match=words):
        read_bias(home)


def test_an_audit_is_read_as_it_was_written(tmp_path):
    record = read_bias(make_bias_folder(tmp_path))
    assert (record.concept, record.said, record.cautions) == ("gender", tuple(SAID), tuple(CAUTIONS))
    assert record.associations.rows == make_associations().rows
    assert record.location.rows == make_location().rows
    assert record.prices.prices == make_prices().prices
    assert isinstance(record.prices, PriceList)
    assert list(record.scores) == ["crows", "stereoset"]


@pytest.mark.slow
def test_figures_of_the_audit_are_written_for_papers(tmp_path):
    from msma.reporting.figures import save_drawings

    folder = make_study_folder(tmp_path)
    make_bias_folder(folder / "bias")
    record = read_study(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("msma.reporting.figures.list_drawings", lambda r: list_bias(r.bias))
        names = {file.name for file in save_drawings(record, tmp_path / "out")}
    drawn = {f"{n}.{s}" for n in ("associations", "bias_layers", "prices") for s in ("png", "svg", "pdf")}
    assert names == drawn | {"captions.md", "captions.tex"}
