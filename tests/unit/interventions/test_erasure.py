"""An erasure takes out what its projections read, and refuses what does not fit."""

import numpy as np
import pytest
import torch

from language import loaded_model
from msma.errors import ConfigError, ScaleError, ShapeError
from msma.interventions import AffineProjection, Erasure, intervene
from msma.scales import ScalePartition

D = 6


def part(d=D, k=2, seed=0):
    rng = np.random.default_rng(seed)
    return AffineProjection(rng.normal(size=d), rng.normal(size=(d, k)), rng.normal(size=(k, d)))


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 2.0, -1.0])
def test_states_are_those_of_the_formula(strength):
    mean, left, right = part()
    states = torch.randn(3, 4, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).float()
    found = Erasure({2: part()}, strength).apply(states, 2, None).numpy()
    for row in range(3):
        for token in range(4):
            h = states[row, token].numpy().astype(np.float64)
            np.testing.assert_allclose(
                found[row, token], h - strength * left @ (right @ (h - mean)), atol=1e-5
            )


def test_layers_that_are_not_named_are_left_as_they_are():
    states = torch.randn(1, 2, D)
    assert Erasure({2: part()}).apply(states, 1, None) is states


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_precision_that_came_goes(dtype):
    states = torch.randn(1, 2, D).to(dtype)
    found = Erasure({0: part()}).apply(states, 0, None)
    assert found.dtype == dtype
    expected = Erasure({0: part()}).apply(states.float(), 0, None)
    assert torch.allclose(found.float(), expected, rtol=2e-2, atol=2e-2)


def test_only_strength_zero_does_nothing():
    assert Erasure({0: part()}, 0.0).is_identity
    assert not Erasure({0: part()}, 0.5).is_identity
    assert not Erasure({0: part()}).is_identity


mean, left, right = part()
nan, infinite = right.copy(), mean.copy()
nan[0, 0], infinite[1] = np.nan, np.inf


@pytest.mark.parametrize(
    ("projection", "message"),
    [
        (AffineProjection(mean, left.T, right), r"shapes \(6,\), \(2, 6\), \(2, 6\) came for layer 1"),
        (
            AffineProjection(mean, left, right[:1]),
            r"expected \(d_model,\), \(d_model, k\) and \(k, d_model\)",
        ),
        (AffineProjection(mean[:5], left, right), "came for layer 1"),
        (AffineProjection(np.ones((D, D)), left, right), "came for layer 1"),
        (AffineProjection(mean, left[:, 0], right[0]), "came for layer 1"),
        (AffineProjection(mean, left, nan), "layer 1 has entries that are not finite"),
        (AffineProjection(infinite, left, right), "not finite"),
    ],
)
def test_projections_that_do_not_fit_are_told(projection, message):
    with pytest.raises(ShapeError, match=message):
        Erasure({0: part(), 1: projection})


def test_projections_of_several_widths_are_told():
    with pytest.raises(ShapeError, match="width"):
        Erasure({0: part(), 1: part(d=5)})


def test_an_erasure_without_layers_is_told():
    with pytest.raises(ConfigError, match="without a layer"):
        Erasure({})


@pytest.mark.parametrize("strength", [np.inf, -np.inf, np.nan])
def test_a_strength_that_is_not_finite_is_told(strength):
    with pytest.raises(ConfigError, match="strength"):
        Erasure({0: part()}, strength)


def test_models_of_another_width_or_depth_are_refused():
    loaded = loaded_model("gpt2")
    d = loaded.network.config.n_embd
    with (
        pytest.raises(ShapeError, match=f"width 6 up to layer entry 1 came for a model of width {d}"),
        intervene(loaded, None, [1], Erasure({1: part()})),
    ):
        pass
    deep = Erasure({1: part(d), 9: part(d)})
    with pytest.raises(ShapeError, match="entries 0 to 4"), intervene(loaded, None, [1], deep):
        pass
    with pytest.raises(ScaleError), intervene(loaded, None, [9], deep):
        pass


def test_it_acts_in_the_layers_of_the_scale_alone():
    loaded = loaded_model("gpt2")
    d = loaded.network.config.n_embd
    ids = torch.tensor([[5, 6, 7, 8]])
    erasure = Erasure({k: AffineProjection(np.zeros(d), np.eye(d)[:, :3], np.eye(d)[:3]) for k in range(5)})
    with torch.no_grad():
        before = loaded.network(ids, output_hidden_states=True).hidden_states
        partition = ScalePartition(n_layers=5, boundaries=(2, 4))
        with intervene(loaded, partition, "intermediate", erasure, is_measured=True) as acting:
            after = loaded.network(ids, output_hidden_states=True).hidden_states
    assert all(torch.equal(before[k], after[k]) for k in (0, 1))
    assert all(bool((after[k][..., :3].abs() < 1e-6).all()) for k in (2, 3))
    assert not bool((after[4][..., :3].abs() < 1e-6).all())
    taken = before[2][..., :3].norm(dim=-1) / before[2].norm(dim=-1)
    assert acting.relative_norms[2] == pytest.approx(float(taken.square().mean().sqrt()), rel=1e-5)
