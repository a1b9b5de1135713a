"""Measures of generated text: known by hand, equal to other implementations, defined for any text at all."""

import math
import random
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msma.errors import ConfigError, CorpusError, MissingExtraError, ModelError, ShapeError
from msma.textstats import (
    TEXT_MEASURES,
    coherence,
    dependency_depth,
    describe_missing,
    distinct_n,
    find_sentences,
    find_words,
    lexical_variation,
    load_parser,
    longest_repeat,
    mean_sentence_length,
    measure_texts,
    mtld,
    repeated_ngrams,
    sentence_count,
    sentiment,
    sentiment_consistency,
)
from msma.textstats.polarity import load_analyzer

#: Any characters at all, lone surrogates among them.
ANY_TEXT = st.text(st.characters(), max_size=80)
#: Few words, so that repetitions come often.
WORDY = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), min_size=1, max_size=60).map(" ".join)


def embed_letters(sentences):
    return np.array([[sentence.count(letter) for letter in "abcde"] for sentence in sentences], dtype=float)


@pytest.fixture(autouse=True)
def _fresh_loaders():
    load_parser.cache_clear()
    load_analyzer.cache_clear()
    yield
    load_parser.cache_clear()
    load_analyzer.cache_clear()


# --- words and sentences


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n*** -- ' 😀 …", []),
        ("It's 'quoted' -- rock-'n'-roll!", ["it's", "quoted", "rock", "n", "roll"]),
        ("Cafe\u0301 CAFÉ", ["café", "café"]),
        ("don’t don't", ["don't", "don't"]),
        ("co\u00adoperate", ["cooperate"]),  # a soft hyphen is not seen
        ("ភាសា\u200bខ្មែរ", ["ភាសា", "ខ្មែរ"]),  # a space of no width divides
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # marks belong to their letters
        ("snake_case a/b 3.5", ["snake", "case", "a", "b", "3", "5"]),
        ("我们走。", ["我们走"]),
    ],
)
def test_words_by_hand(text, words):
    assert find_words(text) == words


def test_sentences_hold_a_word_and_stand_in_the_text():
    assert find_sentences("One came.\n\n* * *\n\nTwo came. 😀") == ["One came.", "Two came."]
    # a beginning within a sentence is not a writer without capitals
    assert find_sentences("and so... it went. He left.") == ["and so... it went.", "He left."]
    assert find_sentences("i came. she left.") == ["i came.", "she left."]
    assert find_sentences("ßo. One.") == ["ßo.", "One."]  # no capital of one letter: nothing is changed
    assert find_sentences("") == []


# --- diversity


def test_distinct_n_by_hand():
    text = "a b a b a"  # 2 words, 2 pairs of 4, 2 triples of 3
    assert [distinct_n(text, n) for n in (1, 2, 3, 5)] == [2 / 5, 2 / 4, 2 / 3, 1.0]
    assert lexical_variation("The the THE dog.") == 0.5
    assert math.isnan(distinct_n(text, 6))
    assert math.isnan(lexical_variation("..."))
    for n in (0, -1):
        with pytest.raises(ConfigError, match=f"n={n} came"):
            distinct_n(text, n)


def test_mtld_by_hand():
    # The paper's example: ratios 1, 1, 1, 1, .8, .667 and the factor ends; one word is left, its ratio 1.
    assert mtld("of the people by the people for") == 7.0
    # forward: a a | b c, 1 factor and nothing, 4; backward: c b a a = .75, (1 - .75) / .28 of a factor
    assert mtld("a a b c") == pytest.approx((4 + 4 * 0.28 / 0.25) / 2)
    assert mtld("x " * 10) == 2.0
    # a ratio of exactly 18/25 = .72 reaches the threshold: one factor, nothing left
    exact = " ".join([f"w{i}" for i in range(18)] + [f"w{i}" for i in range(7)])
    assert lexical_variation(exact) == 0.72
    assert mtld(exact) == 25.0
    assert math.isnan(mtld("all words here differ"))
    assert math.isnan(mtld(""))
    for threshold in (0.0, 1.0, float("nan")):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            mtld("a a", threshold=threshold)


