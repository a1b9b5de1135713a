"""Language models: loading one with its tokenizer, and reading the inputs and outputs of its blocks."""

from msma.models.attention import recording_attention
from msma.models.blocks import Sequences, Stack
from msma.models.finding import find_stack, position_limit
from msma.models.loading import LoadedModel, evaluating, load_model, load_with_head, quiet
from msma.models.pipelines import text_pipeline

__all__ = [
    "LoadedModel",
    "Sequences",
    "Stack",
    "evaluating",
    "find_stack",
    "load_model",
    "load_with_head",
    "position_limit",
    "quiet",
    "recording_attention",
    "text_pipeline",
]
