"""Fine-tune a language model at three scales, with the alignment terms that an arm keeps."""

import copy
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from msma._types import SCALES, Scale
from msma._version import __version__
from msma.errors import ConfigError, CorpusError
from msma.locking import folder_lock
from msma.maps.checkpoints import Checkpoint
from msma.models import LoadedModel, Stack, load_model
from msma.models.accelerating import Processes, find_processes
from msma.replication.accuracy import label_accuracies
from msma.replication.arms import find_arm
from msma.replication.board import Board
from msma.replication.config import JointTrainingConfig
from msma.replication.model import JointModel
from msma.replication.objective import JointObjective
from msma.replication.reading import probe_stack
from msma.replication.samples import Samples, read_samples
from msma.replication.trained import TrainedArm, is_trained_arm
from msma.replication.training import Evaluate, JointTrainer
from msma.resuming import check_settings
from msma.scales import ScalePartition
from msma.storage import remove_file

__all__ = ["choose_partition", "train_jointly"]

_CHECKPOINT = "checkpoint"

_Say = Callable[[str], None]


def train_jointly(
    model: Any,
    documents: Iterable[Any],
    *,
    partition: ScalePartition | str = "thirds",
    labels: Mapping[Scale, str] | None = None,
    config: JointTrainingConfig | None = None,
    arm: str = "full",
    out: str | os.PathLike[str] | None = None,
    say: _Say | None = None,
    evaluate: Evaluate | None = None,
    evaluate_at: Collection[int] | None = None,
    tensorboard: bool | str | os.PathLike[str] = False,
    tokenizer: Any = None,
    device: str = "auto",
) -> TrainedArm:
    r"""Fine-tune a language model with a classification head for each scale and the alignment terms of one arm.

    .. math:: L = \sum_s CE_s + \lambda_{geo} L_{geo} + \lambda_{info} L_{info} + \lambda_{curv} L_{curv}

    This is the published protocol, computed as it is meant (:class:`Quirks` gives back what its code does
    otherwise): the state of a scale is the mean over its layers and over a text's own tokens, gradients flow
    through it into the language model, and the maps global -> intermediate -> local learn along. Launched by
    ``accelerate launch`` with several processes, each takes its share of every batch, and the result is that
    of one process but for rounding and dropout. An arm without an alignment term leaves its maps as they started;
    it is plain multi-task fine-tuning, bit for bit.

    Args:
        model: Name or folder, loaded anew; or a model in memory, of which a copy is trained: the one given stays
            as it is.
        documents: Documents with labels; walked through once.
        partition: Which layers belong to which scale: a partition, ranges such as "0-2|3-4|5-6", or "thirds".
        labels: Column of labels that each scale's head learns; a scale left out has no head. When left out,
            "tense", "mode" and "topic", those that the documents have.
        config: Settings; :class:`JointTrainingConfig` with its defaults when left out.
        arm: Which alignment terms stay; one of :data:`ARMS`.
        out: Folder of the checkpoints and of the trained arm; the same call goes on where it stopped, bit for
            bit on one CPU, and gives back what is done. In memory only when left out.
        say: Told in a few words what a reader should know.
        evaluate: Asked with the epoch, the model as it is (in evaluation mode) and its maps by pair of scales;
            must leave them as they are. What it returns, as JSON knows it, is kept.
        evaluate_at: Epochs it is asked at, 0 being before training; 0 and the last when left out. A run that
            goes on asks again for epochs after its last checkpoint.
        tensorboard: Folder to log every term of every step to; ``True`` for ``out/tensorboard``.
        tokenizer: The model's own when left out.
        device: "auto" takes CUDA where there is some; for a model that is loaded here.

    Returns:
        The tuned model, maps, heads, history and accuracies.

    Raises:
        ConfigError: When a setting, label or arm is impossible, or there is nothing to train on.
        CorpusError: When there are too few documents, or fewer than two to train on.
        MissingExtraError: When tensorboard is asked for, or several processes, without the package.
        ModelError: When the model cannot be loaded or read.
        ScaleError: When the partition does not fit the model.
        StorageError: When the folder is in use or holds a training with other settings.
        TrainingError: When the training diverges.
    """
    config = JointTrainingConfig() if config is None else config
    find_arm(arm)
    folder = None if out is None else Path(out)
    board = _board_folder(tensorboard, folder)
    processes = find_processes()
    tell: _Say = say if say is not None and processes.is_first else _say_nothing
    notes: list[str] = []

    def note(sentence: str) -> None:
        notes.append(sentence)
        tell(sentence)

    with folder_lock(folder, what="a joint training") if processes.is_first else nullcontext():
        loaded, stack = _load(model, config, processes, tokenizer=tokenizer, device=device)
        is_given = isinstance(model, LoadedModel | nn.Module)
        note("a copy of the model given is trained" if is_given else f"'{loaded.name}' is loaded and trained")
        scales = choose_partition(partition, stack)
        samples = read_samples(documents, loaded, stack, labels=labels, config=config, say=note)
        settings = _settings(loaded, samples, scales, config=config, arm=arm)
        if folder is not None and processes.is_first:
            check_settings(folder / "settings.json", settings, what="a joint training")
        processes.wait()
        if folder is not None and is_trained_arm(folder):
            tell("this arm is trained already")
            return TrainedArm.load(folder, device=str(loaded.device))
        trainer = _prepare(loaded, stack, samples, scales, config=config, arm=arm, processes=processes)
        trainer.evaluate = evaluate
        trainer.evaluate_at = frozenset((0, config.epochs) if evaluate_at is None else evaluate_at)
        if folder is not None:
            trainer.checkpoint = Checkpoint(folder / _CHECKPOINT, settings=settings)
        where = board if processes.is_first else None
        trainer.run(board=lambda first: Board(where, first_step=first))
        provenance = {**settings, "notes": notes, "version": __version__, "n_processes": processes.n}
        trained = _describe(trainer, scales, arm=arm, provenance=provenance)
        if folder is not None and processes.is_first:
            trained.save(folder)
            if trainer.checkpoint is not None:
                remove_file(trainer.checkpoint.path)
        processes.wait()
    return trained


