"""What a language model writes or fills in: paired sampling, surprise, masked predictions."""

from msma.generation.masked import MaskedPredictions, predict_masked
from msma.generation.sampling import Continuation, generate
from msma.generation.surprise import nats_per_token
from msma.generation.text_surprise import text_nats

__all__ = ["Continuation", "MaskedPredictions", "generate", "nats_per_token", "predict_masked", "text_nats"]
