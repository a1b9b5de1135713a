"""The three probes on planted states whose best accuracy is known, and scikit-learn's contract."""

import pickle

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.utils.estimator_checks import check_estimator

from msma.errors import ConfigError, CorpusError, ShapeError
from msma.robust_probes import ConsistentProbe, LabelledStates, PlainProbe, ScaleEnsemble, disagreement
from msma.robust_probes.consistent import document_mean
from msma.robust_probes.ensemble import choose_weights

PROBES = [PlainProbe(), ConsistentProbe(), ScaleEnsemble()]
NAMES = [type(probe).__name__ for probe in PROBES]


@pytest.fixture(params=PROBES, ids=NAMES)
def probe(request):
    return clone(request.param)


def fit(probe, train, held):
    return probe.fit(train.side_by_side, train.labels, held_out=held)


@pytest.mark.parametrize(
    "estimator", [PlainProbe(), ConsistentProbe(n_scales=1), ScaleEnsemble(n_scales=1)], ids=NAMES
)
@pytest.mark.filterwarnings("ignore")  # checks that do not apply are skipped with a warning
def test_scikit_learns_own_checks_pass(estimator):
    found = check_estimator(estimator, on_fail=None)
    assert len(found) > 40
    assert [check["check_name"] for check in found if check["status"] == "failed"] == []


def test_probabilities_sum_to_one_and_agree_with_predictions(probe, draw):
    fit(probe, draw(200), draw(80))
    X = draw(50).side_by_side
    p = probe.predict_proba(X)
    assert p.shape == (50, 2)
    assert np.allclose(p.sum(axis=1), 1.0)
    assert np.array_equal(probe.predict(X), probe.classes_[p.argmax(axis=1)])
    assert np.allclose(np.exp(probe.predict_log_proba(X)), p)


def test_clean_accuracy_is_that_of_the_best_rule(probe, draw):
    fit(probe, draw(2000), draw(500))
    test = draw(4000)
    best = norm.cdf(np.sqrt(3) * 1.5)  # 0.9953: the three signals added up
    assert probe.score(test.side_by_side, test.labels) == pytest.approx(best, abs=0.005)


def test_fitting_twice_gives_the_same_numbers_and_so_does_a_pickle(probe, draw):
    train, X = draw(150), draw(30).side_by_side
    first = probe.fit(train.side_by_side, train.labels, train.documents).predict_proba(X)
    again = clone(probe).fit(train.side_by_side, train.labels, train.documents).predict_proba(X)
    assert np.array_equal(first, again)
    assert np.array_equal(pickle.loads(pickle.dumps(probe)).predict_proba(X), first)


def test_units_of_a_column_do_not_matter(probe, draw):
    train, held, X = draw(150), draw(60), draw(30).side_by_side
    first = fit(clone(probe), train, held).predict_proba(X)
    scaled = [
        LabelledStates(scales={s: 1000.0 * a + 7.0 for s, a in part.scales.items()}, labels=part.labels)
        for part in (train, held)
    ]
    assert np.allclose(fit(probe, *scaled).predict_proba(1000.0 * X + 7.0), first, atol=1e-6)


def test_a_column_that_does_not_vary_tells_nothing(probe, draw):
    train, held = draw(150), draw(60)
    for part in (train, held):
        part.scales["local"][:, 3] = 1e6
    fit(probe, train, held)
    X = draw(30).side_by_side
    X[:, 3] = 1e6
    moved = X.copy()
    moved[:, 3] = -5.0
    assert np.array_equal(probe.predict_proba(X), probe.predict_proba(moved))


def test_documents_that_choose_do_not_train(draw):
    """With every document but one held out, the probe has seen one document alone."""
    train = draw(40, per_document=10)
    held = [PlainProbe(seed=seed, patience=None)._deal(train.documents) for seed in range(3)]
    for is_held in held:
        assert all(len(set(is_held[train.documents == d])) == 1 for d in range(4))
        assert is_held.sum() == 10
    one = PlainProbe(patience=None).fit(train.side_by_side, train.labels, train.documents)
    kept = train.side_by_side[~held[0]]
    assert np.allclose(one.mean_, kept.mean(axis=0))


