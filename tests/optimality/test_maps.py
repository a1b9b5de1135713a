"""Every closed form is the optimum it claims to be, by means independent of how it was computed."""

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
from sklearn.linear_model import Ridge

from msma.linalg import polar_rotation
from msma.maps import IdentityMap, MeanShiftMap, ProcrustesMap, ReducedRankMap, RidgeMap, TransportMap
from msma.maps.penalty import RidgeProblem, gcv_errors, loo_errors
from msma.moments import CrossMoments


def paired(rng, n=60, d_source=5, d_target=4, noise=0.5):
    source = rng.normal(size=(n, d_source)) @ rng.normal(size=(d_source, d_source)) + 3.0
    target = source @ rng.normal(size=(d_source, d_target)) + noise * rng.normal(size=(n, d_target)) - 1.0
    return source, target


def ridge_loss(source, target, coef, intercept, alpha):
    return ((target - source @ coef - intercept) ** 2).sum() + alpha * (coef**2).sum()


@pytest.mark.parametrize("alpha", [0.0, 0.1, 10.0, 1e3])
def test_ridge_is_sklearns_ridge(rng, alpha):
    source, target = paired(rng)
    ours, theirs = RidgeMap(alpha=alpha).fit(source, target), Ridge(alpha=alpha).fit(source, target)
    np.testing.assert_allclose(ours.coef_, theirs.coef_.T, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("alpha", [0.5, 20.0])
def test_ridge_is_sklearns_ridge_with_fewer_samples_than_dimensions(rng, alpha):
    source, target = paired(rng, n=8, d_source=30, d_target=12)
    ours, theirs = (
        RidgeMap(alpha=alpha).fit(source, target),
        Ridge(alpha=alpha, solver="svd").fit(source, target),
    )
    np.testing.assert_allclose(ours.coef_, theirs.coef_.T, atol=1e-9)


def test_ridge_without_penalty_is_the_solution_of_least_norm(rng):
    source, target = paired(rng, n=8, d_source=30, d_target=3)
    fitted = RidgeMap(alpha=0.0).fit(source, target)
    np.testing.assert_allclose(fitted.transform(source), target, atol=1e-8)
    least = np.linalg.pinv(source - source.mean(axis=0)) @ (target - target.mean(axis=0))
    np.testing.assert_allclose(fitted.coef_, least, atol=1e-8)


@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_the_gradient_vanishes_at_the_ridge_map_and_did_not_before(rng, alpha):
    torch = pytest.importorskip("torch")
    source, target = paired(rng)
    fitted = RidgeMap(alpha=alpha).fit(source, target)
    x, y = torch.from_numpy(source), torch.from_numpy(target)

    def gradient(coef, intercept):
        coef, intercept = (torch.tensor(part, requires_grad=True) for part in (coef, intercept))
        loss = ((y - x @ coef - intercept) ** 2).sum() + alpha * (coef**2).sum()
        loss.backward()
        return float(coef.grad.norm() + intercept.grad.norm())

    before = gradient(np.zeros_like(fitted.coef_), target.mean(axis=0))
    assert before > 1.0
    assert gradient(fitted.coef_, fitted.intercept_) < 1e-10 * before


def test_no_perturbation_of_the_ridge_map_does_better(rng):
    source, target = paired(rng)
    fitted = RidgeMap(alpha=3.0).fit(source, target)
    best = ridge_loss(source, target, fitted.coef_, fitted.intercept_, 3.0)
    for size in (1e-3, 1e-1):
        for _ in range(20):
            coef = fitted.coef_ + size * rng.normal(size=fitted.coef_.shape)
            intercept = fitted.intercept_ + size * rng.normal(size=fitted.intercept_.shape)
            assert ridge_loss(source, target, coef, intercept, 3.0) > best


def leave_one_out(source, target, alpha):
    errors = []
    for i in range(len(source)):
        rest = np.arange(len(source)) != i
        model = Ridge(alpha=alpha, solver="svd").fit(source[rest], target[rest])
        errors.append(((target[i] - model.predict(source[[i]])[0]) ** 2).sum())
    return np.mean(errors)


@pytest.mark.parametrize(("n", "d_source"), [(25, 4), (10, 20)])
def test_leave_one_out_is_exact(rng, n, d_source):
    source, target = paired(rng, n=n, d_source=d_source, d_target=3, noise=2.0)
    problem = RidgeProblem.from_moments(CrossMoments.from_batch(source, target))
    alphas = np.geomspace(1e-2, 1e3, 6)
    brute = [leave_one_out(source, target, alpha) for alpha in alphas]
    halves = [(source[:7], target[:7]), (source[7:], target[7:])]
    np.testing.assert_allclose(loo_errors(problem, halves, alphas), brute, rtol=1e-8)


@pytest.mark.parametrize(("n", "d_source", "noise"), [(25, 4, 0.1), (25, 10, 20.0), (12, 20, 5.0)])
def test_the_chosen_strength_is_the_best_by_brute_force(rng, n, d_source, noise):
    source, target = paired(rng, n=n, d_source=d_source, d_target=3, noise=noise)
    fitted = RidgeMap().fit(source, target)
    assert fitted.alpha_rule_ == "leave-one-out"
    spectrum = np.linalg.eigvalsh(np.cov(source, rowvar=False) * (n - 1))
    grid = np.geomspace(
        max(1e-10 * spectrum[-1], 1e-2 * spectrum[-min(n - 1, d_source)]), 10 * spectrum[-1], 20
    )
    best = min(leave_one_out(source, target, alpha) for alpha in grid)
    assert leave_one_out(source, target, fitted.alpha_) <= best * (1 + 1e-3)


def test_generalised_cross_validation_agrees_with_its_definition(rng):
    source, target = paired(rng, n=15, d_source=4, d_target=3)
    centred = source - source.mean(axis=0)
    problem = RidgeProblem.from_moments(CrossMoments.from_batch(source, target))
    for alpha in (0.1, 10.0):
        hat = np.ones((15, 15)) / 15 + centred @ np.linalg.solve(
            centred.T @ centred + alpha * np.eye(4), centred.T
        )
        expected = ((target - hat @ target) ** 2).sum() / 15 / (1 - np.trace(hat) / 15) ** 2
        np.testing.assert_allclose(gcv_errors(problem, np.array([alpha])), [expected])


def test_strengths_from_moments_and_from_rows_are_near(rng):
    source, target = paired(rng, n=400, d_source=20, d_target=6, noise=30.0)
    from_rows = RidgeMap().fit(source, target)
    from_moments = RidgeMap().fit_moments(CrossMoments.from_batch(source, target))
    assert from_moments.alpha_rule_ == "generalised cross-validation"
    assert abs(np.log10(from_rows.alpha_ / from_moments.alpha_)) <= 0.5


@pytest.mark.parametrize("alpha", [0.0, 5.0])
@pytest.mark.parametrize("rank", [1, 2, 4])
def test_reduced_rank_equals_an_independent_svd_solution(rng, alpha, rank):
    source, target = paired(rng)
    x, y = source - source.mean(axis=0), target - target.mean(axis=0)
    x = np.vstack([x, np.sqrt(alpha) * np.eye(5)])
    y = np.vstack([y, np.zeros((5, 4))])
    full = np.linalg.lstsq(x, y, rcond=None)[0]
    axes = np.linalg.svd(x @ full, full_matrices=False)[2][:rank]
    fitted = ReducedRankMap(rank=rank, alpha=alpha).fit(source, target)
    np.testing.assert_allclose(fitted.coef_, full @ axes.T @ axes, atol=1e-9)
    assert np.linalg.matrix_rank(fitted.coef_) == rank


def test_full_rank_is_ridge(rng):
    source, target = paired(rng)
    full, ridge = (
        ReducedRankMap(rank=4, alpha=2.0).fit(source, target),
        RidgeMap(alpha=2.0).fit(source, target),
    )
    np.testing.assert_allclose(full.coef_, ridge.coef_, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rank", [1, 3, 6])
def test_a_planted_rank_is_found(seed, rank):
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(600, 12))
    target = source @ rng.normal(size=(12, rank)) @ rng.normal(size=(rank, 10)) + rng.normal(size=(600, 10))
    assert abs(ReducedRankMap().fit(source, target).rank_ - rank) <= 1


@pytest.mark.parametrize("alpha", [0.0, 50.0])
def test_the_chosen_rank_minimises_its_criterion(alpha):
    rng = np.random.default_rng(0)
    source, weights = rng.normal(size=(60, 8)), rng.normal(size=(8, 7)) * np.geomspace(3.0, 0.03, 7)
    target = source @ weights + 2 * rng.normal(size=(60, 7))
    spectrum = np.linalg.eigvalsh(np.cov(source, rowvar=False) * 59)
    shrinkage = (spectrum / (spectrum + alpha)).mean()
    errors = []
    for rank in range(1, 8):
        mapped = ReducedRankMap(rank=rank, alpha=alpha).fit(source, target).transform(source)
        left = 60 * 7 - 7 - rank * (8 + 7 - rank) * shrinkage
        errors.append(((target - mapped) ** 2).sum() / left**2)
    chosen = ReducedRankMap(alpha=alpha).fit(source, target)
    assert chosen.rank_ == 1 + np.argmin(errors)
    assert 1 < chosen.rank_ < len(errors)


def test_the_planted_rank_predicts_better_than_full_rank():
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 30))
    source, target = (rng.normal(size=(120, 30)) for _ in range(2))
    held = rng.normal(size=(2000, 30))
    target = source @ weights + 5 * target
    truth = held @ weights
    reduced, ridge = ReducedRankMap().fit(source, target), RidgeMap().fit(source, target)
    assert reduced.score(held, truth) > ridge.score(held, truth)


