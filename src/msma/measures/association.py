"""Effect size of a word-embedding association test."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from msma.errors import ShapeError
from msma.linalg import check_samples

#: States of sentences or words, in rows.
Vectors = Float[np.ndarray, "sentences d"]
#: A spread below this share of the associations themselves is rounding.
_FLAT = 1e-12


def association_effect(x: Vectors, y: Vectors, a: Vectors, b: Vectors) -> float:
    r"""Compute the effect size of a word-embedding association test (Caliskan et al. 2017, "effect size").

    .. math::
        s(w) = \operatorname{mean}_{a \in A} \cos(w, a) - \operatorname{mean}_{b \in B} \cos(w, b), \qquad
        d = \frac{\operatorname{mean}_{x \in X} s(x) - \operatorname{mean}_{y \in Y} s(y)}
                 {\operatorname{std}_{w \in X \cup Y} s(w)}

    with n - 1 in the standard deviation, as in the published code of May et al. (2019).

    Args:
        x: Vectors of the first targets, in rows.
        y: Vectors of the second targets.
        a: Vectors of the first attributes.
        b: Vectors of the second attributes.

    Returns:
        d, in standard deviations: within -2 to 2 for targets of equal number; 0 without an association.

    Raises:
        ShapeError: When vectors are not finite, of different widths or zero, there are fewer than two of a kind, or
            all targets have the same association.

    Examples:
        >>> a, b = np.array([[1.0, 0.0], [2.0, 0.0]]), np.array([[0.0, 1.0], [0.0, 3.0]])
        >>> d = association_effect(a, b, a, b)  # s = 1, 1, -1, -1: 2 over the square root of 4 / 3
        >>> round(d, 4)
        1.7321
    """
    unit = unit_vectors(x, y, a, b)
    s = target_associations(unit)
    return (float(s[: len(x)].mean()) - float(s[len(x) :].mean())) / association_spread(s)


def unit_vectors(x: Vectors, y: Vectors, a: Vectors, b: Vectors) -> list[Vectors]:
    """Bring vectors to length 1.

    Args:
        x: Vectors of the first targets, in rows.
        y: Vectors of the second targets.
        a: Vectors of the first attributes.
        b: Vectors of the second attributes.

    Returns:
        The four, in double precision.

    Raises:
        ShapeError: When vectors are not finite, of different widths or zero, or there are fewer than two of a kind.

    Examples:
        >>> two = np.array([[0.0, 2.0], [3.0, 4.0]])
        >>> unit_vectors(two, two, two, two)[0].tolist()
        [[0.0, 1.0], [0.6, 0.8]]
    """
    unit: list[Vectors] = []
    for side, given in zip("XYAB", (x, y, a, b), strict=True):
        vectors = check_samples(given, name=f"list {side}", min_samples=2)
        if unit and vectors.shape[1] != unit[0].shape[1]:
            raise ShapeError(
                f"list {side} is {vectors.shape[1]} wide and list X {unit[0].shape[1]}; expected vectors of one layer"
            )
        # By the largest entry first, so that very small or large vectors keep their direction.
        largest = np.abs(vectors).max(axis=1, keepdims=True)
        if not largest.all():
            row = int(np.flatnonzero(largest[:, 0] == 0)[0])
            raise ShapeError(
                f"vector {row} of list {side} is zero, which has no angle to any other; leave its word out"
            )
        scaled = vectors / largest
        unit.append(scaled / np.linalg.norm(scaled, axis=1, keepdims=True))
    return unit


def target_associations(unit: Sequence[Vectors]) -> Float[np.ndarray, " sentences"]:
    r"""Compute s of every target: a mean cosine is the product with the mean of unit vectors.

    .. math:: s(w) = \operatorname{mean}_{a \in A} \cos(w, a) - \operatorname{mean}_{b \in B} \cos(w, b)

    Args:
        unit: Unit vectors of X, Y, A and B.

    Returns:
        s of X, then of Y, from -2 to 2.

    Examples:
        >>> a, b = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
        >>> target_associations([a, b, a, b]).tolist()
        [1.0, -1.0]
    """
    x, y, a, b = unit
    return np.concatenate([x, y]) @ (a.mean(axis=0) - b.mean(axis=0))


def association_spread(s: Float[np.ndarray, " sentences"]) -> float:
    """Compute the standard deviation of associations, with n - 1.

    Args:
        s: Associations of all targets.

    Returns:
        A positive number.

    Raises:
        ShapeError: When all are the same but for rounding.

    Examples:
        >>> round(association_spread(np.array([1.0, 1.0, -1.0, -1.0])), 4)
        1.1547
    """
    spread = float(s.std(ddof=1))
    if spread <= _FLAT * max(1.0, float(np.abs(s).max())):
        raise ShapeError(
            f"all {len(s)} targets have the same association ({s[0]:.3g}), so that an effect in standard "
            "deviations does not exist; check that their vectors differ"
        )
    return spread
