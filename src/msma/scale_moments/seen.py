"""Which texts were trained on, in memory that does not grow with them: a Bloom filter."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Int, UInt8, UInt64

from msma.errors import ConfigError

#: 16 MiB: at 10 million texts one text in 600 looks seen that was not, at 1 million one in 10**8.
FILTER_BITS = 2**27
_N_HASHES = 7
_WORDS_OF_A_COPY = 8
#: Bits set in each byte.
_BITS_SET = np.array([byte.bit_count() for byte in range(256)])


def mark_texts(texts: Iterable[str]) -> UInt64[np.ndarray, "texts 2"]:
    """Turn texts into pairs of numbers by which they are known again; case and white space do not count.

    Args:
        texts: The texts.

    Returns:
        Two hashes a text.

    Examples:
        >>> marks = mark_texts(["It rains.", "it  rains.", "It rains"])
        >>> [bool((marks[0] == mark).all()) for mark in marks]
        [True, True, False]
    """
    digests: dict[str, bytes] = {}  # many samples are part of one text
    return np.frombuffer(b"".join(_digest(text, digests) for text in texts), dtype="<u8").reshape(-1, 2)


def _digest(text: str, known: dict[str, bytes]) -> bytes:
    if text not in known:
        plain = " ".join(text.casefold().split()).encode("utf-8", "surrogatepass")
        known[text] = hashlib.blake2b(plain, digest_size=16).digest()
    return known[text]


def is_copy(text: str) -> bool:
    """Tell whether a text is long enough for a copy when it comes again; shorter ones recur honestly.

    Args:
        text: The text.

    Returns:
        Whether it has eight words, as in :func:`msma.corpora.group_duplicates`.

    Examples:
        >>> is_copy("Thank you."), is_copy("The river rose in spring and took the bridge.")
        (False, True)
    """
    return len(text.split()) >= _WORDS_OF_A_COPY


def mark_samples(texts: Iterable[str]) -> UInt64[np.ndarray, "samples 2"]:
    """Mark sentences or tokens: long ones as :func:`mark_texts` does, short ones as no whole text is marked.

    Args:
        texts: One text a sample.

    Returns:
        Two hashes a sample.

    Examples:
        >>> bool((mark_samples(["Yes."]) == mark_texts(["Yes."])).any())
        False
    """
    return mark_texts(text if is_copy(text) else repr(("sample", text)) for text in texts)


def mark_documents(names: Iterable[str]) -> UInt64[np.ndarray, "documents 2"]:
    """Mark documents by their names.

    Args:
        names: Their names.

    Returns:
        Two hashes a document.

    Examples:
        >>> bool((mark_documents(["a"]) == mark_samples(["a"])).any())
        False
    """
    return mark_texts(repr(("document", name)) for name in names)


class SeenTexts:
    r"""A set of texts that never forgets one, and takes another for one of them with a small known chance.

    Each text sets k bits out of m; a text all of whose bits are set counts as seen (Bloom 1970). With the share q of
    the bits set, an unseen text is taken for a seen one with chance :math:`q^k`. The k places come from two hashes,
    :math:`h_1 + i h_2` modulo m, which costs nothing in chance (Kirsch and Mitzenmacher 2006).

    Args:
        n_bits: m, a multiple of 8.
        bits: Bits set so far, eight to a byte; none when left out.

    Raises:
        ConfigError: When the number of bits is not a positive multiple of 8, or the bits are not as many.

    Examples:
        >>> seen = SeenTexts(n_bits=1024)
        >>> seen.add(mark_texts(["It rains.", "I stay."]))
        >>> seen.contains(mark_texts(["I stay.", "I go."])).tolist()
        [True, False]
    """

    def __init__(self, *, n_bits: int = FILTER_BITS, bits: UInt8[np.ndarray, " bytes"] | None = None) -> None:
        if n_bits < 8 or n_bits % 8:
            raise ConfigError(f"a filter of {n_bits} bits was asked for; give a positive multiple of 8")
        self.n_bits = n_bits
        self.bits = np.zeros(n_bits // 8, dtype=np.uint8) if bits is None else bits
        if self.bits.shape != (n_bits // 8,):
            raise ConfigError(
                f"{self.bits.size} bytes came for a filter of {n_bits} bits; give {n_bits // 8}"
            )

    def _places(self, marks: UInt64[np.ndarray, "texts 2"]) -> UInt64[np.ndarray, "texts hashes"]:
        steps = np.arange(_N_HASHES, dtype=np.uint64)
        # An odd step never falls onto a place it had before.
        return (marks[:, :1] + steps * (marks[:, 1:] | np.uint64(1))) % np.uint64(self.n_bits)

    def add(self, marks: UInt64[np.ndarray, "texts 2"]) -> None:
        """Remember texts.

        Args:
            marks: What :func:`mark_texts` gave for them.
        """
        places = self._places(marks).ravel()
        masks = np.left_shift(np.uint8(1), (places & np.uint64(7)).astype(np.uint8))
        np.bitwise_or.at(self.bits, (places >> np.uint64(3)).astype(np.int64), masks)

    def contains(self, marks: UInt64[np.ndarray, "texts 2"]) -> Bool[np.ndarray, " texts"]:
        """Tell which texts were remembered.

        Args:
            marks: What :func:`mark_texts` gave for them.

        Returns:
            True for every text that was, and by chance for few others; see :attr:`error_rate`.
        """
        places = self._places(marks)
        bytes_ = self.bits[(places >> np.uint64(3)).astype(np.int64)]
        found = (bytes_ >> (places & np.uint64(7)).astype(np.uint8)) & np.uint8(1)
        return np.asarray(found.all(axis=1))

    @property
    def error_rate(self) -> float:
        """Chance that a text that was never remembered counts as seen."""
        counts = np.bincount(self.bits, minlength=256) @ _BITS_SET
        return float((int(counts) / self.n_bits) ** _N_HASHES)

    def absorb(self, other: "SeenTexts") -> None:
        """Remember what another filter does too.

        Args:
            other: A filter of as many bits.

        Raises:
            ConfigError: When it has other bits.
        """
        if self.n_bits != other.n_bits:
            raise ConfigError(
                f"filters of {self.n_bits} and {other.n_bits} bits cannot be merged; use one size for both"
            )
        np.bitwise_or(self.bits, other.bits, out=self.bits)

    def copy(self) -> "SeenTexts":
        """Give a filter of its own with the same texts.

        Returns:
            The copy.
        """
        return SeenTexts(n_bits=self.n_bits, bits=self.bits.copy())

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name, ready to be written; a filter that is nearly empty takes little.

        Returns:
            The number of bits, and either all bits or the places of those bytes that are not 0, and these.
        """
        n_bits = np.array(self.n_bits, dtype=np.int64)
        places = np.flatnonzero(self.bits)
        if 9 * len(places) >= self.bits.size:
            return {"n_bits": n_bits, "bits": self.bits}
        return {"n_bits": n_bits, "places": places.astype(np.int64), "values": self.bits[places]}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Self:
        """Rebuild a filter from what :meth:`to_arrays` gave.

        Args:
            arrays: The arrays by name.

        Returns:
            An equal filter.
        """
        n_bits = int(arrays["n_bits"])
        if "bits" in arrays:
            return cls(n_bits=n_bits, bits=np.array(arrays["bits"], dtype=np.uint8))
        seen = cls(n_bits=n_bits)
        places: Int[np.ndarray, " bytes"] = np.asarray(arrays["places"])
        seen.bits[places] = arrays["values"]
        return seen
