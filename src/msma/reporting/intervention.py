"""The intervention experiment on a page: findings, figures, the paper's effects beside ours, texts side by side."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msma.experiment import Effect, Experiment
from msma.experiment.findings import change_of, signed
from msma.plotting import save_figure
from msma.plotting.effects import measure_name
from msma.plotting.inline import DARK, LIGHT
from msma.reporting.effect_titles import title_dose, title_effects
from msma.reporting.environment import make_environment, mark_safe
from msma.reporting.figures import inline_figure, list_intervention
from msma.reporting.numbers import NOTHING, show
from msma.storage import write_text

#: Longest text shown of a sample.
_LONGEST = 600
_ABOUT = {
    "effects": "Cliff's delta of every intervention on every measure as a heat map, one block a scale.",
    "dose": "Cliff's delta over the strength of the intervention, one panel a kind and measure, one line a scale.",
}


def describe_intervention(experiment: Experiment | None) -> dict[str, Any]:
    """Collect what a page shows of an experiment; empty where there is none.

    Args:
        experiment: The experiment.

    Returns:
        Names the template knows.
    """
    if experiment is None:
        return {"intervention": None}
    sentences = experiment.findings()
    return {
        "intervention": {
            "sentences": sentences,
            "effects": [_effect_line(effect) for effect in experiment.effects],
            "published": [
                {
                    "scale": found.published.scale,
                    "action": found.published.action,
                    "quantity": found.published.quantity,
                    "theirs": f"{found.published.change:+.1%} (δ {signed(found.published.delta)})".replace(
                        "-", "−"
                    ),
                    "strength": f"{found.ours.strength:+g}",
                    "measure": measure_name(found.ours.measure),
                    "ours": f"{change_of(found.ours)} (δ {_delta(found.ours.delta, found.ours.low, found.ours.high)})",
                    "control": f"δ {signed(found.ours.control_delta)}",
                    "verdict": found.verdict,
                }
                for found in experiment.published
            ],
            "published_note": _published_note(experiment),
            "samples": [
                {
                    "cell": f"{sample.kind} {sample.strength:+g}".replace("-", "−"),
                    "scale": sample.scale,
                    "prompt": _cut(sample.prompt),
                    "columns": [
                        {"name": "no intervention", "text": _cut(sample.clean)},
                        {"name": f"{sample.kind} at the {sample.scale} scale", "text": _cut(sample.treated)},
                        {"name": "its control", "text": _cut(sample.control)},
                    ],
                }
                for sample in experiment.samples
            ],
            "n_prompts": experiment.provenance.get("n_prompts"),
            "n_seeds": len(experiment.provenance.get("seeds", ())),
            "is_masked": experiment.provenance.get("head") == "masked",
        }
    }


def _effect_line(effect: Effect) -> dict[str, Any]:
    return {
        "scale": effect.scale,
        "cell": f"{effect.kind} {effect.strength:+g}".replace("-", "−"),
        "reached": f"{effect.reached:.3g}",
        "measure": measure_name(effect.measure),
        "clean": show(effect.clean),
        "treated": show(effect.treated),
        "change": change_of(effect) if effect.change is not None else NOTHING,
        "delta": _delta(effect.delta, effect.low, effect.high),
        "p": _p(effect.p_holm),
        "control": signed(effect.control_delta),
        "beyond": _delta(effect.beyond, effect.beyond_low, effect.beyond_high),
        "beyond_p": _p(effect.beyond_p_holm),
        "n": effect.n_prompts,
        "note": effect.note or "",
        "verdict": "●" if effect.is_beyond_control else "○" if effect.is_significant else "",
    }


def _delta(value: float | None, low: float | None, high: float | None) -> str:
    ends = "" if low is None else f" [{signed(low)}, {signed(high)}]"
    return f"{signed(value)}{ends}"


def _p(value: float | None) -> str:
    return NOTHING if value is None else "1" if value >= 0.9995 else f"{value:.2g}"


def _published_note(experiment: Experiment) -> str:
    found = experiment.provenance
    if (found.get("n_layers"), found.get("architecture")) == (13, "gpt2") and "gpt2" in str(
        found.get("model")
    ):
        return ""
    return (
        f"The paper's effects are those of GPT-2; {found.get('model')} is another model of its architecture, so that "
        "agreement or disagreement here is no replication."
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST].rstrip() + " …"


def render_summary(experiment: Experiment) -> str:
    """Render an experiment as a page of its own.

    Args:
        experiment: The experiment.

    Returns:
        HTML that needs no other file.

    Raises:
        MissingExtraError: When jinja2 or matplotlib is not installed.
    """
    environment = make_environment()
    titles = {"effects": title_effects(experiment), "dose": title_dose(experiment)}
    figures = {
        name: {
            "title": titles[name],
            "svgs": mark_safe(
                inline_figure(drawing, name=name, title=titles[name], description=_ABOUT[name])
            ),
        }
        for name, drawing in list_intervention(experiment).items()
    }
    facts = [(name.replace("_", " "), _fact(value)) for name, value in experiment.provenance.items()]
    context = {"light": LIGHT, "dark": DARK, "figures": figures, "facts": facts}
    context |= {"model": experiment.provenance.get("model", "a model"), **describe_intervention(experiment)}
    return environment.get_template("experiment.html.j2").render(context)


def _fact(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(map(str, value)) or NOTHING
    return NOTHING if value is None else str(value)


def write_summary(experiment: Experiment, folder: str | os.PathLike[str]) -> Path:
    """Write an experiment's page, and its figures as PNG, SVG and PDF beside it.

    Args:
        experiment: The experiment.
        folder: Where to.

    Returns:
        The page.

    Raises:
        MissingExtraError: When jinja2 or matplotlib is not installed.
        StorageError: When a file cannot be written.
    """
    home = Path(folder)
    page = render_summary(experiment)
    for name, drawing in list_intervention(experiment).items():
        save_figure(drawing.draw(drawing.print), home / name)
    return write_text(home / "summary.html", page)
