"""A model in memory with its tokenizer, and what can be told about it."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from msma.models.parameters import hash_parameters, input_device, precision
from msma.models.quieting import quiet

Head: TypeAlias = Literal["none", "causal", "seq2seq", "masked"]


@dataclass(frozen=True)
class LoadedModel:
    """A model, its tokenizer, and what is known about where they come from.

    Args:
        network: The model as loaded or as given.
        tokenizer: Its tokenizer.
        name: Name on the Hub, or the folder.
        revision: Commit of the files, where known.
    """

    network: Any
    tokenizer: Any
    name: str
    revision: str | None

    @property
    def architecture(self) -> str:
        """The configuration's family ("gpt2", "bert")."""
        return str(self.network.config.model_type)

    @property
    def head(self) -> Head:
        """What the model can write with: "causal", "seq2seq", "masked", or "none"."""
        return language_head(self.network)

    @property
    def device(self) -> torch.device:
        """Where inputs go; where the parameters are, unless they are spread over several places."""
        return input_device(self.network)

    @property
    def dtype(self) -> str:
        """Precision of the parameters ("float32"); of a quantised model what weights are kept as ("int8")."""
        return precision(self.network)

    def fingerprint(self, body: nn.Module | None = None) -> str:
        """Hash names, shapes and a few values of every parameter, wherever they are kept.

        Args:
            body: Part of the model to hash; the whole when left out.

        Returns:
            SHA-256, 64 hexadecimal digits.
        """
        return hash_parameters(self.network, self.network if body is None else body)


def language_head(network: nn.Module) -> Head:
    """Tell what a model can write with.

    Args:
        network: A transformers model.

    Returns:
        "causal", "seq2seq", "masked", or "none".
    """
    get = getattr(network, "get_output_embeddings", None)
    with quiet():
        if get is None or get() is None:
            return "none"
        if not network.can_generate():  # type: ignore[operator]
            return "masked" if "MaskedLM" in type(network).__name__ else "none"
    return "seq2seq" if network.config.is_encoder_decoder else "causal"  # type: ignore[union-attr]
