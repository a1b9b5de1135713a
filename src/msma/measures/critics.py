"""Networks that score how well a source and a target sample belong together: T(x, y) for the bounds."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["JointCritic", "MeanCritic", "SeparableCritic", "perceptron", "zero_last"]


def perceptron(d_in: int, d_out: int, *, width: int, depth: int = 2) -> nn.Sequential:
    """Build a smooth multilayer perceptron.

    Args:
        d_in: Width of the input.
        d_out: Width of the output.
        width: Width of the hidden layers.
        depth: Number of hidden layers.

    Returns:
        Linear layers with SiLU between them.

    Examples:
        >>> perceptron(3, 2, width=8)(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """
    layers: list[nn.Module] = []
    for k in range(depth):
        layers += [nn.Linear(d_in if k == 0 else width, width), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(width if depth else d_in, d_out))


def zero_last(network: nn.Sequential) -> None:
    """Set the last layer of a network to 0, so that it starts as no correction at all.

    Args:
        network: Ends in a linear layer.

    Examples:
        >>> network = perceptron(3, 2, width=8)
        >>> zero_last(network)
        >>> network(torch.ones(1, 3)).tolist()
        [[0.0, 0.0]]
    """
    last = network[-1]
    for parameter in last.parameters():
        nn.init.zeros_(parameter)


class SeparableCritic(nn.Module):
    r"""Score all pairs at the price of one product of matrices: :math:`T(x, y) = g(x)^T h(y) + b(y)`.

    g, h and b are a linear map plus a perceptron each (Poole et al. 2019, section 3: the separable critic). A new
    critic scores every pair 0, so training starts from "nothing is known" or from whatever ratio it is added to.

    Args:
        d_source: Width of the source.
        d_target: Width of the target.
        width: Width of the hidden layers.
        embedding: Number of terms of the product.

    Examples:
        >>> SeparableCritic(3, 5)(torch.ones(2, 3), torch.ones(2, 5)).tolist()
        [[0.0, 0.0], [0.0, 0.0]]
    """

    def __init__(self, d_source: int, d_target: int, *, width: int = 128, embedding: int = 32) -> None:
        super().__init__()
        self.embedding = embedding
        straight = nn.Linear(d_source, embedding), nn.Linear(d_target, embedding + 1)
        bent = (
            perceptron(d_source, embedding, width=width),
            perceptron(d_target, embedding + 1, width=width),
        )
        for k, side in enumerate(straight):
            nn.init.zeros_(side.bias)
            # One side starts at 0 and the other does not: the product is 0, its gradient is not.
            nn.init.normal_(side.weight, std=0.3 * k)
        with torch.no_grad():
            straight[1].weight[embedding:] = 0.0
        for network in bent:
            zero_last(network)
        self.straight, self.bent = nn.ModuleList(straight), nn.ModuleList(bent)

    def forward(
        self, source: Float[Tensor, "n d_source"], target: Float[Tensor, "m d_target"]
    ) -> Float[Tensor, "n m"]:
        """Score every source sample beside every target sample.

        Args:
            source: Samples in rows.
            target: Samples in rows.

        Returns:
            T(x_i, y_j).
        """
        g = self.straight[0](source) + self.bent[0](source)
        h = self.straight[1](target) + self.bent[1](target)
        scores: Tensor = g @ h[:, : self.embedding].T + h[:, self.embedding]
        return scores


class JointCritic(nn.Module):
    """Score all pairs by one network that sees both sides together.

    More able than a product where the dependence is sharp, at the price of a pass for each of n x m pairs
    (Poole et al. 2019, section 3). The first layer is linear in each side, so it is computed once a sample.

    Args:
        d_source: Width of the source.
        d_target: Width of the target.
        width: Width of the hidden layers.
        depth: Number of hidden layers, 2 or more.

    Examples:
        >>> JointCritic(3, 5)(torch.zeros(7, 3), torch.zeros(6, 5)).shape
        torch.Size([7, 6])
    """

    def __init__(self, d_source: int, d_target: int, *, width: int = 64, depth: int = 3) -> None:
        super().__init__()
        self.of_source = nn.Linear(d_source, width)
        self.of_target = nn.Linear(d_target, width, bias=False)
        self.rest = nn.Sequential(nn.SiLU(), perceptron(width, 1, width=width, depth=depth - 1))

    def forward(
        self, source: Float[Tensor, "n d_source"], target: Float[Tensor, "m d_target"]
    ) -> Float[Tensor, "n m"]:
        """Score every source sample beside every target sample.

        Args:
            source: Samples in rows.
            target: Samples in rows.

        Returns:
            T(x_i, y_j).
        """
        hidden = self.of_source(source)[:, None, :] + self.of_target(target)[None, :, :]
        scores: Tensor = self.rest(hidden).squeeze(-1)
        return scores

    def score_pairs(
        self, source: Float[Tensor, "n d_source"], target: Float[Tensor, "n d_target"]
    ) -> Float[Tensor, " n"]:
        """Score each source sample beside its own target sample only.

        Args:
            source: Samples in rows.
            target: Row i belongs to row i of the source.

        Returns:
            T(x_i, y_i).
        """
        scores: Tensor = self.rest(self.of_source(source) + self.of_target(target)).squeeze(-1)
        return scores


class MeanCritic(nn.Module):
    """Average the scores of several critics.

    Args:
        critics: At least one.

    Examples:
        >>> MeanCritic([SeparableCritic(3, 5), SeparableCritic(3, 5)])(torch.ones(1, 3), torch.ones(1, 5)).tolist()
        [[0.0]]
    """

    def __init__(self, critics: Iterable[nn.Module]) -> None:
        super().__init__()
        self.critics = nn.ModuleList(critics)

    def forward(
        self, source: Float[Tensor, "n d_source"], target: Float[Tensor, "m d_target"]
    ) -> Float[Tensor, "n m"]:
        """Score every source sample beside every target sample.

        Args:
            source: Samples in rows.
            target: Samples in rows.

        Returns:
            The mean of T(x_i, y_j) over the critics.
        """
        return torch.stack([critic(source, target) for critic in self.critics]).mean(dim=0)
