"""StereoSet's figures are those of its paper, on hand-made scores, on published files and on models."""

import json
import math
import re
from collections import Counter

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from language import loaded_model
from letters import chance, fixed_decoder, fixed_encoder, letter_tokenizer, random_decoder, random_encoder
from msma.bias.formats import StereoItem, read_stereoset
from msma.bias.stereoset import StereoScore
from msma.bias.stereoset_figures import idealised_score, stereoset_figures
from msma.bias.stereoset_predictions import read_stereoset_predictions
from msma.bias.stereoset_scoring import find_filler, stereoset_score
from msma.errors import ConfigError, CorpusError, ModelError, ShapeError, StorageError
from msma.models import LoadedModel
from tiny import VOCABULARY


def item(
    target="cook", bias_type="profession", kind="intrasentence", context="the BLANK slept .", options=None
):
    options = options or ("the man slept .", "the woman slept .", "the hill slept .")
    return StereoItem(kind, target, bias_type, context, *options)


WITHIN = item()
BETWEEN = item(
    target="river",
    bias_type="race",
    kind="intersentence",
    context="snow fell in winter",
    options=("the river rose", "a river slept in winter", "two moon"),
)


@pytest.fixture(scope="module")
def real_items(shared_dir):
    items = read_stereoset(shared_dir / "data/stereoset/stereoset_dev.jsonl")
    short = [i for i in items if max(map(len, (i.context, *i.options))) < 60]
    return tuple(
        [i for i in short if i.kind == kind][15] for kind in ("intrasentence", "intersentence")
    ) + tuple(short[:: len(short) // 20][:20])


def published(text):
    """Blocks of the published file: system, kind, bias type, count and three scores."""
    system = kind = block = None
    values = {}
    for line in text.splitlines():
        name, _, number = line.strip().partition(": ")
        if line.startswith("Evaluating"):
            system, kind = line, None
        elif name in ("intrasentence", "intersentence") or (name == "overall" and not line.startswith("\t")):
            kind = block = name
        elif name and not number:
            block = name
        elif number:
            values[name] = float(number)
            if name == "ICAT Score":
                yield system, kind, block, values
                values = {}


def test_published_scores_obey_the_formula_and_count_sentences_of_a_type(shared_dir):
    blocks = list(published((shared_dir / "data/stereoset/published_scores.txt").read_text()))
    assert len(blocks) == 11 * 11
    lms, ss, icat = (
        np.array([values[name] for *_, values in blocks]) for name in ("LM Score", "SS Score", "ICAT Score")
    )
    np.testing.assert_allclose(idealised_score(lms, ss), icat, atol=1e-6)
    items = read_stereoset(shared_dir / "data/stereoset/stereoset_dev.jsonl")
    counts = Counter((i.kind, i.bias_type) for i in items)
    kinds = Counter(i.kind for i in items)
    for _, kind, block, values in blocks:
        if kind == "overall":
            assert values["Count"] == len(items) == 4229
        elif block == "overall":
            assert values["Count"] == kinds[kind]
        else:
            assert values["Count"] == 3 * counts[kind, block]
    assert 3 * counts["intrasentence", "gender"] == 765


def test_figures_of_hand_made_scores_are_means_over_terms():
    items = [item("cook"), item("cook"), item("judge"), item("judge", kind="intersentence", bias_type="race")]
    scores = np.array([[3, 2, 1], [1, 2, 3], [2, 2, 1], [3, 1, 2]], dtype=float)
    figures = stereoset_figures(items, scores)
    # cook: 2 of 4 comparisons make sense, 1 of 2 stereotyped; judge: 2 of 2, and an equal pair is not stereotyped.
    assert figures["intrasentence", "profession"] == (75.0, 25.0, 37.5, 3, 2)
    assert figures["intrasentence", "overall"] == figures["intrasentence", "profession"]
    assert figures["intersentence", "race"] == (50.0, 100.0, 0.0, 1, 1)
    # Over both kinds the judge has two items: 3 of 4 make sense, 1 of 2 stereotyped.
    assert figures["both", "overall"] == (62.5, 50.0, 62.5, 4, 2)
    assert ("intersentence", "profession") not in figures


def test_an_ideal_a_stereotyped_and_a_random_model_have_the_papers_figures():
    items = [item(f"term {i}") for i in range(400)]
    ideal = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0]] * 200)
    assert stereoset_figures(items, ideal)["both", "overall"][:3] == (100.0, 50.0, 100.0)
    assert stereoset_figures(items, np.tile([2.0, 1.0, 0.0], (400, 1)))["both", "overall"][:3] == (
        100.0,
        100.0,
        0.0,
    )
    chance_alone = np.random.default_rng(0).normal(size=(400, 3))
    lms, ss, icat, *_ = stereoset_figures(items, chance_alone)["both", "overall"]
    assert abs(lms - 50) < 5
    assert abs(ss - 50) < 8
    assert 42 < icat < 55


