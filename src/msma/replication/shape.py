"""The shape of a scale's states, read free of their units, and how alike texts and scales look in it."""

import numpy as np
from jaxtyping import Float

from msma.errors import ShapeError
from msma.measures import covariance_spectrum

__all__ = ["cross_cosine", "effective_rank", "relative_spread", "same_cosine", "text_cosine"]

#: A share of the mean square below which variance is rounding, not spread.
_ROUNDING = 1e-12


def effective_rank(states: Float[np.ndarray, "samples d"]) -> float:
    r"""Compute how many directions the variance is effectively spread over, by entropy.

    .. math:: \exp\Big(-\sum_i p_i \log p_i\Big), \quad p_i = \lambda_i / \sum_j \lambda_j

    with the eigenvalues of the covariance (Roy and Vetterli 2007). Never above the number of samples less one,
    so that only values from equally many samples are to be compared.

    Args:
        states: Samples in rows.

    Returns:
        1 (a line) to ``d`` (a ball); 0 where nothing varies.

    Examples:
        >>> corners = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> round(effective_rank(corners), 6), round(effective_rank(corners * [1, 0]), 6)
        (2.0, 1.0)
    """
    values = np.asarray(covariance_spectrum(states), dtype=np.float64)
    total = float(values.sum())
    if total <= _ROUNDING * float(np.square(states).sum(axis=1).mean()):
        return 0.0
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def relative_spread(states: Float[np.ndarray, "samples d"]) -> float:
    r"""Compute the share of the mean square that differs between texts.

    .. math:: \operatorname{tr}\Sigma \,/\, E\|x\|^2

    Args:
        states: Samples in rows.

    Returns:
        0 (every text has the same state) to about 1 (nothing in common); the same for states of any size.

    Examples:
        >>> relative_spread(np.array([[3.0, 0.0], [3.0, 0.0]])), relative_spread(np.array([[1.0], [-1.0]]))
        (0.0, 1.0)
    """
    square = float(np.square(states).sum(axis=1).mean())
    if square == 0.0:
        return 0.0
    spread = float(np.square(states - states.mean(axis=0)).sum(axis=1).mean())
    return spread / square


def text_cosine(states: Float[np.ndarray, "samples d"]) -> float:
    """Compute the mean cosine between the states of different texts.

    Args:
        states: Samples in rows.

    Returns:
        -1 to 1; 1 where all point one way.

    Examples:
        >>> round(text_cosine(np.array([[1.0, 0.0], [0.0, 1.0]])), 6)
        0.0
    """
    return cross_cosine(states, states)


def same_cosine(first: Float[np.ndarray, "samples d"], second: Float[np.ndarray, "samples d"]) -> float:
    """Compute the mean cosine between two scales' states of the same text.

    Args:
        first: Samples in rows.
        second: Row i belongs to row i of the first.

    Returns:
        -1 to 1.

    Examples:
        >>> same_cosine(np.array([[2.0, 0.0]]), np.array([[1.0, 0.0]]))
        1.0
    """
    return float((_directions(first) * _directions(second)).sum(axis=1).mean())


def cross_cosine(first: Float[np.ndarray, "samples d"], second: Float[np.ndarray, "samples d"]) -> float:
    """Compute the mean cosine between two scales' states of different texts.

    Args:
        first: Samples in rows.
        second: Row i belongs to row i of the first.

    Returns:
        -1 to 1.

    Raises:
        ShapeError: When there are fewer than two texts.

    Examples:
        >>> x = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> cross_cosine(x, x[::-1])
        1.0
    """
    n = len(first)
    if n < 2:
        raise ShapeError(f"{n} text came; different texts need at least 2")
    u, v = _directions(first), _directions(second)
    every, own = float(u.sum(axis=0) @ v.sum(axis=0)), float((u * v).sum())
    return (every - own) / (n * (n - 1))


def _directions(states: Float[np.ndarray, "samples d"]) -> Float[np.ndarray, "samples d"]:
    norms = np.linalg.norm(states, axis=1, keepdims=True)
    return states / np.where(norms > 0, norms, 1.0)
