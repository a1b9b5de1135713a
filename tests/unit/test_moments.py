import numpy as np
import pytest

from msma.errors import ShapeError
from msma.moments import CrossMoments, Moments


def assert_same(first, second, **tolerance):
    assert first.n == second.n
    for name in vars(first):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), err_msg=name, **tolerance)


def test_covariance_agrees_with_numpy(rng):
    states = rng.normal(size=(30, 4))
    moments = Moments.from_batch(states)
    np.testing.assert_allclose(moments.covariance(), np.cov(states, rowvar=False))
    np.testing.assert_allclose(moments.covariance(ddof=0), np.cov(states, rowvar=False, ddof=0))


def test_joint_moments_are_those_of_the_concatenation(rng):
    source, target = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    cross = CrossMoments.from_batch(source, target)
    assert_same(cross.joint, Moments.from_batch(np.hstack([source, target])), atol=1e-12)
    assert_same(cross.source, Moments.from_batch(source), atol=1e-12)
    assert_same(cross.target, Moments.from_batch(target), atol=1e-12)
    assert_same(cross.reversed, CrossMoments.from_batch(target, source), atol=1e-12)
    assert (cross.d_source, cross.d_target) == (3, 2)


def test_a_far_mean_does_not_spoil_the_scatter(rng):
    states = rng.normal(size=(1000, 3))
    far = Moments.from_stream(np.split(states + 1e8, 10))
    # 1e8 leaves eight digits behind the point; a raw second moment would leave none
    np.testing.assert_allclose(far.scatter, Moments.from_batch(states).scatter, rtol=1e-5, atol=1e-3)


def test_float32_states_are_summed_in_float64(rng):
    states = rng.normal(size=(50, 3)).astype(np.float32)
    assert_same(Moments.from_batch(states), Moments.from_batch(states.astype(np.float64)), rtol=0)


def test_empty_batches_are_skipped(rng):
    states = rng.normal(size=(6, 2))
    assert Moments.from_stream([states[:0], states]).n == 6
    assert CrossMoments.from_stream([(states[:0], states[:0]), (states, states)]).n == 6


def test_tensors_are_taken(rng):
    torch = pytest.importorskip("torch")
    states = rng.normal(size=(6, 2))
    assert_same(Moments.from_batch(torch.from_numpy(states)), Moments.from_batch(states))


@pytest.mark.parametrize("kind", [Moments, CrossMoments])
def test_a_stream_without_samples_is_an_error(kind):
    with pytest.raises(ShapeError, match="without one sample"):
        kind.from_stream([])


def test_one_sample_has_no_covariance():
    with pytest.raises(ShapeError, match="covariance of 1 samples"):
        Moments.from_batch([[1.0]]).covariance()


def test_widths_must_agree():
    with pytest.raises(ShapeError, match="2 and 3 wide"):
        Moments.from_batch(np.ones((2, 2))) + Moments.from_batch(np.ones((2, 3)))
    with pytest.raises(ShapeError, match="2 -> 2 and 3 -> 2 wide"):
        CrossMoments.from_batch(np.ones((2, 2)), np.ones((2, 2))) + CrossMoments.from_batch(
            np.ones((2, 3)), np.ones((2, 2))
        )


def test_not_all_samples_can_be_removed():
    moments = Moments.from_batch(np.ones((2, 2)))
    with pytest.raises(ShapeError, match="2 samples were to be removed from 2"):
        moments - moments


def test_inconsistent_parts_are_refused():
    with pytest.raises(ShapeError, match="build them with Moments"):
        Moments(n=2, mean=np.zeros(2), scatter=np.zeros((3, 3)))
    with pytest.raises(ShapeError, match="build them with CrossMoments"):
        CrossMoments(
            n=0,
            mean_source=np.zeros(2),
            mean_target=np.zeros(1),
            scatter_source=np.zeros((2, 2)),
            scatter_cross=np.zeros((2, 1)),
            scatter_target=np.zeros((1, 1)),
        )
