"""The coordinates in which a learned map is trained, and the way back to those of the states."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Float
from sklearn.base import clone

from msma.linalg import psd_eigh
from msma.maps.base import fit_map
from msma.maps.linear import LinearMap
from msma.maps.ridge import RidgeMap
from msma.moments import CrossMoments

__all__ = ["Frame", "best_base", "refit_base"]

#: Training rows for each direction of the source that the network may look along.
ROWS_PER_DIRECTION = 5
#: Directions with less than this share of the mean variance are not stretched any further.
_FLOOR = 1e-6


@dataclass(frozen=True, eq=False)
class Frame:
    r"""Standardised coordinates of a source and a target.

    Source: :math:`z_j = v_j^T(x - \bar x) / (s_j \bar s)^{1/4}` along the eigenvectors :math:`v_j` of the
    covariance, s_j being their variances: half way (in logarithms) between dividing all by one number and
    whitening. Target: centred and divided by the root of its mean variance, one number, so that a squared error
    keeps its meaning.

    Args:
        mean_source: Centre of the source.
        inward: From centred source to z.
        mean_target: Centre of the target.
        scale: Root of the target's mean variance.
    """

    mean_source: Float[np.ndarray, " d_source"]
    inward: Float[np.ndarray, "d_source k"]
    mean_target: Float[np.ndarray, " d_target"]
    scale: float

    @classmethod
    def from_moments(cls, cross: CrossMoments) -> "Frame":
        """Take the coordinates from the moments of the training pairs.

        Args:
            cross: Their moments.

        Returns:
            Coordinates along the leading directions: one for five samples at most.

        Examples:
            >>> x = np.array([[-2.0, 0.0], [2.0, 0.0]] * 10)
            >>> Frame.from_moments(CrossMoments.from_batch(x, x)).inward.shape  # the second column is constant
            (2, 1)
        """
        # Eigenvectors come with any sign; the network's first weights do not care, but repeating a fit does.
        values, vectors, rank = psd_eigh(cross.source.covariance(), max_rank=cross.n - 1)
        k = max(1, min(rank, cross.n // ROWS_PER_DIRECTION))
        kept, mean = values[:k], float(values[:k].mean())
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        stretch = (np.maximum(kept, _FLOOR * mean) * mean) ** 0.25
        total = float(np.trace(cross.target.covariance()))
        return cls(
            mean_source=cross.mean_source,
            inward=np.ascontiguousarray(vectors[:, :k] / stretch),
            mean_target=cross.mean_target,
            scale=(total / cross.d_target) ** 0.5,
        )

    def standardise_source(
        self, source: Float[np.ndarray, "samples d_source"]
    ) -> Float[np.ndarray, "samples k"]:
        """Give the source as the network sees it.

        Args:
            source: Source samples.

        Returns:
            Single precision.
        """
        return ((source - self.mean_source) @ self.inward).astype(np.float32)

    def standardise_target(
        self, target: Float[np.ndarray, "samples d_target"]
    ) -> Float[np.ndarray, "samples d_target"]:
        """Give the target, or what is mapped onto it, as the objective sees it.

        Args:
            target: Target samples.

        Returns:
            Single precision.
        """
        return ((target - self.mean_target) / self.scale).astype(np.float32)


def best_base(
    bases: dict[str, LinearMap],
    source: Float[np.ndarray, "samples d_source"],
    target: Float[np.ndarray, "samples d_target"],
    *,
    documents: np.ndarray | None,
    held_out: tuple[Float[np.ndarray, "n d_source"], Float[np.ndarray, "n d_target"]] | None,
) -> LinearMap:
    """Fit maps in closed form and keep the one that explains most of the held-out rows.

    Args:
        bases: Candidates by name, from the simplest to the most able.
        source: Training source samples.
        target: Their targets.
        documents: The document of each training pair, where it is known.
        held_out: Rows to choose by; without them ridge, or the last, is taken.

    Returns:
        A fitted map.
    """
    allowed = [
        map_
        for map_ in bases.values()
        if len(bases) == 1 or not map_.needs_equal_widths or source.shape[1] == target.shape[1]
    ]
    if held_out is None and len(allowed) > 1:
        allowed = [bases.get("ridge", allowed[-1])]
    rows = np.arange(len(source)) if documents is None else documents
    fitted = [fit_map(map_, source, target, rows) for map_ in allowed]
    if held_out is None or len(fitted) == 1:
        return cast("LinearMap", fitted[0])
    errors = [float(((map_.transform(held_out[0]) - held_out[1]) ** 2).sum()) for map_ in fitted]
    return cast("LinearMap", fitted[int(np.argmin(errors))])


def refit_base(base: LinearMap, cross: CrossMoments, *, n_before: int) -> LinearMap:
    """Fit a base again on more rows, a penalty that was chosen keeping its weight beside each row.

    Args:
        base: A fitted map.
        cross: Moments of all pairs.
        n_before: Pairs that the base was fitted on before.

    Returns:
        The map fitted on all of them.

    Examples:
        >>> x = np.array([[-1.0], [0.0], [1.0]])
        >>> cross = CrossMoments.from_batch(x, 4 * x)
        >>> refit_base(RidgeMap(alpha=2.0).fit_moments(cross), cross + cross, n_before=3).alpha
        2.0
    """
    fresh: LinearMap = clone(base)
    if isinstance(base, RidgeMap):
        fresh.set_params(alpha=base.alpha_ * (1.0 if base.alpha is not None else cross.n / n_before))
    return fresh.fit_moments(cross)
