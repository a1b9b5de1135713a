"""The table of measures is complete, true and usable as a loop."""

import subprocess
import sys

import numpy as np
import pytest

from msma.errors import ShapeError
from msma.measures import MEASURES
from truths import informed_pair

NAMES = [
    "kl",
    "kl_shrinkage",
    "kl_diagonal",
    "kl_classifier",
    "mi",
    "mi_hybrid",
    "mi_ksg",
    "mi_histogram",
    "distance_correlation",
    "cka",
    "svcca",
    "pwcca",
    "procrustes_distance",
    "r2",
    "mutual_knn",
]


def test_the_table_is_complete_and_in_order():
    assert list(MEASURES) == NAMES
    assert [measure.name for measure in MEASURES.values()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_filled_in(name):
    measure = MEASURES[name]
    assert measure.units in ("nats", "1")
    assert measure.better == ("lower" if name.startswith("kl") or name.endswith("distance") else "higher")
    assert measure.paired != name.startswith("kl")
    assert (measure.floor is None) == measure.paired
    assert measure.citation
    assert measure.low is None or measure.high is None or measure.low < measure.high


@pytest.mark.parametrize("name", NAMES)
def test_every_measure_runs_on_a_map_output_and_its_target(rng, name):
    measure = MEASURES[name]
    x, y = informed_pair(rng, 300, 6, mi=6.0)
    value = measure.function(x, y)
    assert isinstance(value, float)
    assert measure.low is None or value > measure.low - 0.5
    assert measure.high is None or value <= measure.high
    if measure.floor is not None:
        assert abs(measure.floor(y[:140], y[140:])) < 1


@pytest.mark.parametrize("name", NAMES)
def test_the_fewest_samples_are_enough_and_one_less_is_not_always(rng, name):
    measure = MEASURES[name]
    x, y = informed_pair(rng, measure.min_samples(3, 3), 3, mi=1.0)
    if len(x) > 1:
        assert np.isfinite(measure.function(x, y))
    if name in ("kl", "kl_classifier", "mi", "mutual_knn", "distance_correlation"):
        with pytest.raises(ShapeError):
            measure.function(x[:-1], y[:-1])


@pytest.mark.parametrize("name", [name for name in NAMES if MEASURES[name].paired])
def test_shuffled_pairs_look_worse(rng, name):
    if name == "mi_histogram":
        pytest.skip("the paper's quantity need not")
    measure = MEASURES[name]
    x, y = informed_pair(rng, 300, 4, mi=4.0)
    kept, shuffled = measure.function(x, y), measure.function(x, y[rng.permutation(300)])
    assert (kept - shuffled) * (1 if measure.better == "higher" else -1) > 0.1


def test_the_face_does_not_load_torch():
    code = "import sys, msma; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
