"""A study with the learned map and the certificate, and a report that shows search and ablation beside it."""

import json

import numpy as np
import pytest

from msma.certificate import Certificate
from msma.cli import run
from msma.configuration import StudyConfig
from msma.errors import ConfigError
from msma.reporting import learned_findings, write_report
from msma.results import Result
from msma.states import HiddenStates
from msma.study import Study, make_joint

# A study that trains a map takes most of a minute.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bent_states(tmp_path_factory):
    """Seven layers of which the middle ones are a curved function of the last: a learned map has work to do."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1500, 4))
    bent = np.column_stack([z[:, 0], z[:, 1] + z[:, 0] ** 2, z[:, 2], z[:, 3] + z[:, 2] * z[:, 0]])
    local = bent @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    layers = [source + 0.1 * rng.normal(size=z.shape) for source in (local, local, bent, bent, bent, z, z)]
    return HiddenStates.from_arrays(np.stack(layers), texts=[f"text {i}" for i in range(1500)])


@pytest.fixture(scope="module")
def finished(bent_states, tmp_path_factory):
    out = tmp_path_factory.mktemp("learned") / "out"
    bent_states.save(out / "states")
    config = StudyConfig(
        model="arrays",  # what states of arrays are called
        texts="made",
        scales="0-1|2-4|5-6",
        maps=("mean_shift", "ridge", "joint"),
        joint=("width=32", "max_epochs=15", "learning_rate=0.005", "batch_size=64", "lambda_info=0"),
        attention_texts=0,
    )
    tables = Study(config, out).run()
    return out, tables


def test_a_map_that_helps_is_kept_and_said_to_be(finished):
    out, tables = finished
    gain = tables["gain"]
    assert gain.provenance["verdict"] == "kept"
    shown = gain.row("r2_gain", split="test", source=None)
    assert shown.low > 0.05
    assert json.loads((out / "study.json").read_text())["best_map"] == "joint"
    assert {row.map for row in tables["evaluation"]} == {"none", "joint"}


def test_the_study_certifies_the_map_it_uses(finished):
    out, tables = finished
    certificate = Certificate.load(out / "tables" / "certificate.json")
    assert tables["certificate"].rows == certificate.rows
    assert len(certificate.pairs) == 3


def test_the_report_shows_gain_and_certificate(finished):
    out, _ = finished
    page = write_report(out).read_text(encoding="utf-8")
    for anchor in ('id="learned"', 'id="certificate"', 'id="figure-certificate"'):
        assert anchor in page
    assert "The learned map (joint) is kept" in page
    assert 'id="search"' not in page
    assert (out / "figures" / "certificate.svg").is_file()


def test_the_same_study_again_finds_everything_done(finished, monkeypatch):
    out, tables = finished
    config = StudyConfig.from_dict(json.loads((out / "settings.json").read_text()))
    monkeypatch.setattr("msma.study.study.choose_map", None)
    monkeypatch.setattr("msma.study.study.certify", None)
    again = Study(config, out).run()
    assert again["gain"].rows == tables["gain"].rows


def test_search_and_ablation_within_the_folder_join_the_report(finished, capsys):
    pytest.importorskip("optuna")
    out, _ = finished
    scales = ["--scales", str(out / "scales.json")]
    common = [str(out / "states"), *scales, "--max-epochs", "2"]
    assert run(["tune", *common, "--out", str(out / "tuning"), "--n-trials", "3"]) == 0
    chosen = ["--arm", "full", "--arm", "no_curvature", "--arm", "base", "--metric", "r2"]
    assert run(["ablate", *common, "--out", str(out / "ablation"), "--seeds", "0,1", *chosen]) == 0
    capsys.readouterr()
    page = write_report(out).read_text(encoding="utf-8")
    for anchor in ('id="search"', 'id="ablation"', 'id="figure-pareto"', 'id="figure-ablation"'):
        assert anchor in page
    assert (out / "figures" / "pareto.svg").is_file()


def test_a_map_that_does_not_help_is_not_kept():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(600, 4))
    layers = [z @ turn + 0.3 * rng.normal(size=z.shape) for turn in rng.normal(size=(3, 4, 4))]
    states = HiddenStates.from_arrays(np.stack(layers))
    from msma.gain import choose_map
    from msma.maps import JointMap
    from msma.scales import ScalePartition

    choice = choose_map(
        states.split(), ScalePartition.thirds(3), learned=JointMap(width=16, max_epochs=3, lambda_info=0)
    )
    assert choice.name != "joint"
    assert "The closed form" in learned_findings.describe_gain(choice.result)


def test_fit_and_certify_from_the_command_line(bent_states, tmp_path, capsys):
    states = str(bent_states.subset(np.arange(400)).save(tmp_path / "states"))
    scales, fitted = str(tmp_path / "s.json"), str(tmp_path / "a")
    assert run(["scales", states, "--out", scales, "--method", "0-1|2-4|5-6"]) == 0
    assert run(["fit", states, "--scales", scales, "--out", fitted]) == 0
    capsys.readouterr()
    assert run(["certify", fitted, states, "--out", str(tmp_path / "c.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "certificate"
    assert run(["certify", fitted, states]) == 0
    assert "global" in capsys.readouterr().out
    assert Result.load(tmp_path / "c.json").rows
    assert run(["certify", fitted, states, "--sigma", "0"]) == 2
    assert run(["certify", fitted, states, "--confidence", "1.5"]) == 2


def test_joint_settings_are_read_and_wrong_ones_refused():
    made = make_joint(StudyConfig(model="m", texts="t", joint=("estimator=nwj", "lambda_curv=0.5"), seed=3))
    assert (made.estimator, made.lambda_curv, made.seed) == ("nwj", 0.5, 3)
    for wrong, words in (("widht=3", "did you mean 'width'"), ("width", "expected name=value")):
        with pytest.raises(ConfigError, match=words):
            make_joint(StudyConfig(model="m", texts="t", joint=(wrong,)))


def test_an_unknown_map_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ConfigError, match=r"expected one of identity.*joint"):
        Study(StudyConfig(model="m", texts="t", maps=("magic",)), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_ablation_lines_hold_differences_and_probabilities():
    from msma.results import Row

    where = {"source": "global", "target": "local", "map": "no_curvature"}
    rows = (
        Row(metric="r2", value=0.5, **where),
        Row(metric="r2_minus_full", value=-0.1, low=-0.2, high=-0.05, note="differs; one seed", **where),
        Row(metric="r2_p_documents", value=0.01, **where),
    )
    table = Result("ablation", rows)
    (line,) = learned_findings.ablation_table(table)
    assert line["value"] == "0.500"
    assert line["p"].startswith("0.01")
    assert learned_findings.title_ablation(table).startswith("1 of 1")
    assert learned_findings.ablation_table(None) == []
