"""How surprising given texts are to a model, decoder or encoder, as it runs now."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from msma.generation.masked import predict_masked
from msma.generation.sampling import Continuation
from msma.generation.surprise import nats_per_token
from msma.models import LoadedModel, position_limit

#: Tokens of a text whose surprise is measured, and the share of them that is hidden from an encoder.
_TOKENS, _HIDDEN = 96, 0.15


def text_nats(
    loaded: LoadedModel, texts: Sequence[str], *, seed: int = 0
) -> Float[np.ndarray, " texts"] | None:
    r"""Mean surprise of each text's first 96 tokens, as the model runs now.

    For a decoder :math:`-\frac{1}{n} \sum_{t>1} \log p(w_t \mid w_{<t})`; for an encoder the same over 15 % of the
    tokens, hidden all at once, the same ones in every run.

    Args:
        loaded: The model.
        texts: The texts.
        seed: Fixes which tokens are hidden.

    Returns:
        Nats a token for each text; ``None`` where the model has no head for that.
    """
    if loaded.head == "masked":
        found = predict_masked(loaded, texts, share=_HIDDEN, seed=seed, max_tokens=_TOKENS)
        counts = np.bincount(found.texts, minlength=len(texts))
        sums = np.bincount(found.texts, weights=found.nats, minlength=len(texts))
        return np.asarray(sums / np.maximum(counts, 1))
    if loaded.head != "causal":
        return None
    rows, limit = [], min(_TOKENS, position_limit(loaded.network) or _TOKENS)
    for text in texts:
        ids = tuple(loaded.tokenizer(text, truncation=True, max_length=limit)["input_ids"])
        rows.append(Continuation("", text, ids[:1], ids[1:], 0))
    nats = nats_per_token(loaded, rows)
    return np.asarray(np.where(np.isfinite(nats), nats, 0.0))
