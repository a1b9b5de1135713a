"""The robustness audit in the report: shown where it is, silent where it is not, clear where it is damaged."""

import json
from html.parser import HTMLParser

import pytest

from msma.errors import StorageError
from msma.reporting import page, write_report
from msma.reporting.figures import list_robustness
from msma.reporting.reading import read_study
from msma.reporting.robustness import (
    describe_robustness,
    robustness_titles,
    title_detection,
    title_displacement,
    title_gates,
    title_probes,
)
from msma.reporting.robustness_folder import read_robustness
from msma.reporting.robustness_tables import (
    alarm_lines,
    cut_alike,
    detection_lines,
    displacement_lines,
    every_detector,
    perturbation_lines,
)
from msma.reporting.withstanding_tables import gate_groups, probe_choices, probe_groups
from msma.results import Result, Row
from robustness_folder import (
    CAUTIONS,
    CHANGED,
    DETECTORS,
    GATES,
    ORIGINAL,
    PERTURBATIONS,
    PIECES,
    PROBES,
    SAID,
    STRENGTHS,
    list_anomalies,
    list_splits,
    make_detection,
    make_displacement,
    make_gates,
    make_perturbations,
    make_probes,
    make_robustness_folder,
)
from study_folder import make_study_folder

FIGURES = {
    "displacement": "displacement",
    "detection": "detection",
    "probes": "robust_probes",
    "gates": "coverage",
}


class Section(HTMLParser):
    """Visible text and tags of the section about robustness."""

    def __init__(self, html):
        super().__init__()
        start = html.index('<section id="robustness">')
        self.text, self.tags, self.open, self.hidden = [], [], [], []
        self.feed(html[start : html.index("</section>", start)])

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag or tag == "section"

    def handle_data(self, data):
        if "svg" not in self.open:
            self.text.append(data)
            if "details" in self.open:
                self.hidden.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).replace("\u2060", "").split())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = make_study_folder(tmp_path_factory.mktemp("study"))
    make_robustness_folder(folder / "robustness")
    return folder


@pytest.fixture(scope="module")
def html(study, tmp_path_factory):
    """The whole report with its figures about robustness alone, which are those under test."""
    shown = tuple(FIGURES.values())
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


def test_the_section_says_first_what_was_found_and_last_what_was_not_shown(html):
    words = Section(html).words
    order = [
        *SAID,
        "What was done to the texts",
        ORIGINAL,
        CHANGED,
        "What it moves",
        "Amplification",
        "What notices it",
        "robustness/detector.safetensors",
        "Best baseline",
        "AUROC of every detector",
        "False alarms of every detector",
        "Allowed",
        "What withstands it: probes of topic",
        "Strength of agreement between scales",
        "When to stay silent",
        "p + scale residuals",
        "What this audit does not show",
        *CAUTIONS,
    ]
    places = [words.index(part) for part in order]
    assert places == sorted(places)
    assert '<a href="#robustness">' in html


def test_findings_and_cautions_are_not_hidden_behind_a_summary(html):
    hidden = " ".join(Section(html).hidden)
    assert not any(sentence in hidden for sentence in (*SAID, *CAUTIONS))


def test_texts_and_sentences_that_contain_html_are_shown_as_texts(html):
    assert "&lt;i&gt;some&lt;/i&gt;" in html
    assert "<i>some" not in html
    assert "&lt;b&gt;cst&lt;/b&gt; sat &amp; slpet." in html
    assert "<b>" not in html


def test_all_figures_about_robustness_are_drawn_at_two_widths(html):
    for name in FIGURES.values():
        for number in (0, 1):
            assert f'id="{name}-{number}-title"' in html


def test_a_study_without_an_audit_has_no_section_about_robustness(tmp_path, quick):
    text = write_report(make_study_folder(tmp_path)).read_text(encoding="utf-8")
    assert 'id="robustness"' not in text
    assert "#robustness" not in text
    assert describe_robustness(None) == {"robustness": None}
    assert robustness_titles(None) == {}


@pytest.mark.parametrize("kept", PIECES)
def test_a_single_piece_is_shown_and_missing_ones_are_left_out(tmp_path, quick, kept):
    heads = {
        "displacement": "What it moves",
        "detection": "What notices it",
        "probes": "What withstands it",
        "gates": "When to stay silent",
    }
    folder = make_study_folder(tmp_path)
    make_robustness_folder(folder / "robustness", pieces=(kept,))
    words = Section(write_report(folder).read_text(encoding="utf-8")).words
    for piece, head in heads.items():
        assert (head in words) == (piece == kept), piece
    assert "What was done to the texts" in words
    assert CAUTIONS[0] in words
    assert list(list_robustness(read_robustness(folder / "robustness"))) == [FIGURES[kept]]


