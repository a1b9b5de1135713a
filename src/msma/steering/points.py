"""What is measured of one setting, and what is written at it."""

from dataclasses import dataclass
from typing import Literal

from msma._types import Scale


@dataclass(frozen=True, kw_only=True)
class Point:
    """One setting on one half of the prompts: what it moves and what it costs, with 95 % intervals over prompts.

    Args:
        scale: The scale acted on.
        strength: Relative norm of the move.
        split: "validation", on which the setting was chosen, or "test".
        effect: Judged log-odds of "towards", steered minus clean, in nats.
        effect_low: Lower end of its interval.
        effect_high: Upper end.
        loss: Nats a token under the clean model, steered minus clean.
        loss_low: Lower end of its interval.
        loss_high: Upper end.
        control_effect: The effect of random directions as strong.
        control_low: Lower end of its interval.
        control_high: Upper end.
        control_loss: The loss of random directions as strong.
        beyond: The effect minus the control's, prompt by prompt.
        beyond_low: Lower end of its interval.
        beyond_high: Upper end.
        n_prompts: Number of prompts.
    """

    scale: Scale
    strength: float
    split: Literal["validation", "test"]
    effect: float
    effect_low: float
    effect_high: float
    loss: float
    loss_low: float
    loss_high: float
    control_effect: float
    control_low: float
    control_high: float
    control_loss: float
    beyond: float
    beyond_low: float
    beyond_high: float
    n_prompts: int


@dataclass(frozen=True)
class Sample:
    """A test prompt and what follows it, with the same chance.

    Args:
        prompt: The prompt.
        clean: What the model writes.
        steered: What it writes when steered.
    """

    prompt: str
    clean: str
    steered: str
