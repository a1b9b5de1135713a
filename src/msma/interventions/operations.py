"""What can be done to the states of a layer, in one unit of strength: the relative norm of the disturbance."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import torch
from jaxtyping import Float

from msma.errors import ConfigError, ShapeError
from msma.interventions.directions import Direction
from msma.interventions.passes import Pass
from msma.keyed_noise import keyed_normal, mix

States: TypeAlias = Float[torch.Tensor, "rows tokens d_model"]


class Operation(ABC):
    """Something done to a model at some of its layers; see the classes below it."""

    kind: str

    @property
    @abstractmethod
    def is_identity(self) -> bool:
        """Whether it changes nothing at all."""

    def check(self, *, n_layers: int, d_model: int) -> None:  # noqa: B027 - most operations fit any model
        """Refuse a model that this cannot be done to.

        Args:
            n_layers: The model's layer entries.
            d_model: Width of its states.
        """


class StateOperation(Operation):
    """An operation on the states of a layer entry."""

    @abstractmethod
    def apply(self, states: States, layer: int, running: Pass) -> States:
        """Change states.

        Args:
            states: Output of the layer.
            layer: Its number.
            running: Which tokens these are.

        Returns:
            New states; the caller keeps the old ones where nothing is to be done.
        """

    def seeded(self, seed: int) -> Self:
        """Give the same operation with another seed, where it has one.

        Args:
            seed: The seed.

        Returns:
            The operation.
        """
        return self


@dataclass(frozen=True, eq=False)
class Translation(StateOperation):
    r"""Move states along a vector: METHOD section 7, activation addition (Turner et al. 2023).

    .. math:: h' = h + v \quad\text{or}\quad h' = h + s \|h\| \frac{v}{\|v\|}

    Args:
        vector: (d_model,) for every layer alike, (layers, d_model), or a :class:`Direction`.
        strength: Relative norm s of the move at every token, negative to go backwards; ``None`` adds the vector
            as it is.

    Raises:
        ConfigError: When the strength is not finite.
        ShapeError: When the vector is not finite, or is zero and a strength is given.
    """

    vector: Any
    strength: float | None = None
    kind = "translation"

    def __post_init__(self) -> None:
        if self.strength is not None:
            check_strength(self.strength)
        rows = self.rows
        if not np.isfinite(rows).all():
            raise ShapeError("a vector with entries that are not finite came; give real numbers")

    @property
    def rows(self) -> Float[np.ndarray, "layers d_model"]:
        """The vector, one row a layer, or one for all."""
        vector = self.vector.vectors if isinstance(self.vector, Direction) else self.vector
        if isinstance(vector, torch.Tensor):
            vector = vector.detach().float().cpu().numpy()
        array = np.atleast_2d(np.asarray(vector, dtype=np.float32))
        if array.ndim != 2:
            raise ShapeError(
                f"a vector of shape {array.shape} came; expected (d_model,) or (layers, d_model)"
            )
        return array

    @property
    def is_identity(self) -> bool:
        """Whether nothing is moved."""
        return self.strength == 0 or (self.strength is None and not self.rows.any())

    def check(self, *, n_layers: int, d_model: int) -> None:
        """Refuse a vector of another width.

        Args:
            n_layers: The model's layer entries.
            d_model: Width of its states.

        Raises:
            ShapeError: When it does not fit.
        """
        rows = self.rows
        if rows.shape[1] != d_model:
            raise ShapeError(
                f"a vector of {rows.shape[1]} numbers came for a model whose states have {d_model}; "
                "give one made with this model"
            )
        if len(rows) not in (1, n_layers):
            raise ShapeError(
                f"vectors for {len(rows)} layers came for a model of {n_layers} layer entries; "
                "give one a layer entry, or one for all"
            )

    def apply(self, states: States, layer: int, running: Pass) -> States:
        """Move states; see the class.

        Args:
            states: Output of the layer.
            layer: Its number.
            running: Which tokens these are.

        Returns:
            Moved states.

        Raises:
            ShapeError: When the vector is zero at this layer and a strength was given.
        """
        rows = self.rows
        vector = torch.from_numpy(rows[layer if len(rows) > 1 else 0]).to(states.device)
        if self.strength is None:
            return states + vector.to(states.dtype)
        length = float(vector.norm())
        if length == 0:
            raise ShapeError(
                f"the vector of layer {layer} is zero, so it has no direction to move along by a strength; "
                "give another, or leave the strength out"
            )
        norms = states.float().norm(dim=-1, keepdim=True)
        return (states.float() + self.strength * norms * (vector / length)).to(states.dtype)


@dataclass(frozen=True)
class Scaling(StateOperation):
    r"""Amplify or damp states: :math:`h' = (1 + s) h`, METHOD section 7.

    Args:
        strength: Relative norm s of the change; 0.2 amplifies by a fifth, -0.2 damps by a fifth.

    Raises:
        ConfigError: When the strength is not finite.
    """

    strength: float
    kind = "scaling"

    def __post_init__(self) -> None:
        check_strength(self.strength)

    @property
    def is_identity(self) -> bool:
        """Whether the strength is zero."""
        return self.strength == 0

    def apply(self, states: States, layer: int, running: Pass) -> States:
        """Scale states; see the class.

        Args:
            states: Output of the layer.
            layer: Its number.
            running: Which tokens these are.

        Returns:
            Scaled states.
        """
        return states * (1.0 + self.strength)


@dataclass(frozen=True)
class Noise(StateOperation):
    r"""Add Gaussian noise in proportion to each state's own norm: METHOD section 7.

    .. math:: h' = h + s \|h\| \frac{\varepsilon}{\sqrt d}, \quad \varepsilon \sim N(0, I_d)

    The noise of a token depends on the seed, the layer, its place in its text and which token it is, so that it
    is the same in any batch, with a cache or without.

    Args:
        strength: Relative norm s; root mean square over the noise.
        seed: Fixes the noise.

    Raises:
        ConfigError: When the strength is negative or not finite.
    """

    strength: float
    seed: int = 0
    kind = "noise"

    def __post_init__(self) -> None:
        check_strength(self.strength)
        if self.strength < 0:
            raise ConfigError(f"noise of strength {self.strength} came; expected 0 or more")

    @property
    def is_identity(self) -> bool:
        """Whether the strength is zero."""
        return self.strength == 0

    def seeded(self, seed: int) -> Self:
        """Give the same noise with another seed.

        Args:
            seed: The seed.

        Returns:
            The operation.
        """
        return replace(self, seed=seed)

    def apply(self, states: States, layer: int, running: Pass) -> States:
        """Disturb states; see the class.

        Args:
            states: Output of the layer.
            layer: Its number.
            running: Which tokens these are.

        Returns:
            Disturbed states.
        """
        start = mix(mix(torch.tensor([self.seed], device=states.device)) + layer)
        width = states.shape[-1]
        noise = keyed_normal(mix(running.keys + start), width)
        norms = states.float().norm(dim=-1, keepdim=True)
        return (states.float() + self.strength / math.sqrt(width) * norms * noise).to(states.dtype)


class AttentionOperation(Operation):
    """An operation inside the self-attention of a block."""


@dataclass(frozen=True)
class Temperature(AttentionOperation):
    r"""Divide the attention logits: :math:`\text{softmax}(\ell / \tau)`, METHOD section 7.

    Above 1 the heads look at everything more evenly, below 1 more sharply. Every bias that is added to the logits
    (positions, masks) is divided too.

    Args:
        temperature: :math:`\tau > 0`; 1 changes nothing.

    Raises:
        ConfigError: When the temperature is not a positive number.
    """

    temperature: float
    kind = "temperature"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ConfigError(
                f"an attention temperature of {self.temperature} came; expected a positive number, such as 2.0"
            )

    @property
    def is_identity(self) -> bool:
        """Whether the temperature is one."""
        return self.temperature == 1


@dataclass(frozen=True)
class HeadRemoval(AttentionOperation):
    """Take heads out: what they read adds nothing to the block (Michel et al. 2019), METHOD section 7.

    Args:
        heads: Numbers of the heads in every block of the scale, from 0; "all"; or a mapping from the number of a
            block (its layer entry, from 1) to its heads.

    Raises:
        ConfigError: When a head has a negative number.
    """

    heads: Sequence[int] | Mapping[int, Sequence[int]] | Literal["all"] = "all"
    kind = "heads"

    def __post_init__(self) -> None:
        lists = self.heads.values() if isinstance(self.heads, Mapping) else [self.heads]
        for heads in lists:
            if heads != "all" and not all(_is_head(head) for head in heads):
                raise ConfigError(f"heads {heads!r} came; expected numbers from 0 up, or 'all'")

    @property
    def is_identity(self) -> bool:
        """Whether no head is taken out."""
        return not self.heads or (isinstance(self.heads, Mapping) and not any(self.heads.values()))

    def of_block(self, number: int) -> Sequence[int] | Literal["all"]:
        """Give the heads to take out of one block.

        Args:
            number: Layer entry of the block's output, from 1.

        Returns:
            Their numbers, or "all".
        """
        if isinstance(self.heads, Mapping):
            return self.heads.get(number, ())
        return self.heads


def _is_head(head: Any) -> bool:
    return isinstance(head, Integral) and int(head) >= 0


def check_strength(strength: float) -> None:
    """Refuse a strength that is no finite number.

    Args:
        strength: What came.

    Raises:
        ConfigError: When it is not finite.
    """
    if not isinstance(strength, (int, float)) or not math.isfinite(strength):
        raise ConfigError(
            f"an intervention of strength {strength} came; expected a finite number, the relative norm of the "
            "change, such as 0.1"
        )
