"""How far one law must be carried to become another."""

import torch

from msma.measures._inputs import Scalar, SourceLaw, TargetLaw, answer, check_width, to_tensor


def wasserstein2_gaussian(source: SourceLaw, target: TargetLaw) -> Scalar:
    r"""Compute the 2-Wasserstein distance between Gaussian fits.

    .. math:: W_2^2 = \|\mu_P-\mu_Q\|^2 + \operatorname{tr}\Sigma_P + \operatorname{tr}\Sigma_Q
              - 2\operatorname{tr}(\Sigma_P^{1/2}\Sigma_Q\Sigma_P^{1/2})^{1/2}

    (Dowson and Landau 1982; Gelbrich 1990.) The last trace is the nuclear norm of R_P R_Q^T, with R the
    triangular factor of the centred samples, so it holds for singular covariances too. A plug-in: two samples
    of one law are some way apart.

    Args:
        source: Samples of P.
        target: Samples of Q.

    Returns:
        A distance in the units of the states, not squared; 0 or more.

    Raises:
        ShapeError: When widths differ or a side has fewer than two samples.

    Examples:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> round(wasserstein2_gaussian(x, 2 * x + [3.0, 0.0, 0.0] - x.mean(axis=0)), 6) > 3.0
        True
        >>> round(wasserstein2_gaussian(x, x + [3.0, 4.0, 0.0]), 6)
        5.0
    """
    p, q = to_tensor(source, name="source", min_samples=2), to_tensor(target, name="target", min_samples=2)
    check_width(p, q)
    q = q.to(p.device)
    p_centred, q_centred = p - p.mean(dim=0), q - q.mean(dim=0)
    root_p = torch.linalg.qr(p_centred, mode="reduced").R / (len(p) - 1) ** 0.5
    root_q = torch.linalg.qr(q_centred, mode="reduced").R / (len(q) - 1) ** 0.5
    overlap = torch.linalg.svdvals(root_p @ root_q.T).sum()
    squared = (p.mean(dim=0) - q.mean(dim=0)).square().sum() + root_p.square().sum() + root_q.square().sum()
    # The difference is 0 or more but for rounding.
    return answer((squared - 2.0 * overlap).clamp_min(0.0).sqrt(), source, target)
