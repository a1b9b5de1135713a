import numpy as np
import pytest
import scipy.linalg

from msma.errors import ShapeError
from msma.linalg import (
    as_numpy,
    check_finite,
    check_pairs,
    check_samples,
    polar_rotation,
    psd_eigh,
    psd_inverse_sqrt,
    psd_sqrt,
    symmetrise,
)


def random_covariance(rng, d, rank=None):
    factor = rng.normal(size=(d, rank or d))
    return factor @ factor.T


def test_samples_pass_through_without_a_copy():
    samples = np.ones((3, 2))
    assert check_samples(samples, name="source") is samples


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.ones(3), r"source came with shape \(3,\)"),
        (np.ones((2, 2, 2)), "expected 2 dimensions"),
        (np.array([["a", "b"]]), "expected real numbers"),
        (np.ones((2, 2), dtype=complex), "dtype complex128"),
        (np.ones((1, 2)), "1 sample; at least 2"),
        (np.ones((0, 2)), "0 samples; at least 2"),
        (np.ones((2, 0)), "at least one column"),
        (np.array([[1.0, 2.0], [3.0, np.nan]]), r"NaN at row 1, column 1 \(1 of 4"),
        (np.array([[1.0, np.inf], [-np.inf, 2.0]]), r"infinity at row 0, column 1 \(2 of 4"),
        (np.array([[1.0, np.inf], [3.0, np.nan]]), r"infinity at row 0, column 1 \(2 of 4"),
    ],
)
def test_bad_samples_are_named(bad, message):
    with pytest.raises(ShapeError, match=message):
        check_samples(bad, name="source", min_samples=2)


def test_finite_values_whose_sum_overflows_are_finite():
    check_finite(np.full((2, 2), np.finfo(np.float64).max), name="source")


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64"])
def test_tensors_become_arrays(dtype):
    torch = pytest.importorskip("torch")
    tensor = torch.ones(2, 3).to(getattr(torch, dtype))
    assert check_samples(tensor, name="source").tolist() == [[1.0] * 3] * 2


def test_tensors_with_gradients_are_detached():
    torch = pytest.importorskip("torch")
    assert as_numpy(torch.ones(2, requires_grad=True)).tolist() == [1.0, 1.0]


def test_pairs_need_as_many_rows():
    with pytest.raises(ShapeError, match="source came with 3 samples and target with 2"):
        check_pairs(np.ones((3, 1)), np.ones((2, 1)))


def test_eigenvalues_come_sorted_with_the_rank(rng):
    matrix = random_covariance(rng, 6, rank=4)
    values, vectors, rank = psd_eigh(matrix)
    assert rank == 4
    assert (np.diff(values) <= 0).all()
    assert (values[4:] == 0).all()
    np.testing.assert_allclose((vectors * values) @ vectors.T, matrix, atol=1e-12)


def test_zero_matrix_has_rank_zero():
    assert psd_eigh(np.zeros((3, 3)))[2] == 0
    assert not psd_inverse_sqrt(np.zeros((3, 3))).any()
    assert not psd_sqrt(np.zeros((3, 3))).any()


def test_roots_agree_with_scipy(rng):
    matrix = random_covariance(rng, 5)
    np.testing.assert_allclose(psd_sqrt(matrix), scipy.linalg.sqrtm(matrix).real, atol=1e-10)
    np.testing.assert_allclose(psd_inverse_sqrt(matrix) @ psd_sqrt(matrix), np.eye(5), atol=1e-8)


def test_inverse_root_of_a_singular_matrix_projects_on_its_range(rng):
    matrix = random_covariance(rng, 6, rank=3)
    root = psd_inverse_sqrt(matrix)
    projector = matrix @ np.linalg.pinv(matrix)
    np.testing.assert_allclose(root @ matrix @ root, projector, atol=1e-10)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
def test_polar_rotation_is_nearest_and_orthonormal(rng, shape):
    matrix = rng.normal(size=shape)
    rotation = polar_rotation(matrix)
    small = rotation @ rotation.T if shape[0] <= shape[1] else rotation.T @ rotation
    np.testing.assert_allclose(small, np.eye(min(shape)), atol=1e-12)
    if shape[0] >= shape[1]:
        np.testing.assert_allclose(rotation, scipy.linalg.polar(matrix)[0], atol=1e-12)
    best = np.linalg.norm(matrix - rotation)
    for _ in range(20):
        other = polar_rotation(rotation + 0.1 * rng.normal(size=shape))
        assert np.linalg.norm(matrix - other) >= best


def test_symmetrise_is_exact(rng):
    result = symmetrise(rng.normal(size=(4, 4)))
    assert (result == result.T).all()
