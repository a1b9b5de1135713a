"""Perturbations of glyphs: what a scanner takes for something else."""

import re
from dataclasses import dataclass

from msma.perturbations.base import SitePerturbation
from msma.perturbations.chance import Chance
from msma.perturbations.edits import Edit
from msma.perturbations.reading import Reading, Span

__all__ = ["OcrTypos"]

#: Glyphs that scanners confuse, in either direction; case belongs to the shape (I and l, O and 0).
_PAIRS = (
    ("rn", "m"), ("cl", "d"), ("vv", "w"), ("VV", "W"), ("ri", "n"), ("li", "h"), ("ii", "u"), ("nn", "m"),
    ("l", "1"), ("I", "l"), ("I", "1"), ("i", "l"), ("i", "j"), ("O", "0"), ("o", "0"), ("S", "5"), ("B", "8"),
    ("Z", "2"), ("G", "6"), ("b", "6"), ("g", "9"), ("q", "g"), ("e", "c"), ("h", "b"), ("u", "v"), ("t", "f"),
    ("D", "O"), ("E", "F"), ("P", "F"), ("C", "G"), ("Q", "O"), ("U", "V"), ("y", "v"), ("a", "o"), ("n", "u"),
)  # fmt: skip


def _both_ways() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for one, two in _PAIRS:
        found.setdefault(one, []).append(two)
        found.setdefault(two, []).append(one)
    return {glyph: tuple(others) for glyph, others in found.items()}


_CONFUSED = _both_ways()
#: At every place the glyphs that begin there, longer ones as well as shorter ones.
_GLYPHS = tuple(re.compile(rf"(?=({'|'.join(found)}))") for found in
                (sorted(glyph for glyph in _CONFUSED if len(glyph) == size) for size in (2, 1)))  # fmt: skip


@dataclass(frozen=True)
class OcrTypos(SitePerturbation):
    """Take glyphs for others that look alike: rn and m, l and 1, O and 0.

    Args:
        strength: Edits per word asked for.

    Raises:
        ConfigError: When the strength is negative or not finite.

    Examples:
        >>> OcrTypos(1.0)("m").text in ("rn", "nn")
        True
    """

    name = "ocr"
    keeps_meaning = True
    note = "digits are taken for letters and letters for digits, so numbers may change; glyphs of Latin script only"

    def find_sites(self, reading: Reading) -> list[Span]:
        """Find glyphs that look like others; see :meth:`SitePerturbation.find_sites`."""
        return [
            Span(*found.span(1))
            for word in reading.words
            for glyphs in _GLYPHS
            for found in glyphs.finditer(reading.text, *word)
            if not reading.is_marked(found.end(1))
        ]

    def edit(self, reading: Reading, site: Span, chance: Chance) -> Edit:
        """Put the other glyph; see :meth:`SitePerturbation.edit`."""
        before = reading.text[site.start : site.end]
        return Edit(*site, before, chance.pick(_CONFUSED[before]))
