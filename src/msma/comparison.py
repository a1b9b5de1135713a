"""Is one map better than another? Paired tests over documents and seeds, Holm's correction.

Two questions are kept apart. Over *documents*: would the difference be there on other texts, with the maps as
they were trained? Over *seeds*: would it be there had training started elsewhere, on the same texts? Seeds
share their texts, so that their spread alone says nothing about other texts.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from msma.errors import ConfigError, ShapeError


class Contrast(NamedTuple):
    """A paired difference with its 95 % interval and two-sided p-value.

    Args:
        value: The difference.
        low: Lower end.
        high: Upper end.
        p: Chance of a difference at least as large where there is none; ``None`` where it cannot be told.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Correct p-values for their number (Holm 1979): the chance of any false alarm stays below the level.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\big(1, (m - j + 1)\, p_{(j)}\big)

    Args:
        p_values: One a test, in [0, 1].

    Returns:
        Corrected p-values in the order given, in [0, 1].

    Raises:
        ConfigError: When one is not in [0, 1].

    Examples:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    for p in p_values:
        if not 0.0 <= p <= 1.0:
            raise ConfigError(f"p-value {p} came; expected a number from 0 to 1")
    count, largest = len(p_values), 0.0
    corrected = [0.0] * count
    for rank, position in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (count - rank) * p_values[position]))
        corrected[position] = largest
    return corrected


def cliffs_delta(first: Float[np.ndarray, " n_first"], second: Float[np.ndarray, " n_second"]) -> float:
    r"""Compute how often one sample lies above another (Cliff 1993).

    .. math:: \delta = P(x > y) - P(x < y)

    Args:
        first: Values x.
        second: Values y.

    Returns:
        -1 (always below) to 1 (always above); 0 where neither wins.

    Raises:
        ShapeError: When a sample is empty.

    Examples:
        >>> cliffs_delta(np.array([1.0, 2.0]), np.array([0.0, 1.0]))  # above, above, equal, above
        0.75
    """
    if len(first) == 0 or len(second) == 0:
        raise ShapeError(f"samples of {len(first)} and {len(second)} values came; give at least one each")
    ordered = np.sort(second)
    below = np.searchsorted(ordered, first, side="left")
    above = len(second) - np.searchsorted(ordered, first, side="right")
    return float((below - above).sum()) / (len(first) * len(second))


def contrast_documents(value: float, left_out: Float[np.ndarray, " groups"]) -> Contrast:
    r"""Test a difference over documents, from its values without each group of them.

    The delete-group jackknife (Shao and Tu 1995, section 2.3): :math:`t = \theta / s` with
    :math:`s^2 = \frac{G-1}{G}\sum_g(\theta_g-\bar\theta)^2` and G - 1 degrees of freedom. For any statistic,
    also those that do not divide into documents.

    Args:
        value: The difference on all documents.
        left_out: The difference without each group.

    Returns:
        The difference, its interval and p: whether it would be there on other documents.

    Raises:
        ShapeError: When there are fewer than two groups.

    Examples:
        >>> contrast_documents(1.5, np.array([2.0, 5 / 3, 4 / 3, 1.0])).low.__round__(3)
        -0.554
    """
    count = len(left_out)
    if count < 2:
        raise ShapeError(f"{count} group of documents came; a jackknife needs at least 2")
    error = math.sqrt((count - 1) / count * float(np.sum((left_out - np.mean(left_out)) ** 2)))
    return _student(value, error, count - 1)


def contrast_seeds(differences: Float[np.ndarray, " seeds"]) -> Contrast:
    """Test a difference over training seeds: the paired t-test.

    Args:
        differences: One a seed, both maps trained with it.

    Returns:
        Their mean, its interval and p: whether it would be there with other seeds on the same texts. With one
        seed there is neither interval nor p.

    Raises:
        ShapeError: When there is no difference.

    Examples:
        >>> round(contrast_seeds(np.array([1.0, 2.0, 3.0])).p, 4)  # t = 2 sqrt(3), 2 degrees of freedom
        0.0742
    """
    count = len(differences)
    if count == 0:
        raise ShapeError("0 differences came; give one for each seed")
    value = float(np.mean(differences))
    if count == 1:
        return Contrast(value, None, None, None)
    return _student(value, float(np.std(differences, ddof=1)) / math.sqrt(count), count - 1)


def _student(value: float, error: float, freedom: int) -> Contrast:
    from scipy.stats import t

    half = float(t.ppf(0.975, freedom)) * error
    # What rounding leaves of a difference between equal maps is no difference.
    if error <= 1e-12 * max(1.0, abs(value)):
        return Contrast(value, value - half, value + half, 1.0 if abs(value) <= 1e-12 else 0.0)
    return Contrast(value, value - half, value + half, float(2 * t.sf(abs(value) / error, freedom)))
