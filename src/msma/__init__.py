"""How a language model holds meaning at three scales: find them, map between them, measure the maps honestly.

The names below are loaded when first used, so ``import msma`` stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from msma._version import __version__

if TYPE_CHECKING:
    from msma.ablation import ablate
    from msma.alignment import Alignment
    from msma.certificate import certify
    from msma.configuration import StudyConfig
    from msma.corpora import demo_corpus, read_documents
    from msma.errors import MsmaError
    from msma.evaluation import evaluate
    from msma.extraction import extract
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
    from msma.results import Result
    from msma.scales import ScalePartition, find_scales
    from msma.states import HiddenStates
    from msma.study import Study, demo_model
    from msma.tuning import tune

_HOMES = {
    "Alignment": "msma.alignment",
    "HiddenStates": "msma.states",
    "IdentityMap": "msma.maps",
    "JointMap": "msma.maps",
    "MeanShiftMap": "msma.maps",
    "MsmaError": "msma.errors",
    "ProcrustesMap": "msma.maps",
    "ReducedRankMap": "msma.maps",
    "Result": "msma.results",
    "RidgeMap": "msma.maps",
    "ScalePartition": "msma.scales",
    "Study": "msma.study",
    "StudyConfig": "msma.configuration",
    "TransportMap": "msma.maps",
    "ablate": "msma.ablation",
    "certify": "msma.certificate",
    "demo_corpus": "msma.corpora",
    "demo_model": "msma.study",
    "evaluate": "msma.evaluation",
    "extract": "msma.extraction",
    "find_scales": "msma.scales",
    "hybrid_mi": "msma.measures",
    "read_documents": "msma.corpora",
    "tune": "msma.tuning",
}

__all__ = [
    "Alignment",
    "HiddenStates",
    "IdentityMap",
    "JointMap",
    "MeanShiftMap",
    "MsmaError",
    "ProcrustesMap",
    "ReducedRankMap",
    "Result",
    "RidgeMap",
    "ScalePartition",
    "Study",
    "StudyConfig",
    "TransportMap",
    "__version__",
    "ablate",
    "certify",
    "demo_corpus",
    "demo_model",
    "evaluate",
    "extract",
    "find_scales",
    "hybrid_mi",
    "read_documents",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'msma' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
