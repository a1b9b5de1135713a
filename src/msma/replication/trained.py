"""What a joint training ends with, in memory and in a folder."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from msma._types import Pair, Scale
from msma.errors import StorageError
from msma.models import LoadedModel, load_model, quiet
from msma.replication.config import JointTrainingConfig
from msma.replication.model import pair_key
from msma.replication.scale_map import ScaleMap
from msma.results import Result
from msma.scales import ScalePartition
from msma.storage import open_tensors, read_json, verify_tensors, write_json, write_tensors

__all__ = ["TrainedArm", "is_trained_arm"]

_SIGN, _WEIGHTS, _ACCURACIES, _PARTITION = (
    "arm.json",
    "maps-and-heads.safetensors",
    "accuracies.json",
    "scales.json",
)
_MODEL = "model"

Part = TypeVar("Part", bound=nn.Module)


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedArm:
    """One arm, trained.

    Args:
        arm: Its name.
        config: Settings.
        partition: Which layers belong to which scale.
        labels: The column that each head learned, by scale.
        classes: The values that each head tells apart, in the order of its outputs.
        history: One line a step: "step", "epoch", "learning_rate", every term by name, "loss", "gradient".
        evaluations: What was found at each epoch that was asked about.
        model: The tuned language model.
        maps: By pair of scales, source first.
        heads: By scale.
        accuracies: Rows "label_accuracy" by scale and split.
        provenance: Model, fingerprints, settings, version, notes.
    """

    arm: str
    config: JointTrainingConfig
    partition: ScalePartition
    labels: Mapping[Scale, str]
    classes: Mapping[Scale, tuple[str, ...]]
    history: list[dict[str, Any]]
    evaluations: Mapping[int, Any]
    model: LoadedModel
    maps: Mapping[Pair, ScaleMap]
    heads: Mapping[Scale, nn.Linear]
    accuracies: Result
    provenance: Mapping[str, Any]

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write everything to a folder; ``arm.json`` comes last, so that its presence says the folder is whole.

        Args:
            folder: Where to.

        Returns:
            The folder.

        Raises:
            StorageError: When it cannot be written.
        """
        place = Path(folder)
        try:
            with quiet():
                self.model.network.save_pretrained(place / _MODEL)
                self.model.tokenizer.save_pretrained(place / _MODEL)
        except OSError as error:
            raise StorageError(
                f"could not write '{place / _MODEL}' ({error}); choose another folder"
            ) from error
        parts: dict[str, nn.Module] = {f"maps.{pair_key(pair)}": map_ for pair, map_ in self.maps.items()}
        parts |= {f"heads.{scale}": head for scale, head in self.heads.items()}
        arrays = {
            f"{name}.{key}": tensor.detach().cpu().numpy()
            for name, part in parts.items()
            for key, tensor in part.state_dict().items()
        }
        write_tensors(place / _WEIGHTS, arrays)
        self.accuracies.save(place / _ACCURACIES)
        self.partition.save(place / _PARTITION)
        write_json(
            place / _SIGN,
            {
                "arm": self.arm,
                "config": self.config.to_dict(),
                "labels": dict(self.labels),
                "classes": {scale: list(names) for scale, names in self.classes.items()},
                "history": self.history,
                "evaluations": {str(epoch): value for epoch, value in self.evaluations.items()},
                "model": {
                    "name": self.model.name,
                    "revision": self.model.revision,
                    "has_head": self.model.head != "none",
                },
                "pairs": [list(pair) for pair in self.maps],
                "provenance": dict(self.provenance),
            },
        )
        return place

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, device: str = "auto") -> "TrainedArm":
        """Read what :meth:`save` wrote.

        Args:
            folder: Where it is.
            device: Where the model goes.

        Returns:
            An equal arm.

        Raises:
            StorageError: When the folder holds no whole arm.
        """
        place = Path(folder)
        if not is_trained_arm(place):
            raise StorageError(
                f"'{place}' holds no {_SIGN}, so no trained arm, or one not yet done; train it with out='{place}'"
            )
        content = read_json(place / _SIGN)
        try:
            config = JointTrainingConfig.from_dict(content["config"])
            named = content["model"]
            found = load_model(
                place / _MODEL, name=named["name"], dtype="auto", device=device, has_head=named["has_head"]
            )
            model = replace(found, revision=named["revision"])
            verify_tensors(place / _WEIGHTS)
            arrays = open_tensors(place / _WEIGHTS)[0]
            tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
            like = next(model.network.parameters())
            maps = {
                _pair(pair): _load_part(
                    _empty_map(tensors, config, pair), tensors, f"maps.{'-'.join(pair)}", like
                )
                for pair in content["pairs"]
            }
            heads = {
                scale: _load_part(_empty_head(tensors, scale), tensors, f"heads.{scale}", like)
                for scale in content["labels"]
            }
            return cls(
                arm=content["arm"],
                config=config,
                partition=ScalePartition.load(place / _PARTITION),
                labels=content["labels"],
                classes={scale: tuple(names) for scale, names in content["classes"].items()},
                history=content["history"],
                evaluations={int(epoch): value for epoch, value in content["evaluations"].items()},
                model=model,
                maps=maps,
                heads=heads,
                accuracies=Result.load(place / _ACCURACIES),
                provenance=content["provenance"],
            )
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise StorageError(
                f"'{place}' does not hold a whole trained arm ({error}); delete it and train it again"
            ) from error


def is_trained_arm(folder: Path) -> bool:
    """Tell whether a folder holds a whole trained arm.

    Args:
        folder: The folder.

    Returns:
        Whether the file written last is there.
    """
    return (folder / _SIGN).is_file()


def _pair(names: list[Any]) -> Pair:
    source, target = names
    return source, target


def _empty_map(tensors: Mapping[str, torch.Tensor], config: JointTrainingConfig, pair: list[str]) -> ScaleMap:
    d_model = len(tensors[f"maps.{'-'.join(pair)}.mean_source"])
    return ScaleMap(d_model, width=config.width, depth=config.depth)


def _empty_head(tensors: Mapping[str, torch.Tensor], scale: str) -> nn.Linear:
    n_classes, d_model = tensors[f"heads.{scale}.weight"].shape
    return nn.Linear(d_model, n_classes)


def _load_part(part: Part, tensors: Mapping[str, torch.Tensor], name: str, like: torch.Tensor) -> Part:
    start = f"{name}."
    part.to(like)
    part.load_state_dict({key.removeprefix(start): t for key, t in tensors.items() if key.startswith(start)})
    return part.eval()
