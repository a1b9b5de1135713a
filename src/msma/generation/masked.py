"""What an encoder fills in for hidden tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from msma.errors import ConfigError, CorpusError, ModelError
from msma.models import LoadedModel, evaluating, position_limit


@dataclass(frozen=True, eq=False)
class MaskedPredictions:
    """What a model says at hidden tokens, one entry each.

    Args:
        texts: Text that each belongs to.
        places: Place of the hidden token in its text.
        original: The token that was hidden.
        top: The likeliest token.
        rank: Rank of the original among all tokens; 1 is best.
        entropy: Entropy of the prediction in nats.
        nats: Surprise of the original in nats.
    """

    texts: Int[np.ndarray, " hidden"]
    places: Int[np.ndarray, " hidden"]
    original: Int[np.ndarray, " hidden"]
    top: Int[np.ndarray, " hidden"]
    rank: Int[np.ndarray, " hidden"]
    entropy: Float[np.ndarray, " hidden"]
    nats: Float[np.ndarray, " hidden"]

    def changed(self, other: "MaskedPredictions") -> Float[np.ndarray, " hidden"]:
        """Tell where another run of the same texts fills in another token.

        Args:
            other: Predictions for the same hidden tokens.

        Returns:
            1 where the likeliest token differs, else 0; their mean is the lexical change.

        Raises:
            CorpusError: When other tokens were hidden.
        """
        if not (np.array_equal(self.texts, other.texts) and np.array_equal(self.places, other.places)):
            raise CorpusError("predictions for other hidden tokens came; take the same texts, share and seed")
        return (self.top != other.top).astype(np.float64)


def predict_masked(
    loaded: LoadedModel,
    texts: Sequence[str],
    *,
    share: float = 0.15,
    seed: int = 0,
    max_tokens: int = 128,
    batch_rows: int = 16,
) -> MaskedPredictions:
    """Hide a share of each text's tokens and read what the model fills in (Devlin et al. 2019, all masked).

    Which tokens are hidden depends on text and seed alone, so that runs with and without an intervention can be
    compared token by token.

    Args:
        loaded: A model with a masked-language-model head.
        texts: The texts.
        share: Share of the tokens that is hidden, at least one a text; special tokens never are.
        seed: Fixes which.
        max_tokens: Longer texts are cut.
        batch_rows: Texts that run together.

    Returns:
        Predictions at every hidden token, text by text.

    Raises:
        ModelError: When the model has no such head, or its tokenizer no mask token.
        CorpusError: When no text has a token to hide.
        ConfigError: When the share is impossible.
    """
    if loaded.head != "masked":
        raise ModelError(
            f"'{loaded.name}' has no head for masked tokens; give an encoder loaded with its masked-language-model "
            "head, such as BERT or RoBERTa"
        )
    if loaded.tokenizer.mask_token_id is None:
        raise ModelError(f"the tokenizer of '{loaded.name}' has no mask token, so no token can be hidden")
    if not 0 < share <= 1:
        raise ConfigError(f"share {share} came; expected a share above 0, at most 1")
    limit = min(max_tokens, position_limit(loaded.network) or max_tokens)
    rows = []
    for number, text in enumerate(texts):
        ids = loaded.tokenizer(text, truncation=True, max_length=limit)["input_ids"]
        special = set(loaded.tokenizer.all_special_ids)
        places = [place for place, token in enumerate(ids) if token not in special]
        if places:
            rng = np.random.default_rng([seed, *ids])
            hidden = rng.choice(places, size=max(1, round(share * len(places))), replace=False)
            rows.append((number, ids, sorted(int(place) for place in hidden)))
    if not rows:
        raise CorpusError(f"{len(texts)} texts without a token to hide came; give texts with words")
    parts: list[list[tuple[float, ...]]] = [[] for _ in rows]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][1]))
    with evaluating(loaded.network):
        for start in range(0, len(order), batch_rows):
            part = order[start : start + batch_rows]
            for i, found in zip(part, _predict(loaded, [rows[i] for i in part]), strict=True):
                parts[i] = found
    table = np.array([entry for part in parts for entry in part])
    whole = table[:, :5].astype(np.int64)
    return MaskedPredictions(
        whole[:, 0], whole[:, 1], whole[:, 2], whole[:, 3], whole[:, 4], table[:, 5], table[:, 6]
    )


def _predict(
    loaded: LoadedModel, rows: Sequence[tuple[int, list[int], list[int]]]
) -> list[list[tuple[float, ...]]]:
    width = max(len(ids) for _, ids, _ in rows)
    pad = loaded.tokenizer.pad_token_id or 0
    shown = torch.full((len(rows), width), pad)
    mask = torch.zeros_like(shown)
    for i, (_, ids, hidden) in enumerate(rows):
        shown[i, : len(ids)], mask[i, : len(ids)] = torch.tensor(ids), 1
        shown[i, hidden] = loaded.tokenizer.mask_token_id
    logits = loaded.network(input_ids=shown.to(loaded.device), attention_mask=mask.to(loaded.device)).logits
    found = []
    for i, (number, ids, hidden) in enumerate(rows):
        log_p = torch.log_softmax(logits[i, hidden].float(), dim=-1).cpu()
        original = torch.tensor([ids[place] for place in hidden])
        own = log_p[torch.arange(len(hidden)), original]
        rank = (log_p > own[:, None]).sum(-1) + 1
        entropy = torch.special.entr(log_p.exp()).sum(-1)
        columns = (original, log_p.argmax(-1), rank, entropy, -own)
        found.append(
            [(number, place, *(float(column[j]) for column in columns)) for j, place in enumerate(hidden)]
        )
    return found
