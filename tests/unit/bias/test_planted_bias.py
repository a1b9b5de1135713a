"""A bias planted in one scale is found there and nowhere else, and taken out with everything else left in place."""

import numpy as np
import pytest
from scipy.stats import kstest

from msma.bias import OrdinaryTexts, gender_pairs, locate_bias, price_erasure, read_pairs_states
from msma.bias.agreement import pair_agreement
from msma.bias.pairs import TextPairs
from msma.erasure import fit_eraser
from msma.errors import CorpusError, ScaleError, ShapeError
from msma.extraction import extract
from msma.scales import ScalePartition
from planted_bias import PARTITION, planted_bias, planted_documents, planted_pairs


def found(model, pairs=None, seed=0):
    _, train, test = (planted_pairs() if pairs is None else pairs).split(seed=seed)
    return locate_bias(*(read_pairs_states(model, part, PARTITION) for part in (train, test)), seed=seed)


def test_it_is_found_in_its_scale_and_nowhere_else():
    result = found(planted_bias())
    for layer in range(PARTITION.n_layers):
        agreement, probe = (result.row(name, layer=layer) for name in ("bias_agreement", "bias_probe"))
        if layer in PARTITION["intermediate"]:
            assert agreement.value == pytest.approx(1.0)
            assert float(agreement.note.split("Holm ")[1].split()[0]) < 0.01
            assert (probe.value, probe.low) == (1.0, 1.0)
        else:
            assert agreement.value is None
            assert "same state" in agreement.note
            assert probe.value == 0.5
    assert result.value("bias_probe", target="intermediate", layer=None) == 1.0
    assert result.value("bias_probe", target="global", layer=None) == 0.5


@pytest.mark.slow
def test_it_is_found_among_words_that_differ_in_other_ways_too():
    """Where words have states of their own, a probe remembers them; one direction and new words tell the bias apart."""
    inside, outside = [], []
    for seed in range(8):
        result = found(planted_bias(strength=4.0, apart=0.5, seed=seed), seed=seed)
        for layer in range(PARTITION.n_layers):
            row = result.row("bias_agreement", layer=layer)
            place = inside if layer in PARTITION["intermediate"] else outside
            place.append((float(row.note.split()[1].rstrip(",")), row.low))
            if place is inside:
                assert result.value("bias_probe_new_words", layer=layer) > 0.9
    assert max(p for p, _ in inside) < 0.01
    # Outside, the p of chance: layers of one scale share their states, so eight seeds are eight draws.
    assert np.mean([p < 0.05 for p, _ in outside]) <= 0.25


@pytest.mark.slow
def test_p_is_uniform_where_pairs_share_no_direction():
    """Differences of people that have any direction, the same one in all that is said of them, plus some noise."""
    rng = np.random.default_rng(0)
    people, frames = np.tile(np.arange(12), 6), np.repeat(np.arange(6), 12)
    values = []
    for seed in range(400):
        own = rng.normal(size=(12, 30)) * np.linspace(0.2, 2.0, 30)
        differences = own[people] + 0.5 * rng.normal(size=(72, 30))
        values.append(pair_agreement(differences, frames, people, seed=seed).p)
    assert kstest(values, "uniform").pvalue > 0.01
    assert abs(np.mean([p <= 0.05 for p in values]) - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 400)


def test_what_pairs_of_one_document_share_is_no_agreement():
    """Something each document adds to all its pairs, unrelated between documents, must not look like a bias."""
    rng = np.random.default_rng(2)
    people, frames = np.tile(np.arange(12), 6), np.repeat(np.arange(6), 12)
    values = []
    for seed in range(200):
        own, said = rng.normal(size=(12, 200)), 1.5 * rng.normal(size=(6, 200))
        values.append(pair_agreement(own[people] + said[frames], frames, people, seed=seed))
    assert abs(np.mean([found.value for found in values])) < 0.01


@pytest.mark.slow
def test_agreement_is_unbiased_and_its_interval_holds():
    rng = np.random.default_rng(1)
    people, frames = np.tile(np.arange(20), 5), np.repeat(np.arange(5), 20)
    shared = np.r_[1.5, np.zeros(9)]
    truth = 1.5**2 / (1.5**2 + 10 * (1.0 + 0.25))
    found = []
    for seed in range(200):
        own = shared + rng.normal(size=(20, 10))
        found.append(
            pair_agreement(own[people] + 0.5 * rng.normal(size=(100, 10)), frames, people, seed=seed)
        )
    assert np.mean([f.value for f in found]) == pytest.approx(truth, abs=0.02)
    assert np.mean([f.low <= truth <= f.high for f in found]) > 0.85


