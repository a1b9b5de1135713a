"""What every perturbation is: a function of text, seed and strength that says what it changed."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Self, TypeVar

from msma.errors import ConfigError
from msma.perturbations.chance import Chance
from msma.perturbations.edits import Edit, Perturbed, apply_edits
from msma.perturbations.reading import Reading, Span

__all__ = ["Perturbation", "SitePerturbation", "check_option", "check_strength"]

P = TypeVar("P", bound="Perturbation")


class Perturbation(ABC):
    """Something done to a text; see the classes below it.

    Chance depends on the seed, the name and the text alone, so batches and the order of texts change nothing.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Short name, as tables spell it."""

    @property
    @abstractmethod
    def strength(self) -> float:
        """Edits per word asked for."""

    @property
    @abstractmethod
    def keeps_meaning(self) -> bool:
        """Whether a reader would say that the text still means the same."""

    @property
    @abstractmethod
    def note(self) -> str:
        """What a reader of results must know."""

    @property
    def fewest_words(self) -> int:
        """Words that a text must have."""
        return 1

    @abstractmethod
    def __call__(self, text: str, *, seed: int = 0) -> Perturbed | None:
        """Perturb a text.

        Args:
            text: Any text.
            seed: Another seed makes other edits.

        Returns:
            The text and what was changed; ``None`` where the text is too short or holds no place for such an edit,
            at any strength and any seed. A strength of 0 gives the text with no edits.
        """

    @abstractmethod
    def at(self, strength: float) -> Self:
        """Give the same perturbation at another strength.

        Args:
            strength: Edits per word, at least 0.

        Returns:
            The perturbation.
        """

    def __add__(self, other: "Perturbation") -> "Perturbation":
        """Do this first, then the other."""
        from msma.perturbations.composition import Compose

        return Compose(self, other) if isinstance(other, Perturbation) else NotImplemented


@dataclass(frozen=True)
class SitePerturbation(Perturbation):
    r"""A perturbation that chooses among the places where it can act.

    The number of edits is :math:`n = \lfloor s\,w + u \rfloor` for strength s, w words and u even on [0, 1), so that
    its mean is s w; a short text may come back unchanged. Places are taken in an order that does not depend on the
    strength, so that a higher strength keeps the edits of a lower one and adds to them. Where places run out there are
    fewer.

    Args:
        strength: Edits per word asked for, at least 0.

    Raises:
        ConfigError: When the strength is negative or not finite.
    """

    strength: float = 0.1

    def __post_init__(self) -> None:
        check_strength(self.strength)

    @abstractmethod
    def find_sites(self, reading: Reading) -> Sequence[Span]:
        """Find the places where it can act.

        Args:
            reading: The text.

        Returns:
            Places, each of which :meth:`edit` can change; they may overlap.
        """

    @abstractmethod
    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Make the edit of one place.

        Args:
            reading: The text.
            site: The place.
            chance: Chance of this place.

        Returns:
            An edit within the place that changes something.
        """

    def most_edits(self, reading: Reading) -> int:
        """Count the edits that a text bears.

        Args:
            reading: The text.

        Returns:
            Their greatest number.
        """
        return len(reading.text) + 1

    def count_edits(self, reading: Reading, chance: Chance) -> int:
        """Decide how many edits to make.

        Args:
            reading: The text.
            chance: Chance of the text.

        Returns:
            Their number, before places run out.
        """
        return min(chance.round(self.strength * len(reading.words), -1), self.most_edits(reading))

    def __call__(self, text: str, *, seed: int = 0) -> Perturbed | None:
        """Perturb a text; see :meth:`Perturbation.__call__`."""
        reading, chance = Reading(text), Chance.of(seed, self.name, text)
        if len(reading.words) < self.fewest_words:
            return None
        sites = self.find_sites(reading)
        if not sites:
            return None
        edits = self.choose_edits(reading, sites, chance) if self.strength > 0 else ()
        return Perturbed(apply_edits(text, edits), text, edits, name=self.name, strength_asked=self.strength)

    def choose_edits(self, reading: Reading, sites: Sequence[Span], chance: Chance) -> tuple[Edit, ...]:
        """Choose places by chance, no two of which overlap, and make their edits.

        Args:
            reading: The text.
            sites: Places, at least one.
            chance: Chance of the text.

        Returns:
            The edits, sorted.
        """
        wanted = self.count_edits(reading, chance)
        if not wanted:
            return ()
        taken: list[Span] = []
        is_taken = bytearray(len(reading.text) + 1)
        for site in sorted(sites, key=lambda site: chance.uniform(*site, 0)):
            held = range(site.start, max(site.end, site.start + 1))
            if not any(is_taken[place] for place in held):
                for place in held:
                    is_taken[place] = True
                taken.append(site)
                if len(taken) == wanted:
                    break
        return tuple(self.edit(reading, site, chance.at(*site)) for site in sorted(taken))

    def at(self, strength: float) -> Self:
        """Give the same perturbation at another strength; see :meth:`Perturbation.at`."""
        return replace(self, strength=strength)


def check_strength(strength: Any) -> None:
    """Refuse a strength that means nothing.

    Args:
        strength: What came.

    Raises:
        ConfigError: When it is not a finite number of at least 0.

    Examples:
        >>> check_strength(-1)
        Traceback (most recent call last):
        ...
        msma.errors.ConfigError: strength -1 came; expected edits per word, a finite number of at least 0
    """
    is_number = isinstance(strength, Real) and not isinstance(strength, bool)
    if not is_number or not math.isfinite(strength) or strength < 0:
        raise ConfigError(
            f"strength {strength!r} came; expected edits per word, a finite number of at least 0"
        )


def check_option(name: str, value: Any, known: Sequence[str]) -> None:
    """Refuse an option that does not exist.

    Args:
        name: Of the option.
        value: What came.
        known: What there is.

    Raises:
        ConfigError: When it is none of them.

    Examples:
        >>> check_option("mode", "blue", ("red", "green"))
        Traceback (most recent call last):
        ...
        msma.errors.ConfigError: mode 'blue' came; expected one of 'red', 'green'
    """
    if value not in known:
        raise ConfigError(f"{name} {value!r} came; expected one of {', '.join(map(repr, known))}")
