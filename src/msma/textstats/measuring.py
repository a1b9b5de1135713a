"""All text measures at once, on many texts, and what cannot be measured here."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from msma.errors import ConfigError, CorpusError, MissingExtraError, ModelError, MsmaError
from msma.textstats.embedding import Embedder, embed_once
from msma.textstats.polarity import load_analyzer
from msma.textstats.registry import TEXT_MEASURES, TextMeasure
from msma.textstats.syntax import load_parser

__all__ = ["TextTable", "describe_missing", "measure_texts"]

#: What is loaded to see whether an extra is there.
_LOADERS: dict[str, Callable[[], Any]] = {"steer": load_analyzer, "parse": load_parser}


@dataclass(frozen=True)
class TextTable:
    """What was measured on texts, and what was not.

    Args:
        values: One float for each text under each measure's name, in the order of the texts; NaN only where
            the quantity is undefined for that text.
        left_out: Why, in a sentence, for each measure that could not be taken here.
    """

    values: dict[str, Float[np.ndarray, " texts"]]
    left_out: dict[str, str]


def describe_missing(embed: Embedder | None = None) -> dict[str, str]:
    """Say which text measures cannot be taken here, and why.

    Args:
        embed: The embedding function that would be given to :func:`measure_texts`.

    Returns:
        A sentence for each such measure, under its name.

    Examples:
        >>> describe_missing()["coherence"]
        'coherence needs vectors of sentences: pass embed=, a function from a list of sentences to an array'
    """
    found = {name: _find_obstacle(measure, embed) for name, measure in TEXT_MEASURES.items()}
    return {name: str(obstacle) for name, obstacle in found.items() if obstacle is not None}


def measure_texts(
    texts: Sequence[str], *, measures: Sequence[str] | None = None, embed: Embedder | None = None
) -> TextTable:
    """Take text measures on many texts.

    Nothing here is drawn at random: equal texts give equal values.

    Args:
        texts: Continuations; an empty one has 0 sentences and repeats nothing, and is NaN in all else.
        measures: Names from :data:`TEXT_MEASURES`; when left out, all that can be taken here, the others in
            ``left_out``.
        embed: Turns sentences into vectors, for ``coherence``; called at most once, with every different sentence.

    Returns:
        A float for each text and measure, and what was left out.

    Raises:
        CorpusError: When a single string or no text comes, or a text is not a string.
        ConfigError: When a measure does not exist, none is named, or ``coherence`` is named without ``embed``.
        MissingExtraError: When a measure that was named needs a library that is not installed.
        ModelError: When ``dependency_depth`` was named and no English parser is installed.
        ShapeError: When ``embed`` does not give one row of finite numbers for each sentence.

    Examples:
        >>> table = measure_texts(["One. Two.", ""], measures=["sentence_count", "mean_sentence_length"])
        >>> table.values["sentence_count"], table.values["mean_sentence_length"]
        (array([2., 0.]), array([ 1., nan]))
    """
    _check_texts(texts)
    chosen = list(TEXT_MEASURES.values()) if measures is None else _choose(measures)
    obstacles = {measure.name: _find_obstacle(measure, embed) for measure in chosen}
    for obstacle in obstacles.values():
        if obstacle is not None and measures is not None:
            raise obstacle
    values = {
        measure.name: _apply(measure, texts, embed) for measure in chosen if obstacles[measure.name] is None
    }
    left_out = {name: str(obstacle) for name, obstacle in obstacles.items() if obstacle is not None}
    return TextTable(values, left_out)


def _apply(measure: TextMeasure, texts: Sequence[str], embed: Embedder | None) -> Float[np.ndarray, " texts"]:
    function = measure.function
    if measure.needs == "embedder" and embed is not None:
        function = partial(function, embed=embed_once(texts, embed))
    return np.array([function(text) for text in texts], dtype=np.float64)


def _find_obstacle(measure: TextMeasure, embed: Embedder | None) -> MsmaError | None:
    """What stands in the way of a measure here, not raised."""
    if measure.needs is None:
        return None
    if measure.needs == "embedder":
        if embed is not None:
            return None
        return ConfigError(
            f"{measure.name} needs vectors of sentences: pass embed=, a function from a list of sentences to an array"
        )
    try:
        _LOADERS[measure.needs]()
    except (MissingExtraError, ModelError) as error:
        return error
    return None


def _check_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise CorpusError(f"one string of {len(texts)} characters came; give a list of texts")
    if len(texts) == 0:
        raise CorpusError("0 texts came; give at least one")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise CorpusError(f"text {position} is {type(text).__name__}; expected strings only")


def _choose(measures: Sequence[str]) -> list[TextMeasure]:
    names = [measures] if isinstance(measures, str) else list(measures)
    if not names:
        raise ConfigError(
            f"0 measures came; name some of {', '.join(TEXT_MEASURES)}, or leave them out for all"
        )
    for name in names:
        if name not in TEXT_MEASURES:
            near = difflib.get_close_matches(name, TEXT_MEASURES, n=1, cutoff=0.0)[0]
            raise ConfigError(f"there is no text measure {name!r}; the nearest is {near!r}")
    return [TEXT_MEASURES[name] for name in dict.fromkeys(names)]
