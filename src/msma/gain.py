"""What a learned map adds over the closed forms: a decision on the validation split, a number on the test split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from msma._types import PAIRS, Pair
from msma._version import __version__
from msma.comparison import contrast_documents
from msma.errors import ConfigError
from msma.heldout import PairData, Part, best_closed_form, make_pairs
from msma.maps import BaseMap, fit_map
from msma.progress import progress
from msma.readings import read_map
from msma.resampling import Interval, bootstrap_interval
from msma.results import Result, Row
from msma.scales import Reduction, ScalePartition
from msma.states import Splits

_PARTS: tuple[Part, ...] = ("validation", "test")


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What a learned map adds over a closed form.

    Args:
        validation: Gain in R2 on the validation split, on which the decision is made.
        test: Gain in R2 on the test split, the number to show.
        removed: Share of the closed form's error that the learned map removes, on the test split.
        by_pair: Gain in R2 of each pair on the test split.
        is_kept: Whether the interval on the validation split lies above zero.
        learned: Name of the learned map.
        closed: Name of the closed form.
    """

    validation: Interval
    test: Interval
    removed: Interval
    by_pair: Mapping[Pair, Interval]
    is_kept: bool
    learned: str
    closed: str

    @property
    def verdict(self) -> str:
        """The decision: "kept", or "closed form kept"."""
        return "kept" if self.is_kept else "closed form kept"

    @property
    def sentence(self) -> str:
        """The decision and its reason in one plain sentence."""
        how = "more" if self.test.value > 0 else "less"
        error = "removes" if self.removed.value > 0 else "adds"
        shown = (
            f"on the test split it explains {abs(self.test.value):.4f} {how} of the target's variance "
            f"({_signed(self.test.low)} to {_signed(self.test.high)}) and {error} {abs(self.removed.value):.1%} "
            f"of the error of {self.closed}"
        )
        lead = (
            f"The learned map ({self.learned}) is kept: its gain over {self.closed} on validation lies above zero"
            if self.is_kept
            else f"The closed form ({self.closed}) is kept: the gain of the learned map ({self.learned}) on "
            "validation does not lie above zero"
        )
        return f"{lead} ({_signed(self.validation.low)} to {_signed(self.validation.high)}); {shown}."

    def rows(self) -> list[Row]:
        """Give the gain as rows of a result.

        Returns:
            ``r2_gain`` on validation, test and for each pair, ``error_removed`` on test; null 0, nothing added.
        """
        found: list[tuple[str, Interval, str, Pair | None]] = [
            ("r2_gain", self.validation, "validation", None),
            ("r2_gain", self.test, "test", None),
            *(("r2_gain", interval, "test", pair) for pair, interval in self.by_pair.items()),
            ("error_removed", self.removed, "test", None),
        ]
        return [
            Row(
                metric=metric,
                value=interval.value,
                low=interval.low,
                high=interval.high,
                null=0.0,
                units="share of variance" if metric == "r2_gain" else "share of error",
                better="higher",
                source=None if pair is None else pair[0],
                target=None if pair is None else pair[1],
                split=split,
                map=self.learned,
                interval=interval.method,
                note=f"over {self.closed}"
                + ("" if pair is not None else f", mean over pairs: {self.verdict}"),
            )
            for metric, interval, split, pair in found
        ]


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def measure_gain(
    learned: Mapping[Pair, BaseMap],
    closed: Mapping[Pair, BaseMap],
    data: Mapping[Pair, PairData],
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Gain:
    r"""Measure what fitted learned maps add over fitted closed forms, averaged over the pairs of scales.

    .. math:: \Delta R^2 = \frac{1}{P}\sum_p
        \frac{\sum_i |y_i - g(x_i)|^2 - \sum_i |y_i - f(x_i)|^2}{\sum_i |y_i - \bar y|^2}

    with f learned and g closed. The bootstrap is paired: every draw of documents serves both maps and all
    pairs (Efron and Tibshirani 1993, section 10.3), so that what makes documents hard cancels. The decision is
    made on the validation split, whatever the test split shows.

    Args:
        learned: A fitted map a pair.
        closed: A fitted map a pair.
        data: The pairs of scales.
        n_resamples: Draws of documents.
        seed: Fixes the draws.

    Returns:
        The gain, in shares of variance, with 95 % intervals.

    Raises:
        ConfigError: When the three do not hold the same pairs.
    """
    if not set(learned) == set(closed) == set(data) or not data:
        raise ConfigError(
            "maps of other pairs than the data's came; give one learned and one closed map a pair"
        )

    def interval(part: Part, pairs: Sequence[Pair], *, is_share: bool = False) -> Interval:
        errors = [_errors(learned[pair], closed[pair], data[pair], part) for pair in pairs]
        documents = data[pairs[0]].part(part).documents
        return bootstrap_interval(
            lambda weights: np.mean([_gain(weights, *error, is_share=is_share) for error in errors], axis=0),
            documents,
            n_resamples=n_resamples,
            seed=seed,
        )

    pairs = list(data)
    validation = interval("validation", pairs)
    return Gain(
        validation=validation,
        test=interval("test", pairs),
        removed=interval("test", pairs, is_share=True),
        by_pair={pair: interval("test", [pair]) for pair in pairs},
        is_kept=validation.low > 0,
        learned=next(iter(learned.values())).kind,
        closed=next(iter(closed.values())).kind,
    )


def _errors(
    learned: BaseMap, closed: BaseMap, data: PairData, part: Part
) -> tuple[Float[np.ndarray, " samples"], Float[np.ndarray, " samples"], Float[np.ndarray, "samples d"]]:
    source, target, _ = data.part(part)
    first, second = (
        ((target - np.asarray(map_.transform(source))) ** 2).sum(axis=1) for map_ in (learned, closed)
    )
    return first, second, target - data.bases[1].mean


def _gain(
    weights: Float[np.ndarray, "draws samples"],
    learned: Float[np.ndarray, " samples"],
    closed: Float[np.ndarray, " samples"],
    target: Float[np.ndarray, "samples d"],
    *,
    is_share: bool,
) -> Float[np.ndarray, " draws"]:
    saved = weights @ (closed - learned)
    total = weights @ (target**2).sum(axis=1)
    total -= ((weights @ target) ** 2).sum(axis=1) / weights.sum(axis=1)
    if not is_share:
        return saved / total
    # A closed form without error leaves nothing to remove.
    error = weights @ closed
    return np.divide(saved, error, out=np.zeros_like(saved), where=error > 1e-12 * total)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The map to use, and why.

    Args:
        name: Name of the chosen map: the learned one's, or the best closed form's.
        maps: The chosen map, fitted for each pair.
        gain: What the learned map adds.
        result: Rows: ``r2`` of both maps, ``r2_gain`` and ``error_removed``.
    """

    name: str
    maps: Mapping[Pair, BaseMap]
    gain: Gain
    result: Result


def choose_map(
    splits: Splits,
    scales: ScalePartition,
    *,
    learned: BaseMap,
    closed: str | None = None,
    pairs: Sequence[Pair] = PAIRS,
    reduction: Reduction = "mean",
    is_standardised: bool = False,
    seed: int = 0,
) -> Choice:
    """Fit a learned map and the best closed form, and keep the learned one only for what it adds.

    Args:
        splits: States divided by document; the decision is made on validation, the number shown is from test.
        scales: Which layers belong to which scale.
        learned: The learned map and its parameters.
        closed: Name of the closed form to beat; the best on validation when left out.
        pairs: Pairs of scales, source first.
        reduction: "mean" of a scale's layers, or its "last" layer.
        is_standardised: Whether layers are brought to equal spread first.
        seed: Fixes the draws of documents.

    Returns:
        The choice, with a row for everything it rests on.

    Raises:
        ConfigError: When the closed form is unknown.
        CorpusError: When validation or test is too small.
    """
    data = make_pairs(splits, scales, pairs=pairs, reduction=reduction, is_standardised=is_standardised)
    name, forms = best_closed_form(data, names=None if closed is None else [closed])
    nets = {pair: fit_map(learned, *part.train) for pair, part in progress(data.items(), label="learned map")}
    gain = measure_gain(nets, forms, data, seed=seed)
    chosen = nets if gain.is_kept else forms
    provenance = {
        "model": splits.train.origin.model,
        "learned": repr(learned),
        "closed": name,
        "verdict": gain.verdict,
        "sentence": gain.sentence,
        "seed": seed,
        "version": __version__,
    }
    rows = [*rows_of_maps((nets, forms), data, seed=seed), *gain.rows()]
    return Choice(
        name=gain.learned if gain.is_kept else gain.closed,
        maps=chosen,
        gain=gain,
        result=Result("gain", tuple(rows), provenance),
    )


def rows_of_maps(
    maps_by_kind: Sequence[Mapping[Pair, BaseMap]], data: Mapping[Pair, PairData], *, seed: int = 0
) -> list[Row]:
    """Read the R2 of several fitted maps on validation and test, with intervals over documents.

    Args:
        maps_by_kind: For each kind of map one fitted map a pair.
        data: The pairs of scales.
        seed: Fixes groups and shuffles.

    Returns:
        Rows ``r2`` by kind, pair and split.
    """
    rows = []
    for maps in maps_by_kind:
        for pair, part in product(data, _PARTS):
            reading = read_map(maps[pair], data[pair], part=part, metrics=("r2",), seed=seed)["r2"]
            contrast = contrast_documents(float(reading.value or 0.0), np.array(reading.left_out))
            rows.append(
                Row(
                    metric="r2",
                    value=reading.value,
                    low=contrast.low,
                    high=contrast.high,
                    null=reading.null,
                    ceiling=1.0,
                    units="share of variance",
                    better="higher",
                    source=pair[0],
                    target=pair[1],
                    split=part,
                    map=maps[pair].kind,
                    n=len(data[pair].part(part).target),
                    interval="jackknife",
                )
            )
    return rows
