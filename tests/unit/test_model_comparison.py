"""Two models on the same texts: rotated copies, independent states, other texts, and every refusal."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from compared_studies import LAYERS, N, make_layers, make_rotation, make_study, make_texts
from msma._types import SCALES
from msma.alignment import Alignment
from msma.cli.comparing import register
from msma.errors import CorpusError, OriginError, ShapeError, StorageError
from msma.measures.similarity import cka, mutual_knn_overlap, r2
from msma.model_comparison import StudyComparison, compare_studies, matching
from msma.model_comparison.kernels import (
    Kernel,
    cka_parts,
    keep_neighbours,
    rank_neighbours,
    share_neighbours,
    shuffle_neighbours,
)
from msma.model_comparison.matching import match_sides
from msma.model_comparison.paired import error_shares, flip_signs
from msma.model_comparison.prediction import cosines, mean_null, r2_parts
from msma.model_comparison.sides import name_sides, read_sides
from msma.plotting import save_figure
from msma.plotting.cross_similarity import plot_cross_similarity
from msma.reporting.comparison import render_comparison
from msma.resampling import group_documents, jackknife_interval, shuffle_documents
from msma.scales import ScalePartition
from msma.states import HiddenStates
from msma.storage import read_json, write_json


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("first"), make_layers(), is_scored=True)


@pytest.fixture(scope="module")
def rotated(tmp_path_factory):
    documents = np.random.default_rng(3).permutation(N // 2)
    order = (2 * documents[:, None] + np.arange(2)).ravel()  # a document keeps its own order
    return make_study(
        tmp_path_factory.mktemp("rotated"), make_layers() @ make_rotation(), model="second", order=order
    )


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    array = make_layers()
    array = array + 0.4 * np.random.default_rng(8).normal(size=array.shape)
    return make_study(
        tmp_path_factory.mktemp("changed"), array, model="changed", boundaries=(2, 5), is_scored=True
    )


@pytest.fixture(scope="module")
def comparison(first, changed):
    return compare_studies(first, changed)


# A study and itself


def test_a_study_is_like_itself_and_differs_in_nothing(first):
    said = []
    found = compare_studies(first, first, say=said.append)
    assert found.names == ("first A", "first B")
    assert np.diag(np.array(found.similarity)) == pytest.approx(1.0)
    differences = found.table.where(map="difference")
    assert {row.value for row in differences if row.metric != "error_share_p"} == {0.0}
    assert all(row.low == row.high == 0.0 for row in differences if row.interval)
    assert {row.value for row in found.table.where(metric="error_share_p")} == {1.0}
    for scale in SCALES:
        assert found.table.value("cross_cka", source=scale, target=scale) == pytest.approx(1.0)
        assert found.table.value("cross_knn", source=scale, target=scale) == 1.0
    assert all(text.difference == 0.0 and text.overlap_global == 1.0 for text in found.texts)
    assert "Their weights are the same." in found.describe()
    assert found.describe().count("as far from their targets in both") == 3
    assert len(said) == 4


def test_every_layer_of_a_study_matches_itself_best(first):
    rows = compare_studies(first, first).table.where(metric="layer_cka_best").rows
    assert len(rows) == 2 * LAYERS
    assert all(row.value == pytest.approx(1.0) and f"layer {row.layer} of" in row.note for row in rows)
    assert all(abs(row.null) < 0.25 for row in rows)


# Known answers between two models


def test_a_rotated_copy_in_another_order_is_the_same(first, rotated):
    found = compare_studies(first, rotated)
    assert found.names == ("first", "second")
    for scale in SCALES:
        assert found.table.value("cross_cka", source=scale, target=scale) == pytest.approx(1.0, abs=1e-5)
        assert found.table.value("cross_knn", source=scale, target=scale) > 0.999
        for way in ("first → second", "second → first"):
            row = found.table.row("cross_r2", source=scale, map=way)
            assert row.value > 0.999
            assert row.null < 0.1
    assert np.diag(np.array(found.similarity)) == pytest.approx(1.0, abs=1e-5)
    assert max(abs(text.difference) for text in found.texts) < 1e-3
    assert "every scale is most like the scale of the same name" in found.describe()


def test_independent_states_have_nothing_in_common(first, tmp_path):
    other = make_study(tmp_path, make_layers(seed=99), model="other")
    found = compare_studies(first, other)
    for row in found.table.where(metric="cross_cka"):
        assert abs(row.value) < 0.15
        assert abs(row.null) < 0.1
        assert row.low < row.null + 0.1
    n = found.provenance["n_test"]
    for row in found.table.where(metric="cross_knn"):
        assert row.value == pytest.approx(10 / (n - 1), abs=0.08)
        assert row.null == pytest.approx(10 / (n - 1), abs=0.05)
    assert all(row.value < 0.1 for row in found.table.where(metric="cross_r2"))
    margins = [row.low < 0 < row.high for row in found.table.where(metric="cross_cka_margin")]
    assert sum(margins) >= 4
    assert "is clearly the most alike" in found.describe() or "more like a scale" in found.describe()


def test_models_of_other_depth_and_width_are_compared(first, tmp_path):
    array = np.concatenate([make_layers(), make_layers()[:, :, :2]], axis=2)[[0, 1, 3, 5]]
    found = compare_studies(first, make_study(tmp_path, array, model="small", boundaries=(1, 3)))
    assert np.array(found.similarity).shape == (LAYERS, 4)
    assert found.table.value("boundary_depth", map="small", target="intermediate") == pytest.approx(1 / 3)
    assert found.table.value("boundary_depth", map="first", target="intermediate") == pytest.approx(2 / 5)
    difference = found.table.row("boundary_depth", map="difference", target="intermediate")
    assert difference.value == pytest.approx(1 / 3 - 2 / 5)
    assert found.plot().get_xlabel() == "layer of small"


def test_a_scale_named_otherwise_is_told(first, tmp_path):
    """The second's local scale is the first's global one and the other way round."""
    found = compare_studies(first, make_study(tmp_path, make_layers()[::-1].copy(), model="reversed"))
    assert "more like a scale of another name are: local (first → reversed)" in found.describe()
    lost = found.table.row("cross_cka_margin", source="local", map="first → reversed")
    assert lost.high < 0
    assert "(global)" in lost.note


# What is computed is what it is said to be


def test_parts_of_cka_are_those_of_the_samples_kept():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 6))
    y[:, :3] += x
    groups = rng.integers(0, 5, size=40)
    order = rng.permutation(40)
    one, other = Kernel.from_states(x, groups), Kernel.from_states(y, groups)
    parts, shuffled = cka_parts(one, other), cka_parts(one.permute(order), other)
    for number, group in enumerate(np.unique(groups)):
        kept = groups != group
        assert parts[number] == pytest.approx(cka(x[kept], y[kept]))
        assert shuffled[number] == pytest.approx(cka(x[order][kept], y[kept]))
    assert parts[-1] == pytest.approx(cka(x, y))
    assert shuffled[-1] == pytest.approx(cka(x[order], y))


def test_shared_neighbours_are_the_measure():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    y = x + 0.5 * rng.normal(size=(60, 3))
    order = rng.permutation(60)
    groups = rng.integers(0, 4, size=60)
    ranked = rank_neighbours(x, groups), rank_neighbours(y, groups)
    for group in np.unique(groups):
        kept = groups != group
        near = [keep_neighbours(side, groups, without=int(group)) for side in ranked]
        assert share_neighbours(*near).mean() == pytest.approx(mutual_knn_overlap(x[kept], y[kept]))
    near = [keep_neighbours(side, groups) for side in ranked]
    assert share_neighbours(*near).mean() == pytest.approx(mutual_knn_overlap(x, y))
    moved = shuffle_neighbours(near[0], order)
    assert share_neighbours(moved, near[1]).mean() == pytest.approx(mutual_knn_overlap(x[order], y))


def test_paired_differences_have_the_jackknife_over_documents(first, changed, comparison):
    sides = read_sides(first, changed)
    common = match_sides(*sides)
    groups = group_documents(common.documents, seed=0)
    outputs = []
    for side, states in zip(sides, common.test, strict=True):
        scales = side.alignment.representation_.transform(states)
        outputs.append((side.alignment.transform(states)["global", "local"], scales["local"]))

    def difference(kept):
        one, other = (float(r2(mapped[kept], target[kept])) for mapped, target in outputs)
        return other - one

    expected = jackknife_interval(difference, groups)
    row = comparison.table.row("r2", source="global", target="local", map="difference")
    assert (row.value, row.low, row.high) == pytest.approx(expected[:3])
    assert row.value < 0
    assert row.null == 0.0
    errors = comparison.table.row("error_share", source="global", target="local", map="difference")
    assert errors.value == pytest.approx(-row.value)
    null = np.mean(
        [
            float(r2(outputs[0][0][order], outputs[0][1]))
            for order in (shuffle_documents(common.documents, seed=s) for s in range(3))
        ]
    )
    assert comparison.table.row("r2", source="global", target="local", map="first").null == pytest.approx(
        null
    )


def test_errors_and_texts_are_those_of_the_common_test(comparison):
    table = comparison.table
    n = comparison.provenance["n_test"]
    assert len(comparison.texts) == 3 * n
    for source, target in (("global", "intermediate"), ("intermediate", "local"), ("global", "local")):
        own = [t for t in comparison.texts if (t.source, t.target) == (source, target)]
        for side, name in (("first", "first"), ("second", "changed")):
            mean = np.mean([getattr(text, side) for text in own])
            assert table.value("error_share", source=source, target=target, map=name) == pytest.approx(mean)
            r2_value = table.value("r2", source=source, target=target, map=name)
            assert r2_value == pytest.approx(1 - mean)
    sizes = [abs(text.difference) for text in comparison.texts]
    assert sizes == sorted(sizes, reverse=True)
    assert all(t.second - t.first == t.difference for t in comparison.texts)
    overlap = np.mean([t.overlap_local for t in comparison.texts])
    assert overlap == pytest.approx(table.value("cross_knn", source="local", target="local"))


def test_what_changed_is_told(comparison):
    row = comparison.table.row("error_share_p", source="global", target="local")
    assert row.value < 0.05
    assert "Holm" in row.note
    said = comparison.describe()
    assert "they are nearer in first" in said
    assert "The text that differs most" in said
    assert "nan" not in said


def test_published_measures_stand_beside_each_other_without_a_paired_interval(first, changed, comparison):
    for metric in ("cka", "kl"):
        place = {"source": "global", "target": "local", "split": "test"}
        one, other, gap = (
            comparison.table.row(metric, map=m, **place) for m in ("first", "changed", "difference")
        )
        assert gap.value == pytest.approx(other.value - one.value)
        assert gap.low is None
        assert "no paired interval" in gap.note
        assert one.note.startswith("map: ridge")
    probes = [row for row in comparison.table if row.metric == "probe_topic" and row.map == "difference"]
    assert [row.value for row in probes] == [0.0, 0.0, 0.0]
    assert not [row for row in comparison.table if row.metric == "r2" and row.split == "test"]


def test_without_labels_on_one_side_there_is_no_difference_of_probes(first, tmp_path):
    found = compare_studies(first, make_study(tmp_path, make_layers(1), model="bare", probes=False))
    assert not [row for row in found.table if row.metric.startswith("probe_")]


def test_a_value_that_one_study_lacks_is_told(first, changed, tmp_path):
    folder = make_study(tmp_path, make_layers(1), model="lacking", is_scored=True)
    path = folder / "tables" / "evaluation.json"
    content = json.loads(path.read_text())
    for row in content["rows"]:
        if row["metric"] == "kl":
            row.update(value=None, low=None, high=None, note="not finite")
    path.write_text(json.dumps(content))
    row = compare_studies(first, folder).table.row("kl", source="global", target="local", map="difference")
    assert row.value is None
    assert "one side has no value" in row.note
    assert "made differently" in row.note


def test_cosines_are_seen_from_the_centre():
    centre = np.array([1.0, 1.0])
    found = cosines(np.array([[2.0, 1.0], [1.0, 1.0]]), np.array([[1.0, 3.0], [2.0, 2.0]]), centre)
    assert found.tolist() == [0.0, 0.0]


def test_a_target_that_does_not_vary_has_no_share():
    flat, groups = np.ones((4, 2)), np.arange(4)
    assert np.isnan(r2_parts(flat + 1, flat, groups)).all()
    assert np.isnan(mean_null(flat, flat, [groups]))
    assert np.isnan(error_shares(flat + 1, flat)).all()


@pytest.mark.parametrize(("n", "exact"), [(3, 2 / 8), (5, 2 / 32)])
def test_the_sign_flip_test_is_exact_up_to_its_draws(n, exact):
    assert flip_signs(np.ones(n), np.arange(n)) == pytest.approx(exact, abs=0.015)
    # Two samples of opposite differences in every document cancel.
    halves = np.tile([1.0, -1.0], n)
    assert flip_signs(halves, np.repeat(np.arange(n), 2)) == 1.0


def test_the_sign_flip_test_keeps_its_level():
    rng = np.random.default_rng(0)
    p_values = [flip_signs(rng.normal(size=20), np.arange(20), seed=s) for s in range(100)]
    assert np.mean(np.array(p_values) < 0.05) < 0.13


def test_a_layer_that_does_not_vary_has_no_value(first, tmp_path):
    array = make_layers()
    array[0] = 1.0
    found = compare_studies(first, make_study(tmp_path / "flat", array, model="flat"))
    assert all(line[0] is None for line in found.similarity)
    row = found.table.row("layer_cka_best", layer=0, map="flat → first")
    assert (row.value, row.target) == (None, None)
    assert "does not vary" in row.note
    assert "5 of 5 of flat" in found.describe()
    assert found.describe()
    assert StudyComparison.load(found.save(tmp_path / "saved")) == found
    save_figure(found.plot(), tmp_path / "figure", formats=("svg",))


# Which samples


def test_only_what_both_held_out_is_compared(tmp_path):
    array = make_layers(n=1200, width=3)
    one = make_study(tmp_path / "one", array)
    other = make_study(tmp_path / "other", array @ make_rotation(3), model="second", seed=7)
    sides = read_sides(one, other)
    common = match_sides(*sides)
    splits = [side.splits for side in sides]
    assert 20 <= len(common.test[0]) < len(splits[0].test)
    for states, split in zip(common.test, splits, strict=True):
        assert set(states.texts) <= set(split.test.texts)
    for states, split in zip(common.train, splits, strict=True):
        assert set(states.texts) <= set(split.train.texts)
    assert common.test[0].texts == common.test[1].texts
    assert common.train[0].texts == common.train[1].texts
    assert set(common.positions) == {0, 1}
    found = compare_studies(one, other)
    assert found.table.value("cross_cka", source="local", target="local") == pytest.approx(1.0, abs=1e-5)


def test_more_samples_than_can_be_held_are_drawn_from(first, rotated, monkeypatch):
    monkeypatch.setattr(matching, "MOST_SAMPLES", 30)
    found = compare_studies(first, rotated)
    assert found.provenance["n_test"] == 30
    assert found.provenance["n_test_found"] == 60
    assert {row.n for row in found.table.where(metric="cross_cka")} == {30}
    assert len(found.texts) == 90


def test_other_texts_are_refused_by_name(first, tmp_path):
    texts, documents = make_texts(tail=", another one")
    other = make_study(tmp_path / "others", make_layers(), model="other", texts=texts, documents=documents)
    with pytest.raises(CorpusError, match="0 train samples") as caught:
        compare_studies(first, other)
    assert str(first) in str(caught.value)
    assert "others" in str(caught.value)


def test_too_few_common_test_samples_are_refused(first, tmp_path):
    texts, documents = make_texts()
    held = set(HiddenStates.load(first / "states").split().test.texts)
    texts = [f"{t}, changed" if t in held else t for t in texts]
    other = make_study(tmp_path, make_layers(), model="other", texts=texts, documents=documents)
    with pytest.raises(CorpusError, match="0 test samples"):
        compare_studies(first, other)


def test_other_units_are_refused(first, tmp_path):
    other = make_study(tmp_path, make_layers(), model="other", unit="sentence")
    with pytest.raises(OriginError, match=r"one sample a text and .* one sample a sentence"):
        compare_studies(first, other)


def test_tokens_of_another_tokenizer_are_refused(tmp_path):
    texts, documents = make_texts()
    one = make_study(tmp_path / "one", make_layers(), unit="token")
    two = make_study(tmp_path / "two", make_layers(), model="second", unit="token")
    assert compare_studies(one, two).provenance["unit"] == "token"
    texts = [f"▁{text}" for text in texts]
    other = make_study(
        tmp_path / "other", make_layers(), model="other", unit="token", texts=texts, documents=documents
    )
    with pytest.raises(OriginError, match="other tokenizers or other texts"):
        compare_studies(one, other)


def test_maps_fitted_on_the_test_are_refused(first, tmp_path):
    other = make_study(tmp_path / "leaking", make_layers(), model="leaking")
    states = HiddenStates.load(other / "states")
    Alignment().fit(states, ScalePartition.load(other / "scales.json")).save(other / "alignment")
    with pytest.raises(CorpusError, match=r"leaking' were fitted on 60 of 60 samples"):
        compare_studies(first, other)


def test_maps_of_another_model_are_refused(first, tmp_path):
    other = make_study(tmp_path, make_layers(), model="other")
    Alignment.load(first / "alignment").save(other / "alignment")
    with pytest.raises(OriginError, match="fit an alignment on this model"):
        compare_studies(first, other)


def test_what_is_no_study_is_refused(first, tmp_path):
    with pytest.raises(StorageError, match="no folder"):
        compare_studies(first, tmp_path / "missing")
    with pytest.raises(StorageError):
        compare_studies(tmp_path, first)


@pytest.mark.parametrize(
    ("models", "revisions", "names"),
    [
        (("a/b", "c"), (None, None), ("a/b", "c")),
        (("/runs/x/one", "/runs/x/two"), (None, None), ("one", "two")),
        (("./one", "one"), (None, None), ("one A", "one B")),
        (("m", "m"), ("abc", None), ("m A", "m B")),
        (("m", "m"), ("abc", "abc"), ("m A", "m B")),
        (("m", "m"), ("abc", "def"), ("m@abc", "m@def")),
    ],
)
def test_names_differ(models, revisions, names):
    assert name_sides(models, revisions) == names


# Keeping and showing


def test_saved_and_loaded_it_is_the_same(comparison, tmp_path):
    place = comparison.save(tmp_path / "deep" / "folder")
    loaded = StudyComparison.load(place)
    assert loaded == comparison
    assert loaded.describe() == comparison.describe() == read_json(place / "comparison.json")["said"]
    assert comparison.to_result() is comparison.table
    assert len(comparison.to_frame()) == len(comparison.table)
    assert comparison.texts_to_frame()["text"].iloc[0] == comparison.texts[0].text
    assert "rows" in repr(comparison)


@pytest.mark.parametrize("damage", ["names", "texts", "boundaries", "similarity"])
def test_a_damaged_comparison_is_refused(comparison, tmp_path, damage):
    place = comparison.save(tmp_path)
    content = read_json(place / "comparison.json")
    del content[damage]
    write_json(place / "comparison.json", content)
    with pytest.raises(StorageError, match="no comparison"):
        StudyComparison.load(place)
    with pytest.raises(StorageError, match="there is no file"):
        StudyComparison.load(tmp_path / "missing")


def test_the_same_seed_gives_the_same_numbers(first, changed, comparison):
    again, other = compare_studies(first, changed), compare_studies(first, changed, seed=1)
    assert again == comparison
    assert other.table.value(
        "r2", source="global", target="local", map="difference"
    ) == comparison.table.value("r2", source="global", target="local", map="difference")


@pytest.mark.parametrize("width", [3.5, 7.0])
def test_the_figure_frames_the_scales_and_marks_the_best(comparison, width):
    axes = comparison.plot(width=width)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("layer of changed", "layer of first")
    assert len(axes.lines) == LAYERS
    figure = axes.get_figure()
    figure.draw_without_rendering()
    box = figure.bbox
    # Everything written lies within the figure.
    for text in [t for t in axes.texts if t.get_text()] + [axes.xaxis.label, axes.yaxis.label]:
        extent = text.get_window_extent()
        assert box.x0 <= extent.x0
        assert extent.x1 <= box.x1
        assert box.y0 <= extent.y0
        assert extent.y1 <= box.y1


def test_what_is_no_matrix_is_not_drawn():
    with pytest.raises(ShapeError, match="layers of one model x layers of another"):
        plot_cross_similarity(np.zeros(3), ((1, 2), (1, 2)))
    with pytest.raises(ShapeError, match="boundaries"):
        plot_cross_similarity(np.zeros((3, 4)), ((1, 3), (1, 2)))


def make_app():
    app = typer.Typer()
    register(app)
    return app


def test_the_command_shows_scales_rows_and_texts(first, changed, tmp_path):
    ran = CliRunner().invoke(make_app(), [str(first), str(changed), "--out", str(tmp_path), "--top", "2"])
    assert ran.exit_code == 0, ran.output
    for words in ("A is first, B is changed", "intermediate", "R2 A→B", "B − A", "differ most", "paired"):
        assert words in ran.output
    for name in ("comparison.json", "results.json", "comparison.html", "layers.png", "layers.svg"):
        assert (tmp_path / name).is_file()
    assert StudyComparison.load(tmp_path).names == ("first", "changed")


def test_the_command_speaks_json(first, changed, tmp_path):
    ran = CliRunner().invoke(make_app(), [str(first), str(changed), "--out", str(tmp_path), "--json"])
    assert ran.exit_code == 0
    rows = json.loads(ran.stdout)["rows"]
    assert {"cross_cka", "cross_r2", "cross_knn", "error_share_p"} <= {row["metric"] for row in rows}


def test_the_page_shows_what_was_found_and_no_text_becomes_markup(comparison):
    text = replace(comparison.texts[0], text="<script>owned()</script> " + "long " * 200)
    page = render_comparison(replace(comparison, texts=(text, *comparison.texts[1:])))
    assert "<script>owned" not in page
    assert "&lt;script&gt;owned" in page
    assert "long …" in page
    assert page.count("http") == page.count("http-equiv") + page.count("http://www.w3.org")
    for words in (comparison.sentences()[-2][:40], "no paired interval", "20 of 180 texts", "second: map"):
        assert words in page
    assert "The texts that differ most" not in render_comparison(replace(comparison, texts=()))


def test_rows_are_unique_by_what_they_say(comparison):
    keys = [(r.metric, r.source, r.target, r.layer, r.split, r.map) for r in comparison.table]
    assert len(keys) == len(set(keys))
    pairs = {(r.source, r.target) for r in comparison.table.where(metric="cross_cka")}
    assert pairs == set(product(SCALES, SCALES))


def test_a_comparison_without_texts_still_speaks(comparison):
    assert replace(comparison, texts=()).describe()
