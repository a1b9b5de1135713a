import numpy as np
import pytest

from msma.errors import ShapeError
from msma.maps import MAPS, IdentityMap, MeanShiftMap, ProcrustesMap, ReducedRankMap, RidgeMap, TransportMap
from msma.moments import CrossMoments

ALL_MAPS = sorted(MAPS)
ANY_WIDTH = [ProcrustesMap(), ProcrustesMap(scaling=False), RidgeMap(), RidgeMap(alpha=0.0), ReducedRankMap()]


def named(maps):
    return pytest.mark.parametrize("map_", maps, ids=repr)


@pytest.mark.parametrize("name", ALL_MAPS)
def test_moments_and_rows_give_one_map(name, rng):
    source, target = rng.normal(size=(60, 3)), rng.normal(size=(60, 3))
    options = {"alpha": 2.0} if "alpha" in MAPS[name]().get_params() else {}
    first = MAPS[name](**options).fit(source, target)
    second = MAPS[name](**options).fit_moments(CrossMoments.from_batch(source, target))
    assert (first.coef_ == second.coef_).all()
    assert (first.intercept_ == second.intercept_).all()
    assert second.n_features_in_ == 3


@pytest.mark.parametrize("name", ALL_MAPS)
def test_moments_forget_names_and_origin(name, rng):
    pandas = pytest.importorskip("pandas")
    source = rng.normal(size=(20, 2))
    map_ = MAPS[name]().fit(pandas.DataFrame(source, columns=["a", "b"]), source)
    map_.origin_ = {"model": "gpt2"}
    map_.fit_moments(CrossMoments.from_batch(source, source + 1))
    assert map_.origin_ is None
    assert not hasattr(map_, "feature_names_in_")


@pytest.mark.parametrize("map_", [IdentityMap(), MeanShiftMap(), TransportMap()], ids=repr)
def test_unequal_widths_are_refused_with_advice(map_, rng):
    with pytest.raises(ShapeError, match=r"widths 3 -> 2 came; .* use ProcrustesMap"):
        map_.fit(rng.normal(size=(9, 3)), rng.normal(size=(9, 2)))


@named([map_() for map_ in MAPS.values()])
def test_samples_that_do_not_vary_are_refused(map_, rng):
    varied, constant = rng.normal(size=(9, 2)), np.tile([0.1, 1e6 / 3], (9, 1))
    with pytest.raises(ShapeError, match="all 9 samples of the source are equal"):
        map_.fit(constant, varied)
    with pytest.raises(ShapeError, match="all 9 samples of the target are equal"):
        map_.fit(varied, constant)
    with pytest.raises(ShapeError, match="source are equal"):
        map_.fit_stream([(constant[:4], varied[:4]), (constant[4:], varied[4:])])


@named([map_() for map_ in MAPS.values()])
def test_one_pair_is_not_enough(map_):
    with pytest.raises(ShapeError, match="1 sample came"):
        map_.fit_moments(CrossMoments.from_batch([[1.0]], [[2.0]]))


@named([map_() for map_ in MAPS.values()])
@pytest.mark.parametrize("n", [2, 3, 6])
def test_fewer_samples_than_dimensions_give_finite_maps(map_, n, rng):
    source, target = rng.normal(size=(n, 12)), rng.normal(size=(n, 12))
    map_.fit(source, target)
    for array in map_._fitted_state()[0].values():
        assert np.isfinite(array).all()
    fresh = rng.normal(size=(4, 12))
    assert np.abs(map_.transform(fresh)).max() < 1e3
    assert np.isfinite(map_.inverse_transform(fresh)).all()


@named([RidgeMap(alpha=0.0), RidgeMap(), TransportMap()])
def test_rounding_of_far_means_is_not_taken_for_variance(map_, rng):
    source, target = rng.normal(size=(8, 12)), rng.normal(size=(8, 12))
    exact = map_.fit(source, target).coef_
    far = [(source[i : i + 3] + 1e6, target[i : i + 3] - 1e6) for i in range(0, 8, 3)]
    np.testing.assert_allclose(map_.fit_stream(far).coef_, exact, atol=1e-4)


