"""Chance that depends on a key alone, so that neither batches nor the order of texts change a perturbation.

The hash is SplitMix64 (Steele et al. 2014), as in :mod:`msma.keyed_noise`, here on Python's integers: texts are edited
one by one, and generators of libraries may give other numbers in their next version.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

from msma.errors import ConfigError

__all__ = ["Chance"]

T = TypeVar("T")

_WORD = 2**64 - 1
_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _mix(key: int) -> int:
    mixed = (key + _STEP) & _WORD
    mixed = ((mixed ^ (mixed >> 30)) * _FIRST) & _WORD
    mixed = ((mixed ^ (mixed >> 27)) * _SECOND) & _WORD
    return mixed ^ (mixed >> 31)


@dataclass(frozen=True)
class Chance:
    """A number between 0 and 1 for every key, the same each time it is asked for.

    Args:
        key: 64-bit key.

    Examples:
        >>> chance = Chance.of(0, "keyboard", "A text.")
        >>> chance.uniform(3) == Chance.of(0, "keyboard", "A text.").uniform(3) != chance.uniform(4)
        True
    """

    key: int

    @classmethod
    def of(cls, seed: int, name: str, text: str) -> "Chance":
        """Make the chance of a text.

        Args:
            seed: Any whole number.
            name: Of the perturbation.
            text: The text.

        Returns:
            Its chance.

        Raises:
            ConfigError: When the seed is not a whole number.
        """
        try:
            number = operator.index(seed)
        except TypeError as error:
            raise ConfigError(f"seed {seed!r} came; expected a whole number") from error
        # The length of the name parts it from the text.
        content = f"{number}:{len(name)}:{name}{text}".encode("utf-8", "surrogatepass")
        return cls(int.from_bytes(blake2b(content, digest_size=8).digest(), "little"))

    def at(self, *numbers: int) -> "Chance":
        """Give the chance of a part, independent of that of other parts.

        Args:
            *numbers: What tells the part from others, such as its position.

        Returns:
            The chance.
        """
        key = self.key
        for number in numbers:
            key = _mix(key ^ _mix(number & _WORD))
        return Chance(key)

    def uniform(self, *numbers: int) -> float:
        """Draw a number, evenly between 0 and 1.

        Args:
            *numbers: As in :meth:`at`.

        Returns:
            Number in [0, 1).
        """
        return (_mix(self.at(*numbers).key) >> 11) / 2**53

    def pick(self, choices: Sequence[T], *numbers: int) -> T:
        """Pick one of several, all equally likely.

        Args:
            choices: At least one.
            *numbers: As in :meth:`at`.

        Returns:
            One of them.
        """
        return choices[int(self.uniform(*numbers) * len(choices))]

    def round(self, value: float, *numbers: int) -> int:
        """Round up or down by chance, so that the mean is the value; a larger value never rounds to less.

        Args:
            value: At least 0.
            *numbers: As in :meth:`at`.

        Returns:
            A whole number less than 1 away.

        Examples:
            >>> abs(sum(Chance(0).round(0.25, i) for i in range(4000)) / 4000 - 0.25) < 0.02
            True
        """
        return math.floor(value + self.uniform(*numbers))
