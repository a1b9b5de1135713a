"""Paired statistics over prompts: Cliff's delta with a bootstrap interval, sign-flip tests in one sweep."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

#: Fewest prompts with a number in both arms that are tested.
FEWEST_PROMPTS = 5
#: Up to so many prompts every pattern of signs is tried; with more, patterns are drawn.
_ENUMERATED = 14
#: Patterns drawn for each test of the family, so that the least p can survive Holm's correction ten times over.
_DRAWS_A_TEST = 200
_FEWEST_DRAWS = 10_000
_BLOCK = 4096

Table = Float[np.ndarray, "prompts seeds"]


class Delta(NamedTuple):
    """Cliff's delta with its 95 % interval.

    Args:
        value: From -1 (always below) to 1 (always above).
        low: Lower end; ``None`` where there are too few prompts.
        high: Upper end.
    """

    value: float
    low: float | None
    high: float | None


def pair_up(first: Table, second: Table) -> Bool[np.ndarray, "prompts seeds"]:
    """Tell which pairs have a number in both arms.

    Args:
        first: Values by prompt and seed, NaN where undefined.
        second: Those of the other arm.

    Returns:
        True for pairs that count.
    """
    return np.isfinite(first) & np.isfinite(second)


def paired_delta(first: Table, second: Table, *, n_resamples: int = 2000, seed: int = 0) -> Delta | None:
    r"""Compute Cliff's delta between two arms, and its percentile interval from redrawn prompts.

    .. math:: \delta = P(x > y) - P(x < y)

    Each draw takes prompts with replacement, both arms and all seeds of a prompt together (a cluster bootstrap:
    continuations of one prompt resemble each other, so they are no samples of their own).

    Args:
        first: Values x by prompt and seed, NaN where undefined; pairs with one NaN are left out of both arms.
        second: Values y.
        n_resamples: Number of draws.
        seed: Fixes the draws.

    Returns:
        Delta and its interval; ``None`` where no pair is left.

    Examples:
        >>> paired_delta(np.array([[1.0, 2.0]]), np.array([[0.0, 1.0]])).value
        0.75
    """
    valid = pair_up(first, second)
    rows = valid.any(axis=1)
    if not rows.any():
        return None
    x, y = (np.where(valid, values, np.nan)[rows] for values in (first, second))
    # Wins and comparisons between every two prompts; a draw only weighs them.
    difference = x[:, None, :, None] - y[None, :, None, :]
    wins = np.nansum(np.sign(difference), axis=(2, 3))
    counts = np.isfinite(difference).sum(axis=(2, 3)).astype(np.float64)
    value = float(wins.sum() / counts.sum())
    n = len(x)
    if n < FEWEST_PROMPTS:
        return Delta(value, None, None)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(float)
    drawn = np.einsum("bi,ij,bj->b", weights, wins, weights, optimize=True)
    drawn /= np.einsum("bi,ij,bj->b", weights, counts, weights, optimize=True)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Delta(value, float(low), float(high))


def mean_differences(first: Table, second: Table) -> Float[np.ndarray, " prompts"]:
    """Average the paired differences of each prompt over its seeds.

    Args:
        first: Values by prompt and seed.
        second: Those of the other arm.

    Returns:
        One difference a prompt; NaN where no seed has both.
    """
    valid = pair_up(first, second)
    counts = valid.sum(axis=1)
    total = np.where(valid, np.where(valid, first, 0.0) - np.where(valid, second, 0.0), 0.0).sum(axis=1)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def sign_flip_tests(
    differences: Float[np.ndarray, "tests prompts"], *, seed: int = 0
) -> Float[np.ndarray, " tests"]:
    r"""Test whether mean paired differences are zero, all tests with the same patterns of signs.

    If the intervention does nothing to the law of a continuation, its two arms can be exchanged within each prompt,
    so that every pattern of signs was as likely (Fisher's randomisation test; Pitman 1937):

    .. math:: p = P\big(|\textstyle\sum_i \epsilon_i d_i| \ge |\sum_i d_i|\big), \quad \epsilon_i = \pm 1

    Exact whatever the law of the differences, where Student's t asks for a normal one. Up to 14 prompts all
    patterns are tried; else :math:`B = \max(10^4, 200\,m)` are drawn for m tests and
    :math:`p = (1 + b) / (1 + B)`, whose least value survives Holm's correction over m tests.

    Args:
        differences: One a test and prompt, NaN where there is none.
        seed: Fixes the patterns.

    Returns:
        Two-sided p-values; NaN where fewer than five prompts have a difference.

    Examples:
        >>> sign_flip_tests(np.array([[1.0, 1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0, 0.0]])).tolist()
        [0.0625, 1.0]
    """
    n_tests, n = differences.shape
    known = np.isfinite(differences)
    values = np.where(known, differences, 0.0)
    observed = np.abs(values.sum(axis=1))
    # What rounding does to sums that are equal must not tell them apart.
    bar = observed - 1e-9 * np.abs(values).sum(axis=1)
    is_exact = n <= _ENUMERATED
    total = 2 ** (n - 1) if is_exact else max(_FEWEST_DRAWS, _DRAWS_A_TEST * n_tests)
    rng = np.random.default_rng(seed)
    as_large = np.zeros(n_tests, dtype=np.int64)
    for start in range(0, total, _BLOCK):
        size = min(_BLOCK, total - start)
        if is_exact:  # the first sign may stay: turning all of them changes no absolute value
            numbers = np.arange(start, start + size)
            signs = 1.0 - 2.0 * ((numbers[:, None] >> np.arange(n)) & 1)
        else:
            signs = 1.0 - 2.0 * rng.integers(0, 2, size=(size, n))
        as_large += (np.abs(signs @ values.T) >= bar).sum(axis=0)
    p = as_large / total if is_exact else (1 + as_large) / (1 + total)
    return np.where(known.sum(axis=1) >= FEWEST_PROMPTS, p, np.nan)


def least_p(n_prompts: int, n_tests: int) -> float:
    """Give the smallest p that :func:`sign_flip_tests` can find.

    Args:
        n_prompts: Prompts.
        n_tests: Tests in one sweep.

    Returns:
        The p.

    Examples:
        >>> least_p(5, 1)
        0.0625
    """
    if n_prompts <= _ENUMERATED:
        return 2.0 / 2**n_prompts
    return max(1 / (1 + max(_FEWEST_DRAWS, _DRAWS_A_TEST * n_tests)), 2.0 / 2**n_prompts)


def relative_change(first: Table, second: Table) -> float | None:
    """Compute the change of the mean over pairs, as a share of the second arm's mean.

    Args:
        first: Values by prompt and seed.
        second: Those of the arm compared with.

    Returns:
        0.1 for a tenth more; ``None`` where no pair is left or the mean compared with is zero.

    Examples:
        >>> relative_change(np.array([[3.0, np.nan]]), np.array([[2.0, 9.0]]))
        0.5
    """
    valid = pair_up(first, second)
    if not valid.any():
        return None
    base = float(second[valid].mean())
    change = float(first[valid].mean()) - base
    return None if abs(base) < 1e-12 or not math.isfinite(change / abs(base)) else change / abs(base)
