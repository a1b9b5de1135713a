"""The findings of an experiment's figures, in a sentence each."""

from msma.experiment import Experiment


def title_effects(experiment: Experiment) -> str:
    """Say how many effects hold against the control.

    Args:
        experiment: The experiment.

    Returns:
        A title.
    """
    beyond = [effect for effect in experiment.effects if effect.is_beyond_control]
    scales = [e.scale for e in beyond]
    counts = ", ".join(f"{scale} {scales.count(scale)}" for scale in dict.fromkeys(scales))
    tail = f" ({counts})" if counts else ""
    return f"{len(beyond)} of {len(experiment.effects)} effects go beyond their control{tail}"


def title_dose(experiment: Experiment) -> str:
    """Say how effects go with strength.

    Args:
        experiment: The experiment.

    Returns:
        A title.
    """
    strengths = sorted({abs(effect.strength) for effect in experiment.effects})
    if len(strengths) < 2:
        return "One strength was tried, so that nothing is known of how effects grow"
    counts = [
        sum(e.is_significant for e in experiment.effects if abs(e.strength) == strength)
        for strength in strengths
    ]
    told = ", ".join(f"{count} at {strength:g}" for count, strength in zip(counts, strengths, strict=True))
    return f"Effects that differ from the clean text, by strength: {told}"
