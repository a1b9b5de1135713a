"""Misspellings that people make, put for the words they meant."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Self

from msma.errors import ConfigError
from msma.perturbations.base import SitePerturbation
from msma.perturbations.chance import Chance
from msma.perturbations.edits import Edit
from msma.perturbations.files import read_misspellings
from msma.perturbations.reading import Reading, Span

__all__ = ["Misspellings", "built_in_misspellings"]


@cache
def built_in_misspellings() -> dict[str, tuple[str, ...]]:
    """Read the list that comes with the package: well-known misspellings of common English words.

    Returns:
        Misspellings by the word that was meant, in lower case.

    Examples:
        >>> len(built_in_misspellings()) >= 150
        True
    """
    rows = files("msma").joinpath("data", "perturbations", "misspellings.jsonl").read_text(encoding="utf-8")
    return {row["correction"]: tuple(row["misspellings"]) for row in map(json.loads, rows.splitlines())}


@dataclass(frozen=True)
class Misspellings(SitePerturbation):
    """Put a known misspelling for a word; the case of its first letter, or of all, stays.

    Few words of a text have a known misspelling, so that there are often fewer edits than asked for; a text without any
    such word is skipped.

    Args:
        strength: Edits per word asked for.
        table: Misspellings by the word or words that were meant; those of the package when left out.
        source: Where they come from, for whoever looks at it.

    Raises:
        ConfigError: When the strength is negative or not finite, or the table is empty or gives a word no misspelling.

    Examples:
        >>> Misspellings(1.0, table={"a lot": ["alott"]})("A lot of rain.").text
        'Alott of rain.'
    """

    _: KW_ONLY
    table: Mapping[str, Sequence[str]] | None = field(default=None, repr=False, hash=False)
    source: str = "built-in list"

    name = "misspelling"
    keeps_meaning = True
    note = "English unless a file of another language is given; strength is bounded by the words that the list knows"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "table", self._entries)

    @cached_property
    def _entries(self) -> dict[str, tuple[str, ...]]:
        """The table, checked: misspellings by what was meant, in lower case."""
        return _check(built_in_misspellings() if self.table is None else self.table)

    @cached_property
    def _longest(self) -> int:
        """Most words that one entry of the table has."""
        return max(len(right.split()) for right in self._entries)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, strength: float = 0.1) -> Self:
        """Take the misspellings of a file; see :func:`msma.perturbations.files.read_misspellings` for its forms.

        Args:
            path: Lines of ``misspelling->correction[, correction]``, or a table or JSON.
            strength: Edits per word asked for.

        Returns:
            The perturbation.

        Raises:
            StorageError: When there is no such file.
            CorpusError: When it cannot be read, or holds none.
        """
        return cls(strength, table=read_misspellings(path), source=str(path))

    def find_sites(self, reading: Reading) -> list[Span]:
        """Find words, and rows of words, that have a misspelling; see :meth:`SitePerturbation.find_sites`."""
        found = []
        for first, word in enumerate(reading.words):
            for last in reading.words[first : first + self._longest]:
                if self._known(reading.text[word.start : last.end]):
                    found.append(Span(word.start, last.end))
        return found

    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Put a misspelling; see :meth:`SitePerturbation.edit`."""
        before = reading.text[site.start : site.end]
        return Edit(*site, before, _like(chance.pick(self._known(before)), before))

    def _known(self, text: str) -> tuple[str, ...]:
        """Misspellings that differ from a text once they have its case."""
        wrongs = self._entries.get(text.casefold().replace("’", "'"), ())
        return tuple(wrong for wrong in wrongs if _like(wrong, text) != text)


def _check(table: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Take a table whose every word has a misspelling, or refuse it."""
    clean: dict[str, tuple[str, ...]] = {}
    for right, wrongs in table.items():
        others = tuple(wrong for wrong in wrongs if wrong.strip() and wrong.casefold() != right.casefold())
        if isinstance(wrongs, str) or not right.strip() or not others:
            raise ConfigError(
                f"misspellings {wrongs!r} of {right!r} came; expected a list of other spellings"
            )
        clean[right.casefold().replace("’", "'")] = others
    if not clean:
        raise ConfigError("an empty table of misspellings came; give at least one word")
    return clean


def _like(word: str, model: str) -> str:
    """Give a word the capitals of another."""
    if model.isupper() and sum(map(str.isalpha, model)) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word
