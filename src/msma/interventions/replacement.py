"""Replace the state of a scale by what a fitted alignment predicts from another scale."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float

from msma._types import Scale
from msma.alignment import Alignment
from msma.errors import OriginError, ScaleError
from msma.interventions.operations import StateOperation, check_strength
from msma.interventions.passes import Pass

States: TypeAlias = Float[torch.Tensor, "rows tokens d_model"]


@dataclass(frozen=True, eq=False)
class Replacement(StateOperation):
    r"""Put what a map predicts in the place of a scale's state.

    With :math:`z_s = \frac{1}{|s|}\sum_{l \in s} h_l` the representation of a scale and f the fitted map from
    the source scale, every layer of the target scale becomes

    .. math:: h'_l = h_l + w \, (f(z_\text{source}) - z_\text{target}), \quad l \in \text{target}

    where h and z are those of a pass of the same tokens that nothing intervenes in, so that the representation
    of the target becomes the prediction itself when w = 1. Where the alignment takes the last layer of each scale,
    that layer alone is replaced; where it standardises layers, moves are brought back to each layer's units. An
    alignment of single tokens acts token by token; one of texts or sentences on the mean of the tokens so far
    (of all tokens, where the model looks both ways). Costs a pass without a cache for every step.

    Args:
        alignment: A fitted alignment of this model.
        source: Scale predicted from.
        target: Scale replaced; that of the intervention.
        weight: w, from 0 (nothing) to 1 (the prediction).

    Raises:
        ConfigError: When the weight is not finite.
        OriginError: When the alignment is not fitted.
        ScaleError: When it has no map between these scales.
    """

    alignment: Alignment
    source: Scale
    target: Scale
    weight: float = 1.0
    kind = "replacement"

    def __post_init__(self) -> None:
        check_strength(self.weight)
        if not self.alignment.maps_:
            raise OriginError("an alignment without fitted maps came; call fit(states, scales) first")
        if (self.source, self.target) not in self.alignment.chains:
            known = ", ".join("→".join(pair) for pair in self.alignment.chains)
            raise ScaleError(f"no map leads from {self.source} to {self.target}; this alignment has {known}")

    @property
    def is_identity(self) -> bool:
        """Whether the weight is zero."""
        return self.weight == 0

    def check(self, *, n_layers: int, d_model: int) -> None:
        """Refuse an alignment of another model.

        Args:
            n_layers: The model's layer entries.
            d_model: Width of its states.

        Raises:
            OriginError: When depth or width differ.
        """
        origin = self.alignment.origin_
        if (origin.get("n_layers"), origin.get("d_model")) != (n_layers, d_model):
            raise OriginError(
                f"an alignment of {origin.get('n_layers')} layers x {origin.get('d_model')} (model "
                f"'{origin.get('model')}') came for a model of {n_layers} x {d_model}; fit one on this model"
            )

    @property
    def layers(self) -> range:
        """The layers that are written over."""
        layers = self.alignment.partition_[self.target]
        return layers if self.alignment.reduction == "mean" else layers[-1:]

    def apply(self, states: States, layer: int, running: Pass) -> States:
        """Replace states; see the class.

        Args:
            states: Output of the layer.
            layer: Its number.
            running: Which tokens these are.

        Returns:
            What takes their place.
        """
        if layer not in self.layers:
            return states
        spreads = self.alignment.representation_.spreads_
        scale = 1.0 if spreads is None else float(spreads[layer])
        own = running.clean(layer).float()
        moved = own + self.weight * scale * self._gap(running)
        return moved[:, running.first :].to(states.dtype)

    def _gap(self, running: Pass) -> torch.Tensor:
        """Prediction minus representation of the target, for all tokens so far."""
        steps = self.alignment.chains[self.source, self.target]
        predicted = self._pool(self._represent(self.source, running), running)
        shape = predicted.shape
        mapped: Any = predicted.reshape(-1, shape[-1])
        for step in steps:
            mapped = self.alignment.maps_[step].transform(mapped)
        target = self._pool(self._represent(self.target, running), running)
        return mapped.reshape(shape).to(target.dtype) - target

    def _represent(self, scale: Scale, running: Pass) -> torch.Tensor:
        layers = self.alignment.partition_[scale]
        chosen = layers if self.alignment.reduction == "mean" else layers[-1:]
        fitted = self.alignment.representation_
        total = torch.zeros(())
        for layer in chosen:
            states = running.clean(layer).float()
            if fitted.means_ is not None and fitted.spreads_ is not None:
                mean = torch.from_numpy(fitted.means_[layer]).to(states)
                states = (states - mean) / float(fitted.spreads_[layer])
            total = total.to(states) + states
        return total / len(chosen)

    def _pool(self, states: torch.Tensor, running: Pass) -> torch.Tensor:
        if self.alignment.origin_.get("unit") == "token":
            return states
        mask = running.mask
        weights = torch.ones(states.shape[:2], device=states.device) if mask is None else mask.to(states)
        weights = weights.unsqueeze(-1)
        if running.stack.is_causal:
            return (states * weights).cumsum(1) / weights.cumsum(1).clamp_min(1.0)
        mean = (states * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
        return mean.expand_as(states)
