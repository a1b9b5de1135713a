"""Perturbations of the surface of words: their case, the signs and the spaces around them."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

from msma.perturbations.base import SitePerturbation, check_option
from msma.perturbations.chance import Chance
from msma.perturbations.edits import Edit
from msma.perturbations.reading import Reading, Span

__all__ = ["CaseChange", "CaseMode", "PunctuationChange", "PunctuationMode", "SpacingChange", "SpacingMode"]

CaseMode: TypeAlias = Literal["any", "upper", "lower", "flip", "all_upper", "all_lower"]
PunctuationMode: TypeAlias = Literal["any", "drop", "add", "replace"]
SpacingMode: TypeAlias = Literal["any", "split", "join", "double"]

_CASES: dict[str, Callable[[str], str]] = {"upper": str.upper, "lower": str.lower, "flip": str.swapcase}
#: Signs that are put in or put for others.
_SIGNS = ".,;:!?"


@dataclass(frozen=True)
class CaseChange(SitePerturbation):
    """Change the case of words.

    Args:
        strength: Edits per word asked for; every word changes in the modes for whole texts, unless it is 0.
        mode: Of single words "upper", "lower", "flip" or "any" of these; of the whole text "all_upper" or "all_lower".

    Raises:
        ConfigError: When an option does not exist.

    Examples:
        >>> CaseChange(mode="all_upper")("The cat sat.").text
        'THE CAT SAT.'
    """

    _: KW_ONLY
    mode: CaseMode = "any"

    keeps_meaning = True
    note = "names, abbreviations and emphasis may be lost; tokenizers often give other tokens; no change without case"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option("mode", self.mode, get_args(CaseMode))

    @property
    def name(self) -> str:
        """Short name: "case", or "uppercase" and "lowercase" for whole texts."""
        return f"{self.mode.removeprefix('all_')}case" if self._is_whole else "case"

    @property
    def _is_whole(self) -> bool:
        return self.mode.startswith("all_")

    def _others(self, before: str) -> list[str]:
        mode = self.mode.removeprefix("all_")
        found = (change(before) for name, change in _CASES.items() if mode in ("any", name))
        return [after for after in dict.fromkeys(found) if after != before]

    def find_sites(self, reading: Reading) -> list[Span]:
        """Find words in another case; see :meth:`SitePerturbation.find_sites`."""
        return [word for word in reading.words if self._others(reading.text[word.start : word.end])]

    def count_edits(self, reading: Reading, chance: Chance) -> int:
        """Decide how many edits to make; see :meth:`SitePerturbation.count_edits`."""
        return len(reading.words) if self._is_whole else super().count_edits(reading, chance)

    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Change the case; see :meth:`SitePerturbation.edit`."""
        before = reading.text[site.start : site.end]
        return Edit(*site, before, chance.pick(self._others(before)))


@dataclass(frozen=True)
class PunctuationChange(SitePerturbation):
    """Drop, add or replace punctuation; apostrophes, hyphens and points within words and numbers stay.

    Args:
        strength: Edits per word asked for.
        mode: "drop", "add" (after a word that none follows), "replace" or "any" of these.

    Raises:
        ConfigError: When an option does not exist.

    Examples:
        >>> PunctuationChange(1.0, mode="drop")("Stop!").text
        'Stop'
    """

    _: KW_ONLY
    mode: PunctuationMode = "any"

    name = "punctuation"
    keeps_meaning = True
    note = "a sign can turn a statement into a question, and commas can carry meaning"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option("mode", self.mode, get_args(PunctuationMode))

    def find_sites(self, reading: Reading) -> list[Span]:
        """Find signs, and ends of words without one; see :meth:`SitePerturbation.find_sites`."""
        signs = [] if self.mode == "add" else list(reading.signs)
        if self.mode in ("drop", "replace"):
            return signs
        ends = {word.end for word in reading.words}
        bare = (end for end in sorted(ends) if reading.classes[end : end + 1] in ("", " "))
        return signs + [Span(end, end) for end in bare]

    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Change a sign; see :meth:`SitePerturbation.edit`."""
        before = reading.text[site.start : site.end]
        is_dropped = before and (self.mode == "drop" or (self.mode == "any" and chance.uniform(0) < 0.5))
        others = [sign for sign in _SIGNS if sign != before]
        return Edit(*site, before, "" if is_dropped else chance.pick(others, 1))


@dataclass(frozen=True)
class SpacingChange(SitePerturbation):
    """Split words, join them, or double the space between them; line breaks stay.

    Args:
        strength: Edits per word asked for.
        mode: "split", "join", "double" or "any" of these.

    Raises:
        ConfigError: When an option does not exist.

    Examples:
        >>> SpacingChange(0.5, mode="join")("ice cream").text in ("icecream", "ice cream")
        True
    """

    _: KW_ONLY
    mode: SpacingMode = "any"

    name = "spacing"
    keeps_meaning = True
    note = "parts of a split word may be words (to day), and tokenizers give other tokens"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option("mode", self.mode, get_args(SpacingMode))

    def find_sites(self, reading: Reading) -> list[Span]:
        """Find words of two letters and spaces; see :meth:`SitePerturbation.find_sites`."""
        words = [word for word in reading.words if self._breaks(reading, word)]
        parts = words if self.mode in ("split", "any") else []
        return [*parts, *(reading.gaps if self.mode != "split" else ())]

    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Change a space; see :meth:`SitePerturbation.edit`."""
        if not reading.text[site.start].isspace():
            place = chance.pick(self._breaks(reading, site), 1)
            return Edit(place, place, "", " ")
        if self.mode == "join" or (self.mode == "any" and chance.uniform(0) < 0.5):
            return Edit(*site, reading.text[site.start : site.end], "")
        return Edit(site.end, site.end, "", " ")

    @staticmethod
    def _breaks(reading: Reading, word: Span) -> list[int]:
        """Places between two letters of a word."""
        letters = reading.letters(word)
        return [two.start for one, two in pairwise(letters) if one.end == two.start]
