"""How a perturbation moves a model's states, how to notice it, and how to withstand it."""

from msma.robustness.audit import DEFAULT_PERTURBATIONS, audit_robustness, choose_perturbations
from msma.robustness.displacement import displacement_rows, measure_move
from msma.robustness.record import CAUTIONS, RobustnessAudit
from msma.robustness.texts import foreign_texts, gather_texts

__all__ = [
    "CAUTIONS",
    "DEFAULT_PERTURBATIONS",
    "RobustnessAudit",
    "audit_robustness",
    "choose_perturbations",
    "displacement_rows",
    "foreign_texts",
    "gather_texts",
    "measure_move",
]
