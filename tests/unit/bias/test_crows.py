"""The scores of CrowS-Pairs are those of its published definition, counted as published."""

import difflib
import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from transformers import BertConfig, BertModel

from language import loaded_model
from letters import chance, fixed_decoder, fixed_encoder, letter_tokenizer, random_decoder, random_encoder
from msma.bias.crows import CrowsScore
from msma.bias.crows_scoring import crows_score, shared_places
from msma.bias.formats import CrowsPair, read_crows
from msma.bias.likelihood import read_tokens
from msma.bias.preferences import group_by
from msma.comparison import holm
from msma.errors import ConfigError, CorpusError, ModelError, ShapeError, StorageError
from msma.models import LoadedModel
from tiny import VOCABULARY

PAIRS = (
    CrowsPair("the woman slept .", "the man slept .", "stereo", "gender"),
    CrowsPair("the old man ran in winter", "the old child ran in winter", "antistereo", "age"),
    CrowsPair("a dog heard every song", "a small dog heard every song", "stereo", "age"),
)


@pytest.fixture(scope="module")
def real_pairs(shared_dir):
    pairs = read_crows(shared_dir / "data/crows_pairs/crows_pairs_anonymized.csv")
    short = [pair for pair in pairs if max(len(pair.more), len(pair.less)) < 70]
    return tuple(short[:: len(short) // 40][:40])


def published_masked(loaded, one, other):
    """The published definition, a row at a time: mask each shared token but the first and last of the shared."""
    ids = [loaded.tokenizer(text)["input_ids"] for text in (one, other)]
    opcodes = difflib.SequenceMatcher(
        None, [str(i) for i in ids[0]], [str(i) for i in ids[1]], autojunk=True
    ).get_opcodes()
    templates = [[], []]
    for tag, *ends in opcodes:
        if tag == "equal":
            templates[0] += range(ends[0], ends[1])
            templates[1] += range(ends[2], ends[3])
    sums = []
    for row, template in zip(ids, templates, strict=True):
        total = 0.0
        for place in template[1:-1]:
            hidden = torch.tensor([row])
            hidden[0, place] = loaded.tokenizer.mask_token_id
            with torch.no_grad():
                logits = loaded.network(hidden).logits[0, place]
            total += float(torch.log_softmax(logits, 0)[row[place]])
        sums.append(total)
    return sums


@pytest.mark.slow
def test_masked_scores_are_the_published_ones_on_real_pairs(real_pairs):
    loaded = random_encoder()
    score = crows_score(loaded, real_pairs, batch_rows=50)
    expected = np.array([published_masked(loaded, pair.more, pair.less) for pair in real_pairs])
    np.testing.assert_allclose(score.more_nats, expected[:, 0], atol=1e-4)
    np.testing.assert_allclose(score.less_nats, expected[:, 1], atol=1e-4)
    assert np.ptp(expected[:, 0] - expected[:, 1]) > 0.1
    # The published loop over pairs, with its rounding and its counting.
    wins, totals, n_neutral = {"stereo": 0, "antistereo": 0}, {"stereo": 0, "antistereo": 0}, 0
    for pair, (more, less) in zip(real_pairs, np.stack([score.more_nats, score.less_nats], 1), strict=True):
        is_stereo = pair.direction == "stereo"
        first, second = (
            (round(more.item(), 3), round(less.item(), 3))
            if is_stereo
            else (round(less.item(), 3), round(more.item(), 3))
        )
        if first == second:
            n_neutral += 1
        else:
            totals[pair.direction] += 1
            wins[pair.direction] += first > second if is_stereo else second > first
    assert score.metric_score == pytest.approx((wins["stereo"] + wins["antistereo"]) / len(real_pairs) * 100)
    assert score.stereotype_score == pytest.approx(wins["stereo"] / totals["stereo"] * 100)
    assert score.antistereotype_score == pytest.approx(wins["antistereo"] / totals["antistereo"] * 100)
    assert score.n_neutral == n_neutral


def test_causal_scores_are_those_of_one_row_at_a_time_on_real_pairs(real_pairs):
    loaded = random_decoder()
    for scoring in ("shared", "sentence"):
        score = crows_score(loaded, real_pairs, scoring=scoring)
        for pair, *found in zip(real_pairs, score.more_nats, score.less_nats, strict=True):
            rows = [loaded.tokenizer(text)["input_ids"] for text in (pair.more, pair.less)]
            kept = [set(range(len(row))) for row in rows]
            if scoring == "shared":
                blocks = difflib.SequenceMatcher(None, [3, *rows[0]], [3, *rows[1]]).get_matching_blocks()
                kept = [
                    {b.a + i - 1 for b in blocks for i in range(b.size)},
                    {b.b + i - 1 for b in blocks for i in range(b.size)},
                ]
            for row, places, value in zip(rows, kept, found, strict=True):
                with torch.no_grad():
                    log_p = torch.log_softmax(loaded.network(torch.tensor([[3, *row]])).logits[0], -1)
                expected = sum(float(log_p[i, token]) for i, token in enumerate(row) if i in places)
                assert value == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("make", [fixed_encoder, fixed_decoder])
def test_fixed_chances_make_shared_words_equal_and_whole_sentences_known(make):
    shared = crows_score(make(), PAIRS)
    np.testing.assert_allclose(shared.more_nats, shared.less_nats, atol=1e-6)
    assert (shared.n_neutral, shared.metric_score, shared.stereotype_score) == (3, 0.0, None)
    whole = crows_score(make(), PAIRS, scoring="sentence")
    for pair, more, less in zip(PAIRS, whole.more_nats, whole.less_nats, strict=True):
        assert more == pytest.approx(sum(chance(word, VOCABULARY) for word in pair.more.split()), abs=1e-4)
        assert less == pytest.approx(sum(chance(word, VOCABULARY) for word in pair.less.split()), abs=1e-4)
    # Later words of the vocabulary are likelier: woman < man, child < man, and a word more is less likely.
    assert whole.metric_score == pytest.approx(200 / 3)


@pytest.mark.parametrize("make", [random_encoder, random_decoder])
def test_neither_the_size_of_batches_nor_the_order_of_pairs_matters(make):
    one = crows_score(make(), PAIRS, batch_rows=1)
    other = crows_score(make(), PAIRS[::-1], batch_rows=64)
    np.testing.assert_allclose(one.more_nats, other.more_nats[::-1], atol=1e-4)
    np.testing.assert_allclose(one.less_nats, other.less_nats[::-1], atol=1e-4)


def test_swapped_sentences_swap_their_scores():
    swapped = [CrowsPair(pair.less, pair.more, pair.direction, pair.bias_type) for pair in PAIRS]
    one, other = crows_score(random_encoder(), PAIRS), crows_score(random_encoder(), swapped)
    np.testing.assert_allclose(one.more_nats, other.less_nats, atol=1e-5)
    assert other.metric_score == pytest.approx(100 - one.metric_score)


def test_an_encoder_decoder_is_scored_and_a_body_is_refused():
    score = crows_score(loaded_model("bart-decoder"), PAIRS, scoring="sentence")
    assert (score.more_nats < 0).all()
    assert score.provenance["head"] == "seq2seq"
    body = BertModel(
        BertConfig(
            vocab_size=200, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        )
    )
    with pytest.raises(ModelError, match="association tests and erasure"):
        crows_score(LoadedModel(body, letter_tokenizer(), "body", None), PAIRS)


def test_pairs_without_a_shared_token_are_neutral_and_told():
    said = []
    pair = CrowsPair("dog", "12", "stereo", "age")
    score = crows_score(random_encoder(), [pair], say=said.append)
    assert (score.more_nats[0], score.less_nats[0], score.n_neutral) == (0.0, 0.0, 1)
    assert "1 of 1 pairs share no token" in said[0]


def test_shared_tokens_leave_special_ones_out_on_both_sides():
    one, other = read_tokens(random_encoder(), ["the is", "the was is"])
    assert shared_places(one, other) == ([1, 2], [1, 3])


def score_of(differences, directions=None, types=None):
    directions = directions or ["stereo"] * len(differences)
    types = types or ["age"] * len(differences)
    pairs = tuple(CrowsPair("a", "b", d, t) for d, t in zip(directions, types, strict=True))
    return CrowsScore(pairs, np.asarray(differences, dtype=float), np.zeros(len(differences)), {"seed": 0})


def test_scores_equal_to_three_digits_are_neutral_and_stay_in_the_denominator():
    score = score_of([1.0, 0.0004, 0.0006, -1.0], ["stereo", "stereo", "antistereo", "antistereo"])
    assert (score.metric_score, score.n_neutral) == (50.0, 1)
    assert (score.stereotype_score, score.antistereotype_score) == (100.0, 50.0)


def test_each_bias_type_has_its_figures():
    score = score_of([1.0, -1.0, 1.0], types=["age", "age", "race"])
    assert {name: figures.metric for name, figures in score.by_type().items()} == {"age": 50.0, "race": 100.0}
    assert {name: index.tolist() for name, index in group_by(["age", "age", "race"]).items()} == {
        "age": [0, 1],
        "race": [2],
    }


def test_rows_hold_percent_interval_and_exact_p_with_holms_correction():
    differences = [1.0] * 30 + [-1.0] * 10 + [0.5] * 9 + [-0.5] + [0.0]
    types = ["age"] * 40 + ["race"] * 10 + ["one"]
    result = score_of(differences, types=types).to_result()
    row = result.row("crows")
    assert row.value == pytest.approx(100 * 39 / 51)
    assert (row.null, row.n, row.units, row.better, row.interval) == (50.0, 51, "%", "none", "bootstrap")
    assert row.low < row.value < row.high
    # Normal approximation of the interval of a share.
    half = 196 * math.sqrt(39 * 12 / 51**3)
    assert row.high - row.value == pytest.approx(half, rel=0.25)
    assert f"p = {binomtest(39, 50).pvalue:.2g}" in row.note
    assert "1 pairs are equal" in row.note
    raw = {"age": binomtest(30, 40).pvalue, "one": 1.0, "race": binomtest(9, 10).pvalue}
    for name, p in zip(raw, holm(list(raw.values())), strict=True):
        note = result.row(f"crows_{name}").note
        assert f"p = {raw[name]:.2g}, {p:.2g} after Holm over 3 groups" in note
    alone = result.row("crows_one")
    assert (alone.low, alone.interval, alone.value) == (None, None, 0.0)
    assert "too few" in alone.note
    assert result.value("crows_nats") == pytest.approx(np.mean(differences))
    assert result.row("crows_nats").null == 0.0


def test_the_seed_of_the_scores_fixes_their_intervals():
    rng = np.random.default_rng(0)
    pairs = tuple(CrowsPair("a", "b", "stereo", "age") for _ in range(50))
    nats = rng.normal(size=50)
    lows = [
        CrowsScore(pairs, nats, np.zeros(50), {"seed": seed}).to_result().row("crows_nats").low
        for seed in (1, 1, 2)
    ]
    assert lows[0] == lows[1] != lows[2]
    given = CrowsScore(pairs, nats, np.zeros(50), {"seed": 1}).to_result(seed=2)
    assert given.row("crows_nats").low == lows[2]


def test_chance_alone_is_rarely_significant():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        row = score_of(rng.normal(size=200)).to_result(n_resamples=200).row("crows")
        covered += row.low <= 50 <= row.high
    assert 88 <= covered <= 99


def test_saved_scores_come_back_and_other_files_are_refused(tmp_path):
    score = crows_score(random_encoder(), PAIRS)
    back = CrowsScore.load(score.save(tmp_path / "crows.json"))
    assert back.pairs == score.pairs
    assert dict(back.provenance) == dict(score.provenance)
    np.testing.assert_array_equal(back.more_nats, score.more_nats)
    np.testing.assert_array_equal(back.less_nats, score.less_nats)
    (tmp_path / "other.json").write_text('{"pairs": [{"x": 1}]}')
    with pytest.raises(StorageError, match="does not hold scores of CrowS-Pairs"):
        CrowsScore.load(tmp_path / "other.json")


def test_the_table_has_one_row_a_pair():
    frame = crows_score(random_encoder(), PAIRS).to_frame()
    assert list(frame.bias_type) == ["gender", "age", "age"]
    np.testing.assert_allclose(frame.nats, frame.more_nats - frame.less_nats)


def test_bad_input_is_refused_in_a_sentence():
    with pytest.raises(ConfigError, match="scoring 'all'"):
        crows_score(random_encoder(), PAIRS, scoring="all")
    with pytest.raises(CorpusError, match="0 pairs"):
        crows_score(random_encoder(), [])
    with pytest.raises(CorpusError, match="0 pairs"):
        CrowsScore((), np.empty(0), np.empty(0))
    with pytest.raises(ShapeError, match="3 pairs with 1 and 3"):
        CrowsScore(PAIRS, np.zeros(1), np.zeros(3))
    with pytest.raises(CorpusError, match="has no token"):
        crows_score(random_encoder(), [CrowsPair("", "the", "stereo", "age")])
