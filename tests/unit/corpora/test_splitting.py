"""Splits share no document and depend on nothing but ids and seed; copies of a text share an id."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msma._types import SPLITS
from msma.corpora import group_duplicates, split_documents
from msma.errors import ConfigError, CorpusError

LONG = "a sentence of more than eight words that somebody copied"


@given(
    ids=st.lists(st.integers(0, 60), min_size=3, max_size=120).filter(lambda ids: len(set(ids)) >= 3),
    seed=st.integers(0, 5),
    fractions=st.sampled_from([(0.6, 0.2, 0.2), (0.8, 0.1, 0.1), (0.34, 0.33, 0.33), (0.98, 0.01, 0.01)]),
)
def test_parts_cover_everything_share_no_document_and_have_their_sizes(ids, seed, fractions):
    parts = split_documents(ids, seed=seed, fractions=fractions)
    assert tuple(parts) == SPLITS
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(ids)))
    members = [{ids[i] for i in part} for part in parts.values()]
    assert sum(map(len, members)) == len(set(ids))
    n_documents = len(set(ids))
    for part, share in zip(members, fractions, strict=True):
        assert part
        assert abs(len(part) - share * n_documents) < 1 or min(fractions) * n_documents < 1


@given(st.permutations(list(range(12))), st.integers(0, 3))
def test_the_order_of_documents_does_not_matter(order, seed):
    straight, shuffled = split_documents(range(12), seed=seed), split_documents(order, seed=seed)
    for name in SPLITS:
        assert {order[i] for i in shuffled[name]} == set(straight[name].tolist())


def test_seeds_give_different_splits_and_the_same_seed_the_same():
    tests = [tuple(split_documents(range(100), seed=seed)["test"]) for seed in (0, 0, 1)]
    assert tests[0] == tests[1] != tests[2]


def test_the_division_is_the_same_on_every_machine():
    assert split_documents([f"d{i}" for i in range(10)])["test"].tolist() == [2, 6]


def test_one_more_document_moves_few_others():
    before = split_documents(range(1000))
    after = split_documents(range(1001))
    moved = sum(len(set(before[n].tolist()) - set(after[n].tolist())) for n in SPLITS)
    assert moved <= 3


@pytest.mark.parametrize(
    ("ids", "text"), [([], "0 documents"), (["a", "a"], "1 document "), ([1, 2], "2 doc")]
)
def test_too_few_documents_are_counted(ids, text):
    with pytest.raises(CorpusError, match=f"^{text}.* need at least 3"):
        split_documents(ids)


@pytest.mark.parametrize(
    "fractions", [(0.5, 0.5), (1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (1.2, -0.1, -0.1), (float("nan"),) * 3]
)
def test_impossible_fractions_are_refused(fractions):
    with pytest.raises(ConfigError, match="three positive shares"):
        split_documents(range(9), fractions=fractions)


def test_copies_are_joined_transitively_whatever_their_case_and_spacing():
    other = "another text that is longer than eight words in all"
    groups = group_duplicates(
        ["d", "c", "c", "b", "a"], [LONG, LONG.upper(), other, f" {other} ".replace(" ", "  "), "alone"]
    )
    assert groups == ["b", "b", "b", "b", "a"]


def test_short_texts_may_recur_unless_they_are_all_there_is():
    texts = ["Thank you.", "I sat.", "Thank you.", "She ran.", "Thank you."]
    assert group_duplicates(["a", "a", "b", "b", "c"], texts) == ["a", "a", "b", "b", "c"]
    assert group_duplicates(["a", "b"], ["Thank you.", "thank you."]) == ["a", "a"]
    assert group_duplicates(["a", "a", "b", "b"], [*"xyxy"]) == ["a", "a", "a", "a"]
    assert group_duplicates(["a", "a", "b"], ["I sat.", "Yes.", "Yes."], min_words=1) == ["a", "a", "a"]


def test_ids_and_texts_must_pair():
    with pytest.raises(CorpusError, match="1 ids came for 2 texts"):
        group_duplicates(["a"], ["x", "y"])
