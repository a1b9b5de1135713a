"""Every term's gradient, as it enters the loss, beside finite differences; and that cutting a batch changes nothing."""

import pytest
import torch

from joint_inputs import make_joint, small
from msma.models.accelerating import Processes
from msma.replication import Quirks
from msma.replication.steps import BatchStep

ONLY = {
    "geo": {"lambda_geo": 0.7, "lambda_info": 0.0, "lambda_curv": 0.0},
    "info": {"lambda_geo": 0.0, "lambda_info": 0.7, "lambda_curv": 0.0},
    "curv": {"lambda_geo": 0.0, "lambda_info": 0.0, "lambda_curv": 0.7},
    "none": {"lambda_geo": 0.0, "lambda_info": 0.0, "lambda_curv": 0.0},
    "all": {},
}
CASES = [
    ("none", {}),
    ("geo", {}),
    ("info", {}),
    ("info", {"estimator": "nwj"}),
    ("info", {"estimator": "mine"}),
    ("curv", {}),
    ("all", {}),
    ("info", {"quirks": Quirks(unshuffled_marginals=True)}),
    ("curv", {"quirks": Quirks(parameter_norm=True)}),
    ("all", {"quirks": Quirks.published()}),
    ("geo", {"quirks": Quirks(undivided_geometry=True)}),
    ("geo", {"quirks": Quirks(unmapped_geometry=True)}),
    ("all", {"quirks": Quirks(undivided_geometry=True, unmapped_geometry=True)}),
]


def make_step(name="gpt2", **changes):
    config = small(**{"start": "random", **changes})
    joint, objective, samples = make_joint(config, name=name)
    return joint, objective, BatchStep(joint, objective, samples, config=config, processes=Processes())


def run(joint, objective, step, batch):
    joint.zero_grad(set_to_none=True)
    objective.averages = [None, None]
    return step.run(batch, step=3)


def differences(joint, objective, step, batch, parameters, *, seed, size=1e-6):
    """Slope of the loss along a random direction: from gradients, and from two losses."""
    run(joint, objective, step, batch)
    generator = torch.Generator().manual_seed(seed)
    directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    slope = sum(
        float((p.grad * d).sum()) for p, d in zip(parameters, directions, strict=True) if p.grad is not None
    )
    losses = []
    for sign in (1, -2):
        with torch.no_grad():
            for p, d in zip(parameters, directions, strict=True):
                p += sign * size * d
        losses.append(float(run(joint, objective, step, batch)["loss"]))
    with torch.no_grad():
        for p, d in zip(parameters, directions, strict=True):
            p += size * d
    return slope, (losses[0] - losses[1]) / (2 * size)


@pytest.mark.parametrize(("term", "changes"), CASES)
def test_gradients_are_those_of_finite_differences(term, changes):
    joint, objective, step = make_step(**ONLY[term], **changes)
    batch = torch.arange(7)
    # Of the model alone, then of what is trained beside it.
    for parameters in (list(joint.backbone.parameters()), [p for _, p in joint.named_additions()]):
        for seed in (1, 2):
            slope, found = differences(joint, objective, step, batch, parameters, seed=seed)
            assert slope == pytest.approx(found, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("term", ["geo", "info", "curv"])
def test_every_term_reaches_the_model(term):
    gradients = {}
    for name in ("none", term):
        joint, objective, step = make_step(**ONLY[name])
        run(joint, objective, step, torch.arange(8))
        gradients[name] = torch.cat(
            [p.grad.flatten() for p in joint.backbone.parameters() if p.grad is not None]
        )
    assert float((gradients[term] - gradients["none"]).abs().max()) > 1e-6


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5-encoder", "llama"])
@pytest.mark.parametrize("cut", [{"micro_batch": 2}, {"micro_batch": 3, "recompute": True}])
def test_a_cut_batch_gives_the_gradient_of_the_whole(name, cut):
    found = {}
    for what, changes in (("whole", {"micro_batch": None}), ("cut", cut)):
        joint, objective, step = make_step(name, **changes)
        parts = run(joint, objective, step, torch.arange(8))
        found[what] = parts["loss"], {n: p.grad for n, p in joint.named_parameters() if p.grad is not None}
    assert torch.allclose(found["whole"][0], found["cut"][0], rtol=1e-10)
    assert found["whole"][1].keys() == found["cut"][1].keys()
    for key, gradient in found["whole"][1].items():
        assert torch.allclose(gradient, found["cut"][1][key], rtol=1e-7, atol=1e-9), key
