"""What was changed in a text, so exactly that it can be taken back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from msma.errors import CorpusError
from msma.perturbations.reading import Reading

__all__ = ["Edit", "Perturbed", "apply_edits", "compose_edits"]


class Edit(NamedTuple):
    """Characters [start, end) of the original were ``before`` and became ``after``.

    Args:
        start: First character.
        end: The one after the last; ``start`` where something was put in.
        before: What stood there.
        after: What stands there now.
    """

    start: int
    end: int
    before: str
    after: str


@dataclass(frozen=True)
class Perturbed:
    """A perturbed text and what was done to it.

    Args:
        text: The perturbed text.
        original: The text before.
        edits: What changed, by place in the original; no two overlap.
        name: Of the perturbation.
        strength_asked: Edits per word that were asked for.

    Raises:
        CorpusError: When the edits do not turn the original into the text.

    Examples:
        >>> found = Perturbed("a dog", "a cat", (Edit(2, 5, "cat", "dog"),), name="demo", strength_asked=0.5)
        >>> found.edits_per_word, found.restore()
        (0.5, 'a cat')
    """

    text: str
    original: str
    edits: tuple[Edit, ...]
    name: str
    strength_asked: float

    def __post_init__(self) -> None:
        made = apply_edits(self.original, self.edits)
        if made != self.text:
            place = next((i for i, (a, b) in enumerate(zip(made, self.text, strict=False)) if a != b), None)
            place = min(len(made), len(self.text)) if place is None else place
            raise CorpusError(
                f"edits came that do not give the perturbed text (first difference after {place} characters); give "
                "every edit, with its place in the original"
            )

    @property
    def n_edits(self) -> int:
        """Number of edits."""
        return len(self.edits)

    @cached_property
    def edits_per_word(self) -> float:
        """Edits divided by the words of the original; 0 where there is no word."""
        words = len(Reading(self.original).words)
        return self.n_edits / words if words else 0.0

    @property
    def is_changed(self) -> bool:
        """Whether anything is different."""
        return self.text != self.original

    def restore(self) -> str:
        """Take the edits back.

        Returns:
            The original, made of ``text`` and ``edits`` alone.
        """
        pieces, place, shift = [], 0, 0
        for edit in self.edits:
            start = edit.start + shift
            pieces += [self.text[place:start], edit.before]
            place = start + len(edit.after)
            shift += len(edit.after) - len(edit.before)
        return "".join([*pieces, self.text[place:]])


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """Edit a text.

    Args:
        text: The text.
        edits: What to change, by place; no two overlap.

    Returns:
        The edited text.

    Raises:
        CorpusError: When an edit does not fit the text, or two overlap or are out of order.

    Examples:
        >>> apply_edits("so it is", [Edit(0, 2, "so", "and"), Edit(8, 8, "", "!")])
        'and it is!'
    """
    for one, two in pairwise(edits):
        if two.start < one.end or two.start < one.start:
            raise CorpusError(
                f"edits {tuple(one)} and {tuple(two)} overlap or are out of order; sort them by place"
            )
    pieces, place = [], 0
    for edit in edits:
        if not 0 <= edit.start <= edit.end <= len(text) or text[edit.start : edit.end] != edit.before:
            raise CorpusError(
                f"edit {tuple(edit)} expects {edit.before!r}, but {text[edit.start : edit.end]!r} stands there; give "
                "places in the original text"
            )
        pieces += [text[place : edit.start], edit.after]
        place = edit.end
    return "".join([*pieces, text[place:]])


def compose_edits(original: str, first: Sequence[Edit], second: Sequence[Edit]) -> tuple[Edit, ...]:
    """Make one list of edits out of two that were done one after the other.

    An edit of the second list that overlaps some of the first becomes one edit with them; all others keep their own.

    Args:
        original: The text before both.
        first: Edits of the original.
        second: Edits of what the first made of it.

    Returns:
        Edits of the original that lead to the same text; those that undo each other are gone.

    Examples:
        >>> compose_edits("a cat", [Edit(2, 5, "cat", "dog")], [Edit(3, 4, "o", "i"), Edit(5, 5, "", "!")])
        (Edit(start=2, end=5, before='cat', after='dig'), Edit(start=5, end=5, before='', after='!'))
    """
    middle = apply_edits(original, first)
    done: list[Edit] = []
    shift = 0
    for group in _groups(first, second):
        start, end, (earlier, later) = group.start, group.end, group.edits
        begin = start - shift
        shift += _growth(earlier)
        before = original[begin : end - shift]
        moved = [edit._replace(start=edit.start - start, end=edit.end - start) for edit in later]
        after = apply_edits(middle[start:end], moved)
        if before != after:
            done.append(Edit(begin, end - shift, before, after))
    return tuple(done)


def _growth(edits: Iterable[Edit]) -> int:
    return sum(len(edit.after) - len(edit.before) for edit in edits)


@dataclass
class _Group:
    """Edits that overlap in the text between, and the stretch of it that they cover."""

    start: int
    end: int
    edits: tuple[list[Edit], list[Edit]]


def _groups(first: Sequence[Edit], second: Sequence[Edit]) -> list[_Group]:
    """Part two lists of edits into groups that do not overlap, in order."""
    shift, stretches = 0, []
    for edit in first:
        start = edit.start + shift
        stretches.append((start, start + len(edit.after), 0, edit))
        shift += len(edit.after) - len(edit.before)
    stretches += [(edit.start, edit.end, 1, edit) for edit in second]
    groups: list[_Group] = []
    for start, end, which, edit in sorted(stretches, key=lambda found: found[:3]):
        if not groups or start >= groups[-1].end:
            groups.append(_Group(start, end, ([], [])))
        groups[-1].end = max(groups[-1].end, end)
        groups[-1].edits[which].append(edit)
    return groups