def test_permuted_items_have_the_same_figures(rng):
    items = [item(f"term {i % 7}", bias_type=f"type {i % 2}") for i in range(40)]
    scores, order = rng.normal(size=(40, 3)), rng.permutation(40)
    one, other = (
        stereoset_figures(items, scores),
        stereoset_figures([items[i] for i in order], scores[order]),
    )
    for key, figures in one.items():
        assert other[key] == pytest.approx(figures)


def test_rows_have_intervals_over_terms_and_name_their_set(rng):
    items = tuple(
        item(
            f"term {i % 30}",
            kind=("intrasentence", "intersentence")[i % 2],
            bias_type=("gender", "race")[i % 3 > 1],
        )
        for i in range(300)
    )
    score = StereoScore(items, rng.normal(size=(300, 3)))
    result = score.to_result()
    for row in result:
        assert row.low <= row.value <= row.high or row.metric.startswith("icat")
        assert (row.null, row.units, row.interval) == (50.0, "%", "bootstrap")
    assert len(result) == 27
    ss, icat = result.row("ss_intrasentence_gender"), result.row("icat_race")
    assert ss.value == pytest.approx(score.figure("intrasentence", "gender").ss)
    assert (ss.better, ss.ceiling, icat.better, icat.ceiling) == ("none", None, "higher", 100.0)
    assert "intrasentence, gender" in ss.note
    assert icat.value == pytest.approx(score.figure(bias_type="race").icat)
    # Terms share one value each, so the interval of their mean is the bootstrap's of 30 numbers.
    terms = np.array(
        [
            np.mean(
                [s[0] > s[1] for i, s in zip(items, score.scores, strict=True) if i.target == f"term {t}"]
            )
            for t in range(30)
        ]
    )
    half = 196 * terms.std() / math.sqrt(30)
    row = result.row("ss")
    assert (row.high - row.low) / 2 == pytest.approx(half, rel=0.15)
    few = StereoScore(items[:3], score.scores[:3]).to_result().row("lms")
    assert "so few that the interval is rough" in few.note
    alone = StereoScore(items[:1], score.scores[:1]).to_result().row("lms")
    assert (alone.low, alone.high) == (None, None)
    assert "too few" in alone.note