def test_procrustes_agrees_with_scipy(rng):
    source, target = rng.normal(size=(30, 4)), rng.normal(size=(30, 4))
    x, y = source - source.mean(axis=0), target - target.mean(axis=0)
    rotation, nuclear = scipy.linalg.orthogonal_procrustes(x, y)
    fitted = ProcrustesMap().fit(source, target)
    np.testing.assert_allclose(fitted.rotation_, rotation, atol=1e-10)
    np.testing.assert_allclose(fitted.scale_, nuclear / (x**2).sum())
    disparity = scipy.spatial.procrustes(target, source)[2]
    np.testing.assert_allclose(1 - fitted.score(source, target), disparity)
    np.testing.assert_allclose(ProcrustesMap(scaling=False).fit(source, target).coef_, rotation, atol=1e-10)


@pytest.mark.parametrize(("d_source", "d_target"), [(4, 4), (3, 6)])
@pytest.mark.parametrize("scaling", [True, False])
def test_no_other_rotation_or_scale_does_better(rng, d_source, d_target, scaling):
    source, target = paired(rng, d_source=d_source, d_target=d_target, noise=2.0)
    fitted = ProcrustesMap(scaling=scaling).fit(source, target)
    best = fitted.score(source, target)
    x, centre = source - source.mean(axis=0), target.mean(axis=0)
    for _ in range(40):
        rotation = polar_rotation(fitted.rotation_ + 0.1 * rng.normal(size=fitted.rotation_.shape))
        scale = fitted.scale_ * np.exp(0.1 * rng.normal()) if scaling else 1.0
        error = ((target - centre - scale * x @ rotation) ** 2).sum()
        assert 1 - error / ((target - centre) ** 2).sum() <= best


