"""What each signal says about where the scales meet: similarity, attention, information.

Every signal is reduced to per-document material once, so that asking it again on a part of the documents
(which is how boundaries get their stability) costs next to nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import eigh

from msma.errors import ScaleError
from msma.measures.information import copula_transform, gaussian_mi
from msma.states import HiddenStates

#: Documents looked at by the similarity signal: all pairs of them are held for every layer.
_MOST_SAMPLES = 768


@dataclass(frozen=True)
class Measured:
    """A signal that can be asked for boundaries on any part of the documents.

    Args:
        name: "similarity", "attention" or "information".
        documents: The document of each of its samples.
        ask: Takes the samples kept, returns the two boundaries and the profile they were read from.
        note: What a reader must know about it.
    """

    name: str
    documents: Int[np.ndarray, " samples"]
    ask: Callable[[Int[np.ndarray, " kept"]], tuple[tuple[int, int], dict[str, Any]]]
    note: str | None = None


def best_split(cost: Float[np.ndarray, "layers layers"], *, min_layers: int = 1) -> tuple[int, int]:
    """Find the division into three contiguous ranges of least total cost, exactly.

    Args:
        cost: Cost of the range from layer ``i`` to layer ``j``, both included, at ``[i, j]``.
        min_layers: Fewest layers a range may have.

    Returns:
        First layer of the second and of the third range; the most even of equal divisions.

    Raises:
        ScaleError: When there are fewer than three times ``min_layers`` layers.

    Examples:
        >>> cost = np.abs(np.subtract.outer([0, 0, 5, 5, 9, 9], [0, 0, 5, 5, 9, 9])).astype(float)
        >>> best_split(cost)
        (2, 4)
    """
    n_layers = len(cost)
    if n_layers < 3 * min_layers:
        raise ScaleError(
            f"{n_layers} layers came; three scales of at least {min_layers} need {3 * min_layers}: "
            "choose a deeper model or a smaller min_layers"
        )
    candidates = [
        (first, second)
        for first in range(min_layers, n_layers - 2 * min_layers + 1)
        for second in range(first + min_layers, n_layers - min_layers + 1)
    ]

    def badness(split: tuple[int, int]) -> tuple[float, int]:
        first, second = split
        total = cost[0, first - 1] + cost[first, second - 1] + cost[second, n_layers - 1]
        sizes = (first, second - first, n_layers - second)
        return round(float(total), 12), max(sizes) - min(sizes)

    return min(candidates, key=badness)


def kernel_costs(kernel: Float[np.ndarray, "layers layers"]) -> Float[np.ndarray, "layers layers"]:
    r"""Compute the within-range scatter of every contiguous range of layers in a similarity's feature space.

    .. math:: c(i, j) = \sum_{l=i}^{j} K_{ll} - \frac{1}{j-i+1} \sum_{l,m=i}^{j} K_{lm}

    Least total scatter within ranges is greatest scatter between them, so the best division keeps similar
    layers together and dissimilar ones apart (kernel change points; Harchaoui and Cappé 2007).

    Args:
        kernel: Similarity of all pairs of layers, 1 on the diagonal.

    Returns:
        The cost of the range from ``i`` to ``j`` at ``[i, j]``; zero below the diagonal.
    """
    n_layers = len(kernel)
    costs = np.zeros((n_layers, n_layers))
    for i in range(n_layers):
        for j in range(i, n_layers):
            block = kernel[i : j + 1, i : j + 1]
            costs[i, j] = np.trace(block) - block.sum() / (j - i + 1)
    return costs


def cka_matrix(grams: Float[np.ndarray, "layers samples samples"]) -> Float[np.ndarray, "layers layers"]:
    """Compute debiased linear CKA between all pairs of layers from their Gram matrices.

    Unbiased HSIC (Song et al. 2012, equation 5) of every pair, normalised (Kornblith et al. 2019).

    Args:
        grams: Inner products of the samples, one matrix a layer.

    Returns:
        Similarities, 1 on the diagonal, at most 1 up to sampling error elsewhere.
    """
    n = grams.shape[1]
    flat = grams.astype(np.float64)
    flat[:, np.arange(n), np.arange(n)] = 0.0
    rows = flat.sum(axis=2)
    totals = rows.sum(axis=1)
    inner = np.einsum("lij,mij->lm", flat, flat, optimize=True)
    cross = rows @ rows.T
    hsic = inner + np.outer(totals, totals) / ((n - 1) * (n - 2)) - 2.0 * cross / (n - 2)
    scale = np.sqrt(np.clip(np.diag(hsic), np.finfo(float).tiny, None))
    return hsic / np.outer(scale, scale)


def measure_similarity(states: HiddenStates, *, min_layers: int, seed: int) -> Measured:
    """Prepare the similarity signal: debiased CKA of all layers and the exact best division.

    Args:
        states: Training states.
        min_layers: Fewest layers a scale may have.
        seed: Fixes which samples are looked at when there are many.

    Returns:
        The signal.
    """
    kept = np.arange(states.n_samples)
    if len(kept) > _MOST_SAMPLES:
        kept = np.sort(np.random.default_rng(seed).choice(kept, _MOST_SAMPLES, replace=False))
    part = states.subset(kept)
    grams = np.empty((states.n_layers, len(kept), len(kept)), dtype=np.float32)
    for layer in range(states.n_layers):
        # Centring first keeps a huge common mean (pre-norm decoders) from drowning float32; CKA ignores it.
        centred = part.layer(layer).astype(np.float64)
        centred -= centred.mean(axis=0)
        gram = centred @ centred.T
        grams[layer] = gram / max(float(np.abs(gram).max()), np.finfo(float).tiny)

    def ask(rows: Int[np.ndarray, " kept"]) -> tuple[tuple[int, int], dict[str, Any]]:
        similarity = cka_matrix(grams[:, rows[:, None], rows[None, :]])
        return best_split(kernel_costs(similarity), min_layers=min_layers), {"cka": similarity.tolist()}

    return Measured("similarity", part.documents, ask)


def measure_attention(states: HiddenStates, *, min_layers: int) -> Measured | None:
    """Prepare the attention signal: how far and how evenly each layer looks, against uniform attention.

    The first token is left out: much of what raw distance measures is weight parked there.

    Args:
        states: Training states that carry attention statistics.
        min_layers: Fewest layers a scale may have.

    Returns:
        The signal, or ``None`` where the states carry no attention statistics of at least 8 texts.
    """
    summary = states.attention
    if summary is None or len(summary.texts) < 8:
        return None
    document_of = dict(zip(states.positions.tolist(), states.documents.tolist(), strict=True))
    documents = np.array([document_of[int(text)] for text in summary.texts])

    def ask(rows: Int[np.ndarray, " kept"]) -> tuple[tuple[int, int], dict[str, Any]]:
        distance = summary.distance[:, rows].mean(axis=1) / summary.distance_uniform[:, rows].mean(axis=1)
        entropy = summary.entropy[:, rows].mean(axis=1) / summary.entropy_uniform[:, rows].mean(axis=1)
        features = np.stack([distance, entropy], axis=1).astype(np.float64)
        spread = features.std(axis=0)
        features = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        # Attention belongs to blocks 1..N; the embedding output has none and goes with the first block.
        features = np.vstack([features[:1], features])
        profile = {
            "distance": distance.tolist(),
            "distance_raw": (
                summary.distance_raw[:, rows].mean(axis=1) / summary.distance_uniform[:, rows].mean(axis=1)
            ).tolist(),
            "entropy": entropy.tolist(),
            "sink_share": summary.sink_share[:, rows].mean(axis=1).tolist(),
        }
        return best_split(kernel_costs(features @ features.T), min_layers=min_layers), profile

    return Measured("attention", documents, ask, f"read on {len(documents)} texts")


def measure_information(states: HiddenStates, *, min_layers: int, seed: int) -> Measured:
    """Prepare the information signal: Gaussian-copula mutual information between neighbouring layers.

    Boundaries go where it is lowest against its straight-line trend over depth, a choice of this project: on
    MiniLM, where it falls with depth, plain minima cut before layers 5 and 6, against the trend before 3 and 6.

    Args:
        states: Training states.
        min_layers: Fewest layers a scale may have.
        seed: Fixes which samples are looked at when there are many.

    Returns:
        The signal.
    """
    kept = np.arange(states.n_samples)
    if len(kept) > 4 * _MOST_SAMPLES:
        kept = np.sort(np.random.default_rng(seed).choice(kept, 4 * _MOST_SAMPLES, replace=False))
    part = states.subset(kept)
    # Half of the samples vote at a time; eight for each dimension of a pair keep determinants steady.
    width = int(max(1, min(32, states.d_model, len(kept) // 2 // 16)))
    # Normal scores are taken once: ranks among half of the samples differ by less than the votes do.
    reduced = [
        copula_transform(_leading_components(part.layer(layer), width)) for layer in range(states.n_layers)
    ]

    def ask(rows: Int[np.ndarray, " kept"]) -> tuple[tuple[int, int], dict[str, Any]]:
        shared = np.array([float(gaussian_mi(a[rows], b[rows])) for a, b in pairwise(reduced)])
        depth = np.arange(len(shared), dtype=np.float64)
        trend = np.polyval(np.polyfit(depth, shared, 1), depth) if len(shared) > 2 else shared.mean()
        dip = shared - trend
        # Cutting between l and l + 1 costs that gap's information; everything kept together costs nothing.
        n_layers = len(reduced)
        costs = np.zeros((n_layers, n_layers))
        for i in range(n_layers):
            costs[i, :] = dip[i - 1] if i > 0 else 0.0
        return best_split(costs, min_layers=min_layers), {"mi": shared.tolist()}

    return Measured("information", part.documents, ask, f"on the leading {width} components of each layer")


def _leading_components(
    states: Float[np.ndarray, "samples d_model"], width: int
) -> Float[np.ndarray, "samples k"]:
    centred = states.astype(np.float64) - states.mean(axis=0, dtype=np.float64)
    last = centred.shape[1] - 1
    _, vectors = eigh(centred.T @ centred, subset_by_index=(last - width + 1, last))
    return centred @ vectors[:, ::-1]
