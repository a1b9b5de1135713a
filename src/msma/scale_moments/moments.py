"""Moments of the three scales on the training texts, with a sample of the held-out ones: what a corpus leaves."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from msma._types import PAIRS, SCALES, Scale, Split
from msma.errors import ConfigError, CorpusError, ScaleError
from msma.moments import CrossMoments, Moments
from msma.scale_moments.heldout import HeldoutSample
from msma.scale_moments.joining import check_same, join_sketches
from msma.scale_moments.seen import SeenTexts
from msma.scale_moments.settings import MomentSettings, check_scale_origin
from msma.scale_moments.splitting import DocumentCount, assign_split
from msma.scale_moments.sums import ScaleSums
from msma.scales import ScalePartition
from msma.shards import Origin
from msma.sketches import LayerSketch
from msma.states import HiddenStates

#: Fingerprints of texts are added up modulo this, so that they do not depend on the order.
FINGERPRINTS = 2**256


@dataclass(frozen=True, eq=False, kw_only=True)
class ScaleMoments:
    """All that closed-form maps, similarity of layers and an honest evaluation need, in memory that never grows.

    Of the training documents: means and scatters of the three scales, the cross-scatters of the two fitted pairs,
    and those of pairs shuffled between documents; seven d x d matrices. Of all layers a sketch. Of the other
    documents a bounded sample, whole. ``+`` joins the moments of two parts of one corpus.

    Args:
        origin: Model and settings, with the layers of the three scales.
        partition: The same scales of the model's layers, with how they were found.
        settings: What decides which texts are in which part.
        sums: Numbers, means and scatters.
        documents: How many training documents there are.
        texts: Fingerprint of the training texts, in whatever order.
        seen: Filter that knows the training texts.
        sample: Held-out samples, those too whose texts were trained on under another name.
        sketch: Projections of all layers, where they were kept.

    Raises:
        ScaleError: When origin and partition disagree.

    Examples:
        >>> from msma.scale_moments import MomentsBuilder
        >>> origin = Origin(model="m", n_layers=3, d_model=2, scales="0|1|2", reduction="mean")
        >>> builder = MomentsBuilder(origin, ScalePartition.thirds(3), filter_bits=1024)
        >>> z = np.random.default_rng(0).normal(size=(50, 2))
        >>> names = [str(i) for i in range(50)]
        >>> builder.add(np.stack([2 * z, z, z]), texts=names, documents=names)
        >>> moments = builder.build()
        >>> pair = moments.pair("intermediate", "local")
        >>> bool(np.allclose(pair.scatter_cross, 2 * pair.scatter_source)), moments.n + len(moments.sample)
        (True, 50)
    """

    origin: Origin
    partition: ScalePartition
    settings: MomentSettings
    sums: ScaleSums
    documents: DocumentCount
    texts: int
    seen: SeenTexts
    sample: HeldoutSample
    sketch: LayerSketch | None = None

    def __post_init__(self) -> None:
        check_scale_origin(self.origin, self.partition)

    @property
    def n(self) -> int:
        """Training samples."""
        return self.sums.n

    @property
    def n_shuffled(self) -> int:
        """Shuffled pairs of training samples."""
        return self.sums.n_shuffled

    @property
    def n_documents(self) -> int:
        """Training documents; exact up to 1,023, else within some 3 %."""
        return self.documents.value

    @property
    def d_model(self) -> int:
        """Width of one state."""
        return self.origin.d_model

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the training texts, the same in whatever order they came."""
        return f"{self.texts:064x}"

    def __repr__(self) -> str:
        return (
            f"ScaleMoments({self.origin.model}: {self.n} training samples x {self.d_model}, {self.partition}, "
            f"{len(self._kept)} held out)"
        )

    def scale(self, name: Scale) -> Moments:
        """Give the moments of one scale's representation.

        Args:
            name: The scale.

        Returns:
            Its moments on the training texts.

        Raises:
            CorpusError: When there is no training text.
            ScaleError: When there is no such scale.
        """
        if name not in SCALES:
            raise ScaleError(f"scale '{name}' was asked for; there are {', '.join(SCALES)}")
        self._check_trained()
        place = SCALES.index(name)
        return Moments(n=self.n, mean=self.sums.means[place], scatter=self.sums.scatters[place])

    def pair(self, source: Scale, target: Scale, *, is_shuffled: bool = False) -> CrossMoments:
        """Give the moments of a pair of neighbouring scales.

        With ``is_shuffled`` the cross-scatter is that of samples paired with those of other documents, brought to
        as many pairs as there are; means and scatters stay what they are. It is what a null twin is fitted on.

        Args:
            source: Scale mapped from.
            target: Scale mapped to.
            is_shuffled: Whether samples are paired with those of other documents.

        Returns:
            Their moments on the training texts.

        Raises:
            CorpusError: When there is no training text, or none could be shuffled.
            ScaleError: When the scales are no neighbours.
        """
        if (source, target) not in PAIRS:
            if (target, source) in PAIRS:
                return self.pair(target, source, is_shuffled=is_shuffled).reversed
            raise ScaleError(
                f"moments of {source} and {target} were asked for; only neighbouring scales are kept together "
                "(global and intermediate, intermediate and local): compose two maps, or keep all layers"
            )
        first, second, place = self.scale(source), self.scale(target), PAIRS.index((source, target))
        cross = self.sums.crosses[place]
        if is_shuffled:
            if self.n_shuffled < 2:
                raise CorpusError(
                    f"{self.n_shuffled} shuffled pairs came, since every batch held one training document only; "
                    "gather moments in batches of several documents"
                )
            cross = self.sums.shuffled_crosses[place] * (self.n / self.n_shuffled)
        return CrossMoments(
            n=self.n,
            mean_source=first.mean,
            mean_target=second.mean,
            scatter_source=first.scatter,
            scatter_cross=cross,
            scatter_target=second.scatter,
        )

    def _check_trained(self) -> None:
        if self.n == 0:
            raise CorpusError(
                "moments of 0 training samples came; give more texts, or a larger training share"
            )

    def layer_similarity(self) -> Float[np.ndarray, "layers layers"]:
        """Estimate linear CKA of all layers of the model; see :mod:`msma.sketches`.

        Returns:
            Similarities, 1 on the diagonal.

        Raises:
            ConfigError: When no sketch was kept.
        """
        if self.sketch is None:
            raise ConfigError("these moments hold no sketch of the layers; gather them with sketch_width=64")
        return self.sketch.cka()

    @cached_property
    def is_dropped(self) -> Bool[np.ndarray, " samples"]:
        """Which samples of the held-out sample are no test of anything: their texts came elsewhere too.

        Those that were trained on under another document's name, and those of the test part that are in the
        validation part too.
        """
        marks = self.sample.marks
        dropped = np.zeros(len(marks), dtype=bool)
        for place in range(marks.shape[1]):
            dropped |= self.seen.contains(marks[:, place])
        validation = {tuple(mark) for row in marks[self._parts == "validation"] for mark in row.tolist()}
        is_test = self._parts == "test"
        for row in np.flatnonzero(is_test):
            dropped[row] |= any(tuple(mark) in validation for mark in marks[row].tolist())
        return dropped

    @cached_property
    def _parts(self) -> np.ndarray:
        settings = self.settings
        options: dict[str, Any] = {"seed": settings.seed, "fractions": settings.fractions}
        return np.array([assign_split(name, **options) for name in self.sample.documents], dtype=object)

    @cached_property
    def _kept(self) -> Int[np.ndarray, " kept"]:
        return np.flatnonzero(~self.is_dropped)

    @property
    def n_dropped(self) -> int:
        """Held-out samples left out because their texts came elsewhere too; see :attr:`is_dropped`."""
        return int(self.is_dropped.sum())

    @cached_property
    def heldout(self) -> HiddenStates | None:
        """The held-out sample as states of three layer entries; ``None`` where there is none."""
        if not len(self._kept):
            return None
        return HiddenStates([self.sample.to_shard()], self.origin, index=self._kept)

    @property
    def validation(self) -> HiddenStates:
        """The part of the held-out sample that decisions are made on."""
        return self._part("validation")

    @property
    def test(self) -> HiddenStates:
        """The part of the held-out sample that is shown."""
        return self._part("test")

    def _part(self, part: Split) -> HiddenStates:
        rows = self._kept[self._parts[self._kept] == part]
        if not len(rows):
            raise CorpusError(
                f"0 held-out samples of the {part} part came ({self.n_dropped} of {len(self.sample)} were left out, "
                f"the filter of training texts erring for {self.seen.error_rate:.1g}); give more texts, or set a "
                f"larger {part} share, n_heldout or filter_bits"
            )
        return HiddenStates([self.sample.to_shard()], self.origin, index=rows, part=part)

    def __add__(self, other: "ScaleMoments") -> "ScaleMoments":
        check_same(self, other)
        sums, seen = self.sums.copy(), self.seen.copy()
        sums.absorb(other.sums)
        seen.absorb(other.seen)
        return replace(
            self,
            sums=sums,
            seen=seen,
            documents=self.documents + other.documents,
            texts=(self.texts + other.texts) % FINGERPRINTS,
            sample=self.sample + other.sample,
            sketch=join_sketches(self.sketch, other.sketch),
        )

    def save(self, folder: str | os.PathLike[str], *, notes: Mapping[str, Any] | None = None) -> Path:
        """Write the moments to a folder; moments that stood there are no longer whole from then on.

        Args:
            folder: Where to.
            notes: Anything that is to be kept beside, in ``notes.json``, written last of all.

        Returns:
            The folder.

        Raises:
            StorageError: When it cannot be written.
        """
        from msma.scale_moments.storing import write_moments

        return write_moments(self, Path(folder), notes=notes)

    @staticmethod
    def load(folder: str | os.PathLike[str]) -> "ScaleMoments":
        """Read what :meth:`save` wrote.

        Args:
            folder: Where it is.

        Returns:
            Equal moments, their matrices mapped and not read.

        Raises:
            StorageError: When a file is missing, damaged or cut short; it is named.
        """
        from msma.scale_moments.storing import read_moments

        return read_moments(Path(folder))
