"""Perturbations of the row of words: some left out, moved or said twice."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

from msma.perturbations.base import SitePerturbation, check_option
from msma.perturbations.chance import Chance
from msma.perturbations.edits import Edit
from msma.perturbations.reading import Reading, Span

__all__ = ["OrderMode", "WordDeletion", "WordOrder", "WordRepetition"]

OrderMode: TypeAlias = Literal["swap", "shuffle"]


@dataclass(frozen=True)
class WordDeletion(SitePerturbation):
    """Leave out words, with the space before them; at least one word stays.

    Args:
        strength: Edits per word asked for.

    Raises:
        ConfigError: When the strength is negative or not finite.

    Examples:
        >>> WordDeletion(0.5)("Come here").text in ("Come", "here")
        True
    """

    name = "deletion"
    keeps_meaning = False
    note = "a word that carries the meaning may go (not, who, when)"
    fewest_words = 2

    def find_sites(self, reading: Reading) -> list[Span]:
        """Find words with their space; see :meth:`SitePerturbation.find_sites`."""
        return [self._with_space(reading, word) for word in reading.words]

    def most_edits(self, reading: Reading) -> int:
        """Count the words but one; see :meth:`SitePerturbation.most_edits`."""
        return len(reading.words) - 1

    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Leave it out; see :meth:`SitePerturbation.edit`."""
        return Edit(*site, reading.text[site.start : site.end], "")

    @staticmethod
    def _with_space(reading: Reading, word: Span) -> Span:
        """The word with the space before it, or after it where none is before it in its line."""
        start, end = word
        while reading.is_space(start - 1, start):
            start -= 1
        if start == word.start:
            while reading.is_space(end, end + 1):
                end += 1
        return Span(start, end)


@dataclass(frozen=True)
class WordRepetition(SitePerturbation):
    """Write words twice, as one does when one stops and starts again.

    Args:
        strength: Edits per word asked for.

    Raises:
        ConfigError: When the strength is negative or not finite.

    Examples:
        >>> WordRepetition(1.0)("Yes!").text
        'Yes Yes!'
    """

    name = "repetition"
    keeps_meaning = True
    note = "a repetition can stress (very very)"

    def find_sites(self, reading: Reading) -> Sequence[Span]:
        """Find words; see :meth:`SitePerturbation.find_sites`."""
        return reading.words

    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Write it again; see :meth:`SitePerturbation.edit`."""
        return Edit(site.end, site.end, "", " " + reading.text[site.start : site.end])


@dataclass(frozen=True)
class WordOrder(SitePerturbation):
    """Swap neighbouring words, or shuffle all; signs and spaces stay where they are, words keep their letters.

    Args:
        strength: Edits per word asked for; "shuffle" moves all words, unless it is 0.
        mode: "swap" or "shuffle".

    Raises:
        ConfigError: When an option does not exist.

    Examples:
        >>> WordOrder(0.5)("Come here!").text, WordOrder(0.5)("Come here!").n_edits
        ('here Come!', 1)
    """

    _: KW_ONLY
    mode: OrderMode = "swap"

    keeps_meaning = False
    note = "who did what to whom may change; a swap takes two words, so at most about half an edit per word"
    fewest_words = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_option("mode", self.mode, get_args(OrderMode))

    @property
    def name(self) -> str:
        """Short name: "order" or "shuffle"."""
        return "order" if self.mode == "swap" else "shuffle"

    def find_sites(self, reading: Reading) -> list[Span]:
        """Find neighbours that differ; see :meth:`SitePerturbation.find_sites`."""
        return [
            Span(one.start, two.end)
            for one, two in pairwise(reading.words)
            if reading.text[one.start : one.end] != reading.text[two.start : two.end]
        ]

    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Swap; see :meth:`SitePerturbation.edit`."""
        one, two = (word for word in reading.words if site.start <= word.start < site.end)
        text = reading.text
        after = text[two.start : two.end] + text[one.end : two.start] + text[one.start : one.end]
        return Edit(*site, text[site.start : site.end], after)

    def choose_edits(self, reading: Reading, sites: Sequence[Span], chance: Chance) -> tuple[Edit, ...]:
        """Choose what to swap, or shuffle; see :meth:`SitePerturbation.choose_edits`."""
        if self.mode == "swap":
            return super().choose_edits(reading, sites, chance)
        words = [reading.text[start:end] for start, end in reading.words]
        order = sorted(range(len(words)), key=lambda place: chance.uniform(place, 1))
        shuffled = [words[place] for place in order]
        if shuffled == words:  # by chance, in a short text: turn the row by one, which changes it
            shuffled = [*words[1:], words[0]]
        pairs = zip(reading.words, words, shuffled, strict=True)
        return tuple(Edit(*place, before, after) for place, before, after in pairs if before != after)
