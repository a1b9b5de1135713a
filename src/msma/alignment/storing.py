"""A fitted alignment as a folder: one map a pair, their twins, the scales, and what they were fitted on."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from sklearn.base import clone

from msma._types import SCALES
from msma.errors import StorageError
from msma.maps import BaseMap
from msma.scale_moments import SeenTexts
from msma.scales import Basis, ScalePartition, ScaleRepresentation
from msma.storage import open_tensors, read_json, write_json, write_tensors

if TYPE_CHECKING:
    from msma.alignment.alignment import Alignment

Kind = TypeVar("Kind", bound="Alignment")


def write_alignment(alignment: "Alignment", folder: Path) -> Path:
    """Write a fitted alignment.

    Args:
        alignment: The alignment.
        folder: Where to.

    Returns:
        The folder.

    Raises:
        StorageError: When it cannot be written.
    """
    for pair in alignment.pairs:
        alignment.maps_[pair].save(folder / "-".join(pair))
        alignment.null_maps_[pair].save(folder / "null" / "-".join(pair))
    alignment.partition_.save(folder / "scales.json")
    arrays: dict[str, np.ndarray] = {"fitted_on": alignment.fitted_on_}
    for scale, basis in alignment.bases_.items():
        arrays |= {f"{scale}.mean": basis.mean, f"{scale}.directions": basis.directions}
    representation = alignment.representation_
    if representation.means_ is not None and representation.spreads_ is not None:
        arrays |= {"means": representation.means_, "spreads": representation.spreads_}
    if alignment.seen_ is not None:
        arrays |= {f"seen.{name}": array for name, array in alignment.seen_.to_arrays().items()}
    write_tensors(folder / "alignment.safetensors", arrays)
    settings = {
        "pairs": alignment.pairs,
        "reduction": alignment.reduction,
        "is_standardised": alignment.is_standardised,
        "seed": alignment.seed,
    }
    # Written last: its presence says that the folder is whole.
    write_json(folder / "alignment.json", {"origin": alignment.origin_, "settings": settings})
    return folder


def read_alignment(kind: type[Kind], folder: Path) -> Kind:
    """Read what :func:`write_alignment` wrote.

    Args:
        kind: Class of the alignment.
        folder: Where it is.

    Returns:
        A fitted alignment.

    Raises:
        StorageError: When the folder does not hold a whole alignment.
    """
    if not (folder / "alignment.json").is_file():
        raise StorageError(f"'{folder}' holds no alignment; give a folder written by Alignment.save")
    content = read_json(folder / "alignment.json")
    try:
        settings, origin = content["settings"], content["origin"]
        pairs = tuple((source, target) for source, target in settings.pop("pairs"))
        maps = {pair: BaseMap.load(folder / "-".join(pair)) for pair in pairs}
        nulls = {pair: BaseMap.load(folder / "null" / "-".join(pair)) for pair in pairs}
        alignment = kind(clone(next(iter(maps.values()))), pairs=pairs, **settings)
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise StorageError(f"'{folder}' holds a damaged alignment ({error}); fit it again") from error
    alignment.maps_, alignment.null_maps_, alignment.origin_ = maps, nulls, origin
    alignment.partition_ = ScalePartition.load(folder / "scales.json")
    alignment.representation_ = ScaleRepresentation(
        alignment.partition_, reduction=alignment.reduction, is_standardised=alignment.is_standardised
    )
    arrays, _ = open_tensors(folder / "alignment.safetensors")
    alignment.fitted_on_ = np.asarray(arrays["fitted_on"])
    seen = {name.removeprefix("seen."): array for name, array in arrays.items() if name.startswith("seen.")}
    alignment.seen_ = SeenTexts.from_arrays(seen) if seen else None
    alignment.bases_ = {s: Basis(arrays[f"{s}.mean"], arrays[f"{s}.directions"]) for s in SCALES}
    alignment.representation_.means_ = arrays.get("means")
    alignment.representation_.spreads_ = arrays.get("spreads")
    return alignment
