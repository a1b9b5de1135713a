"""Which tokens drive each scale's coordinate, and whether taking those tokens out really moves it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int

from msma._types import SCALES, Scale
from msma.errors import ConfigError
from msma.explanation.coordinates import Coordinate
from msma.explanation.parts import Attribution
from msma.explanation.reading import ScaleReader, TextReading

METHODS = ("occlusion", "gradient")
#: Shares of the tokens deleted.
SHARES = (0.1, 0.2, 0.3, 0.5)
#: Points at which gradients are taken on the way to a text.
N_STEPS = 8
#: Texts of more tokens are occluded in runs of as few tokens as keep the runs below this number.
MOST_RUNS = 256

#: Coordinates of some variants of a text, by scale.
Values: TypeAlias = dict[Scale, Float[np.ndarray, " variants"]]
#: One number a token, by scale.
Scores: TypeAlias = dict[Scale, Float[np.ndarray, " tokens"]]
#: Ordinary tokens in the order in which they are deleted.
Order: TypeAlias = Int[np.ndarray, " tokens"]
#: Called before each batch of variants; what it raises ends the work.
GiveWay: TypeAlias = Callable[[], None]


class Deletions:
    """Coordinates of a text without some of its tokens; special tokens stay, and what was read is not read again.

    Where nothing at all would be left, the coordinate is 0, that of the mean of the corpus: nothing is known of such
    a text but the corpus it belongs to. Where the decoder of an encoder-decoder is read, tokens are taken from what the
    decoder reads; its encoder still reads the whole text.

    Args:
        reader: Reads texts as the study did.
        reading: The text.
        coordinate: What is looked at.
    """

    def __init__(self, reader: ScaleReader, reading: TextReading, coordinate: Coordinate) -> None:
        self.reader, self.reading, self.coordinate = reader, reading, coordinate
        self._known: dict[bytes, tuple[float, ...]] = {}

    @property
    def whole(self) -> dict[Scale, float]:
        """The coordinate of the text with all its tokens at each scale."""
        pooled = self.reading.pooled
        return {scale: float(self.coordinate.value(scale, state[None])[0]) for scale, state in pooled.items()}

    def values(self, sets: Sequence[Sequence[int] | Order], *, give_way: GiveWay | None = None) -> Values:
        """Read a text without some tokens.

        Args:
            sets: Numbers of the ordinary tokens taken out of each variant.
            give_way: Called before each batch, so that others may use the model; what it raises ends the reading.

        Returns:
            One coordinate a variant at each scale, in standard deviations.
        """
        length = len(self.reading.ids)
        keys = []
        for taken in sets:
            is_kept = np.ones(length, dtype=bool)
            is_kept[self.reading.places[np.asarray(taken, dtype=np.int64)]] = False
            keys.append(is_kept.tobytes())
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        empty = np.zeros(length, dtype=bool).tobytes()
        if empty in new:
            self._known[empty] = (0.0, 0.0, 0.0)
            new.remove(empty)
        if new:
            ids = np.asarray(self.reading.ids)
            rows = [ids[np.frombuffer(key, dtype=bool)].tolist() for key in new]
            pooled = self.reader.pool(rows, source=self.reading.source, give_way=give_way)
            found = [self.coordinate.value(scale, pooled[scale]).tolist() for scale in SCALES]
            self._known.update(zip(new, zip(*found, strict=True), strict=True))
        return {scale: np.array([self._known[key][k] for key in keys]) for k, scale in enumerate(SCALES)}


def attribute(
    reader: ScaleReader,
    reading: TextReading,
    coordinate: Coordinate,
    *,
    methods: Sequence[str] = METHODS,
    n_draws: int = 100,
    shares: Sequence[float] = SHARES,
    n_steps: int = N_STEPS,
    seed: int = 0,
) -> tuple[Attribution, ...]:
    r"""Tell how much each token drives a text's coordinate at each scale, and check it by deletion.

    "occlusion" is what the coordinate loses when a token is taken out of the row of ids,
    :math:`a_t = F(x) - F(x \setminus t)`; later tokens move up by a place, and a text of more than 256 tokens is
    occluded in runs of neighbouring tokens, which share what their run loses equally. "gradient" is gradient times
    input, summed over the dimensions of what enters the first block, with the gradient averaged over K points of the
    way from :math:`\bar h`, the mean over all tokens of the row, to the text (integrated gradients, Sundararajan et al.
    2017, ICML):

    .. math:: a_t = (h_t - \bar h) \cdot \frac{1}{K} \sum_{k=1}^{K} \nabla_{h_t} F(\bar h + \tfrac{k}{K} (h - \bar h))

    One step is plain gradient times input, which is hardly more faithful than chance at the global scale of the
    encoder that comes with this package (benchmarks/explanation.py). The way starts at the mean because a text that
    loses a token moves towards its others: for a model that is linear and does not mix tokens this is
    :math:`(n - 1) / n` of the occlusion exactly.

    Comprehensiveness (DeYoung et al. 2020, ACL, "ERASER") is :math:`F(x) - F(x \setminus \text{top } k)` averaged over
    shares of the tokens, rounded up. Ties are deleted in random order. It is compared with the same shares of tokens
    deleted in ``n_draws`` random orders, the same for all scales and methods. For occlusion, deleting the one highest
    token is what its score was measured by, so a share that is a single token proves nothing; deleting many together
    does, since their effects need not add up.

    Args:
        reader: Reads texts as the study did.
        reading: The text.
        coordinate: What is attributed.
        methods: Some of "occlusion" and "gradient".
        n_draws: Random orders.
        shares: Shares of the tokens deleted, above 0 and at most 1.
        n_steps: K.
        seed: Fixes the random orders.

    Returns:
        One attribution a method and scale, method by method.

    Raises:
        ConfigError: When a method is unknown, or a share or the number of draws or steps impossible.
        ModelError: When the gradient is asked for and the model's blocks cannot be reached.
    """
    check_settings(methods=methods, n_draws=n_draws, shares=shares, n_steps=n_steps)
    deletions = Deletions(reader, reading, coordinate)
    scored = attribute_unchecked(deletions, methods=methods, n_steps=n_steps)
    return check_attributions(deletions, scored, n_draws=n_draws, shares=shares, seed=seed)


def attribute_unchecked(
    deletions: Deletions, *, methods: Sequence[str] = METHODS, n_steps: int = N_STEPS
) -> tuple[Attribution, ...]:
    """Do the first half of :func:`attribute`: score the tokens, and leave open whether the scores hold.

    Args:
        deletions: The text and its coordinate; keeps what was read for the second half.
        methods: Some of "occlusion" and "gradient".
        n_steps: Points at which gradients are taken.

    Returns:
        One attribution a method and scale, method by method, without comprehensiveness, random and p-value.

    Raises:
        ConfigError: When a method is unknown, or the number of steps impossible.
        ModelError: When the gradient is asked for and the model's blocks cannot be reached.
    """
    check_settings(methods=methods, n_steps=n_steps)
    reader, reading, coordinate = deletions.reader, deletions.reading, deletions.coordinate
    whole = deletions.whole
    found = []
    for name in methods:
        scores = score_tokens(reader, reading, coordinate, name, deletions=deletions, n_steps=n_steps)
        found += [
            Attribution(
                scale=scale,
                method=name,
                direction=coordinate.name,
                coordinate=whole[scale],
                scores=tuple(scores[scale].tolist()),
            )
            for scale in SCALES
        ]
    return tuple(found)


def check_attributions(
    deletions: Deletions,
    attributions: Sequence[Attribution],
    *,
    n_draws: int = 100,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    give_way: GiveWay | None = None,
) -> tuple[Attribution, ...]:
    """Do the second half of :func:`attribute`: hold the scores against random deletions.

    Args:
        deletions: What the attributions were made with; what it read already is not read again.
        attributions: Those of one text and coordinate.
        n_draws: Random orders.
        shares: Shares of the tokens deleted, above 0 and at most 1.
        seed: Fixes the random orders.
        give_way: Called before each batch, so that others may use the model; what it raises ends the check.

    Returns:
        The same with comprehensiveness, random and p-value, in the same order.

    Raises:
        ConfigError: When a share or the number of draws is impossible.
    """
    check_settings(n_draws=n_draws, shares=shares)
    n_tokens = len(deletions.reading.places)
    rng = np.random.default_rng(seed)
    ties = rng.permutation(n_tokens)
    orders = [rng.permutation(n_tokens) for _ in range(n_draws)]
    ranked = [rank_tokens(np.array(one.scores), ties) for one in attributions]
    drops = _drop_orders(deletions, [*ranked, *orders], shares, give_way)
    checked = []
    for number, one in enumerate(attributions):
        top, random = float(drops[one.scale][number]), drops[one.scale][len(ranked) :]
        # Sums of the same numbers in another order differ by rounding.
        hits = int((random >= top - 1e-12 * max(1.0, abs(top))).sum())
        p_value = (1 + hits) / (1 + n_draws)
        checked.append(replace(one, comprehensiveness=top, random=float(random.mean()), p_value=p_value))
    return tuple(checked)


def score_tokens(
    reader: ScaleReader,
    reading: TextReading,
    coordinate: Coordinate,
    method: str,
    *,
    deletions: Deletions | None = None,
    n_steps: int = N_STEPS,
) -> Scores:
    """Score the ordinary tokens of a text, as :func:`attribute` says.

    Args:
        reader: Reads texts as the study did.
        reading: The text.
        coordinate: What is attributed.
        method: "occlusion" or "gradient".
        deletions: What was read already.
        n_steps: Points at which gradients are taken.

    Returns:
        One score a token at each scale, in standard deviations.

    Raises:
        ConfigError: When the method is unknown, or the number of steps impossible.
        ModelError: When the gradient is asked for and the model's blocks cannot be reached.
    """
    check_settings(methods=(method,), n_steps=n_steps)
    if method == "gradient":
        return _score_by_gradient(reader, reading, coordinate, n_steps)
    if deletions is None:
        deletions = Deletions(reader, reading, coordinate)
    n_tokens = len(reading.places)
    width = math.ceil(n_tokens / MOST_RUNS)
    runs = [np.arange(start, min(start + width, n_tokens)) for start in range(0, n_tokens, width)]
    left = deletions.values(runs)
    sizes = np.array([len(run) for run in runs])
    scores = {}
    for scale, state in reading.pooled.items():
        lost = coordinate.value(scale, state[None])[0] - left[scale]
        scores[scale] = np.repeat(lost / sizes, sizes)
    return scores


def rank_tokens(scores: Float[np.ndarray, " tokens"], ties: Int[np.ndarray, " tokens"]) -> Order:
    """Order tokens from the highest score down.

    Args:
        scores: One a token.
        ties: A permutation that orders equal scores.

    Returns:
        Their numbers.

    Examples:
        >>> rank_tokens(np.array([0.0, 2.0, 0.0]), np.array([2, 1, 0])).tolist()
        [1, 2, 0]
    """
    return np.lexsort((ties, -scores))


def _score_by_gradient(
    reader: ScaleReader, reading: TextReading, coordinate: Coordinate, n_steps: int
) -> Scores:
    def score(scale: Scale, state: Float[torch.Tensor, " d_model"]) -> Float[torch.Tensor, ""]:
        axis = torch.from_numpy(coordinate.axes[scale] / coordinate.spreads[scale]).to(state)
        return (state - torch.from_numpy(coordinate.origins[scale]).to(state)) @ axis

    totals, inputs = reader.differentiate(reading, score)
    start = inputs.mean(axis=0)
    departures = inputs - start
    for step in range(1, n_steps):
        between = start + step / n_steps * departures
        found, _ = reader.differentiate(reading, score, inputs=between)
        totals = {scale: totals[scale] + found[scale] for scale in SCALES}
    return {
        scale: np.einsum("td,td->t", totals[scale] / n_steps, departures)[reading.places] for scale in SCALES
    }


def _drop_orders(
    deletions: Deletions, orders: Sequence[Order], shares: Sequence[float], give_way: GiveWay | None
) -> Values:
    """Delete the first tokens of each order, and average over shares by how much the coordinate drops."""
    n_tokens = len(orders[0])
    # 0.3 x 10 is a little more than 3 to a computer.
    counts = [max(1, math.ceil(share * n_tokens - 1e-9)) for share in shares]
    left = deletions.values([order[:count] for order in orders for count in counts], give_way=give_way)
    whole = deletions.whole
    return {
        scale: whole[scale] - left[scale].reshape(len(orders), len(counts)).mean(axis=1) for scale in SCALES
    }


def check_settings(
    *,
    methods: Sequence[str] = METHODS,
    n_draws: int = 1,
    shares: Sequence[float] = SHARES,
    n_steps: int = N_STEPS,
) -> None:
    """Refuse impossible settings of :func:`attribute`.

    Args:
        methods: Methods of scoring.
        n_draws: Random orders.
        shares: Shares of the tokens deleted.
        n_steps: Points at which gradients are taken.

    Raises:
        ConfigError: When one is impossible.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        came = f"method '{unknown[0]}'" if unknown else "no method"
        raise ConfigError(f"{came} came; expected some of {', '.join(METHODS)}")
    if n_draws < 1:
        raise ConfigError(f"n_draws={n_draws} came; give at least 1 random order to compare with")
    if n_steps < 1:
        raise ConfigError(f"n_steps={n_steps} came; give at least 1 point to take gradients at")
    if not shares or not all(0.0 < share <= 1.0 for share in shares):
        raise ConfigError(
            f"shares={tuple(shares)} came; give shares of the tokens, each above 0 and at most 1"
        )
