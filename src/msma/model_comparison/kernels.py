r"""Debiased linear CKA and neighbours' overlap of all samples, and without each group of documents.

Equal to :func:`msma.measures.similarity.cka` and :func:`~msma.measures.similarity.mutual_knn_overlap` on the
samples kept; every pair of layers needs an interval here, and sums over kernels give all parts of a jackknife for
the price of one. The unbiased HSIC (Song et al. 2012, equation 5) of kernels K and L without their diagonals,

.. math::
    \frac{1}{n(n-3)}\Big(\operatorname{tr} KL + \frac{1^TK1\,1^TL1}{(n-1)(n-2)} - \frac{2}{n-2}1^TKL1\Big),

does not change when the samples are shifted, so that leaving some out needs no new centring.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from msma.measures.neighbours import nearest_neighbours

#: Neighbours of a sample that are compared.
NEIGHBOURS = 10


@dataclass(frozen=True, eq=False)
class Kernel:
    """Inner products of samples, of all and without each group of documents.

    Args:
        matrix: Inner products of centred samples, 0 on the diagonal.
        groups: The group of each sample.
        rows: Sums over the samples of each group: one column a group, all samples together last.
    """

    matrix: Float[np.ndarray, "samples samples"]
    groups: Int[np.ndarray, " samples"]
    rows: Float[np.ndarray, "samples parts"]

    @classmethod
    def from_states(
        cls, states: Float[np.ndarray, "samples d"], groups: Int[np.ndarray, " samples"]
    ) -> "Kernel":
        """Compute the kernel of some samples.

        Args:
            states: Samples in rows.
            groups: The group of each.

        Returns:
            The kernel.
        """
        centred = np.asarray(states, dtype=np.float64)
        centred = centred - centred.mean(axis=0)
        matrix = centred @ centred.T
        np.fill_diagonal(matrix, 0.0)
        return cls.from_matrix(matrix, groups)

    @classmethod
    def from_matrix(
        cls, matrix: Float[np.ndarray, "samples samples"], groups: Int[np.ndarray, " samples"]
    ) -> "Kernel":
        """Take inner products that are known.

        Args:
            matrix: Inner products, 0 on the diagonal.
            groups: The group of each sample.

        Returns:
            The kernel.
        """
        member = (groups[:, None] == np.unique(groups)[None, :]).astype(np.float64)
        parts = matrix @ member
        return cls(matrix, groups, np.column_stack([parts, parts.sum(axis=1)]))

    def permute(self, order: Int[np.ndarray, " samples"]) -> "Kernel":
        """Give row ``i`` the sample ``order[i]``; groups stay where they are.

        Args:
            order: A permutation.

        Returns:
            The kernel of the shuffled samples.
        """
        return Kernel.from_matrix(self.matrix[np.ix_(order, order)], self.groups)


def hsic_parts(first: Kernel, second: Kernel) -> Float[np.ndarray, " parts"]:
    """Compute the unbiased HSIC without each group of documents, and of all samples last.

    Args:
        first: A kernel.
        second: Another one of the same samples and groups.

    Returns:
        One value a group left out, then the value on all samples.

    Examples:
        >>> from msma.measures.similarity import hsic
        >>> x = np.random.default_rng(0).normal(size=(12, 2))
        >>> centred = torch.from_numpy(x - x.mean(axis=0))
        >>> kernel = Kernel.from_states(x, np.arange(12) % 4)
        >>> bool(np.isclose(hsic_parts(kernel, kernel)[-1], float(hsic(centred, centred, debiased=True))))
        True
    """
    groups = first.groups
    member = groups[:, None] == np.unique(groups)[None, :]
    of_rows = np.einsum("ij,ij->i", first.matrix, second.matrix)
    blocks = [np.ix_(own, own) for own in (np.flatnonzero(column) for column in member.T)]
    within = np.array([(first.matrix[block] * second.matrix[block]).sum() for block in blocks])
    # Without group g: all, less rows and columns of g, which count its own block twice.
    trace = np.append(of_rows.sum() - 2.0 * (of_rows @ member) + within, of_rows.sum())
    kept = np.column_stack([~member, np.ones(len(groups), dtype=bool)]).astype(np.float64)
    sums = [kernel.rows[:, -1:] - kernel.rows for kernel in (first, second)]
    for side, kernel in zip(sums, (first, second), strict=True):
        side[:, -1] = kernel.rows[:, -1]
    n = kept.sum(axis=0)
    shared = (sums[0] * sums[1] * kept).sum(axis=0)
    totals = (sums[0] * kept).sum(axis=0) * (sums[1] * kept).sum(axis=0)
    value = trace + totals / ((n - 1) * (n - 2)) - 2.0 * shared / (n - 2)
    return np.asarray(value / (n * (n - 3)))


def cka_parts(
    first: Kernel,
    second: Kernel,
    *,
    own_first: Float[np.ndarray, " parts"] | None = None,
    own_second: Float[np.ndarray, " parts"] | None = None,
) -> Float[np.ndarray, " parts"]:
    """Compute debiased linear CKA without each group of documents, and of all samples last.

    Args:
        first: A kernel.
        second: Another one of the same samples and groups.
        own_first: HSIC of the first with itself, where it is known.
        own_second: HSIC of the second with itself, where it is known.

    Returns:
        One value a group left out, then the value on all samples; not a number where a side does not vary.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(12, 2))
        >>> one, two = (Kernel.from_states(side, np.arange(12) % 4) for side in (x, 3 - 2 * x[:, ::-1]))
        >>> cka_parts(one, two).round(6).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    own_first = hsic_parts(first, first) if own_first is None else own_first
    own_second = hsic_parts(second, second) if own_second is None else own_second
    spread = own_first * own_second
    is_spread = (own_first > 0) & (own_second > 0)
    root = np.sqrt(np.where(is_spread, spread, 1.0))
    return np.where(is_spread, hsic_parts(first, second) / root, np.nan)


