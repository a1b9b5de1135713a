"""Measures against the libraries that have them, and against slow twins that can be read beside the formula."""

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import scipy.stats
import torch
from sklearn.covariance import ledoit_wolf
from sklearn.cross_decomposition import CCA
from sklearn.feature_selection import mutual_info_regression
from sklearn.metrics import mutual_info_score, r2_score
from sklearn.neighbors import NearestNeighbors

from msma.measures import (
    canonical_correlations,
    cka,
    copula_transform,
    curvature,
    distance_correlation,
    gaussian_kl,
    gaussian_mi,
    histogram_mi,
    isotropy,
    ksg_mi,
    mle_dimension,
    mutual_knn_overlap,
    participation_ratio,
    procrustes_distance,
    pwcca,
    r2,
    svcca,
    twonn_dimension,
    wasserstein2_gaussian,
)
from msma.measures.neighbours import nearest_neighbours
from truths import DependentLaw, gaussian_kl_truth, informed_pair, shifted_pair


@pytest.fixture
def pair(rng):
    return informed_pair(rng, 80, 5, mi=2.0)


# divergence


def test_plugin_kl_is_the_textbook_formula(rng):
    x, y = shifted_pair(rng, 40, 5, kl=1.0, n_target=60)
    slow = gaussian_kl_truth(x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))
    assert gaussian_kl(x, y, estimator="plugin") == pytest.approx(slow, abs=1e-10)


def test_shrinkage_is_scikit_learns(rng):
    x, y = shifted_pair(rng, 20, 30, kl=1.0, n_target=35)
    slow = gaussian_kl_truth(x.mean(0), ledoit_wolf(x)[0], y.mean(0), ledoit_wolf(y)[0])
    assert gaussian_kl(x, y, estimator="shrinkage") == pytest.approx(slow, abs=1e-9)


def test_diagonal_is_a_sum_over_columns(rng):
    x, y = shifted_pair(rng, 40, 5, kl=1.0)
    slow = sum(
        np.log(q.std(ddof=1) / p.std(ddof=1))
        + (p.var(ddof=1) + (p.mean() - q.mean()) ** 2) / (2 * q.var(ddof=1))
        - 0.5
        for p, q in zip(x.T, y.T, strict=True)
    )
    assert gaussian_kl(x, y, estimator="diagonal") == pytest.approx(slow, abs=1e-10)


def test_paired_kl_is_its_formula_written_out(rng):
    x, y = DependentLaw(rng, 4, correlation=0.7).sample(rng, 30)
    n, d = x.shape
    nu = n - 1
    m = nu - d - 1
    xc, yc = x - x.mean(0), y - y.mean(0)
    scatter = yc.T @ yc
    slope = xc.T @ yc @ np.linalg.inv(scatter)
    residual = xc.T @ xc - slope @ scatter @ slope.T
    t4 = m / (nu - d) * np.trace(np.linalg.solve(scatter, residual))
    t1 = m * np.trace(np.linalg.solve(scatter, slope @ scatter @ slope.T))
    t1 = (t1 + np.trace(slope) ** 2 + np.trace(slope @ slope) - (d + 2 / m) * t4) / nu
    delta = y.mean(0) - x.mean(0)
    quadratic = m * delta @ np.linalg.solve(scatter, delta) - (t1 + t4 + d - 2 * np.trace(slope)) / n
    determinants = np.linalg.slogdet(scatter)[1] - np.linalg.slogdet(xc.T @ xc)[1]
    slow = 0.5 * (t1 + t4 + quadratic - d + determinants)
    assert gaussian_kl(x, y, estimator="paired") == pytest.approx(slow, abs=1e-10)


def test_transport_is_the_formula_with_matrix_roots(rng):
    x, y = shifted_pair(rng, 40, 5, kl=1.0, n_target=60)
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(cov_x)
    cross = scipy.linalg.sqrtm(root @ cov_y @ root)
    slow = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov_x + cov_y - 2 * cross).real
    assert wasserstein2_gaussian(x, y) == pytest.approx(np.sqrt(slow), abs=1e-8)


