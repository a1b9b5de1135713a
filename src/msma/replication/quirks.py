"""What the published code does and this project does not, each as a switch of its own, for comparison only."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

from msma.errors import ConfigError

__all__ = ["PUBLISHED", "Quirks"]

#: Those that are known of the published code.
PUBLISHED = ("padding_in_means", "unshuffled_marginals", "parameter_norm", "diagonal_kl", "histogram_mi")


@dataclass(frozen=True, kw_only=True)
class Quirks:
    r"""Departures of the published code from what it means to compute (``METHOD``, section 10); all off by default.

    One more has no switch: the published figures come from one seed. Train with one seed to have it. The last two
    are not known of the published code: they are readings of the paper's geometry that reward a collapse, to find
    out whether an objective that rewards it brings it about.

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
        undivided_geometry: Geometry is :math:`E\|f(x) - y\|^2` in the states' own units, without the distances'
            stress. Making all states smaller then lowers it. Off: shares of the target's variance.
        unmapped_geometry: No map stands between the scales in the geometric term, :math:`f(x) = x`: states of
            two scales are pulled onto each other themselves. Off: the map.

    Raises:
        ConfigError: When a switch is neither true nor false, or its name is not known.

    Examples:
        >>> Quirks().names, Quirks.published().names[:2]
        ((), ('padding_in_means', 'unshuffled_marginals'))
        >>> Quirks.of("unmapped_geometry", "diagonal_kl").names
        ('diagonal_kl', 'unmapped_geometry')
    """

    padding_in_means: bool = False
    unshuffled_marginals: bool = False
    parameter_norm: bool = False
    diagonal_kl: bool = False
    histogram_mi: bool = False
    undivided_geometry: bool = False
    unmapped_geometry: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, bool):
                raise ConfigError(f"quirk {field.name}={value!r} came; expected True or False")

    @classmethod
    def published(cls) -> Self:
        """Switch on all that are known of the published code.

        Returns:
            The published code's way.
        """
        return cls.of(*PUBLISHED)

    @classmethod
    def of(cls, *names: str) -> Self:
        """Switch on those that are named.

        Args:
            *names: Of the switches.

        Returns:
            These on, the others off.

        Raises:
            ConfigError: When a name is not known.
        """
        known = [field.name for field in fields(cls)]
        for name in names:
            if name not in known:
                raise ConfigError(f"quirk '{name}' came; expected one of {', '.join(known)}")
        return cls(**dict.fromkeys(names, True))

    def also(self, names: Iterable[str]) -> Self:
        """Switch on more of them.

        Args:
            names: Of the switches.

        Returns:
            Those that were on and these.

        Raises:
            ConfigError: When a name is not known.
        """
        return self.of(*self.names, *names)

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are on."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name))