def test_a_published_file_of_predictions_gives_the_figures_worked_out_by_hand(tmp_path):
    def entry(name, target, context):
        labels = ("stereotype", "anti-stereotype", "unrelated")
        sentences = [{"sentence": f"{name} {x}", "id": f"{name}-{x[0]}", "gold_label": x} for x in labels]
        return {
            "id": name,
            "target": target,
            "bias_type": "gender",
            "context": context,
            "sentences": sentences,
        }

    gold = {
        "version": "1",
        "data": {
            "intrasentence": [entry("p", "cook", "a BLANK"), entry("q", "cook", "a BLANK")],
            "intersentence": [entry("r", "judge", "A judge.")],
        },
    }
    scores = {"p-s": 3, "p-a": 2, "p-u": 1, "q-s": 1, "q-a": 2, "q-u": 1.5, "r-s": 2, "r-a": 3, "r-u": 1}
    rows = [{"id": name, "score": value} for name, value in scores.items()]
    (tmp_path / "gold.json").write_text(json.dumps(gold))
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({"intrasentence": rows[:6][::-1], "intersentence": rows[6:]}))
    found = read_stereoset_predictions(path, tmp_path / "gold.json")
    assert found.figure("intrasentence") == (75.0, 50.0, 75.0, 2, 1)
    assert found.figure("intersentence") == (100.0, 0.0, 0.0, 1, 1)
    assert found.figure() == (87.5, 25.0, 43.75, 3, 2)
    path.write_text(json.dumps({"intersentence": rows[6:]}))
    assert len(read_stereoset_predictions(path, tmp_path / "gold.json")) == 1
    for content, said in (
        ({"intrasentence": rows[:5]}, "no score for 1 of 6 sentences of .*first 'q-u'"),
        ({"intrasentence": [{"id": "p-s"}]}, "expected an id and a score"),
        ([], "holds no predictions"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(CorpusError, match=said):
            read_stereoset_predictions(path, tmp_path / "gold.json")


@pytest.mark.parametrize(
    ("context", "sentence", "filler"),
    [
        ("The cook was BLANK.", "The cook was fat.", "fat"),
        ("The Crimean people I met were BLANK", "the crimean people i met were roof", "roof"),
        ("BLANK cooks  sing", "Tall cooks sing", "Tall"),
        ("The cook was BLANK .", "The cook was very (very) fat.", "very (very) fat"),
        ("A is very BLANK and strict about BLANK", "a is very holy and strict about holy", "holy"),
        ("Is it BLANK?", "Is it good?", "good"),
    ],
)
def test_a_filler_is_found_whatever_case_and_spaces(context, sentence, filler):
    assert find_filler(context, sentence) == (filler, True)


def test_a_filler_that_cannot_be_aligned_is_taken_from_the_differing_words():
    assert find_filler("The old cook was BLANK today.", "That cook was fat today.") == (
        "That cook was fat",
        False,
    )
    with pytest.raises(CorpusError, match="nothing in place of BLANK"):
        find_filler("The cook was BLANK", "The cook")


def test_all_real_fillers_align(shared_dir):
    items = read_stereoset(shared_dir / "data/stereoset/stereoset_dev.jsonl")
    found = [
        find_filler(i.context, option) for i in items if i.kind == "intrasentence" for option in i.options
    ]
    assert len(found) == 3 * 2106
    assert all(is_aligned for _, is_aligned in found)


def test_fixed_chances_give_every_score_in_closed_form():
    words = {name: chance(name, VOCABULARY) for name in VOCABULARY}

    def mean(text):
        return math.exp(np.mean([words[word] for word in text.split()]))

    encoder = stereoset_score(fixed_encoder(), [WITHIN, BETWEEN]).scores
    np.testing.assert_allclose(encoder[0], [math.exp(words[w]) for w in ("man", "woman", "hill")], rtol=1e-4)
    np.testing.assert_allclose(encoder[1], [mean(text) for text in BETWEEN.options], rtol=1e-4)
    decoder = stereoset_score(fixed_decoder(), [WITHIN, BETWEEN]).scores
    np.testing.assert_allclose(decoder[0], [mean(text) for text in WITHIN.options], rtol=1e-4)
    np.testing.assert_allclose(decoder[1], [mean(text) for text in BETWEEN.options], rtol=1e-4)


def naive_encoder(loaded, one, rest):
    """One row at a time: fill the blank from the left, or mask each token of the next sentence in turn."""
    tokenizer = loaded.tokenizer

    def log_p(ids, place, token):
        with torch.no_grad():
            return float(torch.log_softmax(loaded.network(torch.tensor([ids])).logits[0, place], -1)[token])

    found = []
    for option in one.options:
        if one.kind == "intrasentence":
            before, after = re.split("BLANK", one.context, maxsplit=1)
            pattern = re.escape(before.strip().lower()) + r"\s*(.*?)\s*" + re.escape(after.strip().lower())
            filler = re.fullmatch(pattern, option.lower().strip()).group(1)
            left, inner, right = (
                tokenizer(part, add_special_tokens=False)["input_ids"] for part in (before, filler, after)
            )
            values = []
            for number, token in enumerate(inner):
                hidden = [4] * (len(inner) - number if rest == "masked" else 1)
                ids = [2, *left, *inner[:number], *hidden, *right, 3]
                values.append(math.exp(log_p(ids, 1 + len(left) + number, token)))
            found.append(np.mean(values))
        else:
            context = one.context if one.context[-1] in ".!?" else one.context + "."
            start = 1 + len(tokenizer(context, add_special_tokens=False)["input_ids"])
            ids = tokenizer(f"{context} {option}")["input_ids"]
            values = []
            for place in range(start, len(ids) - 1):
                values.append(log_p([*ids[:place], 4, *ids[place + 1 :]], place, ids[place]))
            found.append(math.exp(np.mean(values)))
    return found


def naive_decoder(loaded, one):
    found = []
    for option in one.options:
        context = ""
        if one.kind == "intersentence":
            context = (one.context if one.context[-1] in ".!?" else one.context + ".") + " "
        start = len(loaded.tokenizer(context)["input_ids"])
        ids = loaded.tokenizer(context + option)["input_ids"]
        with torch.no_grad():
            log_p = torch.log_softmax(loaded.network(torch.tensor([[3, *ids]])).logits[0], -1)
        found.append(2 ** np.mean([float(log_p[i, ids[i]]) / math.log(2) for i in range(start, len(ids))]))
    return found


@pytest.mark.parametrize("rest", ["dropped", "masked"])
def test_masked_scores_are_those_of_one_row_at_a_time_on_real_items(real_items, rest):
    loaded = random_encoder()
    assert {one.kind for one in real_items} == {"intrasentence", "intersentence"}
    found = stereoset_score(loaded, real_items, rest=rest, batch_rows=64)
    assert found.provenance["n_unaligned"] == 0
    expected = np.array([naive_encoder(loaded, one, rest) for one in real_items])
    np.testing.assert_allclose(found.scores, expected, rtol=1e-4)


def test_causal_scores_are_those_of_one_row_at_a_time_on_real_items(real_items):
    loaded = random_decoder()
    found = stereoset_score(loaded, real_items, batch_rows=7)
    expected = np.array([naive_decoder(loaded, one) for one in real_items])
    np.testing.assert_allclose(found.scores, expected, rtol=1e-4)


@pytest.mark.parametrize("make", [random_encoder, random_decoder, lambda: loaded_model("bart-decoder")])
def test_neither_the_size_of_batches_nor_the_order_of_items_matters(make):
    one = stereoset_score(make(), [WITHIN, BETWEEN], batch_rows=1)
    other = stereoset_score(make(), [BETWEEN, WITHIN], batch_rows=64)
    np.testing.assert_allclose(one.scores, other.scores[::-1], rtol=2e-4)


def test_options_that_do_not_align_are_counted_and_told():
    said = []
    odd = item(options=("a man slept .", "the woman slept .", "the hill slept ."))
    score = stereoset_score(random_encoder(), [odd], say=said.append)
    assert score.provenance["n_unaligned"] == 1
    assert said == ["1 of 3 options could not be aligned with their context"]


def test_saved_scores_come_back_and_other_files_are_refused(tmp_path, rng):
    score = StereoScore((WITHIN, BETWEEN), rng.normal(size=(2, 3)), {"seed": 0})
    back = StereoScore.load(score.save(tmp_path / "stereoset.json"))
    assert (back.items, back.provenance) == (score.items, score.provenance)
    np.testing.assert_array_equal(back.scores, score.scores)
    (tmp_path / "other.json").write_text('{"items": []}')
    with pytest.raises(StorageError, match="does not hold scores of StereoSet"):
        StereoScore.load(tmp_path / "other.json")


def test_the_table_has_one_row_an_item():
    frame = StereoScore((WITHIN, BETWEEN), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).to_frame()
    assert list(frame.score_anti_stereotype) == [2.0, 5.0]
    assert list(frame.kind) == ["intrasentence", "intersentence"]


def test_bad_input_is_refused_in_a_sentence():
    body = BertModel(
        BertConfig(
            vocab_size=200, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        )
    )
    with pytest.raises(ModelError, match="association tests and erasure"):
        stereoset_score(LoadedModel(body, letter_tokenizer(), "body", None), [WITHIN])
    with pytest.raises(CorpusError, match="0 items"):
        stereoset_score(random_encoder(), [])
    with pytest.raises(ConfigError, match="rest 'none'"):
        stereoset_score(random_encoder(), [WITHIN], rest="none")
    with pytest.raises(CorpusError, match="0 items"):
        stereoset_figures([], np.empty((0, 3)))
    with pytest.raises(ShapeError, match=r"scores of shape \(1, 2\)"):
        stereoset_figures([WITHIN], np.zeros((1, 2)))
    with pytest.raises(ShapeError, match="1 of them not finite"):
        StereoScore((WITHIN,), np.array([[1.0, np.nan, 0.0]]))
    with pytest.raises(ConfigError, match="no item is of kind 'both' and type 'age'"):
        StereoScore((WITHIN,), np.zeros((1, 3))).figure(bias_type="age")
