"""A transformers pipeline around a model that is already loaded."""

from typing import Any

from msma.models.loaded import LoadedModel
from msma.models.quieting import quiet


def text_pipeline(loaded: LoadedModel, **options: Any) -> Any:
    """Make transformers' own text-generation pipeline of a loaded model.

    Args:
        loaded: A decoder with its head, and its tokenizer.
        **options: More of the pipeline's own settings.

    Returns:
        A ``transformers.TextGenerationPipeline``; the model is the one given, not a copy.
    """
    from transformers import pipeline

    with quiet():
        return pipeline("text-generation", model=loaded.network, tokenizer=loaded.tokenizer, **options)
