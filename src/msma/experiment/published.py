"""The effects that arXiv 2505.20333 reports for GPT-2, as quoted, to stand beside what is measured here."""

from collections.abc import Sequence
from typing import NamedTuple

from msma.experiment.effects import Effect


class PublishedEffect(NamedTuple):
    """One effect in the paper's words and numbers.

    Args:
        scale: Where it acted.
        action: What was done, as the paper calls it.
        quantity: What changed, as the paper calls it.
        change: Relative change.
        delta: Cliff's delta.
        measure: The measure here that comes nearest.
    """

    scale: str
    action: str
    quantity: str
    change: float
    delta: float
    measure: str


#: As quoted in METHOD section 7, which gives neither strengths nor intervals nor controls for them.
PUBLISHED: tuple[PublishedEffect, ...] = (
    PublishedEffect("global", "amplify", "lexical diversity", 0.074, 0.23, "mtld"),
    PublishedEffect("global", "amplify", "coherence", -0.24, -0.24, "coherence"),
    PublishedEffect("intermediate", "scaling", "sentences", 0.25, 0.24, "sentence_count"),
    PublishedEffect("intermediate", "scaling", "mean sentence length", -0.19, -0.27, "mean_sentence_length"),
    PublishedEffect("local", "amplify", "lexical variation", 0.34, 0.34, "lexical_variation"),
)


class Comparison(NamedTuple):
    """A published effect and ours, where the experiment amplified that scale.

    Args:
        published: The paper's.
        ours: Ours at one strength.
        verdict: In a few words.
    """

    published: PublishedEffect
    ours: Effect
    verdict: str


def compare_published(effects: Sequence[Effect]) -> list[Comparison]:
    """Put the published effects beside those of scaling up, at every strength tried.

    Args:
        effects: Effects of an experiment.

    Returns:
        One comparison a published effect and strength; none where the experiment did not amplify.
    """
    return [
        Comparison(published, effect, judge(published, effect))
        for published in PUBLISHED
        for effect in effects
        if (effect.scale, effect.kind, effect.measure) == (published.scale, "scaling", published.measure)
        and effect.strength > 0
    ]


def judge(published: PublishedEffect, ours: Effect) -> str:
    """Say whether our effect bears a published one out.

    Args:
        published: The paper's.
        ours: Ours.

    Returns:
        A few words.
    """
    if ours.delta is None or ours.p_holm is None:
        return "not testable here"
    if not ours.is_significant:
        return "no effect shown here"
    same = (ours.delta > 0) == (published.delta > 0)
    direction = "same direction" if same else "opposite direction"
    return direction if ours.is_beyond_control else f"{direction}, but no more than its control"
