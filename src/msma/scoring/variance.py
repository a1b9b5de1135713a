"""The share of variance that mapped states explain."""

import numpy as np
from jaxtyping import Float

from msma.resampling import bootstrap_interval
from msma.results import Row
from msma.scoring.case import Case, Samples


def score_r2(case: Case, *, weights: str = "variance") -> Row:
    r"""Score the share of the target's variance that the mapped states explain.

    ``variance`` weighs dimensions by variance: :math:`1 - \sum_i |y_i - f_i|^2 / \sum_i |y_i - \bar y|^2`;
    ``uniform`` averages the dimensions' own R2, so that small dimensions count as much as large ones.

    Args:
        case: The mapped pair.
        weights: "variance" or "uniform".

    Returns:
        A row ``r2`` or ``r2_uniform``, at most 1, negative where the target's mean would do better.
    """
    residual, square = (case.target - case.mapped) ** 2, case.target**2
    is_uniform = weights == "uniform"
    if not is_uniform:
        residual, square = residual.sum(axis=1, keepdims=True), square.sum(axis=1, keepdims=True)

    def statistic(weight: Float[np.ndarray, "draws samples"], residual: Samples = residual) -> Samples:
        mean_square = (weight @ case.target) ** 2 / weight.sum(axis=1, keepdims=True)
        if not is_uniform:
            mean_square = mean_square.sum(axis=1, keepdims=True)
        total = weight @ square - mean_square
        # Dimensions that do not vary have no share to explain.
        varies = total > 1e-12 * total.max(axis=1, keepdims=True)
        shares = 1 - np.divide(weight @ residual, total, out=np.ones_like(total), where=varies)
        return shares.sum(axis=1) / varies.sum(axis=1).clip(1)

    interval = bootstrap_interval(statistic, case.documents, seed=case.seed)
    ones = np.ones((1, case.n))
    nulls = []
    for order in case.shuffles:
        shuffled = (case.target - case.mapped[order]) ** 2
        nulls.append(statistic(ones, shuffled if is_uniform else shuffled.sum(axis=1, keepdims=True))[0])
    what = "dimensions count alike" if is_uniform else "dimensions weighted by their variance"
    return case.row(
        "r2_uniform" if is_uniform else "r2",
        interval,
        null=float(np.mean(nulls)),
        ceiling=1.0,
        units="share of variance",
        better="higher",
        note=what,
    )
