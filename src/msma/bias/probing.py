"""What a probe can read of two sides: a linear one and one that is not, each with its control."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from msma.resampling import bootstrap_interval

ProbeKind = Literal["linear", "nonlinear"]
_PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)


@dataclass(frozen=True)
class Reading:
    """Accuracy of one probe.

    Args:
        value: Share of test texts whose side it tells.
        low: Lower end of the 95 % interval over documents.
        high: Upper end.
        control: What the same probe reaches on sides that were dealt out at random.
        n: Test texts.
    """

    value: float
    low: float
    high: float
    control: float
    n: int

    @property
    def is_chance(self) -> bool:
        """Whether the interval includes one half, what guessing reaches."""
        return self.low <= 0.5


@dataclass(frozen=True, eq=False)
class Sides:
    """States of pairs: what each text is about, which side it is on.

    Args:
        states: (texts, d), the first sides first.
        documents: What each pair says.
    """

    states: Float[np.ndarray, "texts d"]
    documents: Int[np.ndarray, " pairs"]

    @property
    def labels(self) -> Int[np.ndarray, " texts"]:
        """1 for the first side, 0 for the second."""
        return np.repeat([1, 0], len(self.documents))

    def subset(self, index: Int[np.ndarray, " k"]) -> "Sides":
        """Keep some pairs.

        Args:
            index: Their numbers.

        Returns:
            Both texts of each.
        """
        return Sides(self.states[np.concatenate([index, index + len(self.documents)])], self.documents[index])

    def swapped(self, rng: np.random.Generator) -> Int[np.ndarray, " texts"]:
        """Deal the sides out anew: which text of a pair is first is a coin's toss.

        Args:
            rng: Where the tosses come from.

        Returns:
            A side for each text.
        """
        first = rng.integers(0, 2, size=len(self.documents))
        return np.concatenate([first, 1 - first])


def read_side(train: Sides, test: Sides, *, kind: ProbeKind = "linear", seed: int = 0) -> Reading:
    """Train a probe to tell the sides apart and read how often it is right on other documents.

    A logistic regression, its penalty chosen on a quarter of the training documents; or a support vector machine
    with a radial kernel, chosen alike. Columns are brought to equal spread first. The control is the same probe on
    sides dealt out at random within each pair (Hewitt and Liang 2019), so it shows what the texts would let any
    probe remember.

    Args:
        train: States to train on.
        test: States of other documents.
        kind: "linear" or "nonlinear".
        seed: Fixes the control, the choice and the interval.

    Returns:
        Accuracy from 0 to 1; one half is chance.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> side = np.repeat([1.0, -1.0], 40)[:, None]
        >>> told = Sides(side + 0.1 * rng.normal(size=(80, 2)), np.arange(40) // 4)
        >>> read_side(told, told).value
        1.0
    """
    hits, control = _read(train, test, kind=kind, seed=seed)
    return _summarise(hits, control, np.tile(test.documents, 2), seed=seed)


def _read(
    train: Sides, test: Sides, *, kind: ProbeKind, seed: int
) -> tuple[Float[np.ndarray, " texts"], float]:
    mean, spread = train.states.mean(axis=0), train.states.std(axis=0)
    # What does not vary in training tells nothing, and rounding in it must not be blown up.
    floor = 1e-6 * max(float(np.abs(train.states).max()), 1e-30)
    scale = np.where(spread > floor, spread, np.inf)
    x_train, x_test = (train.states - mean) / scale, (test.states - mean) / scale
    inner = _inner(train, seed=seed)
    hits = _hits(x_train, train.labels, x_test, test.labels, inner, kind=kind)
    rng = np.random.default_rng([seed, 1])
    control = _hits(x_train, train.swapped(rng), x_test, test.swapped(rng), inner, kind=kind)
    return hits, float(control.mean())


def _summarise(
    hits: Float[np.ndarray, " texts"], control: float, documents: Int[np.ndarray, " texts"], *, seed: int
) -> Reading:
    interval = bootstrap_interval(
        lambda weights: weights @ hits / weights.sum(axis=1), documents, n_resamples=1000, seed=seed
    )
    return Reading(interval.value, interval.low, interval.high, control, len(hits))


def cross_read(sides: Sides, *, folds: int = 4, kind: ProbeKind = "linear", seed: int = 0) -> Reading:
    """Read every document with a probe trained on the others.

    The probes share most of their training documents, which no interval over documents knows of: on states that show
    nothing the interval holds one half about 89 times in 100, not 95.

    Args:
        sides: States.
        folds: Parts that documents are dealt into.
        kind: "linear" or "nonlinear".
        seed: Fixes the parts and what :func:`read_side` draws.

    Returns:
        Accuracy over all texts, its interval over documents.

    Examples:
        >>> side = np.repeat([1.0, -1.0], 40)[:, None]
        >>> cross_read(Sides(side + np.zeros((80, 2)), np.arange(40) // 4)).value
        1.0
    """
    names = np.random.default_rng([seed, 7]).permutation(np.unique(sides.documents))
    hits = np.zeros(len(sides.states))
    control = []
    for held in np.array_split(names, folds):
        is_held = np.isin(sides.documents, held)
        own, reading = _read(
            sides.subset(np.flatnonzero(~is_held)),
            sides.subset(np.flatnonzero(is_held)),
            kind=kind,
            seed=seed,
        )
        hits[np.tile(is_held, 2)] = own
        control.append(reading)
    return _summarise(hits, float(np.mean(control)), np.tile(sides.documents, 2), seed=seed)


def pool_readings(readings: Sequence[Reading]) -> Reading:
    """Join readings of different texts by different probes.

    Args:
        readings: One or more.

    Returns:
        Their mean, weighted by texts, and the mean of their intervals' ends: each probe is read for itself, so this
        is wider than an interval of the mean would be.

    Examples:
        >>> pool_readings([Reading(0.5, 0.4, 0.6, 0.5, 10), Reading(0.7, 0.6, 0.8, 0.5, 10)])
        Reading(value=0.6, low=0.5, high=0.7, control=0.5, n=20)
    """
    weights = np.array([reading.n for reading in readings], dtype=np.float64)
    value, low, high, control = (
        round(float(np.average([getattr(r, name) for r in readings], weights=weights)), 12)
        for name in ("value", "low", "high", "control")
    )
    return Reading(value, low, high, control, n=int(weights.sum()))


def _inner(train: Sides, *, seed: int) -> Int[np.ndarray, " texts"]:
    """Mark with 1 the texts of a quarter of the documents, which choose the penalty."""
    names = np.unique(train.documents)
    held = np.random.default_rng([seed, 2]).permutation(names)[: max(1, len(names) // 4)]
    return np.tile(np.isin(train.documents, held).astype(int), 2)


def _hits(
    x_train: Float[np.ndarray, "train d"],
    y_train: Int[np.ndarray, " train"],
    x_test: Float[np.ndarray, "test d"],
    y_test: Int[np.ndarray, " test"],
    inner: Int[np.ndarray, " train"],
    *,
    kind: ProbeKind,
) -> Float[np.ndarray, " test"]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    def make(penalty: float) -> LogisticRegression | SVC:
        if kind == "linear":
            return LogisticRegression(C=penalty, max_iter=2000, tol=1e-3)
        return SVC(C=10 * penalty, kernel="rbf", gamma="scale")

    if not x_train.any():
        return np.full(len(y_test), 0.5)
    outer = inner == 0
    penalties = _PENALTIES if kind == "linear" else _PENALTIES[1:]
    scores = [
        make(penalty).fit(x_train[outer], y_train[outer]).score(x_train[~outer], y_train[~outer])
        for penalty in penalties
    ]
    chosen = make(penalties[int(np.argmax(scores))]).fit(x_train, y_train)
    return np.asarray((chosen.predict(x_test) == y_test).astype(np.float64))
