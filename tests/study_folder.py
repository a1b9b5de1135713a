"""A study folder made by hand, with numbers of the size a GPT-2 study gives, for tests of figures and report."""

from pathlib import Path

import numpy as np

from msma._types import COMPOSED_PAIR, PAIRS, SCALES
from msma.results import Result, Row
from msma.scales.partition import ScalePartition, Signal, published_partition
from msma.storage import write_json

#: Texts that break a page that forgets to escape, and writing systems a page must survive.
HOSTILE = (
    "<script>document.title = 'owned'</script> & \"quotes\" 'too' </script><b>bold</b>",
    "A line\u2028separator, an emoji 🐙 and a ]]> that closes things.",
    "النص العربي يُكتب من اليمين إلى اليسار.",
    "Onewordwithoutanyspace" * 12,
)
_SUBJECTS = {
    "astronomy": ["The comet", "A faint galaxy", "The survey telescope", "Its second moon"],
    "cooking": ["The braised leek", "My grandmother's dough", "A shallow pan", "The broth"],
    "law": ["The appeal court", "A sitting judge", "The tenancy clause", "Her counsel"],
    "music": ["The second movement", "A muted trumpet", "The choir", "Their rehearsal"],
}
_TAILS = [
    "took longer than anyone had planned.",
    "was not what the first report described, and nobody said so aloud.",
    "changed little after midnight.",
    "would have been simpler with two more hands and an hour of quiet.",
    "is still the part that people remember when they talk about that year.",
]
#: metric: (units, better, ceiling, one (before, after, half interval, null, floor) for each pair)
_MEASURES = {
    "kl": (
        "nats",
        "lower",
        None,
        [
            (812.4, 2.31, 0.42, 611.0, 0.06),
            (455.0, 0.31, 0.35, 402.0, -0.05),
            (1288.0, 6.9, 0.8, 930.0, -0.05),
        ],
    ),
    "kl_shrinkage": (
        "nats",
        "lower",
        None,
        [(902.0, 64.2, 3.0, 540.0, 61.0), (520.0, 59.0, 2.8, 470.0, 58.1), (1404.0, 71.0, 3.3, 940.0, 58.1)],
    ),
    "kl_diagonal": (
        "nats",
        "lower",
        None,
        [(1604.0, 1.9, 0.3, 1.4, 0.7), (690.0, 1.1, 0.2, 1.2, 0.6), (2977.0, 3.3, 0.5, 1.4, 0.6)],
    ),
    "kl_classifier": (
        "nats",
        "lower",
        None,
        [(7.9, 0.84, 0.1, 2.6, 0.01), (6.8, 0.41, 0.08, 2.2, 0.0), (8.4, 1.3, 0.12, 2.7, 0.0)],
    ),
    "mi": (
        "nats",
        "higher",
        None,
        [(94.0, 93.1, 3.0, 0.2, None), (131.0, 129.5, 3.8, -0.1, None), (71.0, 68.7, 2.6, 0.3, None)],
    ),
    "retention": (
        "1",
        "higher",
        1.0,
        [(None, 0.99, 0.02, 0.0, None), (None, 0.988, 0.02, 0.0, None), (None, 0.967, 0.03, 0.0, None)],
    ),
    "mi_hybrid": (
        "nats",
        "higher",
        None,
        [(95.0, 94.1, 3.1, 0.2, None), (132.0, 130.4, 3.9, -0.1, None), (72.0, 69.9, 2.7, 0.3, None)],
    ),
    "mi_ksg": (
        "nats",
        "higher",
        None,
        [(1.9, 2.4, 0.2, 0.01, None), (2.2, 2.7, 0.2, -0.02, None), (1.5, 1.8, 0.2, 0.0, None)],
    ),
    "mi_histogram": (
        "nats",
        "higher",
        None,
        [(0.23, 1.21, 0.02, 0.19, None), (0.31, 1.38, 0.02, 0.22, None), (0.14, 0.94, 0.02, 0.19, None)],
    ),
    "distance_correlation": (
        "1",
        "higher",
        1.0,
        [(0.81, 0.94, 0.01, 0.001, None), (0.86, 0.97, 0.01, -0.002, None), (0.68, 0.87, 0.02, 0.0, None)],
    ),
    "cka": (
        "1",
        "higher",
        1.0,
        [(0.72, 0.93, 0.02, 0.002, None), (0.78, 0.96, 0.01, 0.0, None), (0.49, 0.85, 0.03, 0.001, None)],
    ),
    "svcca": (
        "1",
        "higher",
        1.0,
        [(0.71, 0.71, 0.02, 0.16, None), (0.78, 0.775, 0.02, 0.17, None), (0.6, 0.61, 0.02, 0.16, None)],
    ),
    "pwcca": (
        "1",
        "higher",
        1.0,
        [(0.82, 0.84, 0.02, 0.3, None), (0.86, 0.875, 0.02, 0.31, None), (0.7, 0.73, 0.02, 0.3, None)],
    ),
    "procrustes_distance": (
        "1",
        "lower",
        None,
        [(0.34, 0.09, 0.01, 0.95, None), (0.25, 0.06, 0.01, 0.94, None), (0.5, 0.15, 0.02, 0.96, None)],
    ),
    "r2": (
        "1",
        "higher",
        1.0,
        [
            (-41.3, 0.862, 0.012, -0.011, None),
            (-18.2, 0.913, 0.008, -0.008, None),
            (-77.0, 0.771, 0.02, -0.02, None),
        ],
    ),
    "r2_uniform": (
        "1",
        "higher",
        1.0,
        [
            (-58.0, 0.744, 0.015, -0.014, None),
            (-29.9, 0.842, 0.012, -0.01, None),
            (-96.1, 0.631, 0.02, -0.02, None),
        ],
    ),
    "mutual_knn": (
        "1",
        "higher",
        1.0,
        [(0.33, 0.46, 0.02, 0.02, None), (0.41, 0.57, 0.02, 0.02, None), (0.2, 0.31, 0.02, 0.02, None)],
    ),
}
_SHAPES = {
    "participation_ratio": ("dimensions", [38.2, 29.4, 11.9], 2.1),
    "dimension_twonn": ("dimensions", [18.1, 16.2, 15.7], 1.6),
    "dimension_mle_10": ("dimensions", [15.2, 13.9, 12.4], 0.9),
    "dimension_mle_20": ("dimensions", [13.1, 11.8, 10.2], 0.7),
    "isotropy": ("1", [0.081, 0.032, 0.009], 0.003),
    "mean_norm": ("norm", [3.9, 58.4, 203.0], 2.0),
    "curvature": ("1", [0.41, 0.33, 0.29], 0.12),
}
_MAPS = {
    "identity": (-41.3, 812.4),
    "mean_shift": (-1.9, 240.0),
    "procrustes": (0.41, 121.0),
    "transport": (0.52, 0.4),
    "reduced_rank": (0.858, 3.4),
    "ridge": (0.862, 2.31),
}


