"""LEACE: its theorem, its optimality, agreement with the authors' library, every mistake."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from msma.erasure import LeaceEraser, MeanProjectionEraser
from msma.errors import ShapeError

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the library uses torch.jit.script
    from concept_erasure import LeaceFitter

both = pytest.mark.parametrize("kind", [LeaceEraser, MeanProjectionEraser])


def make(n=600, d=12, classes=2, seed=0, gap=2.0):
    """Correlated samples whose classes differ in mean, and in spread along a direction that also varies freely."""
    rng = np.random.default_rng(seed)
    z = rng.integers(0, classes, size=n)
    mixing = rng.normal(size=(d, d)) * np.linspace(0.2, 3.0, d)
    means = gap * rng.normal(size=(classes, d))
    return rng.normal(size=(n, d)) @ mixing + means[z], z


def cross(x, z):
    return (x - x.mean(axis=0)).T @ (np.eye(z.max() + 1)[z] - np.eye(z.max() + 1)[z].mean(axis=0)) / len(x)


@both
@pytest.mark.parametrize("classes", [2, 4])
def test_no_linear_classifier_beats_one_that_sees_nothing(kind, classes):
    """Theorem 3.1 of Belrose et al. (2023): the loss on training moments is least at the constant prediction."""
    x, z = make(classes=classes)
    assert LogisticRegression(max_iter=5000).fit(x, z).score(x, z) > 0.7
    cleaned = kind().fit(x, z).transform(x)
    assert np.abs(cross(cleaned, z)).max() < 1e-10
    probe = LogisticRegression(C=1e6, max_iter=20_000, tol=1e-9).fit(cleaned, z)
    shares = np.bincount(z) / len(z)
    loss = -np.log(probe.predict_proba(cleaned)[np.arange(len(z)), z]).mean()
    assert loss == pytest.approx(-(shares * np.log(shares)).sum(), abs=1e-6)
    # Predicted probabilities are the base rates: the classifier says the same of every sample.
    assert np.allclose(probe.predict_proba(cleaned), shares, atol=2e-3)


def test_least_squares_optimality():
    """Theorem 4.3: among affine maps that leave no linear trace, none changes samples less, in any quadratic norm."""
    x, z = make()
    best = LeaceEraser().fit(x, z).transform(x)
    rng = np.random.default_rng(1)
    mean, trace = x.mean(axis=0), cross(x, z)
    for trial in range(20):
        # W arbitrary and positive definite gives every kind of projection along the trace.
        w = rng.normal(size=(12, 12)) if trial else np.eye(12)
        w = w @ w.T + 0.01 * np.eye(12)
        columns = np.linalg.svd(w @ trace)[0][:, :1]
        other = x - (x - mean) @ (np.linalg.inv(w) @ columns @ columns.T @ w).T
        assert np.abs(cross(other, z)).max() < 1e-8
        norm = rng.normal(size=(12, 12))
        for metric in (np.eye(12), norm @ norm.T):
            ours, theirs = (np.einsum("ni,ij,nj->", d, metric, d) for d in (best - x, other - x))
            assert ours <= theirs * (1 + 1e-9)


def test_it_changes_less_than_projecting_the_mean_difference():
    x, z = make()
    changes = [
        ((kind().fit(x, z).transform(x) - x) ** 2).sum() for kind in (LeaceEraser, MeanProjectionEraser)
    ]
    assert changes[0] < 0.9 * changes[1]


@pytest.mark.parametrize("classes", [2, 5])
def test_it_agrees_with_the_authors_library(classes):
    x, z = make(classes=classes, seed=3)
    columns = torch.eye(classes, dtype=torch.float64)[torch.from_numpy(z)]
    fitter = LeaceFitter(
        12,
        classes,
        dtype=torch.float64,
        shrinkage=False,
        constrain_cov_trace=False,
        svd_tol=1e-9,
    )
    fitter.update(torch.from_numpy(x), columns)
    theirs = fitter.eraser(torch.from_numpy(x)).numpy()
    assert np.allclose(LeaceEraser().fit(x, z).transform(x), theirs, atol=1e-8)


def test_a_faint_concept_is_erased_too():
    """The library leaves correlations below its tolerance where they are; we say what is rounding by its size alone."""
    x, z = make(gap=0.0)
    x = x - np.array([x[z == k].mean(axis=0) for k in (0, 1)])[z]
    x[:, 0] += 0.02 * x[:, 0].std() * z
    theirs = LeaceFitter.fit(torch.from_numpy(x), torch.from_numpy(z[:, None].astype(float))).eraser
    left = np.abs(cross(theirs(torch.from_numpy(x)).numpy(), z)).max() / np.abs(cross(x, z)).max()
    ours = np.abs(cross(LeaceEraser().fit(x, z).transform(x), z)).max() / np.abs(cross(x, z)).max()
    assert left == pytest.approx(1.0)
    assert ours < 1e-9


@both
def test_it_is_idempotent_keeps_the_mean_and_has_the_rank_of_the_concept(kind):
    x, z = make(classes=4)
    eraser = kind().fit(x, z)
    cleaned = eraser.transform(x)
    assert np.allclose(eraser.transform(cleaned), cleaned)
    assert np.allclose(cleaned.mean(axis=0), x.mean(axis=0))
    assert eraser.rank == 3
    assert np.linalg.matrix_rank(eraser.left_ @ eraser.right_) == 3


@both
def test_strength_takes_out_a_share(kind):
    x, z = make()
    eraser = kind().fit(x, z)
    assert np.allclose(cross(eraser.transform(x, strength=0.25), z), 0.75 * cross(x, z))
    assert np.array_equal(eraser.transform(x, strength=0.0), x)


@both
def test_it_works_where_samples_span_less_than_their_width(kind):
    x, z = make(n=20, d=6)
    wide = np.concatenate([x, x @ np.ones((6, 30)), np.zeros((20, 4))], axis=1)
    cleaned = kind().fit(wide, z).transform(wide)
    assert np.abs(cross(cleaned, z)).max() < 1e-8 * np.abs(cross(wide, z)).max()


@both
def test_weights_count_as_repeated_samples(kind):
    x, z = make(n=60)
    weights = np.random.default_rng(0).integers(1, 4, size=60)
    weighted = kind().fit(x, z, sample_weight=weights)
    repeated = kind().fit(np.repeat(x, weights, axis=0), np.repeat(z, weights))
    assert np.allclose(weighted.transform(x), repeated.transform(x))


def test_a_concept_of_numbers_is_erased_too():
    rng = np.random.default_rng(0)
    age = rng.normal(size=(300, 1))
    x = age * np.arange(1.0, 6.0) + rng.normal(size=(300, 5))
    cleaned = LeaceEraser().fit(x, age).transform(x)
    assert np.abs(np.corrcoef(cleaned.T, age.T)[-1, :-1]).max() < 1e-10


def test_scikit_learn_contract():
    x, z = make()
    eraser = clone(LeaceEraser())
    assert eraser.get_params() == {}
    pipeline = make_pipeline(StandardScaler(), LeaceEraser(), LogisticRegression()).fit(x, z)
    assert pipeline.score(x, z) <= max(np.bincount(z)) / len(z) + 0.01
    assert np.allclose(LeaceEraser().fit_transform(x, z), LeaceEraser().fit(x, z).transform(x))


@pytest.mark.parametrize(
    ("x", "z", "weights", "message"),
    [
        (np.ones((4, 2)), [0, 0, 0, 0], None, "same value of the concept"),
        (np.ones((4, 2)), [0, 1], None, "shape \\(2,\\) came for 4 samples"),
        (np.eye(8), list("abcdefgh"), None, "8 different labels"),
        (np.eye(4), [[0.0], [np.nan], [1.0], [2.0]], None, "not finite"),
        (np.eye(4), [[1.0], [1.0], [1.0], [1.0]], None, "same value"),
        (np.tile([[1.0, 2.0], [3.0, 4.0]], (2, 1)), [0, 0, 1, 1], None, "nothing to erase"),
        (np.eye(4), [0, 1, 0, 1], [1, 1, 1], "weights of shape \\(3,\\)"),
        (np.eye(4), [0, 1, 0, 1], [1, 1, 1, -1], "0 or more"),
        (np.array([[np.nan, 0.0]] * 4), [0, 1, 0, 1], None, "not finite|NaN|nan"),
    ],
)
def test_mistakes_are_told(x, z, weights, message):
    with pytest.raises(ShapeError, match=message):
        LeaceEraser().fit(x, z, sample_weight=weights)


def test_other_widths_are_refused():
    x, z = make()
    with pytest.raises(ShapeError, match="3 columns"):
        LeaceEraser().fit(x, z).transform(x[:, :3])