def rank_neighbours(
    states: Float[np.ndarray, "samples d"], groups: Int[np.ndarray, " samples"], *, k: int = NEIGHBOURS
) -> Int[np.ndarray, "samples ranked"]:
    """Find so many neighbours of each sample that ``k`` remain whichever group is left out.

    Args:
        states: Samples in rows; without the largest group more than ``k``.
        groups: The group of each.
        k: Neighbours that must remain.

    Returns:
        Their positions, nearest first.

    Examples:
        >>> rank_neighbours(np.array([[0.0], [1.0], [3.0]]), np.arange(3), k=1).tolist()
        [[1, 2], [0, 2], [1, 0]]
    """
    count = min(k + int(np.unique(groups, return_counts=True)[1].max()), len(states) - 1)
    return np.asarray(nearest_neighbours(torch.from_numpy(np.asarray(states, dtype=np.float64)), k=count))


def keep_neighbours(
    ranked: Int[np.ndarray, "samples ranked"],
    groups: Int[np.ndarray, " samples"],
    *,
    without: int | None = None,
    k: int = NEIGHBOURS,
) -> Int[np.ndarray, "kept k"]:
    """Take the nearest neighbours of the samples that remain when a group is left out.

    Args:
        ranked: Positions of neighbours, from :func:`rank_neighbours`.
        groups: The group of each sample.
        without: The group left out; none when it is not given.
        k: Neighbours.

    Returns:
        Positions of the neighbours of each sample that remains, nearest first.

    Examples:
        >>> ranked = np.array([[1, 2], [0, 2], [1, 0]])
        >>> keep_neighbours(ranked, np.arange(3), without=1, k=1).ravel().tolist()
        [2, 0]
    """
    if without is None:
        return ranked[:, :k]
    first = np.argsort(groups[ranked] == without, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ranked, first, axis=1)[groups != without]


def share_neighbours(
    first: Int[np.ndarray, "samples k"], second: Int[np.ndarray, "samples k"]
) -> Float[np.ndarray, " samples"]:
    """Compute the share of neighbours that each sample has on both sides.

    Args:
        first: Neighbours of each sample on one side.
        second: On the other.

    Returns:
        0 to 1 a sample.

    Examples:
        >>> share_neighbours(np.array([[1, 2], [0, 2]]), np.array([[2, 3], [0, 2]])).tolist()
        [0.5, 1.0]
    """
    shared = (first[:, :, None] == second[:, None, :]).any(axis=2)
    return np.asarray(shared.mean(axis=1))


def shuffle_neighbours(
    neighbours: Int[np.ndarray, "samples k"], order: Int[np.ndarray, " samples"]
) -> Int[np.ndarray, "samples k"]:
    """Give row ``i`` the sample ``order[i]``, and its neighbours their new places.

    Args:
        neighbours: Neighbours of each sample.
        order: A permutation.

    Returns:
        Neighbours of the shuffled samples.

    Examples:
        >>> shuffle_neighbours(np.array([[1], [0], [1]]), np.array([2, 0, 1])).ravel().tolist()
        [2, 2, 1]
    """
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return places[neighbours[order]]
