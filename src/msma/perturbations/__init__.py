"""Perturbations of texts: seeded, composable, and exact about what they changed.

:data:`PERTURBATIONS` holds one of each kind by name, :func:`perturb_texts` does one to many texts, and every result
says which characters became which, so that :meth:`Perturbed.restore` gives the original back. Strength is in edits per
word.
"""

from msma.perturbations.applying import PerturbedTexts, perturb_texts
from msma.perturbations.arrangement import WordDeletion, WordOrder, WordRepetition
from msma.perturbations.base import Perturbation, SitePerturbation
from msma.perturbations.composition import Compose
from msma.perturbations.edits import Edit, Perturbed, apply_edits, compose_edits
from msma.perturbations.glyphs import OcrTypos
from msma.perturbations.letters import CharacterDeletion, CharacterInsertion, CharacterSwap, KeyboardTypos
from msma.perturbations.misspellings import Misspellings
from msma.perturbations.negation import Negation
from msma.perturbations.pairs import PairedTexts
from msma.perturbations.registry import PERTURBATIONS, describe_perturbations, find_perturbations
from msma.perturbations.surface import CaseChange, PunctuationChange, SpacingChange

__all__ = [
    "PERTURBATIONS",
    "CaseChange",
    "CharacterDeletion",
    "CharacterInsertion",
    "CharacterSwap",
    "Compose",
    "Edit",
    "KeyboardTypos",
    "Misspellings",
    "Negation",
    "OcrTypos",
    "PairedTexts",
    "Perturbation",
    "Perturbed",
    "PerturbedTexts",
    "PunctuationChange",
    "SitePerturbation",
    "SpacingChange",
    "WordDeletion",
    "WordOrder",
    "WordRepetition",
    "apply_edits",
    "compose_edits",
    "describe_perturbations",
    "find_perturbations",
    "perturb_texts",
]