def slow_mtld(words, threshold):
    """The paper's definition in exact fractions."""

    def one_way(order):
        factors, rest = Fraction(0), []
        for word in order:
            rest.append(word)
            if Fraction(len(set(rest)), len(rest)) <= threshold:
                factors, rest = factors + 1, []
        if rest:
            factors += (1 - Fraction(len(set(rest)), len(rest))) / (1 - threshold)
        return Fraction(len(order)) / factors

    return (one_way(words) + one_way(words[::-1])) / 2


@given(WORDY)
def test_mtld_is_the_definition_and_reads_alike_both_ways(text):
    words = text.split()
    if len(set(words)) == len(words):
        assert math.isnan(mtld(text))
        return
    assert mtld(text) == pytest.approx(float(slow_mtld(words, Fraction(18, 25))))
    assert mtld(" ".join(words[::-1])) == mtld(text)
    assert mtld(text) >= 2.0


def test_mtld_is_what_lexicalrichness_printed():
    """Version 0.5.1, words given to it divided; it is not installed by any extra."""
    text = (
        "the old man and the sea and the boy who came with the fish that the old man had caught in the sea "
        "near the boy"
    )
    assert mtld(text) == pytest.approx(14.284883720930235)
    for seed, count, kinds, expected in (
        (0, 60, 15, 10.25),
        (1, 200, 80, 74.41665794705452),
        (2, 333, 120, 105.29764687902718),
    ):
        words = [f"w{(i * i * 7 + seed * i * 3 + i // 5) % kinds}" for i in range(count)]
        assert mtld(" ".join(words)) == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore")
def test_mtld_agrees_with_lexicalrichness():
    other = pytest.importorskip("lexicalrichness", reason="an independent MTLD, for agreement only")
    draw = random.Random(0)
    for _ in range(200):
        words = [f"w{min(draw.randrange(50), draw.randrange(50))}" for _ in range(draw.randrange(20, 300))]
        if len(set(words)) < len(words):
            twin = other.LexicalRichness(" ".join(words), preprocessor=None, tokenizer=str.split)
            assert mtld(" ".join(words)) == pytest.approx(twin.mtld(threshold=0.72))


# --- repetition


def test_repetition_by_hand():
    assert repeated_ngrams("a b c d e") == 0.0
    assert repeated_ngrams("a " * 7) == 0.75  # one kind among four
    assert math.isnan(repeated_ngrams("a b c"))
    assert longest_repeat("") == longest_repeat("word") == longest_repeat("a b c a b") == 0.0
    assert longest_repeat("no no, it was. It was.") == 2.0
    assert longest_repeat("x " + "a b c " * 4 + "y") == 6.0  # two rounds, twice
    assert longest_repeat("x " + "a b c " * 5 + "y") == 6.0  # the fifth round has no partner


