"""One training of a learned map: samples into standard coordinates, weights back into those of the states."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from msma.errors import ConfigError
from msma.maps.checkpoints import Checkpoint
from msma.maps.frames import Frame
from msma.maps.linear import LinearMap
from msma.maps.network import ResidualNetwork, seeded
from msma.maps.objective import Terms, Weights
from msma.maps.schedule import Pairs, Schedule, Trained
from msma.maps.training import Report, Trainer
from msma.measures.critics import SeparableCritic

__all__ = ["Learned", "Session"]

#: Small samples are cut into this many batches an epoch, of this many pairs at least.
_STEPS, _FEWEST = 64, 32

_Matrix = Float[np.ndarray, "d_in d_out"]
_Pair = tuple[Float[np.ndarray, "samples d_source"], Float[np.ndarray, "samples d_target"]]


@dataclass(frozen=True, eq=False)
class Learned:
    """What was learned; the target in the units of the states, the source in standard coordinates.

    Args:
        straight: What is added to the base's coefficients.
        layers: Weights and biases of the perceptron.
        noise: Weights and biases of the head for log-variances, ``None`` for a deterministic map.
        history: One line an epoch.
        n_epochs: Epochs gone through.
        best_epoch: The one kept; 0 for the base.
        r2_gain: R2 over the base's on the held-out rows.
    """

    straight: _Matrix
    layers: list[tuple[_Matrix, Float[np.ndarray, " d_out"]]]
    noise: tuple[_Matrix, Float[np.ndarray, " d_out"]] | None
    history: list[dict[str, Any]]
    n_epochs: int
    best_epoch: int
    r2_gain: float


class Session:
    """Prepare a training and run it.

    Args:
        map_: The learned map, for its settings.
        frame: Standard coordinates.
        base: Fitted on the training pairs.
        train: Pairs to learn from.
        held_out: Pairs to stop by.
    """

    def __init__(self, map_: Any, *, frame: Frame, base: LinearMap, train: _Pair, held_out: _Pair) -> None:
        self.map, self.frame, self.base, self.train, self.held_out = map_, frame, base, train, held_out
        self.device = _find_device(str(map_.device))
        self.pairs = self._standardise(train)
        missed = self.pairs.target - self.pairs.base
        #: Root mean square of what the base leaves, in units of the target's spread.
        self.spread = float(missed.double().square().mean().sqrt())

    def _standardise(self, pair: _Pair) -> Pairs:
        source, target = pair
        arrays = (
            self.frame.standardise_source(source),
            self.frame.standardise_target(self.base.transform(source)),
            self.frame.standardise_target(target),
        )
        rows, base, found = (torch.from_numpy(array).to(self.device) for array in arrays)
        return Pairs(rows, base, found)

    def run(self, *, report: Report | None = None) -> Learned:
        """Train.

        Args:
            report: Told every epoch.

        Returns:
            What was learned.
        """
        settings = self.map
        network, critics = self._build()
        weights = Weights(
            geo=settings.lambda_geo,
            info=settings.lambda_info,
            curv=settings.lambda_curv,
            isometry=settings.isometry,
            rate_weight=settings.beta,
        )
        trainer = Trainer(
            network,
            *(Terms(weights, estimator=settings.estimator, critic=critic) for critic in critics),
            spread=self.spread,
            schedule=Schedule(
                learning_rate=float(settings.learning_rate),
                weight_decay=float(settings.weight_decay),
                batch_size=min(int(settings.batch_size), max(_FEWEST, len(self.pairs) // _STEPS)),
                max_epochs=int(settings.max_epochs),
                patience=int(settings.patience),
                seed=int(settings.seed),
            ),
            checkpoint=self._checkpoint(),
            report=report,
        )
        # Neighbours in a corpus are alike; shuffled, a batch of held-out rows is like one of training rows.
        order = torch.from_numpy(np.random.default_rng(settings.seed).permutation(len(self.held_out[0])))
        return self._describe(trainer.run(self.pairs, self._standardise(self.held_out).take(order)))

    def _build(self) -> tuple[ResidualNetwork, list[SeparableCritic | None]]:
        d_target = len(self.frame.mean_target)
        with seeded(int(self.map.seed)):
            network = ResidualNetwork(
                self.frame.inward.shape[1],
                d_target,
                width=int(self.map.width),
                depth=int(self.map.depth),
                is_stochastic=bool(self.map.is_stochastic),
            ).to(self.device)
            critic = SeparableCritic(d_target, d_target).to(self.device) if self.map.lambda_info else None
        return network, [critic, copy.deepcopy(critic)]

    def _checkpoint(self) -> Checkpoint | None:
        if self.map.checkpoint is None:
            return None
        settings = {key: _plain(value) for key, value in self.map.get_params(deep=False).items()}
        del settings["checkpoint"]
        settings |= {"device": self.device.type, "base": repr(self.base), "data": self._fingerprint()}
        return Checkpoint(self.map.checkpoint, settings=settings)

    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for array in (*self.train, *self.held_out):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def _describe(self, trained: Trained) -> Learned:
        out = self.spread * self.frame.scale
        weights = {name: tensor.cpu().double().numpy() for name, tensor in trained.weights.items()}
        depth = int(self.map.depth)
        layers = [_layer(weights, f"layers.{i}", 1.0 if i < depth else out) for i in range(depth + 1)]
        first, best = trained.history[0], trained.history[trained.best_epoch]
        return Learned(
            straight=np.ascontiguousarray(out * weights["straight.weight"].T),
            layers=layers,
            noise=_layer(weights, "noise", 1.0) if self.map.is_stochastic else None,
            history=trained.history,
            n_epochs=trained.n_epochs,
            best_epoch=trained.best_epoch,
            r2_gain=float(first["paired"] - best["paired"]),
        )


def _layer(
    weights: Mapping[str, np.ndarray], name: str, scale: float
) -> tuple[_Matrix, Float[np.ndarray, " d_out"]]:
    return np.ascontiguousarray(scale * weights[f"{name}.weight"].T), scale * weights[f"{name}.bias"]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _find_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.split(":")[0]
    is_there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not is_there[kind]:
        raise ConfigError(f"device='{name}' came, which this machine does not have; use device='auto'")
    return torch.device(name)
