"""Intervals cover what they should, and shuffles never pair a document with itself."""

import numpy as np
import pytest

from msma.errors import ShapeError
from msma.resampling import bootstrap_interval, group_documents, jackknife_interval, shuffle_documents


def test_groups_never_divide_a_document_and_are_balanced(rng):
    documents = rng.integers(0, 100, size=1000)
    groups = group_documents(documents, n_groups=10, seed=3)
    for document in np.unique(documents):
        assert len(set(groups[documents == document])) == 1
    sizes = np.bincount(groups)
    assert len(sizes) == 10
    assert sizes.max() - sizes.min() <= 10


def test_groups_depend_on_the_seed_only(rng):
    documents = np.arange(200)
    assert np.array_equal(group_documents(documents, seed=1), group_documents(documents, seed=1))
    assert not np.array_equal(group_documents(documents, seed=1), group_documents(documents, seed=2))


def test_jackknife_of_a_mean_is_the_classical_interval(rng):
    from scipy import stats

    x = rng.normal(size=20)
    found = jackknife_interval(lambda kept: x[kept].mean(), np.arange(20))
    low, high = stats.t.interval(0.95, 19, loc=x.mean(), scale=stats.sem(x))
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)


def _coverage(make_interval, truth, repeats=300):
    rng = np.random.default_rng(1)
    inside = sum(low <= truth <= high for low, high in (make_interval(rng) for _ in range(repeats)))
    return inside / repeats


def test_jackknife_covers_a_variance_with_clustered_documents():
    def make(rng):
        documents = np.repeat(np.arange(60), 4)
        x = rng.normal(size=60)[documents] + rng.normal(size=240)
        found = jackknife_interval(lambda kept: x[kept].var(), group_documents(documents))
        return found.low, found.high

    assert 0.90 <= _coverage(make, truth=2.0) <= 0.985


@pytest.mark.slow
def test_bootstrap_covers_a_mean_with_clustered_documents_where_samples_would_not():
    documents = np.repeat(np.arange(50), 6)

    def draw(rng):
        return rng.normal(size=50)[documents] + 0.3 * rng.normal(size=300)

    def by_document(rng):
        x = draw(rng)
        found = bootstrap_interval(lambda w: w @ x / w.sum(axis=1), documents, n_resamples=300)
        return found.low, found.high

    def by_sample(rng):
        x = draw(rng)
        found = bootstrap_interval(lambda w: w @ x / w.sum(axis=1), np.arange(300), n_resamples=300)
        return found.low, found.high

    assert 0.89 <= _coverage(by_document, truth=0.0) <= 0.98
    assert _coverage(by_sample, truth=0.0) < 0.75


@pytest.mark.parametrize("sizes", [[1] * 10, [3, 3, 3], [5, 1, 1, 1, 1, 1], [2, 7, 4, 1]])
def test_shuffle_keeps_no_sample_with_its_document(sizes):
    documents = np.repeat(np.arange(len(sizes)), sizes)
    np.random.default_rng(0).shuffle(documents)
    for seed in range(20):
        order = shuffle_documents(documents, seed=seed)
        assert sorted(order) == list(range(len(documents)))
        assert (documents[order] != documents).all()


def test_shuffles_differ_by_seed():
    documents = np.arange(50)
    assert not np.array_equal(shuffle_documents(documents, seed=0), shuffle_documents(documents, seed=1))


@pytest.mark.parametrize(
    "call",
    [
        lambda d: group_documents(d),
        lambda d: shuffle_documents(d),
        lambda d: bootstrap_interval(lambda w: w[:, 0], d),
        lambda d: jackknife_interval(lambda kept: 0.0, d),
    ],
)
def test_one_document_is_refused(call):
    with pytest.raises(ShapeError, match="at least 2"):
        call(np.zeros(5, dtype=int))
