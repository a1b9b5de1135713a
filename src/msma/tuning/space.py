"""What is searched: ranges and choices of the learned map's parameters, and how a trial draws from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol, TypeAlias

from msma.errors import ConfigError
from msma.maps import BaseMap

#: The weights of the three terms; all zero is the closed form alone.
WEIGHTS: tuple[str, ...] = ("lambda_geo", "lambda_info", "lambda_curv")


@dataclass(frozen=True)
class Logarithmic:
    """A positive number, drawn evenly in its logarithm.

    Args:
        low: Least value.
        high: Greatest value.
        has_zero: Whether zero is a choice of its own beside the range.

    Raises:
        ConfigError: When the range is empty or not positive.
    """

    low: float
    high: float
    has_zero: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.low <= self.high:
            raise ConfigError(f"range {self.low} to {self.high} came; expected 0 < low <= high")


@dataclass(frozen=True)
class OneOf:
    """One of a few values.

    Args:
        values: The values.

    Raises:
        ConfigError: When there is none.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ConfigError("0 values came to choose from; give at least one")


Range: TypeAlias = Logarithmic | OneOf
Space: TypeAlias = Mapping[str, Range]

#: What is searched when nothing else is said. Only ratios of the weights matter to Adam, but for weight decay.
SPACE: dict[str, Range] = {
    "lambda_geo": Logarithmic(0.1, 10.0, has_zero=True),
    "lambda_info": Logarithmic(1e-3, 1.0, has_zero=True),
    "lambda_curv": Logarithmic(1e-4, 1.0, has_zero=True),
    "width": OneOf((64, 128, 256, 512)),
    "depth": OneOf((1, 2, 3)),
    "estimator": OneOf(("infonce", "nwj", "smile", "mine")),
    "learning_rate": Logarithmic(1e-4, 1e-2),
}


class Draws(Protocol):
    """What is needed of an Optuna trial to draw from a space."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = ...) -> float:
        """Draw a number."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Draw one of several values."""


def make_space(map_: BaseMap, changes: Space | None) -> dict[str, Range]:
    """Lay a user's ranges over the usual ones, and widen them to hold the map's own parameters.

    Args:
        map_: The map whose parameters are the first trial.
        changes: Ranges by parameter; the others stay as in :data:`SPACE`.

    Returns:
        The space.

    Raises:
        ConfigError: When the map has no such parameter, or no term.
    """
    params = map_.get_params(deep=False)
    for name in (*WEIGHTS, *(changes or {})):
        if name not in params:
            raise ConfigError(
                f"parameter '{name}' came; {type(map_).__name__} has {', '.join(sorted(params))}"
            )
    space = {name: range_ for name, range_ in {**SPACE, **(changes or {})}.items() if name in params}
    if not any(params[name] for name in WEIGHTS):
        raise ConfigError("all three weights came as 0; give a map with at least one term above 0")
    return {name: _widen(range_, params[name]) for name, range_ in space.items()}


def _widen(range_: Range, value: Any) -> Range:
    if isinstance(range_, OneOf):
        return range_ if value in range_.values else OneOf((*range_.values, value))
    if value == 0.0:
        return Logarithmic(range_.low, range_.high, has_zero=True)
    return Logarithmic(min(range_.low, value), max(range_.high, value), has_zero=range_.has_zero)


def list_terms(space: Space) -> tuple[str, ...]:
    """List the sets of terms that an objective may have; at least one term, and those that cannot be zero.

    Args:
        space: What is searched.

    Returns:
        The sets, each as names of weights joined by "+".

    Examples:
        >>> list_terms({name: Logarithmic(0.1, 1.0, has_zero=name != "lambda_geo") for name in WEIGHTS[:2]})
        ('lambda_geo+lambda_info', 'lambda_geo')
    """
    options = [
        (name,)
        if isinstance(space[name], OneOf) or not getattr(space[name], "has_zero", False)
        else (name, "")
        for name in WEIGHTS
        if name in space
    ]
    sets = ("+".join(name for name in chosen if name) for chosen in product(*options))
    return tuple(chosen for chosen in sets if chosen)


def draw(trial: Draws, space: Space) -> dict[str, Any]:
    """Draw the parameters of a trial.

    Which terms are there is drawn first; what a trial does not use is not drawn.

    Args:
        trial: An Optuna trial.
        space: What is searched.

    Returns:
        Parameters of the map.
    """
    sets = list_terms(space)
    terms = sets[0] if len(sets) == 1 else trial.suggest_categorical("terms", sets)
    kept = terms.split("+")
    params: dict[str, Any] = {}
    for name, range_ in space.items():
        if name in WEIGHTS and name not in kept:
            params[name] = 0.0
        elif not (name == "estimator" and "lambda_info" not in kept):
            params[name] = _draw_one(trial, name, range_)
    return params


def _draw_one(trial: Draws, name: str, range_: Range) -> Any:
    if isinstance(range_, OneOf):
        return range_.values[0] if len(range_.values) == 1 else trial.suggest_categorical(name, range_.values)
    return trial.suggest_float(name, range_.low, range_.high, log=True)


def fixed_draws(params: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """Say which draws give some parameters, so that a trial can be put in the queue.

    Args:
        params: Parameters of the map.
        space: What is searched.

    Returns:
        Values by the names that :func:`draw` asks for.

    Examples:
        >>> space = {name: Logarithmic(0.1, 1.0, has_zero=True) for name in WEIGHTS}
        >>> fixed_draws({"lambda_geo": 0.5, "lambda_info": 0.0, "lambda_curv": 0.0}, space)
        {'terms': 'lambda_geo', 'lambda_geo': 0.5}
    """
    kept = [name for name in WEIGHTS if params.get(name)]
    draws: dict[str, Any] = {"terms": "+".join(kept)} if len(list_terms(space)) > 1 else {}
    for name, range_ in space.items():
        is_used = name in kept if name in WEIGHTS else (name != "estimator" or "lambda_info" in kept)
        is_drawn = not (isinstance(range_, OneOf) and len(range_.values) == 1)
        if is_used and is_drawn:
            draws[name] = params[name]
    return draws


def network_size(params: Mapping[str, Any]) -> tuple[int, int]:
    """Order configurations from simple to elaborate.

    Args:
        params: Parameters of a trial.

    Returns:
        Weights between hidden layers counted as depth x width squared, and terms; (0, 0) for the closed form.

    Examples:
        >>> network_size({"lambda_geo": 1.0, "width": 8, "depth": 2}), network_size({"lambda_geo": 0.0})
        ((128, 1), (0, 0))
    """
    n_terms = sum(bool(params.get(name)) for name in WEIGHTS)
    if not n_terms:
        return 0, 0
    return int(params.get("depth", 1)) * int(params.get("width", 1)) ** 2, n_terms
