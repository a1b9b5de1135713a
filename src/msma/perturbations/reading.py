"""A text read once: where its words are, and where the letters of each."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Reading", "Span"]

_JOINERS = "'’ʼ＇-‐‑"
_ZERO_WIDTH_SPACE = "\u200b"
#: Runs of letters, digits and their marks, held together by single apostrophes and hyphens.
_WORD = re.compile(r"[LN][LNM]*(?:'[LN][LNM]*)*")
#: A letter with the marks that stand on it, which never part.
_LETTER = re.compile(r"LM*")
_SIGN = re.compile(r"P(?!M)")


class Span(NamedTuple):
    """Characters [start, end) of a text.

    Args:
        start: First character.
        end: The one after the last.
    """

    start: int
    end: int


class _Classes(dict[int, int]):
    """Table for ``str.translate``: one capital for what each character is."""

    def __missing__(self, code: int) -> int:
        char = chr(code)
        category = unicodedata.category(char)
        if char in _JOINERS:
            found = "'"
        elif category[0] == "M" or (category == "Cf" and char != _ZERO_WIDTH_SPACE):
            # Joiners and direction marks go with the letter before them.
            found = "M"
        elif category[0] in "LNP":
            found = category[0]
        else:
            found = " " if char.isspace() else "S"
        self[code] = ord(found)
        return ord(found)


_TABLE = _Classes()


@dataclass(frozen=True)
class Reading:
    """A text with its words and letters; words are found as :func:`msma.textstats.find_words` finds them.

    Args:
        text: Any text.

    Examples:
        >>> reading = Reading("Don’t stop: well-known!")
        >>> [reading.text[start:end] for start, end in reading.words]
        ['Don’t', 'stop', 'well-known']
    """

    text: str

    @cached_property
    def classes(self) -> str:
        """For each character L (letter), N (digit), M (mark on the one before), ' (joins), P (sign), space or S."""
        return self.text.translate(_TABLE)

    @cached_property
    def words(self) -> tuple[Span, ...]:
        """Where the words are."""
        return tuple(Span(*found.span()) for found in _WORD.finditer(self.classes))

    @cached_property
    def signs(self) -> tuple[Span, ...]:
        """Where punctuation outside of words is; a point or comma between digits belongs to the number."""
        inside = {place for start, end in self.words for place in range(start, end)}
        found = (Span(*match.span()) for match in _SIGN.finditer(self.classes))
        return tuple(sign for sign in found if sign.start not in inside and not self._is_in_number(sign))

    def _is_in_number(self, sign: Span) -> bool:
        around = self.classes[max(sign.start - 1, 0) : sign.start] + self.classes[sign.end : sign.end + 1]
        return around == "NN"

    @cached_property
    def gaps(self) -> tuple[Span, ...]:
        """Where nothing but space without a line break stands between two words."""
        pairs = pairwise(self.words)
        return tuple(Span(one.end, two.start) for one, two in pairs if self.is_space(one.end, two.start))

    def letters(self, word: Span) -> list[Span]:
        """Find the letters of a word, each with its marks.

        Args:
            word: Where the word is.

        Returns:
            Where its letters are; digits, apostrophes and hyphens are none.
        """
        return [Span(*found.span()) for found in _LETTER.finditer(self.classes, *word)]

    def is_space(self, start: int, end: int) -> bool:
        """Tell whether a stretch is space within a line.

        Args:
            start: First character.
            end: The one after the last.

        Returns:
            Whether it is; an empty stretch is not.
        """
        between = self.text[start:end]
        return between.isspace() and len(between.splitlines()) == 1 and between.splitlines()[0] == between

    def is_marked(self, end: int) -> bool:
        """Tell whether a mark stands on the character before a place.

        Args:
            end: The place.

        Returns:
            Whether the character there is a mark.
        """
        return self.classes[end : end + 1] == "M"
