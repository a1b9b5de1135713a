"""Steering for use: move what a model writes towards some texts, at the scale and strength that cost least."""

from msma.steering.demonstration import DEMONSTRATIONS
from msma.steering.judging import Judge
from msma.steering.points import Point, Sample
from msma.steering.record import Steering
from msma.steering.steer import steer

__all__ = ["DEMONSTRATIONS", "Judge", "Point", "Sample", "Steering", "steer"]
