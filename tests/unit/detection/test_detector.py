"""Cross-scale residuals see samples whose scales do not belong together, which no scale alone can."""

import warnings
from functools import cache

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from msma._types import PAIRS, SCALES
from msma.alignment import Alignment
from msma.detection import (
    AnomalyDetector,
    CrossScaleResiduals,
    MahalanobisDetector,
    NeighbourDetector,
    auroc,
    stack_scales,
)
from msma.detection.residuals import split_scales
from msma.errors import ConfigError, CorpusError, ScaleError, ShapeError, StorageError
from msma.maps import ALL_MAPS, ProcrustesMap, RidgeMap
from msma.scales import ScalePartition
from msma.states import HiddenStates
from msma.storage import write_tensors

D = 12
BOTH_WAYS = (*PAIRS, ("local", "intermediate"), ("intermediate", "global"))


def draw(seed, n):
    """Three scales that are linear in each other up to noise."""
    fixed, rng = np.random.default_rng(99), np.random.default_rng(seed)
    to_local, to_global = (
        np.linalg.qr(fixed.normal(size=(D, D)))[0] * np.linspace(0.5, 2.0, D) for _ in range(2)
    )
    middle = rng.normal(size=(n, D))
    local = middle @ to_local + 0.2 * rng.normal(size=(n, D))
    return np.hstack([local, middle, middle @ to_global + 0.2 * rng.normal(size=(n, D))])


@cache
def fitted():
    return AnomalyDetector().fit(draw(0, 800))


def broken(X, scale):
    """Give every sample one scale of another sample: no scale's own law changes."""
    scales = split_scales(X)
    scales[scale] = np.roll(scales[scale], 1, axis=0)
    return np.hstack([scales[name] for name in SCALES])


@pytest.mark.parametrize("scale", SCALES)
def test_scales_of_different_samples_are_found_where_single_scales_are_at_chance(scale):
    clean, anomalous = draw(1, 400), broken(draw(2, 400), scale)
    apart = (np.arange(400), np.arange(400, 800))

    def area(detector, **cut):
        return auroc(
            *(detector.score_samples(rows) for rows in (clean, anomalous)), documents=apart, n_resamples=300
        )

    assert area(fitted()).value > 0.99
    assert (fitted().predict(anomalous) == -1).mean() > 0.95
    for block in (0, 1, 2):
        found = area(MahalanobisDetector(n_blocks=3, block=block).fit(draw(0, 800)))
        assert found.low <= 0.5 <= found.high
    found = auroc(
        *(
            NeighbourDetector().fit(draw(0, 800)[:, -D:]).score_samples(rows[:, -D:])
            for rows in (clean, anomalous)
        ),
        documents=apart,
        n_resamples=300,
    )
    assert found.low <= 0.5 <= found.high


def test_the_explanation_names_the_broken_step_and_adds_up():
    X = draw(3, 300)
    for scale, step in {"local": ("intermediate", "local"), "global": ("global", "intermediate")}.items():
        anomalous = broken(X, scale)
        explained = fitted().explain(anomalous)
        assert list(explained) == list(PAIRS)
        assert sum(explained.values()) == pytest.approx(-fitted().score_samples(anomalous))
        (other,) = set(PAIRS) - {step}
        assert explained[step].mean() > 5 * explained[other].mean()
        assert 0.5 < explained[other].mean() < 1.5  # the unbroken step looks clean: about 1 nat
    broken_middle = fitted().explain(broken(X, "intermediate"))
    assert min(values.mean() for values in broken_middle.values()) > 5.0


def test_surprise_is_measured_on_samples_the_maps_were_not_fitted_on():
    # As many directions as a third of the training samples: residuals of the training samples are far too small.
    rng = np.random.default_rng(0)
    z = rng.normal(size=(3 * 150, 40))
    scales = {scale: z + rng.normal(size=z.shape) for scale in SCALES}
    part = [{scale: rows[i::3] for scale, rows in scales.items()} for i in range(3)]
    map_ = RidgeMap(alpha=0.0).fit(part[0]["global"], part[0]["intermediate"])
    mean = {}
    for name, used in (("held out", 1), ("the maps' own", 0)):
        residuals = CrossScaleResiduals({PAIRS[0]: map_}).fit(part[used])
        mean[name] = residuals.surprise(part[2]).mean()
    assert 0.7 < mean["held out"] < 1.4
    assert mean["the maps' own"] > 2.0


