"""A map between two scales of a model that is being trained: a linear part and a smooth residual network."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from msma.maps import fit_map
from msma.maps.network import ResidualNetwork
from msma.maps.settings import make_base

__all__ = ["ScaleMap"]


class ScaleMap(nn.Module):
    r"""Map one scale's states to another's.

    .. math:: f(x) = m_t + s_t\, g\big((x - m_s) / s_s\big)

    with g a :class:`msma.maps.network.ResidualNetwork` (a matrix plus a perceptron with SiLU, whose derivatives
    of every order exist). Centres m and spreads s are set once, from the model as it came, and then kept; g
    learns. Until :meth:`start_at` they are 0 and 1.

    Args:
        d_model: Width of the states.
        width: Width of the hidden layers.
        depth: Number of hidden layers.

    Examples:
        >>> ScaleMap(3, width=4, depth=1)(torch.ones(2, 3)).tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    mean_source: Tensor
    mean_target: Tensor
    spreads: Tensor

    def __init__(self, d_model: int, *, width: int, depth: int) -> None:
        super().__init__()
        self.network = ResidualNetwork(d_model, d_model, width=width, depth=depth)
        self.register_buffer("mean_source", torch.zeros(d_model))
        self.register_buffer("mean_target", torch.zeros(d_model))
        self.register_buffer("spreads", torch.ones(2))

    def forward(self, states: Float[Tensor, "samples d_model"]) -> Float[Tensor, "samples d_model"]:
        """Map states.

        Args:
            states: Of the source.

        Returns:
            On the target's scale, differentiable.
        """
        mapped: Tensor = self.network((states - self.mean_source) / self.spreads[0])
        return self.mean_target + self.spreads[1] * mapped

    @torch.no_grad()
    def transform(self, states: Any) -> Any:
        """Map states that are not being trained on.

        Args:
            states: Rows of the source, numpy or torch.

        Returns:
            Rows of the target, of the kind and precision that came.
        """
        if isinstance(states, Tensor):
            return self(states.to(self.spreads)).to(states)
        rows = np.asarray(states)
        return self(torch.from_numpy(rows).to(self.spreads)).cpu().numpy().astype(rows.dtype)

    @torch.no_grad()
    def start_at(
        self,
        kind: str | None,
        source: Float[np.ndarray, "samples d_model"],
        target: Float[np.ndarray, "samples d_model"],
        documents: np.ndarray,
    ) -> None:
        """Set centres and spreads, and let the linear part be a closed-form map.

        Args:
            kind: Name of the map; ``None`` leaves the network as it was drawn.
            source: Training states of the source.
            target: Row i belongs to row i.
            documents: The document of each row.
        """
        means = source.mean(axis=0), target.mean(axis=0)
        spreads = [
            float(np.sqrt(np.square(part - mean).mean())) or 1.0
            for part, mean in zip((source, target), means, strict=True)
        ]
        self.mean_source.copy_(torch.from_numpy(means[0]))
        self.mean_target.copy_(torch.from_numpy(means[1]))
        self.spreads.copy_(torch.tensor(spreads))
        if kind is None:
            return
        base: Any = fit_map(make_base(kind)[kind], source, target, documents)
        weight = torch.from_numpy((spreads[0] / spreads[1]) * base.coef_.T)
        missing = (means[0] @ base.coef_ + base.intercept_ - means[1]) / spreads[1]
        self.network.straight.weight.copy_(weight)
        last = self.network.layers[-1]
        if isinstance(last, nn.Linear):
            last.bias.copy_(torch.from_numpy(missing))

    def draw(self) -> None:
        """Draw the matrix and the perceptron's last layer as any network's, instead of starting at zero."""
        for layer in (self.network.straight, self.network.layers[-1]):
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
