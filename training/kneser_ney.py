"""What the decoder has to beat: interpolated Kneser-Ney n-grams of the same tokens, with one discount or with three.

For an n-gram of a context c and a word w, c' being c without its first word,

    P(w | c) = max(a(c w) - D(a(c w)), 0) / A(c) + g(c) P(w | c'),    A(c) = sum over w of a(c w),

where g(c) gives back exactly what the discounts took, so that the probabilities add up to 1. a counts an n-gram of
the highest order, and the different words in front of it below that (Kneser & Ney 1995). The discount of each order is
D = n1 / (n1 + 2 n2) from the number of n-grams with a = 1 and a = 2 (Ney et al. 1994, eq. 13 of Chen & Goodman 1999);
the modified form has three, D(k) = k - (k + 1) Y n(k+1) / n(k) for a = 1, a = 2 and more, with Y = n1 / (n1 + 2 n2)
(Chen & Goodman 1999, eq. 17). The empty context is interpolated with the uniform law over the vocabulary.

A document begins with a mark that is never predicted, and no n-gram crosses documents. Nothing stands in front of an
n-gram that begins with the mark, so such a one keeps its plain count, as in SRILM and KenLM.

Each order is one sorted array: the key of an n-gram is (place of its first n - 1 words in the array below) times the
size of the vocabulary plus its last word, so that counting is sorting and looking up is bisection.
"""

from dataclasses import dataclass

import numpy as np

#: Discounts where the counts give none, as KenLM's --discount_fallback has them.
_FALLBACK = (0.5, 1.0, 1.5)


@dataclass(frozen=True)
class _Order:
    """The n-grams of one length, and for each context of theirs what the formula needs.

    Args:
        keys: Sorted keys of the n-grams.
        kept: a - D(a) of each n-gram, 0 for the mark alone.
        totals: A of each context, by its place in the order below.
        freed: Sum of the discounts of each context.
        discounts: D for a = 1, a = 2 and more.
    """

    keys: np.ndarray
    kept: np.ndarray
    totals: np.ndarray
    freed: np.ndarray
    discounts: tuple[float, float, float]


