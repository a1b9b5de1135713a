"""An alignment: one fitted map for each pair of scales, with what it was fitted on."""

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
from msma.alignment.storing import read_alignment, write_alignment
from msma.alignment.unseen import count_marked, sample_hashes
from msma.errors import ConfigError, OriginError, ScaleError
from msma.maps import BaseMap, LinearMap, RidgeMap, fit_map
from msma.moments import CrossMoments, Moments
from msma.resampling import shuffle_documents
from msma.scale_moments import ScaleMoments, SeenTexts
from msma.scales import Basis, Reduction, ScalePartition, ScaleRepresentation
from msma.shards import Origin
from msma.states import HiddenStates
from msma.storage import download_folder, upload_folder

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
        self.seen_: SeenTexts | None = None

    def __repr__(self) -> str:
        state = "fitted" if self.maps_ else "not fitted"
        return f"Alignment({self.map!r}, pairs={self.pairs}, {state})"

    def fit(self, states: HiddenStates, scales: ScalePartition) -> Self:
        """Fit a map, and its twin on shuffled pairs, for each pair of scales.

        Args:
            states: Training states, of all layers or of the three scales alone.
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
        self.fitted_on_, self.seen_ = np.unique(sample_hashes(states)), None
        self._remember(states.origin, texts=states.fingerprint, n_samples=states.n_samples)
        return self

    def fit_moments(self, moments: ScaleMoments) -> Self:
        """Fit a map, and its twin on shuffled pairs, for each pair of scales, from moments alone.

        The same maps as :meth:`fit` on the same texts, but for a ridge whose strength is to be chosen: by
        generalised cross-validation, which treats samples as independent, since documents are not there to be left
        out. The result takes states of all layers of the model as well as of the three scales.

        Args:
            moments: What extraction kept of the training texts.

        Returns:
            Itself.

        Raises:
            ConfigError: When the map needs the samples themselves.
            CorpusError: When there are no training texts, or no pairs could be shuffled.
            ScaleError: When the scales were reduced in another way, a pair of scales is not kept together, or layers
                are to be standardised.
        """
        if not isinstance(self.map, LinearMap):
            raise ConfigError(
                f"{type(self.map).__name__} came with moments, which it cannot be fitted on; use a closed form such "
                "as RidgeMap, or extract the states of the scales"
            )
        representation = ScaleRepresentation(
            moments.partition, reduction=self.reduction, is_standardised=self.is_standardised
        )
        representation.check_scales(moments.origin)
        pairs = {pair: moments.pair(*pair) for pair in self.pairs}
        nulls = {pair: moments.pair(*pair, is_shuffled=True) for pair in self.pairs}
        self.maps_ = {pair: clone(self.map).fit_moments(kept) for pair, kept in pairs.items()}
        self.null_maps_ = {pair: clone(self.map).fit_moments(kept) for pair, kept in nulls.items()}
        self.bases_ = {scale: Basis.from_moments(moments.scale(scale)) for scale in SCALES}
        self.partition_, self.representation_ = moments.partition, representation
        self.fitted_on_, self.seen_ = np.zeros(0, dtype=np.int64), moments.seen
        self._remember(moments.origin, texts=moments.fingerprint, n_samples=moments.n)
        return self

    def _remember(self, origin: Origin, *, texts: str, n_samples: int) -> None:
        """Keep what the maps were fitted on, as if all layers of the model had come."""
        self.origin_ = {
            "model": origin.model,
            "revision": origin.revision,
            "model_fingerprint": origin.fingerprint,
            "architecture": origin.architecture,
            "stack": origin.stack,
            "unit": origin.unit,
            "n_layers": origin.n_model_layers,
            "d_model": origin.d_model,
            "texts": texts,
            "n_samples": n_samples,
            "version": __version__,
        }
        for (source, target), map_ in self.maps_.items():
            scales = self.partition_
            map_.origin_ = {
                **self.origin_,
                "source": source,
                "target": target,
                "source_layers": [scales[source][0], scales[source][-1]],
                "target_layers": [scales[target][0], scales[target][-1]],
                "reduction": self.reduction,
            }

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
            "n_layers": other.n_model_layers,
            "d_model": other.d_model,
        }
        for key, value in found.items():
            if self.origin_.get(key) != value:
                raise OriginError(
                    f"states from model '{other.model}' ({key} {value!r}) came for an alignment fitted on "
                    f"'{self.origin_.get('model')}' ({key} {self.origin_.get(key)!r}); "
                    "fit an alignment on this model, or load states of that one"
                )

    def count_seen(self, states: HiddenStates) -> int:
        """Count samples that this alignment was fitted on.

        An alignment fitted on states knows each of their samples; one fitted on moments knows the training texts by
        a filter, which misses none of them. What its small chance of error explains is not counted.

        Args:
            states: States about to be scored.

        Returns:
            Their number; 0 where they are held out.
        """
        if self.seen_ is None:
            return int(np.isin(sample_hashes(states), self.fitted_on_).sum())
        return count_marked(states, self.seen_)

    @property
    def leak_check(self) -> str:
        """How it is known that held-out samples were not fitted on, in one sentence."""
        if self.seen_ is None:
            return f"compared with each of {len(self.fitted_on_)} samples fitted on"
        return (
            "compared with a filter of the texts fitted on, which misses none and errs for "
            f"{self.seen_.error_rate:.1g} of others"
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
        return write_alignment(self, Path(folder))

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
        return read_alignment(cls, Path(folder))

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
