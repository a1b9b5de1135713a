"""Put the report together: findings, figures and tables into one page without outside references."""

from typing import Any

import numpy as np

from msma._types import SCALES
from msma.plotting.inline import DARK, LIGHT
from msma.plotting.words import map_name
from msma.reporting import learned_findings, map_findings, scale_findings, shape_findings
from msma.reporting.bias import describe_bias
from msma.reporting.captions import list_captions
from msma.reporting.cautions import list_cautions
from msma.reporting.clouds import lay_out, shorten
from msma.reporting.environment import make_environment, mark_safe
from msma.reporting.figures import inline_figure, list_drawings
from msma.reporting.intervention import describe_intervention
from msma.reporting.numbers import show, show_layers, show_share
from msma.reporting.origin import describe_origin
from msma.reporting.reading import StudyRecord
from msma.reporting.robustness import describe_robustness
from msma.reporting.tables import best_words, map_table, pair_cards, probe_table, scale_table, score_groups
from msma.reporting.titles import ABOUT, list_titles, similarity_of

#: Above this many layers the full matrix is not repeated as a table.
_MOST_LAYERS_LISTED = 40


def render(record: StudyRecord) -> str:
    """Render the report of a study.

    Args:
        record: The study.

    Returns:
        A whole HTML page that needs no other file.

    Raises:
        MissingExtraError: When jinja2 or matplotlib is not installed.
    """
    environment = make_environment()
    context = build_context(record)
    for figure in context["figures"].values():
        figure["svgs"] = mark_safe(figure["svgs"])
    return environment.get_template("report.html.j2").render(context)


def build_context(record: StudyRecord) -> dict[str, Any]:
    """Collect everything the template shows.

    Args:
        record: The study.

    Returns:
        Names the template knows.
    """
    partition = record.partition
    scores = map_findings.collect_scores(record.evaluation)
    titles, drawings = list_titles(record), list_drawings(record)
    captions = list_captions(record, drawings)
    figures = {
        name: {
            "title": titles[name],
            "facts": captions[name].facts,
            "svgs": []
            if name == "clouds"
            else inline_figure(drawing, name=name, title=titles[name], description=ABOUT[name]),
        }
        for name, drawing in drawings.items()
    }
    similarity = similarity_of(record)
    return {
        "light": LIGHT,
        "dark": DARK,
        "figures": figures,
        "scales": [{"name": scale, "layers": show_layers(partition[scale])} for scale in SCALES],
        "lede": scale_findings.describe_partition(partition),
        "firmness": scale_findings.describe_firmness(partition),
        "order": shape_findings.describe_order(record.probes),
        "cards": _cards(record),
        "best_words": best_words(record.best_map, record.maps),
        "best_map": map_name(record.best_map),
        "published": None if record.published is None else _is_same(record),
        "signals": list(partition.signals.values()),
        "vote_lines": scale_findings.vote_table(partition),
        "steps": scale_findings.closest_steps(similarity) if similarity is not None else [],
        "matrix": _matrix(similarity),
        "profiles": _profile_table(record),
        "dimension_lines": _dimension_table(record),
        "variance_lines": _variance_table(record),
        "manifold": scale_table(record.manifold),
        "map_lines": map_table(record.maps, record.best_map),
        "score_groups": score_groups(scores),
        "probes": probe_table(record.probes) if record.probes is not None else [],
        **_learned(record),
        **describe_intervention(record.intervention),
        **describe_bias(record.bias),
        **describe_robustness(record.robustness),
        "has_labels": bool(record.clouds["labels"]),
        "cloud": lay_out(record.clouds),
        "cloud_note": record.clouds.get("note") or "",
        "examples": _examples(record),
        "cautions": list_cautions(record),
        **describe_origin(record),
    }


def _learned(record: StudyRecord) -> dict[str, Any]:
    """Collect what the page shows of certificate, learned map, search and ablation; empty where there is none."""
    tuning = record.tuning
    return {
        "certificate": learned_findings.certificate_sections(record.certificate),
        "confidence": "" if record.certificate is None else f"{record.certificate.confidence:.0%}",
        "gain_sentence": learned_findings.describe_gain(record.gain),
        "gain_lines": learned_findings.gain_table(record.gain),
        "search_names": [] if tuning is None else list(tuning.objectives),
        "search_lines": learned_findings.search_table(tuning),
        "search_sentences": []
        if tuning is None
        else [tuning.recommend().sentence, *learned_findings.confirm_sentences(tuning.confirmation)],
        "ablation_lines": learned_findings.ablation_table(record.ablation),
    }


def _is_same(record: StudyRecord) -> bool:
    return record.published is not None and record.published.boundaries == record.partition.boundaries


def _cards(record: StudyRecord) -> list[dict[str, Any]]:
    evaluation, best_map = record.evaluation, record.best_map
    cards = pair_cards(evaluation, best_map)
    for card in cards:
        where = card["source"], card["target"]
        card["sentences"] = map_findings.describe_pair(evaluation, *where, best_map=best_map)
    return cards


def _matrix(similarity: np.ndarray | None) -> list[list[str]]:
    if similarity is None or len(similarity) > _MOST_LAYERS_LISTED:
        return []
    return [[f"{value:.2f}".replace("-", "−") for value in line] for line in similarity.tolist()]


def _profile_table(record: StudyRecord) -> dict[str, list[list[str]]]:
    """Lay out the signals by layer: attention by block, information by gap."""
    attention = record.partition.signals.get("attention")
    information = record.partition.signals.get("information")
    tables: dict[str, list[list[str]]] = {"attention": [], "information": []}
    if attention is not None and attention.profile.get("distance"):
        names = ("distance", "distance_raw", "entropy", "sink_share")
        columns = [attention.profile.get(name) for name in names]
        tables["attention"] = [
            [str(block + 1), *(show(column[block]) if column else "–" for column in columns)]
            for block in range(len(attention.profile["distance"]))
        ]
    if information is not None and information.profile.get("mi"):
        values = information.profile["mi"]
        tables["information"] = [[f"{gap} – {gap + 1}", show(value)] for gap, value in enumerate(values)]
    return tables


def _dimension_table(record: StudyRecord) -> list[dict[str, Any]]:
    curves = record.curves["dimension"]
    return [
        {"scale": scale, "cells": list(zip(curve["neighbours"], map(show, curve["mle"]), strict=True))}
        for scale, curve in ((scale, curves[scale]) for scale in SCALES)
    ]


def _variance_table(record: StudyRecord) -> list[dict[str, Any]]:
    """Say what the first 1, 10 and 100 components hold together."""
    lines = []
    for scale in SCALES:
        shares = np.cumsum(record.curves["spectrum"][scale])
        cells = [show_share(float(shares[min(k, len(shares)) - 1])) for k in (1, 10, 100)]
        lines.append({"scale": scale, "cells": cells})
    return lines


def _examples(record: StudyRecord) -> dict[str, Any]:
    queries = [
        {
            "text": shorten(query["text"]),
            "label": query.get("label"),
            "columns": [
                {
                    "scale": scale,
                    "neighbours": [
                        {
                            "text": shorten(neighbour["text"], longest=180),
                            "parts": shape_findings.compare_labels(
                                query.get("label"), neighbour.get("label")
                            ),
                            "similarity": show(float(neighbour["similarity"])),
                        }
                        for neighbour in query["neighbours"][scale]
                    ],
                }
                for scale in SCALES
            ],
        }
        for query in record.examples["queries"]
    ]
    return {"title": shape_findings.title_examples(record.examples), "queries": queries}
