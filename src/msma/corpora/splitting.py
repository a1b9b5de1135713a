"""Division into train, validation and test by document, so that nothing a map is scored on was seen before."""

import hashlib
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from msma._types import SPLITS, Split
from msma.errors import ConfigError, CorpusError

#: Words from which an identical text in two documents is taken for a copy, not for a coincidence.
_WORDS_OF_A_COPY = 8


def rank_document(name: str, *, seed: int = 0) -> int:
    """Rank a document by a hash of the seed and its name; :func:`split_documents` begins with the lowest.

    Args:
        name: The document.
        seed: Fixes the ranking.

    Returns:
        A whole number of up to 256 bits, the same on every machine.

    Examples:
        >>> first = min("abcde", key=rank_document)
        >>> "abcde".index(first) in split_documents("abcde")["train"]
        True
    """
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest())


def split_documents(
    ids: Sequence[Any],
    *,
    seed: int = 0,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
) -> dict[Split, Int[np.ndarray, " k"]]:
    """Divide positions into train, validation and test, all positions of one document on one side.

    Documents are ranked by a hash of the seed and their id and the ranking is cut, so the division depends
    neither on the order of the documents nor on the machine, and one more document moves few others.

    Args:
        ids: The document of each position.
        seed: Fixes the division.
        fractions: Share of the documents in each part; positive, adding up to 1.

    Returns:
        Ascending positions of each part. The number of documents in a part differs from its share by less
        than one, unless that would leave a part empty.

    Raises:
        ConfigError: When the fractions are not three positive shares that add up to 1.
        CorpusError: When there are fewer than three documents.

    Examples:
        >>> parts = split_documents(["a", "a", "b", "c", "d", "e"])
        >>> [len({"aabcde"[i] for i in part}) for part in parts.values()]
        [3, 1, 1]
    """
    # So put that NaN, which compares false with everything, is refused too.
    if (
        len(fractions) != 3
        or not all(share > 0 for share in fractions)
        or not abs(sum(fractions) - 1) <= 1e-6
    ):
        raise ConfigError(
            f"fractions {tuple(fractions)} came; expected three positive shares that add up to 1, "
            "such as (0.6, 0.2, 0.2)"
        )
    names, codes = np.unique(np.asarray([str(i) for i in ids], dtype=str), return_inverse=True)
    if len(names) < 3:
        plural = "document" if len(names) == 1 else "documents"
        raise CorpusError(
            f"{len(names)} {plural} came; train, validation and test need at least 3 (texts that repeat "
            "each other count as one): give more documents"
        )
    ranking = sorted(range(len(names)), key=lambda i: rank_document(str(names[i]), seed=seed))
    part_of = np.empty(len(names), dtype=np.int64)
    part_of[ranking] = np.repeat(np.arange(3), _sizes(len(names), fractions))
    return {name: np.flatnonzero(part_of[codes] == part) for part, name in enumerate(SPLITS)}


def _sizes(n_documents: int, fractions: Sequence[float]) -> Int[np.ndarray, "3"]:
    """Round shares to whole documents by largest remainder, leaving no part empty."""
    shares = np.asarray(fractions, dtype=np.float64) / sum(fractions) * n_documents
    sizes = np.floor(shares + 1e-9).astype(np.int64)
    for part in np.argsort(sizes - shares, kind="stable")[: n_documents - sizes.sum()]:
        sizes[part] += 1
    while sizes.min() == 0:
        sizes[sizes.argmax()] -= 1
        sizes[sizes.argmin()] += 1
    return sizes


def group_duplicates(
    ids: Sequence[Any], texts: Sequence[str], *, min_words: int = _WORDS_OF_A_COPY
) -> list[str]:
    """Give documents that repeat each other's texts one id, so that a split cannot part a text from its copy.

    Two documents are joined when all their texts are identical, or when they share one identical text of
    ``min_words`` words and more; shorter ones ("Thank you.", single tokens) recur honestly. Case and white
    space are ignored. Joining is transitive.

    Args:
        ids: The document of each text.
        texts: The texts.
        min_words: Words from which one shared text joins two documents.

    Returns:
        One id a text: of documents that are joined, the first in alphabetical order.

    Raises:
        CorpusError: When there is not one id for each text.

    Examples:
        >>> group_duplicates(["a", "b", "c"], ["It rains.", "I stay.", "it  rains."])
        ['a', 'b', 'a']
    """
    if len(ids) != len(texts):
        raise CorpusError(f"{len(ids)} ids came for {len(texts)} texts; give one a text")
    names = [str(i) for i in ids]
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    owner: dict[Hashable, str] = {}

    def join(key: Hashable, name: str) -> None:
        first, second = sorted((root(owner.setdefault(key, name)), root(name)))
        parent[second] = first

    whole: dict[str, Any] = {}
    for name, text in zip(names, texts, strict=True):
        words = text.casefold().split()
        key = hashlib.sha256(" ".join(words).encode("utf-8", "surrogatepass")).digest()
        if len(words) >= min_words:
            join(key, name)
        whole.setdefault(name, hashlib.sha256()).update(key)
    for name, digest in whole.items():
        join(("whole", digest.digest()), name)
    return [root(name) for name in names]
