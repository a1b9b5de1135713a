import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score

from msma.errors import OriginError, ShapeError
from msma.maps import MAPS, BaseMap, RidgeMap
from msma.maps.inputs import check_tensor

ALL_MAPS = sorted(MAPS)


@pytest.fixture
def pairs(rng):
    source = rng.normal(size=(40, 3)) * np.array([1.0, 2.0, 5.0])
    return source, source @ rng.normal(size=(3, 3)) + rng.normal(size=(40, 3)) + 2.0


@pytest.fixture(params=ALL_MAPS)
def fitted(request, pairs):
    return MAPS[request.param]().fit(*pairs)


def test_score_is_variance_weighted_r2(fitted, pairs):
    source, target = pairs
    expected = r2_score(target, fitted.transform(source), multioutput="variance_weighted")
    assert fitted.score(source, target) == pytest.approx(expected)


def test_score_of_a_single_column(rng):
    source = rng.normal(size=(20, 2))
    target = source @ [1.0, 2.0]
    assert RidgeMap(alpha=0.0).fit(source, target).score(source, target) == pytest.approx(1.0)


def test_score_refuses_what_cannot_be_scored(fitted, pairs):
    source, _ = pairs
    with pytest.raises(ShapeError, match="all 5 samples of y are equal"):
        fitted.score(source[:5], np.ones((5, 3)))
    with pytest.raises(ShapeError, match=r"expected \(5, 3\)"):
        fitted.score(source[:5], np.ones((5, 2)))
    with pytest.raises(ShapeError, match="at least 2"):
        fitted.score(source[:1], np.ones((1, 3)))


@pytest.mark.parametrize("method", ["transform", "inverse_transform"])
def test_numpy_keeps_its_precision(fitted, pairs, method):
    exact = getattr(fitted, method)(pairs[0])
    for dtype in (np.float16, np.float32, np.float64):
        result = getattr(fitted, method)(pairs[0].astype(dtype))
        assert result.dtype == dtype
        assert np.abs(result - exact).max() <= 64 * np.finfo(dtype).eps * (1 + np.abs(exact).max())
    assert getattr(fitted, method)(np.ones((2, 3), dtype=int)).dtype == np.float64
    assert getattr(fitted, method)([[1, 2, 3]]).dtype == np.float64


@pytest.mark.parametrize("method", ["transform", "inverse_transform"])
def test_torch_in_torch_out(fitted, pairs, method):
    torch = pytest.importorskip("torch")
    exact = getattr(fitted, method)(pairs[0])
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        result = getattr(fitted, method)(torch.tensor(pairs[0]).to(dtype))
        assert result.dtype == dtype
        tolerance = 64 * torch.finfo(dtype).eps * (1 + np.abs(exact).max())
        assert np.abs(result.double().numpy() - exact).max() <= tolerance
    assert getattr(fitted, method)(torch.ones(2, 3, dtype=torch.int64)).dtype == torch.float64


def test_torch_is_mapped_differentiably(fitted, pairs):
    torch = pytest.importorskip("torch")
    states = torch.tensor(pairs[0], requires_grad=True)
    fitted.transform(states).sum().backward()
    np.testing.assert_allclose(states.grad[0].numpy(), fitted.coef_.sum(axis=1))


def test_maps_are_fitted_from_tensors_as_from_arrays(fitted, pairs):
    torch = pytest.importorskip("torch")
    again = type(fitted)().fit(*(torch.tensor(part) for part in pairs))
    assert (again.coef_ == fitted.coef_).all()
    assert again.score(*(torch.tensor(part) for part in pairs)) == pytest.approx(fitted.score(*pairs))


@pytest.mark.parametrize("method", ["transform", "inverse_transform"])
def test_other_widths_and_bad_values_are_refused(fitted, method):
    torch = pytest.importorskip("torch")
    call = getattr(fitted, method)
    for bad in (np.ones((2, 4)), np.ones(3), np.array([[1.0, np.nan, 0.0]]), np.full((1, 3), np.inf)):
        with pytest.raises(ShapeError):
            call(bad)
        with pytest.raises(ShapeError):
            call(torch.tensor(bad))


