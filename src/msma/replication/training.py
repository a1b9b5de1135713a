"""The course of a joint training: epochs and steps, its history, its checkpoints, and when it has diverged."""

import math
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from msma._types import Pair
from msma.errors import TrainingError
from msma.maps.checkpoints import Checkpoint, optimizer_arrays, restore_optimizer
from msma.models import LoadedModel
from msma.models.accelerating import Processes
from msma.progress import progress
from msma.replication.board import Board
from msma.replication.config import RANDOM_START, JointTrainingConfig
from msma.replication.drawing import epoch_batches, learning_rate
from msma.replication.model import JointModel
from msma.replication.objective import JointObjective
from msma.replication.samples import Samples
from msma.replication.scale_map import ScaleMap
from msma.replication.steps import BatchStep

__all__ = ["Evaluate", "JointTrainer"]

#: Called with the epoch, the model as it is and its maps; what it returns, as JSON knows it, is kept.
Evaluate: TypeAlias = Callable[[int, LoadedModel, dict[Pair, ScaleMap]], Any]

#: A loss of so many times the first one is no longer training.
_EXPLODED = 100.0


class JointTrainer:
    """Train a joint model.

    Args:
        model: What is trained, in place.
        objective: Its terms.
        samples: The texts.
        config: Settings.
        processes: Who else computes.
        checkpoint: Where to go on from; ``None`` for nowhere.
        evaluate: Asked at some epochs.
        evaluate_at: Which; 0 is before the first step.
    """

    def __init__(
        self,
        model: JointModel,
        objective: JointObjective,
        samples: Samples,
        *,
        config: JointTrainingConfig,
        processes: Processes,
        checkpoint: Checkpoint | None = None,
        evaluate: Evaluate | None = None,
        evaluate_at: Collection[int] = (),
    ) -> None:
        self.model, self.objective, self.samples, self.config = model, objective, samples, config
        self.processes, self.checkpoint = processes, checkpoint
        self.evaluate, self.evaluate_at = evaluate, frozenset(evaluate_at)
        self.step = BatchStep(model, objective, samples, config=config, processes=processes)
        groups = [
            {
                "params": [p for p in model.backbone.parameters() if p.requires_grad],
                "lr": config.learning_rate,
            },
            {"params": [p for _, p in model.named_additions()], "lr": config.head_lr},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        self.history: list[dict[str, Any]] = []
        #: What was found at each epoch that was asked about.
        self.evaluations: dict[int, Any] = {}
        self.epoch = 0

    @property
    def n_steps(self) -> int:
        """Steps of the whole training."""
        return self.config.epochs * len(self._batches(1))

    def _batches(self, epoch: int) -> list[Tensor]:
        train = self.samples.splits["train"]
        batches = epoch_batches(
            len(train), batch_size=self.config.batch_size, seed=self.config.seed, epoch=epoch
        )
        return [torch.from_numpy(train)[batch] for batch in batches]

    def run(self, *, board: Callable[[int], Board]) -> None:
        """Train from the start, or from the checkpoint, to the last epoch.

        Args:
            board: Given the first step, opens what is logged to.

        Raises:
            TrainingError: When a term or a gradient is no longer finite, or the loss explodes.
        """
        if not self._resume():
            self._start_maps()
            self._ask(0)
        first = len(self.history)
        with board(first) as log:
            for epoch in progress(
                range(self.epoch + 1, self.config.epochs + 1), label="joint training", unit="epoch"
            ):
                for batch in self._batches(epoch):
                    line = self._step(batch, epoch=epoch)
                    self.history.append(line)
                    log.write(
                        {k: v for k, v in line.items() if k not in ("step", "epoch")}, step=line["step"]
                    )
                self.epoch = epoch
                self._ask(epoch)
                is_last = epoch == self.config.epochs
                if epoch % self.config.checkpoint_every == 0 or is_last:
                    self._save()

    def _start_maps(self) -> None:
        """Fit the maps' linear parts to the model as it came, and let all processes begin alike."""
        positions = self.samples.splits["train"]
        states = self.model.read([self.samples.rows[i] for i in positions])
        documents = np.asarray([self.samples.documents[i] for i in positions])
        kind = None if self.config.start == RANDOM_START else self.config.start
        for (source, target), map_ in self.model.scale_maps.items():
            before, after = (states[scale].cpu().double().numpy() for scale in (source, target))
            map_.start_at(kind, before, after, documents)
        if self.processes.n > 1:
            tensors = self.model.state_dict().values()
            for tensor in (tensor for tensor in tensors if tensor.is_floating_point()):
                own = tensor if self.processes.is_first else torch.zeros_like(tensor)
                tensor.copy_(self.processes.sum(own))

    def _step(self, batch: Tensor, *, epoch: int) -> dict[str, Any]:
        number = len(self.history)
        share = learning_rate(number, self.n_steps, warmup=self.config.warmup)
        heights = (self.config.learning_rate, self.config.head_lr)
        for group, height in zip(self.optimizer.param_groups, heights, strict=True):
            group["lr"] = height * share
        self.optimizer.zero_grad(set_to_none=True)
        self.model.train()
        try:
            parts = self.step.run(batch, step=number)
        finally:
            self.model.eval()
        values = {name: float(value) for name, value in parts.items()}
        limit = math.inf if self.config.grad_clip is None else self.config.grad_clip
        values["gradient"] = float(nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        self._check(values, epoch=epoch, step=number)
        self.optimizer.step()
        rate = self.config.learning_rate * share
        return {"step": number, "epoch": epoch, "learning_rate": rate, **values}

    def _check(self, values: dict[str, float], *, epoch: int, step: int) -> None:
        wrong = next((name for name, value in values.items() if not math.isfinite(value)), None)
        first = max(1.0, abs(self.history[0]["loss"])) if self.history else math.inf
        if wrong is None and values["loss"] <= _EXPLODED * first:
            return
        name = wrong or "loss"
        rates = f"learning_rate={self.config.learning_rate:g}, head_lr={self.config.head_lr:g}"
        raise TrainingError(
            f"training diverged at step {step + 1} (epoch {epoch}): '{name}' became {values[name]:.3g} with "
            f"{rates}; give smaller ones, or a smaller weight to that term"
        )

    def _ask(self, epoch: int) -> None:
        if self.evaluate is None or epoch not in self.evaluate_at:
            return
        if self.processes.is_first:
            found = self.evaluate(epoch, self.model.loaded, self.model.scale_maps)
            if found is not None:
                self.evaluations[epoch] = found
        self.processes.wait()

    def _save(self) -> None:
        if self.checkpoint is None or not self.processes.is_first:
            return
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        values = {
            "epoch": self.epoch,
            "history": self.history,
            "evaluations": self.evaluations,
            "averages": self.objective.averages,
        }
        self.checkpoint.save({**tensors, **optimizer_arrays(self.optimizer)}, values)

    def _resume(self) -> bool:
        found = None if self.checkpoint is None else self.checkpoint.load()
        self.processes.wait()  # nobody writes the next one before all have read this one
        if found is None:
            return False
        tensors, values = found
        own = {key: t for key, t in tensors.items() if key.startswith("model.")}
        self.model.load_state_dict({key.removeprefix("model."): tensor for key, tensor in own.items()})
        restore_optimizer(self.optimizer, tensors)
        self.epoch, self.history = values["epoch"], values["history"]
        self.evaluations = {int(epoch): value for epoch, value in values["evaluations"].items()}
        self.objective.averages = values["averages"]
        return True
