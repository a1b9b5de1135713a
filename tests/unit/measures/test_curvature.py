"""Curvature of surfaces whose curvature is known."""

import numpy as np
import pytest
import torch

from msma.errors import ConfigError, ShapeError
from msma.measures.curvature import curvature
from truths import flat, sphere


@pytest.mark.parametrize("radius", [0.5, 1.0, 20.0])
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_a_sphere_bends_by_one_over_its_radius(rng, dimension, radius):
    found = curvature(sphere(rng, 3000, dimension, radius=radius, width=8), dimension=dimension)
    assert found.value * radius == pytest.approx(1, rel=0.07)
    assert found.dimension == dimension


def test_bias_grows_as_the_docstring_says(rng):
    found = curvature(sphere(rng, 1000, 2), dimension=2, k=100)
    assert found.value == pytest.approx(1 + found.radius**2 / 2, abs=0.03)


def test_a_cylinder_bends_in_one_direction_of_two(rng):
    angle, height = rng.uniform(0, 2 * np.pi, 4000), rng.uniform(-1, 1, 4000)
    cylinder = np.stack([np.cos(angle), np.sin(angle), height], axis=1)
    assert curvature(cylinder, dimension=2).value == pytest.approx(np.sqrt(1 / 2), rel=0.1)


def test_a_plane_does_not_bend(rng):
    assert curvature(flat(rng, 1000, 2, width=6), dimension=2).value == pytest.approx(0, abs=1e-6)


def test_noise_is_not_taken_for_bending(rng):
    values = [curvature(flat(rng, 800, 2, width=10, noise=0.05), dimension=2, k=80) for _ in range(10)]
    assert min(found.value for found in values) < 0  # not clipped
    for found in values:
        assert abs(found.value) < 4 * found.standard_error


def test_standard_error_covers_a_noisy_sphere(rng):
    values = [curvature(sphere(rng, 2000, 2, width=10, noise=0.02), dimension=2, k=60) for _ in range(6)]
    inside = [found.interval[0] < 1 < found.interval[1] for found in values]
    assert sum(inside) >= 5


def test_dimension_is_estimated_when_left_out(rng):
    found = curvature(sphere(rng, 1500, 2, width=6))
    assert (found.dimension, found.k) == (2, 12)
    assert found.value == pytest.approx(1, rel=0.1)


def test_units_are_one_over_length_and_seed_fixes_the_rest(rng):
    points = sphere(rng, 600, 2)
    assert curvature(100 * points, seed=1).value == pytest.approx(curvature(points, seed=1).value / 100)
    assert curvature(torch.from_numpy(points)) == curvature(points)


def test_refusals(rng):
    points = sphere(rng, 200, 2, width=3)
    with pytest.raises(ConfigError, match="dimension=3 came for states 3 wide"):
        curvature(points, dimension=3)
    with pytest.raises(ConfigError, match=r"k=6 came; a quadratic in 2 dimensions needs more than 6"):
        curvature(points, dimension=2, k=6)
    with pytest.raises(ShapeError, match="10 samples came"):
        curvature(points[:10], dimension=2)
    line = np.hstack([rng.normal(size=(200, 1)), np.zeros((200, 3))])
    with pytest.raises(ShapeError, match="fewer than dimension=2 directions"):
        curvature(line, dimension=2)
    with pytest.raises(ConfigError, match="1 wide"):
        curvature(rng.normal(size=(50, 1)))
