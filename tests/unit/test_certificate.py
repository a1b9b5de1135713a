"""The certificate: bounds hold where the truth is known, fail when weakened, and say what they assume."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from scipy.optimize import brentq

from msma import certificate as certificates
from msma import plotting
from msma.alignment import Alignment
from msma.certificate import (
    Certificate,
    certify,
    compose_errors,
    distortion_rate,
    error_floor,
    kl_upper_bound,
    mean_limits,
    measure_stretch,
    resolution,
    shannon_lower_bound,
    smoothed_gaussian_kl,
    smoothed_kl_lower_bound,
    wasserstein2_scores,
)
from msma.errors import ConfigError, CorpusError, OriginError, ShapeError, StorageError
from msma.maps import BaseMap, IdentityMap, ProcrustesMap, RidgeMap
from msma.measures import wasserstein2_gaussian
from msma.plotting import plot_certificate
from msma.results import Row
from msma.scales import ScalePartition
from msma.states import HiddenStates
from truths import DependentLaw, gaussian_kl_truth, random_covariance

PARTITION = ScalePartition.thirds(3)
BLURS = np.array([0.3, 1.0, 3.0])


def smoothed_truth(law, sigma):
    """KL of a DependentLaw's smoothed sides, by the textbook."""
    d = len(law.shift)
    blur = sigma**2 * np.eye(d)
    return gaussian_kl_truth(
        law.shift, law.covariance[:d, :d] + blur, np.zeros(d), law.covariance[d:, d:] + blur
    )


def error_truth(law):
    """E||x - y||^2 of a DependentLaw."""
    d = len(law.shift)
    cross = law.covariance[:d, d:]
    return law.shift @ law.shift + np.trace(law.covariance) - 2 * np.trace(cross)


def transport_truth(law):
    d = len(law.shift)
    values, vectors = np.linalg.eigh(law.covariance[:d, :d])
    root = (vectors * np.sqrt(values)) @ vectors.T
    inner = np.linalg.eigvalsh(root @ law.covariance[d:, d:] @ root)
    return law.shift @ law.shift + np.trace(law.covariance) - 2 * np.sqrt(inner).sum()


class MissedMean:
    """x = y + shift, nearly: through a wide blur the bound is within a few percent of the truth."""

    def __init__(self, rng, d):
        self.shift = rng.normal(size=d)
        eye = np.eye(d)
        self.covariance = np.block([[(1 + 1e-4) * eye, eye], [eye, eye]])

    def sample(self, rng, n):
        y, noise = rng.normal(size=(2, n, len(self.shift)))
        return y + 0.01 * noise + self.shift, y


TIGHT = MissedMean(np.random.default_rng(9), 6)
LAWS = [DependentLaw(np.random.default_rng(i), 6, correlation=c) for i, c in enumerate((0.2, 0.6, 0.9, 0.99))]
LAWS.append(TIGHT)


# Limits of a mean


def test_documents_are_the_units():
    rng = np.random.default_rng(0)
    values = rng.exponential(size=40)
    once = mean_limits(values, np.arange(40))
    repeated = mean_limits(np.repeat(values, 25), np.repeat(np.arange(40), 25))
    assert repeated == pytest.approx(once)


def test_a_limit_is_ordered_and_grows_with_confidence():
    values = np.random.default_rng(1).exponential(size=60)
    limits = [mean_limits(values, np.arange(60), confidence=c) for c in (0.5, 0.8, 0.95, 0.99)]
    assert all(a.limit < b.limit for a, b in pairwise(limits))
    assert limits[2].low < limits[2].value < limits[2].limit < limits[2].high


def test_documents_of_unequal_size_weigh_by_their_samples():
    values = np.array([1.0, 1.0, 1.0, 5.0])
    assert mean_limits(values, np.array([0, 0, 0, 1])).value == 2.0


