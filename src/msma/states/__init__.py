"""Hidden states: layers x samples x d_model, pooled, in memory or in memory-mapped shards on disk."""

from msma.shards import AttentionSummary, Origin, Shard
from msma.states.hidden_states import HiddenStates, LayerBatch, Splits
from msma.states.writing import StatesWriter

__all__ = ["AttentionSummary", "HiddenStates", "LayerBatch", "Origin", "Shard", "Splits", "StatesWriter"]
