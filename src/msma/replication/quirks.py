"""What the published code does and this project does not, each as a switch of its own, for comparison only."""

from dataclasses import dataclass, fields
from typing import Self

from msma.errors import ConfigError

__all__ = ["Quirks"]


@dataclass(frozen=True, kw_only=True)
class Quirks:
    r"""Departures of the published code from what it means to compute (``METHOD``, section 10); all off by default.

    One more has no switch: the published figures come from one seed. Train with one seed to have it.

    Args:
        padding_in_means: A text's state is the plain mean over the padded sequence, padding included, every
            text being padded to the longest of the corpus. Short texts then look alike whatever they say. Off:
            the mean over the text's own tokens.
        unshuffled_marginals: MINE's second expectation runs over the same pairs as its first,
            :math:`\frac1n\sum_i T_{ii} - \log\frac1n\sum_i e^{T_{ii}}`. By Jensen's inequality that is never
            above 0, whatever the pairs, so that it is no lower bound worth ascending: its best critic is a
            constant, and nothing is said about mutual information. It takes the place of ``estimator``. Off:
            shuffled pairs.
        parameter_norm: "Curvature" is the L2 norm of all parameters of the maps, linear part and biases
            included. It is above 0 for every affine map but the zero map. Off: the second derivative.
        diagonal_kl: Divergences are between Gaussians with diagonal covariance. Does not touch the training;
            read by the measures. Off: full covariance, corrected for the sample.
        histogram_mi: Mutual information is that of one 64-bin histogram over all flattened coordinates. Does
            not touch the training; read by the measures. Off: estimators of the information between states.

    Raises:
        ConfigError: When a switch is neither true nor false.

    Examples:
        >>> Quirks().names, Quirks.published().names[:2]
        ((), ('padding_in_means', 'unshuffled_marginals'))
    """

    padding_in_means: bool = False
    unshuffled_marginals: bool = False
    parameter_norm: bool = False
    diagonal_kl: bool = False
    histogram_mi: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, bool):
                raise ConfigError(f"quirk {field.name}={value!r} came; expected True or False")

    @classmethod
    def published(cls) -> Self:
        """Switch all of them on.

        Returns:
            The published code's way.
        """
        return cls(**{field.name: True for field in fields(cls)})

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are on."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name))
