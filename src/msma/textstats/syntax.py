"""Sentences of a text: how many, how long, how deeply built.

Depth needs a dependency parser. It is spaCy with an English pipeline, when both are installed.
"""

import functools
import math
from typing import Any

from msma.errors import MissingExtraError, ModelError
from msma.textstats.words import find_sentences, find_words

__all__ = ["dependency_depth", "load_parser", "mean_sentence_length", "sentence_count"]

_SIZES = ("sm", "md", "lg", "trf")


def sentence_count(text: str) -> float:
    """Count the sentences of a text.

    Args:
        text: Any text.

    Returns:
        Sentences, 0 where there is no word. A last sentence that the end of generation cut off counts.

    Examples:
        >>> sentence_count("Who came? Dr. Osei came. He"), sentence_count(" ")
        (3.0, 0.0)
    """
    return float(len(find_sentences(text)))


def mean_sentence_length(text: str) -> float:
    r"""Compute the mean number of words in a sentence.

    .. math:: \bar\ell = N / S

    Args:
        text: Any text.

    Returns:
        Words, from 1; NaN where there is no sentence. A last sentence that was cut off counts as it stands.

    Examples:
        >>> mean_sentence_length("Who came? The old doctor came.")
        3.0
    """
    lengths = [len(find_words(sentence)) for sentence in find_sentences(text)]
    return sum(lengths) / len(lengths) if lengths else math.nan


def dependency_depth(text: str) -> float:
    r"""Compute the greatest dependency depth: the longest way from a word up to the root of its sentence.

    .. math:: \max_{s}\max_{w \in s} d(w), \qquad d(\text{root}) = 0, \quad d(w) = 1 + d(\text{head}(w))

    Marks of punctuation and white space are not counted as words. The parse is that of :func:`load_parser`;
    each sentence of :func:`msma.textstats.find_sentences` is parsed for itself.

    Args:
        text: English text. The longest of many sentences is deeper than that of few.

    Returns:
        Arcs, from 0; NaN where there is no sentence.

    Raises:
        MissingExtraError: When spaCy is not installed.
        ModelError: When no English pipeline with a parser is installed.
    """
    parse = load_parser()
    depths = [_depth(parsed) for parsed in parse.pipe(find_sentences(text))]
    return float(max(depths)) if depths else math.nan


@functools.cache
def load_parser() -> Any:
    """Load spaCy's installed English pipeline, the smallest where there are several, kept for later calls.

    Returns:
        A spaCy ``Language`` with a dependency parser.

    Raises:
        MissingExtraError: When spaCy is not installed.
        ModelError: When no English pipeline with a parser is installed.
    """
    try:
        import spacy
    except ImportError as error:
        raise MissingExtraError("spacy", extra="parse") from error
    names = sorted(
        (name for name in spacy.util.get_installed_models() if name.startswith("en_")), key=_by_size
    )
    for name in names:
        pipeline = spacy.load(name, exclude=["tagger", "attribute_ruler", "lemmatizer", "ner"])
        if pipeline.has_pipe("parser"):
            return pipeline
    found = f"only {', '.join(names)}, without a parser, came" if names else "none came"
    raise ModelError(
        f"an English spaCy pipeline with a dependency parser was expected and {found}; "
        "install one with: python -m spacy download en_core_web_sm"
    )


def _by_size(name: str) -> tuple[int, str]:
    sizes = [i for i, size in enumerate(_SIZES) if f"_{size}" in name]
    return (sizes[0] if sizes else len(_SIZES), name)


def _depth(parsed: Any) -> int:
    deepest = 0
    for token in parsed:
        if token.is_punct or token.is_space:
            continue
        depth, at = 0, token
        # A root is its own head.
        while at.head.i != at.i:
            depth, at = depth + 1, at.head
        deepest = max(deepest, depth)
    return deepest
