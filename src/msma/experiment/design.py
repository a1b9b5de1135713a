"""Which cells an experiment has: every scale under every kind of intervention at every strength."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from msma._types import SCALES, Scale
from msma.alignment import Alignment
from msma.errors import ConfigError, OriginError, ScaleError
from msma.scales import ScalePartition

Kind: TypeAlias = Literal["translation", "scaling", "noise", "temperature", "heads", "replacement"]

#: Every kind of intervention, in the order shown.
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Kinds that can go backwards: a negative strength damps, or moves the other way.
SIGNED: tuple[Kind, ...] = ("translation", "scaling")
#: Kinds that act inside attention, so that the embeddings have none.
INSIDE: tuple[Kind, ...] = ("temperature", "heads")


@dataclass(frozen=True)
class Cell:
    """One intervention of an experiment.

    Args:
        scale: Where.
        kind: What is done.
        strength: Relative norm asked for, negative to go backwards.
        layers: Layer entries acted on.
    """

    scale: Scale
    kind: Kind
    strength: float
    layers: tuple[int, ...]

    @property
    def name(self) -> str:
        """A word for files: "global-scaling+0.1"."""
        return f"{self.scale}-{self.kind}{self.strength:+g}"


class Design(NamedTuple):
    """The cells of an experiment, and what it goes without.

    Args:
        cells: Every cell.
        left_out: Sentences about kinds or scales that were asked for by "all" and are not possible here.
    """

    cells: tuple[Cell, ...]
    left_out: tuple[str, ...]


def make_design(
    partition: ScalePartition,
    *,
    scales: str | Sequence[str] = "all",
    kinds: str | Sequence[str] = "all",
    strengths: Sequence[float] = (0.05, 0.1, 0.2),
    alignment: Alignment | None = None,
) -> Design:
    """List the cells of an experiment.

    Negative strengths are for scaling and translation; the other kinds have no backwards and pass them over.

    Args:
        partition: Which layers belong to which scale.
        scales: "all", or names of scales.
        kinds: "all", or names out of :data:`KINDS`.
        strengths: Relative norms.
        alignment: What replacements predict with.

    Returns:
        The cells and what is left out.

    Raises:
        ConfigError: When a scale, kind or strength is unknown or impossible.
        ScaleError: When a kind that was named has nothing to act on in a scale.
        OriginError: When the alignment has other scales.

    Examples:
        >>> design = make_design(ScalePartition.thirds(7), scales=["global"], kinds=["noise", "scaling"],
        ...                      strengths=(-0.1, 0.1))
        >>> [cell.name for cell in design.cells]
        ['global-noise+0.1', 'global-scaling-0.1', 'global-scaling+0.1']
    """
    chosen_scales: tuple[Scale, ...] = _choose(scales, SCALES, what="scale")
    chosen_kinds: tuple[Kind, ...] = _choose(kinds, KINDS, what="kind")
    _check_strengths(strengths)
    if alignment is not None and alignment.partition_.ranges != partition.ranges:
        raise OriginError(
            f"an alignment of scales {alignment.partition_} came for an experiment on {partition}; fit one on "
            "these scales, or take its own"
        )
    cells: list[Cell] = []
    left_out: list[str] = []
    for kind in chosen_kinds:
        own = [s for s in strengths if s > 0 or kind in SIGNED]
        if not own:
            _refuse(f"{kind} has no backwards, and every strength given is negative", kinds, left_out)
            continue
        if kind == "replacement" and alignment is None:
            _refuse("replacement needs a fitted alignment (--alignment), and none was given", kinds, left_out)
            continue
        for scale in chosen_scales:
            layers = _layers_of(partition, scale, kind, alignment)
            if not layers:
                _refuse(_why(scale, kind), kinds, left_out, error=ScaleError)
                continue
            cells += [Cell(scale, kind, strength, layers) for strength in own]
    if not cells:
        raise ConfigError(f"no intervention is left to try: {'; '.join(left_out)}")
    order = {scale: place for place, scale in enumerate(SCALES)}
    return Design(tuple(sorted(cells, key=lambda cell: order[cell.scale])), tuple(left_out))


def source_of(alignment: Alignment, target: Scale) -> Scale | None:
    """Give the scale that a replacement predicts from: the one nearest in the order of decoding.

    Args:
        alignment: A fitted alignment.
        target: Scale replaced.

    Returns:
        The source; ``None`` where no map leads to the target.
    """
    sources = [source for source, its_target in alignment.chains if its_target == target]
    return min(sources, key=SCALES.index, default=None)


def _choose(given: str | Sequence[str], known: Sequence[str], *, what: str) -> tuple[Any, ...]:
    names = (known if given == "all" else (given,)) if isinstance(given, str) else tuple(given)
    if not names:
        raise ConfigError(f"no {what} came; give some of {', '.join(known)}, or 'all'")
    for name in names:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"expected some of {', '.join(known)}, or 'all'"
            raise ConfigError(f"{what} '{name}' came; {hint}")
    return tuple(dict.fromkeys(names))


def _check_strengths(strengths: Sequence[float]) -> None:
    if not strengths:
        raise ConfigError("no strength came; give relative norms such as 0.05,0.1,0.2")
    for strength in strengths:
        if not math.isfinite(strength) or strength == 0:
            raise ConfigError(
                f"strength {strength} came; expected finite numbers other than 0, the relative norm of the "
                "change, such as 0.1"
            )
    if len(set(strengths)) != len(strengths):
        raise ConfigError(f"strengths {tuple(strengths)} came; give each once")


def _layers_of(
    partition: ScalePartition, scale: Scale, kind: Kind, alignment: Alignment | None
) -> tuple[int, ...]:
    layers = tuple(partition[scale])
    if kind in INSIDE:
        return tuple(layer for layer in layers if layer > 0)
    if kind == "replacement" and alignment is not None:
        if source_of(alignment, scale) is None:
            return ()
        return layers if alignment.reduction == "mean" else layers[-1:]
    return layers


def _why(scale: Scale, kind: Kind) -> str:
    if kind == "replacement":
        return f"no map of the alignment leads to the {scale} scale, so nothing can replace it"
    return f"the {scale} scale holds no block, only the embeddings, so it has no attention for {kind}"


def _refuse(
    sentence: str,
    kinds: str | Sequence[str],
    left_out: list[str],
    *,
    error: type[ConfigError] | type[ScaleError] = ConfigError,
) -> None:
    """Raise where the kind was named; keep the sentence where it came with "all"."""
    if kinds != "all":
        raise error(f"{sentence}; leave it out, or give what it needs")
    left_out.append(sentence)