def test_no_detector_is_named_where_none_was_written(tmp_path):
    home = make_robustness_folder(tmp_path)
    (home / "detector.safetensors").unlink()
    assert describe_robustness(read_robustness(home))["robustness"]["detector"] == ""


def test_what_a_perturbation_does_is_said_once_and_its_numbers_each_time():
    lines = perturbation_lines(make_perturbations())
    assert len(lines) == len(PERTURBATIONS) * len(STRENGTHS)
    first, second = lines[-2:]
    assert first["does"] == "What negation does to a word. It may change what a text says."
    assert second["does"] == ""
    assert (second["strength"], second["edits"], second["skipped"], second["unchanged"]) == (
        "0.3",
        "0.282",
        "3",
        "12",
    )
    assert (second["keeps"], lines[0]["keeps"]) == ("no", "yes")
    assert (second["original"], second["text"]) == (ORIGINAL, CHANGED)


def test_long_texts_are_cut_alike_to_where_they_first_differ():
    words = [f"word{number}" for number in range(200)]
    changed = [*words[:150], "other", *words[151:]]
    before, after = cut_alike(" ".join(words), " ".join(changed))
    assert "word150" in before
    assert "other" in after
    assert before.startswith("…word")
    assert before.split()[0] == after.split()[0]
    assert max(len(before), len(after)) <= 222


def test_one_text_that_begins_the_other_is_cut_at_its_end():
    long = "a " * 300
    before, after = cut_alike(long, long + "end")
    assert after.endswith("end")
    assert len(before) <= 222


def test_scales_stand_beside_their_amplification_and_what_the_interval_tells_is_marked():
    lines = displacement_lines(make_displacement())
    assert [line["name"] for line in lines] == [f"{n} {s:g}" for n in PERTURBATIONS for s in STRENGTHS]
    rows = tuple(
        Row(
            metric="amplification",
            value=value,
            low=low,
            high=2.0,
            source=source,
            target=target,
            map="case 0.1",
        )
        for source, target, value, low in (
            ("local", "intermediate", 1.5, 1.2),
            ("intermediate", "global", 1.1, 0.9),
        )
    )
    [line] = displacement_lines(Result("displacement", rows))
    assert line["moved"] == ["–", "–", "–"]
    assert line["grown"] == [
        {"text": "1.50 [1.20, 2.00]", "is_told": True},
        {"text": "1.10 [0.90, 2.00]", "is_told": False},
        {"text": "–", "is_told": False},
    ]


def test_residuals_stand_beside_the_best_baseline_with_rank_and_gain():
    result = make_detection()
    lines = detection_lines(result)
    assert [line["anomaly"] for line in lines] == list_anomalies()
    for line in lines:
        split = line["anomaly"]
        areas = {name: result.value("auroc", split=split, map=name) for name in DETECTORS}
        held = {name: value for name, value in areas.items() if name != "residuals"}
        rank = 1 + sum(value > areas["residuals"] for value in held.values())
        assert line["rank"] == f"{rank} of {len(DETECTORS)}"
        gain = areas["residuals"] - max(held.values())
        expected = "better" if gain > 0.02 else "worse" if gain < -0.02 else ""
        assert line["sign"] == expected
    assert {line["sign"] for line in lines} == {"better", "worse", ""}


def test_without_residuals_only_the_tables_of_every_detector_are_left():
    result = make_detection(detectors=("surprise", "rarity"))
    assert detection_lines(result) == []
    table = every_detector(result, "auroc")
    assert table["heads"] == ["surprise", "word rarity"]
    assert title_detection(result) == "How well 2 detectors tell anomalies from clean texts"


def test_the_best_detector_of_each_line_is_marked_the_lowest_for_false_alarms():
    rows = [
        Row(metric=metric, value=value, map=name, split="case 0.1")
        for metric in ("auroc", "fpr95")
        for name, value in (("residuals", 0.9), ("rarity", 0.4))
    ]
    result = Result("detection", tuple(rows))
    assert [cell["is_best"] for cell in every_detector(result, "auroc")["lines"][0]["cells"]] == [True, False]
    assert [cell["is_best"] for cell in every_detector(result, "fpr95")["lines"][0]["cells"]] == [False, True]
    assert every_detector(result, "aupr") == {}
    assert detection_lines(result)[0]["gain"] == "–"