def test_plain_is_scikit_learns_multinomial_regression_at_the_chosen_penalty(draw, rng):
    X = rng.normal(size=(300, 4))
    y = (X[:, 0] + rng.normal(size=300) > 0).astype(int) + (X[:, 1] + rng.normal(size=300) > 0)
    held = LabelledStates(scales={"x": X[200:]}, labels=y[200:])
    probe = PlainProbe(patience=None).fit(X[:200], y[:200], held_out=held)
    scaled = (X - X[:200].mean(axis=0)) / X[:200].std(axis=0)
    losses = {}
    for penalty in probe.penalties:
        alone = LogisticRegression(C=1 / (200 * penalty), tol=1e-9, max_iter=5000).fit(scaled[:200], y[:200])
        p = alone.predict_proba(scaled)
        losses[penalty] = -np.log(p[np.arange(200, 300), y[200:]]).mean()
        if penalty == probe.penalty_:
            assert np.abs(probe.predict_proba(X) - p).max() < 1e-4
    assert probe.penalty_ == min(losses, key=losses.get)
    assert probe.validation_loss_ == pytest.approx(min(losses.values()), abs=1e-5)


def test_with_lambda_0_the_heads_are_three_plain_probes(draw):
    train, held, test = draw(200), draw(80), draw(40)
    settings = {"penalties": (0.1,), "patience": None}
    joint = fit(ConsistentProbe(lambdas=(0.0,), **settings), train, held)
    logs = joint.scale_log_probabilities(test.side_by_side)
    alone = []
    for s, scale in enumerate(train.scales):
        probe = PlainProbe(**settings)
        probe.fit(
            train.scales[scale],
            train.labels,
            held_out=LabelledStates(scales={scale: held.scales[scale]}, labels=held.labels),
        )
        alone.append(probe.predict_log_proba(test.scales[scale]))
        assert np.abs(logs[s] - alone[-1]).max() < 1e-3
    mean = np.mean(alone, axis=0)
    expected = np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)
    assert np.abs(joint.predict_proba(test.side_by_side) - expected).max() < 1e-3


def test_one_corrupted_scale_ruins_a_probe_of_it_and_not_the_pool(draw):
    train, held = draw(2000), draw(600)
    bad = draw(6000, noisy=0)
    plain = PlainProbe().fit(
        train.scales["local"],
        train.labels,
        held_out=LabelledStates(scales={"local": held.scales["local"]}, labels=held.labels),
    )
    consistent, ensemble = fit(ConsistentProbe(), train, held), fit(ScaleEnsemble(), train, held)
    X = bad.side_by_side
    gated = (ensemble.predict(X, residuals=bad.residuals) == bad.labels).mean()
    assert plain.score(bad.scales["local"], bad.labels) == pytest.approx(0.5, abs=0.02)
    two_of_three = norm.cdf(2 * 1.5 / np.sqrt(3))  # 0.958: two signals and a third of the noise
    assert consistent.score(X, bad.labels) == pytest.approx(two_of_three, abs=0.015)
    assert ensemble.score(X, bad.labels) == pytest.approx(two_of_three, abs=0.015)
    without = norm.cdf(np.sqrt(2) * 1.5)  # 0.983: two signals, no noise
    assert gated == pytest.approx(without, abs=0.008)


def accuracy_of(weights, *, spread):
    """Of a linear rule on signals 0, 1.5, 1.5 and noise of N(0, spread^2), N(0, 1), N(0, 1); other columns noise."""
    signal = 1.5 * (weights[1, 0] + weights[2, 0])
    variance = np.sum(weights**2) + (spread**2 - 1.0) * weights[0, 0] ** 2
    return norm.cdf(signal / np.sqrt(variance))


