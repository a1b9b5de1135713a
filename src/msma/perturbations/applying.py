"""Many texts perturbed, with what was skipped and what stayed as it was."""

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from msma.errors import ConfigError, CorpusError
from msma.perturbations.base import Perturbation
from msma.perturbations.edits import Perturbed

__all__ = ["PerturbedTexts", "perturb_texts"]


@dataclass(frozen=True)
class PerturbedTexts:
    """Perturbed texts and which originals they come from.

    Args:
        perturbed: One for each text that could be perturbed, in order.
        index: Place of each among the originals.
        n_skipped: Texts that are too short, or hold no place for such an edit.
    """

    perturbed: tuple[Perturbed, ...]
    index: tuple[int, ...]
    n_skipped: int

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The perturbed texts."""
        return tuple(found.text for found in self.perturbed)

    @cached_property
    def originals(self) -> tuple[str, ...]:
        """The texts they come from."""
        return tuple(found.original for found in self.perturbed)

    @property
    def n_unchanged(self) -> int:
        """Texts that chance, or a strength of 0, left as they were; they are among the perturbed ones."""
        return sum(not found.is_changed for found in self.perturbed)

    @property
    def edits_per_word(self) -> float:
        """Mean over the texts of edits per word of the original; what was asked for is on each text."""
        return fmean(found.edits_per_word for found in self.perturbed)


def perturb_texts(texts: Iterable[str], perturbation: Perturbation, *, seed: int = 0) -> PerturbedTexts:
    """Perturb texts, each by its own chance.

    Args:
        texts: The texts.
        perturbation: What to do to each.
        seed: Another seed makes other edits; the skipped texts stay the same.

    Returns:
        The perturbed texts, those skipped left out and counted.

    Raises:
        ConfigError: When the seed is not a whole number, one text came for several, or an item is no text.
        CorpusError: When no text came, or every one is skipped.

    Examples:
        >>> from msma.perturbations import WordOrder
        >>> found = perturb_texts(["Come here.", "Stop!"], WordOrder(0.5))
        >>> found.texts, found.index, found.n_skipped, found.n_unchanged, found.edits_per_word
        (('here Come.',), (0,), 1, 0, 0.5)
    """
    if isinstance(texts, str):
        raise ConfigError("one text came where several were expected; give a list of texts")
    try:
        operator.index(seed)
    except TypeError as error:
        raise ConfigError(f"seed {seed!r} came; expected a whole number") from error
    found = [perturbation(_checked(text, place), seed=seed) for place, text in enumerate(texts)]
    kept = [(place, one) for place, one in enumerate(found) if one is not None]
    if not kept:
        raise CorpusError(
            f"none of {len(found)} texts can be perturbed by '{perturbation.name}': each needs at least "
            f"{perturbation.fewest_words} words and a place for such an edit; give other texts"
        )
    return PerturbedTexts(
        tuple(one for _, one in kept), tuple(place for place, _ in kept), len(found) - len(kept)
    )


def _checked(text: object, place: int) -> str:
    if not isinstance(text, str):
        raise ConfigError(f"item {place} is a {type(text).__name__}; expected a text")
    return text
