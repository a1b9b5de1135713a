"""Similarities: 1 for the same up to what they ignore, 0 for nothing, right in blocks."""

import numpy as np
import pytest
import torch

from msma.errors import ConfigError, ShapeError
from msma.measures import similarity
from msma.measures.similarity import (
    cka,
    distance_correlation,
    hsic,
    mutual_knn_overlap,
    procrustes_distance,
    r2,
)
from truths import independent_pair, informed_pair, rotated_pair


@pytest.mark.parametrize("is_debiased", [True, False])
@pytest.mark.parametrize("measure", [cka, distance_correlation])
def test_turned_representations_are_the_same(rng, measure, is_debiased):
    x, y, _ = rotated_pair(rng, 60, 5)
    assert measure(x, y, debiased=is_debiased) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("measure", [cka, distance_correlation])
def test_debiased_reads_zero_for_independent_states_where_the_plain_one_does_not(rng, measure):
    values = np.array([measure(*independent_pair(rng, 50, 200)) for _ in range(40)])
    assert abs(values.mean()) < 3 * values.std(ddof=1) / np.sqrt(40)
    assert values.min() < 0  # not clipped
    assert measure(*independent_pair(rng, 50, 200), debiased=False) > 0.7


def test_unbiased_hsic_is_unbiased(rng):
    # For y = x it estimates tr(Sigma^2) = 14, here of a law that is not Gaussian.
    values = []
    for _ in range(3000):
        x = torch.from_numpy(rng.exponential(size=(8, 3)) * [1.0, 2.0**0.5, 3.0**0.5])
        values.append(float(hsic(x - x.mean(dim=0), x - x.mean(dim=0), debiased=True)))
    assert abs(np.mean(values) - 14) < 3 * np.std(values) / np.sqrt(len(values))


@pytest.mark.parametrize("is_debiased", [True, False])
def test_few_samples_and_few_columns_take_the_same_value(rng, is_debiased):
    x, y = informed_pair(rng, 12, 12, mi=3.0)
    wide_x, wide_y = (np.hstack([part, 0 * part]) for part in (x, y))
    assert cka(wide_x, wide_y, debiased=is_debiased) == pytest.approx(
        cka(x, y, debiased=is_debiased), abs=1e-12
    )


def test_distance_correlation_sees_what_correlation_cannot(rng):
    x = rng.normal(size=(800, 1))
    assert distance_correlation(x, x**2) > 0.2
    assert abs(cka(x, x**2)) < 0.1


@pytest.mark.parametrize("is_debiased", [True, False])
def test_blocks_change_nothing(rng, monkeypatch, is_debiased):
    x, y = informed_pair(rng, 97, 4, mi=1.0)
    whole = distance_correlation(x, y, debiased=is_debiased)
    monkeypatch.setattr(similarity, "_BLOCK", 10)
    assert distance_correlation(x, y, debiased=is_debiased) == pytest.approx(whole, abs=1e-13)
    assert mutual_knn_overlap(x, x, k=3) == 1


def test_duplicate_rows_are_no_obstacle(rng):
    x, y = (np.repeat(part, 2, axis=0) for part in informed_pair(rng, 30, 3, mi=1.0))
    for measure in (cka, distance_correlation):
        assert np.isfinite(measure(x, y))
    tensor = torch.tensor(x, requires_grad=True)
    distance_correlation(tensor, torch.from_numpy(y)).backward()
    assert bool(torch.isfinite(tensor.grad).all())


def test_procrustes_of_unrelated_states_is_near_one(rng):
    assert procrustes_distance(*independent_pair(rng, 2000, 3)) > 0.95


def test_procrustes_pads_the_narrower_side(rng):
    x, y = informed_pair(rng, 50, 4, mi=2.0)
    padded = np.hstack([y[:, :2], np.zeros((50, 2))])
    assert procrustes_distance(x, y[:, :2]) == pytest.approx(procrustes_distance(x, padded), abs=1e-12)


