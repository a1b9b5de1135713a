"""Shapes whose answer is known, with intervals that hold it."""

import numpy as np
import pytest

from msma.errors import ShapeError
from msma.manifold import describe_manifold
from msma.scales import ScalePartition, ScaleRepresentation
from msma.states import HiddenStates

PLAIN = ScaleRepresentation(ScalePartition.thirds(3))


@pytest.fixture(scope="module")
def shape():
    rng = np.random.default_rng(0)
    sphere = rng.normal(size=(1500, 3))
    sphere = 2 * sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    plane = rng.uniform(size=(1500, 2)) @ np.linalg.qr(rng.normal(size=(6, 2)))[0].T
    ball = rng.normal(size=(1500, 6))
    return describe_manifold(
        HiddenStates.from_arrays(np.stack([np.pad(sphere, ((0, 0), (0, 3))), plane, ball])), PLAIN
    )


@pytest.mark.parametrize(("scale", "dimension"), [("local", 2), ("intermediate", 2), ("global", 6)])
def test_intrinsic_dimension(shape, scale, dimension):
    for metric in ("dimension_twonn", "dimension_mle_10", "dimension_mle_20"):
        row = shape.row(metric, target=scale)
        assert row.value == pytest.approx(dimension, rel=0.2)
        assert row.low < row.value < row.high


def test_participation_ratio_counts_directions(shape):
    assert shape.value("participation_ratio", target="local") == pytest.approx(3, abs=0.05)
    assert shape.value("participation_ratio", target="intermediate") == pytest.approx(2, abs=0.1)
    assert shape.value("participation_ratio", target="global") == pytest.approx(6, abs=0.15)


def test_norm_isotropy_and_curvature(shape):
    assert shape.value("mean_norm", target="local") == pytest.approx(2.0)
    assert shape.value("isotropy", target="global") > shape.value("isotropy", target="intermediate")
    row = shape.row("curvature", target="local")
    assert row.value == pytest.approx(0.5, abs=0.05)
    flat = shape.row("curvature", target="intermediate")
    assert abs(flat.value) < 0.05
    assert shape.row("curvature", target="local").units == "1/norm"


def test_too_few_samples():
    with pytest.raises(ShapeError, match="7 samples came"):
        describe_manifold(HiddenStates.from_arrays(np.random.default_rng(0).normal(size=(3, 7, 4))), PLAIN)


def test_a_cloud_that_fills_its_space_has_no_curvature_and_says_so(rng):
    states = HiddenStates.from_arrays(rng.normal(size=(3, 60, 1)))
    row = describe_manifold(states, PLAIN).row("curvature", target="local")
    assert row.value is None
    assert row.note
