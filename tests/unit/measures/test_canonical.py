"""Canonical correlations and their relatives."""

import numpy as np
import pytest
import torch

from msma.errors import ConfigError, ShapeError
from msma.measures.canonical import canonical_correlations, pwcca, svcca
from truths import independent_pair, informed_pair, rotated_pair


def test_correlations_of_a_law_that_has_known_ones(rng):
    x, noise = rng.normal(size=(2, 20000, 3))
    truth = np.array([0.9, 0.5, 0.1])
    y = x * truth + noise * np.sqrt(1 - truth**2)
    mixed = y @ rng.normal(size=(3, 3))
    assert canonical_correlations(x, mixed) == pytest.approx(truth, abs=0.02)


def test_any_invertible_map_leaves_them(rng):
    x, y = informed_pair(rng, 100, 4, mi=1.0)
    turned = 3 + y @ rng.normal(size=(4, 4))
    assert canonical_correlations(x, turned) == pytest.approx(canonical_correlations(x, y), abs=1e-9)
    assert pwcca(x, turned) == pytest.approx(pwcca(x, y), abs=1e-9)


def test_low_rank_sides_are_measured_in_their_own_dimensions(rng):
    x, y = informed_pair(rng, 100, 3, mi=1.0)
    wide = x @ rng.normal(size=(3, 7))
    assert canonical_correlations(wide, y) == pytest.approx(canonical_correlations(x, y), abs=1e-9)


def test_svcca_leaves_out_what_has_little_variance(rng):
    x, y = informed_pair(rng, 400, 2, mi=2.0)
    small_x, small_y = independent_pair(rng, 400, 6)
    noisy = np.hstack([x, 0.01 * small_x]), np.hstack([y, 0.01 * small_y])
    assert svcca(*noisy) == pytest.approx(float(canonical_correlations(x, y).mean()), abs=0.01)
    assert svcca(*noisy, variance=1.0) < 0.5


def test_svcca_of_everything_is_the_mean_correlation(rng):
    x, y = informed_pair(rng, 200, 4, mi=1.0)
    assert svcca(x, y, variance=1.0) == pytest.approx(canonical_correlations(x, y).mean(), abs=1e-12)


def test_pwcca_weighs_by_the_source(rng):
    x, y = informed_pair(rng, 500, 1, mi=2.0)
    loud, quiet = independent_pair(rng, 500, 1)
    source = np.hstack([10 * x, 0.1 * loud])  # what is shared is most of the source
    target = np.hstack([y, quiet])
    assert pwcca(source, target) > canonical_correlations(source, target).mean() + 0.2
    assert pwcca(target, source) < pwcca(source, target)


def test_turned_representations_are_the_same(rng):
    x, y, _ = rotated_pair(rng, 60, 5)
    assert pwcca(x, y) == pytest.approx(1)
    assert svcca(x, y) == pytest.approx(1)


@pytest.mark.parametrize("measure", [svcca, pwcca, canonical_correlations])
def test_gradients_are_right(rng, measure):
    x, y = (torch.tensor(part, requires_grad=True) for part in informed_pair(rng, 12, 3, mi=1.0))
    assert torch.autograd.gradcheck(measure, (x, y))


def test_refusals(rng):
    x, y = informed_pair(rng, 30, 4, mi=1.0)
    with pytest.raises(ConfigError, match=r"variance=0\.0 came"):
        svcca(x, y, variance=0.0)
    for measure in (canonical_correlations, pwcca, svcca):
        with pytest.raises(ShapeError, match=r"8 samples came for 4 \+ 4"):
            measure(x[:8], y[:8])
        with pytest.raises(ShapeError, match="30 samples and target with 29"):
            measure(x, y[1:])
        with pytest.raises(ShapeError, match="all 30 samples of source are equal"):
            measure(np.full((30, 2), 0.1), y)
    y[:, 3] = 1.0
    with pytest.raises(ShapeError, match="target is constant in column 3"):
        pwcca(x, y)
    assert 0 < svcca(x, y) < 1
