"""Extraction: a model and texts to pooled hidden states, or to their moments, streaming."""

from msma.extraction.run import extract, extract_moments

__all__ = ["extract", "extract_moments"]
