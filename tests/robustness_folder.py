"""A folder of a robustness audit made by hand, with numbers of the size GPT-2 gives, for figures and report."""

from pathlib import Path

import numpy as np

from msma._types import SCALES
from msma.results import Result, Row
from msma.scales.partition import ScalePartition
from msma.storage import write_json

#: Perturbation: (how far it moves the states at most, whether it keeps the meaning).
PERTURBATIONS = {
    "keyboard": (0.62, True),
    "ocr": (0.4, True),
    "swap": (0.55, True),
    "misspellings": (0.2, True),
    "lower": (0.3, True),
    "spaces": (0.12, True),
    "order": (0.33, False),
    "shuffle": (1.1, False),
    "negation": (0.08, False),
}
STRENGTHS = (0.1, 0.3)
DETECTORS = {
    "residuals": 0.1,
    "mahalanobis last": 0.05,
    "mahalanobis scales": 0.08,
    "mahalanobis layers": 0.07,
    "neighbours": 0.0,
    "surprise": 0.12,
    "rarity": -0.1,
}
SAID = [
    "Typos move texts most where the model reads words.",
    "Residuals find <i>some</i> of them.",
]
CAUTIONS = [
    "A perturbation that moves a text little may still change what it means.",
    "Detectors were fitted on clean texts of one domain & one language.",
]
ORIGINAL, CHANGED = "The <b>cat</b> sat & slept.", "The <b>cst</b> sat & slpet."


def make_perturbations():
    return [
        {
            "name": name,
            "strength": strength,
            "does": f"what {name} does to a word",
            "keeps_meaning": keeps,
            "note": None if keeps else "it may change what a text says",
            "edits_per_word": 0.94 * strength,
            "n": 240,
            "n_skipped": 3 if name == "negation" else 0,
            "n_unchanged": 12 if name == "negation" else 1,
            "example": {"original": ORIGINAL, "text": CHANGED},
        }
        for name, (_, keeps) in PERTURBATIONS.items()
        for strength in STRENGTHS
    ]


