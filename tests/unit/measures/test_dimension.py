"""Intrinsic dimension on clouds whose dimension is known, and the neighbours it is read from."""

import numpy as np
import pytest
import torch

from msma.errors import ConfigError, ShapeError
from msma.measures import neighbours
from msma.measures.dimension import dimension_profile, mle_dimension, twonn_dimension
from msma.measures.neighbours import nearest_neighbours, neighbour_distances
from truths import flat, sphere


@pytest.mark.parametrize("dimension", [1, 2, 4])
@pytest.mark.parametrize("make", [flat, sphere])
def test_low_dimensions_are_read_right(rng, make, dimension):
    points = make(rng, 2000, dimension, width=20)
    assert twonn_dimension(points) == pytest.approx(dimension, rel=0.1)
    assert mle_dimension(points, k=10) == pytest.approx(dimension, rel=0.1)


def test_twonn_is_unbiased_where_ratios_follow_the_law(rng):
    # On a circle the two nearest of n uniform points have exactly the ratios the estimate assumes.
    values = [twonn_dimension(sphere(rng, 60, 1)) for _ in range(200)]
    assert abs(np.mean(values) - 1) < 4 * np.std(values) / np.sqrt(200) + 0.02


def test_discarding_tames_outliers(rng):
    points = flat(rng, 500, 2, width=5)
    points[:20] += 1e-7 * rng.normal(size=(20, 5)) + points[20:40] - points[:20]  # twenty near-twins
    assert twonn_dimension(points, discard=0.2) == pytest.approx(2, rel=0.2)
    assert twonn_dimension(points) > twonn_dimension(points, discard=0.0)


def test_profile_finds_noise_at_small_scales(rng):
    points = flat(rng, 2000, 1, width=6, noise=0.01)
    profile = dimension_profile(points, neighbours=(5, 200))
    assert list(profile) == [5, 200]
    assert profile[5] > 2 * profile[200]
    assert profile[200] == mle_dimension(points, k=200)


def test_repeated_samples_are_dropped(rng):
    points = flat(rng, 300, 2)
    repeated = np.concatenate([points, points[:100], points[:50] + 1e-9])
    assert twonn_dimension(repeated) == pytest.approx(twonn_dimension(points), abs=1e-6)
    _, _, kept = neighbour_distances(torch.from_numpy(repeated), k=3)
    assert kept.tolist() == list(range(300))


def test_many_copies_of_one_sample_are_dropped(rng):
    points = np.concatenate([np.zeros((40, 3)), rng.normal(size=(20, 3))])
    distances, near, kept = neighbour_distances(torch.from_numpy(points), k=2)
    assert kept.tolist() == [0, *range(40, 60)]
    assert bool((distances > 0).all())
    assert near.shape == distances.shape == (21, 2)


def test_distances_belong_to_their_neighbours_and_are_sorted(rng):
    points = torch.from_numpy(rng.normal(size=(200, 4)) + 1e3)
    distances, near, _ = neighbour_distances(points, k=7)
    own = torch.linalg.vector_norm(points[:, None] - points[near], dim=2)
    torch.testing.assert_close(distances, own)
    assert bool((distances.diff(dim=1) >= 0).all())


def test_blocks_change_nothing(rng, monkeypatch):
    points = torch.from_numpy(rng.normal(size=(101, 4)))
    whole = neighbour_distances(points, k=5)
    monkeypatch.setattr(neighbours, "_BLOCK", 10)
    monkeypatch.setattr(neighbours, "_GATHERED", 1)
    for first, second in zip(whole, neighbour_distances(points, k=5), strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize("measure", [twonn_dimension, lambda x: mle_dimension(x, k=5)])
def test_gradients_are_right(rng, measure):
    points = torch.tensor(rng.normal(size=(20, 3)), requires_grad=True)
    assert isinstance(measure(points), torch.Tensor)
    assert torch.autograd.gradcheck(measure, (points,))


def test_refusals(rng):
    points = rng.normal(size=(30, 3))
    with pytest.raises(ConfigError, match=r"discard=1\.0 came"):
        twonn_dimension(points, discard=1.0)
    with pytest.raises(ConfigError, match=r"neighbours=\(1, 5\) came"):
        dimension_profile(points, neighbours=(1, 5))
    with pytest.raises(ConfigError, match=r"neighbours=\(\) came"):
        dimension_profile(points, neighbours=())
    with pytest.raises(ShapeError, match="30 samples came, fewer than 31 of them different; 29 neighbours"):
        mle_dimension(points, k=29)
    with pytest.raises(ShapeError, match="30 samples came, fewer than 4 of them"):
        twonn_dimension(np.ones((30, 3)))
    with pytest.raises(ShapeError, match="a lattice"):
        twonn_dimension(np.eye(6))
    with pytest.raises(ShapeError, match="k=30 neighbours were asked of 30"):
        nearest_neighbours(torch.from_numpy(points), k=30)
