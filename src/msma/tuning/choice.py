"""Which configuration to take: the closed form unless a learned map beats it by more than noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from msma.comparison import contrast_documents, holm
from msma.errors import ConfigError
from msma.results import format_cell
from msma.tuning.space import WEIGHTS, network_size

_LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One configuration and what it reached on the validation split.

    Args:
        number: Its number in the study.
        state: "complete", "pruned" or "failed".
        params: Parameters of the map; only the weights, all zero, for the closed form alone.
        values: Objectives by name, averaged over the pairs; of the last rung where the trial was pruned.
        r2_left_out: R2 without each group of documents; empty unless complete.
        seconds: How long it took.
        note: Why it failed.
    """

    number: int
    state: str
    params: Mapping[str, Any]
    values: Mapping[str, float]
    r2_left_out: tuple[float, ...] = ()
    seconds: float | None = None
    note: str | None = None

    @property
    def is_closed(self) -> bool:
        """Whether this is the closed form alone."""
        return not any(self.params.get(name) for name in WEIGHTS)


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The configuration to take, and why.

    Args:
        params: Parameters of the map; all weights zero where the closed form is to be kept.
        trial: Number of the trial.
        sentence: The reason.
        is_learned: Whether a learned map is worth its trouble.
    """

    params: Mapping[str, Any]
    trial: int
    sentence: str
    is_learned: bool


def recommend(complete: Sequence[Trial]) -> Recommendation:
    """Choose a configuration on the validation split.

    The closed form is kept unless some learned map explains more by more than noise: a paired jackknife
    test over documents, one-sided, corrected by Holm for the number of maps tried, at 5 %. Then the simplest
    map within one standard error of the best R2 (Breiman et al. 1984, section 3.4.3), the error being that
    of the paired difference.

    Args:
        complete: Trials that were neither pruned nor failed.

    Returns:
        Parameters and the reason in a plain sentence.

    Raises:
        ConfigError: When no trial is complete, or none of the closed form.
    """
    closed = next((trial for trial in complete if trial.is_closed), None)
    if closed is None:
        raise ConfigError("0 complete trials of the closed form came; run at least 2 trials")
    learned = [trial for trial in complete if not trial.is_closed]
    if not learned:
        return _recommend_closed(closed, "no learned map was tried to the end")
    best = max(learned, key=lambda trial: trial.values["r2"])
    gain = _difference(best, closed)
    ps = holm([_one_sided(trial, closed) for trial in learned])
    if ps[learned.index(best)] >= _LEVEL:
        how = f"{abs(gain[0]):.4f} {'more' if gain[0] > 0 else 'less'}"
        noise = ", within noise after correction for their number" if gain[0] > 0 else ""
        return _recommend_closed(
            closed,
            f"the best of {len(learned)} learned maps explains {how} of the target's variance on validation "
            f"({gain[1]:+.4f} to {gain[2]:+.4f}){noise}",
        )
    near = [
        trial
        for trial, p in zip(learned, ps, strict=True)
        if p < _LEVEL and (trial is best or _difference(best, trial)[0] <= _difference(best, trial)[3])
    ]
    chosen = min(near, key=lambda trial: (network_size(trial.params), -trial.values["r2"], trial.number))
    gain = _difference(chosen, closed)
    why = "the best" if chosen is best else f"the simplest within one standard error of trial {best.number}"
    return Recommendation(
        params=chosen.params,
        trial=chosen.number,
        is_learned=True,
        sentence=(
            f"Take trial {chosen.number} ({tell_params(chosen.params)}): it is {why}, and it explains {gain[0]:+.4f} "
            f"more of the target's variance on validation than the closed form ({gain[1]:+.4f} to {gain[2]:+.4f})."
        ),
    )


def _recommend_closed(closed: Trial, why: str) -> Recommendation:
    return Recommendation(
        params=closed.params, trial=closed.number, is_learned=False, sentence=f"Keep the closed form: {why}."
    )


def _difference(first: Trial, second: Trial) -> tuple[float, float, float, float]:
    """Difference in R2 with its interval and standard error, paired over groups of documents."""
    value = first.values["r2"] - second.values["r2"]
    left_out = np.array(first.r2_left_out) - np.array(second.r2_left_out)
    contrast = contrast_documents(value, left_out)
    count = len(left_out)
    error = float(np.sqrt((count - 1) / count * ((left_out - left_out.mean()) ** 2).sum()))
    return value, float(contrast.low or 0.0), float(contrast.high or 0.0), error


def _one_sided(trial: Trial, closed: Trial) -> float:
    left_out = np.array(trial.r2_left_out) - np.array(closed.r2_left_out)
    contrast = contrast_documents(trial.values["r2"] - closed.values["r2"], left_out)
    p = 1.0 if contrast.p is None else contrast.p / 2
    return p if contrast.value > 0 else 1.0 - p


def tell_params(params: Mapping[str, Any]) -> str:
    """Write parameters in a line.

    Args:
        params: Parameters of a trial.

    Returns:
        Names and values.

    Examples:
        >>> tell_params({"lambda_geo": 1.0, "width": 64}), tell_params({"lambda_geo": 0.0})
        ('lambda_geo 1, width 64', 'closed form alone')
    """
    if not any(params.get(name) for name in WEIGHTS):
        return "closed form alone"
    return ", ".join(f"{name} {format_cell(value)}" for name, value in params.items())
