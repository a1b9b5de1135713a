"""Collapse is named on states made by hand, and nowhere else."""

import numpy as np
import pytest

from msma._types import SCALES
from msma.errors import ShapeError
from msma.replication.collapse import COLLAPSES, Collapse, detect_collapse

N, D = 120, 12


@pytest.fixture
def healthy():
    rng = np.random.default_rng(0)
    return {scale: rng.normal(size=(N, D)) + 1.0 for scale in SCALES}


def test_nothing_is_named_where_nothing_changed(healthy):
    found = detect_collapse(healthy, healthy)
    assert found.verdict == "none"
    assert found.kinds == ()
    assert found.sentence.startswith("No collapse")
    assert all(fall.ratio == pytest.approx(1.0) for fall in found.falls)


def test_smaller_and_turned_states_have_not_collapsed(healthy):
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(D, D)))[0]
    after = {scale: 1e-3 * states @ turn for scale, states in healthy.items()}
    assert detect_collapse(healthy, after).verdict == "none"


def test_constant_states_are_a_point(healthy):
    after = {**healthy, "global": np.ones((N, D))}
    found = detect_collapse(healthy, after)
    assert found.verdict == "to a point"
    assert found.kinds[0] == "to a point"
    assert "relative spread of global" in found.sentence


def test_nearly_constant_states_are_a_point_with_an_interval(healthy):
    after = {**healthy, "global": healthy["global"] * 0.05 + 2.0}
    found = detect_collapse(healthy, after)
    fall = next(f for f in found.falls if f.quantity == "relative spread" and f.where == "global")
    assert found.kinds == ("to a point",)
    assert 0.0 < fall.low < fall.ratio < fall.high < 0.1


def test_states_on_a_line_have_few_directions(healthy):
    line = healthy["local"][:, :1] @ np.ones((1, D)) + np.array([3.0, *[0.0] * (D - 1)])
    found = detect_collapse(healthy, {**healthy, "local": line})
    assert found.kinds == ("to few directions",)
    fall = next(f for f in found.falls if f.quantity == "effective rank" and f.where == "local")
    assert fall.after == pytest.approx(1.0)


def test_equal_scales_lie_onto_each_other(healthy):
    after = dict.fromkeys(SCALES, healthy["local"])
    found = detect_collapse(healthy, after)
    assert found.verdict == "scales onto each other"
    assert sum(fall.holds for fall in found.falls) == 3


def test_scales_that_close_in_without_losing_labels_are_not_called_collapsed(healthy):
    after = dict.fromkeys(SCALES, healthy["local"])
    assert detect_collapse(healthy, after, accuracies={"topic": (0.5, 0.6)}).verdict == "none"
    assert detect_collapse(healthy, after, accuracies={"topic": (0.5, 0.3)}).verdict == COLLAPSES[2]


def test_a_halved_spread_is_no_point(healthy):
    after = {scale: states * 0.7 + 0.3 for scale, states in healthy.items()}
    assert detect_collapse(healthy, after).verdict == "none"


def test_a_fall_whose_interval_reaches_above_is_not_named():
    rng = np.random.default_rng(2)
    before = {scale: rng.normal(size=(9, 40)) for scale in SCALES}
    # One text of nine carries all variance: without it there is as much as before.
    after = {scale: np.vstack([40 * states[:1], states[1:]]) for scale, states in before.items()}
    found = detect_collapse(before, after)
    fall = next(f for f in found.falls if f.quantity == "effective rank")
    assert fall.ratio < 0.5
    assert not fall.holds


def test_from_nothing_to_something_is_no_fall():
    rng = np.random.default_rng(3)
    before = {scale: np.ones((20, 4)) for scale in SCALES}
    after = {scale: rng.normal(size=(20, 4)) for scale in SCALES}
    assert detect_collapse(before, after).verdict == "none"
    assert detect_collapse(before, before).verdict == "none"


def test_documents_stay_together(healthy):
    documents = np.arange(N) // 4
    assert detect_collapse(healthy, healthy, documents=documents, n_groups=5).verdict == "none"


def test_it_comes_back_from_json(healthy):
    found = detect_collapse(healthy, {**healthy, "global": np.ones((N, D))})
    assert Collapse.from_dict(found.to_dict()) == found


def test_other_texts_are_refused(healthy):
    with pytest.raises(ShapeError, match="same texts"):
        detect_collapse(healthy, {**healthy, "local": healthy["local"][:-1]})
    with pytest.raises(ShapeError, match="missing"):
        detect_collapse(healthy, {"local": healthy["local"]})