def test_errors_about_tensors_say_what_came():
    torch = pytest.importorskip("torch")
    with pytest.raises(ShapeError, match=r"X came with shape \(2, 3\); expected \(samples, 5\)"):
        check_tensor(torch.ones(2, 3), width=5, name="X")
    with pytest.raises(ShapeError, match="X holds NaN or infinity"):
        check_tensor(torch.full((1, 1), float("nan")), width=1, name="X")


def test_errors_about_training_samples_say_what_came():
    with pytest.raises(ShapeError, match="X came with 3 samples and y with 2"):
        RidgeMap().fit(np.eye(3), np.eye(2))
    with pytest.raises(ShapeError, match="X holds NaN at row 1, column 0"):
        RidgeMap().fit([[0.0], [np.nan]], [[0.0], [1.0]])
    with pytest.raises(ShapeError, match="y holds infinity at row 0, column 0"):
        RidgeMap().fit([[0.0], [1.0]], [[np.inf], [1.0]])
    with pytest.raises(ShapeError, match=r"1 sample\(s\) .* minimum of 2"):
        RidgeMap().fit([[0.0]], [[1.0]])


def test_a_failed_fit_leaves_the_map_unfitted():
    map_ = RidgeMap()
    with pytest.raises(ShapeError):
        map_.fit(np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(NotFittedError):
        map_.transform(np.ones((3, 2)))


def test_a_base_map_is_abstract():
    with pytest.raises(TypeError):
        BaseMap()


class _SquareMap(BaseMap):
    """The least that a map which is not affine has to write."""

    def _fit_rows(self, X, y):
        self.width_ = np.array([y.shape[1]])

    def _forward(self, X):
        return X**2

    def _backward(self, X):
        return np.sqrt(X)

    @property
    def _n_features_out(self):
        return int(self.width_[0])


def test_maps_that_know_only_numpy_still_take_tensors():
    torch = pytest.importorskip("torch")
    fitted = _SquareMap().fit(np.eye(2), np.eye(2))
    assert fitted.transform(torch.tensor([[2.0, 3.0]])).tolist() == [[4.0, 9.0]]
    assert fitted.inverse_transform(torch.tensor([[4, 9]])).tolist() == [[2.0, 3.0]]
    assert fitted.inverse_transform(torch.tensor([[4, 9]])).dtype == torch.float64


ORIGIN = {"model": "gpt2", "revision": "abc", "n_layers": 13, "source": "global", "source_layers": (9, 12)}


def test_the_same_origin_is_let_through(fitted):
    fitted.check_origin(ORIGIN)  # nothing is known of this map
    fitted.origin_ = ORIGIN
    fitted.check_origin({**ORIGIN, "source_layers": [9, 12], "texts": "held-out texts differ"})
    fitted.check_origin({"model": "gpt2"})
    fitted.check_origin({**ORIGIN, "revision": None, "n_layers": np.int64(13)})


@pytest.mark.parametrize(
    "other",
    [
        {"model": "bert"},
        {"revision": "def"},
        {"n_layers": 7},
        {"source": "local"},
        {"source_layers": range(9, 12)},
    ],
)
def test_another_origin_is_refused(fitted, other):
    fitted.origin_ = ORIGIN
    (key,) = other
    with pytest.raises(OriginError, match=f"states with {key}"):
        fitted.check_origin({**ORIGIN, **other})


def test_weights_tell_models_apart_where_they_are_known(fitted):
    fitted.origin_ = {**ORIGIN, "model_fingerprint": "1"}
    fitted.check_origin(
        {**ORIGIN, "model": "a local copy of gpt2", "revision": "main", "model_fingerprint": "1"}
    )
    with pytest.raises(OriginError, match="model_fingerprint"):
        fitted.check_origin({**ORIGIN, "model_fingerprint": "2"})
    with pytest.raises(OriginError, match="states with model 'bert'"):
        fitted.check_origin({"model": "bert"})
