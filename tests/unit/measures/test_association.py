"""Association tests: effect against a slow twin, p under the null, clusters of sentences, intervals, errors."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binom, kstest

from msma.errors import ConfigError, ShapeError
from msma.measures.association import association_effect
from msma.measures.association_design import AssociationDesign, association_test


def naive_effect(x, y, a, b):
    """The formulas as they stand in the paper, one pair of vectors at a time."""

    def cosine(u, v):
        return sum(p * q for p, q in zip(u, v, strict=True)) / math.sqrt(
            sum(p * p for p in u) * sum(q * q for q in v)
        )

    def association(w):
        return sum(cosine(w, t) for t in a) / len(a) - sum(cosine(w, t) for t in b) / len(b)

    s_x, s_y = [association(w) for w in x], [association(w) for w in y]
    both = s_x + s_y
    mean = sum(both) / len(both)
    spread = math.sqrt(sum((s - mean) ** 2 for s in both) / (len(both) - 1))
    return (sum(s_x) / len(s_x) - sum(s_y) / len(s_y)) / spread


def draw_words(rng, n_words, *, n_sentences=1, towards=0.0, d=20, word=1.0, sentence=0.5):
    """Sentences of words: a shift along one axis, an effect of the word, an effect of the sentence."""
    centres = word * rng.normal(size=(n_words, d))
    centres[:, 0] += towards
    sentences = centres[:, None] + sentence * rng.normal(size=(n_words, n_sentences, d))
    return sentences.reshape(-1, d)


def name_words(prefix, n_words, n_sentences=1):
    return [f"{prefix}{i}" for i in range(n_words) for _ in range(n_sentences)]


def four(rng, sizes=(6, 6, 5, 5), d=8):
    return [rng.normal(size=(n, d)) for n in sizes]


def test_the_effect_is_the_papers_formula(rng):
    for sizes in ((6, 6, 5, 5), (3, 9, 2, 7)):
        lists = four(rng, sizes)
        assert association_effect(*lists) == pytest.approx(naive_effect(*lists), abs=1e-12)


def test_the_effect_of_a_case_by_hand():
    # Angles of 0, 60 | 90, 180 degrees to the only direction of A; B is its opposite, so s = 2 cos.
    turn = np.deg2rad([0.0, 60.0, 90.0, 180.0])
    targets = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    a = np.array([[1.0, 0.0], [5.0, 0.0]])
    s = np.array([2.0, 1.0, 0.0, -2.0])
    expected = (1.5 - -1.0) / s.std(ddof=1)
    assert association_effect(targets[:2], targets[2:], a, -a) == pytest.approx(expected, abs=1e-12)


def test_the_effect_knows_angles_only_and_changes_sign_with_its_sides(rng):
    x, y, a, b = four(rng)
    d = association_effect(x, y, a, b)
    lengths = np.exp(rng.normal(size=(6, 1)))
    assert association_effect(x * lengths, y * 1e-200, a * 1e150, b) == pytest.approx(d, abs=1e-12)
    assert association_effect(y, x, a, b) == pytest.approx(-d, abs=1e-12)
    assert association_effect(x, y, b, a) == pytest.approx(-d, abs=1e-12)
    turn, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    assert association_effect(x @ turn, y @ turn, a @ turn, b @ turn) == pytest.approx(d, abs=1e-12)


def test_the_effect_stays_below_two_for_equal_lists(rng):
    a = np.array([[1.0, 0.0]] * 2)
    for n in (2, 5, 50):
        d = association_effect(np.tile(a[:1], (n, 1)), np.tile(-a[:1], (n, 1)), a, -a)
        assert d == pytest.approx(2 * math.sqrt((2 * n - 1) / (2 * n)))


def test_an_exact_p_counts_every_partition(rng):
    x, y, a, b = four(rng, (4, 5, 3, 4))
    found = association_test(x, y, a, b)
    assert found.is_exact
    assert found.n_permutations == math.comb(9, 4)
    words = [name_words(side, n) for side, n in zip("xyab", (4, 5, 3, 4), strict=True)]
    assert AssociationDesign(*words).least_p == 1 / math.comb(9, 4)
    both = np.concatenate([x, y])
    effects = []
    for chosen in combinations(range(9), 4):
        rest = [i for i in range(9) if i not in chosen]
        effects.append(naive_effect(both[list(chosen)], both[rest], a, b))
    effects = np.array(effects)
    assert found.p == np.mean(np.abs(effects) >= abs(found.effect) - 1e-9)
    assert found.p_greater == np.mean(effects >= found.effect - 1e-9)
    assert found.floor == pytest.approx(np.quantile(np.abs(effects), 0.95, method="higher"), abs=1e-9)


def test_a_drawn_p_agrees_with_the_exact_one(rng):
    x, y, a, b = four(rng, (7, 7, 5, 5))
    exact = association_test(x, y, a, b)  # 3,432 partitions
    drawn = association_test(x, y, a, b, n_permutations=3000)
    assert exact.is_exact
    assert not drawn.is_exact
    for name in ("p", "p_greater"):
        truth, error = getattr(exact, name), 4 * math.sqrt(0.25 / 3000)
        assert abs(getattr(drawn, name) - truth) < error
    assert drawn.floor == pytest.approx(exact.floor, abs=0.1)


def test_a_drawn_p_is_never_zero_and_always_the_same(rng):
    x, y = draw_words(rng, 12, towards=5.0), draw_words(rng, 12, towards=-5.0)
    a, b = draw_words(rng, 8, towards=5.0), draw_words(rng, 8, towards=-5.0)
    found = association_test(x, y, a, b, n_permutations=999, seed=3)
    assert found.p == found.p_greater == 1 / 1000
    words = [name_words(side, 12) for side in "xyab"]
    assert AssociationDesign(*words, n_permutations=999).least_p == 1 / 1000
    assert found == association_test(x, y, a, b, n_permutations=999, seed=3)
    opposite = association_test(y, x, a, b, n_permutations=999, seed=3)
    assert (opposite.p, opposite.p_greater) == (1 / 1000, 1.0)
    assert found.low > found.floor > 0


def test_equal_sums_count_as_equal():
    # Associations 1, 0 | 1, 0: no partition is told from its mirror image by rounding.
    x = np.array([[0.1, 0.0], [0.0, 0.3]])
    a, b = np.array([[1.0, 0.0]] * 2), np.array([[-1.0, 0.0]] * 2)
    found = association_test(x, x * 3.0, a, b)
    assert (found.effect, found.p) == (pytest.approx(0.0, abs=1e-12), 1.0)
    assert found.p_greater == 5 / 6  # six partitions: differences 1 once, -1 once, 0 four times


def test_p_is_uniform_where_there_is_no_association():
    p = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        p.append(association_test(*four(rng, (6, 6, 5, 5)), n_resamples=1).p_greater)
    p = np.array(p)
    # An exact p sits on 924 steps; between two steps it may be anywhere.
    spread = p - np.random.default_rng(0).uniform(size=400) / math.comb(12, 6)
    assert kstest(spread, "uniform").pvalue > 0.01
    for level in (0.01, 0.05, 0.1, 0.2, 0.5):
        assert (p <= level).sum() <= binom.ppf(0.999, 400, level)


def test_a_two_sided_p_keeps_its_level_exact_and_drawn():
    for n_permutations in (1000, 400):
        rejections = dict.fromkeys((0.05, 0.2, 0.5), 0)
        for seed in range(400):
            rng = np.random.default_rng(seed)
            found = association_test(
                *four(rng, (6, 6, 5, 5)), n_permutations=n_permutations, n_resamples=1, seed=seed
            )
            for level in rejections:
                rejections[level] += found.p <= level
        for level, count in rejections.items():
            assert binom.ppf(0.001, 400, level) <= count <= binom.ppf(0.999, 400, level)


def test_sentences_of_one_word_are_one_sample():
    n_sentences, n_words, n_runs = 8, 8, 300
    words = [name_words(side, n_words, n_sentences) for side in "xyab"]
    by_word = by_sentence = 0
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        lists = [draw_words(rng, n_words, n_sentences=n_sentences, towards=t) for t in (0, 0, 2, -2)]
        named = dict(zip(("words_x", "words_y", "words_a", "words_b"), words, strict=True))
        by_word += association_test(*lists, **named, n_permutations=400, n_resamples=1).p <= 0.05
        by_sentence += association_test(*lists, n_permutations=400, n_resamples=1).p <= 0.05
    assert binom.ppf(0.001, n_runs, 0.05) <= by_word <= binom.ppf(0.999, n_runs, 0.05)
    assert by_sentence / n_runs > 0.4  # what the published permutation of sentences does


def test_words_with_different_numbers_of_sentences_keep_the_level():
    n_runs, rejected = 300, 0
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        lists, words = [], []
        for side, towards in zip("xyab", (0, 0, 2, -2), strict=True):
            counts = rng.choice([1, 3, 9], size=7)
            lists.append(np.concatenate([draw_words(rng, 1, n_sentences=n, towards=towards) for n in counts]))
            words.append([f"{side}{i}" for i, n in enumerate(counts) for _ in range(n)])
        design = AssociationDesign(*words, n_permutations=400, n_resamples=1, seed=seed)
        rejected += design.test(*lists).p <= 0.05
    assert binom.ppf(0.001, n_runs, 0.05) <= rejected <= binom.ppf(0.999, n_runs, 0.05)


def test_a_planted_association_is_found():
    found = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        lists = [draw_words(rng, 8, n_sentences=4, towards=t) for t in (1.5, -1.5, 2, -2)]
        words = [name_words(side, 8, 4) for side in "xyab"]
        design = AssociationDesign(*words, n_permutations=400, n_resamples=200, seed=seed)
        result = design.test(*lists)
        found += result.p <= 0.05 and result.low > 0
    assert found >= 45


@pytest.mark.parametrize("towards", [0.0, 1.0, 2.0])
def test_the_interval_holds_the_populations_effect(towards):
    rng = np.random.default_rng(1)
    sides = (towards, -towards, 3.0, -3.0)
    truth = association_effect(*(draw_words(rng, 20_000, n_sentences=2, towards=t) for t in sides))
    words = [name_words(side, 10, 4) for side in "xyab"]
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        lists = [draw_words(rng, 10, n_sentences=4, towards=t) for t in sides]
        design = AssociationDesign(*words, n_permutations=1, n_resamples=300, seed=seed)
        found = design.test(*lists)
        held += found.low <= truth <= found.high
    assert 0.88 <= held / 200 <= 0.99


def test_a_draw_weighs_words_as_if_they_were_repeated(rng):
    sizes = {"x": (3, 1, 4), "y": (2, 5), "a": (1, 6, 2), "b": (4, 1)}  # sentences of each word
    words = [[f"{side}{i}" for i, n in enumerate(counts) for _ in range(n)] for side, counts in sizes.items()]
    lists = [rng.normal(size=(len(named), 6)) for named in words]
    design = AssociationDesign(*words, n_permutations=1, n_resamples=20, seed=0)
    drawn = design._redraw([part / np.linalg.norm(part, axis=1, keepdims=True) for part in lists])
    assert len(drawn) == 20
    for number, effect in enumerate(drawn):
        repeated = []
        for part, counts, draws in zip(lists, sizes.values(), design._draws.values(), strict=True):
            pieces = np.split(part, np.cumsum(counts)[:-1])
            repeated.append(
                np.concatenate(
                    [np.tile(piece, (n, 1)) for piece, n in zip(pieces, draws[number], strict=True)]
                )
            )
        assert effect == pytest.approx(naive_effect(*repeated), abs=1e-9)


def test_sizes_are_told(rng):
    lists = [rng.normal(size=(n, 3)) for n in (4, 6, 2, 3)]
    words = [["p", "p", "q", "q"], ["r"] * 3 + ["s"] * 3, ["t", "u"], ["v", "w", "w"]]
    found = AssociationDesign(*words).test(*lists)
    assert (found.n_x, found.n_y, found.n_a, found.n_b, found.n_words) == (4, 6, 2, 3, 8)
    assert found.n_permutations == 6  # two words of four, whatever their sentences
    assert AssociationDesign(*words).least_p == 1 / 3 <= found.p


def test_what_cannot_be_tested_is_told(rng):
    x, y, a, b = four(rng)
    with pytest.raises(ShapeError, match="list A is 3 wide and list X 8"):
        association_effect(x, y, a[:, :3], b)
    with pytest.raises(ShapeError, match="vector 2 of list Y is zero"):
        association_effect(x, y * (np.arange(6) != 2)[:, None], a, b)
    with pytest.raises(ShapeError, match="list B holds NaN"):
        association_effect(x, y, a, np.where(b == b[1, 1], np.nan, b))
    with pytest.raises(ShapeError, match="list X came with 1 sample"):
        association_effect(x[:1], y, a, b)
    with pytest.raises(ShapeError, match="all 12 targets have the same association"):
        association_effect(np.ones((6, 8)), np.ones((6, 8)), a, b)
    with pytest.raises(ShapeError, match="all 12 targets have the same association"):
        association_test(x, y, a, a)
    with pytest.raises(ShapeError, match="1 word came in X; a test over words needs at least 2"):
        association_test(x, y, a, b, words_x=["one"] * 6)
    with pytest.raises(ShapeError, match="'z' came in both X and Y"):
        association_test(x, y, a, b, words_x=list("zbcdef"), words_y=list("zhijkl"))
    with pytest.raises(ShapeError, match="'z' came in both A and B"):
        association_test(x, y, a, b, words_a=list("zbcde"), words_b=list("zhijk"))
    with pytest.raises(ShapeError, match="6 vectors of X came with 3 words"):
        association_test(x, y, a, b, words_x=list("abc"))
    with pytest.raises(ConfigError, match="0 permutations"):
        association_test(x, y, a, b, n_permutations=0)
    with pytest.raises(ConfigError, match="0 resamples"):
        association_test(x, y, a, b, n_resamples=0)
