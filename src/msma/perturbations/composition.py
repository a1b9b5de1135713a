"""Several perturbations, one after the other, with one list of edits."""

from dataclasses import dataclass
from typing import Self

from msma.errors import ConfigError
from msma.perturbations.base import Perturbation, check_strength
from msma.perturbations.chance import Chance
from msma.perturbations.edits import Perturbed, compose_edits

__all__ = ["Compose"]


@dataclass(frozen=True, init=False)
class Compose(Perturbation):
    """Do several perturbations one after the other; ``a + b`` is the same.

    The edits are those of the original that lead to the last text: where a later one falls on an earlier one they
    count as one, so that there may be fewer than the parts made. Each part takes the seed as it is; a part whose name
    has come before takes another one that follows from it, since it would else repeat its chance.

    Args:
        *parts: Perturbations, in order; compositions among them are taken apart.

    Raises:
        ConfigError: When no part came, or something else than a perturbation.

    Examples:
        >>> from msma.perturbations import CaseChange, WordOrder
        >>> both = WordOrder(0.5) + CaseChange(mode="all_upper")
        >>> both.name, both.keeps_meaning, both("Come here!").text, both("Come here!").restore()
        ('order+uppercase', False, 'HERE COME!', 'Come here!')
    """

    parts: tuple[Perturbation, ...]

    def __init__(self, *parts: Perturbation) -> None:
        flat: list[Perturbation] = []
        for part in parts:
            if not isinstance(part, Perturbation):
                raise ConfigError(f"{part!r} came as a part of a composition; expected a perturbation")
            flat += part.parts if isinstance(part, Compose) else (part,)
        if not flat:
            raise ConfigError("a composition of no perturbations came; give at least one")
        object.__setattr__(self, "parts", tuple(flat))

    @property
    def name(self) -> str:
        """Names of the parts, joined by "+"."""
        return "+".join(part.name for part in self.parts)

    @property
    def strength(self) -> float:
        """Sum of the parts' edits per word."""
        return sum(part.strength for part in self.parts)

    @property
    def keeps_meaning(self) -> bool:
        """Whether every part keeps the meaning."""
        return all(part.keeps_meaning for part in self.parts)

    @property
    def note(self) -> str:
        """What a reader must know of each part."""
        return "; ".join(dict.fromkeys(part.note for part in self.parts))

    @property
    def fewest_words(self) -> int:
        """Most of what the parts need."""
        return max(part.fewest_words for part in self.parts)

    def __call__(self, text: str, *, seed: int = 0) -> Perturbed | None:
        """Perturb a text; ``None`` where a part cannot do its work on what came to it."""
        now = Perturbed(text, text, (), name=self.name, strength_asked=self.strength)
        for place, part in enumerate(self.parts):
            repeats = sum(earlier.name == part.name for earlier in self.parts[:place])
            own = Chance.of(seed, part.name, "").at(repeats).key if repeats else seed
            step = part(now.text, seed=own)
            if step is None:
                return None
            edits = compose_edits(text, now.edits, step.edits)
            now = Perturbed(step.text, text, edits, name=self.name, strength_asked=self.strength)
        return now

    def at(self, strength: float) -> Self:
        """Share a strength among the parts as they share theirs now, or evenly where all are 0.

        Args:
            strength: Edits per word of all together, at least 0.

        Returns:
            The composition.
        """
        check_strength(strength)
        total = self.strength
        shares = [part.strength / total if total else 1 / len(self.parts) for part in self.parts]
        return type(self)(
            *(part.at(strength * share) for part, share in zip(self.parts, shares, strict=True))
        )
