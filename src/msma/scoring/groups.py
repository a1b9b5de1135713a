"""Moments of pairs by jackknife group, from which measures of any union of groups are had."""

import numpy as np
from jaxtyping import Int

from msma.measures.divergence import gaussian_kl_from_cross_moments
from msma.measures.information import gaussian_mi_from_moments
from msma.moments import CrossMoments
from msma.scoring.case import Rows, Samples


class GroupPairs:
    """Cross-moments of each jackknife group of pairs, so that any union of groups costs a few additions.

    Args:
        source: One side of the pairs.
        target: The other.
        groups: The jackknife group of each pair.
    """

    def __init__(self, source: Samples, target: Samples, groups: Int[np.ndarray, " samples"]) -> None:
        self.groups = groups
        self.parts = {
            int(g): CrossMoments.from_batch(source[groups == g], target[groups == g])
            for g in np.unique(groups)
        }

    def union(self, kept: Rows) -> CrossMoments:
        """Add up whole groups.

        Args:
            kept: Pairs whose groups are taken.

        Returns:
            Their moments.
        """
        first, *rest = (self.parts[int(g)] for g in np.unique(self.groups[kept]))
        for part in rest:
            first = first + part
        return first

    def information(self, kept: Rows) -> float:
        """Give the bias-corrected Gaussian mutual information of whole groups.

        Args:
            kept: Pairs whose groups are taken.

        Returns:
            Nats.
        """
        return float(gaussian_mi_from_moments(self.union(kept)))

    def divergence(self, kept: Rows) -> float:
        """Give the bias-corrected Gaussian KL from source to target of whole groups, as pairs.

        Args:
            kept: Pairs whose groups are taken.

        Returns:
            Nats.
        """
        return gaussian_kl_from_cross_moments(self.union(kept))