def test_consistency_evens_out_the_scales_and_cannot_silence_the_one_that_breaks(draw):
    """The best clean scale breaks. Agreement shrinks its head to the others' size: better, far from a gate."""
    signals = (4.0, 1.5, 1.5)
    train, held = draw(600, signals=signals), draw(200, signals=signals)
    bad = draw(6000, signals=signals, noisy=0, spread=4.0)
    reached = {}
    for strength in (0.0, 1.0, 100.0):
        probe = ConsistentProbe(lambdas=(strength,), penalties=(0.001,))
        fit(probe, train, held)
        # What the heads give the two classes in the units of the states.
        slopes = probe.heads_.weights[:, :, 1] - probe.heads_.weights[:, :, 0]
        expected = accuracy_of(slopes / probe.spread_.reshape(3, 4), spread=4.0)
        reached[strength] = probe.score(bad.side_by_side, bad.labels)
        assert reached[strength] == pytest.approx(expected, abs=0.015)
    even = norm.cdf(2 * 1.5 / np.sqrt(3.25) / np.sqrt(16 / 17 + 2 / 3.25))  # 0.909: equal weights
    assert reached[0.0] < reached[1.0] - 0.02
    assert reached[100.0] == pytest.approx(even, abs=0.03)
    gated = fit(ScaleEnsemble(), train, held).predict(bad.side_by_side, residuals=bad.residuals)
    assert (gated == bad.labels).mean() > max(reached.values()) + 0.03


def test_weights_chosen_on_clean_texts_rest_on_the_scale_that_breaks_unless_gated(draw):
    signals = (6.0, 1.5, 1.5)
    train, held = draw(600, signals=signals), draw(200, signals=signals)
    bad = draw(4000, signals=signals, noisy=0)
    ensemble = fit(ScaleEnsemble(), train, held)
    assert ensemble.weights_[0] > 0.9
    assert ensemble.score(bad.side_by_side, bad.labels) < 0.6
    gated = (ensemble.predict(bad.side_by_side, residuals=bad.residuals) == bad.labels).mean()
    assert gated == pytest.approx(norm.cdf(np.sqrt(2) * 1.5), abs=0.012)


def test_clean_validation_cannot_see_what_consistency_is_good_for_and_perturbed_validation_can(draw):
    signals = (4.0, 1.5, 1.5)
    train = draw(600, signals=signals)
    clean, bad = draw(400, signals=signals), draw(400, signals=signals, noisy=0, spread=4.0)
    chosen = [fit(ConsistentProbe(), train, held).lambda_ for held in (clean, bad)]
    assert chosen[0] == 0.0
    assert chosen[1] > 0.0


def test_unlabelled_states_bring_the_heads_together_where_they_lie(draw):
    signals = (4.0, 1.5, 1.5)
    train, held = draw(300, signals=signals), draw(100, signals=signals)
    others = draw(300, signals=signals, noisy=0, spread=4.0).side_by_side
    new = draw(500, signals=signals, noisy=0, spread=4.0).side_by_side
    between = []
    for unlabelled in (None, others):
        probe = ConsistentProbe(lambdas=(1.0,), penalties=(0.001,))
        probe.fit(train.side_by_side, train.labels, held_out=held, unlabelled=unlabelled)
        between.append(disagreement(probe.scale_log_probabilities(new))[0])
    assert between[1] < 0.8 * between[0]


def test_lambda_0_is_kept_where_agreement_tells_nothing(draw, rng):
    """Two scales are noise: over repeated draws lambda is mostly left at 0."""
    kept = []
    for _ in range(10):
        train, held = draw(150, signals=(2.0, 0.0, 0.0)), draw(100, signals=(2.0, 0.0, 0.0))
        kept.append(fit(ConsistentProbe(penalties=(0.1,), lambdas=(0.0, 1.0)), train, held).lambda_ == 0.0)
    assert sum(kept) >= 8


def test_a_larger_lambda_is_taken_only_beyond_its_standard_error(draw):
    """Agreement lowers the loss on validation by chance now and then: that alone is no reason to take it."""
    faint, refused = (0.2, 0.2, 0.2), 0
    for _ in range(12):
        train, held = draw(80, signals=faint), draw(40, signals=faint)
        probe = fit(ConsistentProbe(penalties=(0.001,), lambdas=(0.0, 0.03, 0.1)), train, held)
        losses = probe.validation_losses_
        assert set(losses) == {0.0, 0.03, 0.1}
        assert losses[probe.lambda_] <= losses[0.0]
        refused += probe.lambda_ == 0.0 and min(losses.values()) < losses[0.0]
    assert refused >= 2


def test_of_equally_good_penalties_the_strongest_is_taken(draw):
    held = draw(40)
    nothing = LabelledStates(scales={s: np.ones_like(a) for s, a in held.scales.items()}, labels=held.labels)
    probe = PlainProbe().fit(nothing.side_by_side, nothing.labels, held_out=nothing)
    assert probe.penalty_ == 1.0
    assert np.allclose(probe.predict_proba(nothing.side_by_side), 0.5)