def test_residuals_of_an_alignment_go_through_its_maps():
    X = draw(0, 500)
    states = HiddenStates.from_arrays(np.stack(np.split(X, 3, axis=1)))
    train, held, test = (states.subset(np.arange(i, 500, 3)) for i in range(3))
    partition = ScalePartition.thirds(3)
    alignment = Alignment().fit(train, partition)
    pairs = (*PAIRS, ("global", "local"))
    residuals = CrossScaleResiduals.from_alignment(alignment, pairs=pairs)
    reduced = alignment.representation_.transform(test)
    for pair, rows in residuals.residuals(reduced).items():
        assert rows == pytest.approx(alignment.transform(test)[pair] - reduced[pair[1]])
    with pytest.raises(ScaleError, match="no covariance yet"):
        residuals.surprise(reduced)
    residuals.fit(alignment.representation_.transform(held))
    assert residuals.surprise(reduced) == pytest.approx(sum(residuals.contributions(reduced).values()))
    assert CrossScaleResiduals.from_alignment(alignment).pairs == PAIRS
    for unknown in (("local", "global"), ("local", "intermediate")):
        with pytest.raises(ScaleError, match="fit a map of that pair"):
            CrossScaleResiduals.from_alignment(alignment, pairs=[unknown])
    with pytest.raises(ScaleError, match="are none"):
        CrossScaleResiduals.from_alignment(Alignment(), pairs=PAIRS)


def test_states_are_read_scale_by_scale_and_document_by_document():
    layers = np.random.default_rng(0).normal(size=(6, 240, 2))
    layers = (layers + 2.0 * layers[:1]).astype(np.float32)
    states = HiddenStates.from_arrays(layers, documents=np.repeat(np.arange(120), 2))
    partition = ScalePartition(n_layers=6, boundaries=(1, 4))
    X = stack_scales(states, partition)
    expected = [layers[0], layers[1:4].astype(float).mean(axis=0), layers[4:].astype(float).mean(axis=0)]
    assert pytest.approx(np.hstack(expected)) == X
    assert stack_scales(states, partition, reduction="last")[:, 2:4] == pytest.approx(layers[3])
    first = AnomalyDetector.from_states(states, partition, alpha=0.1)
    second = AnomalyDetector(alpha=0.1).fit(X, groups=states.documents)
    assert (first.score_samples(X) == second.score_samples(X)).all()
    assert first.calibration_.n_documents == 30


def test_heavy_tails_more_dimensions_than_samples_and_constant_columns_work():
    rng = np.random.default_rng(0)
    z = rng.standard_t(3, size=(360, 3))
    scales = [
        np.hstack([z, np.full((360, 1), 7.0), 0.3 * rng.standard_t(3, size=(360, 80))]) for _ in range(3)
    ]
    X = np.hstack([part + 0.01 * rng.normal(size=part.shape) * (part != 7.0) for part in scales])
    detector = AnomalyDetector(pairs=BOTH_WAYS, alpha=0.1).fit(X[:240])
    assert len(detector.residuals_.norms_[PAIRS[0]].whitening.columns) == 83
    clean = X[240:]
    assert (detector.predict(clean) == -1).mean() < 0.25
    with pytest.raises(ConfigError, match="samples in this part, or shrinkage='ledoit-wolf'"):
        AnomalyDetector(shrinkage=0.0, alpha=0.1).fit(X[:240])


def test_scales_that_are_exact_functions_of_each_other_are_refused():
    z = np.random.default_rng(0).normal(size=(200, 3))
    with pytest.raises(ShapeError, match="none of 3 columns varies"):
        AnomalyDetector(map=RidgeMap(alpha=0.0)).fit(np.hstack([z, 2 * z + 1, -z]))


