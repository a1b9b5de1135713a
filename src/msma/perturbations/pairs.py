"""Texts replaced by partners that someone wrote: negations, paraphrases."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import Literal, Self, TypeAlias, get_args

from msma.errors import ConfigError, CorpusError
from msma.perturbations.base import Perturbation, check_option, check_strength
from msma.perturbations.chance import Chance
from msma.perturbations.edits import Edit, Perturbed
from msma.perturbations.files import read_pairs
from msma.perturbations.reading import Reading

__all__ = ["PairKind", "PairedTexts", "find_edits"]

PairKind: TypeAlias = Literal["negation", "paraphrase"]

_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_NOTES: dict[str, str] = {
    "negation": "partners say the opposite; they come from a file, and texts without one are skipped",
    "paraphrase": "partners say the same as far as their writers went; texts without one are skipped",
}


def find_edits(original: str, text: str) -> tuple[Edit, ...]:
    """Find edits between two texts, word by word (the matching blocks of ``difflib``).

    Args:
        original: The text before.
        text: The text after.

    Returns:
        Edits that turn one into the other.

    Examples:
        >>> find_edits("He is here.", "He was here!")
        (Edit(start=3, end=5, before='is', after='was'), Edit(start=10, end=11, before='.', after='!'))
    """
    one, two = _TOKEN.findall(original), _TOKEN.findall(text)
    places = [0]
    for token in one:
        places.append(places[-1] + len(token))
    found = SequenceMatcher(None, one, two, autojunk=False).get_opcodes()
    return tuple(
        Edit(places[a], places[b], original[places[a] : places[b]], "".join(two[c:d]))
        for kind, a, b, c, d in found
        if kind != "equal"
    )


@dataclass(frozen=True)
class PairedTexts(Perturbation):
    """Replace a text by its partner; among several, by one that chance picks.

    Space around a text stays and is not compared.

    Args:
        partners: Partners by text.
        kind: "negation" or "paraphrase", which says whether the meaning stays.
        strength: Named in results; 0 leaves texts as they are, any other replaces them whole.

    Raises:
        ConfigError: When there are no partners, one is empty, or an option does not exist.

    Examples:
        >>> pairs = PairedTexts({"It rains.": ["It does not rain."]}, kind="negation")
        >>> pairs("It rains.").text, pairs("It snows."), pairs.keeps_meaning
        ('It does not rain.', None, False)
    """

    partners: Mapping[str, Sequence[str]] = field(repr=False, hash=False)
    kind: PairKind
    strength: float = 0.1

    def __post_init__(self) -> None:
        check_strength(self.strength)
        check_option("kind", self.kind, get_args(PairKind))
        if not self.partners:
            raise ConfigError("no paired texts came; give at least one text with its partner")
        for text, others in self.partners.items():
            if isinstance(others, str) or not others or not all(other.strip() for other in others):
                raise ConfigError(
                    f"partners {others!r} of {text[:40]!r} came; expected texts that are not empty"
                )

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        kind: PairKind,
        strength: float = 0.1,
        columns: tuple[str, str] = ("text", "perturbed"),
    ) -> Self:
        """Read texts and their partners.

        Args:
            path: A .csv, .tsv, .jsonl, .json or .parquet file; a text may stand in several rows.
            kind: "negation" or "paraphrase".
            strength: As for the class.
            columns: Names of the columns of texts and of partners.

        Returns:
            The perturbation.

        Raises:
            StorageError: When there is no such file.
            CorpusError: When it cannot be read, a column is missing, or no row is there.
        """
        found: dict[str, dict[str, None]] = {}
        for _, text, partner in read_pairs(path, columns=columns):
            found.setdefault(text.strip(), {})[partner.strip()] = None
        if not found:
            raise CorpusError(f"'{path}' holds no row; expected columns {columns[0]} and {columns[1]}")
        return cls({text: tuple(others) for text, others in found.items()}, kind, strength)

    @property
    def name(self) -> str:
        """Short name: "paired_negation" or "paired_paraphrase"."""
        return f"paired_{self.kind}"

    @property
    def keeps_meaning(self) -> bool:
        """Whether the partners are paraphrases."""
        return self.kind == "paraphrase"

    @property
    def note(self) -> str:
        """What a reader must know."""
        return _NOTES[self.kind]

    def __call__(self, text: str, *, seed: int = 0) -> Perturbed | None:
        """Replace a text; ``None`` where it has no partner."""
        chance, core = Chance.of(seed, self.name, text), text.strip()
        others = self.partners.get(core)
        if not others or not Reading(text).words:
            return None
        changed = text
        if self.strength > 0:
            start = text.index(core)
            changed = text[:start] + chance.pick(others) + text[start + len(core) :]
        return Perturbed(
            changed, text, find_edits(text, changed), name=self.name, strength_asked=self.strength
        )

    def at(self, strength: float) -> Self:
        """Give the same pairs under another strength; see :meth:`Perturbation.at`."""
        return replace(self, strength=strength)
