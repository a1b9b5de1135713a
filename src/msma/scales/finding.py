"""Find the scales of a model: every signal votes, resampling says how sure the vote is."""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from msma.errors import ConfigError, CorpusError, ScaleError
from msma.progress import progress
from msma.scales.partition import ScalePartition, Signal
from msma.scales.signals import (
    Measured,
    best_split,
    measure_attention,
    measure_information,
    measure_similarity,
)
from msma.states import HiddenStates

Method = Literal["fused", "similarity", "attention", "information", "thirds"]

#: Fewest documents from which boundaries are looked for; half of them vote at a time.
_FEWEST_DOCUMENTS = 16


def find_scales(
    states: HiddenStates,
    *,
    method: Method = "fused",
    n_votes: int = 100,
    min_layers: int | None = None,
    seed: int = 0,
) -> ScalePartition:
    """Find which layers are local, intermediate and global.

    Each signal (similarity, attention, information) names its best two boundaries on random halves of the
    documents, ``n_votes`` times. ``fused`` adds the votes of all signals with equal weight, a vote counting
    half for the layers beside it, and takes the pair of boundaries with the most; the result says which share
    of all votes agrees, and how far the signals are apart. Halves are drawn without replacement: duplicates
    would bias every pairwise quantity.

    Args:
        states: Training states; test states must not take part.
        method: "fused", one signal alone, or "thirds".
        n_votes: Number of random halves.
        min_layers: Fewest layers a scale may have; when left out, 1 below nine layer entries, else 2.
        seed: Fixes the halves.

    Returns:
        The partition with its stability and every signal's votes.

    Raises:
        ConfigError: When the method is unknown.
        CorpusError: When there are too few documents.
        ScaleError: When the model has too few layers, only its scales were kept, or there are no attention
            statistics where they were asked for.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> blocks = [rng.normal(size=(64, 8)) for _ in range(3)]
        >>> layers = [blocks[k] + 0.1 * rng.normal(size=(64, 8)) for k in (0, 0, 1, 1, 1, 2, 2)]
        >>> print(find_scales(HiddenStates.from_arrays(np.stack(layers)), method="similarity"))
        local 0-1 | intermediate 2-4 | global 5-6
    """
    if method not in get_args(Method):
        raise ConfigError(f"method '{method}' came; expected one of {', '.join(get_args(Method))}")
    if states.origin.scales is not None:
        raise ScaleError(
            f"states of the scales {states.origin.scales} alone came, whose layers are gone; extract all layers, or "
            "take the scales.json that stands beside these"
        )
    provenance: dict[str, object] = {
        "model": states.origin.model,
        "revision": states.origin.revision,
        "texts": states.fingerprint,
        "seed": seed,
        "n_votes": n_votes,
        "split": states.part,
    }
    if method == "thirds":
        thirds = ScalePartition.thirds(states.n_layers)
        return ScalePartition(
            n_layers=thirds.n_layers, boundaries=thirds.boundaries, method="thirds", provenance=provenance
        )
    if states.n_layers < 3:
        raise ScaleError(
            f"{states.n_layers} layer entries came; three scales need at least 3: choose a deeper model"
        )
    if min_layers is None:
        min_layers = 1 if states.n_layers < 9 else 2
    n_documents = len(np.unique(states.documents))
    if n_documents < _FEWEST_DOCUMENTS:
        raise CorpusError(
            f"{n_documents} {states.part or ''} documents came; finding scales needs at least "
            f"{_FEWEST_DOCUMENTS}: give more texts, or choose method='thirds'".replace("  ", " ")
        )
    measured = _measure(states, method=method, min_layers=min_layers, seed=seed)
    signals = {signal.name: _vote(signal, states.n_layers, n_votes, seed) for signal in measured}
    ballots = np.mean([signal.votes for signal in signals.values()], axis=0)
    return _elect(ballots, signals, method=method, min_layers=min_layers, provenance=provenance)


def _measure(states: HiddenStates, *, method: Method, min_layers: int, seed: int) -> list[Measured]:
    found: list[Measured] = []
    if method in ("fused", "similarity"):
        found.append(measure_similarity(states, min_layers=min_layers, seed=seed))
    if method in ("fused", "attention"):
        attention = measure_attention(states, min_layers=min_layers)
        if attention is not None:
            found.append(attention)
        elif method == "attention":
            raise ScaleError(
                "these states carry attention statistics of fewer than 8 texts; extract them with "
                "attention_texts=128 from a model that has attention, or choose another method"
            )
    if method in ("fused", "information"):
        found.append(measure_information(states, min_layers=min_layers, seed=seed))
    return found


def _vote(signal: Measured, n_layers: int, n_votes: int, seed: int) -> Signal:
    names, codes = np.unique(signal.documents, return_inverse=True)
    rng = np.random.default_rng(seed)
    boundaries, profile = signal.ask(np.arange(len(codes)))
    votes = np.zeros((2, n_layers))
    for _ in progress(range(n_votes), label=f"{signal.name} votes"):
        half = rng.choice(len(names), size=(len(names) + 1) // 2, replace=False)
        (first, second), _ = signal.ask(np.flatnonzero(np.isin(codes, half)))
        votes[0, first] += 1.0 / n_votes
        votes[1, second] += 1.0 / n_votes
    return Signal(
        name=signal.name,
        boundaries=boundaries,
        votes=(tuple(votes[0].round(6).tolist()), tuple(votes[1].round(6).tolist())),
        profile=profile,
        note=signal.note,
    )


def _elect(
    ballots: Float[np.ndarray, "2 layers"],
    signals: dict[str, Signal],
    *,
    method: str,
    min_layers: int,
    provenance: dict[str, object],
) -> ScalePartition:
    n_layers = ballots.shape[1]
    # A vote counts half for the layers beside it: signals one layer apart agree more than signals far apart.
    support = ballots + 0.5 * (
        np.pad(ballots[:, 1:], ((0, 0), (0, 1))) + np.pad(ballots[:, :-1], ((0, 0), (1, 0)))
    )
    # A range is paid with the votes for its first layer; the range that reaches the top is the third, and
    # takes the votes for the second boundary.
    costs = np.zeros((n_layers, n_layers))
    costs[1:, :-1] = -support[0][1:, None]
    costs[1:, -1] = -support[1][1:]
    boundaries = best_split(costs, min_layers=min_layers)
    stability = tuple(float(ballots[i, b]) for i, b in enumerate(boundaries))
    near = tuple(float(ballots[i, max(b - 1, 0) : b + 2].sum()) for i, b in enumerate(boundaries))
    return ScalePartition(
        n_layers=n_layers,
        boundaries=boundaries,
        method=method,
        stability=(stability[0], stability[1]),
        near=(near[0], near[1]),
        disagreement=_disagreement([signal.boundaries for signal in signals.values()]),
        signals=signals,
        provenance=provenance,
    )


def _disagreement(boundaries: Sequence[tuple[int, int]]) -> float | None:
    if len(boundaries) < 2:
        return None
    array: Int[np.ndarray, "signals 2"] = np.asarray(boundaries)
    return float(np.mean([np.abs(a - b).mean() for a, b in combinations(array, 2)]))