def test_a_mean_without_spread_has_no_width():
    assert mean_limits(np.full(5, 2.0), np.arange(5)) == (2.0, 2.0, 2.0, 2.0)


def test_skewed_errors_are_covered_better_than_by_students_limit():
    from scipy.stats import t

    ours = student = 0
    for seed in range(150):
        values = np.exp(np.random.default_rng(seed).normal(size=30))
        ours += mean_limits(values, np.arange(30), seed=seed).limit >= np.exp(0.5)
        reach = t.ppf(0.95, 29) * values.std(ddof=1) / np.sqrt(30)
        student += values.mean() + reach >= np.exp(0.5)
    assert ours >= 0.85 * 150
    assert ours > student


def test_a_limit_refuses_what_it_cannot_use():
    with pytest.raises(ConfigError, match=r"confidence=1\.0 came"):
        mean_limits(np.ones(4), np.arange(4), confidence=1.0)
    with pytest.raises(ShapeError, match="1 document came"):
        mean_limits(np.ones(4), np.zeros(4, dtype=int))


# Upper bounds


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("sigma", BLURS)
def test_both_bounds_hold_in_the_population_and_the_surrogate_is_tighter(law, sigma):
    truth = smoothed_truth(law, sigma)
    paired = kl_upper_bound(error_truth(law), sigma)
    surrogate = kl_upper_bound(transport_truth(law), sigma)
    assert truth <= surrogate <= paired


def hold_rate(bound):
    """Share of draws in which the certified limit is above the truth at every blur."""
    held = total = 0
    for law in LAWS:
        truths = np.array([smoothed_truth(law, sigma) for sigma in BLURS])
        for draw in range(20):
            x, y = law.sample(np.random.default_rng((draw, 1)), 60)
            limit = mean_limits(((x - y) ** 2).sum(axis=1), np.arange(60), seed=draw).limit
            held += all(bound(limit, s) >= t for s, t in zip(BLURS, truths, strict=True))
            total += 1
    return held / total


def test_the_certified_limit_holds_in_almost_every_draw():
    assert hold_rate(kl_upper_bound) >= 0.99


def test_half_the_bound_would_be_caught():
    """The check above can fail."""
    assert hold_rate(lambda error, sigma: 0.5 * kl_upper_bound(error, sigma)) < 0.9


def test_the_bound_is_within_a_stated_factor():
    """Where means differ; where only shapes do, it is as loose as docs/certificate.md says."""
    ratios = [kl_upper_bound(error_truth(TIGHT), s) / smoothed_truth(TIGHT, s) for s in (1.0, 3.0, 10.0)]
    assert ratios == pytest.approx([2.0, 1.111, 1.01], rel=1e-3)


SHAPES = {
    "normal": np.random.default_rng(0).normal(size=400),
    "heavy": np.random.default_rng(1).standard_t(3, size=400),
    "uniform": np.random.default_rng(2).uniform(-2, 2, size=400),
    "laplace": np.random.default_rng(3).laplace(size=400),
    "bumps": np.random.default_rng(4).choice([-3.0, 3.0], size=400)
    + 0.1 * np.random.default_rng(5).normal(size=400),
}


def quadrature_kl(first, second, sigma):
    grid = np.linspace(-12 - 9 * sigma, 12 + 9 * sigma, 6001)

    def log_density(atoms):
        terms = -0.5 * ((grid[:, None] - atoms) / sigma) ** 2
        peak = terms.max(axis=1)
        return peak + np.log(np.exp(terms - peak[:, None]).mean(axis=1)) - np.log(sigma * np.sqrt(2 * np.pi))

    p, q = log_density(first), log_density(second)
    return trapezoid(np.exp(p) * (p - q), grid)


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.4, 2.0])
def test_the_bound_holds_for_laws_that_are_not_gaussian(sigma):
    for name, first in SHAPES.items():
        for other, second in SHAPES.items():
            if name == other:
                continue
            first, second = np.clip(first, -10, 10), np.clip(second, -10, 10)
            truth = quadrature_kl(first, second, sigma)
            for coupled in (second, np.sort(second)):  # any pairing, and the best one
                pairs = np.sort(first) if coupled is not second else first
                assert truth <= kl_upper_bound(float(((pairs - coupled) ** 2).mean()), sigma) * (1 + 1e-9)
            assert truth > 0


