"""Displacement: known on Gaussian states, in the units of natural variation, with an interval that holds it."""

import numpy as np
import pytest

from msma.errors import ScaleError, ShapeError
from msma.robustness.displacement import displacement_rows, measure_move
from msma.scales import ScalePartition
from msma.states import HiddenStates

PARTITION = ScalePartition.thirds(3)


def moved_states(sizes, n=300, d=20, seed=0, units=(1.0, 1.0, 1.0)):
    """Layers of independent Gaussian states; moved by noise of a size a layer, in units a layer."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(3, n, d))
    after = z + np.asarray(sizes)[:, None, None] * rng.normal(size=z.shape)
    scale = np.asarray(units)[:, None, None]
    return HiddenStates.from_arrays(scale * z), HiddenStates.from_arrays(scale * after)


def rows_of(*args, **options):
    rows = displacement_rows(*moved_states(*args, **options), PARTITION, name="noise", strength=0.1)
    return {(row.metric, row.source, row.target, row.layer): row for row in rows}


def test_noise_moves_by_its_size_over_the_distance_of_two_texts():
    sizes = (0.1, 0.4, 1.2)
    rows = rows_of(sizes)
    for layer, size in enumerate(sizes):
        assert rows["displacement", None, PARTITION.scale_of(layer), layer].value == pytest.approx(
            size / np.sqrt(2), rel=0.03
        )
    assert rows["amplification", "local", "intermediate", None].value == pytest.approx(4.0, rel=0.05)
    assert rows["amplification", "intermediate", "global", None].value == pytest.approx(3.0, rel=0.05)
    assert rows["amplification", "local", "global", None].value == pytest.approx(12.0, rel=0.05)
    assert {row.map for row in rows.values()} == {"noise 0.1"}


def test_units_of_a_layer_do_not_matter():
    one, other = rows_of((0.1, 0.4, 1.2)), rows_of((0.1, 0.4, 1.2), units=(1.0, 1000.0, 1e-3))
    for key, row in one.items():
        assert row.value == pytest.approx(other[key].value, rel=1e-4)


def test_a_text_exchanged_for_another_moves_by_one():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(3, 2000, 10)).astype(np.float32)
    order = np.roll(np.arange(2000), 1)
    states = HiddenStates.from_arrays(z), HiddenStates.from_arrays(z[:, order])
    rows = displacement_rows(*states, PARTITION, name="other", strength=1.0)
    assert all(row.value == pytest.approx(1.0, abs=0.01) for row in rows)


@pytest.mark.slow
def test_intervals_hold_the_truth():
    held = 0
    for seed in range(100):
        row = rows_of((0.3, 0.3, 0.3), n=80, seed=seed)["displacement", None, "local", 0]
        held += row.low <= 0.3 / np.sqrt(2) <= row.high
    assert held >= 86  # 95 % of 100, less four standard errors


def test_nothing_moved_is_zero_and_has_no_amplification():
    rows = rows_of((0.0, 0.0, 0.5))
    assert rows["displacement", None, "local", None].value == 0.0
    row = rows["amplification", "local", "intermediate", None]
    assert row.value is None
    assert "nothing moves" in row.note


def test_rounding_is_no_move():
    z = np.random.default_rng(0).normal(size=(50, 4))
    assert not measure_move(z, z + 1e-7).moved.any()
    assert measure_move(z, z + 1e-3).moved.all()


def test_the_natural_variation_is_unbiased():
    rng = np.random.default_rng(0)
    found = [measure_move(z, z).apart.mean() for z in rng.normal(size=(500, 4, 3))]
    assert np.mean(found) == pytest.approx(
        6.0, rel=0.05
    )  # two Gaussians of three dimensions are apart by 2 x 3


def test_mistakes_are_told():
    z = np.ones((4, 2))
    with pytest.raises(ShapeError, match="same state"):
        measure_move(z, z)
    with pytest.raises(ShapeError, match="the same shape"):
        measure_move(z, z[:3])
    clean, after = moved_states((0.1, 0.1, 0.1), n=10)
    with pytest.raises(ScaleError, match="5 layer entries came for states of 3"):
        displacement_rows(clean, after, ScalePartition.thirds(5), name="x", strength=0.1)
