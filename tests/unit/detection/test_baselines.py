"""The baselines do what their formulas say, and calibrate on the samples the residuals calibrate on."""

import numpy as np
import pytest

from msma.corpora import split_documents
from msma.detection import (
    AnomalyDetector,
    MahalanobisDetector,
    NeighbourDetector,
    RarityDetector,
    SurpriseDetector,
    compare_detectors,
)
from msma.errors import ConfigError, CorpusError, ShapeError


@pytest.fixture
def X(rng):
    return rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)) + 2.0


def fitting_rows(n, seed=0):
    parts = split_documents(list(range(n)), seed=seed, fractions=(0.5, 0.25, 0.25))
    return np.sort(np.concatenate([parts["train"], parts["validation"]])), parts["test"]


def test_mahalanobis_orders_samples_by_the_textbook_distance_of_a_block(X, rng):
    rows, new = X[fitting_rows(200)[0]][:, 2:4], rng.normal(size=(50, 6)) * 3
    precision = np.linalg.inv(np.cov(rows.T))
    centred = new[:, 2:4] - rows.mean(axis=0)
    distances = np.einsum("ij,jk,ik->i", centred, precision, centred)
    scores = MahalanobisDetector(n_blocks=3, block=1, shrinkage=0.0).fit(X).score_samples(new)
    assert (np.argsort(-scores) == np.argsort(distances)).all()
    backwards = MahalanobisDetector(n_blocks=3, block=-2, shrinkage=0.0).fit(X).score_samples(new)
    assert (backwards == scores).all()


def test_the_worst_block_is_the_lowest_of_the_blocks_scores(X):
    single = [MahalanobisDetector(n_blocks=3, block=b).fit(X).score_samples(X) for b in range(3)]
    worst = MahalanobisDetector(n_blocks=3, block="max").fit(X).score_samples(X)
    assert (worst == np.min(single, axis=0)).all()


@pytest.mark.parametrize("k", [1, 7])
def test_neighbours_are_those_found_by_looking_at_all(X, rng, k):
    kept, new = X[fitting_rows(200)[0]], rng.normal(size=(20, 6))
    unit = kept / np.linalg.norm(kept, axis=1)[:, None]
    expected = [-sorted(np.linalg.norm(unit - x / np.linalg.norm(x), axis=1))[k - 1] for x in new]
    detector = NeighbourDetector(k=k).fit(X)
    assert detector.score_samples(new) == pytest.approx(expected)
    assert detector.score_samples(np.tile(new, (60, 1)))[-20:] == pytest.approx(expected)  # in several pieces
    assert np.isfinite(detector.score_samples(np.zeros((1, 6)))).all()


def test_surprise_is_handed_through():
    nats = np.linspace(1.0, 5.0, 100)[:, None]
    detector = SurpriseDetector(alpha=0.1).fit(nats)
    assert (detector.score_samples(nats) == -nats[:, 0]).all()


def test_rarity_is_the_mean_over_words_of_smoothed_frequencies():
    texts = ["a a b"] * 150 + ["a c c"] * 50
    kept = [texts[i] for i in fitting_rows(200)[0]]
    words = " ".join(kept).split()
    counts = {word: words.count(word) for word in "abc"}
    total = len(words) + 3 + 1
    rarity = {word: np.log(total) - np.log(count + 1) for word, count in counts.items()}
    detector = RarityDetector().fit(texts)
    expected = [-(rarity["a"] + rarity["b"]) / 2, -np.log(total), -(2 * rarity["c"] + np.log(total)) / 3]
    assert detector.score_samples(["A b", "zebra", "c c !"]) == pytest.approx(expected)
    assert detector.score_samples([["a", "b"], ["zebra"], ["c", "c", "!"]]) == pytest.approx(expected)
    as_ids = RarityDetector().fit([[ord(w) for w in text.split()] for text in texts])
    assert as_ids.score_samples([[97, 98]]) == pytest.approx(expected[:1])


def test_rarity_does_not_see_the_order_of_words():
    texts = [f"the word {i % 7} stood here" for i in range(100)]
    detector = RarityDetector(alpha=0.1).fit(texts)
    assert detector.score_samples(["here stood word the 3"]) == pytest.approx(
        detector.score_samples(["the word 3 stood here"])
    )


def test_all_detectors_of_a_seed_calibrate_on_the_same_samples(X):
    held = fitting_rows(200, seed=4)[1]
    options = {"alpha": 0.1, "seed": 4}
    for detector, data in (
        (AnomalyDetector(**options), X),
        (MahalanobisDetector(**options), X),
        (NeighbourDetector(**options), X),
        (SurpriseDetector(**options), X[:, :1]),
    ):
        detector.fit(data)
        assert detector.calibration_.scores == pytest.approx(np.sort(detector.score_samples(data[held])))
        flagged = detector.p_values(data) <= 0.1 + 1e-12
        assert (detector.predict(data) == np.where(flagged, -1, 1)).all()
        assert (detector.decision_function(data) == detector.score_samples(data) - detector.offset_).all()
        assert detector.fit_predict(data).shape == (200,)


def test_one_function_compares_them_all(X, rng):
    far = rng.normal(size=(80, 6)) * 6
    clean = X[:80]
    detectors = {
        "residuals": AnomalyDetector(),
        "distance": MahalanobisDetector(),
        "neighbours": NeighbourDetector(),
    }
    fits = {name: detector.fit(X) for name, detector in detectors.items()}
    scores = {name: (found.score_samples(clean), found.score_samples(far)) for name, found in fits.items()}
    result = compare_detectors(scores, n_resamples=50)
    assert {row.map for row in result} == set(detectors)
    assert result.value("auroc", map="distance") > 0.9


def test_impossible_requests_are_refused(X):
    with pytest.raises(ShapeError, match="4 blocks cannot share"):
        MahalanobisDetector(n_blocks=4).fit(X)
    for block in (3, -4, "worst"):
        with pytest.raises(ConfigError, match="expected 'max' or one of 3 blocks"):
            MahalanobisDetector(n_blocks=3, block=block).fit(X)
    for k in (0, 151):
        with pytest.raises(ConfigError, match="for 150 clean samples"):
            NeighbourDetector(k=k).fit(X)
    with pytest.raises(ShapeError, match="6 columns; expected one"):
        SurpriseDetector().fit(X)
    with pytest.raises(ShapeError, match="NaN"):
        SurpriseDetector().fit(np.full((100, 1), np.nan))
    with pytest.raises(CorpusError, match="single string"):
        RarityDetector().fit("a text")
    with pytest.raises(CorpusError, match="text 1 has no token"):
        RarityDetector().fit(["a text", " "] * 50)
