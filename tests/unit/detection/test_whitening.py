"""Whitening agrees with the textbook, and its norm is in nats whatever the width and the tails."""

import numpy as np
import pytest
from scipy.stats import chi2
from sklearn.covariance import ledoit_wolf

from msma.detection.whitening import WhitenedNorm, Whitening
from msma.errors import ConfigError, ShapeError


def naive_distances(rows, new, share):
    """Invert the shrunk covariance and sum over pairs of columns."""
    mean = [sum(column) / len(rows) for column in rows.T]
    centred = rows - mean
    covariance = centred.T @ centred / (len(rows) - 1)
    spreads = np.sqrt(np.diag(covariance))
    shrunk = np.array(
        [
            [covariance[i, j] * (1.0 if i == j else 1.0 - share) for j in range(len(spreads))]
            for i in range(len(spreads))
        ]
    )
    precision = np.linalg.inv(shrunk)
    return np.array([(x - mean) @ precision @ (x - mean) for x in new])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_distances_are_those_of_the_inverted_shrunk_covariance(rng, share):
    rows = rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6)) * 10.0 ** rng.integers(-3, 4, size=6) + 5.0
    new = rows[:7] * 1.1
    whitening = Whitening.from_rows(rows, shrinkage=share)
    assert whitening.distances(new) == pytest.approx(naive_distances(rows, new, share), rel=1e-7)


def test_whitened_samples_have_no_mean_and_unit_covariance(rng):
    rows = rng.normal(size=(80, 5)) @ rng.normal(size=(5, 5)) + 3.0
    white = Whitening.from_rows(rows, shrinkage=0.0).transform(rows)
    assert white.mean(axis=0) == pytest.approx(np.zeros(5), abs=1e-12)
    assert np.cov(white.T) == pytest.approx(np.eye(5), abs=1e-10)


def test_the_share_is_ledoit_and_wolfs_of_the_standardised_vectors(rng):
    rows = rng.normal(size=(30, 10)) * np.arange(1, 11)
    standard = (rows - rows.mean(axis=0)) / rows.std(axis=0, ddof=1)
    assert Whitening.from_rows(rows).shrinkage == pytest.approx(
        ledoit_wolf(standard, assume_centered=True)[1]
    )


def test_units_of_single_columns_change_nothing(rng):
    rows, new = rng.normal(size=(40, 8)), rng.normal(size=(5, 8))
    units = 10.0 ** np.arange(-4, 4)
    first, second = WhitenedNorm.from_rows(rows), WhitenedNorm.from_rows(rows * units)
    assert second.surprise(new * units) == pytest.approx(first.surprise(new), rel=1e-6)


def test_more_dimensions_than_samples_work_with_shrinkage_and_say_what_is_needed_without(rng):
    rows = rng.normal(size=(60, 200))
    surprise = WhitenedNorm.from_rows(rows).surprise(rng.normal(size=(500, 200)))
    assert 0.6 < surprise.mean() < 1.6
    with pytest.raises(ConfigError, match="give more than 201 samples"):
        WhitenedNorm.from_rows(rows, shrinkage=0.0)


def test_surprise_is_minus_the_logarithm_of_the_tail_on_gaussian_vectors(rng):
    norm = WhitenedNorm.from_rows(rng.normal(size=(20_000, 12)))
    for distance in (5.0, 12.0, 25.0, 40.0):
        new = np.zeros((1, 12))
        new[0, 3] = np.sqrt(distance)
        assert norm.surprise(new)[0] == pytest.approx(-chi2.logsf(distance, 12), rel=0.06, abs=0.03)


@pytest.mark.parametrize("freedom", [2.5, 4.0])
def test_heavy_tails_leave_the_unit_of_surprise_where_it_is(rng, freedom):
    norm = WhitenedNorm.from_rows(rng.standard_t(freedom, size=(2000, 10)))
    surprise = norm.surprise(rng.standard_t(freedom, size=(5000, 10)))
    assert 0.7 < surprise.mean() < 1.5


def test_far_samples_keep_their_order_however_far(rng):
    norm = WhitenedNorm.from_rows(rng.normal(size=(200, 3)))
    surprise = norm.surprise(np.outer(10.0 ** np.arange(1, 9), np.ones(3)))
    assert np.isfinite(surprise).all()
    assert (np.diff(surprise) > 0).all()


def test_constant_columns_are_left_out(rng):
    rows, new = rng.normal(size=(50, 3)), rng.normal(size=(9, 3))
    with_constant = np.insert(rows, 1, 7.0, axis=1)
    norm = WhitenedNorm.from_rows(with_constant)
    assert norm.whitening.columns.tolist() == [0, 2, 3]
    assert norm.surprise(np.insert(new, 1, 7.0, axis=1)) == pytest.approx(
        WhitenedNorm.from_rows(rows).surprise(new)
    )


def test_a_column_that_one_document_alone_moves_does_not_break_the_folds(rng):
    rows = rng.normal(size=(50, 3))
    rows[:, 2] = 0.0
    rows[0, 2] = 1.0
    assert np.isfinite(WhitenedNorm.from_rows(rows).surprise(rows)).all()


def test_distances_that_are_all_alike_have_the_spread_of_a_chi_square():
    norm = WhitenedNorm.from_rows(np.array([[1.0], [-1.0]] * 2), documents=np.arange(4), shrinkage=0.0)
    assert norm.spread > 0.0


def test_impossible_requests_are_refused(rng):
    rows = rng.normal(size=(20, 2))
    for shrinkage in (-0.1, 1.5, "oracle", float("nan")):
        with pytest.raises(ConfigError, match="expected 'ledoit-wolf'"):
            Whitening.from_rows(rows, shrinkage=shrinkage)
    with pytest.raises(ShapeError, match="1 sample came"):
        Whitening.from_rows(rows[:1])
    with pytest.raises(ShapeError, match="none of 2 columns varies"):
        Whitening.from_rows(np.ones((20, 2)))
    with pytest.raises(ShapeError, match="at least 4 documents"):
        WhitenedNorm.from_rows(rows, documents=np.arange(20) // 10)
