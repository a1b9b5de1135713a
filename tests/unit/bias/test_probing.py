"""Probes read what was planted, each its own kind, and nothing where there is nothing."""

import numpy as np
import pytest

from msma.bias.probing import Reading, Sides, cross_read, pool_readings, read_side

kinds = pytest.mark.parametrize("kind", ["linear", "nonlinear"])


def make(states, n_documents=20):
    """Sides with as many pairs a document."""
    n = len(states) // 2
    return Sides(states, np.arange(n) * n_documents // n)


def noise(rng, n=80, d=6, n_documents=20):
    """Pairs whose sides are dealt by nothing; texts of one document resemble each other."""
    documents = np.arange(n) * n_documents // n
    shared = rng.normal(size=(n_documents, d))[documents]
    return Sides(np.concatenate([shared, shared]) + rng.normal(size=(2 * n, d)), documents)


def linear(rng, n=80, d=6, gap=3.0):
    states = rng.normal(size=(2 * n, d))
    states[:, 2] += gap * np.repeat([0.5, -0.5], n)
    return make(states)


def crossed(rng, n=80, d=4):
    """The side is whether two signs are the same: no linear map tells it, means are the same."""
    signs = rng.choice([-1.0, 1.0], size=2 * n)
    states = 0.2 * rng.normal(size=(2 * n, d))
    states[:, 0] += 2 * signs
    states[:, 1] += 2 * signs * np.repeat([1.0, -1.0], n)
    return make(states)


@kinds
def test_a_planted_linear_side_is_read(kind):
    rng = np.random.default_rng(0)
    found = read_side(linear(rng, gap=8.0), linear(rng, gap=8.0), kind=kind)
    assert found.value > 0.97
    assert found.low > 0.9
    assert found.low <= found.value <= found.high
    assert found.n == 160


def test_a_linear_probe_reaches_what_theory_allows():
    r"""Two Gaussians a distance g apart are told with accuracy :math:`\Phi(g / 2)` at best."""
    from scipy.stats import norm

    rng = np.random.default_rng(1)
    values = [read_side(linear(rng, n=200, gap=2.0), linear(rng, n=200, gap=2.0)).value for _ in range(10)]
    assert np.mean(values) == pytest.approx(norm.cdf(1.0), abs=0.02)


def test_a_crossed_side_is_read_by_the_probe_that_is_not_linear_alone():
    rng = np.random.default_rng(2)
    train, test = crossed(rng), crossed(rng)
    assert read_side(train, test, kind="nonlinear").value > 0.97
    assert cross_read(train, kind="nonlinear").value > 0.97
    assert abs(read_side(train, test).value - 0.5) < 0.12
    assert read_side(train, test).is_chance


@kinds
def test_the_control_is_chance_even_where_the_side_is_plain(kind):
    rng = np.random.default_rng(3)
    found = [
        read_side(linear(rng, gap=8.0), linear(rng, gap=8.0), kind=kind, seed=seed) for seed in range(25)
    ]
    assert min(f.value for f in found) > 0.95
    assert np.mean([f.control for f in found]) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("how", "covers"), [("read", 0.93), pytest.param("cross", 0.89, marks=pytest.mark.slow)]
)
def test_on_noise_it_is_unbiased_and_its_interval_holds(how, covers):
    """About 0.93 of the intervals, as those of a percentile bootstrap over 20 documents do; fewer across folds, whose
    probes share what they were trained on."""
    rng = np.random.default_rng(4)
    found = []
    for seed in range(100):
        one = noise(rng, n=60, d=4)
        found.append(
            read_side(one, noise(rng, n=60, d=4), seed=seed) if how == "read" else cross_read(one, seed=seed)
        )
    values = np.array([f.value for f in found])
    assert abs(values.mean() - 0.5) < 3 * values.std() / np.sqrt(len(values)) + 0.005
    inside = np.mean([f.low <= 0.5 <= f.high for f in found])
    assert abs(inside - covers) <= 3 * np.sqrt(covers * (1 - covers) / len(found))
    assert np.mean([f.control for f in found]) == pytest.approx(0.5, abs=0.015)


def test_the_probe_that_is_not_linear_is_unbiased_on_noise_too():
    rng = np.random.default_rng(5)
    values = np.array(
        [
            read_side(noise(rng, n=60), noise(rng, n=60), kind="nonlinear", seed=seed).value
            for seed in range(60)
        ]
    )
    assert abs(values.mean() - 0.5) < 3 * values.std() / np.sqrt(len(values)) + 0.005


@kinds
def test_states_that_are_the_same_on_both_sides_give_one_half(kind):
    rng = np.random.default_rng(6)
    half = rng.normal(size=(40, 5))
    same = make(np.concatenate([half, half]), 10)
    found = read_side(same, same, kind=kind)
    assert found.value == 0.5
    assert found.low <= 0.5 <= found.high
    assert cross_read(same, kind=kind).value == 0.5


