"""What maps carry of a difference, on states whose maps are known."""

import numpy as np
import pytest

from msma.alignment import Alignment
from msma.bias import TextPairs, carried_bias
from msma.bias.location import PairStates
from msma.errors import OriginError, ShapeError
from msma.maps import RidgeMap
from msma.scales import ScalePartition
from msma.states import HiddenStates

D, N = 8, 48
PARTITION = ScalePartition(n_layers=3, boundaries=(1, 2))
PAIR = {"source": "global", "target": "intermediate"}


def pairs_of(n=N):
    return TextPairs(
        tuple(f"one {i}" for i in range(n)),
        tuple(f"other {i}" for i in range(n)),
        ("one", "other"),
        tuple(f"d{i}" for i in range(n)),
        tuple(f"w{i % 12}" for i in range(n)),
        "side",
        "made up",
    )


def states_of(layers, texts=None, documents=None):
    return HiddenStates.from_arrays(np.stack(layers), texts=texts, documents=documents)


def make(linear, *, direction=None, size=3.0, target_noise=0.0, seed=0, own=0.2):
    """Global states z, intermediate z A, local z A A; pairs differ along a direction and a little otherwise."""
    rng = np.random.default_rng(seed)
    direction = np.eye(D)[0] if direction is None else direction

    def layers(z):
        middle = z @ linear + target_noise * rng.normal(size=z.shape)
        return [middle @ linear, middle, z]

    train, held = rng.normal(size=(600, D)), rng.normal(size=(400, D))
    base = rng.normal(size=(N, D))
    differences = size * direction + own * rng.normal(size=(N, D))
    z = np.concatenate([base + differences / 2, base - differences / 2])
    pairs = pairs_of()
    alignment = Alignment(RidgeMap(alpha=1e-8)).fit(states_of(layers(train)), PARTITION)
    test = PairStates(pairs, PARTITION, states_of(layers(z), texts=pairs.texts))
    reference = states_of(layers(held), texts=[f"held {i}" for i in range(400)])
    return carried_bias(alignment, test, reference), differences


def test_a_known_map_carries_all_of_it():
    linear = np.random.default_rng(5).normal(size=(D, D))
    result, differences = make(linear)
    rows = {row.metric: row for row in result.where(**PAIR)}
    assert rows["carried_cosine"].value == pytest.approx(1.0, abs=1e-5)
    assert rows["carried_variance"].value == pytest.approx(1.0, abs=1e-5)
    assert rows["carried_cosine"].low > 0.999
    assert rows["carried_variance"].low > 0.999
    # By hand: the same ratio for differences of random texts, the same draws.
    mean = differences.mean(axis=0)
    own = np.linalg.norm(mean @ linear) / np.linalg.norm(mean)
    rng = np.random.default_rng([0, 6])
    ones, others = rng.integers(0, 400, size=(2, 500))
    random = np.random.default_rng(0)
    random.normal(size=(600, D))
    held = random.normal(size=(400, D)).astype(np.float32).astype(np.float64)
    apart = (held[ones] - held[others])[ones != others]
    ratio = ((apart @ linear) ** 2).sum(axis=1) / (apart**2).sum(axis=1)
    gain = rows["carried_gain"]
    assert gain.value == pytest.approx(own / np.sqrt(ratio.mean()), rel=1e-3)
    assert gain.low <= gain.value <= gain.high
    assert (gain.null, gain.map, gain.n, gain.split) == (1.0, "ridge", N, "test")


def test_a_map_that_passes_one_direction_on_more_strongly_has_a_gain_above_one():
    linear = np.diag([4.0, *[1.0] * (D - 1)])
    strong = make(linear)[0].value("carried_gain", **PAIR)
    weak = make(linear, direction=np.eye(D)[3])[0].value("carried_gain", **PAIR)
    plain = make(np.linalg.qr(np.random.default_rng(1).normal(size=(D, D)))[0])[0].value(
        "carried_gain", **PAIR
    )
    assert strong > 1.3
    assert weak < 0.8
    assert plain == pytest.approx(1.0, abs=1e-4)


def test_a_map_that_destroys_the_direction_carries_nothing():
    """The source does not show what the target differs in: the map cannot know it."""
    rng = np.random.default_rng(3)
    kept = np.diag([0.0, *[1.0] * (D - 1)])
    train, held, base = rng.normal(size=(600, D)), rng.normal(size=(400, D)), rng.normal(size=(N, D))
    differences = 3.0 * np.eye(D)[0] + 0.2 * rng.normal(size=(N, D)) @ kept
    z = np.concatenate([base + differences / 2, base - differences / 2])

    def layers(states):
        return [states, states, states @ kept]

    pairs = pairs_of()
    alignment = Alignment(RidgeMap(alpha=1e-4)).fit(states_of(layers(train)), PARTITION)
    result = carried_bias(
        alignment,
        PairStates(pairs, PARTITION, states_of(layers(z), texts=pairs.texts)),
        states_of(layers(held)),
    )
    rows = {row.metric: row for row in result.where(**PAIR)}
    assert abs(rows["carried_variance"].value) < 0.06
    assert abs(rows["carried_cosine"].value) < rows["carried_cosine"].floor
    assert rows["carried_variance"].high < 0.1
    # The other step, whose scales both show it, carries all of it.
    assert result.value("carried_variance", source="intermediate", target="local") == pytest.approx(
        1.0, abs=1e-4
    )