@pytest.mark.parametrize("kind", [None, *sorted(ALL_MAPS)])
def test_loading_gives_back_every_score(kind, tmp_path):
    X = draw(0, 300)[:, [0, 1, 12, 13, 24, 25]]
    options = {"joint": {"width": 4, "max_epochs": 2}}.get(kind, {})
    map_ = None if kind is None else ALL_MAPS[kind](**options)
    detector = AnomalyDetector(map=map_, pairs=BOTH_WAYS, alpha=0.1, seed=3).fit(X)
    loaded = AnomalyDetector.load(detector.save(tmp_path / "detector.safetensors"))
    assert (loaded.score_samples(X) == detector.score_samples(X)).all()
    assert (loaded.p_values(X) == detector.p_values(X)).all()
    assert (loaded.predict(X) == detector.predict(X)).all()
    assert (loaded.offset_, loaded.n_features_in_) == (detector.offset_, 6)
    (tmp_path / "detector.safetensors").unlink()
    assert loaded.explain(X).keys() == detector.explain(X).keys()
    refitted = clone(loaded).fit(X)
    assert refitted.score_samples(X) == pytest.approx(detector.score_samples(X))


def test_files_that_are_no_detector_are_refused(tmp_path):
    with pytest.raises(StorageError, match="there is no file"):
        AnomalyDetector.load(tmp_path / "missing.safetensors")
    other = write_tensors(tmp_path / "other.safetensors", {"x": np.ones(2)})
    with pytest.raises(StorageError, match="holds no detector"):
        AnomalyDetector.load(other)
    path = fitted().save(tmp_path / "cut.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StorageError, match="not a whole safetensors file"):
        AnomalyDetector.load(path)
    path = fitted().save(tmp_path / "changed.safetensors")
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match="checksum"):
        AnomalyDetector.load(path)
    with pytest.raises(NotFittedError):
        AnomalyDetector().save(tmp_path / "never.safetensors")


def test_samples_that_cannot_be_used_are_refused():
    X = draw(0, 120)
    with pytest.raises(ShapeError, match="NaN at row 2"):
        fitted().score_samples(np.where(np.arange(120)[:, None] == 2, np.nan, X))
    with pytest.raises(ShapeError, match="expecting 36 features"):
        fitted().score_samples(X[:, :33])
    with pytest.raises(ScaleError, match="35 columns, which three scales cannot share"):
        AnomalyDetector(alpha=0.1).fit(X[:, :35])
    with pytest.raises(ConfigError, match=r"10 samples .* needs 19"):
        AnomalyDetector().fit(X[:40])
    with pytest.raises(CorpusError, match="at least 3"):
        AnomalyDetector().fit(X, groups=np.arange(120) // 60)
    with pytest.raises(ShapeError, match="2 groups came for 120 samples"):
        AnomalyDetector().fit(X, groups=["a", "b"])
    for pairs in ([], [("local", "local")], [("local", "middle")], [("local",)]):
        with pytest.raises(ScaleError, match="pair"):
            AnomalyDetector(pairs=pairs, alpha=0.1).fit(X)
    for method in ("score_samples", "predict", "decision_function", "p_values", "explain"):
        with pytest.raises(NotFittedError):
            getattr(AnomalyDetector(), method)(X)


def test_tensors_are_read_and_another_map_is_used():
    import torch

    X = draw(0, 200)
    detector = AnomalyDetector(map=ProcrustesMap(), alpha=0.1).fit(torch.from_numpy(X))
    assert isinstance(detector.residuals_.maps[PAIRS[0]], ProcrustesMap)
    assert (detector.score_samples(X) == detector.score_samples(torch.from_numpy(X))).all()


class _ThreeViews(AnomalyDetector):
    """scikit-learn's checks come with any number of columns; their three scales are functions of them."""

    def _split(self, rows):
        return {"local": rows + np.sin(rows), "intermediate": rows, "global": rows + np.cos(3.0 * rows)}


_CHECKED = [
    _ThreeViews(alpha=0.5, fractions=(0.3, 0.4, 0.3)),
    MahalanobisDetector(alpha=0.5),
    NeighbourDetector(k=1, alpha=0.5),
]


@parametrize_with_checks(_CHECKED)
def test_scikit_learn_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)
