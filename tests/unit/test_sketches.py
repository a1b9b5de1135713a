"""Sketches of layers tell how similar they are, without bias, and any division of the samples gives the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msma.errors import ConfigError, ShapeError
from msma.scales.signals import cka_matrix
from msma.sketches import LayerSketch, projections


def residual_stream(rng, *, n=1500, d=96, n_layers=8, far=0.0):
    """Layers that drift away from each other, a few directions carrying most of the variance, about a far mean."""
    spread = np.arange(1.0, d + 1) ** -0.5
    x = rng.normal(size=(n, d)) * spread @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    mean = far * np.sqrt((spread**2).sum() / d) * rng.normal(size=d)
    layers = [x]
    for _ in range(n_layers - 1):
        x = x + 0.5 * np.tanh(3 * x) @ rng.normal(size=(d, d)) / np.sqrt(d)
        layers.append(x)
    return (np.stack(layers) + mean).astype(np.float32)


def whole_cka(states):
    """Debiased CKA of all layers from all dimensions."""
    centred = states.astype(np.float64)
    centred -= centred.mean(axis=1, keepdims=True)
    return cka_matrix(centred @ centred.transpose(0, 2, 1))


@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_similarity_is_that_of_whole_states(rng, far):
    states = residual_stream(rng, far=far)
    truth = whole_cka(states)
    assert truth.min() < 0.7  # there is something to tell apart
    errors = np.array([LayerSketch.from_batch(states, seed=seed).cka() - truth for seed in range(4)])
    assert np.abs(errors).max() < 0.08
    assert np.sqrt((errors**2).mean()) < 0.025


def test_numerators_are_unbiased(rng):
    n, d, width, n_draws = 30, 12, 6, 3000
    mixing = rng.normal(size=(3, d, d)) * np.arange(1.0, d + 1) ** -0.5
    mixing[2] = 0.3 * mixing[0] + rng.normal(size=(d, d))
    # layer l is z mixing[l] of standard normal z, so the cross-covariances are known
    truth = np.array([[((a.T @ b) ** 2).sum() for b in mixing] for a in mixing])
    found, naive = np.empty((n_draws, 3, 3)), np.empty((n_draws, 3, 3))
    for draw in range(n_draws):
        states = rng.normal(size=(n, d)) @ mixing + 5.0
        sketch = LayerSketch.from_batch(states, width=width, seed=draw)
        found[draw] = sketch.hsic()
        naive[draw] = np.einsum("lamb,lamb->lm", sketch.cross, sketch.cross) / (n - 1) ** 2
    error = found.std(axis=0) / np.sqrt(n_draws)
    assert (np.abs(found.mean(axis=0) - truth) < 3 * error).all()
    # what is taken away is not nothing: without it every one of them would be far off
    assert (np.abs(naive.mean(axis=0) - truth) > 6 * error).all()


def test_layers_that_share_nothing_are_at_zero(rng):
    states = rng.normal(size=(2, 4000, 20))
    found = np.array([LayerSketch.from_batch(states, width=16, seed=seed).cka()[0, 1] for seed in range(40)])
    assert abs(found.mean()) < 0.01


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 59), max_size=6), st.integers(0, 100))
def test_any_division_of_the_samples_gives_the_same(cuts, seed):
    states = np.random.default_rng(seed).normal(size=(3, 60, 5)) + 100.0
    whole = LayerSketch.from_batch(states, width=4, seed=seed)
    parts = [part for part in np.split(states, sorted(set(cuts)), axis=1) if part.shape[1]]
    first, *rest = (LayerSketch.from_batch(part, width=4, seed=seed) for part in parts)
    for part in rest:
        first = first + part
    for name, array in whole.to_arrays().items():
        np.testing.assert_allclose(first.to_arrays()[name], array, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(first.cka(), whole.cka(), atol=1e-9)


def test_projected_elsewhere_is_the_same(rng):
    states = rng.normal(size=(3, 40, 6)).astype(np.float32)
    first, second = projections(6, width=5, seed=2)
    elsewhere = LayerSketch.from_projected(states @ first, states @ second, seed=2)
    assert (elsewhere.n_layers, elsewhere.width) == (3, 5)
    np.testing.assert_allclose(
        elsewhere.cka(), LayerSketch.from_batch(states, width=5, seed=2).cka(), atol=1e-5
    )


def test_projections_depend_on_the_seed_alone():
    first, second = projections(2000, width=50, seed=3)
    assert first.dtype == np.float32
    assert np.array_equal(first, projections(2000, width=50, seed=3)[0])
    assert not np.array_equal(first, projections(2000, width=50, seed=4)[0])
    assert abs(first.var() * 50 - 1) < 0.02
    assert abs((first * second).mean()) * 50 < 4 / np.sqrt(first.size)


def test_arrays_and_back(rng):
    sketch = LayerSketch.from_batch(rng.normal(size=(3, 20, 4)), width=3, seed=5)
    again = LayerSketch.from_arrays(sketch.to_arrays())
    assert (again.n, again.seed, again.width) == (20, 5, 3)
    assert np.array_equal(again.cka(), sketch.cka())
    arrays = sketch.to_arrays()
    del arrays["cross"]
    with pytest.raises(ShapeError, match="without cross"):
        LayerSketch.from_arrays(arrays)


def test_errors_say_what_to_do(rng):
    states = rng.normal(size=(3, 20, 4))
    sketch = LayerSketch.from_batch(states, width=3)
    with pytest.raises(ShapeError, match="sketches of 3 and 2 layers"):
        sketch + LayerSketch.from_batch(states[:2], width=3)
    with pytest.raises(ConfigError, match=r"width and seed \(3, 0\) and \(3, 1\)"):
        sketch + LayerSketch.from_batch(states, width=3, seed=1)
    with pytest.raises(ConfigError, match=r"\(3, 0\) and \(2, 0\)"):
        sketch + LayerSketch.from_batch(states, width=2)
    with pytest.raises(ConfigError, match="give at least 1"):
        projections(4, width=0)
    with pytest.raises(ShapeError, match="expected 3 dimensions"):
        LayerSketch.from_batch(states[0])
    with pytest.raises(ShapeError, match="expected two equal ones"):
        LayerSketch.from_projected(states, states[:, :5])
    with pytest.raises(ShapeError, match="expected two equal ones"):
        LayerSketch.from_projected(states[:, :0], states[:, :0])
    broken, constant = states.copy(), states.copy()
    broken[1, 2, 3], constant[1] = np.nan, 1.0
    with pytest.raises(ShapeError, match="layer 1 holds NaN at row 2, column 3"):
        LayerSketch.from_batch(broken)
    with pytest.raises(ShapeError, match="at least 3"):
        LayerSketch.from_batch(states[:, :2]).cka()
    with pytest.raises(ShapeError, match="layer 1 does not vary"):
        LayerSketch.from_batch(constant).cka()
    with pytest.raises(ShapeError, match="build it with"):
        LayerSketch.from_arrays({**sketch.to_arrays(), "n": np.array(0)})
