"""Pairs of texts that differ in one thing only, such as the gender of whom they speak of."""

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from msma.errors import CorpusError, StorageError

_FEWEST_PAIRS = 8
_COLUMNS = ("first", "second")

#: Whom a sentence speaks of: female, male. Kinship, titles, pronouns and frequent given names.
_PEOPLE = (
    ("She", "He"),
    ("The woman", "The man"),
    ("The girl", "The boy"),
    ("My mother", "My father"),
    ("His daughter", "His son"),
    ("Their sister", "Their brother"),
    ("Our aunt", "Our uncle"),
    ("My grandmother", "My grandfather"),
    ("The lady", "The gentleman"),
    ("The queen", "The king"),
    ("The actress", "The actor"),
    ("My niece", "My nephew"),
    ("Mary", "John"),
    ("Emma", "James"),
    ("Sarah", "David"),
    ("Alice", "Henry"),
    ("Laura", "Peter"),
    ("Julia", "Robert"),
    ("Anna", "Thomas"),
    ("Helen", "George"),
)
#: What is said of them: nothing that is more often said of either.
_FRAMES = (
    "walked to the station before the rain began.",
    "has lived in this street for eleven years.",
    "opened the window and looked at the hills.",
    "will arrive on the evening train.",
    "bought bread, cheese and two apples.",
    "did not hear the telephone.",
    "was reading a long letter from abroad.",
    "forgot the keys on the kitchen table.",
    "learned to swim in the river near the mill.",
    "asked for a glass of cold water.",
    "told us the same story twice.",
    "waited for the bus in the snow.",
    "painted the old fence green.",
    "had never seen the sea.",
    "sat down next to the fire.",
    "slept until the church bell rang.",
    "can play three songs on the piano.",
    "lost the way in the fog.",
    "put the books back on the shelf.",
    "paid for dinner with the last coins.",
    "found a coin under the bridge.",
    "took a photograph of the lighthouse.",
    "counted the boats in the harbour.",
    "spoke quietly at the end of the meeting.",
    "would rather stay at home tonight.",
    "lives above the bakery.",
    "missed the first part of the concert.",
    "drank tea and watched the clouds.",
    "planted an olive tree behind the house.",
    "wrote the address on a piece of paper.",
    "left the party a little after ten.",
    "climbed the tower to see the town.",
    "knows the names of all the stars.",
    "came back from the market with plums.",
    "listened to the news on the radio.",
    "stood at the door for a minute.",
    "carried the chairs into the garden.",
    "was born in a village by the lake.",
    "turned left at the second crossing.",
    "kept the ticket in a blue box.",
    "dreamed of a house without doors.",
    "cut the cake into eight pieces.",
    "returned the bicycle on Monday.",
    "answered the question without a pause.",
    "looked for the cat all afternoon.",
    "closed the shop at noon.",
    "remembered the smell of the pines.",
    "crossed the square and disappeared.",
)
#: People in each frame; the next frame begins where the last one stopped, so that all are used alike.
_PEOPLE_A_FRAME = 8


