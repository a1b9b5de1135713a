"""How a language model holds meaning at three scales: find them, map between them, measure the maps honestly.

The names below are loaded when first used, so ``import msma`` stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from msma._version import __version__

if TYPE_CHECKING:
    from msma.ablation import ablate
    from msma.alignment import Alignment
    from msma.bias import BiasAudit, audit_bias
    from msma.certificate import certify
    from msma.configuration import StudyConfig
    from msma.corpora import demo_corpus, read_documents
    from msma.detection import AnomalyDetector, TextDetector
    from msma.erasure import ScaleEraser, fit_eraser
    from msma.errors import MsmaError
    from msma.evaluation import evaluate
    from msma.experiment import Experiment, run_experiment
    from msma.explanation import Explainer, Explanation, explain
    from msma.extraction import extract, extract_moments
    from msma.interventions import (
        Direction,
        Erasure,
        HeadRemoval,
        Noise,
        Replacement,
        Scaling,
        Temperature,
        Translation,
        intervene,
    )
    from msma.maps import (
        IdentityMap,
        JointMap,
        MeanShiftMap,
        ProcrustesMap,
        ReducedRankMap,
        RidgeMap,
        TransportMap,
    )
    from msma.measures import hybrid_mi
    from msma.merging import merge
    from msma.model_comparison import StudyComparison, compare_studies
    from msma.replication import Replication, replicate
    from msma.results import Result
    from msma.robustness import RobustnessAudit, audit_robustness
    from msma.scale_moments import ScaleMoments
    from msma.scales import ScalePartition, find_scales
    from msma.states import HiddenStates
    from msma.steering import Steering, steer
    from msma.study import Study, demo_decoder, demo_model
    from msma.tuning import tune

_HOMES = {
    "Alignment": "msma.alignment",
    "AnomalyDetector": "msma.detection",
    "BiasAudit": "msma.bias",
    "Direction": "msma.interventions",
    "Erasure": "msma.interventions",
    "Experiment": "msma.experiment",
    "Explainer": "msma.explanation",
    "Explanation": "msma.explanation",
    "HeadRemoval": "msma.interventions",
    "HiddenStates": "msma.states",
    "IdentityMap": "msma.maps",
    "JointMap": "msma.maps",
    "MeanShiftMap": "msma.maps",
    "MsmaError": "msma.errors",
    "Noise": "msma.interventions",
    "ProcrustesMap": "msma.maps",
    "ReducedRankMap": "msma.maps",
    "Replacement": "msma.interventions",
    "Replication": "msma.replication",
    "Result": "msma.results",
    "RidgeMap": "msma.maps",
    "RobustnessAudit": "msma.robustness",
    "ScaleEraser": "msma.erasure",
    "ScaleMoments": "msma.scale_moments",
    "ScalePartition": "msma.scales",
    "Scaling": "msma.interventions",
    "Steering": "msma.steering",
    "Study": "msma.study",
    "StudyComparison": "msma.model_comparison",
    "StudyConfig": "msma.configuration",
    "Temperature": "msma.interventions",
    "TextDetector": "msma.detection",
    "Translation": "msma.interventions",
    "TransportMap": "msma.maps",
    "ablate": "msma.ablation",
    "audit_bias": "msma.bias",
    "audit_robustness": "msma.robustness",
    "certify": "msma.certificate",
    "compare_studies": "msma.model_comparison",
    "demo_corpus": "msma.corpora",
    "demo_decoder": "msma.study",
    "demo_model": "msma.study",
    "evaluate": "msma.evaluation",
    "explain": "msma.explanation",
    "extract": "msma.extraction",
    "extract_moments": "msma.extraction",
    "find_scales": "msma.scales",
    "fit_eraser": "msma.erasure",
    "hybrid_mi": "msma.measures",
    "intervene": "msma.interventions",
    "merge": "msma.merging",
    "read_documents": "msma.corpora",
    "replicate": "msma.replication",
    "run_experiment": "msma.experiment",
    "steer": "msma.steering",
    "tune": "msma.tuning",
}

__all__ = [
    "Alignment",
    "AnomalyDetector",
    "BiasAudit",
    "Direction",
    "Erasure",
    "Experiment",
    "Explainer",
    "Explanation",
    "HeadRemoval",
    "HiddenStates",
    "IdentityMap",
    "JointMap",
    "MeanShiftMap",
    "MsmaError",
    "Noise",
    "ProcrustesMap",
    "ReducedRankMap",
    "Replacement",
    "Replication",
    "Result",
    "RidgeMap",
    "RobustnessAudit",
    "ScaleEraser",
    "ScaleMoments",
    "ScalePartition",
    "Scaling",
    "Steering",
    "Study",
    "StudyComparison",
    "StudyConfig",
    "Temperature",
    "TextDetector",
    "Translation",
    "TransportMap",
    "__version__",
    "ablate",
    "audit_bias",
    "audit_robustness",
    "certify",
    "compare_studies",
    "demo_corpus",
    "demo_decoder",
    "demo_model",
    "evaluate",
    "explain",
    "extract",
    "extract_moments",
    "find_scales",
    "fit_eraser",
    "hybrid_mi",
    "intervene",
    "merge",
    "read_documents",
    "replicate",
    "run_experiment",
    "steer",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'msma' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
