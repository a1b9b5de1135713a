"""Hyper-parameter search of the learned map: several objectives, pruned, parallel, resumable."""

from msma.tuning.choice import Recommendation, Trial
from msma.tuning.findings import Tuning
from msma.tuning.space import SPACE, Logarithmic, OneOf, Range
from msma.tuning.trials import OBJECTIVES, Budget
from msma.tuning.tune import tune

__all__ = [
    "OBJECTIVES",
    "SPACE",
    "Budget",
    "Logarithmic",
    "OneOf",
    "Range",
    "Recommendation",
    "Trial",
    "Tuning",
    "tune",
]
