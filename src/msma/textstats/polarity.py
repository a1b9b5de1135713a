"""How positive a text is, and whether its sentences agree in that. English only."""

import functools
import math
from itertools import combinations
from typing import Any

from msma.errors import MissingExtraError
from msma.textstats.words import find_sentences

__all__ = ["load_analyzer", "sentiment", "sentiment_consistency"]


def sentiment(text: str) -> float:
    r"""Compute the mean of the sentences' compound scores by VADER (Hutto and Gilbert 2014).

    .. math:: \frac1S\sum_s c_s, \qquad c_s = \frac{v_s}{\sqrt{v_s^2 + 15}}

    with :math:`v_s` the summed valence of the words of sentence s after VADER's rules. For a text of one
    sentence it is VADER's compound score. The score of many sentences taken as one would go to ±1 with length,
    which is why its authors score longer texts by sentence.

    Args:
        text: English text.

    Returns:
        -1 (negative) to 1 (positive), 0 where no word carries a valence; NaN where there is no sentence.

    Raises:
        MissingExtraError: When vaderSentiment is not installed.

    Examples:
        >>> sentiment("The table stands. The food is good.")  # 0 and 1.9 / sqrt(1.9**2 + 15), to 4 digits
        0.2202
    """
    scores = _score_sentences(text)
    return sum(scores) / len(scores) if scores else math.nan


def sentiment_consistency(text: str) -> float:
    r"""Compute how far the sentences of a text agree in their compound scores.

    .. math:: 1 - \frac{1}{\binom S2}\sum_{s<t} \frac{|c_s - c_t|}{2}

    One minus half of Gini's mean difference; 2 is the farthest that two scores can lie apart. A standard
    deviation in its place would grow with the number of sentences, which interventions change; the mean over
    pairs does not.

    Args:
        text: English text.

    Returns:
        0 to 1: 1 where all sentences score alike, near 1/2 where many are half as positive and half as
        negative as can be, 0 where two sentences are the two extremes. NaN where there are fewer than two.

    Raises:
        MissingExtraError: When vaderSentiment is not installed.

    Examples:
        >>> sentiment_consistency("The table stands. The food is good.")  # scores 0 and 0.4404
        0.7798
    """
    scores = _score_sentences(text)
    gaps = [abs(first - second) for first, second in combinations(scores, 2)]
    return 1.0 - sum(gaps) / len(gaps) / 2.0 if gaps else math.nan


@functools.cache
def load_analyzer() -> Any:
    """Load VADER with its lexicon, kept for later calls.

    Returns:
        A ``SentimentIntensityAnalyzer``.

    Raises:
        MissingExtraError: When vaderSentiment is not installed.
    """
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError as error:
        raise MissingExtraError("vaderSentiment", extra="steer") from error
    return SentimentIntensityAnalyzer()


def _score_sentences(text: str) -> list[float]:
    analyzer = load_analyzer()
    return [float(analyzer.polarity_scores(sentence)["compound"]) for sentence in find_sentences(text)]
