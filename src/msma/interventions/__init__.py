"""Act on one scale of a model while it runs: translation, scaling, noise, attention, replacement, erasure."""

from msma.interventions.calibration import Matched, control_layers, match_strength, relative_norm
from msma.interventions.context import Acting, intervene
from msma.interventions.directions import Direction
from msma.interventions.erasure import AffineProjection, Erasure
from msma.interventions.operations import (
    AttentionOperation,
    HeadRemoval,
    Noise,
    Operation,
    Scaling,
    StateOperation,
    Temperature,
    Translation,
)
from msma.interventions.passes import Region
from msma.interventions.replacement import Replacement

__all__ = [
    "Acting",
    "AffineProjection",
    "AttentionOperation",
    "Direction",
    "Erasure",
    "HeadRemoval",
    "Matched",
    "Noise",
    "Operation",
    "Region",
    "Replacement",
    "Scaling",
    "StateOperation",
    "Temperature",
    "Translation",
    "control_layers",
    "intervene",
    "match_strength",
    "relative_norm",
]
