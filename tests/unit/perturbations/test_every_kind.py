"""What holds for every perturbation, on any text."""

import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from msma.errors import ConfigError
from msma.perturbations import (
    PERTURBATIONS,
    CaseChange,
    CharacterDeletion,
    CharacterInsertion,
    CharacterSwap,
    Compose,
    KeyboardTypos,
    Misspellings,
    Negation,
    PairedTexts,
    PunctuationChange,
    SpacingChange,
    WordDeletion,
    WordOrder,
)
from msma.perturbations.chance import Chance
from msma.perturbations.reading import Reading
from msma.textstats import find_words

ENGLISH = (
    "The weather is pleasant today, and my friend will come before the committee does. "
    "She can't believe that they were separate until tomorrow; a lot of people really appreciate "
    "the government building. Is it necessary to wait? 'I do not know,' said Anne-Marie, 3.5 miles away."
)
#: What breaks careless code: marks typed apart, right-to-left script, joined emoji, odd case, odd spaces.
ODD = (
    "e\u0301te\u0301 nai\u0308ve cafe\u0301 o\u0308\u0323x",
    "שלום עולם, מה שלומך היום? \u200fאני כאן.",
    "نص عربي مَعَ حَرَكات 👩‍👩‍👧‍👦 family 👍🏽 flags 🇩🇪🇫🇷 done 1️⃣ #️⃣",
    "ǅungla ŉ ß STRASSE ﬁn İstanbul ıI K 𝔘𝔫𝔦",
    "東京 に 行きます。 ไทย ภาษา",
    "tabs\tand\nlines\r\nand\u2028others\u00a0here\u3000wide",
    "can't won’t o'clock rock-'n'-roll — 1,000.50 (a/b) www.x.org",
)
PIECES = st.sampled_from([*ENGLISH.split(), *" ".join(ODD).split(" "), " ", "\n", "not", "is", "IS", "a"])
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.lists(PIECES, max_size=15).map(" ".join),
    st.lists(PIECES, max_size=15).map("".join),
)

EVERY = (
    *PERTURBATIONS.values(),
    KeyboardTypos(layout="qwertz"),
    KeyboardTypos(layout="azerty"),
    *(CharacterInsertion(mode=mode) for mode in ("double", "neighbour")),
    *(CaseChange(mode=mode) for mode in ("upper", "lower", "flip")),
    *(PunctuationChange(mode=mode) for mode in ("drop", "add", "replace")),
    *(SpacingChange(mode=mode) for mode in ("split", "join", "double")),
    PairedTexts({ENGLISH: (ENGLISH.replace("is", "is not"), "Another.")}, "negation"),
    PairedTexts({"e\u0301te\u0301": ("summer 👩‍👩‍👧‍👦",)}, "paraphrase"),
    Compose(WordOrder(), KeyboardTypos(), WordDeletion()),
    KeyboardTypos() + KeyboardTypos(),
    WordDeletion() + CharacterInsertion() + SpacingChange() + CaseChange(mode="all_upper"),
)


def label(perturbation):
    return perturbation.name + getattr(perturbation, "mode", "") + getattr(perturbation, "layout", "")


LETTERS = (KeyboardTypos(9.0), CharacterSwap(9.0), CharacterDeletion(9.0), CharacterInsertion(9.0))
every_kind = pytest.mark.parametrize("perturbation", EVERY, ids=label)
WORDS = [
    "ability",
    "brings",
    "careful",
    "drivers",
    "every",
    "fortunate",
    "garden",
    "having",
    "island",
    "joyful",
]
#: Many texts whose words all have room for every letter kind.
MANY = [
    " ".join(np.random.default_rng(seed).choice(WORDS, size=10 + seed % 30)).capitalize() + "."
    for seed in range(200)
]


def by_hand(original, edits):
    """Apply edits from the last to the first, which needs no shifting."""
    characters = list(original)
    for start, end, before, after in reversed(edits):
        assert "".join(characters[start:end]) == before == original[start:end]
        characters[start:end] = after
    return "".join(characters)


