"""From layers to scales: one vector a sample for each of the three scales."""

from typing import Literal, NamedTuple, Self

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh

from msma._types import SCALES, Scale
from msma.errors import ConfigError, ScaleError, ShapeError
from msma.moments import Moments
from msma.scales.partition import ScalePartition
from msma.shards import Origin
from msma.states import HiddenStates

Reduction = Literal["mean", "last"]


#: Directions kept of a scale; nothing is projected on more.
_MOST_DIRECTIONS = 512


class Basis(NamedTuple):
    """Leading directions of a scale, from the training states.

    Args:
        mean: Mean of the training states.
        directions: Orthonormal columns, by descending variance.

    Examples:
        >>> states = np.array([[-2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> basis = Basis.from_moments(Moments.from_batch(states))
        >>> np.abs(basis.project(states, 1)).ravel().tolist()
        [2.0, 2.0, 0.0, 0.0]
    """

    mean: Float[np.ndarray, " d"]
    directions: Float[np.ndarray, "d k"]

    @classmethod
    def from_moments(cls, moments: Moments) -> "Basis":
        """Take the leading eigenvectors of a covariance.

        Args:
            moments: Moments of the training states.

        Returns:
            At most 512 directions.
        """
        _, vectors = eigh(moments.scatter)
        return cls(moments.mean, np.ascontiguousarray(vectors[:, ::-1][:, :_MOST_DIRECTIONS]))

    def project(self, states: Float[np.ndarray, "samples d"], width: int) -> Float[np.ndarray, "samples k"]:
        """Give coordinates along the leading directions; the states themselves when ``width`` is all.

        Args:
            states: Samples of the scale, or mapped onto it.
            width: Number of directions.

        Returns:
            One row a sample.
        """
        if width >= len(self.mean):
            return states
        return (states - self.mean) @ self.directions[:, :width]


class ScaleRepresentation:
    r"""Reduce the layers of each scale to one representation :math:`z_s` a sample.

    ``mean`` averages the scale's layers, ``last`` takes its deepest. With ``is_standardised`` every layer is
    first centred and divided by its total standard deviation (one number a layer, so that no layer's norm
    dominates the mean and directions are kept); statistics come from the states given to :meth:`fit` only.
    States that hold only the three representations already are taken as they are, where they were made of the
    same layers in the same way.

    Args:
        partition: Which layers belong to which scale.
        reduction: "mean" or "last".
        is_standardised: Whether layers are brought to equal spread first.

    Raises:
        ConfigError: When the reduction is unknown.

    Examples:
        >>> states = HiddenStates.from_arrays(np.arange(6.0).reshape(3, 2, 1))
        >>> representation = ScaleRepresentation(ScalePartition.thirds(3)).fit(states)
        >>> representation.transform(states)["global"].ravel().tolist()
        [4.0, 5.0]
    """

    def __init__(
        self, partition: ScalePartition, *, reduction: Reduction = "mean", is_standardised: bool = False
    ) -> None:
        if reduction not in ("mean", "last"):
            raise ConfigError(f"reduction '{reduction}' came; expected 'mean' or 'last'")
        self.partition = partition
        self.reduction = reduction
        self.is_standardised = is_standardised
        self.means_: Float[np.ndarray, "layers d_model"] | None = None
        self.spreads_: Float[np.ndarray, " layers"] | None = None

    def fit(self, states: HiddenStates) -> Self:
        """Learn each layer's mean and spread, where standardisation is asked for.

        Args:
            states: Training states.

        Returns:
            Itself.

        Raises:
            ScaleError: When the partition is for another number of layers, or the states hold other scales.
            ShapeError: When a layer does not vary.
        """
        self._check(states)
        if not self.is_standardised:
            return self
        self.means_ = np.empty((states.n_layers, states.d_model))
        self.spreads_ = np.empty(states.n_layers)
        for layer in range(states.n_layers):
            array = states.layer(layer).astype(np.float64)
            self.means_[layer] = array.mean(axis=0)
            self.spreads_[layer] = np.sqrt(array.var(axis=0).sum())
            if self.spreads_[layer] == 0.0:
                raise ShapeError(
                    f"layer {layer} is the same for all {states.n_samples} samples, which cannot be "
                    "standardised; give more texts or leave standardisation out"
                )
        return self

    def transform(self, states: HiddenStates) -> dict[Scale, Float[np.ndarray, "samples d_model"]]:
        """Compute the representation of each scale.

        Args:
            states: States of the same model.

        Returns:
            One float64 array a scale.

        Raises:
            ScaleError: When the partition is for another number of layers, the states hold other scales, or
                :meth:`fit` was not called.
        """
        self._check(states)
        if states.origin.scales is not None:
            return {scale: states.layer(place).astype(np.float64) for place, scale in enumerate(SCALES)}
        if self.is_standardised and self.means_ is None:
            raise ScaleError("a standardised representation was not fitted yet; call fit(train_states) first")
        return {scale: self._reduce(states, self.partition[scale]) for scale in SCALES}

    def _reduce(self, states: HiddenStates, layers: range) -> Float[np.ndarray, "samples d_model"]:
        chosen = layers if self.reduction == "mean" else layers[-1:]
        total = np.zeros((states.n_samples, states.d_model))
        for layer in chosen:
            array = states.layer(layer).astype(np.float64)
            if self.means_ is not None and self.spreads_ is not None:
                array = (array - self.means_[layer]) / self.spreads_[layer]
            total += array
        return total / len(chosen)

    def _check(self, states: HiddenStates) -> None:
        if states.origin.scales is not None:
            self.check_scales(states.origin)
            return
        if states.n_layers != self.partition.n_layers:
            raise ScaleError(
                f"states of {states.n_layers} layers came for a partition of {self.partition.n_layers}; "
                "find the scales of this model, or take its own partition"
            )

    def check_scales(self, origin: Origin) -> None:
        """Refuse representations that were made of other layers, or in another way.

        Args:
            origin: Where states come from that hold only the three representations.

        Raises:
            ScaleError: When layers or reduction differ, or standardisation would need all layers.
        """
        if self.is_standardised:
            raise ScaleError(
                f"states of the scales '{origin.scales}' came for a standardised representation, which needs all "
                "layers; extract all layers, or leave standardisation out"
            )
        found = ScalePartition.parse(origin.scales or "", n_layers=origin.n_model_layers)
        mine, theirs = (self.partition.written, self.reduction), (found.written, origin.reduction)
        if mine != theirs:
            raise ScaleError(
                f"states of the scales '{theirs[0]}', reduced by '{theirs[1]}', came for the scales '{mine[0]}', "
                f"reduced by '{mine[1]}'; take their own partition and reduction, or extract the states again"
            )
