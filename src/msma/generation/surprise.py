"""How surprising a continuation is to the model that nothing intervenes in."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch.nn import functional

from msma.generation.sampling import Continuation
from msma.models import LoadedModel, evaluating

_IGNORED = -100


def nats_per_token(
    loaded: LoadedModel, continuations: Sequence[Continuation], *, batch_rows: int = 16
) -> Float[np.ndarray, " continuations"]:
    r"""Mean surprise of a continuation's tokens given its prompt; perplexity is its exponential.

    .. math:: -\frac{1}{n} \sum_{t=1}^{n} \log p(w_t \mid \text{prompt}, w_{<t})

    A decoder reads the prompt before the tokens; an encoder-decoder reads it in its encoder, and its decoder the
    tokens behind its start token, as both were written.

    Args:
        loaded: The model, with its language head; call it outside any intervention.
        continuations: What was written.
        batch_rows: Continuations that run together.

    Returns:
        Nats a token, 0 or more; NaN for a continuation without tokens.
    """
    found = np.full(len(continuations), np.nan)
    order = [i for i, c in enumerate(continuations) if c.ids]
    order.sort(key=lambda i: len(continuations[i].prompt_ids) + len(continuations[i].ids))
    with evaluating(loaded.network):
        for start in range(0, len(order), batch_rows):
            part = order[start : start + batch_rows]
            found[part] = _score(loaded, [continuations[i] for i in part])
    return found


def _score(loaded: LoadedModel, rows: Sequence[Continuation]) -> Float[np.ndarray, " rows"]:
    network, device = loaded.network, loaded.device
    pad = loaded.tokenizer.pad_token_id or 0
    if network.config.is_encoder_decoder:
        source, mask = _rectangle([c.prompt_ids for c in rows], pad)
        labels, _ = _rectangle([c.ids for c in rows], _IGNORED)
        output = network(
            input_ids=source.to(device), attention_mask=mask.to(device), labels=labels.to(device)
        )
        logits = output.logits
    else:
        # What comes after a token never reaches it, so padding on the right is harmless.
        ids, mask = _rectangle([(*c.prompt_ids, *c.ids) for c in rows], pad)
        logits = network(input_ids=ids.to(device), attention_mask=mask.to(device)).logits[:, :-1]
        labels = ids.masked_fill(mask == 0, _IGNORED)[:, 1:].clone()
        for i, c in enumerate(rows):
            labels[i, : len(c.prompt_ids) - 1] = _IGNORED
    nats = functional.cross_entropy(
        logits.float().transpose(1, 2), labels.to(device), ignore_index=_IGNORED, reduction="none"
    )
    counts = (labels != _IGNORED).sum(1)
    return (nats.sum(1).cpu() / counts).double().numpy()


def _rectangle(rows: Sequence[Sequence[int]], fill: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.full((len(rows), max(map(len, rows))), fill)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = torch.tensor(row), 1
    return ids, mask
