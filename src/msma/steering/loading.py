"""The model that is steered."""

from typing import Any

from msma.models import LoadedModel, load_model


def take_model(model: Any, *, tokenizer: Any = None) -> LoadedModel:
    """Load a model with its head, or take one that is loaded.

    Args:
        model: Name, folder, transformers model or ``LoadedModel``.
        tokenizer: The model's own when left out.

    Returns:
        Model and tokenizer.

    Raises:
        ModelError: When it cannot be loaded or has no language head.
    """
    if isinstance(model, LoadedModel):
        given = model.tokenizer if tokenizer is None else tokenizer
        return load_model(
            model.network, tokenizer=given, name=model.name, revision=model.revision, has_head=True
        )
    return load_model(model, tokenizer=tokenizer, has_head=True)