def test_the_gaussian_surrogate_may_fail_where_the_laws_are_not_gaussian():
    """So it is never what is certified: two laws with one mean and variance have no W2 between their fits."""
    bumps = np.concatenate([np.full(200, -1.0), np.full(200, 1.0)])
    normal = np.random.default_rng(0).normal(size=400)
    normal = (normal - normal.mean()) / normal.std()
    surrogate = wasserstein2_scores(bumps[:, None], normal[:, None]).mean()
    assert kl_upper_bound(max(surrogate, 0.0), 0.3) < 1e-6 < quadrature_kl(bumps, normal, 0.3)


def test_surrogate_scores_average_to_the_distance(rng):
    x, y = rng.normal(size=(2, 60, 4))
    y = y @ random_covariance(rng, 4) + 1.0
    assert wasserstein2_scores(x, y).mean() == pytest.approx(wasserstein2_gaussian(x, y) ** 2)
    few = wasserstein2_scores(x[:3], y[:3]).mean()  # fewer samples than dimensions
    assert few == pytest.approx(wasserstein2_gaussian(x[:3], y[:3]) ** 2)


@pytest.mark.parametrize("law", LAWS[:4])
def test_the_surrogate_is_biased_upward_by_few_samples(law):
    found = [wasserstein2_scores(*law.sample(np.random.default_rng(s), 15)).mean() for s in range(300)]
    truth = transport_truth(law)
    assert np.mean(found) - truth > 2 * np.std(found) / np.sqrt(300)


def test_the_surrogates_interval_covers():
    law, hits = LAWS[2], 0
    for seed in range(60):
        x, y = law.sample(np.random.default_rng(seed), 100)
        limits = mean_limits(wasserstein2_scores(x, y), np.arange(100), seed=seed)
        hits += limits.limit >= transport_truth(law)
    assert hits >= 54


def test_bounds_refuse_what_they_cannot_use():
    with pytest.raises(ConfigError, match=r"sigma=0\.0 came"):
        kl_upper_bound(1.0, 0.0)
    with pytest.raises(ConfigError, match="nats=0 came"):
        resolution(1.0, nats=0)
    with pytest.raises(ShapeError, match="expected one shape"):
        wasserstein2_scores(np.ones((4, 2)), np.ones((4, 3)))
    assert kl_upper_bound(3.0, resolution(3.0)) == pytest.approx(1.0)
    assert kl_upper_bound(3.0, resolution(3.0, nats=0.1)) == pytest.approx(0.1)


# The divergence in between


@pytest.mark.parametrize("law", LAWS[:3])
@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_the_estimate_is_unbiased_at_few_samples(law, sigma):
    found = []
    for seed in range(150):
        x, y = law.sample(np.random.default_rng(seed), 30)
        found.append(smoothed_gaussian_kl(x, y, np.arange(30) % 2, sigma=sigma, n_draws=2, seed=seed).value)
    assert np.mean(found) == pytest.approx(smoothed_truth(law, sigma), abs=4 * np.std(found) / np.sqrt(150))


def test_the_same_noise_on_both_sides_makes_equal_samples_read_zero(rng):
    x = rng.normal(size=(50, 3))
    assert abs(smoothed_gaussian_kl(x, x, np.arange(50) % 5, sigma=2.0).value) < 1e-10


