"""Words and sentences of a text, as every measure here counts them."""

import re
import unicodedata

from msma.corpora.sentences import split_sentences

__all__ = ["find_sentences", "find_words"]

_APOSTROPHES, _HYPHENS = "'’ʼ＇", "-‐‑"
_ZERO_WIDTH_SPACE = "\u200b"
#: Runs of word characters, held together by single apostrophes and hyphens between them.
_WORD = re.compile(r"[^\s'-]+(?:['-][^\s'-]+)*")


class _WordCharacters(dict[int, int | str | None]):
    """Table for ``str.translate``: letters, marks and digits stay, joiners get one spelling, the rest divides."""

    def __missing__(self, code: int) -> int | str | None:
        char = chr(code)
        category = unicodedata.category(char)
        found: int | str | None = " "
        if char in _APOSTROPHES:
            found = "'"
        elif char in _HYPHENS:
            found = "-"
        elif category[0] in "LMN":
            found = code
        elif category == "Cf" and char != _ZERO_WIDTH_SPACE:
            # Soft hyphens and joiners stand within words and are not seen.
            found = None
        self[code] = found
        return found


_TABLE = _WordCharacters()


def find_words(text: str) -> list[str]:
    """Find the words of a text, in lower case: runs of letters, their marks, and digits.

    An apostrophe or hyphen between two such characters belongs to the word; all other signs divide. Accents
    typed as one character or as two, and both kinds of apostrophe, count as the same word. Scripts that
    write no spaces (Chinese, Japanese, Thai) give one "word" for each run of letters.

    Args:
        text: Any text.

    Returns:
        The words in order; none where there is neither a letter nor a digit.

    Examples:
        >>> find_words("Don’t stop: the well-known 3 DON'T.")
        ["don't", 'stop', 'the', 'well-known', '3', "don't"]
    """
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold().translate(_TABLE))


def find_sentences(text: str) -> list[str]:
    """Find the sentences of a text, by the rules of :func:`msma.corpora.split_sentences`.

    A piece without a word, such as a row of asterisks or an emoji, is no sentence. A continuation may begin within a
    sentence: its first letter in lower case is not taken for a writer who does without capitals, where
    capitals follow.

    Args:
        text: Any text.

    Returns:
        The sentences in order, as they stand in the text; none where there is no word.

    Examples:
        >>> find_sentences("and she left... quietly. Who? Dr. Osei. ***")
        ['and she left... quietly.', 'Who?', 'Dr. Osei.']
    """
    pieces = (text[start:end] for start, end in split_sentences(_with_capital(text)))
    return [piece for piece in pieces if find_words(piece)]


def _with_capital(text: str) -> str:
    """The text with its first letter in upper case, if it has capitals elsewhere; every position stays."""
    first = len(text) - len(text.lstrip())
    letter = text[first : first + 1]
    if not letter.islower() or len(letter.upper()) != 1 or not any(char.isupper() for char in text):
        return text
    return text[:first] + letter.upper() + text[first + 1 :]
