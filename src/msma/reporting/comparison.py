"""Two studies beside each other on one page: sentences, the figure of all layers, tables, and the texts that differ."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msma._types import SCALES
from msma.plotting import COLUMN, save_figure
from msma.plotting.inline import DARK, LIGHT
from msma.reporting.environment import make_environment, mark_safe
from msma.reporting.figures import Drawing, inline_figure
from msma.reporting.numbers import NOTHING, show, show_interval
from msma.storage import write_text

if TYPE_CHECKING:
    # The comparison stands on a floor above this one; only its type is named here.
    from msma.model_comparison import StudyComparison

#: Texts shown, and the longest beginning of one.
_TEXTS, _LONGEST = 20, 400
_ABOUT = "Debiased CKA of every layer of one model with every layer of another as a heat map, scales framed."
_SIDES = ("r2", "cosine", "error_share")


def render_comparison(comparison: "StudyComparison") -> str:
    """Render a comparison as a page of its own.

    Args:
        comparison: The comparison.

    Returns:
        HTML that needs no other file.

    Raises:
        MissingExtraError: When jinja2 or matplotlib is not installed.
    """
    title = f"Layers of {comparison.names[0]} and of {comparison.names[1]}"
    drawing = Drawing(lambda width: comparison.plot(width=width), 5.4, COLUMN)
    svgs = mark_safe(inline_figure(drawing, name="layers", title=title, description=_ABOUT))
    context = {
        "light": LIGHT,
        "dark": DARK,
        "names": comparison.names,
        "sentences": comparison.sentences(),
        "figures": {"layers": {"title": title, "svgs": svgs}},
        "scales": _scale_lines(comparison),
        "sides": _side_lines(comparison),
        "published": _published_lines(comparison),
        "texts": _text_lines(comparison),
        "n_texts": len(comparison.texts),
        "facts": _list_facts(comparison.provenance),
    }
    return str(make_environment().get_template("comparison.html.j2").render(context))


def write_comparison_report(comparison: "StudyComparison", folder: str | os.PathLike[str]) -> Path:
    """Write a comparison's page, and its figure as PNG and SVG beside it.

    Args:
        comparison: The comparison.
        folder: Where to.

    Returns:
        The page.

    Raises:
        MissingExtraError: When jinja2 or matplotlib is not installed.
        StorageError: When a file cannot be written.
    """
    home = Path(folder)
    page = render_comparison(comparison)
    save_figure(comparison.plot(), home / "layers")
    return write_text(home / "comparison.html", page)


def _scale_lines(comparison: "StudyComparison") -> list[dict[str, Any]]:
    first, second = comparison.names
    spans = [comparison.provenance["scales"][name] for name in comparison.names]
    lines = []
    for scale in SCALES:
        knn = comparison.table.row("cross_knn", source=scale, target=scale)
        cka = comparison.table.row("cross_cka", source=scale, target=scale)
        ways = [f"{first} → {second}", f"{second} → {first}"]
        there, back = (comparison.table.row("cross_r2", source=scale, map=way) for way in ways)
        lines.append(
            {
                "scale": scale,
                "layers": " and ".join(_span(span[scale]) for span in spans),
                "cells": [
                    show_interval(cka),
                    show(cka.null),
                    show_interval(knn),
                    show(knn.null),
                    show_interval(there),
                    show_interval(back),
                ],
            }
        )
    return lines


def _side_lines(comparison: "StudyComparison") -> list[dict[str, Any]]:
    rows = comparison.table.where(split="common test")
    lines = []
    for gap in rows.where(map="difference"):
        if gap.metric not in _SIDES:
            continue
        place = {"source": gap.source, "target": gap.target}
        sides = [rows.row(gap.metric, map=name, **place) for name in comparison.names]
        test = rows.row("error_share_p", **place).value if gap.metric == "error_share" else None
        lines.append(
            {
                "pair": f"{gap.source} → {gap.target}",
                "metric": gap.metric.replace("_", " "),
                "cells": [show_interval(side) for side in sides],
                "gap": show_interval(gap),
                "p": NOTHING if test is None else f"{test:.2g}",
            }
        )
    return lines


def _published_lines(comparison: "StudyComparison") -> list[dict[str, Any]]:
    rows = comparison.table.where(split="test")
    lines = []
    for gap in rows.where(map="difference"):
        place = {"source": gap.source, "target": gap.target, "layer": gap.layer}
        sides = [rows.row(gap.metric, map=name, **place) for name in comparison.names]
        where = f"{gap.source} → {gap.target}" if gap.source else str(gap.target)
        cells = [show_interval(side) for side in sides]
        lines.append({"pair": where, "metric": gap.metric, "cells": cells, "gap": show(gap.value)})
    return lines


def _text_lines(comparison: "StudyComparison") -> list[dict[str, Any]]:
    return [
        {
            "text": text.text if len(text.text) <= _LONGEST else text.text[:_LONGEST].rstrip() + " …",
            "document": text.document,
            "pair": f"{text.source} → {text.target}",
            "cells": [show(text.first), show(text.second), f"{text.difference:+.3f}".replace("-", "−")],
            "overlaps": [
                f"{share:.0%}"
                for share in (text.overlap_local, text.overlap_intermediate, text.overlap_global)
            ],
        }
        for text in comparison.texts[:_TEXTS]
    ]


def _list_facts(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    for name, value in provenance.items():
        if name in ("first", "second"):
            facts += [(f"{name}: {key.replace('_', ' ')}", _fact(part)) for key, part in value.items()]
        elif name not in ("names", "scales"):
            facts.append((name.replace("_", " "), _fact(value)))
    return facts


def _fact(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value)) or NOTHING
    return NOTHING if value is None else str(value)


def _span(ends: Sequence[int]) -> str:
    first, last = ends
    return str(first) if first == last else f"{first}–{last}"
