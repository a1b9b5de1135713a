"""An alignment: one fitted map for each pair of scales, with what it was fitted on."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeAlias

import numpy as np
from jaxtyping import Float, Int
from sklearn.base import clone

from msma._types import COMPOSED_PAIR, PAIRS, SCALES, Pair, Scale
from msma._version import __version__
from msma.errors import OriginError, ScaleError, StorageError
from msma.maps import BaseMap, LinearMap, RidgeMap, fit_map
from msma.moments import CrossMoments, Moments
from msma.resampling import shuffle_documents
from msma.scales import Basis, Reduction, ScalePartition, ScaleRepresentation
from msma.states import HiddenStates
from msma.storage import (
    download_folder,
    open_tensors,
    read_json,
    upload_folder,
    write_json,
    write_tensors,
)

#: Above this many numbers a scale's representation is streamed in moments rather than held.
_LARGEST_IN_MEMORY = 2**26

_Batch: TypeAlias = Float[np.ndarray, "n d_model"]


class Alignment:
    r"""Fit one map for each pair of scales: :math:`f_{GI}`, :math:`f_{IL}`, and their composition.

    A meta-estimator: the map given is cloned for every pair. A twin of each map is fitted on pairs shuffled
    between documents; what it reaches is what a map reaches that learned nothing.

    Args:
        map: The kind of map and its parameters; ridge when left out.
        pairs: Pairs of scales, source first; the decoding direction when left out.
        reduction: "mean" of a scale's layers, or its "last" layer.
        is_standardised: Whether layers are brought to equal spread first.
        seed: Fixes the shuffled pairs.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=(40, 3))
        >>> states = HiddenStates.from_arrays(np.stack([z, 2 * z, z + 1]))
        >>> alignment = Alignment(RidgeMap(alpha=1e-6)).fit(states, ScalePartition.thirds(3))
        >>> bool(np.allclose(alignment.transform(states)["global", "local"], z, atol=1e-3))
        True
    """

    def __init__(
        self,
        map: BaseMap | None = None,
        *,
        pairs: Sequence[Pair] = PAIRS,
        reduction: Reduction = "mean",
        is_standardised: bool = False,
        seed: int = 0,
    ) -> None:
        for pair in pairs:
            if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(SCALES):
                raise ScaleError(f"pair {pair!r} came; expected two different ones of {', '.join(SCALES)}")
        self.map = RidgeMap() if map is None else map
        self.pairs = tuple(pairs)
        self.reduction: Reduction = reduction
        self.is_standardised = is_standardised
        self.seed = seed
        self.maps_: dict[Pair, BaseMap] = {}
        self.null_maps_: dict[Pair, BaseMap] = {}
        self.bases_: dict[Scale, Basis] = {}
        self.origin_: dict[str, Any] = {}
        self.fitted_on_: Int[np.ndarray, " samples"] = np.zeros(0, dtype=np.int64)

    def __repr__(self) -> str:
        state = "fitted" if self.maps_ else "not fitted"
        return f"Alignment({self.map!r}, pairs={self.pairs}, {state})"

    def fit(self, states: HiddenStates, scales: ScalePartition) -> Self:
        """Fit a map, and its twin on shuffled pairs, for each pair of scales.

        Args:
            states: Training states.
            scales: Which layers belong to which scale.

        Returns:
            Itself.

        Raises:
            ScaleError: When the partition is for another number of layers.
            ShapeError: When there are too few samples for the map.
        """
        self.partition_ = scales
        self.representation_ = ScaleRepresentation(
            scales, reduction=self.reduction, is_standardised=self.is_standardised
        ).fit(states)
        order = shuffle_documents(states.documents, seed=self.seed)
        # A learned map needs the rows; a closed form needs moments only.
        is_closed = isinstance(self.map, LinearMap)
        is_streamed = is_closed and states.n_samples * states.d_model > _LARGEST_IN_MEMORY
        (self._fit_streamed if is_streamed else self._fit_whole)(states, order)
        self.fitted_on_ = np.unique(sample_hashes(states))
        self.origin_ = {
            "model": states.origin.model,
            "revision": states.origin.revision,
            "model_fingerprint": states.origin.fingerprint,
            "architecture": states.origin.architecture,
            "stack": states.origin.stack,
            "unit": states.origin.unit,
            "n_layers": states.n_layers,
            "d_model": states.d_model,
            "texts": states.fingerprint,
            "n_samples": states.n_samples,
            "version": __version__,
        }
        for (source, target), map_ in self.maps_.items():
            map_.origin_ = {
                **self.origin_,
                "source": source,
                "target": target,
                "source_layers": [scales[source][0], scales[source][-1]],
                "target_layers": [scales[target][0], scales[target][-1]],
                "reduction": self.reduction,
            }
        return self

    def _fit_whole(self, states: HiddenStates, order: Int[np.ndarray, " samples"]) -> None:
        reduced = self.representation_.transform(states)
        self.bases_ = {scale: Basis.from_moments(Moments.from_batch(reduced[scale])) for scale in SCALES}
        documents = states.documents
        self.maps_ = {(s, t): fit_map(self.map, reduced[s], reduced[t], documents) for s, t in self.pairs}
        # Shuffled pairs belong to the target's document.
        self.null_maps_ = {
            (s, t): fit_map(self.map, reduced[s][order], reduced[t], documents) for s, t in self.pairs
        }

    def _fit_streamed(self, states: HiddenStates, order: Int[np.ndarray, " samples"]) -> None:
        def moments(pair: Pair, rows: Int[np.ndarray, " samples"] | None) -> CrossMoments:
            sources = self._walk(states if rows is None else states.subset(rows), pair[0])
            return CrossMoments.from_stream(zip(sources, self._walk(states, pair[1]), strict=True))

        self.bases_ = {s: Basis.from_moments(Moments.from_stream(self._walk(states, s))) for s in SCALES}
        self.maps_ = {pair: clone(self.map).fit_moments(moments(pair, None)) for pair in self.pairs}
        self.null_maps_ = {pair: clone(self.map).fit_moments(moments(pair, order)) for pair in self.pairs}

    def _walk(self, states: HiddenStates, scale: Scale, size: int = 4096) -> Iterator[_Batch]:
        for start in range(0, states.n_samples, size):
            rows = np.arange(start, min(start + size, states.n_samples))
            yield self.representation_.transform(states.subset(rows))[scale]

    def check_origin(self, states: HiddenStates) -> None:
        """Refuse states that do not come from the model this alignment was fitted on.

        Args:
            states: States about to be mapped.

        Raises:
            OriginError: When model, stack, number of layers or width differ, or nothing was fitted yet.
        """
        if not self.maps_:
            raise OriginError("this alignment has no fitted maps; call fit(states, scales) first")
        other = states.origin
        found = {
            "model_fingerprint": other.fingerprint,
            "stack": other.stack,
            "unit": other.unit,
            "n_layers": other.n_layers,
            "d_model": other.d_model,
        }
        for key, value in found.items():
            if self.origin_.get(key) != value:
                raise OriginError(
                    f"states from model '{other.model}' ({key} {value!r}) came for an alignment fitted on "
                    f"'{self.origin_.get('model')}' ({key} {self.origin_.get(key)!r}); "
                    "fit an alignment on this model, or load states of that one"
                )

    @property
    def chains(self) -> dict[Pair, tuple[Pair, ...]]:
        """Every pair that can be mapped, with the fitted pairs it goes through."""
        chains: dict[Pair, tuple[Pair, ...]] = {pair: (pair,) for pair in self.pairs}
        for composed in (COMPOSED_PAIR, (COMPOSED_PAIR[1], COMPOSED_PAIR[0])):
            steps: tuple[Pair, ...] = ((composed[0], "intermediate"), ("intermediate", composed[1]))
            if composed not in chains and all(step in self.pairs for step in steps):
                chains[composed] = steps
        return chains

    def transform(
        self, states: HiddenStates, *, is_null: bool = False
    ) -> dict[Pair, Float[np.ndarray, "samples d_target"]]:
        """Map every source scale onto its target, the composition included.

        Args:
            states: States of the same model.
            is_null: Use the twins fitted on shuffled pairs instead.

        Returns:
            Mapped representations by pair, float64.

        Raises:
            OriginError: When the states come from another model.
        """
        self.check_origin(states)
        reduced = self.representation_.transform(states)
        return self.transform_scales(reduced, is_null=is_null)

    def transform_scales(
        self, scales: Mapping[Scale, Float[np.ndarray, "samples d_model"]], *, is_null: bool = False
    ) -> dict[Pair, Float[np.ndarray, "samples d_target"]]:
        """Map representations of the scales; see :meth:`transform`.

        Args:
            scales: One representation a scale.
            is_null: Use the twins fitted on shuffled pairs instead.

        Returns:
            Mapped representations by pair, float64.
        """
        maps = self.null_maps_ if is_null else self.maps_
        mapped: dict[Pair, Float[np.ndarray, "samples d_target"]] = {}
        for pair, steps in self.chains.items():
            value = scales[pair[0]]
            for step in steps:
                value = maps[step].transform(value)
            mapped[pair] = value
        return mapped

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the maps, their origin and the partition to a folder.

        Args:
            folder: Where to.

        Returns:
            The folder.

        Raises:
            OriginError: When nothing was fitted yet.
            StorageError: When it cannot be written.
        """
        if not self.maps_:
            raise OriginError("this alignment has no fitted maps; call fit(states, scales) first")
        folder = Path(folder)
        for pair in self.pairs:
            self.maps_[pair].save(folder / "-".join(pair))
            self.null_maps_[pair].save(folder / "null" / "-".join(pair))
        self.partition_.save(folder / "scales.json")
        arrays: dict[str, np.ndarray] = {"fitted_on": self.fitted_on_}
        for scale, basis in self.bases_.items():
            arrays |= {f"{scale}.mean": basis.mean, f"{scale}.directions": basis.directions}
        if self.representation_.means_ is not None and self.representation_.spreads_ is not None:
            arrays |= {"means": self.representation_.means_, "spreads": self.representation_.spreads_}
        write_tensors(folder / "alignment.safetensors", arrays)
        settings = {
            "pairs": self.pairs,
            "reduction": self.reduction,
            "is_standardised": self.is_standardised,
            "seed": self.seed,
        }
        # Written last: its presence says that the folder is whole.
        write_json(folder / "alignment.json", {"origin": self.origin_, "settings": settings})
        return folder

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            folder: Where it is.

        Returns:
            A fitted alignment.

        Raises:
            StorageError: When the folder does not hold a whole alignment.
        """
        folder = Path(folder)
        if not (folder / "alignment.json").is_file():
            raise StorageError(f"'{folder}' holds no alignment; give a folder written by Alignment.save")
        content = read_json(folder / "alignment.json")
        try:
            settings, origin = content["settings"], content["origin"]
            pairs = tuple((source, target) for source, target in settings.pop("pairs"))
            maps = {pair: BaseMap.load(folder / "-".join(pair)) for pair in pairs}
            nulls = {pair: BaseMap.load(folder / "null" / "-".join(pair)) for pair in pairs}
            alignment = cls(clone(next(iter(maps.values()))), pairs=pairs, **settings)
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            raise StorageError(f"'{folder}' holds a damaged alignment ({error}); fit it again") from error
        alignment.maps_, alignment.null_maps_, alignment.origin_ = maps, nulls, origin
        alignment.partition_ = ScalePartition.load(folder / "scales.json")
        alignment.representation_ = ScaleRepresentation(
            alignment.partition_, reduction=alignment.reduction, is_standardised=alignment.is_standardised
        )
        arrays, _ = open_tensors(folder / "alignment.safetensors")
        alignment.fitted_on_ = np.asarray(arrays["fitted_on"])
        alignment.bases_ = {s: Basis(arrays[f"{s}.mean"], arrays[f"{s}.directions"]) for s in SCALES}
        alignment.representation_.means_ = arrays.get("means")
        alignment.representation_.spreads_ = arrays.get("spreads")
        return alignment

    def push_to_hub(self, repository: str, *, private: bool | None = None) -> str:
        """Push the fitted alignment to the Hugging Face Hub.

        Args:
            repository: Name there, such as "you/gpt2-msma".
            private: Whether a new repository is private.

        Returns:
            Address of the commit.

        Raises:
            OriginError: When nothing was fitted yet.
            StorageError: When the Hub cannot be reached or refuses.
        """
        with TemporaryDirectory() as folder:
            return upload_folder(self.save(folder), repository, private=private)

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str], *, revision: str | None = None) -> Self:
        """Load an alignment from a folder or from the Hub.

        Args:
            name: A folder, or a repository such as "you/gpt2-msma".
            revision: Branch, tag or commit of a repository.

        Returns:
            A fitted alignment.

        Raises:
            StorageError: When it is neither, or holds no whole alignment.
        """
        if Path(name).is_dir():
            return cls.load(name)
        return cls.load(download_folder(os.fspath(name), revision=revision))


def sample_hashes(states: HiddenStates) -> Int[np.ndarray, " samples"]:
    """Hash every sample's text, so that a later evaluation can tell whether it was fitted on.

    Sentences and tokens repeat honestly between documents, so there the document is hashed along.

    Args:
        states: The samples.

    Returns:
        One 64-bit integer a sample.
    """
    is_text = states.origin.unit == "text"
    keys = states.texts if is_text else zip(states.document_ids, states.texts, strict=True)
    digests = (hashlib.blake2b(repr(key).encode(), digest_size=8).digest() for key in keys)
    return np.array([int.from_bytes(digest, "little", signed=True) for digest in digests], dtype=np.int64)
