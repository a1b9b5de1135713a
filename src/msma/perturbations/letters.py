"""Perturbations of letters: what fingers slip on."""

from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

from msma.perturbations.base import SitePerturbation, check_option
from msma.perturbations.chance import Chance
from msma.perturbations.edits import Edit
from msma.perturbations.layouts import LAYOUTS, Layout, with_case
from msma.perturbations.reading import Reading, Span

__all__ = ["CharacterDeletion", "CharacterInsertion", "CharacterSwap", "InsertionMode", "KeyboardTypos"]

InsertionMode: TypeAlias = Literal["any", "double", "neighbour"]


@dataclass(frozen=True)
class KeyboardTypos(SitePerturbation):
    """Hit the key beside the one that was meant; the case of the letter stays.

    Args:
        strength: Edits per word asked for.
        layout: The keyboard: "qwerty", "qwertz" or "azerty".

    Raises:
        ConfigError: When the strength or the layout does not exist.

    Examples:
        >>> KeyboardTypos(0.5)("The cat sat on the mat.").text
        'The cat sat on thr mzy.'
    """

    _: KW_ONLY
    layout: Layout = "qwerty"

    name = "keyboard"
    keeps_meaning = True
    note = "a typo can make another word (cat, car); letters without a key of the layout stay"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option("layout", self.layout, tuple(LAYOUTS))

    def find_sites(self, reading: Reading) -> list[Span]:
        """Find letters that have a key; see :meth:`SitePerturbation.find_sites`."""
        keys = LAYOUTS[self.layout]
        return [
            letter
            for word in reading.words
            for letter in reading.letters(word)
            if reading.text[letter.start : letter.end].lower() in keys
        ]

    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Put a neighbour; see :meth:`SitePerturbation.edit`."""
        before = reading.text[site.start : site.end]
        after = chance.pick(LAYOUTS[self.layout][before.lower()])
        return Edit(*site, before, with_case(after, before))


@dataclass(frozen=True)
class CharacterSwap(SitePerturbation):
    """Swap two neighbouring letters of a word; the first of them keeps the case of its place.

    Args:
        strength: Edits per word asked for.

    Raises:
        ConfigError: When the strength is negative or not finite.

    Examples:
        >>> CharacterSwap(1.0)("To").text
        'Ot'
    """

    name = "swap"
    keeps_meaning = True
    note = "a swap can make another word (form, from); two letters change in each edit"

    def find_sites(self, reading: Reading) -> list[Span]:
        """Find neighbours that differ; see :meth:`SitePerturbation.find_sites`."""
        pairs = (pair for word in reading.words for pair in pairwise(reading.letters(word)))
        touching = [Span(one.start, two.end) for one, two in pairs if one.end == two.start]
        return [
            site for site in touching if self._swapped(reading, site) != reading.text[site.start : site.end]
        ]

    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Swap; see :meth:`SitePerturbation.edit`."""
        return Edit(*site, reading.text[site.start : site.end], self._swapped(reading, site))

    @staticmethod
    def _swapped(reading: Reading, site: Span) -> str:
        one, two = (reading.text[start:end] for start, end in reading.letters(site))
        return with_case(two, one) + with_case(one, two)


@dataclass(frozen=True)
class CharacterDeletion(SitePerturbation):
    """Leave out a letter with its marks, never the first of a word, so that every word stays.

    Args:
        strength: Edits per word asked for.

    Raises:
        ConfigError: When the strength is negative or not finite.

    Examples:
        >>> CharacterDeletion(1.0)("to").text
        't'
    """

    name = "letter_deletion"
    keeps_meaning = True
    note = "a word can become another (there, three, thee); the first letter of a word stays"

    def find_sites(self, reading: Reading) -> list[Span]:
        """Find letters after the first; see :meth:`SitePerturbation.find_sites`."""
        return [letter for word in reading.words for letter in reading.letters(word)[1:]]

    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Leave it out; see :meth:`SitePerturbation.edit`."""
        return Edit(*site, reading.text[site.start : site.end], "")


@dataclass(frozen=True)
class CharacterInsertion(SitePerturbation):
    """Put a letter in after another: the same again, or that of a key beside it.

    Args:
        strength: Edits per word asked for.
        mode: "double" repeats the letter, "neighbour" hits a key beside it as well, "any" does either.
        layout: The keyboard.

    Raises:
        ConfigError: When an option does not exist.

    Examples:
        >>> CharacterInsertion(1.0, mode="double")("I").text
        'II'
    """

    _: KW_ONLY
    mode: InsertionMode = "any"
    layout: Layout = "qwerty"

    name = "letter_insertion"
    keeps_meaning = True
    note = "a word can become another (to, too)"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option("mode", self.mode, get_args(InsertionMode))
        check_option("layout", self.layout, tuple(LAYOUTS))

    def find_sites(self, reading: Reading) -> list[Span]:
        """Find letters; see :meth:`SitePerturbation.find_sites`."""
        letters = [letter for word in reading.words for letter in reading.letters(word)]
        if self.mode != "neighbour":
            return letters
        return [letter for letter in letters if self._neighbours(reading, letter)]

    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Put a letter in; see :meth:`SitePerturbation.edit`."""
        letter = reading.text[site.start : site.end]
        others = self._neighbours(reading, site)
        is_double = self.mode == "double" or not others or (self.mode == "any" and chance.uniform(0) < 0.5)
        added = letter if is_double else with_case(chance.pick(others, 1), letter)
        return Edit(site.end, site.end, "", added)

    def _neighbours(self, reading: Reading, letter: Span) -> str:
        return LAYOUTS[self.layout].get(reading.text[letter.start : letter.end].lower(), "")
