r"""Variational bounds on mutual information, as differentiable functions of a critic's scores.

All take ``scores`` with ``scores[i, j] = T(x_i, y_j)``: the diagonal holds the pairs, drawn from p(x, y); the rest
holds every way to shuffle them, drawn from p(x) p(y). A bound trains a critic by its gradient and is reported from
pairs the critic never saw (:mod:`msma.measures.trained`): on its own training pairs every one of them reads high.

=========== =========================================== ======================= ===========================
bound       formula                                     true at best for T =    catch
=========== =========================================== ======================= ===========================
``infonce`` mean_i [T_ii - log mean_j exp T_ij]         log p(y|x) + c(x)       never above log n
``nwj``     mean_i T_ii - mean_offdiag exp(T - 1)       1 + log p(x,y)/p(x)p(y) spread grows like exp(I)
``mine``    mean_i T_ii - log mean_offdiag exp T        log p(x,y)/p(x)p(y) + c reads high on few samples
``smile``   the same with exp T clipped to e^(+-clip)   log p(x,y)/p(x)p(y)     no longer a bound
=========== =========================================== ======================= ===========================
"""

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from msma.errors import ConfigError, ShapeError

__all__ = [
    "BOUNDS",
    "Bound",
    "club_bound",
    "find_bound",
    "infonce_bound",
    "jensen_shannon_bound",
    "mine_bound",
    "mine_surrogate",
    "nwj_bound",
    "smile_bound",
    "vib_rate",
]

Bound: TypeAlias = Literal["infonce", "nwj", "smile", "mine"]
#: How fast MINE's moving average of the partition function forgets.
_FORGETTING = 0.01


