"""Checks of sample matrices, and the few matrix functions every closed form is built from."""

from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float

from msma.errors import ShapeError

__all__ = [
    "as_numpy",
    "check_pairs",
    "check_samples",
    "polar_rotation",
    "psd_eigh",
    "psd_inverse_sqrt",
    "psd_sqrt",
    "symmetrise",
]


def as_numpy(array: Any) -> np.ndarray:
    """Give anything array-like as a numpy array; tensors are detached and brought to the CPU.

    Args:
        array: A numpy array, a torch tensor on any device, a nested sequence.

    Returns:
        The same numbers; half-precision tensors come as float64, since numpy lacks bfloat16.

    Examples:
        >>> as_numpy([[1, 2]]).shape
        (1, 2)
    """
    if hasattr(array, "detach"):
        tensor = array.detach().cpu()
        return np.asarray((tensor.double() if tensor.is_floating_point() else tensor).numpy())
    return np.asarray(array)


def check_samples(array: Any, *, name: str, min_samples: int = 1) -> Float[np.ndarray, "samples d"]:
    """Give samples as a finite float64 matrix, or say in one sentence what is wrong with them.

    Args:
        array: Samples in rows, dimensions in columns; numpy, torch or nested sequences.
        name: What to call them in an error.
        min_samples: Fewest rows that make sense to the caller.

    Returns:
        The samples; not copied when they are float64 already.

    Raises:
        ShapeError: When the array is not two-dimensional, not made of real numbers, has too few rows or no
            columns, or holds NaN or infinity.

    Examples:
        >>> check_samples([[1, 2], [3, 4]], name="source").dtype
        dtype('float64')
        >>> check_samples([[1.0, float("nan")]], name="source")
        Traceback (most recent call last):
        msma.errors.ShapeError: source holds NaN at row 0, column 1 (1 of 2 values not finite); remove or \
repair such rows
    """
    values = as_numpy(array)
    if values.ndim != 2:
        raise ShapeError(
            f"{name} came with shape {values.shape}; expected 2 dimensions, samples in rows: reshape it"
        )
    if values.dtype.kind not in "fiub":
        raise ShapeError(f"{name} came with dtype {values.dtype}; expected real numbers: convert it to float")
    if len(values) < min_samples:
        raise ShapeError(
            f"{name} came with {len(values)} sample{'s' * (len(values) != 1)}; at least {min_samples} are "
            "needed: give more samples"
        )
    if values.shape[1] == 0:
        raise ShapeError(f"{name} came with shape {values.shape}; expected at least one column of numbers")
    values = values.astype(np.float64, copy=False)
    check_finite(values, name=name)
    return values