class KneserNey:
    """An interpolated Kneser-Ney model.

    Args:
        n_tokens: Size of the vocabulary.
        order: Length of the longest n-gram.
        is_modified: Take three discounts instead of one.
    """

    def __init__(self, n_tokens, *, order=5, is_modified=False):
        self.n_tokens, self.order, self.is_modified = n_tokens, order, is_modified
        self.orders: list[_Order] = []

    def fit(self, documents):
        """Count the n-grams of documents.

        Args:
            documents: Ids of each document; the first one is the mark, which stands nowhere else.

        Returns:
            The model itself.

        Raises:
            ValueError: When a document does not begin with the mark, or has it inside.
        """
        stream, place = _join(documents)
        mark = int(stream[0])
        if not np.array_equal(stream == mark, place == 0):
            raise ValueError(f"every document has to begin with the mark {mark}, and have it nowhere else")
        tables = []
        spots = np.zeros(len(stream), dtype=np.int64)  # the empty n-gram, in front of every word
        for n in range(1, self.order + 1):
            inside = np.flatnonzero(place >= n - 1)
            before = spots[inside - 1] if n > 1 else 0
            keys, firsts, found, counts = np.unique(
                before * self.n_tokens + stream[inside],
                return_index=True, return_inverse=True, return_counts=True,
            )  # fmt: skip
            spots = np.full(len(stream), -1)
            spots[inside] = found
            tables.append((keys, inside[firsts], spots, counts))
        self.orders = []
        for n, (keys, ends, _, counts) in enumerate(tables, start=1):
            if n < self.order:
                adjusted = _count_preceding(tables[n], spots=tables[n - 1][2], n_grams=len(keys))
                adjusted = np.where(place[ends] == n - 1, counts, adjusted)
            else:
                adjusted = counts
            if n == 1:
                adjusted = np.where(keys == mark, 0, adjusted)
            n_contexts = len(tables[n - 2][0]) if n > 1 else 1
            self.orders.append(self._weigh(keys, adjusted, n_contexts))
        return self

    def _weigh(self, keys, adjusted, n_contexts):
        discounts = find_discounts(adjusted, is_modified=self.is_modified)
        taken = np.array([0.0, *discounts])[np.minimum(adjusted, 3)]
        contexts = keys // self.n_tokens
        return _Order(
            keys=keys,
            kept=adjusted - taken,
            totals=np.bincount(contexts, weights=adjusted, minlength=n_contexts),
            freed=np.bincount(contexts, weights=taken, minlength=n_contexts),
            discounts=discounts,
        )

    def probabilities(self, documents):
        """Give the probability of every word after the mark, from the words before it in its own document.

        Args:
            documents: Ids of each document, the mark in front.

        Returns:
            One array a document, an entry shorter than the document.
        """
        stream, place = _join(documents)
        result = np.full(len(stream), 1 / self.n_tokens)
        spots = np.zeros(len(stream), dtype=np.int64)
        for n, level in enumerate(self.orders, start=1):
            # The place of the context, the n - 1 words before each word: -1 where it was never seen.
            contexts = np.concatenate([[-1], spots[:-1]]) if n > 1 else spots
            contexts = np.where(place >= n - 1, contexts, -1)
            spots, is_known = _look_up(level.keys, contexts, stream, self.n_tokens)
            total = np.where(contexts >= 0, level.totals[contexts], 0)
            kept = np.where(is_known, level.kept[spots], 0)
            with np.errstate(invalid="ignore", divide="ignore"):
                mixed = (kept + level.freed[contexts] * result) / total
            result = np.where(total > 0, mixed, result)
        lengths = np.cumsum([len(ids) for ids in documents])[:-1]
        return [part[1:] for part in np.split(result, lengths)]

    def distribution(self, context):
        """Give the probability of every word of the vocabulary after a context.

        Args:
            context: Ids; only the last order - 1 are read.

        Returns:
            Probabilities that add up to 1.
        """
        result = np.full(self.n_tokens, 1 / self.n_tokens)
        context = [int(word) for word in context]
        for n, level in enumerate(self.orders, start=1):
            words = context[len(context) - n + 1 :] if n - 1 <= len(context) else None
            spot = self._find(words)
            if spot < 0 or level.totals[spot] == 0:
                continue
            low, high = np.searchsorted(level.keys, [spot * self.n_tokens, (spot + 1) * self.n_tokens])
            mixed = level.freed[spot] * result
            mixed[level.keys[low:high] - spot * self.n_tokens] += level.kept[low:high]
            result = mixed / level.totals[spot]
        return result

    def _find(self, words):
        """Place of an n-gram in its order; 0 for the empty one, -1 when it was never seen."""
        if words is None:
            return -1
        spot = 0
        for level, word in zip(self.orders, words, strict=False):
            key = spot * self.n_tokens + word
            spot = int(np.searchsorted(level.keys, key))
            if spot == len(level.keys) or level.keys[spot] != key:
                return -1
        return spot


def find_discounts(adjusted, *, is_modified):
    """Find the discounts of one order from how many n-grams have a count of 1, 2, 3 and 4.

    Args:
        adjusted: Count of each n-gram.
        is_modified: Three discounts, or one three times.

    Returns:
        What is taken from a count of 1, of 2, and of more; KenLM's fallback where the counts give nothing usable.
    """
    n1, n2, n3, n4 = (int((adjusted == k).sum()) for k in range(1, 5))
    if not is_modified:
        one = n1 / (n1 + 2 * n2) if n1 and n2 else _FALLBACK[0]
        return (one, one, one)
    if not (n1 and n2 and n3):
        return _FALLBACK
    share = n1 / (n1 + 2 * n2)
    found = (1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3)
    return found if all(0 < d <= k for k, d in enumerate(found, start=1)) else _FALLBACK


def _join(documents):
    """The documents in one stream, and the place of each word in its own document."""
    stream = np.concatenate(documents).astype(np.int64)
    return stream, np.concatenate([np.arange(len(ids)) for ids in documents])


def _count_preceding(longer, *, spots, n_grams):
    """How many different words stand in front of each n-gram: one for each longer n-gram that ends with it."""
    _, ends, _, _ = longer
    return np.bincount(spots[ends], minlength=n_grams)


def _look_up(keys, contexts, words, n_tokens):
    """Places of n-grams (-1 where unknown), and whether each is known."""
    wanted = contexts * n_tokens + words
    spots = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    is_known = (contexts >= 0) & (keys[spots] == wanted)
    return np.where(is_known, spots, -1), is_known
