"""Association tests as published with SEAT (May et al. 2019): lists of words, or of sentences about them."""

from collections.abc import Mapping, Sequence
from typing import Any

from msma.bias.lists import AssociationTest
from msma.errors import CorpusError

#: The four lists, by the keys of the published files.
PUBLISHED_KEYS = ("targ1", "targ2", "attr1", "attr2")
#: What carries the word in the sentences of May et al. 2019.
_CARRIERS = frozenset(
    (
        *("this", "that", "there", "here", "it", "these", "those", "they", "the", "a", "an", "is", "are"),
        *("can", "may", "will", "did", "thing", "things", "person", "person's", "people", "name"),
    )
)
#: What is left of a sentence is its word up to so many words.
_LONGEST_PHRASE = 4
_IRREGULAR = {"men": "man", "women": "woman", "children": "child"}
_ENDINGS = (("s", ""), ("es", ""), ("ies", "y"), ("ves", "f"), ("ves", "fe"))


def parse_published(record: Mapping[str, Any], *, name: str, where: str) -> AssociationTest:
    """Make a test of a record as published by May et al. (2019).

    Args:
        record: ``targ1``, ``targ2``, ``attr1``, ``attr2``, each with ``category`` and ``examples``, which are words or
            sentences.
        name: Name of the test.
        where: The record's place, for errors.

    Returns:
        The test; of sentences, each word has those that are about it.

    Raises:
        CorpusError: When a list lacks or is faulty.
    """
    lists, names = [], []
    for key in PUBLISHED_KEYS:
        part = record.get(key)
        if not isinstance(part, Mapping) or not {"category", "examples"} <= part.keys():
            raise CorpusError(
                f"{where} has no '{key}' with 'category' and 'examples'; it needs {', '.join(PUBLISHED_KEYS)}"
            )
        lists.append(tuple(str(word).strip() for word in part["examples"]))
        names.append(str(part["category"]))
    if not all(_is_sentence(text) for words in lists for text in words):
        x, y, a, b = lists
        return AssociationTest(name, x, y, a, b, names=tuple(names))
    written = tuple(_group_sentences(texts) for texts in lists)
    x, y, a, b = (tuple(part) for part in written)
    return AssociationTest(name, x, y, a, b, names=tuple(names), kinds=("sentence",) * 4, written=written)


def _is_sentence(text: str) -> bool:
    return " " in text and text.endswith((".", "!", "?"))


def _group_sentences(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Bring sentences about one word together; each stands for itself where what it is about cannot be told."""
    phrases = [[word for word in text[:-1].split() if word.lower() not in _CARRIERS] for text in texts]
    is_told = all(1 <= len(phrase) <= _LONGEST_PHRASE for phrase in phrases)
    left = [" ".join(phrase) for phrase in phrases] if is_told else list(texts)
    known = {phrase.lower() for phrase in left}
    groups: dict[str, tuple[str, list[str]]] = {}
    for text, phrase in zip(texts, left, strict=True):
        groups.setdefault(_singular(phrase.lower(), known), (phrase, []))[1].append(text)
    return {shown: tuple(sentences) for shown, sentences in groups.values()}


def _singular(phrase: str, known: set[str]) -> str:
    if phrase == "hers":  # no plural of "her"
        return phrase
    if _IRREGULAR.get(phrase) in known:
        return _IRREGULAR[phrase]
    for ending, instead in _ENDINGS:
        if phrase.endswith(ending) and phrase.removesuffix(ending) + instead in known:
            return phrase.removesuffix(ending) + instead
    return phrase