def test_r2_of_known_predictions(rng):
    y = rng.normal(size=(500, 3)) * [1.0, 2.0, 3.0]
    assert r2(y, y) == 1
    mean = np.broadcast_to(y.mean(axis=0), y.shape)
    assert r2(mean, y) == pytest.approx(0)
    assert r2(mean, y, weights="uniform") == pytest.approx(0)
    half = np.hstack([y[:, :1], mean[:, 1:]])  # explains one column of three, the smallest
    assert r2(half, y, weights="uniform") == pytest.approx(1 / 3)
    assert r2(half, y) == pytest.approx(y[:, 0].var() / y.var(axis=0).sum())
    assert r2(-y, y) < -2


def test_a_constant_column_harms_only_what_divides_by_it(rng):
    x, y = informed_pair(rng, 40, 3, mi=2.0)
    y[:, 1] = 0.1
    for measure in (cka, distance_correlation, procrustes_distance, mutual_knn_overlap, r2):
        assert np.isfinite(measure(x, y))
    with pytest.raises(ShapeError, match="target is constant in column 1"):
        r2(x, y, weights="uniform")


def test_overlap_counts_shared_neighbours():
    line = np.arange(6.0)[:, None] ** 1.1
    swapped = line.copy()
    swapped[[4, 5]] = swapped[[5, 4]]
    assert mutual_knn_overlap(line, swapped, k=1) == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    "measure",
    [
        cka,
        lambda x, y: cka(x, y, debiased=False),
        distance_correlation,
        lambda x, y: distance_correlation(x, y, debiased=False),
        procrustes_distance,
        r2,
        lambda x, y: r2(x, y, weights="uniform"),
    ],
)
def test_gradients_are_right(rng, measure):
    x, y = (torch.tensor(part, requires_grad=True) for part in informed_pair(rng, 9, 3, mi=1.0))
    assert torch.autograd.gradcheck(measure, (x, y))


def test_tensors_come_back_as_tensors(rng):
    x, y = informed_pair(rng, 30, 2, mi=1.0)
    for measure in (cka, distance_correlation, procrustes_distance, r2, mutual_knn_overlap):
        found = measure(torch.from_numpy(x), y)
        assert isinstance(found, torch.Tensor)
        assert float(found) == pytest.approx(measure(x, y), abs=1e-12)


@pytest.mark.parametrize("measure", [cka, distance_correlation, procrustes_distance])
def test_refusals_of_pairs(rng, measure):
    x, y = informed_pair(rng, 30, 2, mi=1.0)
    with pytest.raises(ShapeError, match="30 samples and target with 29"):
        measure(x, y[1:])
    with pytest.raises(ShapeError, match="at least"):
        measure(x[:1], y[:1])
    with pytest.raises(ShapeError, match="all 30 samples of target are equal"):
        measure(x, np.full((30, 2), 0.1))


def test_other_refusals(rng):
    x, y = informed_pair(rng, 30, 2, mi=1.0)
    with pytest.raises(ConfigError, match="weights 'wrong' came"):
        r2(x, y, weights="wrong")
    with pytest.raises(ShapeError, match=r"shape \(30, 2\) and target with \(30, 1\)"):
        r2(x, y[:, :1])
    with pytest.raises(ShapeError, match="all 30 samples of target are equal"):
        r2(x, np.ones((30, 2)))
    with pytest.raises(ShapeError, match="at least 12"):
        mutual_knn_overlap(x[:11], y[:11])


def test_spread_that_cannot_be_told_from_noise_is_refused():
    # Four corners of a simplex: all distances equal, so the unbiased spread is below 0.
    corners = np.eye(4)
    with pytest.raises(ShapeError, match="unbiased spread"):
        cka(corners, corners)
    with pytest.raises(ShapeError, match="distance variance"):
        distance_correlation(corners, corners)
