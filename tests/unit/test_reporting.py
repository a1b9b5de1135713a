"""The report: whole, self-contained, honest in its words, and clear about what is missing."""

import json
import math
import re
import sys
import tomllib
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from msma._types import SCALES
from msma.errors import MissingExtraError, StorageError
from msma.reporting import map_findings, page, save_figures, scale_findings, shape_findings, write_report
from msma.reporting.cautions import list_cautions
from msma.reporting.clouds import lay_out, shorten
from msma.reporting.numbers import show, show_interval
from msma.reporting.origin import describe_origin, write_toml
from msma.reporting.reading import read_study
from msma.results import Result, Row
from msma.scales.partition import ScalePartition
from study_folder import (
    HOSTILE,
    make_clouds,
    make_evaluation,
    make_manifold,
    make_maps,
    make_partition,
    make_probes,
    make_study_folder,
)

VOID = {"meta", "br", "input", "use", "path", "circle", "line", "rect", "img", "link", "hr"}
SECTIONS = [
    "scales",
    "stability",
    "similarity",
    "signals",
    "manifold",
    "maps",
    "measures",
    "probes",
    "clouds",
    "examples",
    "cautions",
    "provenance",
]


class Page(HTMLParser):
    """Counts tags, collects ids and visible text, and checks that tags close in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.attributes, self.text, self.open = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attributes = dict(attrs)
        self.attributes.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    @property
    def sections(self):
        return [a["id"] for tag, a in self.attributes if tag == "section"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study_folder(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def report(study):
    return write_report(study)


@pytest.fixture(scope="module")
def html(report):
    return report.read_text(encoding="utf-8")


@pytest.fixture
def quick(monkeypatch):
    """Leave the figures out, which take most of the time."""
    monkeypatch.setattr(page, "inline_figure", lambda *_, **__: [])
    monkeypatch.setattr("msma.reporting.save_drawings", lambda *_: [])


def _page(folder):
    return Page(write_report(folder).read_text(encoding="utf-8"))


def test_sections_stand_in_order_and_every_tag_closes(html):
    parsed = Page(html)
    assert parsed.sections == SECTIONS
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))


def test_the_report_needs_no_other_file(report, html):
    assert report.stat().st_size < 3_000_000
    parsed = Page(html)
    assert not {"link", "img", "iframe", "object"} & set(parsed.tags)
    for tag, attributes in parsed.attributes:
        for name in ("src", "href", "xlink:href", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith("#"), (tag, value)
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_links_within_the_page_lead_somewhere(html):
    parsed = Page(html)
    for _, attributes in parsed.attributes:
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in parsed.ids


def test_texts_that_contain_html_are_shown_as_texts(html):
    parsed = Page(html)
    assert parsed.tags.count("script") == 2
    assert "b" not in parsed.tags
    assert HOSTILE[0].split()[0] in parsed.words
    data = re.search(r'id="cloud-data">(.*?)</script>', html, re.DOTALL)[1]
    assert "<" not in data
    texts = json.loads(data)["texts"]
    assert texts[0] == shorten(HOSTILE[0])


def test_every_figure_has_a_title_and_says_what_it_does_not_say(html):
    parsed = Page(html)
    figures = parsed.tags.count("figure")
    assert figures == 11
    assert parsed.words.count("What it does not say") == figures + 1  # the examples have it too
    drawn = [a for tag, a in parsed.attributes if tag == "svg" and a.get("role") == "img"]
    assert len(drawn) == 8 * 2 + 2
    for attributes in drawn:
        assert all(label in parsed.ids for label in attributes["aria-labelledby"].split())


def test_tables_have_headers_and_scroll_in_their_own_box(html):
    parsed = Page(html)
    cells = [a for tag, a in parsed.attributes if tag == "th"]
    assert cells
    assert all("scope" in attributes for attributes in cells)
    regions = [a for _, a in parsed.attributes if a.get("class", "").startswith("scroll")]
    assert len(regions) == len([t for t in parsed.tags if t == "table"]) - 2  # two boxes hold two tables
    assert all(a["aria-label"] and a["tabindex"] == "0" for a in regions)


def test_numbers_come_with_interval_null_and_floor(html):
    words = Page(html).words.replace("\u00a0", " ").replace("\u2060", "")
    assert "0.862 [0.850, 0.874]" in words
    assert "before mapping −41.3 · null −0.011 · ceiling 1" in words
    assert "before mapping 812 · null 611 · floor 0.060" in words
    assert words.count("as published") >= 2


def test_figures_are_written_for_papers(study, report):
    for name in ("bands", "votes", "similarity", "signals", "shapes", "spectra", "dimensions", "maps"):
        for suffix in ("png", "svg", "pdf"):
            assert (study / "figures" / f"{name}.{suffix}").stat().st_size > 1000
    assert report == study / "report.html"


@pytest.mark.slow
def test_figures_go_where_they_are_told(study, tmp_path):
    files = save_figures(study, out=tmp_path / "paper")
    assert {file.parent for file in files} == {tmp_path / "paper"}
    assert len(files) == 11 * 3 + 2
    assert [file.name for file in files[-2:]] == ["captions.md", "captions.tex"]


def test_figures_that_cannot_be_written_say_so(study, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="could not write figures"):
        save_figures(study, out=tmp_path / "taken")


@pytest.mark.usefixtures("quick")
def test_the_report_goes_where_it_is_told(study, tmp_path):
    file = write_report(study, out=tmp_path / "elsewhere" / "index.html")
    assert file.is_file()


@pytest.mark.usefixtures("quick")
def test_without_labels_probes_are_left_out_and_the_hypothesis_stays_open(tmp_path):
    parsed = _page(make_study_folder(tmp_path, has_probes=False))
    assert parsed.sections == [name for name in SECTIONS if name != "probes"]
    assert "without labels, this study does not test it" in parsed.words
    assert "Colour by" not in parsed.words
    assert "nearest neighbours are the same text" not in parsed.words


@pytest.mark.usefixtures("quick")
def test_ranges_given_by_hand_have_no_votes_to_show(tmp_path):
    parsed = _page(make_study_folder(tmp_path, has_votes=False))
    assert not {"stability", "similarity", "signals"} & set(parsed.sections)
    assert "divided by hand; nothing here tests" in parsed.words


@pytest.mark.usefixtures("quick")
def test_without_attention_the_other_signals_are_shown_and_its_absence_is_said(tmp_path):
    parsed = _page(make_study_folder(tmp_path, has_attention=False))
    assert parsed.sections == SECTIONS
    assert "attention had no vote" in parsed.words
    assert "Attention by block" not in parsed.words


@pytest.mark.usefixtures("quick")
def test_without_a_published_partition_nothing_is_said_of_one(tmp_path):
    parsed = _page(make_study_folder(tmp_path, has_published=False, n_layers=25))
    assert "printed in the paper for this architecture" not in parsed.words
    assert "as published" in parsed.words  # the two quantities of the paper stay marked


@pytest.mark.usefixtures("quick")
def test_deep_models_do_not_repeat_the_whole_matrix(tmp_path):
    parsed = _page(make_study_folder(tmp_path, n_layers=61))
    assert "The whole matrix is in" in parsed.words


@pytest.mark.usefixtures("quick")
def test_noisy_numbers_get_hedged_words(tmp_path):
    words = _page(make_study_folder(tmp_path, is_noisy=True)).words
    assert "is uncertain" in words
    assert "No scale clearly spreads its variance" in words
    assert "does not clearly predict" in words
    assert "show no clear change" in words


PIECES = [
    "study.json",
    "scales.json",
    "tables/manifold.json",
    "tables/maps.json",
    "tables/evaluation.json",
    "curves.json",
    "clouds.json",
    "examples.json",
]


@pytest.fixture
def copy(study, tmp_path):
    for name in [*PIECES, "published.json", "tables/probes.json"]:
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((study / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", PIECES)
def test_a_missing_piece_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(StorageError, match=name.replace(".", r"\.")):
        read_study(copy)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", "7"])
@pytest.mark.parametrize("name", [*PIECES, "published.json", "tables/probes.json"])
def test_a_damaged_piece_is_named_in_one_sentence(copy, name, content):
    (copy / name).write_text(content)
    with pytest.raises(StorageError) as caught:
        read_study(copy)
    assert name in str(caught.value) or "damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_does_not_exist_is_said(tmp_path):
    with pytest.raises(StorageError, match="there is no folder"):
        write_report(tmp_path / "nowhere")


def _damage(copy, name, change):
    content = json.loads((copy / name).read_text())
    change(content)
    (copy / name).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("curves.json", lambda c: c["spectrum"].pop("global"), "no 'global'"),
        ("curves.json", lambda c: c["spectrum"].update(local=[]), "is empty"),
        ("curves.json", lambda c: c["spectrum"].update(local=[math.nan]), "finite number"),
        ("curves.json", lambda c: c["dimension"]["local"].update(mle=[1.0]), "unequal sides"),
        ("clouds.json", lambda c: c["texts"].pop(), "240 label topic for 239 texts"),
        ("clouds.json", lambda c: c["points"].update(local=[[0.0, None]] * 240), "finite number"),
        ("clouds.json", lambda c: c["mapped"].update(near=c["mapped"]["local"]), "unknown scale near"),
        ("examples.json", lambda c: c["queries"][0]["neighbours"].pop("local"), "no 'local'"),
        ("examples.json", lambda c: c["queries"][0].pop("text"), "no 'text'"),
        ("tables/maps.json", lambda c: c["rows"][0].update(value=math.inf), "damaged"),
        ("tables/maps.json", lambda c: c.update(rows=[]), "holds no value"),
        ("scales.json", lambda c: c.update(boundaries=[9, 3]), "damaged"),
        ("study.json", lambda c: c.pop("best_map"), "no 'best_map'"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(copy, name, change, words):
    _damage(copy, name, change)
    with pytest.raises(StorageError, match=words):
        read_study(copy)


def test_without_jinja2_the_message_says_what_to_install(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"msma\[report\]"):
        page.render(read_study(study))


def test_settings_come_back_from_the_report_as_they_were(study):
    record = read_study(study)
    known = {name: value for name, value in record.config.items() if value is not None}
    assert tomllib.loads(describe_origin(record)["settings"]) == known
    assert tomllib.loads(write_toml({"a": 'quote " and \\ and é'})) == {"a": 'quote " and \\ and é'}


def test_an_unknown_date_or_count_leaves_a_gap_and_no_error(study):
    record = replace(read_study(study), provenance={"model": "m", "created": "yesterday"})
    origin = describe_origin(record)
    assert origin["created"] == ""
    assert origin["n_test"] == "held-out"


# What the rules say.


def _row(value, half=None, **columns):
    ends = {} if half is None else {"low": value - half, "high": value + half}
    return Row(metric=columns.pop("metric", "r2"), value=value, **ends, **columns)


@pytest.mark.parametrize(
    ("exact", "near", "words"),
    [(0.9, 1.0, "firm"), (0.5, 0.9, "firm to within one layer"), (0.3, 0.5, "uncertain")],
)
def test_a_boundary_is_called_what_its_votes_say(exact, near, words):
    partition = replace(ScalePartition.thirds(7), stability=(exact, exact), near=(near, near))
    assert scale_findings.firmness(partition, 0) == words


def test_votes_that_agree_are_said_to_agree_and_others_named():
    whole = make_partition()
    assert "attention alone cuts before layers 5 and 9" in scale_findings.title_votes(whole)
    agreeing = make_partition(has_attention=False)
    title = scale_findings.title_votes(agreeing)
    assert title.startswith("Both signals put the boundaries before layers 3 and 9, and random halves")
    unsure = replace(agreeing, stability=(0.3, 0.9), near=(0.4, 1.0))
    assert "but one boundary is a choice among several" in scale_findings.title_votes(unsure)
    unsure = replace(agreeing, stability=(0.3, 0.3), near=(0.4, 0.4))
    assert "but both boundaries are choices among several" in scale_findings.title_votes(unsure)
    elsewhere = replace(whole, boundaries=(4, 7))
    assert "none alone would choose these" in scale_findings.title_votes(elsewhere)
    one = replace(whole, signals={"similarity": whole.signals["similarity"]})
    assert scale_findings.title_votes(one).startswith("Similarity alone cuts before layers 3 and 9, and")


def test_published_boundaries_are_compared():
    mine, theirs = ScalePartition.thirds(13), replace(ScalePartition.thirds(13), boundaries=(4, 9))
    assert "up to 1 layer away" in scale_findings.title_bands(mine, theirs)
    assert "published" not in scale_findings.title_bands(mine, None)


@pytest.mark.parametrize(
    ("across", "words"),
    [(0.5, "less alike across"), (0.88, "hardly less alike"), (0.95, "do not stand out")],
)
def test_similarity_compares_neighbours_only(across, words):
    matrix = np.full((7, 7), 0.1)
    for layer in range(6):
        matrix[layer, layer + 1] = matrix[layer + 1, layer] = across if layer in (2, 4) else 0.9
    assert words in scale_findings.title_similarity(ScalePartition.thirds(7), matrix)


def test_similarity_of_scales_of_one_layer_has_nothing_within():
    matrix = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.5], [0.2, 0.5, 1.0]])
    assert "no scale has two layers" in scale_findings.title_similarity(ScalePartition.thirds(3), matrix)


@pytest.mark.parametrize(
    ("factor", "words"), [(1.5, "reaches further"), (0.6, "reaches less far"), (1.02, "about as far")]
)
def test_attention_reach_is_called_what_it_is(factor, words):
    partition = make_partition()
    distance = [0.5] * 8 + [0.5 * factor] * 4
    signal = replace(partition.signals["attention"], profile={"distance": distance})
    changed = replace(partition, signals={"attention": signal})
    assert words in scale_findings.title_signals(changed)


@pytest.mark.parametrize(
    ("before", "after", "better", "words"),
    [
        (_row(0.1, 0.05, better="higher"), _row(0.8, 0.05, better="higher"), "higher", "better"),
        (_row(0.8, 0.05, better="higher"), _row(0.1, 0.05, better="higher"), "higher", "worse"),
        (_row(0.8, 0.05, better="lower"), _row(0.1, 0.05, better="lower"), "lower", "better"),
        (_row(0.1, 0.5, better="higher"), _row(0.8, 0.5, better="higher"), "higher", "no clear change"),
        (_row(0.1, better="higher"), _row(0.8, 0.1, better="higher"), "higher", "–"),
        (_row(0.1, 0.1), _row(0.8, 0.1), "none", "–"),
        (None, _row(0.8, 0.1, better="higher"), "higher", "–"),
    ],
)
def test_change_is_only_claimed_beyond_the_intervals(before, after, better, words):
    assert map_findings.judge(before, after) == words


def test_published_quantities_do_not_count_as_evidence():
    scores = map_findings.collect_scores(make_evaluation({}))
    counted = int(re.search(r"Of (\d+) comparisons", map_findings.title_measures(scores))[1])
    judged = [s for s in scores if s.change != "–"]
    assert counted == len([s for s in judged if s.metric not in ("kl_diagonal", "mi_histogram")])
    assert "nothing says what changed" in map_findings.title_measures([])


def test_a_divergence_at_its_floor_is_said_to_be_there():
    rows = make_evaluation({})
    words = map_findings.describe_pair(rows, "intermediate", "local", best_map="ridge")
    assert "cannot be told from the noise floor of −0.050" in words
    words = map_findings.describe_pair(rows, "global", "intermediate", best_map="ridge")
    assert "what remains lies above the noise floor" in words
    assert map_findings.describe_pair(rows, "global", "intermediate", best_map="none of these") == ""


def test_a_pair_is_described_with_what_there_is():
    kl = _row(2.0, 0.5, metric="kl", units="nats", source="global", target="local", map="ridge")
    words = map_findings.describe_pair(Result("e", (kl,)), "global", "local", best_map="ridge")
    assert words == "The two distributions then differ by 2.00 [1.50, 2.50] nats."


def test_maps_within_each_others_intervals_are_called_level():
    maps = make_maps({})
    title = map_findings.title_maps(maps, "ridge")
    assert "reduced rank cannot be told from it" in title
    assert "Gaussian transport comes closest in distribution" in title
    without = Result("maps", tuple(row for row in maps if row.map != "reduced_rank"))
    assert map_findings.title_maps(without, "ridge").startswith("Ridge predicts best")


def test_probes_name_a_leader_only_where_it_stands_apart():
    title = shape_findings.title_probes(make_probes({}))
    assert "“topic” is read at the intermediate and global scales alike" in title
    assert "“length” is easiest to read at the local scale" in title
    rows = tuple(_row(0.3, 0.1, metric="probe_x", target=scale, null=0.28) for scale in SCALES)
    assert "No scale clearly holds the label “x”" in shape_findings.title_probes(Result("p", rows))
    order = shape_findings.describe_order(make_probes({}))
    assert "“length” is read best at the local scale; no scale clearly leads for “topic”" in order


def test_shapes_name_a_leader_only_where_it_stands_apart():
    assert "longest at the global scale" in shape_findings.title_shapes(make_manifold({}))
    noisy = make_manifold({}, is_noisy=True)
    assert "no scale is clearly ahead in isotropy" in shape_findings.title_shapes(noisy).lower()
    assert shape_findings.title_spectra(Result("m", ())).startswith("How the variance")
    assert shape_findings.title_shapes(Result("m", ())) == "The shape of each scale in numbers"


def test_a_dimension_that_depends_on_the_neighbourhood_is_no_number():
    curve = {"local": {"neighbours": [5, 50], "mle": [20.0, 10.0]}}
    assert "no single number describes it" in shape_findings.title_dimensions(curve)
    assert "Too few texts" in shape_findings.title_dimensions({"local": {"neighbours": [], "mle": []}})


@pytest.mark.parametrize(
    ("noise", "words"), [(0.1, "near their own targets"), (0.7, "right region"), (3.0, "hardly nearer")]
)
def test_clouds_are_described_by_how_far_maps_miss(noise, words, rng):
    points = rng.normal(size=(200, 2))
    mapped = (points + noise * rng.normal(size=(200, 2))).tolist()
    clouds = {"points": dict.fromkeys(SCALES, points), "mapped": {"local": mapped}}
    assert words in shape_findings.title_clouds(clouds)
    nothing = {"points": clouds["points"], "mapped": {}}
    assert "side by side" in shape_findings.title_clouds(nothing)


def test_neighbours_are_counted_by_label_or_by_identity():
    def query(label, found):
        near = [{"text": text, "label": name, "similarity": 0.5} for text, name in found]
        return {"text": "q", "label": label, "neighbours": dict.fromkeys(SCALES, near)}

    labelled = {"queries": [query("a", [("x", "a"), ("y", "b")])]}
    assert "have the query's label: 1 of 2 (local)" in shape_findings.title_examples(labelled)
    parts = {"queries": [query("a · c", [("x", "b · c"), ("y", "b · d")])]}
    assert "share part of the query's label: 1 of 2" in shape_findings.title_examples(parts)
    bare = {"queries": [query(None, [("x", None)])]}
    assert shape_findings.title_examples(bare).startswith("1 of 1 nearest neighbours are the same")
    assert "No text was long enough" in shape_findings.title_examples({"queries": []})


def test_cautions_name_cut_texts_projections_and_excess_information(study):
    record = read_study(study)
    excess = _row(1.2, metric="retention", source="global", target="local", map="ridge")
    below = _row(-0.2, metric="kl", source="global", target="local", map="ridge")
    evaluation = replace(record.evaluation, rows=(*record.evaluation.rows, excess, below))
    found = " ".join(list_cautions(replace(record, evaluation=evaluation)))
    for words in (
        "37 of 6,120 samples",
        "1.33 layers apart",
        "reads above 1 for global → local",
        "below zero is possible",
        "MI, KSG: on the leading 5 components",
        "final norm and was left out",
        "infinite: the two supports",
    ):
        assert words in found
    windows = replace(record, provenance={**record.provenance, "long": "windows"})
    assert "read in windows" in " ".join(list_cautions(windows))


def test_numbers_as_labels_become_ranges():
    clouds = make_clouds([str(i) for i in range(40)], ["law"] * 40, np.random.default_rng(0))
    clouds["labels"] = {"size": [str(i) for i in range(40)], "mixed": ["x", "nan"] * 20}
    groups = {g["name"]: g for g in lay_out(clouds)["groupings"]}
    assert groups["size"]["names"] == ["up to 9.75", "up to 19.5", "up to 29.25", "above 29.25"]
    assert groups["size"]["codes"][0] == 0
    assert groups["size"]["codes"][-1] == 3
    assert groups["mixed"]["names"] == ["nan", "x"]


def test_points_and_landings_stay_within_the_frame():
    clouds = {
        "texts": ["a", "b"],
        "labels": {},
        "points": {scale: [[0.0, 0.0], [1.0, 2.0]] for scale in SCALES},
        "mapped": {"local": [[90.0, -90.0], [0.0, 0.0]]},
    }
    laid = lay_out(clouds)
    for panel in laid["panels"]:
        for x, y in (*panel["points"], *panel["mapped"]):
            assert 0 < x < laid["side"]
            assert 0 < y < laid["side"]
    assert laid["panels"][0]["points"][1][1] < laid["panels"][0]["points"][0][1]  # up is up


def test_an_empty_cloud_is_no_error():
    nothing = {"texts": [], "labels": {}, "points": {scale: [] for scale in SCALES}, "mapped": {}}
    assert lay_out(nothing)["texts"] == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (0.0, "0"),
        (-0.0001, "−0.00010"),
        (1.0, "1"),
        (-3.0, "−3"),
        (123456.0, "123,456"),
        (3e-9, "3e−09"),
        (99.96, "100.0"),
    ],
)
def test_numbers_are_short(value, words):
    assert show(value) == words


def test_narrow_intervals_keep_the_digits_that_tell_their_ends_apart():
    assert show_interval(_row(4.926, 0.024)) == "4.926 [4.902, 4.950]"
    assert show_interval(_row(812.4, 24.0)) == "812 [788, 836]"
    assert show_interval(_row(0.0004, 0.01)) == "0.000 [−0.010, 0.010]"
    assert show_interval(_row(None)) == "–"
