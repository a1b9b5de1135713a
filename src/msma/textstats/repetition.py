"""How much a text repeats itself: what a model does when its generation degenerates."""

import numpy as np

from msma.textstats.diversity import distinct_n
from msma.textstats.words import find_words

__all__ = ["longest_repeat", "repeated_ngrams"]


def repeated_ngrams(text: str, n: int = 4) -> float:
    r"""Compute the share of n-grams that stood in the text before (seq-rep-n of Welleck et al. 2020).

    .. math:: \text{rep}_n = 1 - \text{distinct}_n

    Args:
        text: Any text.
        n: Words in an n-gram.

    Returns:
        Share in [0, 1), 0 where no n-gram comes twice; NaN where the text has fewer than n words.

    Raises:
        ConfigError: When n is below 1.

    Examples:
        >>> repeated_ngrams("we go home and we go home and we", n=4)  # 4 different among 6
        0.33333333333333337
    """
    return 1.0 - distinct_n(text, n)


def longest_repeat(text: str) -> float:
    r"""Find the longest span that is at once repeated: the length of the longest square :math:`uu`.

    .. math:: \max\{L : w_{i+1} \dots w_{i+L} = w_{i+L+1} \dots w_{i+2L} \text{ for some } i\}

    A loop of many rounds counts as half of all its whole rounds or a little less, since several rounds together
    are a span too.

    Args:
        text: Any text.

    Returns:
        Words, from 0 (nothing repeated at once) to half the text.

    Examples:
        >>> longest_repeat("so we went on, we went on."), longest_repeat("a b a")
        (3.0, 0.0)
    """
    codes: dict[str, int] = {}
    words = np.array([codes.setdefault(word, len(codes)) for word in find_words(text)], dtype=np.int64)
    for length in range(len(words) // 2, 0, -1):
        # A run of `length` places that equal the place `length` words on is a span with its repetition.
        breaks = np.flatnonzero(words[:-length] != words[length:])
        edges = np.concatenate(([-1], breaks, [len(words) - length]))
        if np.diff(edges).max() - 1 >= length:
            return float(length)
    return 0.0
