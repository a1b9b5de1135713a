"""An ablation trains what it says, tests what it says, and goes on where it stopped."""

import json

import numpy as np
import pytest

from msma.ablation import ARMS, ablate, ablation_rows, tell_ablation
from msma.ablation.rows import Cell
from msma.errors import ConfigError, StorageError
from msma.heldout import make_pairs
from msma.maps import JointMap, RidgeMap, fit_map
from msma.plotting import plot_ablation
from msma.readings import READINGS, Reading, read_map, read_references
from msma.results import Result
from scale_pairs import PAIR, PARTITION, FeatureMap, bent_states

SEEDS = (0, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def splits():
    return bent_states().split()


@pytest.fixture(scope="module")
def ablation(splits):
    return ablate(splits, PARTITION, map=FeatureMap(), seeds=SEEDS, n_groups=8)


def test_every_arm_has_every_row(ablation):
    for metric in READINGS:
        for arm in ARMS:
            row = ablation.row(metric, map=arm, source="global")
            assert row.low <= row.value <= row.high
            assert row.split == "test"
            by_seed = ablation.where(metric=f"{metric}_by_seed", map=arm, source="global")
            assert np.mean([r.value for r in by_seed]) == pytest.approx(row.value)
            assert len(by_seed) == (1 if arm == "base" else len(SEEDS))
            if arm == "full":
                continue
            difference = ablation.row(f"{metric}_minus_full", map=arm, source="global")
            full = ablation.value(metric, map="full", source="global")
            assert difference.value == pytest.approx(row.value - full)
            assert difference.null == 0.0
            for name in ("documents", "seeds"):
                assert 0.0 <= ablation.value(f"{metric}_p_{name}", map=arm, source="global") <= 1.0
    assert ablation.row("r2", map="full", source="global").null < 0.1
    assert ablation.value("map_curvature", map="base", source="global") == 0.0


def test_what_a_term_does_is_found_and_what_it_does_not_do_is_not_claimed(ablation):
    def claims(arm, metric="r2"):
        return ablation.row(f"{metric}_minus_full", map=arm, source="global").note.startswith("differs")

    assert claims("base")
    assert claims("no_geometry")
    assert claims("only_curvature")
    assert claims("base", "map_curvature")
    assert not claims("no_curvature", "mi")
    told = "\n".join(ablation.provenance["findings"])
    assert "base, global to intermediate: against full: r2 -" in told
    assert len(ablation.provenance["findings"]) == 2 * (len(ARMS) - 1)


def test_the_family_of_tests_is_corrected(ablation):
    found = [row for row in ablation if row.metric.endswith("_p_documents")]
    assert len(found) == 2 * len(READINGS) * (len(ARMS) - 1)
    for row in found:
        assert row.value >= float(row.note.split("; ")[1].split(" ")[0]) - 1e-12
    alone = min(float(row.note.split("; ")[1].split(" ")[0]) for row in found)
    assert min(row.value for row in found) == pytest.approx(min(1.0, alone * len(found)), rel=0.01)


def test_it_goes_on_where_it_stopped(splits, tmp_path):
    options = {
        "map": FeatureMap(),
        "metrics": ["r2"],
        "arms": ["full", "base"],
        "pairs": [PAIR],
        "n_groups": 8,
    }
    FeatureMap.fits = 0
    first = ablate(splits, PARTITION, seeds=(0, 1), out=tmp_path, **options)
    assert FeatureMap.fits == 3
    assert ablate(splits, PARTITION, seeds=(0, 1), out=tmp_path, **options).rows == first.rows
    assert FeatureMap.fits == 3
    ablate(splits, PARTITION, seeds=(0, 1, 2), out=tmp_path, **options)
    assert FeatureMap.fits == 4  # only the new seed
    lost = tmp_path / "cells" / "full-1-global-intermediate.json"
    lost.unlink()
    assert ablate(splits, PARTITION, seeds=(0, 1), out=tmp_path, **options).rows == first.rows
    with pytest.raises(StorageError, match="holds an ablation with n_groups = 8"):
        ablate(splits, PARTITION, seeds=(0,), out=tmp_path, **{**options, "n_groups": 9})
    with pytest.raises(StorageError, match=r"holds an ablation with map\.width = 64"):
        ablate(splits, PARTITION, seeds=(0,), out=tmp_path, **{**options, "map": FeatureMap(width=9)})
    lost.write_text(json.dumps({"r2": 3}))
    with pytest.raises(StorageError, match="is damaged"):
        ablate(splits, PARTITION, seeds=(0, 1), out=tmp_path, **options)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="is a file"):
        ablate(splits, PARTITION, seeds=(0,), out=tmp_path / "file", **options)


