"""The pairs of scales that maps are fitted on and compared on, in three parts that share no document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from msma._types import PAIRS, Pair, Scale
from msma.errors import ConfigError, CorpusError
from msma.maps import MAPS, BaseMap, fit_map
from msma.moments import Moments
from msma.progress import progress
from msma.scales import Basis, Reduction, ScalePartition, ScaleRepresentation
from msma.states import HiddenStates, Splits

Samples: TypeAlias = Float[np.ndarray, "samples d"]
Part = Literal["train", "validation", "test"]
_FEWEST_DOCUMENTS = 8


class Paired(NamedTuple):
    """Paired samples of one part of the texts.

    Args:
        source: Representation mapped from.
        target: Representation mapped to; row i belongs to row i of the source.
        documents: The document of each sample.
    """

    source: Float[np.ndarray, "samples d_source"]
    target: Float[np.ndarray, "samples d_target"]
    documents: Int[np.ndarray, " samples"]


@dataclass(frozen=True, kw_only=True)
class PairData:
    """One pair of scales in three parts that share no document.

    Args:
        train: What maps are fitted on.
        validation: What decisions are made on.
        test: What is shown.
        bases: Leading directions of source and target, from the training part.
    """

    train: Paired
    validation: Paired
    test: Paired
    bases: tuple[Basis, Basis]

    def part(self, name: Part) -> Paired:
        """Return a part by its name.

        Args:
            name: "train", "validation" or "test".

        Returns:
            The part.
        """
        parts: dict[Part, Paired] = {"train": self.train, "validation": self.validation, "test": self.test}
        return parts[name]


def make_pairs(
    splits: Splits,
    scales: ScalePartition,
    *,
    pairs: Sequence[Pair] = PAIRS,
    reduction: Reduction = "mean",
    is_standardised: bool = False,
) -> dict[Pair, PairData]:
    """Reduce the states to the pairs of scales that maps are fitted and scored on.

    Args:
        splits: States divided by document.
        scales: Which layers belong to which scale.
        pairs: Pairs of scales, source first.
        reduction: "mean" of a scale's layers, or its "last" layer.
        is_standardised: Whether layers are brought to equal spread first.

    Returns:
        The data of each pair, float64.

    Raises:
        ConfigError: When no pair is given.
        CorpusError: When validation or test has too few documents to be scored.
    """
    if not pairs:
        raise ConfigError("0 pairs of scales came; give at least one, such as ('global', 'intermediate')")
    for name, part in (("validation", splits.validation), ("test", splits.test)):
        n_documents = len(np.unique(part.documents))
        if n_documents < _FEWEST_DOCUMENTS:
            raise CorpusError(
                f"{n_documents} documents came in the {name} split; comparing maps needs at least "
                f"{_FEWEST_DOCUMENTS}: give more texts or a larger {name} share"
            )
    representation = ScaleRepresentation(scales, reduction=reduction, is_standardised=is_standardised).fit(
        splits.train
    )
    reduced = [(representation.transform(part), part) for part in splits]
    data = {}
    for source, target in pairs:
        train, validation, test = (_paired(states, part, (source, target)) for states, part in reduced)
        bases = tuple(Basis.from_moments(Moments.from_batch(side)) for side in train[:2])
        data[source, target] = PairData(
            train=train, validation=validation, test=test, bases=(bases[0], bases[1])
        )
    return data


def _paired(states: Mapping[Scale, Samples], part: HiddenStates, pair: Pair) -> Paired:
    return Paired(states[pair[0]], states[pair[1]], part.documents)


def best_closed_form(
    data: Mapping[Pair, PairData], *, names: Sequence[str] | None = None
) -> tuple[str, dict[Pair, BaseMap]]:
    """Find the closed form with the highest R2 on the validation split, averaged over the pairs.

    Args:
        data: The pairs of scales.
        names: Names out of ``msma.maps.MAPS``; all of them when left out.

    Returns:
        Its name, and the maps fitted.

    Raises:
        ConfigError: When a name is unknown.
    """
    names = tuple(MAPS) if names is None else tuple(names)
    for name in names:
        if name not in MAPS:
            raise ConfigError(f"map '{name}' came; expected one of {', '.join(MAPS)}")
    best: tuple[float, str, dict[Pair, BaseMap]] | None = None
    for name in progress(names, label="closed forms"):
        maps = {pair: fit_map(MAPS[name](), *part.train) for pair, part in data.items()}
        r2 = float(np.mean([maps[pair].score(*part.validation[:2]) for pair, part in data.items()]))
        if best is None or r2 > best[0]:
            best = (r2, name, maps)
    if best is None:
        raise ConfigError(f"0 names came; expected some of {', '.join(MAPS)}")
    return best[1], best[2]
