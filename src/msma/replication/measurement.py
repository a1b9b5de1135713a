"""What one measurement holds: readings by what they are of, and the families they are tested in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from msma.errors import StorageError
from msma.readings import Reading
from msma.replication.closeness import CLOSENESS, PUBLISHED

__all__ = ["FAMILIES", "FINAL", "MAP_KINDS", "Key", "Measurement", "family_of"]

#: Families within which p-values are corrected for their number, in the order shown.
FAMILIES: tuple[str, ...] = ("published", "sound", "shape", "probes", "language", "refitted", "sizes")
#: No map; the target's mean put in place of the source's; a ridge map fitted to the model as it is; the map that
#: was trained along.
MAP_KINDS: tuple[str, ...] = ("none", "shift", "ridge", "trained")
#: Quantities that a collapse shows in; others about sizes and angles are shown beside them.
_SHAPE = ("effective_rank", "relative_spread", "text_cosine")
#: Where transfer is read from.
FINAL = "final layer"


class Key(NamedTuple):
    """What a reading is of.

    Args:
        metric: Name of the quantity.
        source: Scale mapped from, for pairs.
        target: Scale mapped to, or the scale described.
        map: One of :data:`MAP_KINDS`, for pairs.
    """

    metric: str
    source: str | None = None
    target: str | None = None
    map: str | None = None


@dataclass(frozen=True)
class Measurement:
    """Everything measured of one model on the test texts.

    Args:
        readings: By what they are of; each on all test texts and without each group of documents.
        n: Test texts.
    """

    readings: Mapping[Key, Reading]
    n: int

    def value(self, metric: str, **place: str) -> float | None:
        """Give one value.

        Args:
            metric: Name of the quantity.
            **place: Source, target and map, where it has them.

        Returns:
            The value on all test texts.
        """
        return self.readings[Key(metric, **place)].value

    def to_dict(self) -> dict[str, Any]:
        """Write as JSON knows it.

        Returns:
            One entry a reading.
        """
        entries = [{**key._asdict(), **reading._asdict()} for key, reading in self.readings.items()]
        return {"n": self.n, "readings": entries}

    @classmethod
    def from_dict(cls, content: Any) -> "Measurement":
        """Read what :meth:`to_dict` wrote.

        Args:
            content: The content.

        Returns:
            An equal measurement.

        Raises:
            StorageError: When it is something else.

        Examples:
            >>> found = Measurement({Key("spread", target="local"): Reading(1.0, (0.5, 1.5))}, n=4)
            >>> Measurement.from_dict(found.to_dict()) == found
            True
        """
        try:
            readings = {
                Key(*(entry[name] for name in Key._fields)): Reading(
                    entry["value"], tuple(entry["left_out"]), entry["null"], entry["note"]
                )
                for entry in content["readings"]
            }
            return cls(readings, int(content["n"]))
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(f"no measurement came ({error!r}); delete the file and run again") from error


def family_of(key: Key) -> str:
    """Tell with which others a quantity is corrected for their number.

    Args:
        key: What is measured.

    Returns:
        One of :data:`FAMILIES`.

    Examples:
        >>> family_of(Key("kl_diagonal")), family_of(Key("cka")), family_of(Key("probe_topic"))
        ('published', 'sound', 'probes')
    """
    if key.map in ("shift", "ridge"):
        return "refitted"
    if key.metric in CLOSENESS:
        return "published" if key.metric in PUBLISHED else "sound"
    if key.metric.startswith(("probe_", "transfer_")):
        return "probes"
    if key.metric == "nats_a_token":
        return "language"
    return "shape" if key.metric in _SHAPE else "sizes"