@pytest.fixture(scope="module")
def prices():
    model = planted_bias(strength=3.0)
    ordinary = OrdinaryTexts.from_documents(planted_documents(), label="topic")
    said = []
    found = price_erasure(
        model,
        planted_pairs(),
        ordinary,
        partition=PARTITION,
        strengths=(0.5, 1.0),
        say=said.append,
    )
    return model, found, said


def test_it_is_erased_to_chance_and_nothing_else_is(prices):
    _, found, said = prices
    assert {price.scale for price in found.erasures} == {"intermediate"}
    assert sum("no layer of the" in words for words in said) == 4  # two methods at the other two scales
    assert found.clean.task.value == 0.0
    for price in found.erasures:
        if price.strength == 1.0:
            assert price.here_linear.value == price.here_nonlinear.value == 0.5
        else:
            assert price.here_linear.value == 1.0
        assert abs(price.task.value) <= 0.01
        assert abs(price.loss.value) < 1e-6  # the head does not see what block 5 takes out
    assert found.recommended.output_linear.value == 0.5
    assert found.eraser.scale == "intermediate"


def test_a_topic_read_where_the_bias_was_is_kept_within_one_percent(prices):
    """The topic is read in the very layer that is erased, before and after."""
    from sklearn.linear_model import LogisticRegression

    model, found, _ = prices
    documents = planted_documents(600, seed=5)
    texts, topics = [d.text for d in documents], [d.labels["topic"] for d in documents]
    accuracies = []
    for acting in (None, found.eraser):
        if acting is None:
            states = extract(model.network, texts, tokenizer=model.tokenizer, attention_texts=0)
        else:
            with acting.acting(model):
                states = extract(model.network, texts, tokenizer=model.tokenizer, attention_texts=0)
        rows = states.layer(3)
        probe = LogisticRegression(max_iter=2000).fit(rows[:300], topics[:300])
        accuracies.append(probe.score(rows[300:], topics[300:]))
    assert accuracies[0] > 0.9
    assert abs(accuracies[1] - accuracies[0]) <= 0.01


def test_the_price_list_reads_its_own_file(prices, tmp_path):
    from msma.bias import PriceList
    from msma.erasure import ScaleEraser

    model, found, _ = prices
    found.save(tmp_path)
    again = PriceList.load(tmp_path)
    assert again.prices == found.prices
    assert again.describe() == found.describe()
    assert again.eraser is None
    eraser = ScaleEraser.load(tmp_path / "eraser.safetensors")
    text = planted_pairs().first[:4]
    states = []
    for one in (eraser, found.eraser):
        with one.acting(model):
            states.append(extract(model.network, text, tokenizer=model.tokenizer, attention_texts=0).layer(3))
    assert np.allclose(*states, atol=1e-6)


def test_a_scale_without_it_cannot_be_erased():
    pairs = planted_pairs()
    with pytest.raises(ShapeError, match="no layer of the global scale shows a linear trace of side"):
        fit_eraser(
            planted_bias(),
            pairs.texts,
            pairs.labels.tolist(),
            scale="global",
            partition=PARTITION,
            name="side",
        )


def test_gender_pairs_are_sound():
    pairs = gender_pairs()
    assert len(set(pairs.first)) == len(set(pairs.second)) == len(pairs) == 384
    assert not set(pairs.first) & set(pairs.second)
    counts = {word: pairs.words.count(word) for word in set(pairs.words)}
    assert len(counts) == 20
    assert max(counts.values()) - min(counts.values()) <= 1
    parts = pairs.split()
    assert sum(map(len, parts)) == 384
    assert not set(parts[0].documents) & set(parts[1].documents) & set(parts[2].documents)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first": ("a",) * 8}, "same text twice|differ"),
        ({"second": (" ",) * 8}, "empty text"),
        ({"second": ("b",) * 7}, "as many of each"),
        ({"documents": ("d",) * 8}, "1 documents came"),
    ],
)
def test_pairs_that_cannot_be_used_are_told(changes, message):
    whole = {
        "first": tuple("abcdefgh"),
        "second": tuple("abcdefgh") if "first" in changes else tuple("ijklmnop"),
        "documents": tuple("12345678"),
        "words": ("",) * 8,
    }
    whole |= changes
    if "first" in changes:
        whole["second"] = ("a",) * 8
    with pytest.raises(CorpusError, match=message):
        TextPairs(**whole, names=("x", "y"), concept="c", source="s")


def test_too_few_documents_for_three_parts():
    pairs = planted_pairs().subset(range(50))  # five frames
    with pytest.raises(CorpusError, match="16 documents or more"):
        pairs.split()


def test_a_partition_of_another_model_is_told():
    with pytest.raises(ScaleError, match="5 layer entries came for a model of 7"):
        read_pairs_states(planted_bias(), planted_pairs(), ScalePartition.thirds(5))
