"""What each kind does, and what it leaves alone."""

import re
from collections import Counter

import pytest

from msma.errors import ConfigError
from msma.perturbations import (
    CaseChange,
    CharacterDeletion,
    CharacterInsertion,
    CharacterSwap,
    KeyboardTypos,
    Misspellings,
    OcrTypos,
    PunctuationChange,
    SpacingChange,
    WordDeletion,
    WordOrder,
    WordRepetition,
)
from msma.perturbations.layouts import LAYOUTS
from msma.perturbations.reading import Reading

ENGLISH = (
    "My friend will believe that a lot of separate people receive the necessary government business "
    "until tomorrow."
)
LETTERS = (KeyboardTypos(9.0), CharacterSwap(9.0), CharacterDeletion(9.0), CharacterInsertion(9.0))


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_neighbours_are_mutual_and_every_letter_has_some(layout):
    keys = LAYOUTS[layout]
    assert sorted(keys) == [chr(code) for code in range(ord("a"), ord("z") + 1)]
    assert all(letter in keys[other] for letter, others in keys.items() for other in others)
    assert {len(others) for others in keys.values()} <= {2, 3, 4, 5, 6}


def test_keyboard_typos_are_neighbours_in_the_same_case():
    found = KeyboardTypos(9.0)("The CAT sat")
    assert found.n_edits == 9
    for edit in found.edits:
        assert edit.after.lower() in LAYOUTS["qwerty"][edit.before.lower()]
        assert edit.after.isupper() == edit.before.isupper()


def test_swapped_letters_keep_the_case_of_their_place():
    assert CharacterSwap(9.0)("Qxz").text in ("Xqz", "Qzx")
    assert CharacterSwap(9.0)("aAa bb 12 x") is None


def test_letters_never_part_from_their_marks():
    text = "e\u0301o\u0308a\u0323"
    swapped = CharacterSwap(9.0)(text).text
    clusters = Counter(swapped[place : place + 2] for place in range(0, 6, 2))
    assert clusters == Counter(("e\u0301", "o\u0308", "a\u0323"))
    assert CharacterDeletion(9.0)(text).text == "e\u0301"
    assert KeyboardTypos(9.0)(text) is None


def test_emoji_stay_whole():
    text = "my 👩‍👩‍👧‍👦 and 🇩🇪 👍🏽 ok"
    for kind in (
        *LETTERS,
        CaseChange(9.0),
        SpacingChange(9.0),
        WordOrder(9.0),
        WordDeletion(9.0),
        OcrTypos(9.0),
    ):
        found = kind(text)
        assert all(whole in found.text for whole in ("👩‍👩‍👧‍👦", "🇩🇪", "👍🏽")), kind


def words_of(text):
    return [text[start:end] for start, end in Reading(text).words]


def test_deletion_of_letters_keeps_every_word():
    assert CharacterDeletion(9.0)("I saw o'clock").text == "I s o'"


def test_insertions_double_or_hit_a_neighbour():
    doubled = CharacterInsertion(9.0, mode="double")("Ab").text
    assert doubled == "AAbb"
    for edit in CharacterInsertion(9.0, mode="neighbour")("Abc é").edits:
        assert edit.before == ""
        assert edit.after.lower() in LAYOUTS["qwerty"]["abc"[edit.start - 1]]
    assert CharacterInsertion(mode="neighbour")("éü") is None


def test_glyphs_are_taken_for_those_that_look_alike():
    seen = {OcrTypos(1.0)("modern", seed=seed).text for seed in range(200)}
    assert {"rnodern", "nnodern", "modem", "modenn", "mcdern"} & seen >= {"rnodern", "modem"}
    assert {OcrTypos(9.0)("0", seed=seed).text for seed in range(30)} == {"O", "o"}
    assert OcrTypos(9.0)("жж 77") is None
    assert "l\u0301" in OcrTypos(9.0)("l\u0301 x clod").text


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("upper", "THE STRASSE IS"), ("lower", "the straße is"), ("flip", "tHE STRASSE IS"),
        ("all_upper", "THE STRASSE IS"), ("all_lower", "the straße is"),
    ],
)  # fmt: skip
def test_case_changes_as_asked(mode, expected):
    assert CaseChange(9.0, mode=mode)("The straße is").text == expected


def test_whole_texts_change_their_case_at_any_strength_but_0():
    assert CaseChange(0.001, mode="all_upper")("so it is").text == "SO IT IS"
    assert CaseChange(0.001, mode="all_lower")("so it is") is None
    assert CaseChange()("東京 12") is None


