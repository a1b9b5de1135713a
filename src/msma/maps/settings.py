"""What a learned map can be told, checked before anything is computed."""

import math
from typing import Any

from msma.errors import ConfigError
from msma.maps.base import BaseMap
from msma.maps.closed import MAPS
from msma.maps.linear import LinearMap
from msma.maps.ridge import RidgeMap

__all__ = ["BEST", "check_settings", "make_base"]

#: The base that is chosen on the held-out rows.
BEST = "best"

ESTIMATORS = ("infonce", "nwj", "smile", "mine")
_DEVICES = ("auto", "cpu", "cuda", "mps")

#: Numbers by name: lowest value, whether that itself is allowed, whether whole.
_NUMBERS: dict[str, tuple[float, bool, bool]] = {
    "lambda_geo": (0.0, True, False),
    "lambda_info": (0.0, True, False),
    "lambda_curv": (0.0, True, False),
    "isometry": (0.0, True, False),
    "beta": (0.0, True, False),
    "learning_rate": (0.0, False, False),
    "weight_decay": (0.0, True, False),
    "width": (1, True, True),
    "depth": (1, True, True),
    "batch_size": (2, True, True),
    "max_epochs": (0, True, True),
    "patience": (1, True, True),
    "seed": (0, True, True),
}


def check_settings(map_: Any) -> None:
    """Refuse settings that make no sense, in one sentence.

    Args:
        map_: A learned map.

    Raises:
        ConfigError: When a setting is of the wrong kind or out of range.

    Examples:
        >>> from msma.maps import JointMap
        >>> check_settings(JointMap(width=0))
        Traceback (most recent call last):
        msma.errors.ConfigError: width=0 came; expected a whole number from 1
    """
    for name, (low, is_allowed, is_whole) in _NUMBERS.items():
        value = getattr(map_, name)
        is_number = isinstance(value, (int, float)) or hasattr(value, "__float__")
        is_good = is_number and not isinstance(value, (bool, str)) and math.isfinite(value)
        is_good = is_good and (value >= low if is_allowed else value > low)
        if not is_good or (is_whole and value != int(value)):
            kind, bound = ("whole" if is_whole else "finite"), ("from" if is_allowed else "above")
            raise ConfigError(f"{name}={value!r} came; expected a {kind} number {bound} {low:g}")
    if not 0.0 < _as_float(map_.validation_fraction) < 1.0:
        raise ConfigError(
            f"validation_fraction={map_.validation_fraction!r} came; expected a share between 0 and 1, such as 0.1"
        )
    if map_.lambda_geo == map_.lambda_info == map_.lambda_curv == 0:
        raise ConfigError(
            "lambda_geo, lambda_info and lambda_curv all came as 0; expected one above 0 at least"
        )
    if map_.estimator not in ESTIMATORS:
        raise ConfigError(f"estimator={map_.estimator!r} came; expected one of {', '.join(ESTIMATORS)}")
    if str(map_.device).split(":")[0] not in _DEVICES:
        raise ConfigError(f"device={map_.device!r} came; expected one of {', '.join(_DEVICES)}")


def _as_float(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) or hasattr(value, "__float__") else math.nan


def make_base(base: Any) -> dict[str, LinearMap]:
    """Give the closed-form maps that a learned one may start from.

    Args:
        base: ``None`` for ridge, a name, a map, or "best" for all of them.

    Returns:
        Maps that are not fitted, by name.

    Raises:
        ConfigError: When it is nothing of that.

    Examples:
        >>> make_base(None), list(make_base("best"))[:2]
        ({'ridge': RidgeMap()}, ['identity', 'mean_shift'])
    """
    if base is None:
        return {RidgeMap.kind: RidgeMap()}
    if isinstance(base, LinearMap):
        return {base.kind: type(base)(**base.get_params())}
    if isinstance(base, BaseMap) or not isinstance(base, str):
        raise ConfigError(
            f"base={base!r} came; expected a map in closed form, the name of one, '{BEST}' or None"
        )
    if base == BEST:
        return {name: map_() for name, map_ in MAPS.items()}
    if base not in MAPS:
        raise ConfigError(f"base={base!r} came; expected one of {', '.join(MAPS)}, or '{BEST}'")
    return {base: MAPS[base]()}
