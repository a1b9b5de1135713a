"""What every map keeps: scikit-learn's contract, and save = load."""

import copy
import json
import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from msma.errors import MsmaError, StorageError
from msma.maps import ALL_MAPS, LEARNED_MAPS, MAPS, BaseMap, LinearMap, ReducedRankMap, RidgeMap

#: A learned map of small samples is its base; this one has learned something.
_LEARNING = {"joint": {"width": 8, "max_epochs": 3, "learning_rate": 0.01}}


def make(name):
    return ALL_MAPS[name](**_LEARNING.get(name, {}))


class _SameWidth:
    """scikit-learn's checks come with one target column; maps between equal widths get it once a dimension."""

    def fit(self, X, y):
        return super().fit(X, self._widened(X, y))

    def score(self, X, y):
        return super().score(X, self._widened(X, y))

    @staticmethod
    def _widened(X, y):
        if y is None or scipy.sparse.issparse(X) or np.asarray(y).ndim != 1 or np.asarray(X).ndim != 2:
            return y
        return np.repeat(np.asarray(y)[:, None], np.asarray(X).shape[1], axis=1)


class _IdentityMap(_SameWidth, MAPS["identity"]): ...


class _MeanShiftMap(_SameWidth, MAPS["mean_shift"]): ...


class _TransportMap(_SameWidth, MAPS["transport"]): ...


_CHECKED = [_IdentityMap(), _MeanShiftMap(), _TransportMap()]
_CHECKED += [map_() for map_ in MAPS.values() if not map_.needs_equal_widths]
_CHECKED += [map_() for map_ in LEARNED_MAPS.values()]


@parametrize_with_checks(_CHECKED)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def pairs(rng):
    source = rng.normal(size=(120, 4))
    target = source @ rng.normal(size=(4, 4)) + 0.1 * rng.normal(size=(120, 4)) + 2.0
    target[:, 0] += source[:, 1] ** 2
    return source, target


@pytest.fixture(params=sorted(ALL_MAPS))
def fitted(request, pairs):
    map_ = make(request.param).fit(*pairs)
    assert getattr(map_, "n_layers_", 3) == 3  # a learned map that is its base would test nothing
    return map_


def assert_same_map(first, second):
    assert type(first) is type(second)
    assert first.get_params() == second.get_params()
    arrays, values = first._fitted_state()
    loaded_arrays, loaded_values = second._fitted_state()
    assert values == loaded_values
    assert arrays.keys() == loaded_arrays.keys()
    for name, array in arrays.items():
        assert array.dtype == loaded_arrays[name].dtype
        assert array.tobytes() == loaded_arrays[name].tobytes(), name


def test_loading_gives_back_every_bit(fitted, pairs, tmp_path):
    fitted.origin_ = {"model": "gpt2", "source_layers": (9, 12)}
    loaded = BaseMap.load(fitted.save(tmp_path / "map"))
    assert_same_map(fitted, loaded)
    assert loaded.origin_ == {"model": "gpt2", "source_layers": [9, 12]}
    for method in ("transform", "inverse_transform"):
        assert (getattr(loaded, method)(pairs[0]) == getattr(fitted, method)(pairs[0])).all()