# information


def test_plugin_mi_is_that_of_the_determinants_and_of_the_canonical_correlations(pair):
    x, y = pair
    joint = np.cov(np.hstack([x, y]), rowvar=False)
    parts = joint[:5, :5], joint[5:, 5:], joint
    first, second, both = (np.linalg.slogdet(part)[1] for part in parts)
    assert gaussian_mi(x, y, corrected=False) == pytest.approx(0.5 * (first + second - both), abs=1e-10)
    correlations = canonical_correlations(x, y)
    assert gaussian_mi(x, y, corrected=False) == pytest.approx(-0.5 * np.log(1 - correlations**2).sum())


def test_copula_scores_are_scipys(pair):
    x = np.round(pair[0], 1)  # with ties
    ranks = scipy.stats.rankdata(x, axis=0)
    assert copula_transform(x) == pytest.approx(scipy.stats.norm.ppf(ranks / (len(x) + 1)), abs=1e-12)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_ksg_is_scikit_learns_in_one_dimension(rng, k):
    x, y = informed_pair(rng, 400, 1, mi=0.7)
    theirs = mutual_info_regression(x, y.ravel(), n_neighbors=k, random_state=0)[0]
    assert ksg_mi(x, y, k=k) == pytest.approx(theirs, abs=1e-6)


def test_ksg_is_its_formula_by_brute_force(rng):
    x, y = informed_pair(rng, 120, 3, mi=1.0)
    x, y = (part / part.std(axis=0) for part in (x, y))
    gaps_x, gaps_y = (np.abs(part[:, None] - part[None]).max(axis=2) for part in (x, y))
    radius = np.sort(np.maximum(gaps_x, gaps_y), axis=1)[:, 4]
    counts = [(gaps < radius[:, None]).sum(axis=1) - 1 for gaps in (gaps_x, gaps_y)]
    psi = scipy.special.digamma
    slow = psi(4) + psi(120) - np.mean(psi(counts[0] + 1) + psi(counts[1] + 1))
    assert ksg_mi(x, y, k=4) == pytest.approx(slow, abs=1e-10)


def test_histogram_is_scikit_learns_score_of_the_table(pair):
    x, y = pair
    table = np.histogram2d(x.ravel(), y.ravel(), bins=64)[0]
    theirs = mutual_info_score(None, None, contingency=table)
    assert histogram_mi(x, y) == pytest.approx(theirs, abs=1e-10)


# similarity


def slow_hsic(gram_x, gram_y):
    """Song et al. 2012, equation 5, as printed."""
    n = len(gram_x)
    k, l_ = gram_x - np.diag(np.diag(gram_x)), gram_y - np.diag(np.diag(gram_y))
    one = np.ones(n)
    totals = (one @ k @ one) * (one @ l_ @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ l_) + totals - 2 / (n - 2) * one @ k @ l_ @ one) / (n * (n - 3))


@pytest.mark.parametrize("shape", [(60, 5), (20, 50)])
def test_debiased_cka_is_its_formula_on_gram_matrices(rng, shape):
    x, y = rng.normal(size=shape) + 3, rng.normal(size=shape)
    y = y + x
    grams = x @ x.T, y @ y.T
    own = slow_hsic(grams[0], grams[0]) * slow_hsic(grams[1], grams[1])
    assert cka(x, y) == pytest.approx(slow_hsic(*grams) / np.sqrt(own), abs=1e-10)


@pytest.mark.parametrize("shape", [(60, 5), (20, 50)])
def test_plain_cka_is_its_formula_on_centred_gram_matrices(rng, shape):
    x, y = rng.normal(size=shape) + 3, rng.normal(size=shape)
    centring = np.eye(shape[0]) - 1 / shape[0]
    first, second = (centring @ part @ part.T @ centring for part in (x, y))
    slow = (first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum())
    assert cka(x, y, debiased=False) == pytest.approx(slow, abs=1e-10)


