"""Where a bias lives: how far pairs of texts stand apart at each layer and scale, and whether in one direction."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES
from msma.bias.agreement import differences_within, pair_agreement, share_between, top_direction
from msma.bias.pairs import TextPairs
from msma.bias.probing import Reading, Sides, pool_readings, read_side
from msma.comparison import holm
from msma.errors import CorpusError, ScaleError
from msma.extraction import extract
from msma.models import LoadedModel
from msma.progress import progress
from msma.results import Result, Row
from msma.scales import ScalePartition
from msma.states import HiddenStates

#: Different words from which on words, not documents, are what is drawn and flipped.
_FEWEST_WORDS = 8
#: Pairs whose states differ by less than this share of their size have the same state up to rounding.
_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class PairStates:
    """States of pairs of texts, at every layer and scale.

    Args:
        pairs: The texts.
        partition: Which layers belong to which scale.
        states: One sample a text, the first sides first.
    """

    pairs: TextPairs
    partition: ScalePartition
    states: HiddenStates

    @cached_property
    def layers(self) -> tuple[Float[np.ndarray, "texts d_model"], ...]:
        """States of each layer entry."""
        return tuple(self.states.layer(k).astype(np.float64) for k in range(self.states.n_layers))

    @property
    def clusters(self) -> Int[np.ndarray, " pairs"]:
        """Pairs that cannot count as two: of the same people, or where those are not told, of one document."""
        words = self.pairs.words
        is_told = all(words) and len(set(words)) >= _FEWEST_WORDS
        return np.unique(words if is_told else self.pairs.documents, return_inverse=True)[1]

    @property
    def documents(self) -> Int[np.ndarray, " pairs"]:
        """What each pair says, by number."""
        return np.unique(self.pairs.documents, return_inverse=True)[1]

    def of_scale(self, scale: str) -> Float[np.ndarray, "texts d_model"]:
        """Give the mean of a scale's layers, as it represents the scale everywhere else.

        Args:
            scale: The scale.

        Returns:
            One row a text.
        """
        rows = [self.layers[k] for k in self.partition[scale]]  # type: ignore[index]
        return np.asarray(np.mean(rows, axis=0))

    def sides(self, place: int | str) -> Sides:
        """Give the states at a layer entry or scale, ready for a probe.

        Args:
            place: Number of the layer entry, or name of the scale.

        Returns:
            States and documents.
        """
        states = self.of_scale(place) if isinstance(place, str) else self.layers[place]
        return Sides(states, self.documents)


def read_pairs_states(
    loaded: LoadedModel, pairs: TextPairs, partition: ScalePartition, *, stack: Any = "auto"
) -> PairStates:
    """Read the pooled states of pairs of texts, as the model runs now, interventions included.

    Args:
        loaded: The model.
        pairs: The texts.
        partition: Which layers belong to which scale.
        stack: Stack of an encoder-decoder.

    Returns:
        The states.

    Raises:
        ScaleError: When the partition is for another number of layers.
        CorpusError: When a text has no token.
    """
    states = extract(loaded.network, pairs.texts, tokenizer=loaded.tokenizer, stack=stack, attention_texts=0)
    if partition.n_layers != states.n_layers:
        raise ScaleError(
            f"a partition of {partition.n_layers} layer entries came for a model of {states.n_layers}; "
            "find the scales of this model, or take ScalePartition.thirds"
        )
    if len(states) != 2 * len(pairs):
        raise CorpusError(
            f"{2 * len(pairs) - len(states)} texts of the pairs have no token for this tokenizer; leave their pairs out"
        )
    return PairStates(pairs, partition, states)


def locate_bias(train: PairStates, test: PairStates, *, seed: int = 0) -> Result:
    r"""Tell at which layers and scales the sides of pairs stand apart, in how many directions, how readably.

    For the differences :math:`d_i` of the n test pairs and the states x:

    - ``bias_agreement``: :math:`\overline{d_i \cdot d_j} / \overline{\|d_i\|^2}` over pairs i, j of different people
      and documents: 0 when they differ in unrelated directions, 1 when all in the same way; p from signs flipped
      together for all pairs of the same people (of the same document, where people are not told);
    - ``bias_share``: :math:`\overline{d_i \cdot d_j} / 4` over the same pairs, as a share of the states' variance; how
      loud it is;
    - ``bias_probe``: accuracy of a linear probe trained on ``train``, read on ``test``, with its control (null);
    - ``bias_probe_new_words``: the same with people that no training pair speaks of: the concept, not the words;
    - ``bias_top_direction``: share of :math:`\sum_i \|d_i\|^2` along its first principal direction (Bolukbasi et al.
      2016, section 5.1; uncentred), against the same with random pairs of the same texts (null).

    Args:
        train: Pairs to train probes on.
        test: Pairs of other documents.
        seed: Fixes flips, controls and intervals.

    Returns:
        Rows with ``target`` the scale; ``layer`` for single layers, none for the scale as a whole. Notes carry p and
        p after Holm's correction, over layers and over scales. Where both sides have the same state the value of
        agreement and direction is none.
    """
    places: list[int | str] = [*range(test.partition.n_layers), *SCALES]
    found = [_at(train, test, place, seed=seed) for place in progress(places, label="where it lives")]
    corrected: dict[int | str, float] = {}
    for family in (range(test.partition.n_layers), SCALES):
        known = [place for place in family if found[places.index(place)].p is not None]
        values = holm([found[places.index(place)].p or 0.0 for place in known])
        corrected.update(dict(zip(known, values, strict=True)))
    rows = [
        row
        for place, one in zip(places, found, strict=True)
        for row in _rows(one, place, test, corrected.get(place))
    ]
    return Result("bias_location", tuple(rows), {"concept": test.pairs.concept, "seed": seed})


@dataclass(frozen=True)
class _Found:
    values: Mapping[str, Any]
    p: float | None


def _at(train: PairStates, test: PairStates, place: int | str, *, seed: int) -> _Found:
    sides = test.sides(place)
    n = len(test.pairs)
    first, second = sides.states[:n], sides.states[n:]
    differences = first - second
    sizes = np.sqrt((sides.states**2).sum(axis=1).mean())
    reading = read_side(train.sides(place), sides, seed=seed)
    new = _read_new_words(train, test, place, seed=seed)
    if np.sqrt((differences**2).sum(axis=1).max()) <= _ROUNDING * sizes:
        return _Found(
            {"reading": reading, "new": new, "agreement": None, "share": (0.0, 0.0, 0.0), "top": None}, None
        )
    found = pair_agreement(differences, sides.documents, test.clusters, seed=seed)
    spread = float(((sides.states - sides.states.mean(axis=0)) ** 2).sum(axis=1).mean())
    values = {
        "reading": reading,
        "new": new,
        "agreement": (found.value, found.low, found.high),
        "share": share_between(differences, spread, sides.documents, test.clusters, seed=seed),
        "top": (
            top_direction(differences),
            top_direction(differences_within(first, second, sides.documents, seed=seed)),
        ),
    }
    return _Found(values, found.p)


def _read_new_words(train: PairStates, test: PairStates, place: int | str, *, seed: int) -> Reading | None:
    """Read people of one half with a probe trained on those of the other, both ways, in other documents."""
    words = np.unique([*train.pairs.words, *test.pairs.words])
    if len(words) < _FEWEST_WORDS:
        return None
    half = set(np.random.default_rng([seed, 5]).permutation(words)[: len(words) // 2].tolist())
    found = []
    for is_first in (True, False):
        parts = []
        for states, wanted in ((train, is_first), (test, not is_first)):
            index = [i for i, word in enumerate(states.pairs.words) if (word in half) == wanted]
            if len(index) < 2 * _FEWEST_WORDS:
                return None
            parts.append(states.sides(place).subset(np.asarray(index)))
        found.append(read_side(parts[0], parts[1], seed=seed))
    return pool_readings(found)


def _rows(found: _Found, place: int | str, test: PairStates, p_holm: float | None) -> list[Row]:
    n = len(test.pairs)
    shared: dict[str, Any] = {
        "target": place if isinstance(place, str) else test.partition.scale_of(place),
        "layer": None if isinstance(place, str) else place,
        "split": "test",
    }
    agreement, share, top = (found.values[k] for k in ("agreement", "share", "top"))
    same = "both sides have the same state here"
    tested = same if p_holm is None else f"p {found.p:.4f}, after Holm {p_holm:.4f} (signs flipped)"
    interval = dict(zip(("value", "low", "high"), agreement or (None, None, None), strict=True))
    return [
        Row(
            metric="bias_agreement",
            null=None if agreement is None else 0.0,
            ceiling=1.0,
            n=n,
            interval=None if agreement is None else "bootstrap",
            note=tested,
            **interval,
            **shared,
        ),
        Row(
            metric="bias_share",
            value=share[0],
            low=share[1],
            high=share[2],
            null=0.0,
            ceiling=1.0,
            n=n,
            interval="bootstrap",
            note="of the variance of the states, between the sides",
            **shared,
        ),
        *(
            Row(
                metric=metric,
                value=reading.value,
                low=reading.low,
                high=reading.high,
                null=reading.control,
                floor=0.5,
                ceiling=1.0,
                units="accuracy",
                n=reading.n,
                interval="bootstrap",
                note=note,
                **shared,
            )
            for metric, reading, note in (
                ("bias_probe", found.values["reading"], "linear; null: control task; floor: chance"),
                ("bias_probe_new_words", found.values["new"], "linear, on people not trained on"),
            )
            if reading is not None
        ),
        Row(
            metric="bias_top_direction",
            value=None if top is None else top[0],
            null=None if top is None else top[1],
            ceiling=1.0,
            n=n,
            note=same if top is None else "null: pairs of texts of one side",
            **shared,
        ),
    ]