def make_study_folder(
    folder,
    *,
    has_probes=True,
    has_published=True,
    has_attention=True,
    has_votes=True,
    n_texts=240,
    n_layers=13,
    is_noisy=False,
):
    """Fill a folder as a study does; returns it.

    ``is_noisy`` widens every interval and spreads the votes, for the words a report must then choose.
    """
    folder = Path(folder)
    rng = np.random.default_rng(0)
    partition = make_partition(n_layers, has_attention=has_attention, has_votes=has_votes, is_noisy=is_noisy)
    partition.save(folder / "scales.json")
    published = published_partition("gpt2", n_layers)
    if has_published and published is not None:
        published.save(folder / "published.json")
    provenance = make_provenance(n_layers)
    tables = {
        "scales": partition.to_result(),
        "manifold": make_manifold(provenance, is_noisy=is_noisy),
        "maps": make_maps(provenance),
        "evaluation": make_evaluation(provenance, is_noisy=is_noisy),
    }
    if has_probes:
        tables["probes"] = make_probes(provenance)
    for name, table in tables.items():
        table.save(folder / "tables" / f"{name}.json")
    write_json(folder / "curves.json", make_curves())
    texts, topics = make_texts(n_texts)
    write_json(folder / "clouds.json", make_clouds(texts, topics, rng, has_labels=has_probes))
    write_json(folder / "examples.json", make_examples(texts, topics, rng))
    config = {
        "model": "gpt2",
        "texts": "notes/paragraphs.jsonl",
        "label_columns": ["topic"] if has_probes else [],
        "revision": None,
        "scales": "fused",
        "fractions": [0.6, 0.2, 0.2],
        "final_norm": False,
        "seed": 0,
    }
    study = {
        "config": config,
        "provenance": provenance,
        "best_map": "ridge",
        "has_labels": ["length", "topic"] if has_probes else [],
    }
    write_json(folder / "study.json", study)
    return folder


def make_provenance(n_layers=13):
    return {
        "model": "gpt2",
        "revision": "607a30d783dfa663caf39e06633721c8d4cfcd7e",
        "architecture": "gpt2",
        "stack": "decoder",
        "model_fingerprint": "9f2c" * 16,
        "texts": "notes/paragraphs.jsonl",
        "texts_fingerprint": "51ab" * 16,
        "seed": 0,
        "n_layers": n_layers,
        "d_model": 768,
        "unit": "text",
        "long": "truncate",
        "final_norm": "excluded",
        "reading_note": "the last entry of hidden_states is after the final norm and was left out",
        "n_documents": 6120,
        "n_samples": {"train": 3672, "validation": 1224, "test": 1224},
        "n_truncated": 37,
        "versions": {"msma": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "transformers": "5.23.0"},
        "created": "2026-02-11T14:03:09+00:00",
    }


