"""A learned map is kept for what it adds and for nothing else."""

import numpy as np
import pytest

from msma.errors import ConfigError, CorpusError
from msma.gain import choose_map, measure_gain
from msma.heldout import PairData, Paired, best_closed_form, make_pairs
from msma.maps import JointMap, RidgeMap
from msma.moments import Moments
from msma.scales import Basis
from scale_pairs import PAIR, PARTITION, FeatureMap, bent_states


def linear(slope):
    """The map x -> slope x, without fitting anything."""
    made = RidgeMap().fit([[0.0], [1.0], [2.0]], [[0.0], [1.0], [2.0]])
    made.coef_, made.intercept_ = np.array([[slope]]), np.zeros(1)
    return made


def drawn(rng, n_documents, *, shared):
    documents = np.repeat(np.arange(n_documents), 4)
    x = shared * rng.normal(size=n_documents)[documents] + (1 - shared**2) ** 0.5 * rng.normal(
        size=len(documents)
    )
    y = x + 0.5 * rng.normal(size=len(documents))
    return Paired(x[:, None], y[:, None], documents)


def test_the_interval_covers_the_true_gain_in_repeats():
    # E(y - f)^2 = (1 - slope)^2 + 1/4 and var y = 5/4: a gain of 0.04 / 1.25 for slopes 1 and 0.8
    rng, hits = np.random.default_rng(0), []
    for seed in range(60):
        part = drawn(rng, 80, shared=0.6)
        basis = Basis.from_moments(Moments.from_batch(part.target))
        data = {PAIR: PairData(train=part, validation=part, test=part, bases=(basis, basis))}
        gain = measure_gain({PAIR: linear(1.0)}, {PAIR: linear(0.8)}, data, n_resamples=300, seed=seed)
        hits.append(gain.test.low <= 0.04 / 1.25 <= gain.test.high)
    assert np.mean(hits) >= 0.85


def test_pairing_is_worth_it(rng):
    """The gain's interval is far narrower than that of either R2."""
    part = drawn(rng, 80, shared=0.6)
    basis = Basis.from_moments(Moments.from_batch(part.target))
    data = {PAIR: PairData(train=part, validation=part, test=part, bases=(basis, basis))}
    gain = measure_gain({PAIR: linear(1.0)}, {PAIR: linear(0.95)}, data)
    error = ((part.target - part.source) ** 2).ravel()
    alone = 2 * 1.96 * error.std() / len(error) ** 0.5 / part.target.var()
    assert gain.test.high - gain.test.low < 0.5 * alone
    assert gain.test == gain.by_pair[PAIR]


def test_a_bend_is_kept_and_told_in_one_sentence():
    learned = JointMap(width=24, batch_size=32, max_epochs=15, learning_rate=1e-2, lambda_info=0.0)
    choice = choose_map(bent_states().split(), PARTITION, learned=learned, pairs=[PAIR])
    assert choice.name == "joint"
    assert choice.gain.verdict == "kept"
    assert choice.gain.validation.low > 0.05
    assert choice.gain.removed.value > 0.3
    assert choice.gain.sentence.startswith("The learned map (joint) is kept")
    assert choice.maps[PAIR].kind == "joint"
    row = choice.result.row("r2_gain", split="test", source=None)
    assert (row.value, row.low, row.high, row.null) == (*choice.gain.test[:3], 0.0)
    r2 = {row.map: row.value for row in choice.result.where(metric="r2", split="test")}
    assert r2["joint"] - r2[choice.gain.closed] == pytest.approx(choice.gain.test.value, abs=1e-9)


def test_nothing_is_kept_where_there_is_nothing_to_learn():
    choice = choose_map(bent_states(bend=0.0, noise=0.5).split(), PARTITION, learned=FeatureMap())
    assert choice.name in ("ridge", "procrustes", "reduced_rank", "transport")
    assert choice.gain.verdict == "closed form kept"
    assert choice.gain.sentence.startswith("The closed form (")
    assert set(choice.maps) == {PAIR, ("intermediate", "local")}
    assert "less of the target" in choice.gain.sentence
    assert "adds" in choice.gain.sentence


def test_the_decision_is_made_on_validation_alone():
    rng = np.random.default_rng(0)
    good, bad = drawn(rng, 60, shared=0.0), drawn(rng, 60, shared=0.0)
    bad = bad._replace(target=0.8 * bad.source)  # there the other map is right
    basis = Basis.from_moments(Moments.from_batch(good.target))
    data = {PAIR: PairData(train=good, validation=good, test=bad, bases=(basis, basis))}
    gain = measure_gain({PAIR: linear(1.0)}, {PAIR: linear(0.8)}, data)
    assert gain.is_kept
    assert gain.test.high < 0
    data = {PAIR: PairData(train=good, validation=bad, test=good, bases=(basis, basis))}
    assert not measure_gain({PAIR: linear(1.0)}, {PAIR: linear(0.8)}, data).is_kept


def test_mistakes_are_told():
    splits = bent_states(n=120).split()
    data = make_pairs(splits, PARTITION, pairs=[PAIR])
    with pytest.raises(ConfigError, match="map 'magic' came"):
        choose_map(splits, PARTITION, learned=FeatureMap(), closed="magic")
    with pytest.raises(ConfigError, match="0 names came"):
        best_closed_form(data, names=[])
    with pytest.raises(ConfigError, match="other pairs"):
        measure_gain({}, {}, data)
    with pytest.raises(ConfigError, match="0 pairs"):
        make_pairs(splits, PARTITION, pairs=[])
    with pytest.raises(CorpusError, match="validation split; comparing maps needs at least 8"):
        make_pairs(bent_states(n=60).split(), PARTITION)
