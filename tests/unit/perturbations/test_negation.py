"""Negation by rules, on sentences whose negation is known."""

import pytest

from msma.errors import CorpusError
from msma.perturbations import Negation
from msma.perturbations.chance import Chance
from msma.perturbations.reading import Reading, Span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The door is open.", "The door is not open."),
        ("They were late.", "They were not late."),
        ("She can swim.", "She cannot swim."),
        ("SHE CAN SWIM.", "SHE CANNOT SWIM."),
        ("You SHOULD go.", "You SHOULD NOT go."),
        ("It will rain.", "It will not rain."),
        ("He has gone home.", "He has not gone home."),
        ("We had asked twice.", "We had not asked twice."),
        ("The door is not open.", "The door is open."),
        ("They do not know.", "They do know."),
        ("She isn't here.", "She is here."),
        ("She wasn’t here.", "She was here."),
        ("I can't swim.", "I can swim."),
        ("It won't rain.", "It will rain."),
        ("We shan't go.", "We shall go."),
        ("He cannot go.", "He can go."),
        ("Don't they know?", "Do they know?"),
        ("Is he here?", "Is he not here?"),
        ("Can you see?", "Can you not see?"),
        ("What do you want?", "What do you not want?"),
        ("Is he not here?", "Is he here?"),
        ("May we go?", None),
        ("I might go.", "I might not go."),
    ],
)
def test_clauses_are_negated(text, expected):
    found = Negation()(text)
    assert (found and found.text) == expected


@pytest.mark.parametrize(
    "text",
    ["Birds sing.", "I do my work.", "He has a dog.", "They had ten.", "the can opener", "In May it rained.",
     "Yes it is.", "free will matters", "So it was, they said.", "I have to do it", "is"],
)  # fmt: skip
def test_texts_without_a_sure_auxiliary_are_skipped(text):
    assert Negation()(text) is None


def test_every_clause_is_negated_at_a_high_strength():
    found = Negation(1.0)("It is late and I must go.")
    assert found.text == "It is not late and I must not go."
    assert found.restore() == "It is late and I must go."


def test_a_place_where_nothing_can_be_negated_is_refused():
    reading = Reading("The door is open.")
    for site, there in ((reading.words[0], "The"), (Span(4, 6), "do")):
        with pytest.raises(CorpusError, match=f"the site '{there}' came, where nothing can be negated"):
            Negation().edit(reading, site, Chance(0))
    (site,) = Negation().find_sites(reading)
    assert Negation().edit(reading, site, Chance(0)).after == " not"
