"""Settings of a joint training, each checked."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from msma._types import Stack
from msma.errors import ConfigError
from msma.maps import MAPS
from msma.maps.objective import Weights
from msma.measures.bounds import BOUNDS
from msma.replication.arms import find_arm
from msma.replication.quirks import Quirks

__all__ = ["RANDOM_START", "JointTrainingConfig"]

#: Maps that start as any network does, drawn at random.
RANDOM_START = "random"

#: Numbers by name: lowest value, whether that itself is allowed, whether whole, whether None is allowed.
_NUMBERS: dict[str, tuple[float, bool, bool, bool]] = {
    "lambda_geo": (0, True, False, False),
    "lambda_info": (0, True, False, False),
    "lambda_curv": (0, True, False, False),
    "isometry": (0, True, False, False),
    "learning_rate": (0, False, False, False),
    "head_lr": (0, False, False, False),
    "weight_decay": (0, True, False, False),
    "warmup": (0, True, False, False),
    "grad_clip": (0, False, False, True),
    "batch_size": (2, True, True, False),
    "micro_batch": (1, True, True, True),
    "epochs": (1, True, True, False),
    "max_tokens": (1, True, True, True),
    "width": (1, True, True, False),
    "depth": (1, True, True, False),
    "seed": (0, True, True, False),
    "split_seed": (0, True, True, False),
    "checkpoint_every": (1, True, True, False),
}


@dataclass(frozen=True, kw_only=True)
class JointTrainingConfig:
    """Settings of a joint training; weights, learning rate, batch and epochs as published.

    Args:
        lambda_geo: Weight of geometry.
        lambda_info: Weight of information.
        lambda_curv: Weight of curvature.
        isometry: Weight of the distances' stress within geometry.
        estimator: Lower bound on information: "infonce", "nwj", "smile" or "mine".
        learning_rate: Of the language model, at its height.
        head_lr: Of classification heads, maps and critics, which start from nothing or nearly so.
        weight_decay: Decoupled (AdamW), of everything that is trained.
        warmup: Share of the steps in which the learning rate rises; it then falls linearly to 0.
        grad_clip: Longest gradient over all parameters together; ``None`` for no limit.
        batch_size: Texts a step. All terms are computed on the whole batch, whatever ``micro_batch`` is.
        micro_batch: Texts that go through the model together, of about one length; ``None`` for the whole batch.
        recompute: Run each micro-batch a second time for its gradient instead of keeping what the first run
            leaves behind (Gao et al. 2021): a third more time, the memory of one micro-batch, the same result.
        epochs: Passes over the training texts.
        max_tokens: Tokens a text may have, where the model has as many positions; ``None`` for all its
            positions, at most 512.
        width: Width of the maps' hidden layers.
        depth: Number of the maps' hidden layers.
        start: Closed-form map that the maps start at, by name, fitted on the model as it came; or "random".
        stack: Which stack of an encoder-decoder is read.
        seed: Fixes order, first weights, dropout and probes.
        split_seed: Fixes the division into train, validation and test.
        fractions: Share of the documents in each part.
        quirks: Published departures to keep; none by default.
        checkpoint_every: Epochs between two checkpoints.

    Raises:
        ConfigError: When a setting is of the wrong kind or out of range.

    Examples:
        >>> JointTrainingConfig().weights("no_geo").geo, JointTrainingConfig().weights("full").geo
        (0.0, 0.1)
    """

    lambda_geo: float = 0.1
    lambda_info: float = 0.1
    lambda_curv: float = 0.01
    isometry: float = 0.1
    estimator: str = "infonce"
    learning_rate: float = 1e-5
    head_lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    grad_clip: float | None = 1.0
    batch_size: int = 128
    micro_batch: int | None = 32
    recompute: bool = False
    epochs: int = 15
    max_tokens: int | None = 128
    width: int = 256
    depth: int = 2
    start: str = "ridge"
    stack: Stack = "auto"
    seed: int = 0
    split_seed: int = 0
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    quirks: Quirks = field(default_factory=Quirks)
    checkpoint_every: int = 1

    def __post_init__(self) -> None:
        for name, (low, is_allowed, is_whole, is_optional) in _NUMBERS.items():
            value = getattr(self, name)
            if value is None and is_optional:
                continue
            is_good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            is_good = is_good and (value >= low if is_allowed else value > low)
            if not is_good or (is_whole and value != int(value)):
                kind, bound = ("whole" if is_whole else "finite"), ("from" if is_allowed else "above")
                raise ConfigError(f"{name}={value!r} came; expected a {kind} number {bound} {low:g}")
        if self.warmup > 1:
            raise ConfigError(f"warmup={self.warmup!r} came; expected a share of the steps, from 0 to 1")
        choices = {
            "estimator": tuple(BOUNDS),
            "start": (*MAPS, RANDOM_START),
            "stack": get_args(Stack),
            "recompute": (True, False),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                shown = ", ".join(str(choice) for choice in allowed)
                raise ConfigError(f"{name}={getattr(self, name)!r} came; expected one of {shown}")
        if not isinstance(self.quirks, Quirks):
            raise ConfigError(
                f"quirks={self.quirks!r} came; expected Quirks(...), such as Quirks.published()"
            )
        object.__setattr__(self, "fractions", tuple(self.fractions))

    def weights(self, arm: str) -> Weights:
        """Give the weights of the terms in an arm.

        Args:
            arm: One of :data:`msma.replication.ARMS`.

        Returns:
            Weights, 0 where the arm leaves a term out.

        Raises:
            ConfigError: When there is no such arm.
        """
        kept = find_arm(arm)
        return Weights(
            geo=self.lambda_geo if kept.geo else 0.0,
            info=self.lambda_info if kept.info else 0.0,
            curv=self.lambda_curv if kept.curv else 0.0,
            isometry=self.isometry,
            rate_weight=0.0,
        )

    def to_dict(self) -> dict[str, Any]:
        """Write the settings as JSON knows them.

        Returns:
            Every setting by name.
        """
        return {**asdict(self), "fractions": list(self.fractions)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "JointTrainingConfig":
        """Read what :meth:`to_dict` wrote.

        Args:
            content: Every setting by name.

        Returns:
            Equal settings.

        Raises:
            ConfigError: When a setting is unknown or impossible.

        Examples:
            >>> config = JointTrainingConfig(epochs=2, quirks=Quirks.published())
            >>> JointTrainingConfig.from_dict(config.to_dict()) == config
            True
        """
        try:
            return cls(**{**content, "quirks": Quirks(**content["quirks"])})
        except (TypeError, KeyError) as error:
            raise ConfigError(
                f"settings of a joint training came that are not whole ({error}); use to_dict()"
            ) from error