@pytest.mark.parametrize(
    ("mode", "pattern"),
    [("drop", r"Yes well-known 3\.5 o'clock"), ("add", r"Yes, well-known[.,;:!?] 3\.5[.,;:!?] o'clock!"),
     ("replace", r"Yes[.;:!?] well-known 3\.5 o'clock[.,;:?]")],
)  # fmt: skip
def test_punctuation_changes_as_asked_and_numbers_stay(mode, pattern):
    found = PunctuationChange(9.0, mode=mode)("Yes, well-known 3.5 o'clock!")
    assert re.fullmatch(pattern, found.text), found.text


def test_punctuation_needs_signs_to_drop():
    assert PunctuationChange(mode="drop")("no sign here") is None


def test_spaces_change_as_asked_and_lines_stay():
    text = "to be\nor not. So"
    assert SpacingChange(9.0, mode="join")(text).text == "tobe\nornot. So"
    assert SpacingChange(9.0, mode="double")(text).text == "to  be\nor  not. So"
    split = SpacingChange(9.0, mode="split")(text)
    assert split.n_edits == 5
    assert split.text.replace(" ", "") == text.replace(" ", "")
    assert all(edit == (edit.start, edit.start, "", " ") for edit in split.edits)
    assert SpacingChange(mode="split")("a b c") is None


def test_deleted_words_leave_no_double_space_and_one_word_stays():
    found = WordDeletion(9.0)("One two three four.")
    assert len(words_of(found.text)) >= 1
    for seed in range(40):
        text = WordDeletion(0.3)("One two, three four.", seed=seed).text
        assert "  " not in text
        assert not text.startswith(" ")
        assert " ." not in text


def test_a_shuffle_always_changes_and_takes_every_order():
    seen = Counter(WordOrder(mode="shuffle")("a b c", seed=seed).text for seed in range(600))
    assert set(seen) == {"a c b", "b a c", "b c a", "c a b", "c b a"}
    assert WordOrder(mode="shuffle")("go go go") is None


def test_repeated_words_stand_side_by_side():
    assert WordRepetition(9.0)("No, wait!").text == "No No, wait wait!"


def test_misspellings_keep_capitals_and_match_rows_of_words():
    table = {"river": ["rivver"], "New York": ["newyork"], "don't": ["doant"]}
    kind = Misspellings(9.0, table=table)
    assert kind("River RIVER river NEW YORK Don’t.").text == "Rivver RIVVER rivver NEWYORK Doant."
    assert kind("Nothing here.") is None


def test_the_built_in_misspellings_are_other_spellings_of_their_words():
    kind = Misspellings(9.0)
    assert kind(ENGLISH).n_edits >= 8
    assert len(kind.table) >= 150
    assert all(wrong != right for right, wrongs in kind.table.items() for wrong in wrongs)
    known = set(kind.table)
    assert not [wrong for wrongs in kind.table.values() for wrong in wrongs if wrong in known]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KeyboardTypos(layout="abc"), "layout 'abc' came; expected one of 'qwerty'"),
        (lambda: CharacterInsertion(mode="no"), "mode 'no' came; expected one of 'any'"),
        (lambda: CharacterInsertion(layout="no"), "layout 'no' came"),
        (lambda: CaseChange(mode="no"), "mode 'no' came"),
        (lambda: PunctuationChange(mode="no"), "mode 'no' came"),
        (lambda: SpacingChange(mode="no"), "mode 'no' came"),
        (lambda: WordOrder(mode="no"), "mode 'no' came"),
        (lambda: Misspellings(table={}), "an empty table"),
        (lambda: Misspellings(table={"a": "b"}), "expected a list of other spellings"),
        (lambda: Misspellings(table={"a": ["A"]}), "expected a list of other spellings"),
        (lambda: Misspellings(table={" ": ["A"]}), "expected a list of other spellings"),
    ],
)
def test_options_that_do_not_exist_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_deletion_leaves_a_word_where_every_line_has_one():
    for seed in range(10):
        found = WordDeletion(9.0)("one\ntwo\nthree", seed=seed)
        assert (found.n_edits, len(words_of(found.text))) == (2, 1)


def test_joiners_hold_a_word_together_and_go_with_their_letter():
    assert words_of("می\u200cخواهم soft\u00adhyphen zero\u200bwidth") == [
        "می\u200cخواهم",
        "soft\u00adhyphen",
        "zero",
        "width",
    ]
    assert CharacterDeletion(9.0)("xa\u200db").text == "x"