@dataclass(frozen=True)
class TextPairs:
    """Pairs of texts, the same but for one thing.

    Args:
        first: The texts of one side.
        second: Those of the other; text i is the partner of text i.
        names: What the sides are called.
        documents: What each pair says: pairs that say the same stand on the same side of every split.
        words: What differs in each pair.
        concept: What the sides differ in.
        source: Where they come from.

    Raises:
        CorpusError: When sides do not match, or there are fewer than eight pairs or four documents.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    names: tuple[str, str]
    documents: tuple[str, ...]
    words: tuple[str, ...]
    concept: str
    source: str

    def __post_init__(self) -> None:
        sizes = {len(part) for part in (self.first, self.second, self.documents, self.words)}
        if len(sizes) != 1:
            raise CorpusError(
                f"{len(self.first)} and {len(self.second)} texts with {len(self.documents)} documents came; "
                "give as many of each"
            )
        if len(self.first) < _FEWEST_PAIRS or len(set(self.documents)) < 4:
            raise CorpusError(
                f"{len(self.first)} pairs of {len(set(self.documents))} documents came; expected {_FEWEST_PAIRS} "
                "pairs of 4 documents or more, and hundreds are better"
            )
        for number, (one, other) in enumerate(zip(self.first, self.second, strict=True)):
            if not one.strip() or not other.strip():
                raise CorpusError(f"pair {number} has an empty text; give two texts")
            if one == other:
                raise CorpusError(
                    f"pair {number} has the same text twice ('{one[:40]}'); give texts that differ"
                )

    def __len__(self) -> int:
        return len(self.first)

    @property
    def texts(self) -> list[str]:
        """All texts, those of the first side first."""
        return [*self.first, *self.second]

    @property
    def labels(self) -> Int[np.ndarray, " texts"]:
        """Side of each of :attr:`texts`: 1 for the first, 0 for the second."""
        return np.repeat([1, 0], len(self))

    def subset(self, index: Sequence[int]) -> "TextPairs":
        """Keep some pairs.

        Args:
            index: Their numbers.

        Returns:
            Those pairs.
        """
        first, second, documents, words = (
            tuple(part[i] for i in index) for part in (self.first, self.second, self.documents, self.words)
        )
        return TextPairs(first, second, self.names, documents, words, self.concept, self.source)

    def split(
        self, *, fractions: tuple[float, float, float] = (0.4, 0.35, 0.25), seed: int = 0
    ) -> tuple["TextPairs", "TextPairs", "TextPairs"]:
        """Divide pairs by document: to fit an eraser on, to train probes on, to read them on.

        Args:
            fractions: Shares of the documents.
            seed: Fixes the draw.

        Returns:
            Three sets of pairs that share no document.

        Raises:
            CorpusError: When there are too few documents for three parts.
        """
        names = np.unique(self.documents)
        order = np.random.default_rng(seed).permutation(names)
        cuts = np.round(np.cumsum(fractions)[:2] * len(names)).astype(int)
        parts = []
        for part in np.split(order, cuts):
            chosen = set(part.tolist())
            index = [i for i, document in enumerate(self.documents) if document in chosen]
            if len(index) < _FEWEST_PAIRS or len(chosen) < 4:
                raise CorpusError(
                    f"{len(self)} pairs of {len(names)} documents came; three parts of 4 documents and "
                    f"{_FEWEST_PAIRS} pairs each are needed: give 16 documents or more"
                )
            parts.append(self.subset(index))
        return parts[0], parts[1], parts[2]


def gender_pairs() -> TextPairs:
    """Give 384 pairs of English sentences that differ in the gender of whom they speak of.

    48 things said, each of 8 of 20 people, written for this package. They say nothing that goes with either gender,
    so that what tells the sides apart is gender alone.

    Returns:
        The pairs; first is female, second male.

    Examples:
        >>> pairs = gender_pairs()
        >>> len(pairs), pairs.first[0]
        (384, 'She walked to the station before the rain began.')
        >>> pairs.second[0], pairs.words[1]
        ('He walked to the station before the rain began.', 'The woman / The man')
    """
    rows = []
    for number, frame in enumerate(_FRAMES):
        for k in range(_PEOPLE_A_FRAME):
            female, male = _PEOPLE[(number * _PEOPLE_A_FRAME + k) % len(_PEOPLE)]
            rows.append((f"{female} {frame}", f"{male} {frame}", frame, f"{female} / {male}"))
    first, second, documents, words = zip(*rows, strict=True)
    return TextPairs(first, second, ("female", "male"), documents, words, "gender", "msma, 48 frames")


def read_pairs(path: str | os.PathLike[str], *, concept: str = "concept") -> TextPairs:
    """Read pairs of texts from CSV or JSONL.

    Columns: ``first`` and ``second``; ``document`` where pairs say the same, ``words`` where the people are told.

    Args:
        path: The file.
        concept: What the sides differ in.

    Returns:
        The pairs.

    Raises:
        StorageError: When the file is missing or cannot be read.
        CorpusError: When columns are missing, texts are empty or equal, or there are too few.
    """
    file = Path(path)
    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"'{path}' cannot be read ({error}); give a CSV or JSONL file in UTF-8 with columns first, second"
        ) from error
    if file.suffix == ".csv":
        rows = list(csv.DictReader(content.splitlines()))
    else:
        try:
            rows = [json.loads(line) for line in content.splitlines() if line.strip()]
        except json.JSONDecodeError as error:
            raise CorpusError(
                f"'{path}' is not JSONL ({error}); give one object a line with first and second"
            ) from error
    if not rows:
        raise CorpusError(f"'{path}' holds no pair; give columns first and second")
    for number, row in enumerate(rows):
        lacking = [
            name for name in _COLUMNS if not isinstance(row, dict) or not isinstance(row.get(name), str)
        ]
        if lacking:
            there = ", ".join(map(str, row)) if isinstance(row, dict) else type(row).__name__
            raise CorpusError(
                f"row {number} of '{path}' has no text in {' and '.join(lacking)} (it has {there}); give columns "
                "first and second, and document where pairs say the same"
            )
    return TextPairs(
        first=tuple(row["first"] for row in rows),
        second=tuple(row["second"] for row in rows),
        names=("first", "second"),
        documents=tuple(str(row.get("document") or number) for number, row in enumerate(rows)),
        words=tuple(str(row.get("words") or "") for row in rows),
        concept=concept,
        source=file.name,
    )
