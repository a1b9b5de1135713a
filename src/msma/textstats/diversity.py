"""How varied the words of a text are."""

import math
from collections.abc import Iterable

from msma.errors import ConfigError
from msma.textstats.words import find_words

__all__ = ["distinct_n", "lexical_variation", "mtld"]


def distinct_n(text: str, n: int) -> float:
    r"""Compute the share of different n-grams among all n-grams of a text (after Li et al. 2016).

    .. math:: \text{distinct}_n = \frac{|\{g_1, \dots, g_m\}|}{m}, \qquad m = N - n + 1

    for a text of N words. The paper divides by N; dividing by the number of n-grams lets every n reach 1. It
    falls with length, so compare texts of about one length only.

    Args:
        text: Any text.
        n: Words in an n-gram.

    Returns:
        Share in (0, 1], 1 where no n-gram comes twice; NaN where the text has fewer than n words.

    Raises:
        ConfigError: When n is below 1.

    Examples:
        >>> distinct_n("the cat and the cat", 2)  # the-cat, cat-and, and-the, the-cat
        0.75
    """
    if n < 1:
        raise ConfigError(f"n={n} came; expected a whole number of words from 1")
    words = find_words(text)
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else math.nan


def lexical_variation(text: str) -> float:
    r"""Compute the type-token ratio: the share of different words, which is distinct-1.

    .. math:: \text{TTR} = V / N

    Args:
        text: Any text.

    Returns:
        Share in (0, 1]; NaN where the text has no word.

    Examples:
        >>> lexical_variation("The cat saw the dog.")
        0.8
    """
    return distinct_n(text, 1)


def mtld(text: str, *, threshold: float = 0.72) -> float:
    r"""Compute the measure of textual lexical diversity (McCarthy and Jarvis 2010).

    The mean length of stretches that hold a type-token ratio above a threshold. Words are read in order; when
    the ratio of the stretch reaches the threshold, it counts as a factor and a new stretch begins. What is
    left at the end counts as :math:`(1 - \text{TTR}) / (1 - \text{threshold})` of a factor.

    .. math:: \text{MTLD} = \frac12\left(\frac{N}{F_\text{forward}} + \frac{N}{F_\text{backward}}\right)

    Args:
        text: Any text; below about 100 words the partial factors carry most of the value.
        threshold: Type-token ratio at which a stretch ends.

    Returns:
        Words, from 2. NaN where no word comes twice: there is no factor to divide by, and the text tells
        only that its MTLD is large.

    Raises:
        ConfigError: When the threshold is not between 0 and 1.

    Examples:
        >>> mtld("of the people by the people for")  # one factor each way, 4/6 <= 0.72; a word is left, TTR 1
        7.0
    """
    if not 0.0 < threshold < 1.0:
        raise ConfigError(f"threshold={threshold} came; expected a type-token ratio between 0 and 1")
    words = find_words(text)
    if len(set(words)) == len(words):
        return math.nan
    forward, backward = (_count_factors(order, threshold) for order in (words, reversed(words)))
    return (len(words) / forward + len(words) / backward) / 2


def _count_factors(words: Iterable[str], threshold: float) -> float:
    factors, length = 0.0, 0
    types: set[str] = set()
    for word in words:
        length += 1
        types.add(word)
        if len(types) / length <= threshold:
            factors, length, types = factors + 1.0, 0, set()
    return factors + ((1.0 - len(types) / length) / (1.0 - threshold) if length else 0.0)
