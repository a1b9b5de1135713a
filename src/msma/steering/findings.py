"""What is said of a choice, in sentences that a reader can quote."""

import math

from msma.steering.points import Point

#: A judge that tells fewer unseen texts apart than this share is not to be relied on.
_WEAK_JUDGE = 0.75


def describe_choice(
    chosen: Point, test: Point, *, n_settings: int, max_loss: float, judge_accuracy: float
) -> str:
    """Say what was chosen, what it does on other prompts, and whether that is more than chance.

    Args:
        chosen: The point of the curve that was chosen.
        test: The same setting on test prompts.
        n_settings: How many were tried.
        max_loss: Loss in nats a token that a choice may have.
        judge_accuracy: Share of texts it was not fitted on that the judge tells apart.

    Returns:
        A few sentences.
    """
    if chosen.loss <= max_loss:
        why = (
            f"has the largest effect of {n_settings} settings among those that cost at most "
            f"{max_loss:g} nats a token"
        )
    else:
        why = (
            f"costs least, {chosen.loss:.2f} nats a token; none of {n_settings} settings kept to {max_loss:g}"
        )
    said = [
        f"On {chosen.n_prompts} validation prompts the {chosen.scale} scale at strength {chosen.strength:g} "
        f"{why}.",
        f"On {test.n_prompts} other prompts the judge's log-odds change by {_signed(test.effect)} "
        f"({_signed(test.effect_low)} to {_signed(test.effect_high)}) at a loss of {_signed(test.loss)} nats a "
        f"token ({_signed(test.loss_low)} to {_signed(test.loss_high)}; perplexity times "
        f"{math.exp(test.loss):.2f}); random directions as strong change them by {_signed(test.control_effect)} "
        f"({_signed(test.control_low)} to {_signed(test.control_high)}) at {_signed(test.control_loss)}.",
    ]
    if test.effect_low <= 0 <= test.effect_high:
        said.append("The interval of the effect includes 0, so these prompts do not show that it steers.")
    elif test.effect_high < 0:
        said.append("The effect goes the wrong way: the texts move away from what was asked for.")
    elif test.beyond_low <= 0:
        said.append(
            f"The effect is not clearly beyond that of random directions ({_signed(test.beyond)}; "
            f"{_signed(test.beyond_low)} to {_signed(test.beyond_high)}), so it may not be the direction's own."
        )
    told = f"The judge tells apart {judge_accuracy:.0%} of the texts it was not fitted on"
    weak = judge_accuracy < _WEAK_JUDGE
    said.append(told + ("; that is little, so give more texts before relying on it." if weak else "."))
    return " ".join(said)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
