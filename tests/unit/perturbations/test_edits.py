"""Edits: applied, taken back and composed exactly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msma.errors import CorpusError
from msma.perturbations import Edit, Perturbed, apply_edits, compose_edits
from msma.perturbations.pairs import find_edits

SHORT = st.text("aB é\u0301👍", max_size=12)


@st.composite
def edits_of(draw, text):
    """Sorted edits of a text that do not overlap: insertions, deletions, replacements, even by the same."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pairs = zip(places[::2], places[1::2], strict=False)
    return [Edit(start, end, text[start:end], draw(SHORT.map(lambda t: t[:3]))) for start, end in pairs]


@st.composite
def two_rounds(draw):
    text = draw(SHORT)
    first = draw(edits_of(text))
    return text, first, draw(edits_of(apply_edits(text, first)))


@settings(max_examples=400, deadline=None)
@given(two_rounds())
def test_composed_edits_lead_to_the_same_text_and_back(case):
    text, first, second = case
    last = apply_edits(apply_edits(text, first), second)
    composed = compose_edits(text, first, second)
    assert Perturbed(last, text, composed, "x", 1.0).restore() == text
    assert all(edit.before != edit.after for edit in composed)
    assert len(composed) <= len(first) + len(second)


@settings(deadline=None)
@given(SHORT, SHORT)
def test_edits_found_between_any_two_texts_are_exact(one, two):
    found = Perturbed(two, one, find_edits(one, two), "x", 1.0)
    assert found.restore() == one
    assert found.is_changed == (one != two) == bool(found.edits)


def test_edits_far_apart_keep_their_own_when_composed():
    first = [Edit(0, 1, "a", "xyz"), Edit(6, 7, "g", "")]
    second = [Edit(5, 6, "d", "D")]
    assert compose_edits("abcdefgh", first, second) == (first[0], Edit(3, 4, "d", "D"), first[1])


def test_edits_that_undo_each_other_vanish():
    assert compose_edits("cat", [Edit(0, 1, "c", "b")], [Edit(0, 1, "b", "c")]) == ()
    assert compose_edits("cat", [Edit(1, 1, "", "x")], [Edit(1, 2, "x", "")]) == ()


def test_edits_per_word_counts_words_of_the_original():
    edits = (Edit(0, 3, "one", ""), Edit(4, 7, "two", "2"))
    found = Perturbed(" 2 three four!", "one two three four!", edits, "x", 1.0)
    assert (found.n_edits, found.edits_per_word) == (2, 0.5)
    assert Perturbed("", "…", (Edit(0, 1, "…", ""),), "x", 1.0).edits_per_word == 0.0


@pytest.mark.parametrize(
    "edits",
    [
        [Edit(0, 2, "ab", ""), Edit(1, 3, "bc", "")],
        [Edit(2, 3, "c", ""), Edit(0, 1, "a", "")],
    ],
)
def test_edits_that_overlap_or_are_out_of_order_are_refused(edits):
    with pytest.raises(CorpusError, match="overlap or are out of order"):
        apply_edits("abc", edits)


@pytest.mark.parametrize(
    "edit", [Edit(0, 1, "b", "x"), Edit(2, 9, "c", "x"), Edit(-1, 0, "", "x"), Edit(2, 1, "", "")]
)
def test_an_edit_that_does_not_fit_is_refused(edit):
    with pytest.raises(CorpusError, match="stands there"):
        apply_edits("abc", [edit])


@pytest.mark.parametrize(("text", "place"), [("abX", 2), ("abcd", 3)])
def test_edits_that_do_not_give_the_text_are_refused(text, place):
    with pytest.raises(CorpusError, match=f"after {place} characters"):
        Perturbed(text, "abc", (), "x", 1.0)