def _say_nothing(_: str) -> None: ...


def _board_folder(asked: bool | str | os.PathLike[str], out: Path | None) -> Path | None:
    if asked is True and out is None:
        raise ConfigError("tensorboard=True came without a folder; give out=..., or the folder to log to")
    if isinstance(asked, bool):
        return out / "tensorboard" if asked and out is not None else None
    return Path(asked)


def _load(
    model: Any, config: JointTrainingConfig, processes: Processes, *, tokenizer: Any, device: str
) -> tuple[LoadedModel, Stack]:
    """Load a model by name, or copy the one given; and find out how it is read."""
    if isinstance(model, LoadedModel):
        loaded = replace(model, network=copy.deepcopy(model.network))
    elif isinstance(model, nn.Module):
        loaded = load_model(copy.deepcopy(model), tokenizer=tokenizer)
    else:
        own = processes.device
        loaded = load_model(model, tokenizer=tokenizer, device=device if own is None else str(own))
    if processes.device is not None:
        loaded.network.to(processes.device)
    loaded.network.eval()
    return loaded, probe_stack(loaded, config)


def choose_partition(asked: ScalePartition | str, stack: Stack) -> ScalePartition:
    """Take a partition as it was asked for.

    Args:
        asked: A partition, ranges such as "0-2|3-4|5-6", or "thirds".
        stack: How the model is read.

    Returns:
        The partition.

    Raises:
        ScaleError: When the ranges do not fit the model.
    """
    if isinstance(asked, ScalePartition):
        return asked
    if asked == "thirds":
        return ScalePartition.thirds(stack.n_layers)
    return ScalePartition.parse(asked, n_layers=stack.n_layers)


def _settings(
    loaded: LoadedModel,
    samples: Samples,
    partition: ScalePartition,
    *,
    config: JointTrainingConfig,
    arm: str,
) -> dict[str, Any]:
    return {
        "model": loaded.name,
        "revision": loaded.revision,
        "weights": loaded.fingerprint(),
        "arm": arm,
        "scales": partition.written,
        "labels": {scale: labels.column for scale, labels in samples.labels.items()},
        "data": samples.fingerprint,
        "texts": {name: len(positions) for name, positions in samples.splits.items()},
        "config": config.to_dict(),
    }


def _prepare(
    loaded: LoadedModel,
    stack: Stack,
    samples: Samples,
    partition: ScalePartition,
    *,
    config: JointTrainingConfig,
    arm: str,
    processes: Processes,
) -> JointTrainer:
    weights = config.weights(arm)
    if not samples.labels and not any((weights.geo, weights.info, weights.curv)):
        raise ConfigError(
            f"arm '{arm}' came without labels and without an alignment term, so that there is nothing to train "
            "on; give labels={'global': 'column'}, or another arm"
        )
    if len(samples.splits["train"]) < 2:
        raise CorpusError(
            "1 text to train on came; give more documents, so that at least 2 are left to train on"
        )
    joint = JointModel(
        loaded,
        stack,
        partition,
        n_classes={scale: len(labels.classes) for scale, labels in samples.labels.items()},
        config=config,
        has_critics=weights.info > 0,
        longest=samples.longest,
    ).eval()
    objective = JointObjective(weights, estimator=config.estimator, quirks=config.quirks, model=joint)
    return JointTrainer(joint, objective, samples, config=config, processes=processes)


def _describe(
    trainer: JointTrainer, partition: ScalePartition, *, arm: str, provenance: Mapping[str, Any]
) -> TrainedArm:
    joint, labels = trainer.model, trainer.samples.labels
    heads = {scale: joint.heads[scale] for scale in SCALES if scale in labels}
    return TrainedArm(
        arm=arm,
        config=trainer.config,
        partition=partition,
        labels={scale: column.column for scale, column in labels.items()},
        classes={scale: column.classes for scale, column in labels.items()},
        history=trainer.history,
        evaluations=trainer.evaluations,
        model=joint.loaded,
        maps=joint.scale_maps,
        heads={scale: head for scale, head in heads.items() if isinstance(head, nn.Linear)},
        accuracies=replace(label_accuracies(joint, trainer.samples), provenance=dict(provenance)),
        provenance=provenance,
    )
