"""Maps from the states of one scale to those of another; every one is a scikit-learn transformer."""

from msma.maps.base import BaseMap, fit_map
from msma.maps.closed import MAPS
from msma.maps.joint import JointMap
from msma.maps.linear import IdentityMap, LinearMap, MeanShiftMap, ProcrustesMap, TransportMap
from msma.maps.ridge import ReducedRankMap, RidgeMap

__all__ = [
    "ALL_MAPS",
    "LEARNED_MAPS",
    "MAPS",
    "BaseMap",
    "IdentityMap",
    "JointMap",
    "LinearMap",
    "MeanShiftMap",
    "ProcrustesMap",
    "ReducedRankMap",
    "RidgeMap",
    "TransportMap",
    "fit_map",
]

#: Every learned map by its name; these need the rows themselves, and minutes.
LEARNED_MAPS: dict[str, type[BaseMap]] = {JointMap.kind: JointMap}

#: Every map by its name.
ALL_MAPS: dict[str, type[BaseMap]] = {**MAPS, **LEARNED_MAPS}