def test_the_lower_bound_is_below_the_truth_and_the_limit_above():
    law = LAWS[0]
    truth = smoothed_truth(law, 1.0)
    lower, upper = [], []
    for seed in range(8):
        x, y = law.sample(np.random.default_rng(seed), 300)
        lower.append(smoothed_kl_lower_bound(x, y, np.arange(300), sigma=1.0, seed=seed).value)
        upper.append(kl_upper_bound(mean_limits(((x - y) ** 2).sum(axis=1), np.arange(300)).limit, 1.0))
    assert 0.2 * truth < np.mean(lower) < truth + 2 * np.std(lower) / np.sqrt(8)
    assert truth < min(upper)


def test_estimates_refuse_a_blur_of_zero(rng):
    x = rng.normal(size=(50, 2))
    for function in (smoothed_gaussian_kl, smoothed_kl_lower_bound):
        with pytest.raises(ConfigError, match="sigma=-1"):
            function(x, x, np.arange(50) % 20, sigma=-1.0)


# The floor


def test_the_floor_is_the_least_error_of_any_map_for_isotropic_pairs():
    for noise in (0.01, 0.5, 4.0):
        left = noise / (1 + noise)  # y from y + noise
        assert distortion_rate(np.ones(5), -2.5 * np.log(left)) == pytest.approx(5 * left)


def test_the_floor_is_at_most_what_the_best_map_leaves(rng):
    for _ in range(20):
        joint = random_covariance(rng, 8)
        cov_x, cross, cov_y = joint[:4, :4], joint[:4, 4:], joint[4:, 4:]
        left = cov_y - cross.T @ np.linalg.solve(cov_x, cross)
        rate = 0.5 * (np.linalg.slogdet(cov_y)[1] - np.linalg.slogdet(left)[1])
        assert 0 < distortion_rate(np.linalg.eigvalsh(cov_y), rate) <= np.trace(left) * (1 + 1e-9)


def test_water_filling_agrees_with_a_root_finder(rng):
    for rate in (0.0, 0.1, 1.0, 5.0, 40.0):
        spectrum = rng.exponential(size=7) ** 3

        def spent(log_level, spectrum=spectrum):
            return 0.5 * np.log(np.maximum(spectrum / np.exp(log_level), 1)).sum()

        level = brentq(lambda v, rate=rate: spent(v) - rate, -80, np.log(spectrum.max()), xtol=1e-13)
        assert distortion_rate(spectrum, rate) == pytest.approx(np.minimum(spectrum, np.exp(level)).sum())


def test_the_floor_is_concave_in_the_covariance_and_convex_in_the_rate(rng):
    for _ in range(50):
        first, second = random_covariance(rng, 5) ** 1, random_covariance(rng, 5) * rng.exponential()
        rate = 3 * rng.exponential()
        mixed = distortion_rate(np.linalg.eigvalsh((first + second) / 2), rate)
        parts = [distortion_rate(np.linalg.eigvalsh(part), rate) for part in (first, second)]
        assert mixed >= np.mean(parts) * (1 - 1e-12)
        spectrum = np.linalg.eigvalsh(first)
        assert distortion_rate(spectrum, rate) <= 0.5 * (
            distortion_rate(spectrum, 0.5 * rate) + distortion_rate(spectrum, 1.5 * rate)
        ) * (1 + 1e-12)


def test_shannons_bound_is_below_and_met_at_high_rates(rng):
    spectrum = rng.exponential(size=5)
    assert shannon_lower_bound(spectrum, 0.1) < distortion_rate(spectrum, 0.1)
    assert shannon_lower_bound(spectrum, 30.0) == pytest.approx(distortion_rate(spectrum, 30.0))


def test_the_floor_refuses_what_is_no_spectrum():
    with pytest.raises(ShapeError, match="0 values came"):
        distortion_rate(np.zeros(0), 1.0)
    with pytest.raises(ShapeError, match="1 of them not above 0"):
        shannon_lower_bound(np.array([1.0, 0.0]), 1.0)
    assert distortion_rate(np.zeros(3), 1.0) == 0.0
    assert distortion_rate(np.ones(3), -1.0) == 3.0  # a negative estimate is no information


