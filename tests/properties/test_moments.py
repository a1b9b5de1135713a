import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from msma.maps import MAPS
from msma.moments import CrossMoments, Moments

seeds = st.integers(0, 2**32 - 1)
sizes = st.lists(st.integers(1, 12), min_size=1, max_size=5)
offsets = st.floats(-1e3, 1e3)


def draw(seed, n, d_source, d_target, offset):
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(n, d_source)) * rng.uniform(0.1, 10, size=d_source) + offset
    return source, source @ rng.normal(size=(d_source, d_target)) + rng.normal(size=(n, d_target))


def batches_of(arrays, sizes):
    cuts = np.cumsum(sizes)[:-1]
    return list(zip(*(np.split(array, cuts) for array in arrays), strict=True))


def assert_close(first, second):
    assert first.n == second.n
    for name in vars(first):
        a, b = getattr(first, name), getattr(second, name)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * (1 + np.abs(b).max()), err_msg=name)


@settings(max_examples=60, deadline=None)
@given(seeds, sizes, st.integers(1, 5), st.integers(1, 5), offsets)
def test_stream_equals_batch(seed, sizes, d_source, d_target, offset):
    pairs = draw(seed, sum(sizes), d_source, d_target, offset)
    assert_close(CrossMoments.from_stream(batches_of(pairs, sizes)), CrossMoments.from_batch(*pairs))
    assert_close(
        Moments.from_stream(batch for (batch,) in batches_of(pairs[:1], sizes)), Moments.from_batch(pairs[0])
    )


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 20), st.integers(1, 20), st.integers(1, 5), st.integers(1, 5), offsets)
def test_removal_inverts_merging(seed, n_kept, n_removed, d_source, d_target, offset):
    source, target = draw(seed, n_kept + n_removed, d_source, d_target, offset)
    kept = CrossMoments.from_batch(source[:n_kept], target[:n_kept])
    removed = CrossMoments.from_batch(source[n_kept:], target[n_kept:])
    back = kept + removed - removed
    scale = 1 + np.abs((kept + removed).joint.scatter).max()
    for name in vars(kept):
        np.testing.assert_allclose(getattr(back, name), getattr(kept, name), rtol=0, atol=1e-9 * scale)


@settings(max_examples=60, deadline=None)
@given(seeds, st.tuples(*[st.integers(1, 8)] * 3), offsets)
def test_merging_is_commutative_and_associative(seed, sizes, offset):
    a, b, c = (
        CrossMoments.from_batch(*part) for part in batches_of(draw(seed, sum(sizes), 3, 2, offset), sizes)
    )
    assert_close(a + b, b + a)
    assert_close((a + b) + c, a + (b + c))


@settings(max_examples=25, deadline=None)
@given(seeds, st.lists(st.integers(3, 12), min_size=2, max_size=4), st.sampled_from(sorted(MAPS)))
def test_a_streamed_fit_is_the_batch_fit(seed, sizes, kind):
    source, target = draw(seed, sum(sizes), 3, 3, 0.0)
    batch = MAPS[kind]().fit(source, target)
    stream = MAPS[kind]().fit_stream(batches_of((source, target), sizes))
    np.testing.assert_allclose(stream.transform(source), batch.transform(source), rtol=1e-6, atol=1e-6)
