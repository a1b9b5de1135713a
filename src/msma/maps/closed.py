"""The table of the maps in closed form."""

from msma.maps.linear import IdentityMap, LinearMap, MeanShiftMap, ProcrustesMap, TransportMap
from msma.maps.ridge import ReducedRankMap, RidgeMap

__all__ = ["MAPS"]

#: Every map in closed form by its name, from the simplest to the most able.
MAPS: dict[str, type[LinearMap]] = {
    map_.kind: map_
    for map_ in (IdentityMap, MeanShiftMap, ProcrustesMap, RidgeMap, ReducedRankMap, TransportMap)
}