@given(WORDY)
def test_repetition_is_the_brute_search(text):
    words = text.split()
    squares = [
        length
        for length in range(1, len(words) // 2 + 1)
        for start in range(len(words) - 2 * length + 1)
        if words[start : start + length] == words[start + length : start + 2 * length]
    ]
    assert longest_repeat(text) == max(squares, default=0)
    assert longest_repeat(f"{text} {text}") >= len(words)
    if len(words) >= 4:
        counts = Counter(zip(words, words[1:], words[2:], words[3:], strict=False))
        surplus = sum(count - 1 for count in counts.values())
        assert repeated_ngrams(text) == pytest.approx(surplus / counts.total())


# --- sentences and their trees


def test_lengths_by_hand():
    text = "Who came? Dr. Osei came at last. Good"
    assert sentence_count(text) == 3.0
    assert mean_sentence_length(text) == (2 + 5 + 1) / 3
    assert sentence_count("") == 0.0
    assert math.isnan(mean_sentence_length("..."))


def stub_parser(heads, *, has_parser=True):
    """A spaCy pipeline that gives each sentence the tree ``heads`` names: the place of each word's head."""

    def parse(sentence):
        pieces = sentence.replace(".", " .").split()
        tokens = [
            SimpleNamespace(i=i, is_punct=piece == ".", is_space=False) for i, piece in enumerate(pieces)
        ]
        for token, head in zip(tokens, heads[sentence], strict=True):
            token.head = tokens[head]
        return tokens

    return SimpleNamespace(
        pipe=lambda sentences: (parse(sentence) for sentence in sentences), has_pipe=lambda name: has_parser
    )


def install_stub(monkeypatch, pipelines):
    spacy = ModuleType("spacy")
    spacy.util = SimpleNamespace(get_installed_models=lambda: list(pipelines))
    spacy.load = lambda name, exclude: pipelines[name]
    monkeypatch.setitem(sys.modules, "spacy", spacy)


def test_depth_of_trees_that_are_known(monkeypatch):
    chain = "They saw him leave."  # saw is the root; the full stop, deeper than every word, is not counted
    flat = "Dogs bark."
    heads = {chain: [1, 1, 3, 1, 2], flat: [1, 1, 1]}
    install_stub(monkeypatch, {"en_core_web_sm": stub_parser(heads), "de_core_news_sm": None})
    assert dependency_depth(flat) == 1.0
    assert dependency_depth(f"{flat} {chain}") == 2.0
    assert math.isnan(dependency_depth("..."))
    assert describe_missing(embed_letters) == {}
    assert measure_texts([flat], measures=["dependency_depth"]).values["dependency_depth"].tolist() == [1.0]


def test_the_smallest_pipeline_with_a_parser_is_taken(monkeypatch):
    pipelines = {
        "en_own": stub_parser({}),
        "en_core_web_lg": stub_parser({}),
        "en_core_web_md": stub_parser({}),
        "en_core_web_sm": stub_parser({}, has_parser=False),
    }
    install_stub(monkeypatch, pipelines)
    assert load_parser() is pipelines["en_core_web_md"]


def test_a_missing_parser_is_said_in_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(MissingExtraError, match=r"'spacy' is not installed.*msma\[parse\]"):
        dependency_depth("Dogs bark.")
    table = measure_texts(["Dogs bark."])
    assert "msma[parse]" in table.left_out["dependency_depth"]
    assert "dependency_depth" not in table.values
    with pytest.raises(MissingExtraError):
        measure_texts(["Dogs bark."], measures=["dependency_depth"])


@pytest.mark.parametrize(
    ("pipelines", "words"),
    [
        ({"de_core_news_sm": None}, "none came"),
        (
            {"en_core_web_sm": stub_parser({}, has_parser=False)},
            "only en_core_web_sm, without a parser, came",
        ),
    ],
)
def test_a_missing_pipeline_is_said_in_a_sentence(monkeypatch, pipelines, words):
    install_stub(monkeypatch, pipelines)
    with pytest.raises(ModelError, match=f"{words}.*spacy download en_core_web_sm"):
        load_parser()
    assert words in describe_missing()["dependency_depth"]


@pytest.mark.filterwarnings("ignore")
def test_the_real_parser():
    pytest.importorskip("spacy")
    if "dependency_depth" in describe_missing():
        pytest.skip("no English pipeline of spaCy is installed")
    assert dependency_depth("Dogs bark.") == 1.0
    assert dependency_depth("I think that she said that he knew that they left.") >= 3.0
    assert dependency_depth("Dogs bark. I think that she said that they left.") > 1.0
    assert math.isnan(dependency_depth(""))


# --- coherence


def test_coherence_by_hand():
    # (3, 4), (4, 3), (0, 1): cosines 24/25 and 3/5
    vectors = {"One.": [3.0, 4.0], "Two.": [4.0, 3.0], "Three.": [0.0, 1.0], "Four.": [0.0, 0.0]}

    def embed(sentences):
        return np.array([vectors[sentence] for sentence in sentences])

    assert coherence("One. Two. Three.", embed) == pytest.approx((24 / 25 + 3 / 5) / 2)
    assert coherence("One. One. One.", embed) == 1.0
    assert coherence("One. Two. Four.", embed) == pytest.approx(24 / 25)  # zeros have no angle
    assert math.isnan(coherence("One. Four.", embed))
    assert math.isnan(coherence("One.", embed))
    assert math.isnan(coherence("", embed))


@pytest.mark.parametrize(
    ("embed", "words"),
    [
        (lambda sentences: np.ones(len(sentences)), r"shape \(2,\) for 2 sentences"),
        (lambda sentences: np.ones((len(sentences) + 1, 3)), r"shape \(3, 3\) for 2 sentences"),
        (lambda sentences: np.ones((len(sentences), 0)), r"shape \(2, 0\)"),
        (lambda sentences: np.full((len(sentences), 1), "x"), "numbers of shape"),
        (lambda sentences: np.array([[1.0], [np.nan]]), "NaN for sentence 1 of 2"),
    ],
)
def test_a_wrong_embedding_function_is_refused(embed, words):
    with pytest.raises(ShapeError, match=words):
        coherence("One came. Two came.", embed)
    with pytest.raises(ShapeError, match=words):
        measure_texts(["One came. Two came."], measures=["coherence"], embed=embed)


def test_the_embedding_function_is_called_once_for_all_texts():
    calls = []

    def embed(sentences):
        calls.append(sentences)
        return embed_letters(sentences)

    texts = ["A cab. A bed.", "A bed. A cab. A bad deed.", "Alone here.", ""]
    found = measure_texts(texts, measures=["coherence"], embed=embed).values["coherence"]
    assert calls == [["A cab.", "A bed.", "A bad deed."]]
    assert found[:2] == pytest.approx([coherence(text, embed_letters) for text in texts[:2]])
    assert np.isnan(found[2:]).all()
    calls.clear()
    assert np.isnan(measure_texts(["One."], measures=["coherence"], embed=embed).values["coherence"]).all()
    assert calls == []


# --- sentiment


def test_sentiment_is_the_mean_of_vaders_scores():
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    score = SentimentIntensityAnalyzer().polarity_scores
    sentences = ["I love this wonderful day!", "The table stands.", "War is horrible and sad."]
    scores = np.array([score(sentence)["compound"] for sentence in sentences])
    assert scores[0] > 0.5
    assert scores[1] == 0.0
    assert scores[2] < -0.5
    assert sentiment(sentences[0]) == scores[0]
    assert sentiment(" ".join(sentences)) == pytest.approx(scores.mean())
    gaps = np.abs(scores[:, None] - scores[None, :])[np.triu_indices(3, 1)]
    assert sentiment_consistency(" ".join(sentences)) == pytest.approx(1 - gaps.mean() / 2)
    assert sentiment("good") == pytest.approx(1.9 / math.sqrt(1.9**2 + 15), abs=5e-5)


def test_sentiment_does_not_grow_with_length_nor_consistency_shrink(monkeypatch):
    text = "The food is good. The room is bad. "
    assert sentiment(text * 20) == pytest.approx(sentiment(text))
    assert sentiment_consistency("The food is good. " * 9) == 1.0
    assert math.isnan(sentiment_consistency("The food is good."))
    assert math.isnan(sentiment("***"))

    def score(sentence):  # extremes, which no real words reach
        return {"compound": 1.0 if "up" in sentence else -1.0}

    monkeypatch.setattr(
        "msma.textstats.polarity.load_analyzer", lambda: SimpleNamespace(polarity_scores=score)
    )
    assert sentiment_consistency("Up up. Down.") == 0.0
    draw = random.Random(0)
    few, many = (
        np.mean(
            [
                sentiment_consistency(
                    " ".join(draw.choice(["It is up.", "It is low."]) for _ in range(count))
                )
                for _ in range(trials)
            ]
        )
        for count, trials in ((2, 3000), (20, 300))
    )
    assert few == pytest.approx(0.5, abs=0.04)
    assert many == pytest.approx(0.5, abs=0.04)


def test_a_missing_vader_is_said_in_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    with pytest.raises(MissingExtraError, match=r"'vaderSentiment' is not installed.*msma\[steer\]"):
        sentiment("Good.")
    assert {"sentiment", "sentiment_consistency"} <= set(measure_texts(["Good."]).left_out)


# --- the table


def test_the_table_says_what_was_left_out():
    table = measure_texts(["One came. Two came.", ""])
    assert set(table.values) | set(table.left_out) == set(TEXT_MEASURES)
    assert not set(table.values) & set(table.left_out)
    assert "pass embed=" in table.left_out["coherence"]
    assert table.left_out == describe_missing()
    assert "coherence" not in describe_missing(embed_letters)
    for values in table.values.values():
        assert values.shape == (2,)
        assert values.dtype == np.float64


def test_an_empty_text_has_no_sentence_and_is_nan_in_all_else():
    for text in ("", " \n", "***"):
        values = measure_texts([text], embed=embed_letters).values
        numbers = {name: value[0] for name, value in values.items() if not np.isnan(value[0])}
        assert numbers == {"sentence_count": 0.0, "longest_repeat": 0.0}


def test_names_are_taken_in_order_and_once():
    table = measure_texts(["a b a b a b"], measures=["mtld", "distinct_2", "mtld"])
    assert list(table.values) == ["mtld", "distinct_2"]
    assert table.values["distinct_2"].tolist() == [0.4]
    assert table.left_out == {}
    assert list(measure_texts(["a"], measures="mtld").values) == ["mtld"]


def test_callers_mistakes_are_told():
    with pytest.raises(CorpusError, match="one string of 9 characters"):
        measure_texts("One text.")
    with pytest.raises(CorpusError, match="0 texts came"):
        measure_texts([])
    with pytest.raises(CorpusError, match="text 1 is NoneType"):
        measure_texts(["One.", None])
    with pytest.raises(ConfigError, match=r"'mltd'; the nearest is 'mtld'"):
        measure_texts(["One."], measures=["mltd"])
    with pytest.raises(ConfigError, match="0 measures came"):
        measure_texts(["One."], measures=[])
    with pytest.raises(ConfigError, match="coherence needs vectors"):
        measure_texts(["One."], measures=["coherence"])


def test_every_measure_is_in_the_documents_and_well_described(request):
    page = (request.config.rootpath / "docs" / "textstats.md").read_text(encoding="utf-8")
    for name, measure in TEXT_MEASURES.items():
        assert f"`{name}`" in page, name
        assert measure.name == name
        assert measure.label
        assert measure.citation
        assert measure.high is None or measure.low < measure.high


@settings(max_examples=150, deadline=None)
@given(st.lists(ANY_TEXT, min_size=1, max_size=3))
def test_no_text_crashes_and_all_stay_in_range(texts):
    values = measure_texts(texts, embed=lambda s: np.array([[len(x), x.count("a")] for x in s], float)).values
    for name, found in values.items():
        measure = TEXT_MEASURES[name]
        known = found[~np.isnan(found)]
        assert np.isfinite(known).all(), name
        assert (known >= measure.low).all(), name
        assert measure.high is None or (known <= measure.high).all(), name


@settings(deadline=None)
@given(WORDY, st.integers(1, 4))
def test_names_of_words_do_not_matter(text, n):
    """Counting measures see only which words are the same."""
    renamed = " ".join({"a": "Uno", "b": "dûe"}.get(word, word * 3) for word in text.split())
    for measure in (lambda t: distinct_n(t, n), mtld, repeated_ngrams, longest_repeat, mean_sentence_length):
        np.testing.assert_equal(measure(renamed), measure(text))


def test_importing_loads_no_library_of_an_extra():
    code = (
        "import sys, msma.textstats; "
        "assert not {'vaderSentiment', 'spacy', 'requests', 'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