def test_maps_fitted_on_shuffled_pairs_carry_nothing():
    result, _ = make(np.random.default_rng(5).normal(size=(D, D)))
    for row in result.where(metric="carried_variance"):
        assert abs(row.null) < 0.1
        assert row.ceiling == 1.0
    # A cosine has no zero of its own: two directions of eight dimensions are seldom far from square.
    nulls = [
        make(np.random.default_rng(seed).normal(size=(D, D)), seed=seed)[0].row("carried_cosine", **PAIR).null
        for seed in range(12)
    ]
    assert abs(np.mean(nulls)) < 3 / np.sqrt(D * 12)


def test_the_floor_is_what_random_differences_stay_below():
    """In d dimensions squared cosines are Beta(1/2, (d - 1)/2); the map is a rotation, so no direction is special."""
    from scipy.stats import beta

    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(D, D)))[0]
    floor = make(turn)[0].row("carried_cosine", **PAIR).floor
    assert floor == pytest.approx(np.sqrt(beta(0.5, (D - 1) / 2).ppf(0.95)), abs=0.05)


def test_noise_in_the_target_is_not_explained():
    """With orthogonal A the target's differences are those of the source and noise of a known size."""
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(D, D)))[0]
    result, differences = make(turn, target_noise=0.5, own=0.5)
    signal, noise = (differences**2).sum(axis=1).mean(), 2 * 0.5**2 * D
    row = result.row("carried_variance", **PAIR)
    assert row.value == pytest.approx(signal / (signal + noise), abs=0.06)
    assert row.low <= signal / (signal + noise) <= row.high


@pytest.mark.parametrize("scale", ["global", "intermediate"])
def test_where_a_scale_has_the_same_states_there_is_nothing_to_carry(scale):
    rng = np.random.default_rng(0)
    base, differences = rng.normal(size=(N, D)), rng.normal(size=(N, D)) + 1.0
    told = np.concatenate([base + differences, base - differences])
    same = np.concatenate([base, base])
    layers = {"local": told, "intermediate": told, "global": told, scale: same}
    pairs = pairs_of()
    train = rng.normal(size=(300, D))
    alignment = Alignment(RidgeMap()).fit(states_of([train, train, train]), PARTITION)
    test = PairStates(pairs, PARTITION, states_of(list(layers.values()), texts=pairs.texts))
    result = carried_bias(alignment, test, states_of([train, train, train]))
    touched = result.where(**PAIR)
    silent = [row for row in touched if row.value is None]
    assert {row.metric for row in silent} >= (
        {"carried_cosine", "carried_variance", "carried_gain"}
        if scale == "global"
        else {"carried_cosine", "carried_variance"}
    )
    for row in silent:
        assert row.note == "both sides have the same state at one of the scales, so there is nothing to carry"
        assert (row.low, row.high, row.null, row.floor, row.interval) == (None,) * 5
    assert all(np.isfinite(row.value) for row in result.rows if row.value is not None)


def test_each_pair_of_scales_has_three_rows_and_the_concept_is_kept():
    result, _ = make(np.eye(D))
    assert len(result.rows) == 3 * len({(row.source, row.target) for row in result.rows})
    assert {(row.source, row.target) for row in result.rows} >= {
        ("global", "intermediate"),
        ("intermediate", "local"),
    }
    assert result.provenance["concept"] == "side"
    assert result.name == "bias_carried"


def test_states_of_another_model_are_refused():
    rng = np.random.default_rng(0)
    train = rng.normal(size=(100, D))
    alignment = Alignment(RidgeMap()).fit(states_of([train, train, train]), PARTITION)
    pairs = pairs_of()
    wide = rng.normal(size=(3, 2 * N, D + 1))
    with pytest.raises(OriginError):
        carried_bias(
            alignment,
            PairStates(pairs, PARTITION, HiddenStates.from_arrays(wide, texts=pairs.texts)),
            states_of([train, train, train]),
        )


def test_rounding_is_not_carried():
    """Sides that are the same but for the last digits of single precision have nothing to carry."""
    rng = np.random.default_rng(0)
    base, train = rng.normal(size=(N, D)), rng.normal(size=(300, D))
    same = np.concatenate([base, base * (1 + 1e-7 * rng.normal(size=(N, D)))])
    told = np.concatenate([base + 1.0, base - 1.0])
    pairs = pairs_of()
    alignment = Alignment(RidgeMap()).fit(states_of([train, train, train]), PARTITION)
    test = PairStates(pairs, PARTITION, states_of([told, told, same], texts=pairs.texts))
    assert not np.array_equal(test.layers[2][:N], test.layers[2][N:])
    result = carried_bias(alignment, test, states_of([train, train, train]))
    assert [row.value for row in result.where(**PAIR)] == [None] * 3
    assert result.value("carried_variance", source="intermediate", target="local") > 0.99


def few_states(held):
    """Pairs and maps as ever, with ordinary texts of one's own."""
    rng = np.random.default_rng(0)
    base, train, pairs = rng.normal(size=(N, D)), rng.normal(size=(300, D)), pairs_of()
    told = np.concatenate([base + 1.0, base - 1.0])
    alignment = Alignment(RidgeMap()).fit(states_of([train, train, train]), PARTITION)
    return (
        alignment,
        PairStates(pairs, PARTITION, states_of([told] * 3, texts=pairs.texts)),
        states_of([held] * 3),
    )


def test_ordinary_texts_that_come_twice_are_no_trouble():
    held = np.random.default_rng(1).normal(size=(40, D))
    once, twice = (carried_bias(*few_states(h)) for h in (held, np.concatenate([held, held])))
    assert all(np.isfinite(row.value) for row in twice.rows)
    assert twice.value("carried_gain", **PAIR) == pytest.approx(once.value("carried_gain", **PAIR), rel=1e-3)


def test_ordinary_texts_that_are_all_the_same_are_told():
    with pytest.raises(ShapeError, match="40 ordinary texts with the same state at the global scale"):
        carried_bias(*few_states(np.ones((40, D))))
