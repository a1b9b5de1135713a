"""Ablation of the three-term objective: which term does the work, and which does none."""

from msma.ablation.arms import ARMS, Arm, ablate
from msma.ablation.rows import Cell, ablation_rows, tell_ablation

__all__ = ["ARMS", "Arm", "Cell", "ablate", "ablation_rows", "tell_ablation"]
