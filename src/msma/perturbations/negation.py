"""Negation of simple English statements and questions by rules."""

from dataclasses import dataclass

from msma.errors import CorpusError
from msma.perturbations.base import SitePerturbation
from msma.perturbations.chance import Chance
from msma.perturbations.edits import Edit
from msma.perturbations.reading import Reading, Span

__all__ = ["Negation"]

_BE = frozenset(("am", "is", "are", "was", "were"))
_MODAL = frozenset(("can", "could", "will", "would", "shall", "should", "must", "might", "may"))
_DO = frozenset(("do", "does", "did"))
_HAVE = frozenset(("has", "have", "had"))
_AUXILIARIES = _BE | _MODAL | _DO | _HAVE
_SUBJECTS = frozenset(
    ("i", "you", "he", "she", "it", "we", "they", "this", "that", "these", "those", "there")
)
#: Words after which "can", "will", "might" and "must" are nouns.
_BEFORE_NOUNS = frozenset(
    ("a", "an", "the", "my", "your", "his", "her", "its", "our", "their", "free", "good", "ill", "own", "last")
)  # fmt: skip
#: Participles without -ed, after which "have" is an auxiliary.
_PARTICIPLES = frozenset(
    ("been", "become", "begun", "brought", "come", "done", "found", "given", "gone", "got", "had", "kept", "known",
     "left", "lost", "made", "met", "said", "seen", "shown", "spoken", "taken", "told", "written")
)  # fmt: skip
#: Contractions that are more than an auxiliary with n't.
_CONTRACTED = {"can't": "can", "won't": "will", "shan't": "shall", "cannot": "can"}


@dataclass(frozen=True)
class Negation(SitePerturbation):
    """Negate a clause at its auxiliary verb, or take the negation away where there is one.

    Forms of be, modal verbs, and do and have where they are surely auxiliaries. Every text gets at least one edit,
    however low the strength, since a negation left out is another kind of text; so short texts have more edits
    per word than asked for. A text without such a verb is skipped.

    Args:
        strength: Edits per word asked for.

    Raises:
        ConfigError: When the strength is negative or not finite.

    Examples:
        >>> negate = Negation()
        >>> negate("The door is open.").text, negate("She can't swim.").text, negate("Is he here?").text
        ('The door is not open.', 'She can swim.', 'Is he not here?')
        >>> negate("Birds sing.") is None
        True
    """

    name = "negation"
    keeps_meaning = False
    note = (
        "English, by rules: clauses with an auxiliary only; after 'all' or 'every' the sense may be another"
    )
    fewest_words = 2

    def find_sites(self, reading: Reading) -> list[Span]:
        """Find auxiliaries; see :meth:`SitePerturbation.find_sites`."""
        return [word for place, word in enumerate(reading.words) if self._negated(reading, place)]

    def count_edits(self, reading: Reading, chance: Chance) -> int:
        """Decide how many edits to make, at least one; see :meth:`SitePerturbation.count_edits`."""
        return max(1, super().count_edits(reading, chance))

    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Negate; see :meth:`SitePerturbation.edit`.

        Args:
            reading: The text.
            site: One of :meth:`find_sites`.
            chance: Not needed; there is one way.

        Returns:
            The edit.

        Raises:
            CorpusError: When nothing can be negated there.
        """
        made = self._negated(reading, reading.words.index(site)) if site in reading.words else None
        if made is None:
            there = reading.text[site.start : site.end]
            raise CorpusError(
                f"the site '{there}' came, where nothing can be negated; give one that find_sites names"
            )
        return made

    def _negated(self, reading: Reading, place: int) -> Edit | None:
        """The edit that negates the clause of a word, if it is an auxiliary."""
        text, words = reading.text, reading.words
        word = text[words[place].start : words[place].end]
        lower = word.lower().replace("’", "'")
        positive = self._positive(lower)
        if positive is not None:
            after = positive.upper() if word.isupper() else word[:1] + positive[1:]
            return Edit(*words[place], word, after)
        before, following, second = (self._neighbour(reading, place, step) for step in (-1, 1, 2))
        if lower not in _AUXILIARIES or not following or not self._is_auxiliary(word, before, following):
            return None
        if following == "not":
            start, end = words[place].end, words[place + 1].end
            return Edit(start, end, text[start:end], "")
        is_inverted = following in _SUBJECTS and before not in _SUBJECTS
        if is_inverted and second == "not":
            start, end = words[place + 1].end, words[place + 2].end
            return Edit(start, end, text[start:end], "")
        end = words[place + is_inverted].end
        no_space = lower == "can" and not is_inverted
        added = "not" if no_space else " not"
        return Edit(end, end, "", added.upper() if word.isupper() and len(word) > 1 else added)

    @staticmethod
    def _positive(lower: str) -> str | None:
        """The auxiliary without its negation, of a contraction."""
        if lower in _CONTRACTED:
            return _CONTRACTED[lower]
        stem = lower.removesuffix("n't")
        return stem if stem != lower and stem in _AUXILIARIES else None

    @staticmethod
    def _neighbour(reading: Reading, place: int, step: int) -> str:
        """A word some steps on with nothing but space between, in lower case, or nothing."""
        other = place + step
        if not 0 <= other < len(reading.words):
            return ""
        low, high = min(place, other), max(place, other)
        between = zip(reading.words[low:high], reading.words[low + 1 : high + 1], strict=True)
        if not all(reading.is_space(one.end, two.start) for one, two in between):
            return ""
        return reading.text[slice(*reading.words[other])].lower()

    @staticmethod
    def _is_auxiliary(word: str, before: str, following: str) -> bool:
        lower = word.lower()
        if lower in _DO:
            return following == "not" or (following in _SUBJECTS and before not in _SUBJECTS | {"to"})
        if lower in _HAVE:
            is_participle = following.endswith("ed") and len(following) > 3
            return is_participle or following in _PARTICIPLES or following == "not"
        # "May" is a month more often than a verb.
        return word != "May" and before not in _BEFORE_NOUNS
