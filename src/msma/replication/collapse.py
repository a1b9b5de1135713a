"""Has a model's notion of scales collapsed? Named only where figures fall below stated fractions."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES, Scale
from msma.errors import ShapeError
from msma.measures import cka
from msma.replication.shape import effective_rank, relative_spread, text_cosine
from msma.resampling import group_documents

__all__ = ["COLLAPSES", "FEW", "ONTO", "POINT", "Collapse", "Fall", "detect_collapse"]

Kind = Literal["to a point", "to few directions", "scales onto each other"]
#: What a collapse is called, the worst first.
COLLAPSES: tuple[Kind, ...] = get_args(Kind)
#: A scale has collapsed to a point when texts differ by less than this share of what they did.
POINT = 0.1
#: ... to few directions when its effective rank is below this share of what it was.
FEW = 0.5
#: Scales lie onto each other when what keeps their CKA from 1 is below this share of what it was.
ONTO = 0.25
#: Below this CKA two scales are not called one, however close they came.
_ALIKE = 0.95
#: Probes that lost less than this are not called worse.
_LOST = 0.02

Test = Mapping[Scale, Float[np.ndarray, "texts d_model"]]


@dataclass(frozen=True, kw_only=True)
class Fall:
    """What is left of one quantity.

    Args:
        quantity: "relative spread", "effective rank", "angle between texts" or "distance of scales".
        where: The scale, or the pair of scales.
        before: Value before training.
        after: Value after.
        ratio: After over before.
        low: Lower end of the ratio's 95 % interval (delete-group jackknife of its logarithm, over documents).
        high: Upper end; ``None`` where it cannot be told.
        kind: What it is called where it holds; ``None`` for a quantity that names nothing by itself.
        holds: Whether the fall is below the stated share, with its whole interval.
    """

    quantity: str
    where: str
    before: float
    after: float
    ratio: float
    low: float | None
    high: float | None
    kind: Kind | None
    holds: bool


@dataclass(frozen=True)
class Collapse:
    """What became of the three scales.

    Args:
        falls: One for each quantity and scale or pair.
        verdict: The worst kind that holds, or "none".
        sentence: The same in words, with the figures.
    """

    falls: tuple[Fall, ...]
    verdict: str
    sentence: str

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Every kind that holds, the worst first."""
        held = {fall.kind for fall in self.falls if fall.holds}
        return tuple(kind for kind in COLLAPSES if kind in held)

    def to_dict(self) -> dict[str, Any]:
        """Write as JSON knows it.

        Returns:
            All fields.
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Collapse":
        """Read what :meth:`to_dict` wrote.

        Args:
            content: All fields.

        Returns:
            An equal finding.
        """
        falls = tuple(Fall(**fall) for fall in content["falls"])
        return cls(falls, content["verdict"], content["sentence"])


def detect_collapse(
    before: Test,
    after: Test,
    *,
    documents: Int[np.ndarray, " texts"] | None = None,
    accuracies: Mapping[str, tuple[float, float]] | None = None,
    n_groups: int = 20,
) -> Collapse:
    """Hold the states of a tuned model against those of the same texts before.

    "To a point": in some scale what texts differ by, as a share of the states' mean square, fell below
    :data:`POINT` of what it was. "To few directions": the effective rank fell below :data:`FEW` of what it was.
    "Scales onto each other": 1 - CKA of two scales fell below :data:`ONTO` of what it was, their CKA is above
    0.95 and, where accuracies are given, some probe tells less than before. Each only where the whole
    interval over documents lies below. A model that only makes its states smaller or turns them has not collapsed.

    Args:
        before: States of each scale before training; rows are texts.
        after: States of the same texts after.
        documents: The document of each text; each its own when left out.
        accuracies: Probe accuracy before and after, by any name.
        n_groups: Groups of documents left out one at a time.

    Returns:
        What fell, by how much, and what that is called.

    Raises:
        ShapeError: When scales or texts differ between the two.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> healthy = {scale: rng.normal(size=(60, 8)) for scale in SCALES}
        >>> flat = {scale: x * np.array([1.0, *[1e-3] * 7]) for scale, x in healthy.items()}
        >>> detect_collapse(healthy, healthy).verdict, detect_collapse(healthy, flat).verdict
        ('none', 'to few directions')
    """
    _check(before, after)
    n = len(before["local"])
    groups = group_documents(np.arange(n) if documents is None else documents, n_groups=n_groups)
    falls = []
    for scale in SCALES:
        for quantity, (function, kind, share) in _QUANTITIES.items():
            found = _fall(function, (before[scale],), (after[scale],), groups)
            falls.append(_judge(quantity, scale, found, kind, share))
    lost = accuracies is None or any(now < then - _LOST for then, now in accuracies.values())
    for one, other in combinations(SCALES, 2):
        found = _fall(_apart, (before[one], before[other]), (after[one], after[other]), groups)
        is_alike = found[1] <= 1.0 - _ALIKE and lost
        fall = _judge("distance of scales", f"{one} and {other}", found, "scales onto each other", ONTO)
        falls.append(fall if is_alike else Fall(**{**asdict(fall), "holds": False}))
    return _conclude(tuple(falls))


def _apart(first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "n d"]) -> float:
    """What keeps two scales' CKA from 1; 0 where one of them holds nothing."""
    try:
        return max(0.0, 1.0 - float(cka(first, second)))
    except ShapeError:
        return 1.0