@named([map_() for map_ in MAPS.values()])
def test_constant_and_repeated_columns_do_no_harm(map_, rng):
    source, target = rng.normal(size=(50, 4)), rng.normal(size=(50, 4))
    source[:, 1], source[:, 2], target[:, 3] = 7.0, source[:, 0], -2.0
    map_.fit(source, target)
    assert np.isfinite(map_.inverse_transform(map_.transform(source))).all()
    assert np.abs(map_.coef_).max() < 10


@named([*(map_() for map_ in MAPS.values()), RidgeMap(alpha=5.0)])
def test_the_way_back_is_exact_where_there_is_one(map_, rng):
    source = rng.normal(size=(50, 4)) + 3.0
    target = source @ (np.eye(4) + 0.2 * rng.normal(size=(4, 4))) + 0.1 * rng.normal(size=(50, 4)) - 1.0
    if map_.kind == "reduced_rank":
        map_.set_params(rank=4)
    map_.fit(source, target)
    np.testing.assert_allclose(map_.inverse_transform(map_.transform(source)), source, atol=1e-8)
    np.testing.assert_allclose(map_.transform(map_.inverse_transform(target)), target, atol=1e-8)


@named(ANY_WIDTH)
def test_a_wider_target_can_be_undone_and_a_narrower_one_reached(map_, rng):
    source, wide = rng.normal(size=(60, 3)) + 1.0, rng.normal(size=(60, 5)) - 1.0
    wide += source @ rng.normal(size=(3, 5))
    if map_.kind == "reduced_rank":
        map_.set_params(rank=3)
    map_.fit(source, wide)
    np.testing.assert_allclose(map_.inverse_transform(map_.transform(source)), source, atol=1e-8)
    map_.fit(wide, source)
    np.testing.assert_allclose(map_.transform(map_.inverse_transform(source)), source, atol=1e-8)


def test_directions_that_are_lost_come_back_as_the_mean(rng):
    source = rng.normal(size=(60, 3)) + np.array([5.0, -3.0, 2.0])
    target = source[:, :1] * [[1.0, 2.0, 3.0]]
    back = ReducedRankMap(rank=1, alpha=0.0).fit(source, target).inverse_transform(target)
    np.testing.assert_allclose(back[:, 0], source[:, 0], atol=1e-8)
    np.testing.assert_allclose(back[:, 1:], np.tile(source[:, 1:].mean(axis=0), (60, 1)), atol=1e-8)


def test_a_refit_forgets_the_old_way_back(rng):
    source = rng.normal(size=(20, 2))
    map_ = RidgeMap(alpha=0.0).fit(source, 2 * source)
    map_.inverse_transform(source)
    map_.fit(source, 4 * source)
    np.testing.assert_allclose(map_.inverse_transform(4 * source), source, atol=1e-10)


def test_no_cross_covariance_gives_the_zero_map():
    source = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    target = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    map_ = ProcrustesMap().fit(source, target)
    assert map_.scale_ == 0.0
    assert (map_.transform(source) == 0.0).all()
    assert (map_.inverse_transform(target) == 0.0).all()
    assert np.isfinite(RidgeMap().fit(source, target).coef_).all()


def test_identity_changes_nothing_either_way(rng):
    states = rng.normal(size=(9, 3)) + 1e3
    map_ = IdentityMap().fit(states, states + 5.0)
    assert (map_.transform(states) == states).all()
    assert (map_.inverse_transform(states) == states).all()


def test_transport_needs_no_pairing(rng):
    source, target = rng.normal(size=(40, 3)), rng.normal(size=(40, 3)) * 2.0
    shuffled = TransportMap().fit(source, target[rng.permutation(40)])
    np.testing.assert_allclose(shuffled.coef_, TransportMap().fit(source, target).coef_, atol=1e-12)


def test_transport_of_singular_laws_moves_their_ranges(rng):
    basis = np.linalg.qr(rng.normal(size=(6, 2)))[0].T
    source, target = rng.normal(size=(50, 2)) @ basis, (rng.normal(size=(50, 2)) * [1.0, 4.0]) @ basis
    mapped = TransportMap().fit(source, target).transform(source)
    np.testing.assert_allclose(np.cov(mapped, rowvar=False), np.cov(target, rowvar=False), atol=1e-8)
