"""The perturbations by name, with the defaults that results are compared at."""

from collections.abc import Iterable
from difflib import get_close_matches

from msma.errors import ConfigError
from msma.perturbations.arrangement import WordDeletion, WordOrder, WordRepetition
from msma.perturbations.base import Perturbation
from msma.perturbations.composition import Compose
from msma.perturbations.glyphs import OcrTypos
from msma.perturbations.letters import CharacterDeletion, CharacterInsertion, CharacterSwap, KeyboardTypos
from msma.perturbations.misspellings import Misspellings
from msma.perturbations.negation import Negation
from msma.perturbations.surface import CaseChange, PunctuationChange, SpacingChange

__all__ = ["PERTURBATIONS", "describe_perturbations", "find_perturbations"]

#: One of each kind by name, in the order they are shown; files bring :class:`PairedTexts`.
PERTURBATIONS: dict[str, Perturbation] = {
    perturbation.name: perturbation
    for perturbation in (
        KeyboardTypos(),
        OcrTypos(),
        CharacterSwap(),
        CharacterDeletion(),
        CharacterInsertion(),
        Misspellings(),
        CaseChange(),
        CaseChange(mode="all_lower"),
        CaseChange(mode="all_upper"),
        PunctuationChange(),
        SpacingChange(),
        WordRepetition(),
        WordDeletion(),
        WordOrder(),
        WordOrder(mode="shuffle"),
        Negation(),
    )
}


def find_perturbations(
    names: str | Iterable[str], *, strength: float | None = None
) -> tuple[Perturbation, ...]:
    """Find perturbations by name.

    Args:
        names: Names parted by commas, or several; "all" stands for every one, and "a+b" for one after the other.
        strength: Edits per word of each, a composition as a whole; 0.1 for each part when left out.

    Returns:
        The perturbations in the order named, each once.

    Raises:
        ConfigError: When a name is unknown or none is given, or the strength is negative or not finite.

    Examples:
        >>> [(found.name, found.strength) for found in find_perturbations("keyboard, order+case", strength=0.2)]
        [('keyboard', 0.2), ('order+case', 0.2)]
    """
    asked = [
        name.strip() for part in ([names] if isinstance(names, str) else names) for name in part.split(",")
    ]
    asked = [name for part in asked if part for name in (PERTURBATIONS if part == "all" else (part,))]
    if not asked:
        raise ConfigError(
            f"no name of a perturbation came; expected 'all' or some of {', '.join(PERTURBATIONS)}"
        )
    found = []
    for name in dict.fromkeys(asked):
        parts = [_find(part.strip()) for part in name.split("+")]
        chosen = parts[0] if len(parts) == 1 else Compose(*parts)
        found.append(chosen if strength is None else chosen.at(strength))
    return tuple(found)


def _find(name: str) -> Perturbation:
    if name not in PERTURBATIONS:
        near = get_close_matches(name, PERTURBATIONS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ConfigError(f"there is no perturbation '{name}'; {hint}There are {', '.join(PERTURBATIONS)}")
    return PERTURBATIONS[name]


def describe_perturbations() -> tuple[dict[str, str | int | float | bool], ...]:
    """Describe every perturbation.

    Returns:
        A row for each: name, what it does, strength (edits per word), keeps_meaning, fewest_words, note.

    Examples:
        >>> describe_perturbations()[0]["does"]
        'Hit the key beside the one that was meant; the case of the letter stays.'
    """
    return tuple(
        {
            "name": name,
            "does": (type(found).__doc__ or "").partition("\n")[0],
            "strength": found.strength,
            "keeps_meaning": found.keeps_meaning,
            "fewest_words": found.fewest_words,
            "note": found.note,
        }
        for name, found in PERTURBATIONS.items()
    )
