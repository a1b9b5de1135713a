"""Take what a projection reads out of the states of a layer, leaving everything else where it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from msma.errors import ConfigError, ShapeError
from msma.interventions.operations import StateOperation, States, check_strength
from msma.interventions.passes import Pass


class AffineProjection(NamedTuple):
    r"""What is taken out of states at one layer: :math:`h' = h - s \, L R (h - \mu)`.

    Args:
        mean: :math:`\mu`, where states are left as they are.
        left: L, what is put back in, (d_model, k).
        right: R, what is read, (k, d_model).
    """

    mean: Float[np.ndarray, " d_model"]
    left: Float[np.ndarray, "d_model k"]
    right: Float[np.ndarray, "k d_model"]


@dataclass(frozen=True, eq=False)
class Erasure(StateOperation):
    r"""Erase a concept from states: METHOD section 8, LEACE (Belrose et al. 2023, theorem 4.3) or a plain projection.

    .. math:: h' = h - s \, L_l R_l (h - \mu_l)

    Args:
        projections: What is taken out at each layer entry; layers that are not named stay as they are.
        strength: Share s that is taken out; 1 erases, 0 changes nothing, 2 reflects.

    Raises:
        ConfigError: When the strength is not finite.
        ShapeError: When a projection's parts do not fit or are not finite.

    Examples:
        >>> along = np.array([[1.0, 0.0]])
        >>> erasure = Erasure({0: AffineProjection(np.zeros(2), along.T, along)})
        >>> erasure.apply(torch.tensor([[[3.0, 4.0]]]), 0, None).tolist()
        [[[0.0, 4.0]]]
    """

    projections: Mapping[int, AffineProjection]
    strength: float = 1.0
    kind = "erasure"

    def __post_init__(self) -> None:
        check_strength(self.strength)
        if not self.projections:
            raise ConfigError("an erasure without a layer came; give a projection for one layer at least")
        for layer, (mean, left, right) in self.projections.items():
            d = len(mean)
            if mean.shape != (d,) or left.shape != (d, len(right)) or right.shape != (left.shape[1], d):
                raise ShapeError(
                    f"a projection of shapes {mean.shape}, {left.shape}, {right.shape} came for layer {layer}; "
                    "expected (d_model,), (d_model, k) and (k, d_model)"
                )
            if not all(np.isfinite(part).all() for part in (mean, left, right)):
                raise ShapeError(
                    f"the projection of layer {layer} has entries that are not finite; fit it anew"
                )
        widths = {len(projection.mean) for projection in self.projections.values()}
        if len(widths) > 1:
            raise ShapeError(
                f"projections of widths {', '.join(map(str, sorted(widths)))} came; expected the width of one model"
            )

    @property
    def is_identity(self) -> bool:
        """Whether nothing is taken out."""
        return self.strength == 0

    def check(self, *, n_layers: int, d_model: int) -> None:
        """Refuse a model of another depth or width.

        Args:
            n_layers: The model's layer entries.
            d_model: Width of its states.

        Raises:
            ShapeError: When it does not fit.
        """
        width = len(next(iter(self.projections.values())).mean)
        if width != d_model or max(self.projections) >= n_layers:
            raise ShapeError(
                f"an erasure of width {width} up to layer entry {max(self.projections)} came for a model of width "
                f"{d_model} and entries 0 to {n_layers - 1}; give one fitted on this model"
            )

    def apply(self, states: States, layer: int, running: Pass) -> States:
        """Take the concept out; see the class.

        Args:
            states: Output of the layer.
            layer: Its number.
            running: Which tokens these are.

        Returns:
            States without it, in the precision that came; computed in float32.
        """
        if layer not in self.projections:
            return states
        mean, left, right = (
            torch.from_numpy(np.asarray(part, dtype=np.float32)).to(states.device)
            for part in self.projections[layer]
        )
        taken = ((states.float() - mean) @ right.T) @ left.T
        return (states.float() - self.strength * taken).to(states.dtype)
