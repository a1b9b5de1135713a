"""The experiment on encoders: what they fill in for hidden tokens, with and without an intervention."""

from collections.abc import Sequence

import numpy as np

from msma.errors import CorpusError
from msma.experiment.effects import Measured
from msma.experiment.record import Written
from msma.generation import MaskedPredictions, predict_masked
from msma.models import LoadedModel, position_limit

#: Measures of masked predictions, averaged over the hidden tokens of a text.
MASKED_MEASURES: dict[str, Measured] = {
    "entropy": Measured("entropy of the prediction", "nats"),
    "log_rank": Measured("log rank of the hidden token", "log"),
    "nats": Measured("surprise at the hidden token", "nats"),
    "lexical_change": Measured("fills in another token", "share", has_clean=False),
}
_MOST_TOKENS = 128


def fill_in(
    loaded: LoadedModel, texts: Sequence[str], *, seed: int, share: float, clean: MaskedPredictions | None
) -> tuple[MaskedPredictions, list[Written]]:
    """Hide tokens of each text, read what the model fills in, and average over the hidden tokens of a text.

    Args:
        loaded: A model with a masked-language-model head; an intervention may be at work.
        texts: The texts.
        seed: Fixes which tokens are hidden.
        share: Share of the tokens that is hidden.
        clean: Predictions without an intervention; ``None`` when these are they.

    Returns:
        The predictions, and one entry a text.

    Raises:
        CorpusError: When a text has no token to hide.
    """
    found = predict_masked(loaded, texts, share=share, seed=seed, max_tokens=_MOST_TOKENS)
    changed = found.changed(found if clean is None else clean)
    columns = {
        "entropy": found.entropy,
        "log_rank": np.log(found.rank),
        "nats": found.nats,
        "lexical_change": changed,
    }
    limit = min(_MOST_TOKENS, position_limit(loaded.network) or _MOST_TOKENS)
    entries = []
    for number, text in enumerate(texts):
        own = np.flatnonzero(found.texts == number)
        if not len(own):
            raise CorpusError(f"prompt {number + 1} has no token to hide; give texts with words")
        values: dict[str, float | None] = {m: float(v[own].mean()) for m, v in columns.items()}
        entries.append(Written(number, seed, _show(loaded, text, found, own, limit), values))
    return found, entries


def _show(loaded: LoadedModel, text: str, found: MaskedPredictions, own: np.ndarray, limit: int) -> str:
    """Write a text with what was filled in, each in brackets."""
    ids = list(loaded.tokenizer(text, truncation=True, max_length=limit)["input_ids"])
    filled = dict(zip(found.places[own].tolist(), found.top[own].tolist(), strict=True))
    special = set(loaded.tokenizer.all_special_ids)
    parts: list[str] = []
    run: list[int] = []
    for place, token in enumerate(ids):
        if place in filled:
            parts += [loaded.tokenizer.decode(run), f"[{loaded.tokenizer.decode([filled[place]]).strip()}]"]
            run = []
        elif token not in special:
            run.append(token)
    parts.append(loaded.tokenizer.decode(run))
    return " ".join(part.strip() for part in parts if part.strip())