def test_a_given_information_brings_its_own_interval(rng):
    x, noise = rng.normal(size=(2, 400, 2))

    class Found:
        low, high = 0.5, 0.9

        def __float__(self):
            return 0.7

    groups, shuffle = np.arange(400) % 5, np.arange(400)[::-1]
    plain = error_floor(x, x + noise, x, groups, shuffle=shuffle, information=lambda a, b: 0.7)
    full = error_floor(x, x + noise, x, groups, shuffle=shuffle, information=lambda a, b: Found())
    assert plain.error.value == full.error.value
    assert not plain.has_intervals
    assert full.error.low < full.error.value < full.error.high
    assert full.headroom.low < full.headroom.value < full.headroom.high


# Two maps one after the other


class WavyMap(BaseMap):
    """f(x) = x + a sin(x): slope at most 1 + a, second derivative at most a."""

    kind = "wavy"

    def __init__(self, *, a=0.5):
        self.a = a

    def _fit_rows(self, X, y):
        self.n_features_in_ = X.shape[1]
        self.seen_ = X[:1]

    @property
    def _n_features_out(self):
        return self.n_features_in_

    def _forward(self, X):
        return X + self.a * np.sin(X)

    def _forward_tensor(self, X):
        return X + self.a * torch.sin(X)

    def _backward(self, X):
        return X


class OpaqueMap(WavyMap):
    """The same, but tensors leave the graph on their way."""

    kind = "opaque"

    def _forward_tensor(self, X):
        return X.new_tensor(self._forward(X.detach().numpy()))


def test_an_affine_map_stretches_by_its_spectral_norm(rng):
    x = rng.normal(size=(50, 3))
    map_ = RidgeMap(alpha=1e-9).fit(x, x @ np.diag([1.0, 2.0, 3.0]))
    found = measure_stretch(map_, x, x)
    assert found.lipschitz == pytest.approx(3.0, rel=1e-6)
    assert (found.bend, found.is_exact) == (0.0, True)


def test_a_curved_map_is_measured_and_bounds_what_it_does(rng):
    b = rng.normal(size=(200, 3))
    a = b + 0.4 * rng.normal(size=(200, 3))
    map_ = WavyMap().fit(b, b)
    found = measure_stretch(map_, b, a)
    assert found.lipschitz == pytest.approx(1.5, abs=0.02)
    assert found.lipschitz <= 1.5
    assert 0.2 < found.bend <= 0.5
    assert not found.is_exact
    moved = np.linalg.norm(map_.transform(a) - map_.transform(b), axis=1)
    length = np.linalg.norm(a - b, axis=1)
    assert (moved <= found.lipschitz * length + 0.5 * found.bend * length**2).all()


def test_a_map_that_cannot_be_differentiated_has_no_constant(rng):
    x = rng.normal(size=(20, 2))
    assert measure_stretch(OpaqueMap().fit(x, x), x, x + 1) is None
    same = measure_stretch(WavyMap().fit(x, x), x, x)  # nothing moved, so nothing bends
    assert same.bend == 0.0


@pytest.mark.parametrize("second", [RidgeMap(alpha=1.0), ProcrustesMap(), WavyMap(a=0.3)])
def test_composed_errors_bound_the_error_of_the_composition(second, rng):
    deep = rng.normal(size=(400, 3))
    middle = np.tanh(deep) @ random_covariance(rng, 3) + 0.3 * rng.normal(size=(400, 3))
    shallow = middle + 0.4 * np.sin(middle) + 0.2 * rng.normal(size=(400, 3))
    first = RidgeMap(alpha=1.0).fit(deep, middle)
    second.fit(middle, shallow)
    half = first.transform(deep)
    errors = [((half - middle) ** 2).sum(axis=1), ((second.transform(middle) - shallow) ** 2).sum(axis=1)]
    stretch = measure_stretch(second, middle, half)
    bends = 0.5 * stretch.bend * np.sqrt((errors[0] ** 2).mean())
    bound = compose_errors(errors[0].mean(), errors[1].mean(), lipschitz=stretch.lipschitz, bends=bends)
    carried = ((second.transform(half) - second.transform(middle)) ** 2).sum(axis=1).mean()
    between = compose_errors(carried, errors[1].mean(), lipschitz=1.0)
    measured = ((second.transform(half) - shallow) ** 2).sum(axis=1).mean()
    assert measured <= between <= bound


