"""Vectors of sentences for the measure of coherence: the mean of a model's last states."""

from typing import Any

import numpy as np
from jaxtyping import Float

from msma.extraction import extract
from msma.models import load_model
from msma.textstats import Embedder


def sentence_embedder(
    model: Any, *, tokenizer: Any = None, name: str | None = None, device: str = "auto"
) -> Embedder:
    """Make a function that turns sentences into vectors: the mean over tokens of the last layer's states.

    For all-MiniLM-L6-v2 these are the vectors it was trained to give, up to their length.

    Args:
        model: A model, its name or folder.
        tokenizer: The model's own when left out.
        name: What results call it; its name or folder when left out.
        device: Where it runs.

    Returns:
        A function from a list of sentences to one row for each.
    """
    loaded = load_model(model, tokenizer=tokenizer, name=name, device=device)

    def embed(sentences: list[str]) -> Float[np.ndarray, "sentences d_model"]:
        states = extract(
            loaded.network, sentences, tokenizer=loaded.tokenizer, final_norm=True, attention_texts=0
        )
        return np.asarray(states.layer(states.n_layers - 1))

    embed.__name__ = loaded.name
    return embed
