"""What goes into a map and comes out: validation by scikit-learn's rules, numpy or torch kept as it came."""

import sys
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.utils.validation import validate_data

from msma.errors import ShapeError
from msma.linalg import as_numpy, check_finite

__all__ = [
    "check_rows",
    "check_tensor",
    "check_training",
    "is_tensor",
    "precise",
    "restore_dtype",
    "restore_tensor",
]

_READ = {"dtype": np.float64, "ensure_all_finite": False}


def is_tensor(array: Any) -> bool:
    """Tell a torch tensor from anything else without importing torch.

    Args:
        array: Anything.

    Returns:
        Whether it is a tensor; nobody holds one before torch was imported.
    """
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def _one_sentence(error: ValueError) -> str:
    return " ".join(str(error).split())


def check_training(
    estimator: Any, X: Any, y: Any
) -> tuple[Float[np.ndarray, "samples d_source"], Float[np.ndarray, "samples d_target"]]:
    """Validate paired samples to fit on, and note their width and column names on the estimator.

    Args:
        estimator: The map to be fitted.
        X: Source samples in rows: numpy, torch, data frame, nested sequence.
        y: Target samples in rows; one dimension counts as one column.

    Returns:
        Both as finite float64 matrices with as many rows.

    Raises:
        ShapeError: When they are not that.
    """
    X, y = (as_numpy(part) if is_tensor(part) else part for part in (X, y))
    try:
        of_source, of_target = {**_READ, "ensure_min_samples": 2}, {**_READ, "ensure_2d": False}
        X, y = validate_data(estimator, X, y, validate_separately=(of_source, of_target))
    except ValueError as error:
        raise ShapeError(_one_sentence(error)) from error
    y = y.reshape(len(y), -1)
    if len(X) != len(y):
        raise ShapeError(
            f"X came with {len(X)} samples and y with {len(y)}; expected pairs: row i belongs to row i"
        )
    check_finite(X, name="X")
    check_finite(y, name="y")
    return X, y


def check_rows(estimator: Any, X: Any) -> Float[np.ndarray, "samples d_source"]:
    """Validate samples to be mapped against what the estimator was fitted on.

    Args:
        estimator: A fitted map.
        X: Source samples in rows.

    Returns:
        A finite float64 matrix.

    Raises:
        ShapeError: When the samples are not that, or not as wide as those fitted on.
    """
    try:
        rows = validate_data(estimator, X, reset=False, **_READ)
    except ValueError as error:
        raise ShapeError(_one_sentence(error)) from error
    check_finite(rows, name="X")
    return np.asarray(rows)


def check_tensor(tensor: Any, *, width: int, name: str) -> None:
    """Validate a torch tensor to be mapped.

    Args:
        tensor: Samples in rows.
        width: Expected number of columns.
        name: What to call it in an error.

    Raises:
        ShapeError: When it is not a finite matrix of that width.
    """
    if tensor.ndim != 2 or tensor.shape[1] != width:
        raise ShapeError(
            f"{name} came with shape {tuple(tensor.shape)}; expected (samples, {width}), the width this map "
            "was fitted on"
        )
    if not bool(tensor.isfinite().all()):
        raise ShapeError(f"{name} holds NaN or infinity; remove or repair such rows")


def restore_dtype(
    mapped: Float[np.ndarray, "samples d_target"], like: Any
) -> Float[np.ndarray, "samples d_target"]:
    """Give mapped samples in the floating precision the samples came in.

    Args:
        mapped: float64 results.
        like: What was passed in by the caller.

    Returns:
        float32 for a float32 array, float64 for everything that is not a floating array.

    Examples:
        >>> restore_dtype(np.zeros((1, 1)), np.zeros((1, 1), dtype=np.float32)).dtype
        dtype('float32')
    """
    is_floating = isinstance(like, np.ndarray) and like.dtype.kind == "f"
    return mapped.astype(like.dtype, copy=False) if is_floating else mapped


def precise(tensor: Any) -> Any:
    """Give a torch tensor in float64, or in float32 on the one kind of device that has no float64.

    Args:
        tensor: Numbers of any kind.

    Returns:
        The same numbers on the same device; gradients pass.
    """
    return tensor.float() if tensor.device.type == "mps" else tensor.double()


def restore_tensor(mapped: Any, like: Any) -> Any:
    """Give mapped samples in the floating precision the tensor came in.

    Args:
        mapped: Results in high precision.
        like: The tensor that was passed in by the caller.

    Returns:
        The results; in high precision where the tensor held integers.
    """
    return mapped.to(like.dtype) if like.is_floating_point() else mapped
