"""What a trained estimate answers with: a value, its interval, and how it was made."""

from typing import NamedTuple

__all__ = ["Estimate"]


class Estimate(NamedTuple):
    """An estimate with its interval and the reason it can be read.

    Args:
        value: The estimate, in nats; not clipped at 0.
        low: Lower end of the 95 % interval.
        high: Upper end.
        n: Number of pairs.
        method: What was done, in a few words.
        note: What a reader must know: what was left out and why.

    Examples:
        >>> float(Estimate(1.0, 0.9, 1.1, n=100, method="gaussian", note=""))
        1.0
    """

    value: float
    low: float
    high: float
    n: int
    method: str
    note: str

    def __float__(self) -> float:
        return self.value
