"""The table of text measures: what each counts, in which units and range, and what it needs.

To add one: write the function in the file of its idea, add a row here, one to the table of ``docs/textstats.md``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from msma._types import Better
from msma.textstats.diversity import distinct_n, lexical_variation, mtld
from msma.textstats.embedding import coherence
from msma.textstats.polarity import sentiment, sentiment_consistency
from msma.textstats.repetition import longest_repeat, repeated_ngrams
from msma.textstats.syntax import dependency_depth, mean_sentence_length, sentence_count

__all__ = ["TEXT_MEASURES", "TextMeasure"]


@dataclass(frozen=True, kw_only=True)
class TextMeasure:
    """One row of the table of text measures.

    Args:
        name: As results spell it.
        label: For readers, in a few words.
        function: Takes a text and gives a float, NaN where it is undefined; takes an embedding function as
            well where ``needs`` is "embedder".
        units: Of the value.
        low: Least value it can have.
        high: Greatest value; ``None`` where there is no bound.
        citation: Where the definition comes from.
        better: Which way is better, or "none" where that depends on what is wanted.
        needs: The extra that brings its library, "embedder" where the caller gives a function, or ``None``.

    Examples:
        >>> TEXT_MEASURES["mtld"].units, TEXT_MEASURES["coherence"].needs
        ('words', 'embedder')
    """

    name: str
    label: str
    function: Callable[..., float]
    units: str
    low: float
    high: float | None
    citation: str
    better: Better = "none"
    needs: Literal["embedder", "steer", "parse"] | None = None


_ROWS = (
    TextMeasure(
        name="lexical_variation",
        label="different words (distinct-1)",
        function=lexical_variation,
        units="share",
        low=0.0,
        high=1.0,
        citation="type-token ratio",
    ),
    TextMeasure(
        name="distinct_2",
        label="different pairs of words",
        function=partial(distinct_n, n=2),
        units="share",
        low=0.0,
        high=1.0,
        citation="Li et al. 2016",
    ),
    TextMeasure(
        name="distinct_3",
        label="different triples of words",
        function=partial(distinct_n, n=3),
        units="share",
        low=0.0,
        high=1.0,
        citation="Li et al. 2016",
    ),
    TextMeasure(
        name="mtld",
        label="lexical diversity (MTLD)",
        function=mtld,
        units="words",
        low=2.0,
        high=None,
        citation="McCarthy and Jarvis 2010",
    ),
    TextMeasure(
        name="sentence_count",
        label="sentences",
        function=sentence_count,
        units="sentences",
        low=0.0,
        high=None,
        citation="count",
    ),
    TextMeasure(
        name="mean_sentence_length",
        label="mean sentence length",
        function=mean_sentence_length,
        units="words",
        low=1.0,
        high=None,
        citation="mean",
    ),
    TextMeasure(
        name="dependency_depth",
        label="greatest dependency depth",
        function=dependency_depth,
        units="arcs",
        low=0.0,
        high=None,
        citation="longest way to the root of a spaCy parse",
        needs="parse",
    ),
    TextMeasure(
        name="repeated_4grams",
        label="repeated runs of four words",
        function=repeated_ngrams,
        units="share",
        low=0.0,
        high=1.0,
        citation="Welleck et al. 2020 (seq-rep-4)",
        better="lower",
    ),
    TextMeasure(
        name="longest_repeat",
        label="longest span repeated at once",
        function=longest_repeat,
        units="words",
        low=0.0,
        high=None,
        citation="longest square in the words",
        better="lower",
    ),
    TextMeasure(
        name="coherence",
        label="similarity of neighbouring sentences",
        function=coherence,
        units="cosine",
        low=-1.0,
        high=1.0,
        citation="Foltz, Kintsch and Landauer 1998",
        better="higher",
        needs="embedder",
    ),
    TextMeasure(
        name="sentiment",
        label="sentiment (VADER, mean of sentences)",
        function=sentiment,
        units="compound",
        low=-1.0,
        high=1.0,
        citation="Hutto and Gilbert 2014",
        needs="steer",
    ),
    TextMeasure(
        name="sentiment_consistency",
        label="agreement of sentences in sentiment",
        function=sentiment_consistency,
        units="1",
        low=0.0,
        high=1.0,
        citation="1 - half of Gini's mean difference of VADER scores",
        needs="steer",
    ),
)

#: The text measures by name, in the order they are shown.
TEXT_MEASURES: dict[str, TextMeasure] = {measure.name: measure for measure in _ROWS}
