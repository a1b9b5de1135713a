import numpy as np
import pytest

from msma.errors import ConfigError
from msma.maps import ReducedRankMap, RidgeMap
from msma.maps.penalty import RidgeProblem, gcv_errors
from msma.moments import CrossMoments


@pytest.fixture
def pairs(rng):
    source = rng.normal(size=(50, 6))
    return source, source @ rng.normal(size=(6, 4)) + rng.normal(size=(50, 4))


@pytest.mark.parametrize("alpha", [-1.0, np.nan, np.inf, 1j])
@pytest.mark.parametrize("map_", [RidgeMap, ReducedRankMap])
def test_impossible_strengths_are_refused(map_, alpha, pairs):
    with pytest.raises(ConfigError, match="expected a finite number from 0, or None"):
        map_(alpha=alpha).fit(*pairs)


@pytest.mark.parametrize("rank", [0, 5, -1, 1.5])
def test_impossible_ranks_are_refused(rank, pairs):
    with pytest.raises(ConfigError, match="whole number from 1 to 4"):
        ReducedRankMap(rank=rank).fit(*pairs)


def test_the_rules_are_recorded(pairs):
    cross = CrossMoments.from_batch(*pairs)
    assert RidgeMap(alpha=1).fit(*pairs).alpha_rule_ == "given"
    assert RidgeMap().fit(*pairs).alpha_rule_ == "leave-one-out"
    assert RidgeMap().fit_stream([pairs]).alpha_rule_ == "leave-one-out"
    assert RidgeMap().fit_moments(cross).alpha_rule_ == "generalised cross-validation"
    assert ReducedRankMap(rank=2).fit(*pairs).rank_rule_ == "given"
    assert ReducedRankMap().fit_moments(cross).rank_rule_ == "generalised cross-validation"


@pytest.mark.parametrize("map_", [RidgeMap, ReducedRankMap])
def test_batches_that_pass_once_are_refused_only_where_rows_are_needed_again(map_, pairs):
    with pytest.raises(ConfigError, match="walked over only once"):
        map_().fit_stream(iter([pairs]))
    assert map_(alpha=1.0).fit_stream(iter([pairs])).alpha_ == 1.0


def test_nested_lists_are_streamed(pairs):
    lists = [(part[0].tolist(), part[1].tolist()) for part in [pairs]]
    np.testing.assert_allclose(RidgeMap().fit_stream(lists).coef_, RidgeMap().fit(*pairs).coef_)


def test_more_noise_asks_for_more_strength(rng):
    source, noise = rng.normal(size=(60, 10)), rng.normal(size=(60, 3))
    signal = source @ rng.normal(size=(10, 3))
    chosen = [RidgeMap().fit(source, signal + size * noise).alpha_ for size in (0.01, 1.0, 100.0)]
    assert chosen == sorted(chosen)
    assert chosen[0] < chosen[2]


def test_of_equal_strengths_the_strongest_is_taken(rng):
    source = rng.normal(size=(20, 3))
    problem = RidgeProblem.from_moments(CrossMoments.from_batch(source, source))
    assert problem.choose(lambda alphas: np.zeros(len(alphas))) == pytest.approx(10 * problem.values[0])


@pytest.mark.parametrize("optimum", [1e-1, 3.0, 1e2])
def test_the_grid_finds_an_optimum_to_a_quarter_of_a_decade(rng, optimum):
    source = rng.normal(size=(20, 3)) * [10.0, 1.0, 0.1]
    problem = RidgeProblem.from_moments(CrossMoments.from_batch(source, source))
    found = problem.choose(lambda alphas: np.abs(np.log10(alphas / optimum)))
    assert abs(np.log10(found / optimum)) <= 0.125


def test_a_perfect_fit_from_moments_asks_for_next_to_nothing(rng):
    source = rng.normal(size=(30, 4))
    cross = CrossMoments.from_batch(source, 2 * source)
    fitted = RidgeMap().fit_moments(cross)
    assert fitted.score(source, 2 * source) > 0.9999
    assert np.isfinite(gcv_errors(RidgeProblem.from_moments(cross), np.geomspace(1e-12, 1e12, 9))).all()


def test_pure_noise_is_shrunk_away(rng):
    source, target = rng.normal(size=(40, 30)), rng.normal(size=(40, 5))
    held_source, held_target = rng.normal(size=(500, 30)), rng.normal(size=(500, 5))
    for fitted in (
        RidgeMap().fit(source, target),
        RidgeMap().fit_moments(CrossMoments.from_batch(source, target)),
        ReducedRankMap().fit(source, target),
    ):
        assert -0.2 < fitted.score(held_source, held_target) < 0.01
    assert RidgeMap(alpha=0.0).fit(source, target).score(held_source, held_target) < -1.0


def test_a_rank_of_one_is_found_for_one_column(rng):
    source = rng.normal(size=(40, 3))
    assert ReducedRankMap().fit(source, source @ [1.0, 2.0, 3.0]).rank_ == 1


def test_more_dimensions_than_samples_still_give_a_rank(rng):
    source = rng.normal(size=(15, 40))
    target = source @ rng.normal(size=(40, 1)) @ rng.normal(size=(1, 30)) + 0.1 * rng.normal(size=(15, 30))
    fitted = ReducedRankMap().fit(source, target)
    assert fitted.rank_ == 1
    assert np.isfinite(fitted.coef_).all()