def test_saving_twice_writes_the_same_bytes(fitted, tmp_path):
    first, second = fitted.save(tmp_path / "a"), BaseMap.load(tmp_path / "a").save(tmp_path / "b")
    for name in ("config.json", "model.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_loaded_map_does_not_hang_on_its_files(fitted, pairs, tmp_path):
    loaded = BaseMap.load(fitted.save(tmp_path))
    assert type(loaded.coef_) is np.ndarray
    assert loaded.coef_.flags.writeable
    before = loaded.transform(pairs[0])
    for file in tmp_path.iterdir():
        file.unlink()
    assert (loaded.transform(pairs[0]) == before).all()
    loaded.fit(*pairs)  # its arrays can be replaced


def test_the_class_itself_loads_and_another_refuses(fitted, tmp_path):
    fitted.save(tmp_path)
    assert type(type(fitted).load(tmp_path)) is type(fitted)
    other = RidgeMap if not isinstance(fitted, RidgeMap) else MAPS["procrustes"]
    with pytest.raises(StorageError, match=f"kind '{fitted.kind}'"):
        other.load(tmp_path)


def test_copies_and_pickles_are_the_map(fitted):
    assert_same_map(fitted, pickle.loads(pickle.dumps(fitted)))
    assert_same_map(fitted, copy.deepcopy(fitted))


def test_a_clone_is_not_fitted_and_knows_no_origin(fitted, pairs):
    fitted.origin_ = {"model": "gpt2"}
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params()
    assert fresh.origin_ is None
    with pytest.raises(NotFittedError):
        fresh.transform(pairs[0])
    with pytest.raises(NotFittedError):
        fresh.save("nowhere")


def test_parameters_set_later_are_the_ones_saved(pairs, tmp_path):
    fitted = RidgeMap(alpha=1.0)
    assert vars(fitted) == {"alpha": 1.0}  # no frozen copy for the Hub
    fitted.set_params(alpha=5.0).fit(*pairs).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["params"] == {"alpha": 5.0}
    loaded = BaseMap.from_pretrained(tmp_path)
    assert loaded.alpha == loaded.alpha_ == 5.0
    loaded.set_params(alpha=7.0).fit(*pairs).save_pretrained(tmp_path)
    assert RidgeMap.from_pretrained(tmp_path).alpha_ == 7.0


def test_score_and_the_measure_of_that_name_agree(fitted, pairs):
    similarity = pytest.importorskip("msma.measures.similarity")
    source, target = pairs
    assert fitted.score(source, target) == pytest.approx(similarity.r2(fitted.transform(source), target))


def test_a_refit_forgets_the_origin(fitted, pairs):
    fitted.origin_ = {"model": "gpt2"}
    assert fitted.fit(*pairs).origin_ is None


def test_grid_search_finds_the_strength_and_the_rank(rng):
    source = rng.normal(size=(90, 6))
    target = source @ rng.normal(size=(6, 1)) @ rng.normal(size=(1, 5)) + 0.3 * rng.normal(size=(90, 5))
    grid = {"rank": [1, 3, 5], "alpha": np.geomspace(1e-3, 1e5, 5)}
    search = GridSearchCV(ReducedRankMap(), grid, cv=KFold(3)).fit(source, target)
    assert search.best_params_["rank"] == 1
    assert search.best_params_["alpha"] < 1e5
    assert search.best_score_ > 0.8


def test_maps_chain_in_a_pipeline(pairs):
    source, target = pairs
    pipeline = make_pipeline(MAPS["procrustes"](), RidgeMap(alpha=1e-6))
    # both steps are fitted towards y
    assert pipeline.fit(source, target).score(source, target) > 0.9


def test_data_frames_keep_names_and_come_back(pairs, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(pairs[0], columns=list("abcd"))
    fitted = RidgeMap().fit(frame, pairs[1]).set_output(transform="pandas")
    assert list(fitted.transform(frame).columns) == [f"ridgemap{i}" for i in range(4)]
    loaded = BaseMap.load(fitted.save(tmp_path))
    assert list(loaded.feature_names_in_) == list("abcd")
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.transform(frame[list("dcba")])


def test_the_table_is_complete():
    assert {type(map_).__name__.strip("_") for map_ in _CHECKED} == {
        map_.__name__ for map_ in ALL_MAPS.values()
    }
    assert {*MAPS} == {"identity", "mean_shift", "procrustes", "ridge", "reduced_rank", "transport"}
    for name, map_ in MAPS.items():
        assert map_.kind == name
        assert issubclass(map_, LinearMap)
        assert map_.__name__.endswith("Map")
    assert {*LEARNED_MAPS} == {"joint"}
    assert {**MAPS, **LEARNED_MAPS} == ALL_MAPS


@pytest.mark.parametrize("name", sorted(ALL_MAPS))
def test_every_refusal_is_ours(name):
    for X, y in [
        (np.ones((1, 2)), np.ones((1, 2))),
        (np.ones((3, 2)), np.ones((3, 2))),
        (np.eye(3), np.eye(3)[:2]),
        (np.array([[1.0, np.nan], [0.0, 1.0]]), np.eye(2)),
        (np.eye(2), np.array([[1.0, np.inf], [0.0, 1.0]])),
        (np.eye(2), None),
        (np.arange(3.0), np.arange(3.0)),
    ]:
        with pytest.raises(MsmaError):
            ALL_MAPS[name]().fit(X, y)
