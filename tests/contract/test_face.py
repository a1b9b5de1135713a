"""The public face: names are pinned, importing is light, the floors hold."""

import subprocess
import sys
from pathlib import Path

import pytest

import msma

ROOT = Path(__file__).resolve().parents[2]

PUBLIC = [
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


def test_public_names_are_pinned():
    assert msma.__all__ == PUBLIC
    for name in PUBLIC:
        assert getattr(msma, name) is not None
    assert set(PUBLIC) <= set(dir(msma))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'extrct'"):
        msma.extrct  # noqa: B018


@pytest.mark.parametrize("arguments", [["-c", "import msma, msma.cli"], ["-m", "msma", "--help"]])
def test_import_and_help_load_nothing_heavy(arguments):
    probe = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(probe, capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "msma" in loaded
    assert not loaded & {"torch", "transformers", "sklearn", "scipy", "matplotlib", "pandas"}


def test_the_floors_hold():
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        pytest.skip("import-linter is not installed; it comes with the 'dev' extra")
    done = subprocess.run([tool], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_every_error_is_drawn_and_descends_from_the_root():
    from msma import errors

    drawn = errors.__doc__
    for name, kind in vars(errors).items():
        if isinstance(kind, type):
            assert issubclass(kind, errors.MsmaError)
            assert name in drawn
