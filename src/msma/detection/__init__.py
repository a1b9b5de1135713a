"""Find perturbed and foreign input by what scales of a model say about each other, beside the usual baselines."""

from msma.detection.base import BaseDetector
from msma.detection.baselines import (
    MahalanobisDetector,
    NeighbourDetector,
    RarityDetector,
    SurpriseDetector,
)
from msma.detection.calibration import ConformalCalibration
from msma.detection.comparing import compare_detectors
from msma.detection.curves import aupr, auroc, fpr_at_tpr
from msma.detection.detector import AnomalyDetector, stack_scales
from msma.detection.residuals import CrossScaleResiduals
from msma.detection.text_detector import TextDetector

__all__ = [
    "AnomalyDetector",
    "BaseDetector",
    "ConformalCalibration",
    "CrossScaleResiduals",
    "MahalanobisDetector",
    "NeighbourDetector",
    "RarityDetector",
    "SurpriseDetector",
    "TextDetector",
    "aupr",
    "auroc",
    "compare_detectors",
    "fpr_at_tpr",
    "stack_scales",
]
