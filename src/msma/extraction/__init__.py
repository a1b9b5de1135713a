"""Extraction: a model and texts to pooled hidden states, streaming."""

from msma.extraction.run import extract

__all__ = ["extract"]
