"""How strongly a map bends: the squared norm of its second derivative, by random probes."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from msma.errors import ConfigError, ShapeError
from msma.linalg import psd_sqrt
from msma.measures._inputs import Scalar, States, answer, to_tensor
from msma.moments import Moments

__all__ = ["MapCurvature", "map_curvature", "second_derivative", "squared_bending"]

#: Rows differentiated together: bounds the memory where no gradient is asked for.
_CHUNK = 2048

#: A function of rows: row i of the result depends on row i of the input alone.
RowFunction = Callable[[Tensor], Tensor]


class MapCurvature(NamedTuple):
    """The curvature of a map with its uncertainty.

    Args:
        value: Mean over samples of the squared norm; a tensor with a gradient where a tensor came.
        standard_error: Of the value, over samples; it holds the noise of the probes too.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        n_samples: Samples looked at.
        n_probes: Pairs of probes a sample.
        is_relative: Whether the value is the share of the map's variance (no units).
    """

    value: Scalar
    standard_error: float
    low: float
    high: float
    n_samples: int
    n_probes: int
    is_relative: bool


def second_derivative(
    function: RowFunction,
    states: Float[Tensor, "samples d_source"],
    first: Float[Tensor, "samples d_source"],
    second: Float[Tensor, "samples d_source"],
) -> Float[Tensor, "samples d_target"]:
    r"""Compute :math:`D^2f(x_i)[v_i, w_i]` for every row by forward-over-forward differentiation.

    Two nested Jacobian-vector products (``torch.func.jvp``): no Jacobian or Hessian is ever formed, and the
    cost is about four passes through the map whatever its widths.

    Args:
        function: Takes rows to rows, each on its own.
        states: Where to differentiate.
        first: Directions v, one row a sample.
        second: Directions w.

    Returns:
        One row a sample, in units of the target for directions in units of the source; differentiable with
        respect to the function's parameters.

    Examples:
        >>> x, v, w = torch.ones(1, 2), torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 1.0]])
        >>> second_derivative(lambda rows: rows**3, x, v, w).tolist()  # 6 x v w
        [[18.0, 0.0]]
    """
    _load_forward_mode()

    def slope(rows: Tensor) -> Tensor:
        return torch.func.jvp(function, (rows,), (first,))[1]

    found: Tensor = torch.func.jvp(slope, (states,), (second,))[1]
    return found


@cache
def _load_forward_mode() -> None:
    """Let torch load its forward mode once without its own warning about an outdated part of itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.func.jvp(torch.neg, (torch.zeros(1),), (torch.ones(1),))


def squared_bending(
    function: RowFunction,
    states: Float[Tensor, "samples d_source"],
    *,
    n_probes: int = 1,
    root: Float[Tensor, "d_source d_source"] | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " samples"]:
    r"""Estimate :math:`\|D^2f(x_i)\|_F^2` at every row, without bias.

    With v and w independent and standard normal, :math:`E\|D^2f[v, w]\|^2 = \sum_k \|H_k\|_F^2`, H_k being the
    Hessian of output k: the bilinear twin of Hutchinson's trace estimate (1990, Communications in
    Statistics: Simulation 19). With v = w it would be
    :math:`2\sum_k\|H_k\|_F^2 + \sum_k(\operatorname{tr} H_k)^2`, since :math:`E[v_a v_b v_c v_d]` then has
    three pairings instead of one. This is the quantity that the objective of :class:`msma.maps.JointMap` weighs.

    Args:
        function: Takes rows to rows, each on its own.
        states: Where to look.
        n_probes: Pairs (v, w) averaged at each row.
        root: Symmetric root of the probes' covariance C; the result then is
            :math:`\sum_k \|C^{1/2} H_k C^{1/2}\|_F^2`. The identity when left out.
        generator: Draws the probes, on the CPU, so that a seed means the same on every device.

    Returns:
        One estimate a row, squared target units / source units^4; differentiable.

    Examples:
        >>> x = torch.zeros(1, 3)
        >>> float(squared_bending(lambda rows: 2.0 * rows + 1.0, x))  # affine
        0.0
    """
    total = states.new_zeros(len(states))
    for _ in range(n_probes):
        probes = torch.randn(2, *states.shape, generator=generator, dtype=states.dtype).to(states.device)
        if root is not None:
            probes = probes @ root
        total = total + second_derivative(function, states, probes[0], probes[1]).square().sum(dim=1)
    return total / n_probes


