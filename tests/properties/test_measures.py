"""What every measure must ignore, keep and obey, on samples that hypothesis picks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from msma.measures import (
    canonical_correlations,
    cka,
    copula_mi,
    curvature,
    distance_correlation,
    gaussian_kl,
    gaussian_mi,
    isotropy,
    ksg_mi,
    mean_norm,
    mle_dimension,
    mutual_knn_overlap,
    participation_ratio,
    procrustes_distance,
    pwcca,
    r2,
    split_gaussian_kl,
    svcca,
    twonn_dimension,
    wasserstein2_gaussian,
)
from truths import random_rotation


def plain_cka(x, y):
    return cka(x, y, debiased=False)


def plain_distance_correlation(x, y):
    return distance_correlation(x, y, debiased=False)


def paired_kl(x, y):
    return gaussian_kl(x, y, estimator="paired")


def plugin_kl(x, y):
    return gaussian_kl(x, y, estimator="plugin")


def shrinkage_kl(x, y):
    return gaussian_kl(x, y, estimator="shrinkage")


def plugin_mi(x, y):
    return gaussian_mi(x, y, corrected=False)


def mean_correlation(x, y):
    return float(canonical_correlations(x, y).mean())


SIMILARITIES = [
    cka,
    plain_cka,
    distance_correlation,
    plain_distance_correlation,
    svcca,
    procrustes_distance,
    mutual_knn_overlap,
]
INFORMATION = [gaussian_mi, plugin_mi, mean_correlation]
DIVERGENCES = [gaussian_kl, paired_kl, plugin_kl]
SHAPES = [participation_ratio, isotropy, twonn_dimension, lambda x: mle_dimension(x, k=5)]
PAIRED = [*SIMILARITIES, *INFORMATION, *DIVERGENCES, shrinkage_kl, pwcca, copula_mi, ksg_mi, r2]

few = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 2**32 - 1)
scales = st.floats(0.01, 100)


def draw_pair(seed, *, n=40, d=4):
    """Dependent, anisotropic pairs away from the origin."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * rng.uniform(0.5, 2, size=d) + rng.normal(size=d)
    y = x @ rng.normal(size=(d, d)) + rng.normal(size=(n, d)) + rng.normal(size=d)
    return rng, x, y


def invertible(rng, d):
    return random_rotation(rng, d) * rng.uniform(0.5, 2, size=d) @ random_rotation(rng, d)


@pytest.mark.parametrize("measure", SIMILARITIES)
@few
@given(seed=seeds, scale=scales)
def test_similarities_ignore_rotation_shift_and_scale_of_either_side(measure, seed, scale):
    rng, x, y = draw_pair(seed)
    turned = scale * x @ random_rotation(rng, 4) + 10 * rng.normal(size=4)
    also = y @ random_rotation(rng, 4) / scale + 10 * rng.normal(size=4)
    assert measure(turned, also) == pytest.approx(measure(x, y), abs=1e-8)


@pytest.mark.parametrize("measure", INFORMATION)
@few
@given(seed=seeds)
def test_information_ignores_any_invertible_affine_map_of_either_side(measure, seed):
    rng, x, y = draw_pair(seed)
    bent, also = x @ invertible(rng, 4) + 5, y @ invertible(rng, 4) - 5
    assert measure(bent, also) == pytest.approx(measure(x, y), abs=1e-8)


@pytest.mark.parametrize("measure", DIVERGENCES)
@few
@given(seed=seeds)
def test_divergences_ignore_an_invertible_affine_map_of_both_sides(measure, seed):
    rng, x, y = draw_pair(seed)
    bend, shift = invertible(rng, 4), rng.normal(size=4)
    assert measure(x @ bend + shift, y @ bend + shift) == pytest.approx(measure(x, y), rel=1e-8, abs=1e-8)


@few
@given(seed=seeds, scale=scales)
def test_shrinkage_ignores_rotation_shift_and_scale_of_both_sides(seed, scale):
    rng, x, y = draw_pair(seed)
    turn, shift = scale * random_rotation(rng, 4), rng.normal(size=4)
    expected = shrinkage_kl(x, y)
    assert shrinkage_kl(x @ turn + shift, y @ turn + shift) == pytest.approx(expected, rel=1e-8, abs=1e-8)


@few
@given(seed=seeds, scale=scales)
def test_transport_turns_with_the_space_and_grows_with_its_units(seed, scale):
    rng, x, y = draw_pair(seed)
    turn, shift = scale * random_rotation(rng, 4), rng.normal(size=4)
    moved = wasserstein2_gaussian(x @ turn + shift, y @ turn + shift)
    assert moved == pytest.approx(scale * wasserstein2_gaussian(x, y), rel=1e-6)


