"""What decides the numbers of moments besides model and texts."""

from dataclasses import dataclass

from msma.errors import ConfigError, ScaleError
from msma.scale_moments.seen import FILTER_BITS
from msma.scale_moments.splitting import check_fractions
from msma.scales import ScalePartition
from msma.shards import Origin


@dataclass(frozen=True, kw_only=True)
class MomentSettings:
    """What decides which texts enter moments, and what else is kept.

    Args:
        seed: Fixes split, held-out sample, shuffled pairs and projections.
        fractions: Share of the documents in train, validation and test.
        n_heldout: Held-out samples kept, at most, validation and test together.
        sketch_width: Projections of each layer; 0 for no sketch.
        filter_bits: Size of the filter that knows the training texts, a multiple of 8.

    Raises:
        ConfigError: When a setting is impossible.
    """

    seed: int = 0
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    n_heldout: int = 4096
    sketch_width: int = 64
    filter_bits: int = FILTER_BITS

    def __post_init__(self) -> None:
        check_fractions(self.fractions)
        for name in ("n_heldout", "sketch_width"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)} came; expected a whole number from 0")
        if self.filter_bits < 8 or self.filter_bits % 8:
            raise ConfigError(f"filter_bits={self.filter_bits} came; expected a positive multiple of 8")


def check_scale_origin(origin: Origin, partition: ScalePartition) -> None:
    """Refuse an origin that does not say that its states are the three scales of a partition.

    Args:
        origin: Where the states come from.
        partition: Which layers belong to which scale.

    Raises:
        ScaleError: When the origin names no scales, others, or another number of entries.
    """
    if origin.scales is None or origin.reduction is None or origin.n_layers != 3:
        raise ScaleError(
            f"states of {origin.n_layers} layers without their scales came; expected an origin of 3 entries with "
            "scales and reduction, as extraction of scales writes it"
        )
    found = ScalePartition.parse(origin.scales, n_layers=origin.n_model_layers)
    if found.ranges != partition.ranges:
        raise ScaleError(
            f"states of the scales {found} came for a partition into {partition}; take their own partition"
        )