_QUANTITIES: dict[str, tuple[Callable[..., float], Kind | None, float]] = {
    "relative spread": (relative_spread, "to a point", POINT),
    "effective rank": (effective_rank, "to few directions", FEW),
    "angle between texts": (lambda states: 1.0 - text_cosine(states), None, POINT),
}


def _check(before: Test, after: Test) -> None:
    for scale in SCALES:
        if scale not in before or scale not in after or len(before[scale]) != len(after[scale]):
            raise ShapeError(
                f"states of scale '{scale}' are missing or of other texts after than before; give the states of "
                "the same texts for local, intermediate and global"
            )


def _fall(
    function: Callable[..., float],
    before: tuple[Float[np.ndarray, "n d"], ...],
    after: tuple[Float[np.ndarray, "n d"], ...],
    groups: Int[np.ndarray, " n"],
) -> tuple[float, float, float, float | None, float | None]:
    """Give both values, their ratio, and its interval: the jackknife of its logarithm."""
    from scipy.stats import t

    def ratio(kept: Any) -> float:
        then = function(*(part[kept] for part in before))
        now = function(*(part[kept] for part in after))
        return now / then if then > 0 else (1.0 if now == then else float("inf"))

    then, now = function(*before), function(*after)
    whole = ratio(slice(None))
    rest = np.array([ratio(groups != group) for group in np.unique(groups)])
    if not np.isfinite(whole):
        return then, now, 1.0, None, None
    if whole <= 1e-12 or (rest <= 1e-12).any() or not np.isfinite(rest).all():
        return then, now, whole, whole, whole if (rest <= 1e-9).all() else None
    logs = np.log(rest)
    count = len(logs)
    error = float(np.sqrt((count - 1) / count * np.square(logs - logs.mean()).sum()))
    half = float(t.ppf(0.975, count - 1)) * error
    return then, now, whole, float(whole * np.exp(-half)), float(whole * np.exp(half))


def _judge(
    quantity: str,
    where: str,
    found: tuple[float, float, float, float | None, float | None],
    kind: Kind | None,
    share: float,
) -> Fall:
    then, now, ratio, low, high = found
    holds = kind is not None and high is not None and high < share
    return Fall(
        quantity=quantity,
        where=where,
        before=float(then),
        after=float(now),
        ratio=float(ratio),
        low=low,
        high=high,
        kind=kind,
        holds=holds,
    )


def _conclude(falls: tuple[Fall, ...]) -> Collapse:
    held = [fall for fall in falls if fall.holds]
    verdict = next((kind for kind in COLLAPSES if any(fall.kind == kind for fall in held)), "none")
    if verdict == "none":
        worst = min((fall for fall in falls if fall.kind is not None), key=lambda fall: fall.ratio)
        return Collapse(falls, verdict, f"No collapse: {_tell(worst)}, the largest fall there is.")
    told = "; ".join(_tell(fall) for fall in held)
    kinds = " and ".join(kind for kind in COLLAPSES if any(fall.kind == kind for fall in held))
    return Collapse(falls, verdict, f"Collapse {kinds}: {told}.")


def _tell(fall: Fall) -> str:
    ends = "" if fall.low is None or fall.high is None else f", 95 % {fall.low:.2g} to {fall.high:.2g}"
    values = f"{fall.before:.3g} to {fall.after:.3g}"
    return f"{fall.quantity} of {fall.where} went from {values} ({fall.ratio:.2g} of it{ends})"