def map_curvature(
    map_: Any, states: States, *, n_probes: int = 8, is_relative: bool = False, seed: int = 0
) -> MapCurvature:
    r"""Measure how strongly a map bends: :math:`E_x \|D^2f(x)\|_F^2`, zero for every affine map.

    Relative, the probes have the covariance C of the states and the value is
    :math:`\tfrac12 E_x\sum_k\|C^{1/2}H_k(x)C^{1/2}\|_F^2 / \operatorname{tr}\operatorname{cov} f(x)`, which
    neither an affine change of the source nor a rotation, shift or scaling of the target alters. For a
    quadratic map of Gaussian states it is the share of the map's variance that its second order brings.

    Args:
        map_: A fitted map with ``transform``, or a differentiable function of rows (tensor to tensor).
        states: Where to look: source samples in rows, numpy or torch.
        n_probes: Pairs of probes a sample; more lower the noise of each sample's estimate.
        is_relative: Whether to give the scale-free share instead of document units.
        seed: Fixes the probes.

    Returns:
        The value, 0 or more, in squared target units / source units^4 (relative: no unit), with the standard
        error and 95 % interval over samples. Where a tensor came, the value is a tensor, differentiable with
        respect to the map's parameters.

    Raises:
        ConfigError: When ``n_probes`` is below 1.
        ShapeError: When the states are no finite matrix of two rows and more, the map does not give one row a
            sample, or, relative, the mapped states do not vary.

    Examples:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(400, 2))
        >>> found = map_curvature(lambda rows: rows[:, :1] * rows[:, 1:], x)  # H = [[0, 1], [1, 0]]
        >>> found.low < 2.0 < found.high
        True
        >>> map_curvature(lambda rows: 3.0 - rows, x).value
        0.0
    """
    if n_probes != int(n_probes) or n_probes < 1:
        raise ConfigError(f"n_probes={n_probes!r} came; expected a whole number from 1")
    function: RowFunction = getattr(map_, "transform", map_)
    rows = to_tensor(states, name="states", min_samples=2)
    if isinstance(states, Tensor) and states.is_floating_point():
        rows = states  # a module has one precision: keep the caller's
    is_traced = isinstance(states, Tensor)
    root, weight = _relative_scale(function, rows) if is_relative else (None, 1.0)
    generator = torch.Generator().manual_seed(seed)
    step = len(rows) if is_traced else _CHUNK
    with torch.set_grad_enabled(is_traced and torch.is_grad_enabled()):
        parts = [
            squared_bending(
                function, rows[i : i + step], n_probes=int(n_probes), root=root, generator=generator
            )
            for i in range(0, len(rows), step)
        ]
    squares = weight * torch.cat(parts)
    value, error = squares.mean(), float(squares.detach().std()) / len(rows) ** 0.5
    low, high = (float(value.detach()) + side * 1.959964 * error for side in (-1.0, 1.0))
    return MapCurvature(
        value=answer(value, states),
        standard_error=error,
        low=max(low, 0.0),
        high=high,
        n_samples=len(rows),
        n_probes=int(n_probes),
        is_relative=is_relative,
    )


def _relative_scale(function: RowFunction, rows: Tensor) -> tuple[Tensor, float]:
    """Root of the states' covariance, and one over twice the mapped states' total variance."""
    mapped = function(rows).detach()
    if mapped.ndim != 2 or len(mapped) != len(rows):
        raise ShapeError(
            f"the map took {tuple(rows.shape)} to {tuple(mapped.shape)}; expected one row of the target a sample"
        )
    spread = float(mapped.var(dim=0).sum())
    if not spread > 0.0:
        raise ShapeError(
            f"the map takes all {len(rows)} states to one point; a share of its variance needs variance: use "
            "is_relative=False"
        )
    return rows.new_tensor(psd_sqrt(Moments.from_batch(rows).covariance())), 0.5 / spread
