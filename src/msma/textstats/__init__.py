"""Measures of texts that a model wrote: how varied, how built, how repetitive, how coherent, in what mood.

They compare texts generated with and without an intervention. :data:`TEXT_MEASURES` is their table, and
:func:`measure_texts` takes them all; ``docs/textstats.md`` says what each does not tell.
"""

from msma.textstats.diversity import distinct_n, lexical_variation, mtld
from msma.textstats.embedding import Embedder, coherence
from msma.textstats.measuring import TextTable, describe_missing, measure_texts
from msma.textstats.polarity import sentiment, sentiment_consistency
from msma.textstats.registry import TEXT_MEASURES, TextMeasure
from msma.textstats.repetition import longest_repeat, repeated_ngrams
from msma.textstats.syntax import dependency_depth, load_parser, mean_sentence_length, sentence_count
from msma.textstats.words import find_sentences, find_words

__all__ = [
    "TEXT_MEASURES",
    "Embedder",
    "TextMeasure",
    "TextTable",
    "coherence",
    "dependency_depth",
    "describe_missing",
    "distinct_n",
    "find_sentences",
    "find_words",
    "lexical_variation",
    "load_parser",
    "longest_repeat",
    "mean_sentence_length",
    "measure_texts",
    "mtld",
    "repeated_ngrams",
    "sentence_count",
    "sentiment",
    "sentiment_consistency",
]
