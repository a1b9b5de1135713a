"""How a learned map is trained: AdamW on a cosine schedule, stopped by the gain over the base on held-out rows."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from msma.errors import TrainingError
from msma.maps.checkpoints import Checkpoint, optimizer_arrays, restore_optimizer
from msma.maps.network import START_LOG_VARIANCE, ResidualNetwork
from msma.maps.objective import CURVATURE_SHARE, Prediction, Terms, map_bending
from msma.maps.schedule import Pairs, Schedule, Trained
from msma.progress import progress

__all__ = ["Report", "Trainer"]

#: Called after every epoch with its line of the history; what it raises ends the training.
Report: TypeAlias = Callable[[dict[str, Any]], None]

#: Longest gradient of the map, and of the critic.
_CLIP = 1.0
#: A held-out squared error of this many variances of the target is no longer training.
_EXPLODED = 10.0


class Trainer:
    """Train a residual network on top of a base map.

    The map at an epoch is judged by its gain: the base's objective minus its own on the held-out rows. The base
    has a critic of its own, trained as long, so that a critic that learned something is not taken for a better
    map.

    Args:
        network: The residual; zero at the start.
        terms: The objective, with its critic where information weighs something.
        base_terms: The same for the base, with a critic that starts alike.
        spread: Factor from the network's output to standardised target units.
        schedule: How long and how fast.
        checkpoint: Where to go on from; ``None`` for nowhere.
        report: Told every epoch.
    """

    def __init__(
        self,
        network: ResidualNetwork,
        terms: Terms,
        base_terms: Terms,
        *,
        spread: float,
        schedule: Schedule,
        checkpoint: Checkpoint | None = None,
        report: Report | None = None,
    ) -> None:
        self.network, self.terms, self.base_terms, self.spread = network, terms, base_terms, spread
        self.schedule, self.checkpoint, self.report = schedule, checkpoint, report
        groups = [{"params": list(part.parameters())} for part in self._modules.values()]
        self.optimizer = torch.optim.AdamW(
            groups, lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self.generator = torch.Generator().manual_seed(schedule.seed)
        self.history: list[dict[str, Any]] = []
        self.best = self._copy_weights()

    @property
    def _modules(self) -> dict[str, nn.Module]:
        critics = {"critic": self.terms.critic, "base_critic": self.base_terms.critic}
        return {"network": self.network} | {
            name: critic for name, critic in critics.items() if critic is not None
        }

    def _copy_weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}

    def run(self, train: Pairs, validation: Pairs) -> Trained:
        """Train until the last epoch or until patience runs out.

        Args:
            train: Pairs to learn from.
            validation: Pairs to stop by, in random order.

        Returns:
            The best epoch, which may be the base itself.

        Raises:
            TrainingError: When loss, gradient or held-out error leave what is finite and sensible.
        """
        self._resume()
        if not self.history:
            self.history = [{"epoch": 0, **self._judge(validation), "gain": 0.0}]
        for epoch in progress(
            range(len(self.history), self.schedule.max_epochs + 1), label="joint map", unit="epoch"
        ):
            if self._is_patience_over():
                break
            learned = self._epoch(train, epoch)
            line = {"epoch": epoch, **learned, **self._judge(validation)}
            self._check_line(line)
            self.history.append(line)
            if self._best_epoch() == epoch:
                self.best = self._copy_weights()
            self._save()
            if self.report is not None:
                self.report(dict(line))
        return Trained(self.best, self._best_epoch(), len(self.history) - 1, self.history)

    def _best_epoch(self) -> int:
        return max(range(len(self.history)), key=lambda epoch: (self.history[epoch]["gain"], -epoch))

    def _is_patience_over(self) -> bool:
        return len(self.history) - 1 - self._best_epoch() >= self.schedule.patience

    def _epoch(self, train: Pairs, epoch: int) -> dict[str, float]:
        size = min(self.schedule.batch_size, len(train))
        per_epoch = len(train) // size
        order = torch.randperm(len(train), generator=self.generator)
        totals: dict[str, float] = {}
        for i in range(per_epoch):
            step = (epoch - 1) * per_epoch + i
            rate = self.schedule.rate(step, per_epoch * self.schedule.max_epochs)
            index = order[i * size : (i + 1) * size].to(train.rows.device)
            parts = self._step(train.take(index), rate=rate, step=step, epoch=epoch)
            for name, value in parts.items():
                totals[f"train_{name}"] = totals.get(f"train_{name}", 0.0) + value / per_epoch
        return totals

    def _step(self, batch: Pairs, *, rate: float, step: int, epoch: int) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        parts = self._terms(batch, generator=self.generator, is_training=True)
        loss = parts["objective"]
        if self.base_terms.critic is not None:  # trains the base's critic only: nothing else is in its graph
            base = self._terms(batch, generator=self.generator, is_training=True, is_base=True)
            loss = loss + self.terms.weights.info * base["info"]
        loss.backward()  # type: ignore[no-untyped-call]
        norms = [nn.utils.clip_grad_norm_(module.parameters(), _CLIP) for module in self._modules.values()]
        for what, value in (("loss", loss), *(("gradient", norm) for norm in norms)):
            number = float(value.detach())
            if not math.isfinite(number):
                raise TrainingError(
                    f"training diverged at step {step + 1} (epoch {epoch}): the {what} became {number} at "
                    f"learning rate {rate:.3g}; give a smaller learning_rate, such as {rate / 10:.1g}"
                )
        self.optimizer.step()
        return {name: float(value.detach()) for name, value in parts.items()}

    def _check_line(self, line: Mapping[str, float]) -> None:
        limit = _EXPLODED * max(1.0, float(self.history[0]["paired"]))
        wrong = [name for name, value in line.items() if not math.isfinite(value)]
        if wrong or line["paired"] > limit:
            name = wrong[0] if wrong else "paired"
            raise TrainingError(
                f"training diverged in epoch {line['epoch']}: on the validation rows '{name}' became "
                f"{line[name]:.3g} (the base map has {self.history[0].get(name, 0.0):.3g}) at learning rate "
                f"{self.schedule.learning_rate:.3g}; give a smaller learning_rate, such as "
                f"{self.schedule.learning_rate / 10:.1g}"
            )

    def _autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        return torch.autocast("cuda", dtype=torch.bfloat16, enabled=device.type == "cuda")

    def _predict(self, batch: Pairs, *, generator: torch.Generator, is_base: bool = False) -> Prediction:
        """Map a batch; ``is_base`` leaves the network out but for the noise a stochastic map starts with."""
        if is_base:
            mean, log_variance = batch.base, torch.full_like(batch.base, START_LOG_VARIANCE)
        else:
            residual, log_variance = self.network.forward_with_noise(batch.rows)
            mean = batch.base + self.spread * residual.float()
        if self.network.noise is None:
            return Prediction(mapped=mean, mean=mean, target=batch.target)
        log_variance = log_variance.float()
        drawn = torch.randn(mean.shape, generator=generator).to(mean.device)
        mapped = mean + (0.5 * log_variance).exp() * drawn
        return Prediction(mapped=mapped, mean=mean, target=batch.target, log_variance=log_variance)

    def _terms(
        self, batch: Pairs, *, generator: torch.Generator, is_training: bool = False, is_base: bool = False
    ) -> dict[str, Tensor]:
        with self._autocast(batch.rows.device):
            predicted = self._predict(batch, generator=generator, is_base=is_base)
            terms = self.base_terms if is_base else self.terms
            parts = terms.geometry(predicted)
            parts |= terms.information(predicted, is_training=is_training)
        if self.terms.weights.curv and not is_base:  # in full precision: second derivatives are small numbers
            rows = batch.rows[::CURVATURE_SHARE] if len(batch) > CURVATURE_SHARE else batch.rows
            parts["curv"] = map_bending(lambda z: self.spread * self.network(z), rows, generator=generator)
        parts["objective"] = self.terms.total(parts)
        return parts

    @torch.no_grad()
    def _judge(self, validation: Pairs) -> dict[str, float]:
        """Average the terms over the held-out rows, and their gain over the base."""
        ours = self._average(validation, is_base=False)
        base = self._average(validation, is_base=True)
        return {**ours, "base_objective": base["objective"], "gain": base["objective"] - ours["objective"]}

    def _average(self, pairs: Pairs, *, is_base: bool) -> dict[str, float]:
        # The same probes and noise at every epoch, so that epochs differ by their maps only.
        generator = torch.Generator().manual_seed(self.schedule.seed + 1)
        totals: dict[str, float] = {}
        for index in torch.arange(len(pairs)).tensor_split(max(1, len(pairs) // self.schedule.batch_size)):
            batch = pairs.take(index.to(pairs.rows.device))
            for name, value in self._terms(batch, generator=generator, is_base=is_base).items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(index) / len(pairs)
        return totals

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        tensors = {"generator": self.generator.get_state(), **optimizer_arrays(self.optimizer)}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for part, module in self._modules.items():
            tensors |= {f"{part}.{name}": tensor for name, tensor in module.state_dict().items()}
        self.checkpoint.save(
            tensors, {"history": self.history, "averages": [self.terms.average, self.base_terms.average]}
        )

    def _resume(self) -> None:
        found = None if self.checkpoint is None else self.checkpoint.load()
        if found is None:
            return
        tensors, values = found

        def part(name: str) -> dict[str, Tensor]:
            start = f"{name}."
            return {key.removeprefix(start): t for key, t in tensors.items() if key.startswith(start)}

        for name, module in self._modules.items():
            module.load_state_dict(part(name))
        restore_optimizer(self.optimizer, tensors)
        device = self.best["straight.weight"].device
        self.best = {name: tensor.to(device) for name, tensor in part("best").items()}
        self.generator.set_state(tensors["generator"])
        self.history = values["history"]
        self.terms.average, self.base_terms.average = values["averages"]