def make_partition(n_layers=13, *, has_attention=True, has_votes=True, is_noisy=False):
    first, second = (3, 9) if n_layers == 13 else (n_layers // 3, 2 * n_layers // 3)
    if not has_votes:
        return ScalePartition(n_layers=n_layers, boundaries=(first, second), method="by hand")
    depth = np.arange(n_layers)
    place = 0.11 * depth + 0.5 * (depth >= first) + 0.6 * (depth >= second) + 0.35 * (depth == n_layers - 1)
    cka = np.exp(-(np.subtract.outer(place, place) ** 2) / 1.1)
    blocks = np.linspace(0, 1, n_layers - 1)
    profiles = {
        "similarity": {"cka": cka.round(5).tolist()},
        "attention": {
            "distance": (0.46 + 0.22 * blocks - 0.12 * (blocks > 0.7)).round(4).tolist(),
            "distance_raw": (0.6 + 0.9 * blocks - 0.2 * blocks**4).round(4).tolist(),
            "entropy": (0.86 - 0.3 * blocks + 0.07 * np.sin(7 * blocks)).round(4).tolist(),
            "sink_share": (0.34 + 0.53 * np.sqrt(blocks)).round(4).tolist(),
        },
        "information": {
            "mi": (
                41
                + 9 * blocks
                - 7 * (np.arange(n_layers - 1) == first - 1)
                - 4 * (np.arange(n_layers - 1) == second - 1)
            )
            .round(3)
            .tolist()
        },
    }
    spread = 1.6 if is_noisy else 0.45
    centres = {
        "similarity": (first, second),
        "attention": (first + 2, second),
        "information": (first, second),
    }
    notes = {
        "similarity": None,
        "attention": "read on 128 texts",
        "information": "on the leading 32 components of each layer",
    }
    signals = {}
    for name, (low, high) in centres.items():
        if name == "attention" and not has_attention:
            continue
        width = spread * (2.0 if name == "attention" else 1.0)
        votes = [np.exp(-((depth - centre) ** 2) / (2 * width**2)) * (depth > 0) for centre in (low, high)]
        signals[name] = Signal(
            name=name,
            boundaries=(low, high),
            votes=tuple(tuple((row / row.sum()).round(4).tolist()) for row in votes),
            profile=profiles[name],
            note=notes[name],
        )
    ballots = np.mean([signal.votes for signal in signals.values()], axis=0)
    exact = tuple(float(ballots[i, b]) for i, b in enumerate((first, second)))
    near = tuple(min(1.0, float(ballots[i, b - 1 : b + 2].sum())) for i, b in enumerate((first, second)))
    return ScalePartition(
        n_layers=n_layers,
        boundaries=(first, second),
        method="fused",
        stability=exact,
        near=near,
        disagreement=1.33 if has_attention else 0.0,
        signals=signals,
        provenance={"model": "gpt2", "seed": 0, "n_votes": 100},
    )


def _row(metric, value, half, **columns):
    ends = {} if half is None else {"low": value - half, "high": value + half, "interval": "jackknife"}
    return Row(metric=metric, value=value, **ends, **columns)


def make_evaluation(provenance, *, is_noisy=False):
    rows = []
    for number, (source, target) in enumerate((*PAIRS, COMPOSED_PAIR)):
        for metric, (units, better, ceiling, pairs) in _MEASURES.items():
            before, after, half, null, floor = pairs[number]
            half *= 40 if is_noisy else 1
            shared = {
                "units": units,
                "better": better,
                "source": source,
                "target": target,
                "split": "test",
                "n": 1224,
                "ceiling": ceiling,
                "floor": floor,
            }
            if metric == "mi_ksg":
                shared["note"] = "on the leading 5 components of each side"
            if before is not None:
                rows.append(_row(metric, before, abs(before) * 0.03, map="none", **shared))
            rows.append(_row(metric, after, half, map="ridge", null=null, **shared))
    rows.append(
        Row(metric="made_up_metric", value=0.25, source="global", target="local", map="ridge", split="test")
    )
    rows.append(
        Row(
            metric="unbounded",
            value=None,
            units="nats",
            source="global",
            target="local",
            map="ridge",
            note="infinite: the two supports do not overlap",
        )
    )
    return Result("evaluation", tuple(rows), provenance)


def make_manifold(provenance, *, is_noisy=False):
    rows = []
    for metric, (units, values, half) in _SHAPES.items():
        for scale, value in zip(SCALES, values, strict=True):
            width = half * (20 if is_noisy else 1) * (value / values[0]) ** 0.5
            note = "local quadratic fit; its standard error is large" if metric == "curvature" else None
            rows.append(
                _row(metric, value, width, units=units, target=scale, split="test", n=1224, note=note)
            )
    return Result("manifold", tuple(rows), provenance)


def make_maps(provenance):
    rows = []
    for number, (source, target) in enumerate(PAIRS):
        for name, (r2, kl) in _MAPS.items():
            for split, shift in (("validation", 0.004), ("test", 0.0)):
                where = {"source": source, "target": target, "map": name, "split": split, "n": 1224}
                value = r2 + shift if r2 < 0 else min(0.99, r2 + 0.05 * number + shift)
                rows.append(
                    _row("r2", value, 0.012, units="1", better="higher", ceiling=1.0, null=-0.01, **where)
                )
                value = kl / (1 + number) * (1 - shift)
                rows.append(
                    _row("kl", value, 0.1 * value + 0.3, units="nats", better="lower", floor=0.06, **where)
                )
    return Result("maps", tuple(rows), provenance)


def make_probes(provenance):
    rows = []
    for name, values, null, floor in (
        ("topic", [0.71, 0.84, 0.86], 0.27, 0.25),
        ("length", [0.78, 0.61, 0.44], 0.36, 0.34),
    ):
        for scale, value in zip(SCALES, values, strict=True):
            rows.append(
                Row(
                    metric=f"probe_{name}",
                    value=value,
                    low=value - 0.024,
                    high=value + 0.024,
                    null=null,
                    floor=floor,
                    ceiling=1.0,
                    units="accuracy",
                    better="higher",
                    target=scale,
                    split="test",
                    n=1224,
                    interval="bootstrap",
                    note="4 classes; null: control task; floor: most frequent class",
                )
            )
    return Result("probes", tuple(rows), provenance)


def make_curves():
    rank = np.arange(1, 201)
    spectra = {}
    for scale, slope in zip(SCALES, (0.75, 0.9, 1.3), strict=True):
        share = rank**-slope * np.exp(-rank / 260)
        spectra[scale] = (share / share.sum()).tolist()
    dimension = {
        scale: {"neighbours": [5, 10, 20, 50], "mle": [base * f for f in (1.15, 1.0, 0.86, 0.66)]}
        for scale, base in zip(SCALES, (15.2, 13.9, 12.4), strict=True)
    }
    return {"spectrum": spectra, "dimension": dimension}


def make_texts(n_texts):
    texts, topics = list(HOSTILE), ["law", "music", "cooking", "astronomy"]
    combinations = [(t, s, tail) for tail in _TAILS for t, subjects in _SUBJECTS.items() for s in subjects]
    for number in range(n_texts - len(HOSTILE)):
        topic, subject, tail = combinations[number % len(combinations)]
        texts.append(f"{subject} {tail}" if number < len(combinations) else f"{subject} {tail} ({number})")
        topics.append(topic)
    return texts[:n_texts], topics[:n_texts]


def make_clouds(texts, topics, rng, *, has_labels=True):
    n = len(texts)
    angle = {name: k * np.pi / 2 for k, name in enumerate(_SUBJECTS)}
    centre = np.array([[np.cos(angle[t]), np.sin(angle[t])] for t in topics])
    shared = rng.normal(size=(n, 2))
    points = {
        "local": 0.8 * centre + shared + 0.5 * rng.normal(size=(n, 2)),
        "intermediate": 1.8 * centre + 0.9 * shared + 0.3 * rng.normal(size=(n, 2)),
        "global": 2.4 * centre + 0.7 * shared + 0.4 * rng.normal(size=(n, 2)),
    }
    mapped = {
        target: 0.9 * points[target] + 0.35 * rng.normal(size=(n, 2)) for target in ("intermediate", "local")
    }
    lengths = [str(len(text.split())) for text in texts]
    return {
        "texts": texts,
        "labels": {"topic": topics, "length": lengths} if has_labels else {},
        "points": {name: array.round(4).tolist() for name, array in points.items()},
        "mapped": {name: array.round(4).tolist() for name, array in mapped.items()},
        "explained": {"local": 0.21, "intermediate": 0.27, "global": 0.46},
        "note": "two components hold this share of the training variance: local 21%, intermediate 27%, global 46%",
    }


def make_examples(texts, topics, rng):
    queries = []
    for query in (0, 7, 21, 40, 58, 66):
        neighbours = {}
        for scale, similarity in zip(SCALES, (0.62, 0.81, 0.93), strict=True):
            chosen = rng.choice(len(texts), size=3, replace=False)
            neighbours[scale] = [
                {"text": texts[i], "similarity": round(similarity - 0.04 * k, 3), "label": topics[i]}
                for k, i in enumerate(chosen.tolist())
            ]
        queries.append({"text": texts[query], "label": topics[query], "neighbours": neighbours})
    return {"queries": queries}
