"""Maps from the states of one scale to those of another; every one is a scikit-learn transformer."""

from msma.maps.base import BaseMap
from msma.maps.linear import IdentityMap, LinearMap, MeanShiftMap, ProcrustesMap, TransportMap
from msma.maps.ridge import ReducedRankMap, RidgeMap

__all__ = [
    "MAPS",
    "BaseMap",
    "IdentityMap",
    "LinearMap",
    "MeanShiftMap",
    "ProcrustesMap",
    "ReducedRankMap",
    "RidgeMap",
    "TransportMap",
]

#: Every map by its name, from the simplest to the most able.
MAPS: dict[str, type[LinearMap]] = {
    map_.kind: map_
    for map_ in (IdentityMap, MeanShiftMap, ProcrustesMap, RidgeMap, ReducedRankMap, TransportMap)
}