@few
@given(seed=seeds)
def test_copula_and_neighbours_ignore_increasing_maps_of_columns(seed):
    _, x, y = draw_pair(seed)
    assert copula_mi(np.exp(x), y**3) == pytest.approx(copula_mi(x, y), abs=1e-10)
    assert ksg_mi(np.exp(x), y, components=2) == pytest.approx(ksg_mi(x, y, components=2), abs=1e-6)


@pytest.mark.parametrize("measure", SHAPES)
@few
@given(seed=seeds, scale=scales)
def test_shapes_ignore_rotation_shift_and_scale(measure, seed, scale):
    rng, x, _ = draw_pair(seed)
    moved = scale * x @ random_rotation(rng, 4) + rng.normal(size=4)
    assert measure(moved) == pytest.approx(measure(x), rel=1e-6)


@few
@given(seed=seeds, scale=scales)
def test_curvature_turns_with_the_space_and_shrinks_with_its_units(seed, scale):
    rng, x, _ = draw_pair(seed, n=80)
    before = curvature(x, dimension=2)
    after = curvature(scale * x @ random_rotation(rng, 4), dimension=2)
    assert after.value == pytest.approx(before.value / scale, rel=1e-6)
    assert after.standard_error == pytest.approx(before.standard_error / scale, rel=1e-6)


@few
@given(seed=seeds, scale=scales)
def test_norms_scale_and_turn(seed, scale):
    rng, x, _ = draw_pair(seed)
    assert mean_norm(scale * x @ random_rotation(rng, 4)) == pytest.approx(scale * mean_norm(x))


@pytest.mark.parametrize("measure", PAIRED)
@few
@given(seed=seeds)
def test_the_order_of_the_pairs_does_not_matter(measure, seed):
    rng, x, y = draw_pair(seed)
    order = rng.permutation(len(x))
    assert measure(x[order], y[order]) == pytest.approx(measure(x, y), abs=1e-8)


@pytest.mark.parametrize("measure", [gaussian_kl, plugin_kl, shrinkage_kl, wasserstein2_gaussian])
@few
@given(seed=seeds)
def test_laws_do_not_know_pairs(measure, seed):
    rng, x, y = draw_pair(seed)
    assert measure(x, y[rng.permutation(len(y))]) == pytest.approx(measure(x, y), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("measure", [*SIMILARITIES, *INFORMATION, copula_mi, ksg_mi, wasserstein2_gaussian])
@few
@given(seed=seeds)
def test_symmetric_measures_are_symmetric(measure, seed):
    _, x, y = draw_pair(seed)
    assert measure(x, y) == pytest.approx(measure(y, x), abs=1e-8)


@few
@given(seed=seeds, kept=st.integers(1, 3))
def test_data_processing(seed, kept):
    """What is thrown away by a projection can raise neither information nor divergence."""
    rng, x, y = draw_pair(seed)
    cut = rng.normal(size=(4, kept))
    assert plugin_mi(x @ cut, y) <= plugin_mi(x, y) + 1e-10
    assert plugin_kl(x @ cut, y @ cut) <= plugin_kl(x, y) + 1e-10


@few
@given(seed=seeds)
def test_ranges(seed):
    rng, x, y = draw_pair(seed)
    z = rng.normal(size=y.shape)
    for other in (x, y, z):
        for measure in (plain_cka, plain_distance_correlation, svcca, pwcca, mutual_knn_overlap):
            assert 0 <= measure(x, other) <= 1 + 1e-12
        assert -1e-12 <= procrustes_distance(x, other) <= 1
        assert plugin_kl(x, other) >= -1e-12
        assert cka(x, other) <= 1 + 1e-12
        assert distance_correlation(x, other) <= 1 + 1e-12
        assert r2(x, other) <= 1
    assert 1 - 1e-12 <= participation_ratio(x, corrected=False) <= 4 + 1e-12
    assert -1e-12 <= isotropy(x, corrected=False) <= 1 + 1e-12


@few
@given(seed=seeds)
def test_a_representation_is_most_like_itself(seed):
    _, x, _ = draw_pair(seed)
    for measure in (cka, distance_correlation, svcca, pwcca, mutual_knn_overlap, r2):
        assert measure(x, x) == pytest.approx(1)
    for measure in (paired_kl, plugin_kl, shrinkage_kl, procrustes_distance):
        assert measure(x, x) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("measure", [*PAIRED, split_gaussian_kl, wasserstein2_gaussian])
@few
@given(seed=seeds)
def test_numpy_and_torch_single_and_double_agree(measure, seed):
    _, x, y = draw_pair(seed)
    expected = measure(x, y)
    if measure is not mean_correlation:
        assert isinstance(measure(torch.from_numpy(x), torch.from_numpy(y)), torch.Tensor)
    assert float(measure(torch.from_numpy(x), torch.from_numpy(y))) == pytest.approx(expected, abs=1e-10)
    assert measure(x.astype(np.float32), y.astype(np.float32)) == pytest.approx(expected, rel=0.01, abs=0.02)
