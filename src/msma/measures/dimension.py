"""How many dimensions a cloud of states has, read from the distances of nearest neighbours."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from msma.errors import ConfigError, ShapeError
from msma.measures._inputs import Scalar, States, answer, to_tensor
from msma.measures.neighbours import neighbour_distances

__all__ = ["dimension_profile", "mle_dimension", "twonn_dimension"]


def twonn_dimension(states: States, *, discard: float = 0.1) -> Scalar:
    r"""Estimate intrinsic dimension from the ratio of the two nearest neighbours' distances.

    .. math:: \log(r_2/r_1) \sim \text{Exp}(d), \qquad
              \hat d = \frac{m-1}{\sum_{i\le m} x_{(i)} + (n-m)\,x_{(m)}}, \quad x = \log(r_2/r_1)

    (Facco et al. 2017, equation 3.) The largest ``discard`` of the ratios, where density is not even, only
    count as "at least the m-th", for which the estimate above is the unbiased one (Epstein and Sobel 1953);
    the authors drop them and fit a line, which uses the same ratios less efficiently. Repeated samples are
    dropped first. Reads low where the dimension is high: about 15 for a uniform cube of 20 at n = 1,000.

    Args:
        states: Samples in rows.
        discard: Share of the largest ratios that are not trusted.

    Returns:
        Dimensions, above 0.

    Raises:
        ConfigError: When ``discard`` is not at least 0 and below 1.
        ShapeError: When there are fewer than 4 different samples, or all ratios are 1 (a lattice).

    Examples:
        >>> import numpy as np
        >>> plane = np.random.default_rng(0).uniform(size=(2000, 2)) @ [[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]
        >>> round(twonn_dimension(plane), 1)
        2.0
    """
    if not 0.0 <= discard < 1.0:
        raise ConfigError(f"discard={discard} came; expected a share of at least 0 and below 1")
    distances, _, kept = neighbour_distances(to_tensor(states, name="states"), k=2)
    ratios = (distances[:, 1] / distances[:, 0]).log().sort().values
    trusted = max(2, len(kept) - int(discard * len(kept)))
    total = ratios[:trusted].sum() + (len(kept) - trusted) * ratios[trusted - 1]
    return answer((trusted - 1) / _above_zero(total), states)


def mle_dimension(states: States, *, k: int = 20) -> Scalar:
    r"""Estimate intrinsic dimension by maximum likelihood over ``k`` nearest neighbours.

    .. math:: \hat d^{-1} = \frac{1}{n(k-1)}\sum_{i=1}^{n}\sum_{j=1}^{k-1}\log\frac{T_k(x_i)}{T_j(x_i)}

    (Levina and Bickel 2004, equation 8, with the inverses averaged as MacKay and Ghahramani 2005 correct it.)
    Repeated samples are dropped first. Reads low where the dimension is high, the more so the larger ``k``.

    Args:
        states: Samples in rows.
        k: Neighbours.

    Returns:
        Dimensions, above 0.

    Raises:
        ShapeError: As :func:`dimension_profile`.

    Examples:
        >>> import numpy as np
        >>> plane = np.random.default_rng(0).uniform(size=(2000, 2)) @ [[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]
        >>> abs(mle_dimension(plane, k=10) - 2.0) < 0.1
        True
    """
    return dimension_profile(states, neighbours=(k,))[k]


def dimension_profile(states: States, *, neighbours: Sequence[int] = (5, 10, 20, 50)) -> dict[int, Scalar]:
    """Estimate intrinsic dimension over a range of neighbourhood sizes, finding the neighbours once.

    Args:
        states: Samples in rows.
        neighbours: Values of ``k`` for :func:`mle_dimension`.

    Returns:
        The estimate for each ``k``, in the order given.

    Raises:
        ConfigError: When a size is below 2.
        ShapeError: When there are not more different samples than neighbours + 1, or all are equally far apart.

    Examples:
        >>> import numpy as np
        >>> line = np.random.default_rng(0).uniform(size=(1000, 1)) * [1.0, 2.0]
        >>> {k: round(d, 1) for k, d in dimension_profile(line, neighbours=(5, 20)).items()}
        {5: 1.0, 20: 1.0}
    """
    if len(neighbours) == 0 or min(neighbours) < 2:
        raise ConfigError(f"neighbours={tuple(neighbours)} came; expected sizes of 2 or more")
    distances, _, kept = neighbour_distances(to_tensor(states, name="states"), k=max(neighbours))
    logs = distances.log()
    found: dict[int, Scalar] = {}
    for k in neighbours:
        total = (logs[:, k - 1 : k] - logs[:, : k - 1]).sum()
        found[k] = answer(len(kept) * (k - 1) / _above_zero(total), states)
    return found


def _above_zero(total: Float[Tensor, ""]) -> Float[Tensor, ""]:
    if float(total.detach()) <= 0.0:
        raise ShapeError(
            "all neighbours are equally far away (a lattice); dimension needs distances that differ: add a "
            "little noise, or check the states"
        )
    return total
