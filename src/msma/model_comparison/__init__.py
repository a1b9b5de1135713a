"""Two models, or two checkpoints of one, on the same texts: scales, maps, measures and per-text differences."""

from msma.model_comparison.comparing import compare_studies
from msma.model_comparison.record import StudyComparison, TextDifference

__all__ = ["StudyComparison", "TextDifference", "compare_studies"]
