"""Sentences that say nothing about what they name, by kind of word."""

from collections.abc import Mapping
from typing import Any

# One set of frames for all kinds, so that a list of names and a list of nouns differ in their words alone.
_FRAMES = ("I am thinking of {}.", "They spoke about {}.", "Somebody mentioned {}.", "The text is about {}.",
           "My example is {}.", "We heard about {}.")  # fmt: skip


def _fill(phrase: str) -> tuple[str, ...]:
    return tuple(frame.format(phrase) for frame in _FRAMES)


#: Sentences that say nothing about what they name, in the spirit of May et al. 2019, by kind of word: a name, a
#: noun that takes an article, one that takes none, a plural, an adjective, a verb; "word" fits any, "sentence" is one.
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "name": _fill("{word}"),
    "noun": _fill("{a word}"),
    "mass": _fill("{word}"),
    "plural": _fill("{word}"),
    "adjective": _fill("something {word}"),
    "verb": _fill("how to {word}"),
    "word": _fill("the word {word}"),
    "sentence": ("{word}",),
}
#: What begins with a vowel letter but not with its sound, and the reverse.
_CONSONANT_SOUNDS = ("eu", "ewe", "once", "one-", "uku", "uni", "use", "usu", "ura", "ute", "uto", "ubi")
_EXCEPT = ("unim", "unin", "unid")
_SILENT = ("heir", "honest", "honor", "honour", "hour")


def with_article(word: str) -> str:
    """Put "a" or "an" before a word, by how English words that are spelled so mostly sound.

    Args:
        word: The word.

    Returns:
        Both.

    Examples:
        >>> [with_article(word) for word in ("rose", "ant", "hour", "unicorn", "uncle", "European")]
        ['a rose', 'an ant', 'an hour', 'a unicorn', 'an uncle', 'a European']
    """
    lower = word.lower()
    sounds_open = lower[:1] in "aeiou" and (
        lower.startswith(_EXCEPT) or not lower.startswith(_CONSONANT_SOUNDS)
    )
    return f"an {word}" if sounds_open or lower.startswith(_SILENT) else f"a {word}"


def has_place(template: Any) -> bool:
    """Tell whether a template has a place for a word.

    Args:
        template: What came as one.

    Returns:
        Whether it is text with ``{word}`` or ``{a word}`` in it.

    Examples:
        >>> [has_place(template) for template in ("This is {a word}.", "This is it.", 3)]
        [True, False, False]
    """
    return isinstance(template, str) and ("{word}" in template or "{a word}" in template)


def write_sentence(template: str, word: str) -> str:
    """Put a word into a template.

    Args:
        template: A sentence with ``{word}`` or ``{a word}`` in it.
        word: The word.

    Returns:
        The sentence, in upper case at its start unless the word stands alone.

    Examples:
        >>> write_sentence("we heard about {a word}.", "ant"), write_sentence("{word}", "ant")
        ('We heard about an ant.', 'ant')
    """
    if template == "{word}":
        return word
    text = template.replace("{a word}", with_article(word)).replace("{word}", word)
    return text[0].upper() + text[1:]