def test_canonical_correlations_are_scikit_learns(rng):
    x, y = informed_pair(rng, 300, 3, mi=2.0)
    variates = CCA(n_components=3, max_iter=5000, tol=1e-12).fit_transform(x, y)
    theirs = [np.corrcoef(a, b)[0, 1] for a, b in zip(variates[0].T, variates[1].T, strict=True)]
    assert canonical_correlations(x, y) == pytest.approx(theirs, abs=1e-5)


def slow_variates(x):
    return np.linalg.svd(x - x.mean(0), full_matrices=False)


def test_svcca_is_its_recipe(rng):
    x, y = (part * np.geomspace(1, 0.05, 5) for part in informed_pair(rng, 80, 5, mi=2.0))
    kept = []
    for part in (x, y):
        left, sizes, _ = slow_variates(part)
        share = np.cumsum(sizes**2) / (sizes**2).sum()
        kept.append(left[:, : int(np.searchsorted(share, 0.99)) + 1])
    assert kept[0].shape[1] < 5
    assert svcca(x, y) == pytest.approx(np.linalg.svd(kept[0].T @ kept[1])[1].mean(), abs=1e-10)


def test_pwcca_is_its_recipe(pair):
    x, y = pair
    left_x, left_y = slow_variates(x)[0], slow_variates(y)[0]
    turn, correlations, _ = np.linalg.svd(left_x.T @ left_y)
    variates = left_x @ turn
    weights = np.abs(variates.T @ (x - x.mean(0))).sum(axis=1)
    assert pwcca(x, y) == pytest.approx((weights * correlations).sum() / weights.sum(), abs=1e-10)


def test_procrustes_is_scipys_disparity(pair):
    assert procrustes_distance(*pair) == pytest.approx(scipy.spatial.procrustes(*pair)[2], abs=1e-12)


@pytest.mark.parametrize(
    ("weights", "theirs"), [("variance", "variance_weighted"), ("uniform", "uniform_average")]
)
def test_r2_is_scikit_learns(pair, weights, theirs):
    x, y = pair
    assert r2(x, y, weights=weights) == pytest.approx(r2_score(y, x, multioutput=theirs), abs=1e-12)


# neighbours and geometry


def test_neighbours_are_scikit_learns(rng):
    x = rng.normal(size=(300, 6)) + 10
    theirs = NearestNeighbors(n_neighbors=8).fit(x).kneighbors(return_distance=False)
    assert nearest_neighbours(torch.from_numpy(x), k=8).tolist() == theirs.tolist()


def test_overlap_is_that_of_sets(pair):
    near = [NearestNeighbors(n_neighbors=10).fit(part).kneighbors(return_distance=False) for part in pair]
    slow = np.mean([len({*a.tolist()} & {*b.tolist()}) / 10 for a, b in zip(*near, strict=True)])
    assert mutual_knn_overlap(*pair) == pytest.approx(slow)


def test_isotropy_is_isoscore_step_by_step(rng):
    x = rng.normal(size=(90, 6)) * np.geomspace(1, 0.1, 6)
    d = x.shape[1]
    variances = np.linalg.eigvalsh(np.cov(x, rowvar=False))  # the diagonal after projecting on components
    normed = np.sqrt(d) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(normed - 1) / np.sqrt(2 * (d - np.sqrt(d)))
    share = (d - defect**2 * (d - np.sqrt(d))) ** 2 / d**2
    assert isotropy(x, corrected=False) == pytest.approx((d * share - 1) / (d - 1), abs=1e-10)


def test_participation_ratio_is_that_of_the_spectrum(rng):
    x = rng.normal(size=(90, 6)) * np.geomspace(1, 0.1, 6)
    spectrum = np.linalg.eigvalsh(np.cov(x, rowvar=False))
    slow = spectrum.sum() ** 2 / (spectrum**2).sum()
    assert participation_ratio(x, corrected=False) == pytest.approx(slow, abs=1e-10)