def test_towards_a_narrower_target_procrustes_is_the_padded_optimum(rng):
    source, target = paired(rng, d_source=6, d_target=3)
    x, y = source - source.mean(axis=0), target - target.mean(axis=0)
    padded = np.hstack([y, np.zeros((len(y), 3))])
    rotation = scipy.linalg.orthogonal_procrustes(x, padded)[0][:, :3]
    fitted = ProcrustesMap().fit(source, target)
    np.testing.assert_allclose(fitted.rotation_, rotation, atol=1e-10)
    np.testing.assert_allclose(fitted.rotation_.T @ fitted.rotation_, np.eye(3), atol=1e-12)
    errors = [((y - s * fitted.scale_ * x @ rotation) ** 2).sum() for s in (0.99, 1.0, 1.01)]
    assert np.argmin(errors) == 1


@pytest.mark.parametrize("kind", [ProcrustesMap, RidgeMap, ReducedRankMap])
def test_a_planted_rotation_is_recovered(rng, kind):
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    source = rng.normal(size=(80, 5))
    fitted = kind().fit(source, 2.0 * source @ rotation + 7.0)
    np.testing.assert_allclose(
        fitted.coef_, 2.0 * rotation, rtol=0, atol=2e-2 if kind is not ProcrustesMap else 1e-12
    )
    held = rng.normal(size=(20, 5))
    assert fitted.score(held, 2.0 * held @ rotation + 7.0) > 0.9999