def test_standard_error_over_documents_is_that_of_their_means_where_they_are_equally_large(rng):
    values = rng.normal(size=(20, 5)) + rng.normal(size=(20, 1))
    mean, error = document_mean(values.ravel(), np.repeat(np.arange(20), 5))
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(values.mean(axis=1).std(ddof=1) / np.sqrt(20))
    assert document_mean(np.ones(3), np.zeros(3))[1] == np.inf


def test_weights_of_the_pool_are_the_best_on_a_grid(rng):
    logits = rng.normal(size=(2, 300, 3))
    codes = rng.integers(0, 3, size=300)
    logits[0, np.arange(300), codes] += 2.0
    logits[1, np.arange(300), codes] += 1.0
    logs = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))

    def loss(w):
        mixed = w * logs[0] + (1 - w) * logs[1]
        mixed -= np.log(np.exp(mixed).sum(axis=1, keepdims=True))
        return -mixed[np.arange(300), codes].mean()

    grid = np.linspace(0, 1, 1001)
    best = grid[np.argmin([loss(w) for w in grid])]
    found = choose_weights(logs, codes)
    assert found.sum() == pytest.approx(1.0)
    assert found[0] == pytest.approx(best, abs=2e-3)


def test_the_gate_leaves_ordinary_samples_alone_and_turns_from_odd_scales(draw):
    held = draw(199)
    ensemble = fit(ScaleEnsemble(gate_level=0.1), draw(300), held)
    middle = np.median(held.residuals, axis=0)[None]
    assert np.allclose(ensemble.gated_weights(middle), ensemble.weights_)
    odd = middle.copy()
    odd[0, 1] = 1e6  # stranger than all 199: p = 1 / 200, gate = 0.05
    gate = np.array([1.0, 0.05, 1.0])
    expected = ensemble.weights_ * gate + 0.95 * ensemble.weights_[1] * gate / 2.05
    assert np.allclose(ensemble.gated_weights(odd)[0], expected)
    assert expected.sum() == pytest.approx(1.0)
    odd[0, 1] = held.residuals[:, 1].max()  # as strange as the strangest: p = 2 / 200
    gate[1] = 0.1
    expected = ensemble.weights_ * gate + 0.9 * ensemble.weights_[1] * gate / 2.1
    assert np.allclose(ensemble.gated_weights(odd)[0], expected)
    X = held.side_by_side
    assert np.allclose(
        ensemble.predict_proba(X, residuals=np.tile(middle, (199, 1))), ensemble.predict_proba(X)
    )


def test_the_gate_works_from_residuals_of_the_training_samples_too(draw):
    train = draw(200)
    ensemble = ScaleEnsemble().fit(
        train.side_by_side, train.labels, train.documents, residuals=train.residuals
    )
    assert len(ensemble.clean_residuals_) == 50
    with pytest.raises(ConfigError, match="give the residuals with the held-out texts"):
        ScaleEnsemble().fit(train.side_by_side, train.labels, held_out=draw(50), residuals=train.residuals)


def test_groups_work_with_scikit_learns_cross_validation(probe, draw):
    part = draw(200, per_document=4)
    scores = cross_val_score(probe, part.side_by_side, part.labels, groups=part.documents, cv=GroupKFold(3))
    assert scores.min() > 0.9


def test_labels_of_one_class_or_missing_are_an_error_with_counts(probe, draw):
    X = draw(20).side_by_side
    with pytest.raises(CorpusError, match=r"labels of 1 class came \(\{'a': 20\}\)"):
        probe.fit(X, ["a"] * 20)
    with pytest.raises(CorpusError, match="3 of 20 labels are missing"):
        probe.fit(X, ["a"] * 10 + [None] * 3 + ["b"] * 7)
    with pytest.raises(CorpusError, match="1 of 20 labels is missing"):
        probe.fit(X, [0.0] * 10 + [float("nan")] + [1.0] * 9)
    with pytest.raises(ShapeError, match="labels came with shape"):
        probe.fit(X, ["a", "b"])
    with pytest.raises(CorpusError, match="continuous"):
        probe.fit(X, np.linspace(0.1, 0.9, 20))
    with pytest.raises(ShapeError, match="y is None"):
        probe.fit(X, None)
    with pytest.raises(CorpusError, match="1 document came"):
        probe.fit(X, ["a", "b"] * 10, np.zeros(20))
    with pytest.raises(ShapeError, match="documents came with shape"):
        probe.fit(X, ["a", "b"] * 10, np.zeros(3))