def make_displacement(n_layers=13, *, names=tuple(PERTURBATIONS), factor=1.0):
    first, second = (3, 9) if n_layers == 13 else (n_layers // 3, 2 * n_layers // 3)
    partition = ScalePartition(n_layers=n_layers, boundaries=(first, second), method="by hand")
    rows = []
    for number, name in enumerate(names):
        size = factor * PERTURBATIONS.get(name, (0.4 / (number + 1), True))[0]
        for strength in STRENGTHS:
            depth = np.linspace(0, 1, n_layers)
            curve = size * np.sqrt(strength / 0.3) * (0.65 + 0.35 * np.sin(2.2 * depth + number))
            shared = {"map": f"{name} {strength:g}", "n": 240, "split": "test", "better": "lower"}
            values = [(k, partition.scale_of(k), float(curve[k])) for k in range(n_layers)]
            own = {s: float(np.mean([v for _, scale, v in values if scale == s])) for s in SCALES}
            values += [(None, scale, own[scale]) for scale in SCALES]
            rows += [
                Row(metric="displacement", value=value, low=0.93 * value, high=1.06 * value, null=0.0, ceiling=1.0,
                    target=scale, layer=layer, **shared)
                for layer, scale, value in values
            ]  # fmt: skip
            for source, target in (SCALES[:2], SCALES[1:], SCALES[::2]):
                value = own[target] / own[source]
                rows.append(
                    Row(metric="amplification", value=value, low=0.9 * value, high=1.1 * value, null=1.0,
                        source=source, target=target, **shared)
                )  # fmt: skip
    return Result("displacement", tuple(rows), {"model": "gpt2"})


def list_anomalies():
    names = [f"{name} {strength:g}" for name in PERTURBATIONS for strength in STRENGTHS]
    return [*names, "other language", "other domain"]


def make_detection(*, detectors=tuple(DETECTORS)):
    rng, rows = np.random.default_rng(3), []
    held = [name for name in detectors if name != "residuals"]
    for number, split in enumerate(list_anomalies()):
        ease = 0.45 + 0.45 * (number % 7) / 6
        areas = {
            name: float(min(1.0, max(0.02, ease + DETECTORS[name] + 0.04 * rng.normal())))
            for name in detectors
        }
        values = {"auroc": areas, "fpr95": {name: float(1 - areas[name] ** 2) for name in detectors}}
        values["aupr"] = {name: float(areas[name] ** 0.9) for name in detectors}
        for metric, found in values.items():
            sign = -1 if metric == "fpr95" else 1
            shared = {"split": split, "better": "lower" if sign < 0 else "higher"}
            order = sorted(detectors, key=lambda name: -sign * found[name])
            best = max(held, key=lambda name: sign * found[name])
            for name in detectors:
                value = found[name]
                rows.append(
                    Row(metric=metric, value=value, low=max(0.0, value - 0.03), high=min(1.0, value + 0.03),
                        null={"auroc": 0.5, "aupr": 0.5, "fpr95": None}[metric], map=name, n=480, **shared)
                )  # fmt: skip
                rows.append(
                    Row(
                        metric=f"{metric} rank",
                        value=float(order.index(name) + 1),
                        map=name,
                        units="rank",
                        **shared,
                    )
                )
            if "residuals" in detectors:
                gain = sign * (found["residuals"] - found[best])
                rows.append(
                    Row(metric=f"{metric} gain", value=gain, low=gain - 0.02, high=gain + 0.02, null=0.0,
                        map="residuals", note=f"over {best}, the best baseline", **shared)
                )  # fmt: skip
    rows += [
        Row(
            metric="false_alarms",
            value=0.06,
            low=0.03,
            high=0.1,
            ceiling=0.05,
            map=name,
            split="clean",
            n=240,
        )
        for name in detectors
    ]
    return Result("detection", tuple(rows), {"model": "gpt2"})


PROBES = (
    ("plain", None, 0.0),
    ("plain", "local", -0.1),
    ("plain", "intermediate", -0.04),
    ("plain", "global", -0.02),
    ("consistent", None, 0.01),
    ("ensemble", None, 0.02),
    ("gated ensemble", None, 0.04),
)


def list_splits():
    return ["clean", *(f"{name} 0.3" for name in PERTURBATIONS)]


def make_probes(*, splits=None):
    rows = []
    for number, split in enumerate(list_splits() if splits is None else splits):
        for name, scale, better in PROBES:
            if name == "gated ensemble" and split == "clean":
                continue
            loss = 0.0 if split == "clean" else 0.03 * number
            value = 0.9 - loss + (0 if split == "clean" else better)
            rows.append(
                Row(metric="accuracy", value=value, low=value - 0.04, high=min(1.0, value + 0.04), null=0.26,
                    floor=0.25, ceiling=1.0, units="accuracy", map=name, target=scale, split=split, n=240)
            )  # fmt: skip
            if scale is None and name != "plain":
                rows.append(
                    Row(metric="gain", value=better, low=better - 0.015, high=better + 0.015, null=0.0, map=name,
                        split=split, note="no gain that these texts can tell", n=240)
                )  # fmt: skip
    rows.append(
        Row(metric="lambda", value=0.1, map="consistent", split="validation",
            note="agreement between scales lowered the loss on validation")
    )  # fmt: skip
    rows += [
        Row(metric="weight", value=weight, map="ensemble", target=scale, split="validation")
        for scale, weight in zip(SCALES, (0.2, 0.3, 0.5), strict=True)
    ]
    return Result("robust_probes", tuple(rows), {"seed": 0})


GATES = {
    "probability": 0.0,
    "entropy": 0.0,
    "residuals": -0.03,
    "probability + residuals": 0.02,
    "mahalanobis last": -0.04,
    "probability + mahalanobis last": 0.01,
}


def make_gates(*, splits=None):
    rows = []
    for split in (list_splits() if splits is None else splits)[:4]:
        whole = 0.88 if split == "clean" else 0.7
        for gate, better in GATES.items():
            shared = {"map": gate, "split": split, "n": 240}
            area = 0.6 * (1 - whole) - better
            rows.append(
                Row(metric="aurc", value=area, low=area - 0.02, high=area + 0.02, null=1 - whole,
                    floor=0.1 * (1 - whole), better="lower", **shared)
            )  # fmt: skip
            if gate != "probability":
                rows.append(
                    Row(metric="aurc_difference", value=-better, low=-better - 0.015, high=-better + 0.015, null=0.0,
                        note="no difference to the largest probability that these texts can tell", **shared)
                )  # fmt: skip
            for percent in (90, 80, 50):
                value = whole + (100 - percent) / 500 + better
                rows.append(
                    Row(metric=f"accuracy_at_{percent}", value=value, low=value - 0.03, high=min(1.0, value + 0.03),
                        null=whole, ceiling=min(1.0, 100 * whole / percent), **shared)
                )  # fmt: skip
    return Result("gates", tuple(rows), {"compared_with": "probability"})


PIECES = {
    "displacement": make_displacement,
    "detection": make_detection,
    "probes": make_probes,
    "gates": make_gates,
}


def make_robustness_folder(folder, *, pieces=tuple(PIECES)):
    """Fill a folder as a robustness audit does; returns it."""
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    for piece in pieces:
        PIECES[piece]().save(home / f"{piece}.json")
    if "detection" in pieces:
        (home / "detector.safetensors").write_bytes(b"not read by a report")
    audit = {
        "model": "gpt2",
        "partition": {"n_layers": 13, "boundaries": [3, 9]},
        "unit": "text",
        "label": "topic" if "probes" in pieces else None,
        "said": SAID,
        "cautions": CAUTIONS,
        "perturbations": make_perturbations(),
        "provenance": {"seed": 0},
    }
    write_json(home / "robustness.json", audit)
    return home
