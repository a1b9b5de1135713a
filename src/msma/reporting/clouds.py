"""The clouds of the three scales as data for a figure that answers to mouse, finger and keyboard."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from msma._types import SCALES
from msma.plotting import CATEGORIES, rank_groups

#: Side of a panel's coordinate system.
_SIDE = 300.0
_MARGIN = 12.0
#: Longest text shown for a point, and most different numbers shown one by one.
_LONGEST, _MOST_NUMBERS = 320, 6

#: Which of the page's marks stands for a scale where colour means scale: square, triangle, circle.
_MARKS = {"local": 2, "intermediate": 1, "global": 0}


def lay_out(clouds: Mapping[str, Any]) -> dict[str, Any]:
    """Turn positions into drawing coordinates and labels into numbered groups.

    Args:
        clouds: The clouds file.

    Returns:
        ``side``; ``panels`` (scale, ``points`` and ``mapped`` as [x, y], rounded); ``texts``; ``groupings``
        (name, group names, and each text's group); ``captions`` (each text's labels in words).
    """
    points = {scale: np.asarray(clouds["points"][scale], dtype=np.float64).reshape(-1, 2) for scale in SCALES}
    everything = np.vstack(list(points.values()))
    if len(everything) == 0:
        everything = np.zeros((1, 2))
    low, high = everything.min(axis=0), everything.max(axis=0)
    reach = float((high - low).max()) or 1.0
    middle = (low + high) / 2

    def place(positions: Any) -> list[list[float]]:
        unit = (np.asarray(positions, dtype=np.float64).reshape(-1, 2) - middle) / reach
        # SVG counts downwards. What a map throws out of the frame stops at its edge.
        drawn = _SIDE / 2 + unit * np.array([1.0, -1.0]) * (_SIDE - 2 * _MARGIN)
        return np.clip(drawn, 3.0, _SIDE - 3.0).round(1).tolist()

    panels = [
        {
            "scale": scale,
            "mark": _MARKS[scale],
            "points": place(points[scale]),
            "mapped": place(clouds["mapped"][scale]) if clouds["mapped"].get(scale) else [],
        }
        for scale in SCALES
    ]
    labels = {name: [_plain(value) for value in column] for name, column in clouds["labels"].items()}
    groupings = [_group(name, labels[name]) for name in rank_labels(labels)]
    return {
        "side": int(_SIDE),
        "panels": panels,
        "texts": [shorten(text) for text in clouds["texts"]],
        "groupings": groupings,
        "captions": [
            " · ".join(f"{name}: {column[i]}" for name, column in labels.items())
            for i in range(len(clouds["texts"]))
        ],
    }


def rank_labels(labels: Mapping[str, Sequence[Any]]) -> list[str]:
    """Order labels by how well they can be shown: those whose values all get a colour first.

    Args:
        labels: By name: a value for each text.

    Returns:
        The names of those that have at least two values.

    Examples:
        >>> rank_labels({"id": list("abcdefgh"), "same": list("aaaaaaaa"), "kind": list("aaaabbbb")})
        ['kind', 'id']
    """
    counts = {name: len({_plain(value) for value in column}) for name, column in labels.items()}
    return sorted(
        (name for name in counts if counts[name] > 1), key=lambda name: counts[name] > len(CATEGORIES)
    )


def shorten(text: str, *, longest: int = _LONGEST) -> str:
    """Cut a text at a word, saying so with an ellipsis.

    Args:
        text: The text.
        longest: Most characters kept.

    Returns:
        The text on one line.

    Examples:
        >>> shorten("one two three", longest=9)
        'one two…'
    """
    flat = " ".join(str(text).split())
    if len(flat) <= longest:
        return flat
    cut = flat[:longest]
    # A text without spaces is cut where it must be.
    return f"{cut[: cut.rfind(' ')] if ' ' in cut[longest // 2 :] else cut}…"


def _plain(value: Any) -> str:
    return "none" if value is None else str(value)


def _group(name: str, column: Sequence[str]) -> dict[str, Any]:
    numbers = _numbers(column)
    if numbers is not None and len(set(column)) > _MOST_NUMBERS:
        edges = np.unique(np.quantile(numbers, (0.25, 0.5, 0.75)))
        codes = np.searchsorted(edges, numbers, side="left").tolist()
        names = [f"up to {edge:g}" for edge in edges] + [f"above {edges[-1]:g}"]
        return {"name": name, "names": names, "codes": codes}
    names, codes = rank_groups(column)
    return {"name": name, "names": [shorten(n, longest=40) for n in names], "codes": codes}


def _numbers(column: Sequence[str]) -> list[float] | None:
    try:
        numbers = [float(value) for value in column]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None