def test_shapes_and_numbers_that_do_not_fit_are_an_error(probe, draw):
    train, held = draw(40), draw(20)
    X = train.side_by_side.copy()
    X[3, 2] = np.nan
    with pytest.raises(ShapeError, match="NaN at row 3, column 2"):
        probe.fit(X, train.labels)
    with pytest.raises(ShapeError):
        probe.fit(train.side_by_side[0], train.labels)
    fit(probe, train, held)
    with pytest.raises(ShapeError, match="12 features"):
        probe.predict(held.side_by_side[:, :6])
    with pytest.raises(CorpusError, match=r"validation texts hold labels .*'sideways': 20"):
        fit(probe, train, LabelledStates(scales=held.scales, labels=["sideways"] * 20))


def test_columns_that_cannot_be_divided_among_the_scales_are_an_error(rng):
    for probe in (ConsistentProbe(), ScaleEnsemble()):
        with pytest.raises(ShapeError, match="10 columns for 3 scales"):
            probe.fit(rng.normal(size=(20, 10)), ["a", "b"] * 10)


def test_residuals_that_do_not_fit_are_an_error(draw):
    train, held = draw(40), draw(20)
    ensemble = fit(ScaleEnsemble(), train, held)
    with pytest.raises(ShapeError, match=r"residuals came with shape \(20, 2\)"):
        ensemble.predict(held.side_by_side, residuals=held.residuals[:, :2])
    with pytest.raises(ShapeError, match="NaN"):
        ensemble.predict(held.side_by_side, residuals=np.full((20, 3), np.nan))
    bare = LabelledStates(scales=held.scales, labels=held.labels)
    with pytest.raises(ShapeError, match="saw none when fitted"):
        fit(ScaleEnsemble(), train, bare).predict(held.side_by_side, residuals=held.residuals)


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        (PlainProbe(penalties=()), "at least one, all above 0"),
        (PlainProbe(penalties=(0.0,)), "at least one, all above 0"),
        (PlainProbe(held_share=1.0), "a share between 0 and 1"),
        (PlainProbe(patience=0), "1 step or more"),
        (ConsistentProbe(n_scales=0), "n_scales 0 came"),
        (ConsistentProbe(lambdas=(-1.0,)), "none below 0"),
        (ConsistentProbe(lambdas=()), "at least one"),
        (ConsistentProbe(divergence="hellinger"), "expected 'kl' or 'js'"),
        (ScaleEnsemble(gate_level=0.0), "above 0 and at most 1"),
    ],
)
def test_impossible_settings_are_an_error(probe, message, draw):
    part = draw(20)
    with pytest.raises(ConfigError, match=message):
        probe.fit(part.side_by_side, part.labels)


def test_labelled_states_refuse_what_does_not_fit():
    with pytest.raises(ShapeError, match="states of 0 scales"):
        LabelledStates(scales={}, labels=[])
    with pytest.raises(ShapeError, match="expected one shape"):
        LabelledStates(scales={"local": np.zeros((2, 1)), "global": np.zeros((2, 2))}, labels=[0, 1])
    with pytest.raises(ShapeError, match="scale 'local' holds NaN"):
        LabelledStates(scales={"local": [[np.nan]]}, labels=[0])
    with pytest.raises(ShapeError, match="labels came with shape"):
        LabelledStates(scales={"local": np.zeros((2, 1))}, labels=[0])
    with pytest.raises(ShapeError, match="residuals came with shape"):
        LabelledStates(scales={"local": np.zeros((2, 1))}, labels=[0, 1], residuals=np.zeros((2, 3)))
    one = LabelledStates(scales={"local": np.zeros((2, 1))}, labels=[0, 1])
    other = LabelledStates(scales={"local": np.zeros((2, 2))}, labels=[0, 1])
    assert len(one.extended(one)) == 4
    with pytest.raises(ShapeError, match="expected the same"):
        one.extended(other)
