"""Which samples two studies have in common, and which of those both of them held out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from msma.errors import CorpusError, OriginError
from msma.model_comparison.sides import Side
from msma.states import HiddenStates

#: Above this many common test samples a seeded part of them is compared: kernels grow with the square.
MOST_SAMPLES = 2000
FEWEST_SAMPLES = 20
FEWEST_DOCUMENTS = 8

#: Document and position in it.
_Place: TypeAlias = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Common:
    """The samples of two studies that are the same, in the same order on both sides.

    Args:
        train: Samples that both trained on, as states of the first and of the second.
        test: Samples that both held out for the test.
        positions: Position of each test sample in its document.
        n_found: Common test samples before a part of them was drawn.
    """

    train: tuple[HiddenStates, HiddenStates]
    test: tuple[HiddenStates, HiddenStates]
    positions: tuple[int, ...]
    n_found: int

    @property
    def documents(self) -> Int[np.ndarray, " samples"]:
        """The document of each test sample."""
        return self.test[0].documents


def match_sides(first: Side, second: Side, *, seed: int = 0) -> Common:
    """Find the samples that are train in both studies, and those that are test in both.

    Two samples are the same where document, position in it and text are the same.

    Args:
        first: A study.
        second: Another one, of the same unit.
        seed: Fixes which part is drawn of more than 2,000 test samples.

    Returns:
        The common samples.

    Raises:
        CorpusError: When too few samples are common to both, or a study fitted its maps on some of the test.
        OriginError: When the samples are tokens of different tokenizers.
    """
    splits = first.splits, second.splits
    if first.states.origin.unit == "token":
        _check_tokens(first, second)
    parts = {}
    for name in ("train", "test"):
        one, other = (getattr(split, name) for split in splits)
        rows = match_samples(one, other)
        _check_enough(one, rows[0], name=name, sides=(first, second))
        parts[name] = one, other, rows
    one, other, rows = parts["test"]
    for side, states, own in ((first, one, rows[0]), (second, other, rows[1])):
        _check_unseen(side, states.subset(own))
    n_found = len(rows[0])
    if n_found > MOST_SAMPLES:
        drawn = np.sort(np.random.default_rng(seed).choice(n_found, MOST_SAMPLES, replace=False))
        rows = rows[0][drawn], rows[1][drawn]
    places = locate_samples(one.document_ids)
    train = parts["train"]
    return Common(
        train=(
            train[0].subset(train[2][0], part="train"),
            train[1].subset(train[2][1], part="train"),
        ),
        test=(one.subset(rows[0], part="test"), other.subset(rows[1], part="test")),
        positions=tuple(places[row][1] for row in rows[0].tolist()),
        n_found=n_found,
    )


def match_samples(
    first: HiddenStates, second: HiddenStates
) -> tuple[Int[np.ndarray, " common"], Int[np.ndarray, " common"]]:
    """Pair the samples of two sets of states that have document, position in it and text in common.

    Args:
        first: Some states.
        second: Others.

    Returns:
        Their positions in the first, ascending, and in the second.

    Examples:
        >>> states = np.zeros((1, 3, 1))
        >>> one = HiddenStates.from_arrays(states, texts=["x", "y", "z"], documents=["a", "a", "b"])
        >>> two = HiddenStates.from_arrays(states, texts=["z", "x", "other"], documents=["b", "a", "a"])
        >>> [rows.tolist() for rows in match_samples(one, two)]
        [[0, 2], [1, 0]]
    """
    places = [zip(locate_samples(side.document_ids), side.texts, strict=True) for side in (first, second)]
    where = {key: row for row, key in enumerate(places[1])}
    found = [(row, where[key]) for row, key in enumerate(places[0]) if key in where]
    rows = np.array(found, dtype=np.int64).reshape(len(found), 2)
    return rows[:, 0], rows[:, 1]


def locate_samples(documents: Sequence[str]) -> list[_Place]:
    """Count the samples of each document.

    Args:
        documents: The document of each sample.

    Returns:
        Document and position in it, from 0.

    Examples:
        >>> locate_samples(["a", "b", "a"])
        [('a', 0), ('b', 0), ('a', 1)]
    """
    seen: Counter[str] = Counter()
    places = []
    for document in documents:
        places.append((document, seen[document]))
        seen[document] += 1
    return places


def _check_tokens(first: Side, second: Side) -> None:
    """Refuse tokens that are cut differently: the n-th token of a text is then not the same place in it."""
    known = dict(zip(locate_samples(first.states.document_ids), first.states.texts, strict=True))
    places = locate_samples(second.states.document_ids)
    for place, text in zip(places, second.states.texts, strict=True):
        if known.get(place, text) != text:
            raise OriginError(
                f"token {place[1]} of document '{place[0]}' is {known[place]!r} in '{first.record.folder}' and "
                f"{text!r} in '{second.record.folder}': other tokenizers or other texts; compare models of "
                "different tokenizers by --unit sentence or text, on the same texts"
            )


def _check_enough(
    states: HiddenStates, rows: Int[np.ndarray, " common"], *, name: str, sides: tuple[Side, Side]
) -> None:
    n_documents = len(np.unique(states.documents[rows]))
    if len(rows) < FEWEST_SAMPLES or n_documents < FEWEST_DOCUMENTS:
        first, second = (side.record.folder for side in sides)
        raise CorpusError(
            f"{len(rows)} {name} samples of {n_documents} documents are common to '{first}' and '{second}'; a "
            f"comparison needs at least {FEWEST_SAMPLES} of {FEWEST_DOCUMENTS}: run both on the same texts with the "
            "same seed and fractions"
        )


def _check_unseen(side: Side, held_out: HiddenStates) -> None:
    seen = side.alignment.count_seen(held_out)
    if seen:
        raise CorpusError(
            f"the maps in '{side.record.folder}' were fitted on {seen} of {len(held_out)} samples that its settings "
            "hold out for the test; run that study again into an empty folder"
        )