@kinds
def test_states_that_do_not_vary_give_one_half(kind):
    still = make(np.full((80, 5), 3.7), 10)
    assert read_side(still, still, kind=kind) == Reading(0.5, 0.5, 0.5, 0.5, 80)
    assert cross_read(still, kind=kind) == Reading(0.5, 0.5, 0.5, 0.5, 80)


@kinds
def test_columns_that_are_constant_in_training_tell_nothing(kind):
    rng = np.random.default_rng(7)
    train, test = linear(rng, gap=8.0), linear(rng, gap=8.0)
    plain = read_side(train, test, kind=kind)
    # Constant but for rounding in training; on the other documents it would drown everything.
    still = 1000.0 + 1e-9 * rng.normal(size=(160, 1))
    loud = 1000.0 + 50.0 * rng.normal(size=(160, 1))
    wider = read_side(
        Sides(np.hstack([train.states, still]), train.documents),
        Sides(np.hstack([test.states, loud]), test.documents),
        kind=kind,
    )
    assert wider.value == pytest.approx(plain.value, abs=0.02)


@kinds
def test_units_do_not_matter(kind):
    rng = np.random.default_rng(8)
    train, test = linear(rng), linear(rng)
    scale, move = 10.0 ** rng.uniform(-3, 3, size=6), 5 * rng.normal(size=6)
    moved = [Sides(s.states * scale + move, s.documents) for s in (train, test)]
    assert read_side(*moved, kind=kind).value == pytest.approx(
        read_side(train, test, kind=kind).value, abs=0.01
    )


def test_the_same_seed_gives_the_same():
    rng = np.random.default_rng(9)
    train, test = noise(rng), noise(rng)
    assert read_side(train, test, seed=3) == read_side(train, test, seed=3)
    assert cross_read(train, seed=3) == cross_read(train, seed=3)
    assert read_side(train, test, seed=3).control != read_side(train, test, seed=4).control


def test_no_document_is_read_by_a_probe_that_saw_it():
    """States that name their document and nothing else: a probe that saw it would remember its sides."""
    rng = np.random.default_rng(10)
    n_documents, n = 30, 30
    states = (
        np.concatenate([np.eye(n_documents), -np.eye(n_documents)])
        * rng.choice([-1, 1], size=n)[np.tile(np.arange(n), 2)][:, None]
    )
    sides = Sides(states, np.arange(n))
    assert read_side(sides, sides).value > 0.9
    assert cross_read(sides).value == pytest.approx(0.5, abs=0.2)


def test_the_interval_is_over_documents():
    """Many pairs of few documents are told no better than the documents are many."""
    rng = np.random.default_rng(11)
    shared = rng.normal(size=(8, 4))
    few = np.repeat(np.arange(8), 20)
    offset = np.repeat([0.4, -0.4], 160)[:, None]
    states = np.tile(shared[few], (2, 1)) + offset + 0.05 * rng.normal(size=(320, 4))
    train = linear(rng, d=4, gap=1.0)
    by_document = read_side(train, Sides(states, few))
    by_pair = read_side(train, Sides(states, np.arange(160)))
    assert by_document.value == by_pair.value
    assert by_document.high - by_document.low > 1.5 * (by_pair.high - by_pair.low)


def test_subsets_keep_both_texts_of_a_pair():
    states = np.arange(12.0).reshape(6, 2)
    part = Sides(states, np.array([7, 8, 9])).subset(np.array([2, 0]))
    assert part.states.tolist() == [[4, 5], [0, 1], [10, 11], [6, 7]]
    assert part.documents.tolist() == [9, 7]
    assert part.labels.tolist() == [1, 1, 0, 0]


def test_sides_dealt_anew_stay_paired_and_fair():
    sides = make(np.zeros((400, 1)))
    dealt = sides.swapped(np.random.default_rng(0))
    assert ((dealt[:200] + dealt[200:]) == 1).all()
    assert 70 < dealt[:200].sum() < 130


@pytest.mark.parametrize(("low", "is_chance"), [(0.4, True), (0.5, True), (0.501, False)])
def test_chance_is_an_interval_with_one_half_in_it(low, is_chance):
    assert Reading(0.6, low, 0.7, 0.5, 10).is_chance is is_chance


def test_readings_are_pooled_by_their_texts():
    found = pool_readings([Reading(0.5, 0.4, 0.6, 0.5, 30), Reading(0.9, 0.8, 1.0, 0.4, 10)])
    assert (found.value, found.low, found.high, found.control, found.n) == (0.6, 0.5, 0.7, 0.475, 40)