def test_false_alarms_are_shares_beside_what_was_allowed():
    lines = alarm_lines(make_detection())
    assert lines[0] == {"name": "scale residuals", "value": "6% [3%, 10%]", "allowed": "5%"}
    assert len(lines) == len(DETECTORS)
    alone = Result("detection", (Row(metric="false_alarms", value=0.004, map="rarity", split="clean"),))
    assert alarm_lines(alone) == [{"name": "word rarity", "value": "0.4%", "allowed": "–"}]


def test_probes_are_grouped_by_texts_and_only_whole_ones_have_a_gain():
    groups = probe_groups(make_probes())
    assert [group["title"] for group in groups] == list_splits()
    assert len(groups[0]["lines"]) == len(PROBES) - 1
    lines = {(line["name"], line["scale"]): line for line in groups[1]["lines"]}
    assert len(lines) == len(PROBES)
    assert lines["plain", "local"]["gain"] == lines["plain", ""]["gain"] == "–"
    assert lines["consistent", ""]["sign"] == ""
    assert lines["ensemble", ""]["sign"] == "better"
    assert lines["ensemble", ""]["gain"] == "0.020 [0.005, 0.035]"


def test_what_validation_chose_is_said():
    assert probe_choices(make_probes()) == [
        "Strength of agreement between scales: 0.100 (agreement between scales lowered the loss on validation).",
        "Weights of the scales in the ensemble: local 0.200, intermediate 0.300, global 0.500.",
    ]
    assert probe_choices(Result("p", ())) == []


def test_less_risk_is_better_and_coverages_go_from_many_texts_to_few():
    table = gate_groups(make_gates())
    assert table["heads"] == ["Right of 90%", "Right of 80%", "Right of 50%"]
    [first, *_] = table["groups"]
    assert (first["title"], first["beside"]) == ("clean", "no gate 0.120, a perfect one 0.012")
    signs = {line["name"]: line["sign"] for line in first["lines"]}
    assert len(signs) == len(GATES)
    assert signs["scale residuals"] == "worse"
    assert signs["p + scale residuals"] == "better"
    assert signs["entropy"] == signs["probability p"] == ""


def test_titles_say_what_intervals_tell():
    assert title_displacement(make_displacement()).startswith(
        "“shuffle” at strength 0.3 moves texts most: at layer"
    )
    lines = detection_lines(make_detection())
    better, worse = (sum(line["sign"] == sign for line in lines) for sign in ("better", "worse"))
    assert title_detection(make_detection()) == (
        f"Residuals between scales beat the best baseline on {better} of 20 anomalies and lose to it on {worse}; "
        f"on {20 - better - worse} these texts cannot tell"
    )
    assert title_probes(make_probes()) == (
        "Perturbations, of 9, under which a probe gains over the plain one: consistent 0, ensemble 9 and gated "
        "ensemble 9"
    )
    assert title_gates(make_gates()) == (
        "On clean texts confidence with scale residuals is a better gate than the probe's own confidence"
    )


@pytest.mark.parametrize(
    ("title", "words"),
    [
        (title_displacement, "How far perturbations move texts"),
        (title_detection, "How well 0 detectors"),
        (title_probes, "Accuracy of each probe"),
        (title_gates, "What is right when"),
    ],
)
def test_titles_without_numbers_only_name_the_figure(title, words):
    assert title(Result("empty", ())).startswith(words)


def test_a_gate_that_is_not_told_to_be_better_is_not_named():
    rows = (Row(metric="aurc_difference", value=-0.1, low=-0.2, high=0.1, map="entropy", split="case 0.1"),)
    assert title_gates(Result("gates", rows)).startswith("On these texts no gate is told to be better")


def test_a_loss_is_told_beside_the_gains():
    rows = (Row(metric="gain", value=-0.1, low=-0.2, high=-0.05, map="consistent", split="case 0.1"),)
    assert title_probes(Result("p", rows)).endswith("consistent 0 (and loses on 1)")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", "7"])
