"""One trial: fit a configuration, read it on the validation split, and give up early on what cannot win."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from sklearn.base import clone

from msma._types import Pair
from msma.errors import ConfigError, ShapeError
from msma.heldout import PairData, best_closed_form
from msma.maps import BaseMap, fit_map
from msma.readings import read_map
from msma.tuning.space import WEIGHTS

#: Objective: the reading it is made of, and which way is better.
OBJECTIVES: dict[str, tuple[str, str]] = {
    "r2": ("r2", "maximize"),
    "information": ("mi", "maximize"),
    "curvature": ("map_curvature", "minimize"),
}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How a trial is read and when it is given up.

    Args:
        objectives: Names out of :data:`OBJECTIVES`; "r2" must be among them.
        rungs: Shares of the epochs after which a trial is compared with earlier ones.
        warm_up: Earlier trials a rung must have seen before it prunes.
        n_groups: Groups of documents the jackknife leaves out one at a time.
        seed: Seed of training, of groups and of probes.

    Raises:
        ConfigError: When an objective is unknown or missing, or a rung is not a share below 1.
    """

    objectives: tuple[str, ...]
    rungs: tuple[float, ...]
    warm_up: int
    n_groups: int
    seed: int

    def __post_init__(self) -> None:
        for name in self.objectives:
            if name not in OBJECTIVES:
                raise ConfigError(f"objective '{name}' came; expected some of {', '.join(OBJECTIVES)}")
        if "r2" not in self.objectives or len(set(self.objectives)) != len(self.objectives):
            raise ConfigError(
                f"objectives {', '.join(self.objectives) or 'none'} came; expected 'r2' and others, each once"
            )
        if any(not 0.0 < rung < 1.0 for rung in self.rungs) or list(self.rungs) != sorted(set(self.rungs)):
            raise ConfigError(f"rungs {self.rungs} came; expected rising shares of the epochs, such as 0.2")

    @property
    def directions(self) -> list[str]:
        """Which way each objective is better, as Optuna says it."""
        return [OBJECTIVES[name][1] for name in self.objectives]


def make_map(map_: BaseMap, params: Mapping[str, Any], *, seed: int, share: float = 1.0) -> BaseMap:
    """Set the parameters of a trial.

    Args:
        map_: The map that is tuned.
        params: Parameters drawn, not all weights zero.
        seed: Seed of training.
        share: Share of the epochs.

    Returns:
        A map that is not fitted.
    """
    changes: dict[str, Any] = {**params, "seed": seed, "checkpoint": None}
    if share < 1.0:
        changes["max_epochs"] = max(1, round(share * map_.get_params(deep=False)["max_epochs"]))
    return clone(map_).set_params(**changes)


def fit_params(
    map_: BaseMap,
    params: Mapping[str, Any],
    data: Mapping[Pair, PairData],
    *,
    seed: int,
    share: float = 1.0,
) -> dict[Pair, BaseMap]:
    """Fit a configuration on every pair; where all weights are zero, the best closed form on validation.

    Args:
        map_: The map that is tuned.
        params: Parameters drawn.
        data: The pairs of scales.
        seed: Seed of training.
        share: Share of the epochs.

    Returns:
        A fitted map a pair.
    """
    if not any(params.get(name) for name in WEIGHTS):
        return best_closed_form(data)[1]
    fresh = make_map(map_, params, seed=seed, share=share)
    return {pair: fit_map(fresh, *part.train) for pair, part in data.items()}


def read_params(
    map_: BaseMap,
    params: Mapping[str, Any],
    data: Mapping[Pair, PairData],
    budget: Budget,
    *,
    share: float = 1.0,
) -> tuple[list[float], list[float]]:
    """Fit a configuration on every pair and average what it reaches on the validation split.

    Args:
        map_: The map that is tuned.
        params: Parameters drawn.
        data: The pairs of scales.
        budget: What is read.
        share: Share of the epochs; below 1 no values without groups of documents are computed.

    Returns:
        The objectives in order, and R2 without each group of documents.

    Raises:
        ShapeError: When an objective cannot be estimated.
    """
    metrics = [OBJECTIVES[name][0] for name in budget.objectives]
    found = []
    maps = fit_params(map_, params, data, seed=budget.seed, share=share)
    for pair, part in data.items():
        options: dict[str, Any] = {"part": "validation", "n_groups": budget.n_groups, "seed": budget.seed}
        readings = read_map(maps[pair], part, metrics=metrics, has_left_out=False, **options)
        if share == 1.0:
            readings |= read_map(maps[pair], part, metrics=("r2",), **options)
        found.append(readings)
    values = []
    for metric in metrics:
        each = [readings[metric].value for readings in found]
        if any(value is None for value in each):
            raise ShapeError(f"'{metric}' cannot be read: {found[0][metric].note}")
        values.append(float(np.mean(np.array(each, dtype=np.float64))))
    left_out = np.mean([readings["r2"].left_out for readings in found], axis=0) if share == 1.0 else []
    return values, [float(value) for value in left_out]


def is_dominated(
    values: Sequence[float], others: Sequence[Sequence[float]], directions: Sequence[str]
) -> bool:
    """Tell whether another point is at least as good in everything and better in something.

    Args:
        values: The point.
        others: The other points.
        directions: "maximize" or "minimize" for each objective.

    Returns:
        Whether one of the others dominates it.

    Examples:
        >>> is_dominated([1.0, 1.0], [[2.0, 1.0]], ["maximize", "minimize"])
        True
        >>> is_dominated([1.0, 1.0], [[2.0, 2.0], [1.0, 1.0]], ["maximize", "minimize"])
        False
    """
    signs = np.array([1.0 if direction == "maximize" else -1.0 for direction in directions])
    mine = signs * np.asarray(values)
    theirs = signs * np.asarray(others, dtype=np.float64).reshape(-1, len(mine))
    return bool(((theirs >= mine).all(axis=1) & (theirs > mine).any(axis=1)).any())


def should_prune(values: Sequence[float], earlier: Sequence[Sequence[float]], budget: Budget) -> bool:
    """Decide at a rung: R2 below the median of earlier trials there, and dominated by one of them.

    Optuna prunes by one number only, which would throw away what is good in another objective.

    Args:
        values: Objectives of this trial at the rung.
        earlier: Those of earlier trials at the same rung.
        budget: Objectives and warm-up.

    Returns:
        Whether to give the trial up.
    """
    if len(earlier) < budget.warm_up or not earlier:
        return False
    place = budget.objectives.index("r2")
    is_low = values[place] < median(other[place] for other in earlier)
    return is_low and is_dominated(values, earlier, budget.directions)
