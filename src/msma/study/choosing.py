"""What a configuration names by a word: the scales, and the learned map with its settings."""

import json
from difflib import get_close_matches
from typing import cast

from msma.configuration import StudyConfig
from msma.errors import ConfigError
from msma.maps import LEARNED_MAPS, BaseMap
from msma.scales import Method, ScalePartition, find_scales
from msma.states import HiddenStates


def choose_scales(
    train: HiddenStates, *, method: str, n_votes: int = 100, min_layers: int | None = None, seed: int = 0
) -> ScalePartition:
    """Find the scales by a method's name, or read them from ranges written by hand.

    Args:
        train: Training states.
        method: As in ``find_scales``, or ranges such as "0-2|3-4|5-6".
        n_votes: Random halves that vote.
        min_layers: Fewest layers a scale may have.
        seed: Fixes the halves.

    Returns:
        The partition.
    """
    if any(sign in method for sign in "|0123456789"):
        return ScalePartition.parse(method, n_layers=train.n_layers)
    return find_scales(
        train, method=cast("Method", method), n_votes=n_votes, min_layers=min_layers, seed=seed
    )


def make_joint(config: StudyConfig) -> BaseMap:
    """Build the learned map that a configuration asks for.

    Args:
        config: Its ``joint`` settings are laid over the map's defaults; ``device`` and ``seed`` are the study's.

    Returns:
        The map, not fitted.

    Raises:
        ConfigError: When a setting is not "name=value" or there is none of that name.

    Examples:
        >>> make_joint(StudyConfig(model="demo", texts="demo", joint=("width=64",))).width
        64
    """
    map_ = LEARNED_MAPS["joint"]().set_params(device=config.device, seed=config.seed)
    known = map_.get_params(deep=False)
    for setting in config.joint:
        name, is_given, text = setting.partition("=")
        if not is_given or name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"
            raise ConfigError(f"joint setting '{setting}' came; expected name=value; {hint}")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        map_.set_params(**{name: value})
    return map_