@pytest.mark.parametrize(
    "name", ["robustness.json", "displacement.json", "detection.json", "probes.json", "gates.json"]
)
def test_a_damaged_piece_of_an_audit_is_named_in_one_sentence(tmp_path, name, content):
    home = make_robustness_folder(tmp_path, pieces=())
    (home / name).write_text(content)
    with pytest.raises(StorageError) as caught:
        read_robustness(home)
    assert name in str(caught.value) or "damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_audit_stops_the_report_in_words(tmp_path):
    folder = make_study_folder(tmp_path)
    home = make_robustness_folder(folder / "robustness", pieces=("gates",))
    (home / "gates.json").write_text("{")
    with pytest.raises(StorageError, match=r"gates\.json"):
        read_study(folder)


def _change_perturbation(**changes):
    return lambda content: content["perturbations"][0].update(changes)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("robustness.json", lambda c: c.update(said="one"), "no list of sentences 'said'"),
        ("robustness.json", lambda c: c.update(cautions=[1]), "no list of sentences 'cautions'"),
        ("robustness.json", lambda c: c.pop("unit"), "no 'unit' or 'label'"),
        ("robustness.json", lambda c: c.update(label=3), "no 'unit' or 'label'"),
        ("robustness.json", lambda c: c.pop("label"), "damaged"),
        ("robustness.json", lambda c: c.update(perturbations={}), "no list 'perturbations'"),
        ("robustness.json", lambda c: c.update(perturbations=[7]), "damaged"),
        ("robustness.json", lambda c: c["perturbations"][0].pop("does"), "damaged"),
        ("robustness.json", _change_perturbation(strength="much"), "'much' as 'strength' of perturbation 0"),
        ("robustness.json", _change_perturbation(n=1.5), "1.5 as 'n' of perturbation 0"),
        ("robustness.json", _change_perturbation(note=3), "3 as 'note' of perturbation 0"),
        ("robustness.json", _change_perturbation(example={"original": "a", "text": 1}), "no example"),
        ("robustness.json", _change_perturbation(example=None), "damaged"),
        ("displacement.json", lambda c: c.update(rows=[]), "holds no row"),
        ("displacement.json", lambda c: c["rows"][0].update(target="big"), "the scale 'big'"),
        ("displacement.json", lambda c: c["rows"][0].update(map=None), "without 'map'"),
        ("displacement.json", lambda c: c["rows"][0].update(layer="first"), "wrong layer"),
        ("detection.json", lambda c: c["rows"][0].update(split=None), "without 'split'"),
        ("detection.json", lambda c: c["rows"][0].update(value="high"), "does not hold a result"),
        ("gates.json", lambda c: c["rows"][0].update(map=4), "without 'map'"),
        ("gates.json", lambda c: c["rows"][2].update(metric="accuracy_at_most"), "accuracy_at_most"),
    ],
)
def test_what_does_not_fit_in_an_audit_is_refused_in_words(tmp_path, name, change, words):
    home = make_robustness_folder(tmp_path)
    content = json.loads((home / name).read_text())
    change(content)
    (home / name).write_text(json.dumps(content))
    with pytest.raises(StorageError, match=words):
        read_robustness(home)


def test_an_audit_is_read_as_it_was_written(tmp_path):
    record = read_robustness(make_robustness_folder(tmp_path))
    assert (record.unit, record.label) == ("text", "topic")
    assert (record.said, record.cautions) == (tuple(SAID), tuple(CAUTIONS))
    assert record.perturbations == tuple(make_perturbations())
    assert record.displacement.rows == make_displacement().rows
    assert record.detection.rows == make_detection().rows
    assert record.probes.rows == make_probes().rows
    assert record.gates.rows == make_gates().rows


def test_rows_without_what_a_figure_draws_have_no_figure(tmp_path):
    home = make_robustness_folder(tmp_path, pieces=())
    for name in PIECES:
        rows = (Row(metric="amplification", value=1.0, map="case 0.1", target="local", split="clean"),)
        Result(name, rows).save(home / f"{name}.json")
    assert list(list_robustness(read_robustness(home))) == []


@pytest.mark.slow
def test_figures_of_the_audit_are_written_for_papers(study, tmp_path):
    from msma.reporting.figures import save_drawings

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("msma.reporting.figures.list_drawings", lambda r: list_robustness(r.robustness))
        names = {file.name for file in save_drawings(read_study(study), tmp_path)}
    drawn = {f"{name}.{suffix}" for name in FIGURES.values() for suffix in ("png", "svg", "pdf")}
    assert names == drawn | {"captions.md", "captions.tex"}
