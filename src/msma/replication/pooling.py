"""One state a text from those of its tokens, differentiable and in the model's own precision."""

import torch
from jaxtyping import Float
from torch import Tensor

from msma.models import Sequences

__all__ = ["masked_mean", "padded_mean"]


def masked_mean(
    states: Float[Tensor, "rows tokens d_model"], batch: Sequences
) -> Float[Tensor, "rows d_model"]:
    """Average each text's own tokens.

    Args:
        states: One layer's states.
        batch: Says where the tokens are.

    Returns:
        One row a text, which no padding touches.

    Examples:
        >>> batch = Sequences(torch.zeros(1, 3, dtype=torch.long), lengths=(2,), starts=(0,))
        >>> masked_mean(torch.tensor([[[1.0], [3.0], [99.0]]]), batch).tolist()
        [[2.0]]
    """
    if not batch.is_padded:
        return states.mean(dim=1)
    places = torch.arange(states.shape[1], device=states.device)
    starts = torch.tensor(batch.starts, device=states.device)[:, None]
    lengths = torch.tensor(batch.lengths, device=states.device)[:, None]
    inside = (places >= starts) & (places < starts + lengths)
    # Chosen, not multiplied: what stands in a padded place may be infinite.
    kept = torch.where(inside[:, :, None], states, states.new_zeros(()))
    return kept.sum(dim=1) / lengths.to(states.dtype)


def padded_mean(
    states: Float[Tensor, "rows tokens d_model"], batch: Sequences
) -> Float[Tensor, "rows d_model"]:
    """Average all places of the padded sequence, as the published code does; see :class:`Quirks`.

    Args:
        states: One layer's states.
        batch: Not looked at.

    Returns:
        One row a text.

    Examples:
        >>> batch = Sequences(torch.zeros(1, 3, dtype=torch.long), lengths=(2,), starts=(0,))
        >>> padded_mean(torch.tensor([[[1.0], [3.0], [98.0]]]), batch).tolist()
        [[34.0]]
    """
    return states.mean(dim=1)