def test_one_seed_has_no_test_over_seeds(splits):
    found = ablate(splits, PARTITION, map=FeatureMap(), seeds=(3,), metrics=["r2"], arms=["full", "base"])
    assert not [row for row in found if row.metric == "r2_p_seeds"]
    assert "one seed" in found.row("r2_minus_full", source="global").note


def test_the_same_documents_are_left_out_for_every_arm(splits):
    """The left-out values are those of the statistic on the documents that stay."""
    data = make_pairs(splits, PARTITION, pairs=[PAIR])[PAIR]
    fitted = fit_map(RidgeMap(), *data.train)
    readings = read_map(fitted, data, n_groups=5)
    whole = read_map(fitted, data, has_left_out=False)
    assert readings["r2"].value == pytest.approx(fitted.score(*data.test[:2]))
    for name in READINGS:
        assert whole[name].value == pytest.approx(readings[name].value)
        assert len(readings[name].left_out) == 5
    assert np.mean(readings["r2"].left_out) == pytest.approx(readings["r2"].value, abs=0.02)
    with pytest.raises(ConfigError, match="metric 'bleu' came"):
        read_map(fitted, data, metrics=["bleu"])
    assert read_references(data, "r2") == {"ceiling": 1.0}
    assert read_references(data, "mi") == {}
    assert abs(read_references(data, "kl")["floor"]) < 0.5


def test_what_cannot_be_read_has_no_value_and_says_why(splits):
    data = make_pairs(splits, PARTITION, pairs=[PAIR])[PAIR]
    flat = fit_map(RidgeMap(), *data.train)
    flat.coef_ = np.zeros_like(flat.coef_)
    readings = read_map(flat, data)
    for name in ("kl", "mi", "map_curvature"):
        assert readings[name].value is None
        assert "infinite or not estimable" in readings[name].note
    cells = [
        Cell("full", 0, PAIR, {"kl": Reading(1.0, (1.0, 1.1))}),
        Cell("base", 0, PAIR, {"kl": readings["kl"]}),
    ]
    rows = ablation_rows(cells, {}, n={PAIR: 10})
    assert {row.map: row.value for row in rows if row.metric == "kl"} == {"full": 1.0, "base": None}
    assert tell_ablation(Result("ablation", tuple(rows))) == []
    assert plot_ablation(rows).child_axes


def test_the_figure_shows_arms_far_off_as_arrows(ablation):
    axes = plot_ablation(ablation.rows)
    assert len(axes.child_axes) == 2 * len(READINGS)
    labels = [label.get_text() for label in axes.child_axes[0].get_yticklabels()]
    assert labels[0] == "all three terms"
    assert labels[-1] == "closed form alone"
    assert len(labels) == len(ARMS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arms": ["full", "half"]}, "arm 'half' came"),
        ({"arms": ["base"]}, "without 'full'"),
        ({"seeds": ()}, "seeds () came"),
        ({"seeds": (1, 1)}, "seeds (1, 1) came"),
        ({"seeds": (-1,)}, "seeds (-1,) came"),
        ({"metrics": []}, "0 metrics came"),
        ({"metrics": ["bleu"]}, "metric 'bleu' came"),
        ({"map": RidgeMap()}, "RidgeMap came"),
        ({"map": FeatureMap(lambda_info=0.0)}, "lambda_info came as 0"),
    ],
)
def test_mistakes_are_told(splits, options, message):
    with pytest.raises(ConfigError) as caught:
        ablate(splits, PARTITION, **{"map": FeatureMap(), **options})
    assert message in str(caught.value)


@pytest.mark.slow
def test_the_real_map_needs_geometry_for_what_it_gains():
    learned = JointMap(width=24, batch_size=32, max_epochs=15, learning_rate=1e-2, lambda_info=0.01)
    found = ablate(bent_states().split(), PARTITION, map=learned, seeds=(0, 1), pairs=[PAIR])
    value = {arm: found.value("r2", map=arm) for arm in ARMS}
    assert value["full"] > value["base"] + 0.1
    assert value["only_geometry"] > value["base"] + 0.1
    # Its network stays at zero; the ridge under it chose its strength on the documents left to train on.
    assert value["only_curvature"] == pytest.approx(value["base"], abs=1e-3)
    assert found.value("map_curvature", map="only_curvature") == 0.0
