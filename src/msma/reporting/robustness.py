"""The robustness audit on a page: what perturbations move, what notices them, what withstands them."""

from typing import Any

from msma.plotting.displacement import split_strength
from msma.reporting.numbers import count_of, join_words, show
from msma.reporting.robustness_folder import RobustnessRecord
from msma.reporting.robustness_tables import (
    OURS,
    alarm_lines,
    anomalies,
    detection_lines,
    detector_name,
    displacement_lines,
    every_detector,
    perturbation_lines,
)
from msma.reporting.withstanding_tables import gate_groups, probe_choices, probe_groups
from msma.results import Result

_CLEAN = "clean"
_TABLES = {
    "auroc": "AUROC of every detector",
    "fpr95": "False alarms of every detector when 95 % of anomalies are found",
}


def describe_robustness(record: RobustnessRecord | None) -> dict[str, Any]:
    """Collect what a page shows of a robustness audit; empty where there is none.

    Args:
        record: The audit.

    Returns:
        Names the template knows.
    """
    if record is None:
        return {"robustness": None}
    detection = record.detection
    return {
        "robustness": {
            "unit": record.unit,
            "label": record.label or "",
            "said": list(record.said),
            "cautions": list(record.cautions),
            "perturbations": perturbation_lines(record.perturbations),
            "displacement": [] if record.displacement is None else displacement_lines(record.displacement),
            "detection": [] if detection is None else detection_lines(detection),
            "detectors": []
            if detection is None
            else [
                {"title": title, **table}
                for metric, title in _TABLES.items()
                if (table := every_detector(detection, metric))
            ],
            "alarms": [] if detection is None else alarm_lines(detection),
            "detector": "" if record.detector is None else f"{record.folder.name}/{record.detector.name}",
            "probes": [] if record.probes is None else probe_groups(record.probes),
            "choices": [] if record.probes is None else probe_choices(record.probes),
            "gates": {} if record.gates is None else gate_groups(record.gates),
        }
    }


def robustness_titles(record: RobustnessRecord | None) -> dict[str, str]:
    """Say the finding of each figure.

    Args:
        record: The audit.

    Returns:
        Titles by figure; empty where there is no audit.
    """
    if record is None:
        return {}
    made = {
        "displacement": (record.displacement, title_displacement),
        "detection": (record.detection, title_detection),
        "robust_probes": (record.probes, title_probes),
        "coverage": (record.gates, title_gates),
    }
    return {name: make(found) for name, (found, make) in made.items() if found is not None}


def title_displacement(displacement: Result) -> str:
    """Say what moves texts most and where.

    Args:
        displacement: The rows.

    Returns:
        A title.
    """
    rows = [
        row
        for row in displacement
        if row.metric == "displacement" and row.layer is not None and row.value is not None
    ]
    if not rows:
        return "How far perturbations move texts, by layer"
    most = max(rows, key=lambda row: row.value or 0.0)
    kind, strength = split_strength(most.map or "")
    name = f"“{kind}” at strength {strength:g}" if strength else f"“{most.map}”"
    return f"{name} moves texts most: at layer {most.layer} by {show(most.value)} of the distance to another text"


def title_detection(detection: Result) -> str:
    """Say how often residuals between scales are told to be better than the best baseline.

    Args:
        detection: The rows.

    Returns:
        A title.
    """
    names = anomalies(detection)
    gains = [row for row in detection if row.metric == "auroc gain" and row.map == OURS]
    if not gains:
        return f"How well {count_of(len({row.map for row in detection}), 'detector')} tell anomalies from clean texts"
    better = sum(row.low is not None and row.low > 0 for row in gains)
    worse = sum(row.high is not None and row.high < 0 for row in gains)
    asked = count_of(len(names), "anomaly", "anomalies")
    return (
        f"Residuals between scales beat the best baseline on {better} of {asked} "
        f"and lose to it on {worse}; on {len(gains) - better - worse} these texts cannot tell"
    )


def title_probes(probes: Result) -> str:
    """Say which probe is told to gain on perturbed texts.

    Args:
        probes: The rows.

    Returns:
        A title.
    """
    gains = [row for row in probes if row.metric == "gain" and row.split != _CLEAN]
    if not gains:
        return "Accuracy of each probe, clean and perturbed"
    total = len({row.split for row in gains})
    parts = []
    for name in dict.fromkeys(row.map for row in gains):
        own = [row for row in gains if row.map == name]
        better = sum(row.low is not None and row.low > 0 for row in own)
        worse = sum(row.high is not None and row.high < 0 for row in own)
        parts.append(f"{name} {better}" + (f" (and loses on {worse})" if worse else ""))
    return f"Perturbations, of {total}, under which a probe gains over the plain one: {join_words(parts)}"


def title_gates(gates: Result) -> str:
    """Say which gates are told to be better than the largest probability.

    Args:
        gates: The rows.

    Returns:
        A title.
    """
    rows = [row for row in gates if row.metric == "aurc_difference"]
    clean = [row for row in rows if row.split == _CLEAN] or rows
    texts = "on clean texts" if clean and clean[0].split == _CLEAN else "on these texts"
    better = [row for row in clean if row.high is not None and row.high < 0]
    if not clean:
        return "What is right when the probe may stay silent"
    if not better:
        return f"{texts.capitalize()} no gate is told to be better than the probe's own confidence"
    names = [_gate(row.map or "") for row in dict.fromkeys(better)]
    verb = "is a better gate" if len(names) == 1 else "are better gates"
    return f"{texts.capitalize()} {join_words(names)} {verb} than the probe's own confidence"


def _gate(name: str) -> str:
    return " with ".join(
        "confidence" if part == "probability" else detector_name(part) for part in name.split(" + ")
    )
