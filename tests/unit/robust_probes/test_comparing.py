"""compare_probes finds the gains that were planted, none where there is none, and says so."""

import numpy as np
import pytest

from msma.errors import ConfigError, CorpusError, ShapeError
from msma.robust_probes import LabelledStates, PlainProbe, compare_probes

SIGNALS = (4.0, 1.5, 1.5)
QUICK = {"penalties": (0.01, 0.001), "n_resamples": 300}


@pytest.fixture
def broken(draw):
    """The scale that is best on clean texts breaks under perturbation."""
    bad = {"noisy": 0, "spread": 4.0, "signals": SIGNALS}
    return compare_probes(
        draw(800, signals=SIGNALS),
        draw(400, signals=SIGNALS),
        draw(1000, signals=SIGNALS),
        {"local broken": draw(1000, **bad)},
        augmented_train=draw(800, **bad),
        unlabelled=draw(800, **bad).side_by_side,
        **QUICK,
    )


def test_planted_gains_are_found(broken):
    assert broken.value("accuracy", map="plain", target=None, split="clean") > 0.99
    assert broken.value("accuracy", map="plain", target=None, split="local broken") < 0.85
    assert broken.value("accuracy", map="plain", target="local", split="local broken") < 0.55
    for name in ("gated ensemble", "augmented"):
        row = broken.row("gain", map=name, split="local broken")
        assert row.low > 0.1
        assert row.note == "a gain over the plain probe"
        assert row.better == "higher"
    # Weights chosen on clean texts rest on the scale that breaks, and nothing but the gate saves them.
    assert broken.value("weight", map="ensemble", target="local") > 0.9
    assert broken.row("gain", map="ensemble", split="local broken").note == "a loss against the plain probe"
    # Validation is clean: it cannot see what agreement would be good for, and the result says so.
    row = broken.row("lambda", map="consistent")
    assert row.value == 0.0
    assert "did not lower the loss" in row.note


def test_gains_are_differences_of_accuracies_and_every_row_has_its_null(broken):
    for row in broken.where(metric="gain"):
        own = broken.value("accuracy", map=row.map, target=None, split=row.split)
        base = broken.value("accuracy", map="plain", target=None, split=row.split)
        assert row.value == pytest.approx(own - base)
        assert row.low <= row.value <= row.high
        assert (row.note == "no gain that these texts can tell") == (row.low <= 0 <= row.high)
    for row in broken.where(metric="accuracy"):
        assert row.low <= row.value <= row.high
        assert row.null == pytest.approx(0.5, abs=0.08)
        assert row.floor == pytest.approx(0.5, abs=0.01)
    weights = [row.value for row in broken.where(metric="weight")]
    assert sum(weights) == pytest.approx(1.0)
    assert broken.provenance["n_unlabelled"] == 800


def test_perturbed_validation_lets_consistency_help(draw):
    bad = {"noisy": 0, "spread": 4.0, "signals": SIGNALS}
    held = draw(400, **bad)
    result = compare_probes(
        draw(600, signals=SIGNALS),
        LabelledStates(scales=held.scales, labels=held.labels),
        draw(600, signals=SIGNALS),
        {"local broken": draw(4000, **bad)},
        lambdas=(0.0, 1.0),
        n_resamples=300,
    )
    assert result.value("lambda", map="consistent") == 1.0
    row = result.row("gain", map="consistent", split="local broken")
    assert 0 < row.low < 0.1  # a gain, and a small one
    assert "gated ensemble" not in {row.map for row in result}  # validation came without residuals


def test_where_nothing_helps_no_gain_is_told(draw):
    """All scales lose the same part of their signal: nothing but less signal is left for any probe."""
    weak = {"signals": (0.5, 0.5, 0.5)}
    result = compare_probes(draw(800), draw(400), draw(800), {"weaker": draw(800, **weak)}, **QUICK)
    for row in result.where(metric="gain", split="weaker"):
        assert row.low <= 0 <= row.high, row
        assert row.note == "no gain that these texts can tell"
    assert result.value("lambda", map="consistent") == 0.0


def test_labels_that_mean_nothing_leave_every_probe_at_chance(draw):
    none = {"signals": (0.0, 0.0, 0.0)}
    result = compare_probes(draw(200, **none), draw(100, **none), draw(600, **none), {}, **QUICK)
    for row in result.where(metric="accuracy"):
        assert row.value == pytest.approx(0.5, abs=0.08)


def test_the_same_seed_gives_the_same_rows(draw):
    parts = draw(100), draw(60), draw(60)
    first, again = (compare_probes(*parts, {"same": parts[2]}, **QUICK) for _ in range(2))
    assert first.rows == again.rows
    for row in first.where(metric="accuracy", split="same"):
        twin = first.row("accuracy", map=row.map, target=row.target, split="clean")
        assert (row.value, row.null) == (twin.value, twin.null)


def test_the_plain_row_is_the_plain_probe(draw):
    train, held, test = draw(100, per_document=2), draw(60), draw(60)
    result = compare_probes(train, held, test, {}, **QUICK)
    probe = PlainProbe(penalties=QUICK["penalties"])
    probe.fit(train.side_by_side, train.labels, held_out=held)
    expected = probe.score(test.side_by_side, test.labels)
    assert result.value("accuracy", map="plain", target=None) == pytest.approx(expected)


def test_control_labels_stay_with_their_documents(draw):
    """A control dealt to samples would let no probe remember a document; see Hewitt and Liang (2019)."""
    from msma.robust_probes.comparing import _dealt

    part = draw(60, per_document=3)
    dealt = _dealt(part, seed=0)
    assert not np.array_equal(dealt.labels, part.labels)
    assert all(len(set(dealt.labels[part.documents == d])) == 1 for d in range(20))
    assert sorted(dealt.labels) == sorted(part.labels)


def test_what_does_not_fit_is_an_error(draw):
    train, held, test = draw(60), draw(40), draw(40)
    with pytest.raises(ConfigError, match="rename it"):
        compare_probes(train, held, test, {"clean": test})
    narrow = LabelledStates(scales={s: a[:, :2] for s, a in test.scales.items()}, labels=test.labels)
    with pytest.raises(ShapeError, match=r"test texts 'typos' with .*expected the same"):
        compare_probes(train, held, test, {"typos": narrow})
    with pytest.raises(CorpusError, match=r"test texts 'clean' hold labels .*'left': 40"):
        compare_probes(train, held, LabelledStates(scales=test.scales, labels=["left"] * 40), {})
    with pytest.raises(CorpusError, match="labels of 1 class"):
        compare_probes(LabelledStates(scales=train.scales, labels=["up"] * 60), held, test, {})