def test_dimensions_are_their_formulas_by_loops(rng):
    x = rng.normal(size=(100, 3))
    distances = np.sort(scipy.spatial.distance.cdist(x, x), axis=1)[:, 1:]
    inverses = [sum(np.log(row[6] / row[j]) for j in range(6)) / 6 for row in distances]
    assert mle_dimension(x, k=7) == pytest.approx(1 / np.mean(inverses), abs=1e-9)
    ratios = np.sort(np.log(distances[:, 1] / distances[:, 0]))
    total = ratios[:90].sum() + 10 * ratios[89]
    assert twonn_dimension(x) == pytest.approx(89 / total, abs=1e-9)


def test_curvature_is_an_ordinary_least_squares_fit(rng):
    """One neighbourhood at a time, with the coefficients' covariance written out."""
    u = rng.uniform(-1, 1, size=(60, 2))
    x = np.column_stack([u, u[:, 0] ** 2 - 0.5 * u[:, 0] * u[:, 1], 0.1 * rng.normal(size=60)])
    squares = []
    near = NearestNeighbors(n_neighbors=20).fit(x).kneighbors(return_distance=False)
    for own in near:
        left, sizes, _ = slow_variates(x[own])
        (a, b), normal = (left * sizes)[:, :2].T, (left * sizes)[:, 2:]
        design = np.column_stack([np.ones(20), a, b, a * a / 2, a * b, b * b / 2])
        fit, *_ = np.linalg.lstsq(design, normal, rcond=None)
        noise = ((normal - design @ fit) ** 2).sum() / (20 - 6)
        spread = np.diag(np.linalg.inv(design.T @ design))[3:]
        weights = np.array([1, 2, 1])
        squares.append(((weights @ fit[3:] ** 2).sum() - noise * (weights @ spread)) / 2)
    mean = np.mean(squares)
    found = curvature(x, dimension=2, k=20)
    assert found.value == pytest.approx(np.sign(mean) * np.sqrt(abs(mean)), abs=1e-9)


def waves(n, d, *, squared):
    i, j = np.arange(float(n))[:, None], np.arange(float(d))[None]
    x = np.sin(i * (j + 1))
    return (x + 50, np.cos(i * i + j) + 50) if squared else (x, x**2 + np.cos(i + j))


# What dcor 0.7 gives on these waves, unbiased and biased. It is not called here: it compiles itself through numba
# when imported, which takes half a minute and has brought a test worker down.
@pytest.mark.parametrize(
    ("shape", "squared", "unbiased", "biased"),
    [
        ((40, 3), False, 0.48800014940992215, 0.7520191450698901),
        ((20, 50), True, -0.13812250150448666, 0.6592722530892581),
    ],
)
def test_distance_correlation_is_dcors(shape, squared, unbiased, biased):
    x, y = waves(*shape, squared=squared)
    assert distance_correlation(x, y) == pytest.approx(unbiased, abs=1e-10)
    assert distance_correlation(x, y, debiased=False) == pytest.approx(biased, abs=1e-10)


def test_distance_correlation_is_that_of_whole_matrices_over_many_blocks_far_from_the_origin(rng):
    x, y = (part + 50.0 for part in informed_pair(rng, 2500, 3, mi=0.5))

    def centred(points):
        """U-centred distances (Szekely and Rizzo 2014, definition 2), without the diagonal."""
        a = scipy.spatial.distance.cdist(points, points)
        n = len(a)
        rows = a.sum(0) / (n - 2)
        a = a - rows[:, None] - rows[None] + a.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(a, 0.0)
        return a

    a, b = centred(x), centred(y)
    expected = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    assert distance_correlation(x, y) == pytest.approx(expected, abs=1e-10)