@every_kind
@settings(max_examples=20, deadline=None)
@given(text=TEXTS, strength=st.sampled_from([0.05, 0.3, 1.0, 5.0]), seed=st.integers(-5, 2**70))
@example(text=ENGLISH, strength=0.3, seed=1)
@example(text=ODD[0], strength=1.0, seed=0)
@example(text=ODD[2], strength=5.0, seed=0)
@example(text=ODD[3], strength=5.0, seed=0)
@example(text=ODD[5], strength=5.0, seed=3)
def test_any_text_is_edited_exactly(perturbation, text, strength, seed):
    perturbation = perturbation.at(strength)
    found = perturbation(text, seed=seed)
    if found is None:
        others = [perturbation.at(other)(text, seed=1) for other in (0.0, 0.1, 9.0)]
        # Whether a part of a composition finds a place can depend on what the parts before it did.
        assert others == [None, None, None] or isinstance(perturbation, Compose)
        return
    assert found.text.strip()
    assert found.original == text
    assert found.text == by_hand(text, found.edits)
    assert found.restore() == text
    assert all(one.end <= two.start for one, two in zip(found.edits, found.edits[1:], strict=False))
    assert all(edit.before != edit.after for edit in found.edits)
    assert found.is_changed or not found.edits
    assert (found.name, found.strength_asked) == (perturbation.name, perturbation.strength)
    assert found == perturbation(text, seed=seed)
    assert found.edits_per_word == len(found.edits) / len(Reading(text).words)
    found.text.encode("utf-8")


@every_kind
def test_strength_0_gives_the_text_with_no_edits(perturbation):
    for text in (ENGLISH, *ODD):
        found, stronger = perturbation.at(0)(text), perturbation.at(0.5)(text)
        assert (found is None) == (stronger is None) or isinstance(perturbation, Compose)
        if found is not None:
            assert (found.text, found.edits, found.strength_asked) == (text, (), 0)


@every_kind
def test_other_seeds_make_other_edits_in_long_texts(perturbation):
    text = ENGLISH * 3 if not isinstance(perturbation, PairedTexts) else ENGLISH
    texts = {found.text for seed in range(8) if (found := perturbation.at(0.04)(text, seed=seed)) is not None}
    is_fixed = isinstance(perturbation, CaseChange) and perturbation.name != "case"
    if perturbation.name == "paired_paraphrase":
        assert not texts
    elif isinstance(perturbation, PairedTexts):
        assert len(texts) == 2
    else:
        assert len(texts) == 1 if is_fixed else len(texts) >= 7


MEETS = [
    perturbation
    for perturbation in EVERY
    if not isinstance(perturbation, PairedTexts | Compose | Negation | Misspellings)
    and perturbation.name not in ("uppercase", "lowercase", "shuffle")
    and getattr(perturbation, "mode", "") not in ("drop", "replace")
]


@pytest.mark.parametrize("strength", [0.07, 0.3])
@pytest.mark.parametrize("perturbation", MEETS, ids=label)
def test_strength_is_met_on_average(perturbation, strength):
    """The rounding has a standard deviation of at most half an edit a text: 0.5 / sqrt(200) / 24 words is 0.0015."""
    texts = [text.upper() for text in MANY] if getattr(perturbation, "mode", "") == "lower" else MANY
    found = [perturbation.at(strength)(text).edits_per_word for text in texts]
    assert np.mean(found) == pytest.approx(strength, abs=0.005)


def test_negation_makes_at_least_one_edit_at_any_strength():
    assert Negation(0.001)("The door is open and nobody was there in the whole long night.").n_edits == 1
    assert Negation(0.0)("The door is open.").n_edits == 0


@pytest.mark.parametrize("perturbation", [p for p in MEETS if p.name != "case"], ids=label)
def test_a_higher_strength_keeps_the_edits_of_a_lower_one(perturbation):
    for text in MANY[:20]:
        less, more = (set(perturbation.at(strength)(text).edits) for strength in (0.1, 0.4))
        assert less <= more


