"""The residual network of a learned map: smooth, small, and exactly zero before training."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["ResidualNetwork", "apply_layers", "draw_noise", "hidden_layers", "seeded"]

#: Logarithm of the variance a stochastic map starts with, in units of the target's mean variance.
START_LOG_VARIANCE = -4.6
#: Range that a log-variance is held in, so that its exponential neither overflows nor vanishes.
LOG_VARIANCE_RANGE = (-12.0, 4.0)


def smooth(rows: Tensor) -> Tensor:
    """Compute SiLU, x / (1 + exp(-x)), in two steps that torch can differentiate forwards twice.

    Args:
        rows: Any numbers.

    Returns:
        As many; ``torch.nn.functional.silu`` itself has no second forward derivative (torch 2.13).

    Examples:
        >>> smooth(torch.tensor([0.0, 40.0])).tolist()
        [0.0, 40.0]
    """
    return rows * rows.sigmoid()


class ResidualNetwork(nn.Module):
    """A linear map plus a perceptron with SiLU between its layers; both start at zero.

    The linear part lets the linear part of the whole map move while the perceptron takes over what bends. SiLU
    has derivatives of every order; a ReLU network's second derivative is zero almost everywhere, so that a
    curvature penalty would regularise nothing. A stochastic network has a second head of the last hidden layer
    that gives the logarithm of a variance.

    Args:
        d_source: Width of the input.
        d_target: Width of the output.
        width: Width of the hidden layers.
        depth: Number of hidden layers.
        is_stochastic: Whether to have the second head.

    Examples:
        >>> network = ResidualNetwork(3, 2, width=8, depth=2)
        >>> float(network(torch.ones(5, 3)).detach().abs().max())
        0.0
    """

    def __init__(
        self, d_source: int, d_target: int, *, width: int, depth: int, is_stochastic: bool = False
    ) -> None:
        super().__init__()
        widths = [d_source] + depth * [width] + [d_target]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.straight = nn.Linear(d_source, d_target, bias=False)
        self.noise = nn.Linear(width, d_target) if is_stochastic else None
        last = self.layers[-1]
        nn.init.zeros_(self.straight.weight)
        for layer, bias in ((last, 0.0), (self.noise, START_LOG_VARIANCE)):
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.weight)
                nn.init.constant_(layer.bias, bias)

    def hidden(self, rows: Float[Tensor, "samples d_source"]) -> Float[Tensor, "samples width"]:
        """Compute the last hidden layer.

        Args:
            rows: Standardised samples.

        Returns:
            Its activations.
        """
        for layer in self.layers[:-1]:
            rows = smooth(layer(rows))
        return rows

    def forward(self, rows: Float[Tensor, "samples d_source"]) -> Float[Tensor, "samples d_target"]:
        """Compute the residual.

        Args:
            rows: Standardised samples.

        Returns:
            What is to be added to the base map, in standardised units.
        """
        residual: Tensor = self.straight(rows) + self.layers[-1](self.hidden(rows))
        return residual

    def forward_with_noise(
        self, rows: Float[Tensor, "samples d_source"]
    ) -> tuple[Float[Tensor, "samples d_target"], Float[Tensor, "samples d_target"]]:
        """Compute the residual and the logarithm of the variance around it.

        Args:
            rows: Standardised samples.

        Returns:
            Both; the second is constant where the network is not stochastic.
        """
        hidden = self.hidden(rows)
        residual: Tensor = self.straight(rows) + self.layers[-1](hidden)
        if self.noise is None:
            return residual, torch.full_like(residual, START_LOG_VARIANCE)
        return residual, self.noise(hidden).clamp(*LOG_VARIANCE_RANGE)


def apply_layers(
    rows: Float[Tensor, "samples d_source"], layers: list[tuple[Tensor, Tensor]]
) -> Float[Tensor, "samples d_target"]:
    """Run a perceptron given as its matrices: what a fitted map does with the weights it keeps.

    Args:
        rows: Centred samples.
        layers: Weights (d_in, d_out) and biases (d_out,), in order.

    Returns:
        The output of the last layer.

    Examples:
        >>> one = torch.ones(1, 1)
        >>> round(float(apply_layers(one, [(one, 0 * one[0]), (2 * one, one[0])])), 3)  # 1 + 2 silu(1)
        2.462
    """
    weight, bias = layers[-1]
    return hidden_layers(rows, layers[:-1]) @ weight + bias


def hidden_layers(
    rows: Float[Tensor, "samples d_source"], layers: list[tuple[Tensor, Tensor]]
) -> Float[Tensor, "samples width"]:
    """Run the hidden layers of a perceptron given as its matrices.

    Args:
        rows: Centred samples.
        layers: Weights and biases of the hidden layers, in order.

    Returns:
        Activations of the last of them.

    Examples:
        >>> hidden_layers(torch.zeros(1, 2), [(torch.ones(2, 3), torch.zeros(3))]).tolist()
        [[0.0, 0.0, 0.0]]
    """
    for weight, bias in layers:
        rows = smooth(rows @ weight + bias)
    return rows


def draw_noise(
    rows: Float[Tensor, "samples d_source"], layers: list[tuple[Tensor, Tensor]], *, seed: int
) -> Float[Tensor, "samples d_target"]:
    """Draw noise whose log-variances a perceptron gives.

    Args:
        rows: Centred samples.
        layers: Weights and biases; the last layer gives the log-variances.
        seed: Fixes the draw, on every device alike.

    Returns:
        One draw a sample.

    Examples:
        >>> quiet = [(torch.zeros(2, 1), torch.tensor([-100.0]))]  # held at the lowest variance there is
        >>> bool(draw_noise(torch.ones(3, 2), quiet, seed=0).abs().max() < 0.02)
        True
    """
    logs = apply_layers(rows, layers).clamp(*LOG_VARIANCE_RANGE)
    drawn = torch.randn(logs.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (0.5 * logs).exp() * drawn.to(logs)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch draw initial weights by a seed, and put its global state back afterwards.

    Args:
        seed: Fixes what is drawn within.

    Yields:
        Nothing.

    Examples:
        >>> before = torch.get_rng_state()
        >>> with seeded(7):
        ...     first = torch.rand(2)
        >>> with seeded(7):
        ...     second = torch.rand(2)
        >>> bool((first == second).all()), bool((torch.get_rng_state() == before).all())
        (True, True)
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU too
        yield