# The whole


def make_states(rng, *, n=900, d=4, noise=0.5, sentences=3):
    """Global ~ N(0, I); intermediate = global + noise; local = intermediate + noise."""
    z = rng.normal(size=(n, d))
    y = z + noise * rng.normal(size=(n, d))
    x = y + noise * rng.normal(size=(n, d))
    return HiddenStates.from_arrays(np.stack([x, y, z]), documents=[str(i // sentences) for i in range(n)])


@pytest.fixture(scope="module")
def certified():
    train, _, test = make_states(np.random.default_rng(0), n=3000).split()
    alignment = Alignment(RidgeMap(alpha=1e-6)).fit(train, PARTITION)
    return certify(alignment, test, sigmas=[0.3, 1.0, 3.0])


PAIRED = {
    *("kl_certified", "sigma", "resolution", "resolution_share", "error", "error_certified"),
    *("kl_upper", "kl_upper_gaussian", "kl_smoothed", "kl_smoothed_lower"),
    *("information", "error_floor", "headroom"),
}
COMPOSED = {"error_propagated", "error_composed", "kl_certified_composed"}


def test_every_pair_has_every_term_with_its_assumption(certified):
    for pair in certified.pairs:
        rows = certified.table.where(source=pair[0], target=pair[1]).rows
        last = COMPOSED if pair == ("global", "local") else {"lipschitz"}
        assert {row.metric for row in rows} == PAIRED | last
        for row in rows:
            assert row.value is not None, row
            assert row.note, row
            assert row.units
            assert (row.map, row.split, row.n) == ("ridge", "test", 600)
            if row.low is not None:
                assert row.low <= row.value <= row.high, row
            if row.metric in PAIRED - {"sigma"}:
                assert row.null is not None, row


def test_numbers_are_those_of_the_closed_form(certified):
    pair = {"source": "global", "target": "intermediate"}
    error = certified.row("error", **pair)
    assert error.low < 4 * 0.25 < error.high
    assert error.null > 4
    sigma = certified.value("sigma", **pair)
    assert sigma == pytest.approx(np.sqrt(1.25), rel=0.05)
    # x = E[y | z] ~ N(0, I) and y ~ N(0, 1.25 I), both seen through the blur
    truth = 4 * 0.5 * ((1 + 1.25) / 2.5 - 1 - np.log((1 + 1.25) / 2.5))
    estimate = certified.row("kl_smoothed", **pair)
    assert estimate.low - 0.01 < truth < estimate.high + 0.01
    assert certified.value("kl_upper", **pair) == pytest.approx(1 / (2 * 1.25), rel=0.1)
    surrogate = 4 * (np.sqrt(1.25) - 1) ** 2 / (2 * 1.25)
    assert certified.value("kl_upper_gaussian", **pair) == pytest.approx(surrogate, rel=0.3)
    floor = certified.row("error_floor", **pair)
    assert floor.low < 1.0 < floor.high
    assert certified.value("headroom", **pair) == pytest.approx(1.0, abs=0.1)
    information = certified.row("information", **pair)
    assert information.value == pytest.approx(2 * np.log(5), abs=0.3)
    assert abs(information.null) < 0.2


def test_the_bracket_is_in_order(certified):
    for point in certified.curve:
        assert point.lower_low <= point.certified
        assert point.estimate_low <= point.certified
        assert point.gaussian <= point.upper <= point.certified <= point.null
        assert point.upper_low < point.upper < point.certified < point.upper_high
    for pair in certified.pairs:
        points = [p for p in certified.curve if (p.source, p.target) == pair]
        assert [p.share for p in points] == [0.3, 1.0, 3.0]
        assert [p.is_chosen for p in points] == [False, True, False]
        assert all(a.certified > b.certified for a, b in pairwise(points))
        assert [p.n_directions for p in points][::2] == [4, 0]


def test_parts_guarantee_more_error_than_there_is(certified):
    pair = {"source": "global", "target": "local"}
    measured, propagated, composed = (
        certified.value(name, **pair) for name in ("error", "error_propagated", "error_composed")
    )
    assert measured <= propagated <= composed
    assert certified.row("error_composed", **pair).high > composed
    assert certified.value("kl_certified_composed", **pair) > certified.value("kl_certified", **pair)


def test_saved_certificates_come_back_equal(certified, tmp_path):
    path = certified.save(tmp_path / "certificate.json")
    assert Certificate.load(path) == certified
    (tmp_path / "other.json").write_text(json.dumps({"rows": []}))
    with pytest.raises(StorageError, match="does not hold a certificate"):
        Certificate.load(tmp_path / "other.json")


def test_sentences_say_what_is_certified(certified):
    text = certified.describe()
    assert text.count("\n\n") == 2
    assert "From global to intermediate, 600 held-out samples" in text
    assert "95 % confidence" in text
    assert "None" not in text
    assert "nan" not in text
    assert "From its two maps alone" in text.split("\n\n")[2]


def test_a_certificate_is_a_table_and_a_figure(certified):
    frame = certified.to_frame()
    assert len(frame) == len(certified) == len(list(certified)) == len(certified.rows)
    assert "<table>" in certified._repr_html_()
    axes = certified.plot()
    assert [panel.get_title(loc="left") for panel in axes.child_axes] == [
        *("global → intermediate", "intermediate → local", "global → local")
    ]
    axes.get_figure(root=True).canvas.draw()
    with pytest.raises(ShapeError, match="0 points"):
        plot_certificate([])


@pytest.mark.parametrize("width", [plotting.COLUMN, plotting.PAGE])
def test_the_figure_follows_the_house(certified, width):
    axes = plot_certificate(certified.curve, width=width)
    assert axes.get_figure(root=True).get_size_inches()[0] == pytest.approx(width)
    svg = plotting.to_inline_svg(axes, name="x", title="t", description="d")
    assert not re.search(r"#[0-9a-fA-F]{6}\b", svg)
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)]
    assert min(sizes) * 4 / 3 >= 10


def test_nothing_is_certified_on_texts_that_were_fitted_on(rng):
    train, _, test = make_states(rng).split()
    alignment = Alignment().fit(train, PARTITION)
    with pytest.raises(CorpusError, match=f"{len(train)} of {len(train)} samples to be certified on were"):
        certify(alignment, train)
    with pytest.raises(CorpusError, match="9 held-out samples of 3 documents"):
        certify(alignment, test.subset(np.arange(9)))
    with pytest.raises(ConfigError, match=r"sigma=0\.0 came"):
        certify(alignment, test, sigmas=[0.0])
    with pytest.raises(ConfigError, match="sigma=-2"):
        certify(alignment, test, sigma=-2.0)
    with pytest.raises(ConfigError, match=r"confidence=1\.5 came"):
        certify(alignment, test, confidence=1.5)
    with pytest.raises(OriginError):
        certify(Alignment(), test)


def test_few_samples_are_projected_and_what_is_missing_is_said(rng):
    train, _, test = make_states(rng, n=150, d=30).split()
    alignment = Alignment().fit(train, PARTITION)
    found = certify(alignment, test, sigmas=[1.0])
    pair = {"source": "global", "target": "intermediate"}
    assert "5 leading of 30 directions" in found.row("kl_smoothed", **pair).note
    assert "5 leading of 30 directions" in found.row("error_floor", **pair).note
    assert found.value("kl_certified", **pair) > 0
    fewer = certify(alignment, test.subset(np.arange(24)), sigmas=[1.0])
    row = fewer.row("kl_smoothed_lower", **pair)
    assert row.value is None
    assert "too few" in row.note
    assert "None" not in fewer.describe()
    fewer.plot().get_figure(root=True).canvas.draw()


def test_a_perfect_map_is_certified_for_nothing_at_all(rng):
    z = rng.normal(size=(400, 3))
    states = HiddenStates.from_arrays(np.stack([z, z, z]))
    train, _, test = states.split()
    found = certify(Alignment(IdentityMap()).fit(train, PARTITION), test, sigmas=[1.0])
    pair = {"source": "global", "target": "local"}
    assert found.value("kl_certified", **pair) == 0.0
    assert found.value("resolution", **pair) == 0.0
    assert abs(found.value("kl_smoothed", **pair)) < 1e-9
    assert found.value("error_floor", **pair) is None  # infinite information
    assert "infinite" in found.row("error_floor", **pair).note
    found.plot().get_figure(root=True).canvas.draw()
    assert found.describe()


def test_one_document_that_holds_the_error_is_pointed_out(rng):
    states = make_states(rng, n=300, sentences=1)
    layers = states.layers([0, 1, 2]).astype(np.float64)
    layers[1, -1] += 100.0
    wild = HiddenStates.from_arrays(layers)
    train, _, test = wild.split(seed=next(s for s in range(50) if 299 in wild.split(seed=s).test.positions))
    found = certify(Alignment().fit(train, PARTITION), test, sigmas=[1.0])
    assert "one document holds" in found.row("error", source="global", target="intermediate").note


def test_many_samples_are_thinned_and_seeds_fix_everything(rng, monkeypatch):
    monkeypatch.setattr(certificates.run, "_MOST_SAMPLES", 60)
    train, _, test = make_states(rng, n=600, sentences=1).split()
    alignment = Alignment().fit(train, PARTITION)
    found = certify(alignment, test, sigmas=[1.0])
    assert {row.n for row in found} == {60}
    assert found == certify(alignment, test, sigmas=[1.0])


@pytest.mark.slow
def test_curved_maps_are_certified_with_what_was_seen(rng):
    train, _, test = make_states(rng, sentences=1).split()
    found = certify(Alignment(WavyMap(a=0.3)).fit(train, PARTITION), test, sigmas=[1.0])
    assert "not a proof" in found.row("lipschitz", source="intermediate", target="local").note
    assert "M/2" in found.row("error_composed").note
    assert found.value("bend") > 0  # of the second map alone
    opaque = certify(Alignment(OpaqueMap()).fit(train, PARTITION), test, sigmas=[1.0])
    assert opaque.value("lipschitz", source="intermediate", target="local") is None
    assert opaque.value("error_propagated") > 0
    assert not opaque.table.where(metric="error_composed").rows


@pytest.mark.slow
def test_both_directions_are_certified_each_with_its_own_parts(rng):
    train, _, test = make_states(rng, n=450, sentences=1).split()
    decoding = (("global", "intermediate"), ("intermediate", "local"))
    pairs = tuple((b, a) for a, b in decoding) + decoding
    found = certify(Alignment(WavyMap(a=0.3), pairs=pairs).fit(train, PARTITION), test, sigmas=[1.0])
    alone = certify(Alignment(WavyMap(a=0.3)).fit(train, PARTITION), test, sigmas=[1.0])
    assert len(found.pairs) == 6
    for source, target in (("global", "local"), ("local", "global")):
        assert found.value("error_composed", source=source, target=target) > 0
    for name in COMPOSED:
        assert found.value(name, source="global", target="local") == alone.value(name)


def test_rows_are_plain_rows(certified):
    assert all(isinstance(row, Row) for row in certified)
