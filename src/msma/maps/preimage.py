"""Where a bent map comes from: pre-images near those of its linear part."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

__all__ = ["refine_preimage"]

#: Steps at most.
_STEPS = 50
#: Steps shorter than this share of the linear answer are not worth trying.
_SHORTEST = 1e-3


def refine_preimage(
    forward: Callable[[Float[np.ndarray, "n d_source"]], Float[np.ndarray, "n d_target"]],
    source: Float[np.ndarray, "n d_source"],
    target: Float[np.ndarray, "n d_target"],
    way_back: Float[np.ndarray, "d_target d_source"],
) -> Float[np.ndarray, "n d_source"]:
    r"""Walk from a first guess towards samples that are mapped onto the target.

    .. math:: x \leftarrow x + t\,(y - f(x))\,A^{+}

    with A the linear part (a Gauss-Newton step that leaves the bending out). Each sample has its own t: a step
    that does not lower its error is taken back and t halved, so that no sample ends worse than it began.

    Args:
        forward: The map.
        source: First guesses.
        target: What they should be mapped onto.
        way_back: Pseudo-inverse of the linear part.

    Returns:
        Samples of the source: pre-images where the linear part dominates, else the best that was met.

    Examples:
        >>> bent = lambda x: x + 0.3 * np.sin(x)
        >>> y = bent(np.array([[1.0], [2.0]]))
        >>> refine_preimage(bent, y, y, np.eye(1)).round(6).tolist()
        [[1.0], [2.0]]
    """
    source = source.copy()
    missed = target - forward(source)
    step = np.ones(len(source))
    for _ in range(_STEPS):
        tried = source + step[:, None] * (missed @ way_back)
        left = target - forward(tried)
        is_better = (left**2).sum(axis=1) < (missed**2).sum(axis=1)
        source[is_better], missed[is_better] = tried[is_better], left[is_better]
        step = np.where(is_better, np.minimum(2.0 * step, 1.0), 0.5 * step)
        if step.max() < _SHORTEST:
            break
    return source
