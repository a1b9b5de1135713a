"""An experiment whose effects are planted: no model, every kind of verdict, texts that try to be markup."""

import numpy as np

from msma._types import SCALES
from msma.experiment import Experiment
from msma.experiment.design import Cell
from msma.experiment.effects import Measured, Outcome, compute_effects
from msma.experiment.experiment import Sample

_MEASURES = {
    "mtld": Measured("lexical diversity", "1"),
    "coherence": Measured("coherence", "1"),
    "sentence_count": Measured("sentences", "1"),
}
_N_PROMPTS, _N_SEEDS = 12, 2


def make_experiment(*, strengths=(0.1, 0.2), kinds=("scaling", "noise")):
    """Make effects that grow with strength at the global scale and are nothing elsewhere."""
    rng = np.random.default_rng(0)
    shape = (_N_PROMPTS, _N_SEEDS)
    clean = {name: rng.normal(3.0, 0.3, size=shape) for name in _MEASURES}
    outcomes = []
    for scale in SCALES:
        for kind in kinds:
            for strength in strengths:
                shift = 8.0 * strength if scale == "global" else 0.0
                treated = {name: values + rng.normal(shift, 0.1, shape) for name, values in clean.items()}
                control = {name: values + rng.normal(0.0, 0.1, shape) for name, values in clean.items()}
                cell = Cell(scale, kind, strength, (0, 1))
                outcomes.append(Outcome(cell, strength, strength, treated, control, None))
    samples = tuple(
        Sample(
            scale,
            "scaling",
            0.2,
            "The sea <b>was</b>",
            0,
            "calm that day",
            "<script>alert(1)</script>",
            "calm, mostly",
        )
        for scale in SCALES
    )
    provenance = {
        "model": "gpt2",
        "revision": None,
        "architecture": "gpt2",
        "n_layers": 13,
        "n_prompts": _N_PROMPTS,
        "seeds": list(range(_N_SEEDS)),
        "measures": {name: measured.label for name, measured in _MEASURES.items()},
        "head": "causal",
        "left_out": [],
    }
    return Experiment(tuple(compute_effects(clean, outcomes, _MEASURES)), samples, provenance)
