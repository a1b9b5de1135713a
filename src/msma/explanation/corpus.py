"""The study a text is explained against: its states, scales, maps and texts, opened once."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from msma._types import SCALES, Pair, Scale
from msma.alignment import Alignment
from msma.configuration import StudyConfig
from msma.errors import OriginError, StorageError
from msma.models import LoadedModel, load_with_head
from msma.scales import ScalePartition
from msma.states import HiddenStates, Splits
from msma.storage import read_json
from msma.study import find_model

#: Pairs of scales on whose way a text is asked what its themes predict.
DOWNWARDS: tuple[Pair, ...] = (("global", "intermediate"), ("global", "local"))


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyCorpus:
    """A finished study, opened to have texts explained against it.

    Args:
        folder: Where it lies.
        config: Its settings.
        provenance: What it says of itself.
        states: Pooled states of its texts.
        alignment: Its maps.
    """

    folder: Path
    config: StudyConfig
    provenance: dict[str, Any]
    states: HiddenStates
    alignment: Alignment

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Open a study that is whole.

        Args:
            folder: A folder that 'msma analyze' filled.

        Returns:
            The study.

        Raises:
            StorageError: When it is missing, unfinished or damaged.
        """
        home = Path(folder)
        if not (home / "study.json").is_file():
            raise StorageError(
                f"'{folder}' holds no finished study; give a folder that 'msma analyze' filled to its end"
            )
        study = read_json(home / "study.json")
        if not isinstance(study.get("config"), dict) or not isinstance(study.get("provenance"), dict):
            raise StorageError(
                f"'{home / 'study.json'}' holds no whole study; run it again into an empty folder"
            )
        return cls(
            folder=home,
            config=StudyConfig.from_dict(study["config"]),
            provenance=study["provenance"],
            states=HiddenStates.load(home / "states"),
            alignment=Alignment.load(home / "alignment"),
        )

    @property
    def partition(self) -> ScalePartition:
        """Which layers belong to which scale."""
        return self.alignment.partition_

    @cached_property
    def splits(self) -> Splits:
        """The study's own parts: maps were fitted on train; nothing was on validation and test."""
        return self.states.split(seed=self.config.seed, fractions=self.config.fractions)

    @cached_property
    def train(self) -> dict[Scale, Float[np.ndarray, "samples d_model"]]:
        """Training samples at each scale."""
        return self.alignment.representation_.transform(self.splits.train)

    @cached_property
    def validation(self) -> dict[Scale, Float[np.ndarray, "samples d_model"]]:
        """Validation samples at each scale."""
        return self.alignment.representation_.transform(self.splits.validation)

    @cached_property
    def means(self) -> dict[Scale, Float[np.ndarray, " d_model"]]:
        """Mean of the training samples at each scale."""
        return {scale: self.train[scale].mean(axis=0) for scale in SCALES}

    def whole_texts(self, states: HiddenStates, *, most: int, seed: int = 0) -> list[tuple[str, str]]:
        """Choose documents of a part at random, and give each as one running text.

        Args:
            states: Samples of a part.
            most: Documents, at most.
            seed: Fixes the choice.

        Returns:
            Document and text, in a fixed order.
        """
        names = list(dict.fromkeys(states.document_ids))
        chosen = set(np.random.default_rng(seed).permutation(len(names))[:most].tolist())
        kept = {name for number, name in enumerate(names) if number in chosen}
        parts: dict[str, list[str]] = {name: [] for name in names if name in kept}
        for name, text in zip(states.document_ids, states.texts, strict=True):
            if name in parts:
                parts[name].append(text)
        glue = "" if self.states.origin.unit == "token" else " "
        return [(name, glue.join(pieces)) for name, pieces in parts.items()]

    def load_model(self, model: Any = None, *, device: str | None = None) -> LoadedModel:
        """Load the model the study was made with, and make sure that it is that one.

        Args:
            model: Name, folder, transformers model or ``LoadedModel``; the study's own setting when left out.
            device: Where it goes; as in the study when left out.

        Returns:
            The model, with its language head where it has one.

        Raises:
            ModelError: When it cannot be loaded.
        """
        if isinstance(model, LoadedModel):
            return model
        config = self.config
        source, name = find_model(config.model) if model is None else (model, None)
        if isinstance(model, str):
            source, name = find_model(model)
        return load_with_head(
            source,
            name=name,
            revision=config.revision if model is None else None,
            dtype=config.dtype,
            device=config.device if device is None else device,
            device_map=config.device_map,
            quantization=config.quantization,
            offload_folder=config.offload_folder,
            trust_remote_code=config.trust_remote_code,
        )

    def check_model(self, loaded: LoadedModel, fingerprint: str) -> None:
        """Refuse a model whose weights are not those of the study.

        Args:
            loaded: The model.
            fingerprint: Hash of the stack that is read.

        Raises:
            OriginError: When they differ.
        """
        mine = self.states.origin.fingerprint
        if mine and mine != fingerprint:
            raise OriginError(
                f"'{loaded.name}' came for a study of '{self.states.origin.model}', whose weights differ; give the "
                "model the study was made with (--model)"
            )
