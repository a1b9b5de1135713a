"""The arms of the ablation: which of the three alignment terms each keeps."""

from typing import NamedTuple

from msma.errors import ConfigError

__all__ = ["ARMS", "Kept", "find_arm"]


class Kept(NamedTuple):
    """Which terms an arm keeps beside the classification losses.

    Args:
        geo: Paired error and isometry.
        info: Lower bound on mutual information.
        curv: Bending of the maps.
    """

    geo: bool
    info: bool
    curv: bool


#: Every arm by its name, in the order shown. "baseline" is plain multi-task fine-tuning.
ARMS: dict[str, Kept] = {
    "full": Kept(True, True, True),
    "no_geo": Kept(False, True, True),
    "no_info": Kept(True, False, True),
    "no_curv": Kept(True, True, False),
    "only_geo": Kept(True, False, False),
    "only_info": Kept(False, True, False),
    "only_curv": Kept(False, False, True),
    "baseline": Kept(False, False, False),
}


def find_arm(name: str) -> Kept:
    """Look up an arm by name.

    Args:
        name: One of :data:`ARMS`.

    Returns:
        The terms that it keeps.

    Raises:
        ConfigError: When there is no such arm.

    Examples:
        >>> find_arm("no_geo")
        Kept(geo=False, info=True, curv=True)
    """
    if name not in ARMS:
        raise ConfigError(f"arm '{name}' came; expected one of {', '.join(ARMS)}")
    return ARMS[name]
