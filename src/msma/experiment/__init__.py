"""The intervention experiment: what disturbing one scale does to what a model writes, beside its control."""

from msma.experiment.design import KINDS, Cell, make_design
from msma.experiment.effects import Effect
from msma.experiment.embedding import sentence_embedder
from msma.experiment.experiment import Experiment, Sample
from msma.experiment.masked import MASKED_MEASURES
from msma.experiment.published import PUBLISHED, PublishedEffect, compare_published
from msma.experiment.run import run_experiment

__all__ = [
    "KINDS",
    "MASKED_MEASURES",
    "PUBLISHED",
    "Cell",
    "Effect",
    "Experiment",
    "PublishedEffect",
    "Sample",
    "compare_published",
    "make_design",
    "run_experiment",
    "sentence_embedder",
]