def test_transport_carries_the_one_law_exactly_to_the_other(rng):
    source, target = paired(rng, d_source=5, d_target=5)
    fitted = TransportMap().fit(source, target)
    mapped = fitted.transform(source)
    np.testing.assert_allclose(mapped.mean(axis=0), target.mean(axis=0), atol=1e-10)
    np.testing.assert_allclose(
        np.cov(mapped, rowvar=False), np.cov(target, rowvar=False), rtol=1e-8, atol=1e-8
    )
    assert (fitted.coef_ == fitted.coef_.T).all()
    assert np.linalg.eigvalsh(fitted.coef_)[0] > 0


def test_transport_between_commuting_covariances_is_the_known_one(rng):
    axes = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    white = rng.normal(size=(50, 4))
    white = (white - white.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T
    s, t = np.array([1.0, 2.0, 3.0, 4.0]), np.array([5.0, 1.0, 0.5, 8.0])
    fitted = TransportMap().fit((white * s) @ axes.T, (white[::-1] * t) @ axes.T)
    np.testing.assert_allclose(fitted.coef_, (axes * (t / s)) @ axes.T, atol=1e-10)


def test_no_other_map_between_the_two_laws_moves_less(rng):
    source, target = paired(rng, d_source=4, d_target=4)
    fitted = TransportMap().fit(source, target)
    x = source - source.mean(axis=0)
    y = target.mean(axis=0) - source.mean(axis=0)
    least = ((x @ fitted.coef_ + y - x) ** 2).sum()
    # every linear map from one law to the other is C1^(-1/2) Q C2^(1/2) for an orthogonal Q
    c1, c2 = np.cov(source, rowvar=False), np.cov(target, rowvar=False)
    left, right = np.linalg.inv(np.linalg.cholesky(c1)).T, np.linalg.cholesky(c2).T
    for _ in range(50):
        other = left @ np.linalg.qr(rng.normal(size=(4, 4)))[0] @ right
        assert ((x @ other + y - x) ** 2).sum() >= least - 1e-9
    # ... and Bures-Wasserstein agrees
    root = scipy.linalg.sqrtm(c1).real
    bures = np.trace(c1 + c2 - 2 * scipy.linalg.sqrtm(root @ c2 @ root).real)
    np.testing.assert_allclose(least / (len(x) - 1), bures + (y @ y) * len(x) / (len(x) - 1), rtol=1e-8)


def test_transport_onto_itself_is_the_identity_even_when_ill_conditioned(rng):
    source = rng.normal(size=(200, 6)) * np.geomspace(1e5, 1.0, 6)
    np.testing.assert_allclose(TransportMap().fit(source, source).coef_, np.eye(6), atol=1e-4)


def test_mean_shift_is_the_best_translation(rng):
    source, target = paired(rng, d_source=4, d_target=4)
    fitted = MeanShiftMap().fit(source, target)
    np.testing.assert_allclose((fitted.transform(source) - target).mean(axis=0), 0.0, atol=1e-10)
    assert fitted.score(source, target) > IdentityMap().fit(source, target).score(source, target)