def test_chance_depends_on_seed_name_and_text_alone():
    texts = [ENGLISH, *MANY[:5]]
    alone = [KeyboardTypos(0.3)(text, seed=4) for text in texts]
    assert [KeyboardTypos(0.3)(text, seed=np.int64(4)) for text in reversed(texts)] == alone[::-1]
    assert Chance.of(0, "a", "bc") != Chance.of(0, "ab", "c")


def test_numbers_of_chance_are_even_and_independent():
    draws = np.array([[Chance.of(0, "x", "y").uniform(i, j) for j in (0, 1)] for i in range(4000)])
    counts, _ = np.histogram(draws, bins=10, range=(0, 1))
    assert ((counts - 800) ** 2 / 800).sum() < 27.9  # chi-squared with 9 degrees of freedom, p = 0.001
    assert abs(np.corrcoef(draws.T)[0, 1]) < 3.3 / np.sqrt(4000)


def test_only_whole_numbers_are_seeds():
    with pytest.raises(ConfigError, match=r"seed 0\.5 came"):
        KeyboardTypos()("A text.", seed=0.5)


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf"), "much", None, True])
@pytest.mark.parametrize(
    "perturbation", [KeyboardTypos(), KeyboardTypos() + WordOrder(), EVERY[-5]], ids=label
)
def test_impossible_strengths_are_refused(perturbation, strength):
    with pytest.raises(ConfigError, match="expected edits per word"):
        perturbation.at(strength)


@pytest.mark.parametrize(
    ("name", "keeps"),
    [
        ("keyboard", True), ("ocr", True), ("swap", True), ("letter_deletion", True), ("letter_insertion", True),
        ("misspelling", True), ("case", True), ("lowercase", True), ("uppercase", True), ("punctuation", True),
        ("spacing", True), ("repetition", True), ("deletion", False), ("order", False), ("shuffle", False),
        ("negation", False),
    ],
)  # fmt: skip
def test_labels_say_whether_the_meaning_stays(name, keeps):
    assert PERTURBATIONS[name].keeps_meaning is keeps
    assert len(PERTURBATIONS) == 16


@every_kind
def test_texts_that_are_too_short_are_skipped(perturbation):
    for text in ("", " \n", "?!", "👩‍👩‍👧‍👦"):
        assert perturbation(text) is None
    if perturbation.fewest_words > 1:
        assert perturbation("Alone") is None
    assert perturbation.note


def words_of(text):
    return [text[start:end] for start, end in Reading(text).words]


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "M", "Cf"]), max_size=60))
@example(ENGLISH)
@example(ODD[6])
def test_words_are_those_of_the_text_measures(text):
    """Marks and joiners are left out here: the measures count one that stands alone as a word, nothing to edit."""
    assert [find_words(word) for word in words_of(text)] == [[word] for word in find_words(text)]


@pytest.mark.parametrize("kind", LETTERS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("text", [ENGLISH, *ODD])
def test_letter_kinds_touch_letters_of_words_only(kind, text):
    found = kind(text)
    for edit in found.edits if found else ():
        changed = edit.before + edit.after
        assert changed[0].isalpha()
        assert all(char.isalpha() or unicodedata.category(char)[0] in "MC" for char in changed)
    if found:
        assert [c for c in found.text if c.isspace() or c in ".,;?"] == [
            c for c in text if c.isspace() or c in ".,;?"
        ]


@settings(deadline=None)
@given(TEXTS)
def test_moved_words_are_the_same_words(text):
    for mode in ("swap", "shuffle"):
        found = WordOrder(1.0, mode=mode)(text)
        if found is not None:
            words = [text[start:end] for start, end in Reading(text).words]
            for edit in found.edits:
                assert sorted(edit.before) == sorted(edit.after) or mode == "shuffle"
            assert Counter(found.text) == Counter(text)
            assert found.is_changed
            assert len(words) >= 2
