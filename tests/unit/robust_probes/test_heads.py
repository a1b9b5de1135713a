"""The consistency term, its gradient, and what the joint objective's minimum must be."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.special import rel_entr, softmax
from scipy.stats import entropy
from sklearn.linear_model import LogisticRegression

from msma.robust_probes import disagreement
from msma.robust_probes.heads import JointObjective, pool


@pytest.fixture
def logits(rng):
    return 2.0 * rng.normal(size=(3, 7, 4))


def test_symmetrised_kl_agrees_with_a_loop_over_samples_and_pairs(logits):
    p = softmax(logits, axis=2)
    found = [
        0.5 * entropy(p[s, i], p[t, i]) + 0.5 * entropy(p[t, i], p[s, i])
        for s, t in ((0, 1), (0, 2), (1, 2))
        for i in range(7)
    ]
    assert disagreement(logits)[0] == pytest.approx(np.mean(found), abs=1e-12)


def test_jensen_shannon_agrees_with_a_loop_and_stays_below_log_2(logits):
    p = softmax(logits, axis=2)
    found = []
    for s, t in ((0, 1), (0, 2), (1, 2)):
        middle = (p[s] + p[t]) / 2
        found.append(0.5 * (rel_entr(p[s], middle) + rel_entr(p[t], middle)).sum(axis=1))
    assert disagreement(logits, divergence="js")[0] == pytest.approx(np.mean(found), abs=1e-12)
    opposed = np.array([[[500.0, 0.0]], [[0.0, 500.0]]])
    assert disagreement(opposed, divergence="js")[0] == pytest.approx(np.log(2))


@pytest.mark.parametrize("divergence", ["kl", "js"])
def test_heads_that_agree_have_neither_disagreement_nor_gradient(logits, divergence):
    same = (
        np.repeat(logits[:1], 3, axis=0) + np.array([0.0, 5.0, -3.0])[:, None, None]
    )  # a shift means nothing
    value, gradient = disagreement(same, divergence=divergence)
    assert value == pytest.approx(0.0, abs=1e-14)
    assert np.abs(gradient).max() < 1e-14


def test_a_single_head_cannot_disagree(logits):
    value, gradient = disagreement(logits[:1])
    assert value == 0.0
    assert not gradient.any()


@pytest.mark.parametrize("divergence", ["kl", "js"])
def test_gradient_of_the_disagreement_equals_finite_differences(logits, divergence):
    error = check_grad(
        lambda flat: disagreement(flat.reshape(3, 7, 4), divergence=divergence)[0],
        lambda flat: disagreement(flat.reshape(3, 7, 4), divergence=divergence)[1].ravel(),
        logits.ravel(),
    )
    assert error < 1e-6


@pytest.mark.parametrize("divergence", ["kl", "js"])
@pytest.mark.parametrize("has_unlabelled", [False, True])
def test_gradient_of_the_objective_equals_finite_differences(rng, divergence, has_unlabelled):
    objective = JointObjective(
        views=rng.normal(size=(3, 8, 2)),
        codes=rng.integers(0, 3, size=8),
        n_classes=3,
        penalty=0.3,
        strength=2.0,
        divergence=divergence,
        unlabelled=rng.normal(size=(3, 5, 2)) if has_unlabelled else None,
    )
    flat = rng.normal(size=objective.n_parameters)
    error = check_grad(lambda w: objective.evaluate(w)[0], lambda w: objective.evaluate(w)[1], flat)
    assert error < 1e-5


def test_without_consistency_the_heads_are_scikit_learns_logistic_regressions(rng):
    views, codes = rng.normal(size=(3, 90, 4)), np.arange(90) % 3
    views[:, :, 0] += codes
    heads = JointObjective(views=views, codes=codes, n_classes=3, penalty=0.05).minimise()
    for s in range(3):
        alone = LogisticRegression(C=1 / (0.05 * 90), tol=1e-10, max_iter=5000).fit(views[s], codes)
        found = np.exp(heads.log_probabilities(views)[s])
        assert np.abs(found - alone.predict_proba(views[s])).max() < 1e-4


def test_unlabelled_states_do_not_count_without_consistency(rng):
    views, codes = rng.normal(size=(2, 40, 3)), np.arange(40) % 2
    common = {"views": views, "codes": codes, "n_classes": 2, "penalty": 0.1}
    first = JointObjective(**common).minimise()
    second = JointObjective(**common, unlabelled=rng.normal(size=(2, 30, 3))).minimise()
    assert np.array_equal(first.weights, second.weights)


def test_stronger_consistency_never_raises_disagreement_nor_lowers_the_rest(rng):
    views, codes = rng.normal(size=(3, 60, 3)), np.arange(60) % 2
    views[0, :, 0] += 2.0 * codes
    between, rest = [], []
    for strength in (0.0, 0.1, 1.0, 10.0):
        heads = JointObjective(
            views=views, codes=codes, n_classes=2, penalty=0.1, strength=strength
        ).minimise()
        flat = np.concatenate([heads.weights, heads.offsets[:, None, :]], axis=1).ravel()
        between.append(disagreement(heads.log_probabilities(views))[0])
        rest.append(JointObjective(views=views, codes=codes, n_classes=2, penalty=0.1).evaluate(flat)[0])
    assert between == sorted(between, reverse=True)
    assert rest == sorted(rest)
    assert between[-1] < 0.1 * between[0]


def test_stopping_early_goes_back_to_the_best_step_on_held_out_samples(rng):
    views, codes = rng.normal(size=(1, 30, 40)), np.arange(30) % 2
    held = (
        rng.normal(size=(1, 200, 40)),
        np.arange(200) % 2,
    )  # labels mean nothing: every step makes it worse
    objective = JointObjective(views=views, codes=codes, n_classes=2, penalty=1e-3)

    def loss(heads):
        logs = pool(heads.log_probabilities(held[0]))
        return -logs[np.arange(200), held[1]].mean()

    stopped, minimum = objective.minimise(validation=held, patience=3), objective.minimise()
    assert stopped.n_steps < minimum.n_steps
    assert loss(stopped) < loss(minimum)


def test_the_pool_is_the_normalised_product_of_powers(rng):
    p = softmax(rng.normal(size=(3, 5, 4)), axis=2)
    weights = np.array([0.5, 0.2, 0.3])
    product = np.prod(p ** weights[:, None, None], axis=0)
    assert np.allclose(np.exp(pool(np.log(p), weights)), product / product.sum(axis=1, keepdims=True))
    assert np.allclose(pool(np.log(p), np.tile(weights, (5, 1))), pool(np.log(p), weights))
