r"""Similarity of all layers from random projections, in memory that does not grow with the samples.

Linear CKA of two layers needs the cross-covariance :math:`S_{lm}` of their states, d x d numbers for every pair of
layers. Only its squared Frobenius norm counts, and that survives projection. With two independent matrices of
entries :math:`N(0, 1/k)`, shared by all layers, and :math:`C_{lm} = R_1^\top S_{lm} R_2`, every entry of
:math:`C_{lm}` has the mean square :math:`\|S_{lm}\|_F^2 / k^2`, hence

.. math:: \mathbb{E}_R \|R_1^\top S_{lm} R_2\|_F^2 = \|S_{lm}\|_F^2 .

One shared matrix would add the traces, :math:`\mathbb{E}\|R^\top S R\|_F^2 = (1 + 1/k) \|S\|_F^2 + (\mathrm{tr} S)^2/k`
for symmetric S.

A sample adds its own bias. For Gaussian states, N = n - 1 and unbiased covariances, with :math:`H = \|C\|_F^2` and
the product of traces :math:`T = \mathrm{tr} S_A \, \mathrm{tr} S_B` of the two projected layers,

.. math:: \mathbb{E} \|\hat C\|_F^2 = (1 + 1/N) H + T / N, \qquad \mathbb{E} \hat T = T + 2 H / N,

because entries of a Wishart matrix have covariance :math:`\mathrm{cov}(\hat S_{ij}, \hat S_{kl}) = (S_{ik} S_{jl} +
S_{il} S_{jk}) / N`. Eliminating T gives the unbiased (for l = m: Srivastava 2005, J. Japan Stat. Soc. 35)

.. math:: \hat H = \frac{N^2}{(N - 1)(N + 2)} \left( \|\hat C\|_F^2 - \hat T / N \right) .

For other laws what is left is their fourth cumulant over n: nothing beside the projections from a few thousand
samples on. The projections themselves err by about 2 / sqrt(k r) of H, r directions carrying the variance; in CKA
much of that cancels, since all layers share them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Float32

from msma.errors import ConfigError, ShapeError
from msma.linalg import as_numpy, check_samples

__all__ = ["LayerSketch", "projections"]

#: Fewest samples from which the sampling term can be taken away.
_FEWEST_SAMPLES = 3


def projections(
    d_model: int, *, width: int = 64, seed: int = 0
) -> tuple[Float32[np.ndarray, "d_model width"], Float32[np.ndarray, "d_model width"]]:
    """Draw the two matrices that every layer is projected with.

    Args:
        d_model: Width of one state.
        width: Columns of each matrix.
        seed: Fixes them.

    Returns:
        Two independent matrices of entries N(0, 1 / width).

    Raises:
        ConfigError: When a width is not positive.

    Examples:
        >>> first, second = projections(1000, width=10)
        >>> first.shape, bool(abs((first**2).sum(axis=1).mean() - 1) < 0.1), bool((first == second).any())
        ((1000, 10), True, False)
    """
    if d_model < 1 or width < 1:
        raise ConfigError(f"projections from {d_model} to {width} columns were asked for; give at least 1")
    generators = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    first, second = (g.standard_normal((d_model, width), dtype=np.float32) for g in generators)
    scale = np.float32(1.0 / np.sqrt(width))
    return first * scale, second * scale


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerSketch:
    """What two random projections of every layer tell of how similar the layers are; see the module.

    Args:
        n: Samples seen.
        seed: Fixes the projections.
        mean_first: Mean of each layer's first projection.
        mean_second: Mean of each layer's second projection.
        cross: Sum over samples of the centred first projection of one layer times the centred second of another.
        spread_first: Sum over samples of the squared length of each layer's centred first projection.
        spread_second: The same of the second.

    Raises:
        ShapeError: When the parts do not belong together.

    Examples:
        >>> z = np.random.default_rng(0).normal(size=(500, 8))
        >>> states = np.stack([z, 3 * z + 1, np.random.default_rng(1).normal(size=(500, 8))])
        >>> (LayerSketch.from_batch(states[:, :200]) + LayerSketch.from_batch(states[:, 200:])).cka().round(1) + 0.0
        array([[1., 1., 0.],
               [1., 1., 0.],
               [0., 0., 1.]])
    """

    n: int
    seed: int
    mean_first: Float[np.ndarray, "layers width"]
    mean_second: Float[np.ndarray, "layers width"]
    cross: Float[np.ndarray, "layers width layers width"]
    spread_first: Float[np.ndarray, " layers"]
    spread_second: Float[np.ndarray, " layers"]

    def __post_init__(self) -> None:
        shape = self.mean_first.shape
        came = [getattr(self, field.name).shape for field in fields(self)[2:]]
        expected = [shape, shape, shape + shape, shape[:1], shape[:1]]
        if self.n < 1 or len(shape) != 2 or came != expected:
            raise ShapeError(
                f"a sketch of {self.n} samples came with shapes {came}; expected n >= 1 and {expected}: "
                "build it with LayerSketch.from_batch"
            )

    @classmethod
    def from_batch(cls, states: Any, *, width: int = 64, seed: int = 0) -> Self:
        """Sketch samples held in memory.

        Args:
            states: Layers x samples x d_model, numpy or torch.
            width: Columns of each projection.
            seed: Fixes the projections.

        Returns:
            Their sketch.

        Raises:
            ShapeError: When the array does not have three dimensions, or holds NaN or infinity.
        """
        states = _check_layers(states, name="states")
        halves = projections(states.shape[2], width=width, seed=seed)
        # A common mean far from 0 is taken off before, since it would cost digits.
        layers = (check_samples(layer, name=f"layer {number}") for number, layer in enumerate(states))
        projected = []
        for layer in layers:
            mean = layer.mean(axis=0)
            projected.append([(layer - mean) @ half + mean @ half for half in halves])
        first, second = (np.stack([pair[i] for pair in projected]) for i in range(2))
        return cls.from_projected(first, second, seed=seed)

    @classmethod
    def from_projected(cls, first: Any, second: Any, *, seed: int = 0) -> Self:
        """Sketch samples whose layers were projected elsewhere, with the matrices of :func:`projections`.

        Args:
            first: First projections, layers x samples x width, numpy or torch.
            second: Second projections of the same samples.
            seed: What fixed the projections.

        Returns:
            Their sketch, in float64.

        Raises:
            ShapeError: When the two differ in shape, or hold no sample, or NaN or infinity.
        """
        first, second = _check_layers(first, name="first"), _check_layers(second, name="second")
        if first.shape != second.shape or 0 in first.shape:
            raise ShapeError(
                f"projections came with shapes {first.shape} and {second.shape}; expected two equal ones, "
                "layers x samples x width, of at least one sample"
            )
        n_layers, n, width = first.shape
        halves = []
        for half, name in ((first, "first"), (second, "second")):
            flat = np.moveaxis(half, 1, 0).reshape(n, n_layers * width)
            halves.append(check_samples(flat, name=f"{name} projections"))
        means = [half.mean(axis=0) for half in halves]
        centred = [half - mean for half, mean in zip(halves, means, strict=True)]
        spreads = [(half**2).sum(axis=0).reshape(n_layers, width).sum(axis=1) for half in centred]
        return cls(
            n=n,
            seed=seed,
            mean_first=means[0].reshape(n_layers, width),
            mean_second=means[1].reshape(n_layers, width),
            cross=(centred[0].T @ centred[1]).reshape(n_layers, width, n_layers, width),
            spread_first=spreads[0],
            spread_second=spreads[1],
        )

    @property
    def n_layers(self) -> int:
        """Layer entries."""
        return self.mean_first.shape[0]

    @property
    def width(self) -> int:
        """Columns of each projection."""
        return self.mean_first.shape[1]

    def __add__(self, other: "LayerSketch") -> Self:
        self._check_same(other)
        n = self.n + other.n
        share, weight = other.n / n, self.n * other.n / n
        of_first, of_second = other.mean_first - self.mean_first, other.mean_second - self.mean_second
        # One array of this size and no more: it is by far the largest here.
        cross = np.multiply.outer(weight * of_first, of_second)
        cross += self.cross
        cross += other.cross
        return type(self)(
            n=n,
            seed=self.seed,
            mean_first=self.mean_first + share * of_first,
            mean_second=self.mean_second + share * of_second,
            cross=cross,
            spread_first=self.spread_first + other.spread_first + weight * (of_first**2).sum(axis=1),
            spread_second=self.spread_second + other.spread_second + weight * (of_second**2).sum(axis=1),
        )

    def _check_same(self, other: "LayerSketch") -> None:
        if self.n_layers != other.n_layers:
            raise ShapeError(
                f"sketches of {self.n_layers} and {other.n_layers} layers cannot be merged; "
                "use states of one model"
            )
        mine, theirs = (self.width, self.seed), (other.width, other.seed)
        if mine != theirs:
            raise ConfigError(
                f"sketches of width and seed {mine} and {theirs} cannot be merged, since their projections "
                "differ; sketch both with the same settings"
            )

    def hsic(self) -> Float[np.ndarray, "layers layers"]:
        r"""Estimate the squared norm of the cross-covariance of all pairs of layers, without bias.

        The mean of both orders (l, m) and (m, l) of :math:`\hat H`; see the module for the derivation.

        Returns:
            A symmetric matrix, in fourth powers of the states' unit; can be slightly negative where layers share
            nothing.

        Raises:
            ShapeError: When there are fewer than 3 samples.
        """
        if self.n < _FEWEST_SAMPLES:
            raise ShapeError(
                f"a sketch of {self.n} samples came; similarity needs at least {_FEWEST_SAMPLES}: give more texts"
            )
        free = self.n - 1
        squared = np.einsum("lamb,lamb->lm", self.cross, self.cross) / free**2
        traces = np.outer(self.spread_first, self.spread_second) / free**2
        found = free**2 / ((free - 1) * (free + 2)) * (squared - traces / free)
        return np.asarray((found + found.T) / 2)

    def cka(self) -> Float[np.ndarray, "layers layers"]:
        r"""Estimate linear CKA between all pairs of layers.

        .. math:: \mathrm{CKA}_{lm} = \hat H_{lm} / \sqrt{\hat H_{ll} \hat H_{mm}}

        of :meth:`hsic` (Kornblith et al. 2019, without the bias of its equation 4).

        Returns:
            Similarities, 1 on the diagonal, 0 for layers that share nothing, up to sampling and projection.

        Raises:
            ShapeError: When there are fewer than 3 samples, or a layer does not vary.
        """
        hsic = self.hsic()
        own = np.diag(hsic)
        if not (own > 0).all():
            raise ShapeError(
                f"layer {int(np.argmin(own))} does not vary more than {self.n} samples do by chance, so nothing is "
                "similar to it; give more texts"
            )
        found = hsic / np.sqrt(np.outer(own, own))
        np.fill_diagonal(found, 1.0)
        return found

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name, ready to be written.

        Returns:
            One entry a field.
        """
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild a sketch from what :meth:`to_arrays` gave.

        Args:
            arrays: The arrays by name.

        Returns:
            An equal sketch.

        Raises:
            ShapeError: When an array is missing or does not fit.
        """
        missing = [field.name for field in fields(cls) if field.name not in arrays]
        if missing:
            raise ShapeError(f"a sketch came without {missing[0]}; give what LayerSketch.to_arrays returned")
        content = {field.name: arrays[field.name] for field in fields(cls)[2:]}
        return cls(n=int(arrays["n"]), seed=int(arrays["seed"]), **content)


def _check_layers(states: Any, *, name: str) -> np.ndarray:
    array = as_numpy(states)
    if array.ndim != 3:
        raise ShapeError(
            f"{name} came with shape {array.shape}; expected 3 dimensions, layers x samples x width"
        )
    return array
