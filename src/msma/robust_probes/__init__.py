"""Classification from states that is to withstand perturbed input, and an honest account of whether it does."""

from msma.robust_probes.abstention import (
    AbstentionCurve,
    abstention_curve,
    area_difference,
    area_under_risk,
    selective_risks,
)
from msma.robust_probes.comparing import compare_probes
from msma.robust_probes.consistency import disagreement
from msma.robust_probes.consistent import ConsistentProbe
from msma.robust_probes.ensemble import ScaleEnsemble
from msma.robust_probes.gates import compare_gates, gate_scores
from msma.robust_probes.labelled import LabelledStates
from msma.robust_probes.plain import PlainProbe

__all__ = [
    "AbstentionCurve",
    "ConsistentProbe",
    "LabelledStates",
    "PlainProbe",
    "ScaleEnsemble",
    "abstention_curve",
    "area_difference",
    "area_under_risk",
    "compare_gates",
    "compare_probes",
    "disagreement",
    "gate_scores",
    "selective_risks",
]
