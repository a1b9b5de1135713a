"""Whether neighbouring sentences of a text are about the same."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from msma.errors import ShapeError
from msma.textstats.words import find_sentences

__all__ = ["Embedder", "coherence", "embed_once"]

#: Takes sentences, gives one row of numbers for each.
Embedder: TypeAlias = Callable[[list[str]], np.ndarray]


def coherence(text: str, embed: Embedder) -> float:
    r"""Compute the mean cosine similarity of neighbouring sentences (Foltz, Kintsch and Landauer 1998).

    .. math:: \frac{1}{S-1}\sum_{i=1}^{S-1} \frac{e_i \cdot e_{i+1}}{\|e_i\|\,\|e_{i+1}\|}

    Args:
        text: Any text.
        embed: Turns sentences into vectors; similar meanings must be near in angle.

    Returns:
        -1 to 1, 1 where every sentence points the same way, as when one is repeated. NaN where there are fewer
        than two sentences. Pairs with a vector of zeros have no angle and are left out; NaN where none is left.

    Raises:
        ShapeError: When ``embed`` does not give one row of finite numbers for each sentence.

    Examples:
        >>> def count_letters(sentences):
        ...     return np.array([[s.count("a"), s.count("b")] for s in sentences], dtype=float)
        >>> coherence("A a. A aa! B b.", count_letters)  # cosines 1 and 0
        0.5
    """
    sentences = find_sentences(text)
    if len(sentences) < 2:
        return math.nan
    vectors = _embed(sentences, embed)
    norms = np.linalg.norm(vectors, axis=1)
    directions = vectors / np.where(norms > 0, norms, 1.0)[:, None]
    similar = [
        float(directions[i] @ directions[j]) for i, j in pairwise(range(len(norms))) if norms[i] * norms[j]
    ]
    # Rounding may leave 1 by a last digit.
    return float(np.clip(np.mean(similar), -1.0, 1.0)) if similar else math.nan


def embed_once(texts: Sequence[str], embed: Embedder) -> Embedder:
    """Embed each different sentence of many texts once, all in one call, so that ``embed`` may fill its batches.

    Args:
        texts: The texts whose sentences will be asked for; those with fewer than two are passed over.
        embed: Turns sentences into vectors.

    Returns:
        A function that looks those sentences up.

    Raises:
        ShapeError: When ``embed`` does not give one row of finite numbers for each sentence.

    Examples:
        >>> look_up = embed_once(["A b. C d.", "C d. A b."], lambda sentences: np.eye(len(sentences)))
        >>> look_up(["C d."])
        array([[0., 1.]])
    """
    divided = [find_sentences(text) for text in texts]
    places: dict[str, int] = {}
    for sentences in divided:
        if len(sentences) > 1:
            for sentence in sentences:
                places.setdefault(sentence, len(places))
    vectors = _embed(list(places), embed) if places else np.zeros((0, 1))
    return lambda sentences: vectors[[places[sentence] for sentence in sentences]]


def _embed(sentences: list[str], embed: Embedder) -> Float[np.ndarray, "sentences d_model"]:
    came = np.asarray(embed(sentences))
    if came.ndim != 2 or came.shape[0] != len(sentences) or came.shape[1] < 1 or came.dtype.kind not in "fiu":
        raise ShapeError(
            f"the embedding function gave {came.dtype} of shape {came.shape} for {len(sentences)} sentences; "
            f"expected numbers of shape ({len(sentences)}, width)"
        )
    vectors = came.astype(np.float64)
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise ShapeError(
            f"the embedding function gave infinity or NaN for sentence {row} of {len(sentences)}; "
            "expected finite numbers"
        )
    return vectors
