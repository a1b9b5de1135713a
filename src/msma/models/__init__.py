"""Language models: loading one with its tokenizer, and reading the inputs and outputs of its blocks."""

from msma.models.attention import recording_attention
from msma.models.blocks import Sequences, Stack
from msma.models.finding import find_stack, position_limit
from msma.models.loaded import LoadedModel
from msma.models.loading import load_model, load_with_head
from msma.models.parameters import input_device
from msma.models.pipelines import text_pipeline
from msma.models.placement import DeviceMap, Dtype, Quantization
from msma.models.quieting import evaluating, quiet
from msma.models.sizes import ModelShape, measure_network, model_shape

__all__ = [
    "DeviceMap",
    "Dtype",
    "LoadedModel",
    "ModelShape",
    "Quantization",
    "Sequences",
    "Stack",
    "evaluating",
    "find_stack",
    "input_device",
    "load_model",
    "load_with_head",
    "measure_network",
    "model_shape",
    "position_limit",
    "quiet",
    "recording_attention",
    "text_pipeline",
]
