"""The three scales of a model: how its layers are divided, how that was found, and what represents each."""

from msma.scales.finding import Method, find_scales
from msma.scales.partition import ScalePartition, Signal, published_partition
from msma.scales.representation import Basis, Reduction, ScaleRepresentation
from msma.scales.signals import best_split, cka_matrix, kernel_costs

__all__ = [
    "Basis",
    "Method",
    "Reduction",
    "ScalePartition",
    "ScaleRepresentation",
    "Signal",
    "best_split",
    "cka_matrix",
    "find_scales",
    "kernel_costs",
    "published_partition",
]
