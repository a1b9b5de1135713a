"""Logits of states put in place of the last block's output: the logit lens, whatever the family of the model."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from msma.models import LoadedModel, Stack, evaluating, position_limit

#: States read in one pass, as positions of one row.
_ROW = 32


def read_logits(
    loaded: LoadedModel,
    stack: Stack,
    rows: Float[np.ndarray, "n d_model"],
    entries: Int[np.ndarray, " entries"],
) -> Float[np.ndarray, "n entries"]:
    """Let a model go on from states as if its last block had given them.

    What follows the last block (a final norm, a masked head's layers, the head) is the model's own code, so that no
    family need be known by name.

    Args:
        loaded: A model with a causal or masked head.
        stack: Its stack, with blocks that can be hooked.
        rows: States.
        entries: Ids whose logits are wanted.

    Returns:
        Logits, one row a state.
    """
    width = min(_ROW, position_limit(loaded.network) or _ROW)
    found = []
    for start in range(0, len(rows), width):
        states = torch.from_numpy(np.asarray(rows[start : start + width]))[None]

        def put(_module: Any, _args: Any, output: Any, states: torch.Tensor = states) -> Any:
            is_tuple = isinstance(output, tuple)
            new = states.to(output[0] if is_tuple else output)
            return (new, *output[1:]) if is_tuple else new

        handle = stack.blocks[-1].register_forward_hook(put)
        try:
            with evaluating(loaded.network):
                ids = torch.full((1, states.shape[1]), int(entries[0]), device=stack.device)
                logits = loaded.network(input_ids=ids).logits[0]
                found.append(logits[:, torch.from_numpy(entries).to(logits.device)].double().cpu().numpy())
        finally:
            handle.remove()
    return np.concatenate(found)
