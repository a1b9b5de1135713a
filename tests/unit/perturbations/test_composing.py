"""Composition, the table of perturbations, and many texts at once."""

import pytest

from msma.errors import ConfigError, CorpusError
from msma.perturbations import (
    PERTURBATIONS,
    CaseChange,
    Compose,
    KeyboardTypos,
    Misspellings,
    WordDeletion,
    WordOrder,
    WordRepetition,
    describe_perturbations,
    find_perturbations,
    perturb_texts,
)

ENGLISH = (
    "My friend will believe that a lot of separate people receive the necessary government business "
    "until tomorrow, because they really appreciate it."
)


def test_a_composition_does_its_parts_in_order():
    a, b = WordOrder(0.3), KeyboardTypos(0.5)
    both = (a + b)(ENGLISH, seed=3)
    assert both.text == b(a(ENGLISH, seed=3).text, seed=3).text
    assert both.restore() == ENGLISH
    assert both.name == "order+keyboard"
    assert both.strength_asked == 0.8
    assert (b + a)(ENGLISH, seed=3).text != both.text


def test_compositions_are_flat_and_carry_the_labels_of_their_parts():
    a, b, c = KeyboardTypos(), WordRepetition(), WordDeletion()
    assert (a + b) + c == a + (b + c) == Compose(a, b, c)
    assert (a + b).keeps_meaning
    assert not (a + c).keeps_meaning
    assert (a + c).fewest_words == 2
    assert (a + c).note == f"{a.note}; {c.note}"
    assert (a + a).note == a.note


def test_a_repeated_part_has_chance_of_its_own():
    once = KeyboardTypos(0.5)
    twice = (once + once)(ENGLISH)
    assert twice.n_edits > 1.6 * once(ENGLISH).n_edits
    # Where the first leaves a short text alone, the second need not.
    short = [(KeyboardTypos(0.25) + KeyboardTypos(0.25))("Go on", seed=seed).n_edits for seed in range(400)]
    assert {0, 1, 2} == set(short)
    assert abs(sum(short) / 400 - 1.0) < 0.12


def test_a_composition_shares_its_strength_as_before():
    both = (KeyboardTypos(0.1) + WordOrder(0.3)).at(0.8)
    assert [part.strength for part in both.parts] == pytest.approx([0.2, 0.6])
    assert [part.strength for part in (KeyboardTypos(0) + WordOrder(0)).at(0.4).parts] == [0.2, 0.2]
    assert (KeyboardTypos() + WordOrder()).at(0)(ENGLISH).text == ENGLISH


def test_a_composition_is_skipped_where_a_part_cannot_work():
    assert (WordDeletion() + WordOrder())("Alone") is None
    assert (KeyboardTypos() + Misspellings(table={"xyzzy": ["xyzy"]}))("Nothing known.") is None


@pytest.mark.parametrize(
    ("parts", "message"), [((), "of no perturbations"), (("keyboard",), "expected a perturbation")]
)
def test_compositions_of_nothing_are_refused(parts, message):
    with pytest.raises(ConfigError, match=message):
        Compose(*parts)


def test_only_perturbations_can_be_added():
    with pytest.raises(TypeError):
        KeyboardTypos() + 3


def test_perturbations_are_found_by_name():
    assert find_perturbations("all") == tuple(PERTURBATIONS.values())
    assert [found.name for found in find_perturbations(["order", "keyboard,order"])] == ["order", "keyboard"]
    found = find_perturbations("keyboard+order, case", strength=0.4)
    assert [(one.name, one.strength) for one in found] == [("keyboard+order", 0.4), ("case", 0.4)]
    assert all(name == found.name for name, found in PERTURBATIONS.items())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            "keyboarx",
            "no perturbation 'keyboarx'; did you mean 'keyboard'.*There are keyboard, ocr, .*negation",
        ),
        ("qqq", "no perturbation 'qqq'; There are keyboard"),
        ("keyboard+", "no perturbation ''"),
        (" , ", "no name of a perturbation came; expected 'all' or some of keyboard"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(names, message):
    with pytest.raises(ConfigError, match=message):
        find_perturbations(names)


def test_the_table_describes_every_perturbation():
    rows = describe_perturbations()
    assert [row["name"] for row in rows] == list(PERTURBATIONS)
    assert all(row["does"].endswith(".") and row["note"] for row in rows)
    assert {row["name"]: row["fewest_words"] for row in rows}["order"] == 2


def test_many_texts_are_each_perturbed_as_if_alone():
    texts = [ENGLISH, "", "Stop!", "Come here, all of you.", ENGLISH]
    found = perturb_texts(iter(texts), WordOrder(0.2), seed=5)
    assert (found.index, found.n_skipped) == ((0, 3, 4), 2)
    assert found.originals == tuple(texts[place] for place in found.index)
    assert found.texts == tuple(WordOrder(0.2)(text, seed=5).text for text in found.originals)
    assert found.edits_per_word == pytest.approx(sum(one.edits_per_word for one in found.perturbed) / 3)
    assert perturb_texts(texts, WordOrder(0)).n_unchanged == 3
    assert perturb_texts(texts, CaseChange(mode="all_upper")).n_unchanged == 0


def test_texts_left_alone_by_chance_are_counted():
    texts = [f"Word {number}" for number in range(400)]
    found = perturb_texts(texts, WordOrder(0.1))
    changed = sum(text != original for text, original in zip(found.texts, texts, strict=True))
    assert found.n_unchanged == 400 - changed
    assert 50 < changed < 110  # 80 expected, standard deviation 8


@pytest.mark.parametrize("texts", [[], ["", "?"], ["Alone"]])
def test_texts_that_are_all_skipped_are_an_error(texts):
    with pytest.raises(
        CorpusError, match=f"none of {len(texts)} texts can be perturbed by 'order'.*at least 2 words"
    ):
        perturb_texts(texts, WordOrder())


def test_one_text_and_seeds_that_are_not_whole_are_refused():
    with pytest.raises(ConfigError, match="one text came"):
        perturb_texts("Come here.", WordOrder())
    with pytest.raises(ConfigError, match="expected a whole number"):
        perturb_texts(["Come here."], WordOrder(), seed="x")


def test_something_else_than_a_text_is_refused_with_its_place():
    with pytest.raises(ConfigError, match="item 1 is a int; expected a text"):
        perturb_texts(["Come here.", 3], WordOrder())
