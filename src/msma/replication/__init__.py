"""The published protocol, computed as it is meant: a language model fine-tuned so that its scales align."""

from msma.replication.arms import ARMS, Kept
from msma.replication.collapse import Collapse, detect_collapse
from msma.replication.config import JointTrainingConfig
from msma.replication.measurement import Measurement
from msma.replication.measuring import measure_briefly, measure_joint
from msma.replication.model import JointModel
from msma.replication.quirks import Quirks
from msma.replication.reading import read_scales
from msma.replication.record import Cell, Replication
from msma.replication.replication import replicate
from msma.replication.run import train_jointly
from msma.replication.samples import DEFAULT_LABELS
from msma.replication.scale_map import ScaleMap
from msma.replication.trained import TrainedArm

__all__ = [
    "ARMS",
    "DEFAULT_LABELS",
    "Cell",
    "Collapse",
    "JointModel",
    "JointTrainingConfig",
    "Kept",
    "Measurement",
    "Quirks",
    "Replication",
    "ScaleMap",
    "TrainedArm",
    "detect_collapse",
    "measure_briefly",
    "measure_joint",
    "read_scales",
    "replicate",
    "train_jointly",
]
