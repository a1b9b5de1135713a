"""Which part of the texts a document belongs to, and how many documents there are, without a list of them."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import UInt64

from msma._types import SPLITS, Split
from msma.errors import ConfigError

#: Hashes kept to count documents by: exact below, within 3 % of the truth two times in three above.
_KEPT_HASHES = 1024


def keyed_hash(text: str, *, purpose: str, seed: int = 0) -> int:
    """Hash a text to a whole number that looks drawn evenly from 0 to 2**64 - 1.

    Args:
        text: The text.
        purpose: Numbers of two purposes are unrelated; at most 16 bytes.
        seed: As are those of two seeds.

    Returns:
        The same number on every machine.

    Examples:
        >>> keyed_hash("a", purpose="split") == keyed_hash("a", purpose="sample")
        False
    """
    digest = hashlib.blake2b(
        text.encode("utf-8", "surrogatepass"),
        digest_size=8,
        key=str(seed).encode()[:64],
        person=purpose.encode(),
    )
    return int.from_bytes(digest.digest(), "little")


def check_fractions(fractions: tuple[float, float, float]) -> None:
    """Refuse shares that are no three positive ones that add up to 1.

    Args:
        fractions: Shares of train, validation and test.

    Raises:
        ConfigError: When they are not.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ConfigError(
            f"fractions {tuple(fractions)} came; expected three positive shares that add up to 1, "
            "such as (0.6, 0.2, 0.2)"
        )


def assign_split(
    document: str, *, seed: int = 0, fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
) -> Split:
    """Tell the part that a document belongs to, from its name alone.

    A keyed hash of the name, read as a number from 0 to 1, is compared with the shares. So every worker gives the
    same answer without having seen the corpus; the parts differ from their shares as draws do.

    Args:
        document: Its name.
        seed: Fixes the division.
        fractions: Share of the documents in train, validation and test.

    Returns:
        "train", "validation" or "test".

    Raises:
        ConfigError: When the fractions are not three positive shares that add up to 1.

    Examples:
        >>> parts = [assign_split(f"document {i}") for i in range(1000)]
        >>> [round(parts.count(name) / 1000, 1) for name in ("train", "validation", "test")]
        [0.6, 0.2, 0.2]
    """
    check_fractions(fractions)
    place = keyed_hash(document, purpose="split", seed=seed) / 2.0**64
    if place < fractions[0]:
        return SPLITS[0]
    return SPLITS[1] if place < fractions[0] + fractions[1] else SPLITS[2]


@dataclass(frozen=True, eq=False)
class DocumentCount:
    """How many different documents came, from the smallest hashes of their names.

    The k smallest of n numbers drawn evenly from 0 to 1 end near k / n, so n is about (k - 1) / (k-th smallest)
    (Bar-Yossef et al. 2002, "Counting distinct elements in a data stream"). Below k documents it is their number.

    Args:
        hashes: The smallest hashes, ascending.

    Examples:
        >>> count = DocumentCount.of(["a", "b", "a"]) + DocumentCount.of(["b", "c"])
        >>> count.value
        3
        >>> bool(abs(DocumentCount.of(str(i) for i in range(5000)).value / 5000 - 1) < 0.1)
        True
    """

    hashes: UInt64[np.ndarray, " kept"]

    @classmethod
    def of(cls, documents: Iterable[str]) -> Self:
        """Count documents.

        Args:
            documents: Their names, repeated or not.

        Returns:
            The count.
        """
        hashes = {keyed_hash(document, purpose="count") for document in documents}
        return cls(np.array(sorted(hashes)[:_KEPT_HASHES], dtype=np.uint64))

    @property
    def value(self) -> int:
        """The number of documents, exact up to 1,023."""
        if len(self.hashes) < _KEPT_HASHES:
            return len(self.hashes)
        return round((_KEPT_HASHES - 1) / (float(self.hashes[-1]) / 2.0**64))

    def __add__(self, other: "DocumentCount") -> Self:
        return type(self)(np.union1d(self.hashes, other.hashes)[:_KEPT_HASHES])