def check_finite(values: Float[np.ndarray, "samples d"], *, name: str) -> None:
    """Refuse NaN and infinity, naming the first place they stand.

    Args:
        values: Samples.
        name: What to call them in an error.

    Raises:
        ShapeError: When a value is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.sum(values)):  # one cheap pass: any NaN or infinity survives a sum
            return
    bad = ~np.isfinite(values)
    if not bad.any():  # finite values whose sum overflowed
        return
    row, column = np.argwhere(bad)[0]
    what = "NaN" if np.isnan(values[row, column]) else "infinity"
    raise ShapeError(
        f"{name} holds {what} at row {row}, column {column} ({int(bad.sum())} of {values.size} values not "
        "finite); remove or repair such rows"
    )


def check_pairs(
    source: Any, target: Any, *, min_samples: int = 1
) -> tuple[Float[np.ndarray, "samples d_source"], Float[np.ndarray, "samples d_target"]]:
    """Give paired samples as two finite float64 matrices with as many rows.

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.
        min_samples: Fewest pairs that make sense to the caller.

    Returns:
        Source and target.

    Raises:
        ShapeError: When either is not a finite matrix with enough rows, or the numbers of rows differ.

    Examples:
        >>> [part.shape for part in check_pairs([[1.0], [2.0]], [[1.0, 0.0], [0.0, 1.0]])]
        [(2, 1), (2, 2)]
    """
    source = check_samples(source, name="source", min_samples=min_samples)
    target = check_samples(target, name="target", min_samples=min_samples)
    if len(source) != len(target):
        raise ShapeError(
            f"source came with {len(source)} samples and target with {len(target)}; expected pairs: "
            "row i of one belongs to row i of the other"
        )
    return source, target


def symmetrise(matrix: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """Average a matrix with its transpose.

    Args:
        matrix: A square matrix, symmetric up to rounding.

    Returns:
        (M + M^T) / 2, exactly symmetric.

    Examples:
        >>> symmetrise(np.array([[1.0, 2.0], [4.0, 1.0]])).tolist()
        [[1.0, 3.0], [3.0, 1.0]]
    """
    return np.asarray((matrix + matrix.T) / 2.0)


def psd_eigh(
    matrix: Float[np.ndarray, "d d"], *, rtol: float | None = None, max_rank: int | None = None
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"], int]:
    """Diagonalise a positive semi-definite matrix and tell its numerical rank.

    Args:
        matrix: Symmetric, positive semi-definite up to rounding.
        rtol: Eigenvalues at or below ``rtol`` times the largest count as zero; d times the spacing of float64
            (the convention of ``numpy.linalg.matrix_rank``) when left out.
        max_rank: Rank that cannot be exceeded, where it is known: a scatter of n samples has n - 1 at most,
            however its rounding looks.

    Returns:
        Eigenvalues from the largest down, zero below the tolerance; eigenvectors in columns; rank.

    Examples:
        >>> values, _, rank = psd_eigh(np.ones((2, 2)))
        >>> values.round(12).tolist(), rank
        ([2.0, 0.0], 1)
    """
    values, vectors = scipy.linalg.eigh(symmetrise(matrix), check_finite=False)
    values, vectors = values[::-1], vectors[:, ::-1]
    if rtol is None:
        rtol = len(values) * float(np.finfo(np.float64).eps)
    kept = values > rtol * max(float(values[0]), 0.0)
    if max_rank is not None:
        kept[max_rank:] = False
    return np.where(kept, values, 0.0), vectors, int(kept.sum())


def psd_sqrt(
    matrix: Float[np.ndarray, "d d"], *, rtol: float | None = None, max_rank: int | None = None
) -> Float[np.ndarray, "d d"]:
    """Compute the symmetric square root of a positive semi-definite matrix.

    Args:
        matrix: Symmetric, positive semi-definite up to rounding.
        rtol: See :func:`psd_eigh`.
        max_rank: See :func:`psd_eigh`.

    Returns:
        R, symmetric and positive semi-definite, with R R = M.

    Examples:
        >>> psd_sqrt(np.diag([4.0, 9.0])).round(12).tolist()
        [[2.0, 0.0], [0.0, 3.0]]
    """
    values, vectors, _ = psd_eigh(matrix, rtol=rtol, max_rank=max_rank)
    return symmetrise((vectors * np.sqrt(values)) @ vectors.T)


def psd_inverse_sqrt(
    matrix: Float[np.ndarray, "d d"], *, rtol: float | None = None, max_rank: int | None = None
) -> Float[np.ndarray, "d d"]:
    """Compute the symmetric (pseudo-)inverse square root of a positive semi-definite matrix.

    Args:
        matrix: Symmetric, positive semi-definite up to rounding.
        rtol: See :func:`psd_eigh`; directions below it are mapped to zero, not to infinity.
        max_rank: See :func:`psd_eigh`.

    Returns:
        W, symmetric and positive semi-definite, with W M W the projector onto the range of M.

    Examples:
        >>> psd_inverse_sqrt(np.diag([4.0, 0.0])).round(12).tolist()
        [[0.5, 0.0], [0.0, 0.0]]
    """
    values, vectors, rank = psd_eigh(matrix, rtol=rtol, max_rank=max_rank)
    kept = vectors[:, :rank]
    return symmetrise((kept / np.sqrt(values[:rank])) @ kept.T)


def polar_rotation(
    matrix: Float[np.ndarray, "d_source d_target"],
) -> Float[np.ndarray, "d_source d_target"]:
    """Compute the orthogonal (semi-orthogonal, where not square) matrix nearest to a matrix.

    R = U V^T from the thin singular value decomposition M = U S V^T minimises ||R - M||_F and maximises
    tr(R^T M) over all matrices with orthonormal rows or columns, whichever are fewer (Schoenemann 1966,
    Psychometrika 31; Higham 2008, "Functions of Matrices", theorem 8.4). Reflections are allowed.

    Args:
        matrix: Any real matrix. Directions where it vanishes are filled up orthonormally.

    Returns:
        R of the same shape.

    Examples:
        >>> polar_rotation(np.array([[0.0, -3.0], [2.0, 0.0]])).round(12).tolist()
        [[0.0, -1.0], [1.0, 0.0]]
    """
    left, _, right = scipy.linalg.svd(matrix, full_matrices=False, check_finite=False)
    return np.asarray(left @ right)
