"""One text explained, on a page of its own."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msma.explanation.findings import say_deletions, say_findings
from msma.explanation.parts import Attribution, Decoding, Departure, Neighbour, Place
from msma.explanation.record import Explanation
from msma.plotting.inline import DARK, LIGHT
from msma.reporting.clouds import shorten
from msma.reporting.environment import make_environment
from msma.reporting.numbers import show
from msma.scales import ScalePartition
from msma.storage import write_text

#: Colours from far down to far up; the middle one is nothing.
_BINS = 9
_STRANGE = 0.05
_SHOWN_WORDS, _SHOWN_TOKENS, _SHOWN_NEIGHBOURS = 8, 3, 3


def write_explanation(explanation: Explanation, path: str | os.PathLike[str]) -> Path:
    """Write an explanation as one HTML file that needs no other.

    Args:
        explanation: The explanation.
        path: The file.

    Returns:
        The path written.

    Raises:
        MissingExtraError: When jinja2 is not installed.
        StorageError: When it cannot be written.
    """
    template = make_environment().get_template("explanation.html.j2")
    return write_text(path, template.render(_build_context(explanation)))


def _build_context(explanation: Explanation) -> dict[str, Any]:
    facts = {key: value for key, value in explanation.provenance.items() if value is not None}
    n_sentences = len(explanation.sentences)
    return {
        "light": LIGHT,
        "dark": DARK,
        "model": str(facts.get("model", "a model")),
        "text": explanation.text,
        "n_tokens": len(explanation.tokens),
        "n_sentences": n_sentences,
        "corrected": f"{_STRANGE / max(n_sentences, 1):.2g}",
        "is_cut": explanation.is_cut,
        "findings": say_findings(explanation),
        "places": [_place(place, str(facts.get("scales", ""))) for place in explanation.places],
        "direction": next((a.direction for a in explanation.attributions), "own"),
        "attributions": [_attribution(explanation, item) for item in explanation.attributions],
        "decodings": [_decoding(item) for item in explanation.decodings],
        "departures": [_departure(explanation, item) for item in explanation.departures],
        "facts": [(key.replace("_", " "), str(value)) for key, value in facts.items()],
    }


def _place(place: Place, scales: str) -> dict[str, Any]:
    return {
        "scale": place.scale,
        "layers": _layers(scales, place.scale),
        "p": f"{place.p_value:.2g}",
        "verdict": "untypical" if place.p_value <= _STRANGE else "not untypical",
        "labels": [
            f"{label.column} {label.value}: {label.share:.0%}, {label.base:.0%}" for label in place.labels
        ],
        "texts": [_neighbour(item) for item in place.texts[:_SHOWN_NEIGHBOURS]],
        "sentences": [_neighbour(item) for item in place.sentences[:_SHOWN_NEIGHBOURS]],
    }


def _layers(scales: str, scale: Any) -> str:
    """Give the layers of a scale as they are written in the provenance."""
    if not scales:
        return "unknown"
    last = int(scales.split("|")[-1].split("-")[-1])
    layers = ScalePartition.parse(scales, n_layers=last + 1)[scale]
    return str(layers[0]) if len(layers) == 1 else f"{layers[0]}–{layers[-1]}"


def _neighbour(item: Neighbour) -> dict[str, str]:
    labels = [str(value) for value in item.labels.values() if isinstance(value, str)]
    return {
        "text": shorten(item.text, longest=180),
        "note": " · ".join([show(item.similarity), *labels[:2]]),
    }


def _attribution(explanation: Explanation, item: Attribution) -> dict[str, Any]:
    largest = max((abs(score) for score in item.scores), default=0.0) or 1.0
    tokens, here = [], 0
    for piece, score in zip(explanation.tokens, item.scores, strict=True):
        step = round((_BINS - 1) / 2 * score / largest)
        tokens.append(
            {
                "before": explanation.text[here : piece.start],
                "text": piece.text,
                "score": show(score),
                "bin": (_BINS - 1) // 2 + step,
                "mark": " up" if step >= 2 else " down" if step <= -2 else "",
            }
        )
        here = max(here, piece.end)
    return {
        "scale": item.scale,
        "method": item.method,
        "tokens": tokens,
        "coordinate": show(item.coordinate),
        "faithfulness": (
            "Whether these tokens matter has not been checked."
            if item.p_value is None
            else f"Averaged over the shares deleted, {say_deletions(item, what='it')} (p {item.p_value:.2g})."
        ),
    }


def _decoding(item: Decoding) -> dict[str, str]:
    return {
        "way": " → ".join(item.path),
        "method": item.method,
        "words": ", ".join(word for word, _ in item.words[:_SHOWN_WORDS]),
        "auc": show(item.auc),
        "control": show(item.control),
        "p": f"{item.p_value:.2g}",
    }


def _departure(explanation: Explanation, item: Departure) -> dict[str, Any]:
    level = _STRANGE / max(len(explanation.sentences), 1)
    lines = []
    for number, sentence in enumerate(explanation.sentences):
        inside = [k for k, token in enumerate(explanation.tokens) if token.sentence == number]
        lines.append(
            {
                "text": shorten(sentence.text, longest=240),
                "score": show(item.sentence_scores[number]),
                "p": f"{item.sentence_p_values[number]:.2g}",
                "is_strange": item.sentence_p_values[number] <= level,
                "tokens": _strange_tokens(explanation, item, inside),
            }
        )
    return {"title": f"From the {item.pair[0]} to the {item.pair[1]} scale", "lines": lines}


def _strange_tokens(explanation: Explanation, item: Departure, inside: Sequence[int]) -> str:
    order = sorted(inside, key=lambda k: item.token_p_values[k])[:_SHOWN_TOKENS]
    return ", ".join(f"{explanation.tokens[k].text.strip()} ({item.token_p_values[k]:.2g})" for k in order)
