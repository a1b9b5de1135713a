"""What each figure of a study is called: its finding in a sentence, and what it shows."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from msma.reporting import learned_findings, map_findings, scale_findings, shape_findings
from msma.reporting.bias import title_associations, title_layers, title_prices
from msma.reporting.effect_titles import title_dose, title_effects
from msma.reporting.reading import StudyRecord
from msma.reporting.robustness import robustness_titles

T = TypeVar("T")

#: Figure: what it shows, for those who do not see it.
ABOUT: dict[str, str] = {
    "bands": "The layers of the model from the embeddings to the last, divided into three bands.",
    "votes": "For each signal, how often random halves of the documents put each boundary at each layer.",
    "similarity": "A matrix of the similarity of every pair of layers, the three scales framed on its diagonal.",
    "signals": "Attention distance, attention entropy, weight on the first token and shared information by layer.",
    "shapes": "Each number about a scale's shape with its interval, one panel a number.",
    "spectra": "Share of the variance of each component for the three scales, both axes logarithmic.",
    "dimensions": "Estimated intrinsic dimension of the three scales over the size of the neighbourhood.",
    "maps": "R squared and divergence of every map for each pair of scales, validation above test.",
    "measures": "Every measure before and after mapping with interval, null, floor and ceiling.",
    "certificate": "Certified, estimated and lower bounds on the divergence over the blur, one panel a pair.",
    "pareto": "R squared of every trial against the other objectives, the Pareto front filled.",
    "ablation": "Every arm of the ablation in each metric, beside the full objective and the closed form.",
    "effects": "Cliff's delta of every intervention on every measure as a heat map, one block a scale.",
    "dose": "Cliff's delta over the strength of the intervention, one line a scale, controls dashed.",
    "associations": "Effect size of every association test at every layer and scale as a heat map.",
    "bias_layers": "Accuracy of a linear probe by layer with interval, control and chance, and how far pairs agree.",
    "prices": "What a linear probe still reads at the output over what each erasure costs, the recommended one ringed.",
    "displacement": "How far each perturbation moves texts by layer, with intervals, one line a perturbation.",
    "detection": "AUROC of every detector for every kind of anomaly as a heat map, the best of each line framed.",
    "robust_probes": "Accuracy of each probe with interval, control and most frequent class, one panel a perturbation.",
    "coverage": "Accuracy on the texts answered for every gate with interval, one panel a share of texts answered.",
    "probes": "Accuracy of linear probes at each scale with interval, control and most frequent class.",
    "clouds": "Test samples at each scale in the plane of the two strongest components, by label where there is one.",
}


def list_titles(record: StudyRecord) -> dict[str, str]:
    """Say in a sentence what each figure of a study shows.

    Args:
        record: A study.

    Returns:
        Figure: its finding; empty for figures that the study lacks.
    """
    scores = map_findings.collect_scores(record.evaluation)
    partition = record.partition
    similarity = similarity_of(record)
    return {
        "bands": scale_findings.title_bands(partition, record.published),
        "votes": scale_findings.title_votes(partition) if partition.signals else "",
        "similarity": (
            scale_findings.title_similarity(partition, similarity) if similarity is not None else ""
        ),
        "signals": scale_findings.title_signals(partition),
        "shapes": shape_findings.title_shapes(record.manifold),
        "spectra": shape_findings.title_spectra(record.manifold),
        "dimensions": shape_findings.title_dimensions(record.curves["dimension"]),
        "maps": map_findings.title_maps(record.maps, record.best_map),
        "measures": map_findings.title_measures(scores),
        "certificate": _title(record.certificate, learned_findings.title_certificate),
        "pareto": _title(record.tuning, learned_findings.title_pareto),
        "ablation": _title(record.ablation, learned_findings.title_ablation),
        "effects": _title(record.intervention, title_effects),
        "dose": _title(record.intervention, title_dose),
        **_bias_titles(record),
        **robustness_titles(record.robustness),
        "probes": shape_findings.title_probes(record.probes) if record.probes is not None else "",
        "clouds": shape_findings.title_clouds(record.clouds),
        "examples": shape_findings.title_examples(record.examples),
    }


def _bias_titles(record: StudyRecord) -> dict[str, str]:
    audit = record.bias
    if audit is None:
        return {}
    return {
        "associations": _title(audit.associations, title_associations),
        "bias_layers": _title(audit.location, title_layers),
        "prices": _title(audit.prices, title_prices),
    }


def _title(found: T | None, make: Callable[[T], str]) -> str:
    return "" if found is None else make(found)


def similarity_of(record: StudyRecord) -> Float[np.ndarray, "layers layers"] | None:
    """Return the similarity of every pair of layers.

    Args:
        record: A study.

    Returns:
        CKA of each pair; ``None`` where it was not computed.
    """
    signal = record.partition.signals.get("similarity")
    matrix = signal.profile.get("cka") if signal is not None else None
    return np.asarray(matrix, dtype=np.float64) if matrix else None