def infonce_bound(scores: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    r"""Compute the contrastive lower bound (van den Oord et al. 2018, equation 5 with log n added).

    .. math:: \frac1n\sum_i\Big[T_{ii} - \log\frac1n\sum_j e^{T_{ij}}\Big]

    Args:
        scores: T(x_i, y_j); rows are anchors.

    Returns:
        Nats, at most log n.

    Raises:
        ShapeError: When the scores are not square, or of fewer than two pairs.

    Examples:
        >>> round(float(infonce_bound(1e6 * torch.eye(4))), 4)  # log 4, the most it can say
        1.3863
        >>> float(infonce_bound(torch.zeros(4, 4)))
        0.0
    """
    _check_square(scores)
    return scores.diagonal().mean() - torch.logsumexp(scores, dim=1).mean() + math.log(len(scores))


def nwj_bound(scores: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    r"""Compute the lower bound of Nguyen, Wainwright and Jordan (2010, equation 9).

    .. math:: \frac1n\sum_i T_{ii} - \frac1{n(n-1)}\sum_{i\ne j} e^{T_{ij}-1}

    Args:
        scores: T(x_i, y_j).

    Returns:
        Nats; unbiased for its population value, with a spread that grows like exp(I).

    Raises:
        ShapeError: When the scores are not square, or of fewer than two pairs.

    Examples:
        >>> float(nwj_bound(torch.ones(4, 4)))  # T = 1 + log of the ratio 1 of independent pairs
        0.0
    """
    return scores.diagonal().mean() - _log_mean_shuffled(scores - 1.0).exp()


def mine_bound(scores: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    r"""Compute the Donsker-Varadhan bound that MINE maximises (Belghazi et al. 2018, equation 5).

    .. math:: \frac1n\sum_i T_{ii} - \log\frac1{n(n-1)}\sum_{i\ne j} e^{T_{ij}}

    The marginal term runs over shuffled pairs. (The published MSMA code leaves them unshuffled, so that what it
    computes is no mutual information.) For training by gradient see :func:`mine_surrogate`.

    Args:
        scores: T(x_i, y_j).

    Returns:
        Nats; the logarithm of a sample mean makes it read a little high.

    Raises:
        ShapeError: When the scores are not square, or of fewer than two pairs.

    Examples:
        >>> abs(float(mine_bound(torch.full((4, 4), 3.0)))) < 1e-6
        True
    """
    return scores.diagonal().mean() - _log_mean_shuffled(scores)


def mine_surrogate(scores: Float[Tensor, "n n"], average: float | None) -> tuple[Float[Tensor, ""], float]:
    r"""Give a quantity whose gradient is MINE's, corrected by a moving average (Belghazi et al. 2018, section 3.2).

    The gradient of the logarithm of a batch's mean, :math:`E[\nabla e^T]/E[e^T]`, is biased, because the same
    batch stands above and below. Dividing by a moving average of E[e^T] over batches takes most of that out.

    Args:
        scores: T(x_i, y_j).
        average: The logarithm of the moving average so far; ``None`` at the first batch.

    Returns:
        What to ascend (its value means nothing), and the logarithm of the new moving average.

    Raises:
        ShapeError: When the scores are not square, or of fewer than two pairs.

    Examples:
        >>> surrogate, average = mine_surrogate(torch.zeros(3, 3), None)
        >>> float(surrogate), average
        (-1.0, 0.0)
    """
    shuffled = _log_mean_shuffled(scores)
    now = float(shuffled.detach())
    new = now if average is None else _log_add(average, now)
    return scores.diagonal().mean() - (shuffled - new).exp(), new


def smile_bound(scores: Float[Tensor, "n n"], *, clip: float = 5.0) -> Float[Tensor, ""]:
    r"""Compute the clipped Donsker-Varadhan estimate SMILE (Song and Ermon 2020, equation 8).

    .. math:: \frac1n\sum_i T_{ii} - \log\frac1{n(n-1)}\sum_{i\ne j}\mathrm{clip}(e^{T_{ij}}, e^{-\tau}, e^{\tau})

    Its gradient is that of :func:`jensen_shannon_bound`, as in the paper: the clipped value itself has no maximum,
    since a critic that is large everywhere is not held back where it is clipped.

    Args:
        scores: T(x_i, y_j).
        clip: tau; larger means less bias and more spread.

    Returns:
        Nats; neither a lower nor an upper bound.

    Raises:
        ConfigError: When ``clip`` is not above 0.
        ShapeError: When the scores are not square, or of fewer than two pairs.

    Examples:
        >>> round(float(smile_bound(9.0 * torch.eye(3) - 9.0, clip=5.0)), 4)  # exp(-9) counts as exp(-5)
        5.0
    """
    if not clip > 0:
        raise ConfigError(f"clip={clip} came; expected a number above 0, such as 5")
    value = scores.diagonal().mean() - _log_mean_shuffled(scores.clamp(-clip, clip))
    surrogate = jensen_shannon_bound(scores)
    return surrogate + (value - surrogate).detach()


def jensen_shannon_bound(scores: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    r"""Compute the lower bound on twice the Jensen-Shannon divergence that a classifier of pairs maximises.

    .. math:: -\frac1n\sum_i \mathrm{softplus}(-T_{ii}) - \frac1{n(n-1)}\sum_{i\ne j}\mathrm{softplus}(T_{ij}) + 2\log 2

    (Nowozin et al. 2016, table 2; Hjelm et al. 2019, equation 4, with 2 log 2 added.) The best T is
    log p(x, y) / p(x) p(y).

    Args:
        scores: T(x_i, y_j).

    Returns:
        Nats, at most 2 log 2; not mutual information itself.

    Raises:
        ShapeError: When the scores are not square, or of fewer than two pairs.

    Examples:
        >>> float(jensen_shannon_bound(torch.zeros(3, 3)))
        0.0
    """
    _check_square(scores)
    n = len(scores)
    joint = -functional.softplus(-scores.diagonal()).mean()
    # The diagonal is taken out of the sum over all.
    shuffled = functional.softplus(scores).sum() - functional.softplus(scores.diagonal()).sum()
    return joint - shuffled / (n * (n - 1)) + 2.0 * math.log(2.0)


def club_bound(log_likelihoods: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    r"""Compute the contrastive log-ratio upper bound CLUB (Cheng et al. 2020, equation 6).

    .. math:: \frac1n\sum_i \log q(y_i|x_i) - \frac1{n^2}\sum_{ij}\log q(y_j|x_i)

    Args:
        log_likelihoods: log q(y_j | x_i) under a model of the conditional law.

    Returns:
        Nats; above the mutual information where q is the true conditional, else an estimate that may be below.

    Raises:
        ShapeError: When the matrix is not square, or of fewer than two pairs.

    Examples:
        >>> float(club_bound(torch.eye(2)))
        0.5
    """
    _check_square(log_likelihoods)
    return log_likelihoods.diagonal().mean() - log_likelihoods.mean()


def vib_rate(mean: Float[Tensor, "samples d"], log_variance: Float[Tensor, "samples d"]) -> Float[Tensor, ""]:
    r"""Compute the rate of a variational bottleneck (Alemi et al. 2017, equation 17).

    .. math:: \frac1n\sum_i KL\big(N(\mu_i, \mathrm{diag}\,\sigma_i^2)\,\|\,N(0, I)\big)
              = \frac1{2n}\sum_{ik}\big(\mu_{ik}^2 + \sigma_{ik}^2 - 1 - \log\sigma_{ik}^2\big)

    Args:
        mean: Means of the encoder, one row a sample.
        log_variance: Logarithms of its variances.

    Returns:
        Nats, 0 or more: an upper bound on the information that the code holds about its input.

    Raises:
        ShapeError: When the two differ in shape.

    Examples:
        >>> float(vib_rate(torch.ones(5, 2), torch.zeros(5, 2)))  # 2 x 1 / 2
        1.0
    """
    if mean.shape != log_variance.shape:
        raise ShapeError(
            f"means {tuple(mean.shape)} and log-variances {tuple(log_variance.shape)} came; expected equal shapes"
        )
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(dim=1).mean()


def find_bound(name: str) -> Callable[[Float[Tensor, "n n"]], Float[Tensor, ""]]:
    """Look up a lower bound by name.

    Args:
        name: "infonce", "nwj", "smile" or "mine".

    Returns:
        The function of the scores.

    Raises:
        ConfigError: When there is no bound of that name.

    Examples:
        >>> find_bound("nwj") is nwj_bound
        True
    """
    if name not in BOUNDS:
        raise ConfigError(f"estimator '{name}' came; expected one of {', '.join(BOUNDS)}")
    return BOUNDS[name]


def _check_square(scores: Tensor) -> None:
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or len(scores) < 2:
        raise ShapeError(
            f"scores came with shape {tuple(scores.shape)}; expected (n, n) for n >= 2 pairs: every x beside every y"
        )


def _log_mean_shuffled(scores: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    """Logarithm of the mean of exp over the pairs that do not belong together."""
    _check_square(scores)
    n = len(scores)
    apart = scores.masked_fill(torch.eye(n, dtype=torch.bool, device=scores.device), -math.inf)
    return torch.logsumexp(apart.flatten(), dim=0) - math.log(n * (n - 1))


def _log_add(average: float, now: float) -> float:
    high = max(average, now)
    mixed = (1 - _FORGETTING) * math.exp(average - high) + _FORGETTING * math.exp(now - high)
    return high + math.log(mixed)


#: The lower bounds that a critic can be trained by, by name.
BOUNDS: dict[str, Callable[[Float[Tensor, "n n"]], Float[Tensor, ""]]] = {
    "infonce": infonce_bound,
    "nwj": nwj_bound,
    "smile": smile_bound,
    "mine": mine_bound,
}
