"""Differences between arms: planted ones are found, paired by seed and document, and corrected by family."""

import numpy as np
import pytest

from msma.comparison import contrast_documents, contrast_seeds
from msma.readings import Reading
from msma.replication.collapse import detect_collapse
from msma.replication.findings import tell_replication
from msma.replication.measurement import Key, Measurement
from msma.replication.rows import better_of, replication_rows, units_of
from msma.replication.statistics import BASELINE, BEFORE, FROZEN, compare_arms, mean_over_seeds

PAIR = ("global", "intermediate")
NEAR, RIDGE, OWN = (Key("kl_diagonal", *PAIR, kind) for kind in ("none", "ridge", "trained"))
RANK = Key("effective_rank", target="global")
GROUPS = 10


def reading(value, *, seed=0, noise=0.01):
    # Documents matter far more than arms do: only their pairing lets a difference be seen.
    shared = np.random.default_rng(7).normal(size=GROUPS)
    own = np.random.default_rng(seed).normal(scale=noise, size=GROUPS)
    return Reading(value, tuple(value + (shared - shared.mean() + own - own.mean()) / GROUPS))


def measurement(kl, rank, *, seed, trained=None):
    readings = {NEAR: reading(kl, seed=seed), RIDGE: reading(0.5, seed=seed), RANK: reading(rank, seed=seed)}
    if trained is not None:
        readings[OWN] = reading(trained, seed=seed)
    return Measurement(readings, n=40)


@pytest.fixture
def arms():
    return {
        "baseline": {s: measurement(9.0 + 0.01 * s, 20.0, seed=s) for s in (0, 1, 2)},
        "full": {
            s: measurement(4.0 + 0.012 * s, 20.0 + 0.001 * (s - 1), seed=10 + s, trained=0.4)
            for s in (0, 1, 2)
        },
    }


@pytest.fixture
def before():
    return measurement(10.0, 20.0, seed=99)


def find(differences, arm, against, key):
    (found,) = [d for d in differences if (d.arm, d.against, d.key) == (arm, against, key)]
    return found


class TestDifferences:
    def test_a_planted_difference_is_found_and_another_is_not(self, before, arms):
        found = compare_arms(before, arms)
        planted = find(found, "full", BASELINE, NEAR)
        assert planted.documents.value == pytest.approx(-4.998)
        assert planted.holds
        assert not find(found, "full", BASELINE, RANK).holds

    def test_tests_are_those_of_the_paired_differences(self, before, arms):
        planted = find(compare_arms(before, arms), "full", BASELINE, NEAR)
        mine, its = arms["full"], arms["baseline"]
        values = np.array([mine[s].readings[NEAR].value - its[s].readings[NEAR].value for s in mine])
        rest = np.mean(
            [np.subtract(mine[s].readings[NEAR].left_out, its[s].readings[NEAR].left_out) for s in mine],
            axis=0,
        )
        assert planted.seeds == contrast_seeds(values)
        assert planted.documents == contrast_documents(float(values.mean()), rest)

    def test_each_family_is_corrected_for_its_own_number(self, before, arms):
        found = compare_arms(before, arms)
        # Against the baseline each family has one test, against before two: one an arm.
        for key in (NEAR, RIDGE, RANK):
            alone = find(found, "full", BASELINE, key)
            assert alone.p_documents == alone.documents.p
        pair = [find(found, arm, BEFORE, NEAR) for arm in arms]
        least = min(d.seeds.p for d in pair)
        assert min(d.p_seeds for d in pair) == pytest.approx(2 * least)

    def test_the_trained_map_is_held_against_the_frozen_ridge(self, before, arms):
        found = compare_arms(before, arms)
        assert find(found, "full", FROZEN, OWN).documents.value == pytest.approx(-0.1)
        assert not [d for d in found if d.key == OWN and d.against == BEFORE]

    def test_fine_tuning_itself_is_the_baseline_minus_before(self, before, arms):
        found = compare_arms(before, arms)
        assert find(found, "baseline", BEFORE, NEAR).documents.value == pytest.approx(-0.99)
        assert not [d for d in found if d.arm == "baseline" and d.against == BASELINE]

    def test_one_seed_has_no_test_over_seeds(self, before, arms):
        one = {arm: {0: seeds[0]} for arm, seeds in arms.items()}
        planted = find(compare_arms(before, one), "full", BASELINE, NEAR)
        assert planted.p_seeds is None
        assert planted.holds

    def test_what_cannot_be_told_is_left_out(self, before, arms):
        lost = Measurement({NEAR: Reading(None, note="not to be told")}, n=40)
        found = compare_arms(before, {**arms, "only_geo": {0: lost}})
        assert not [d for d in found if d.arm == "only_geo"]
        assert mean_over_seeds([Reading(None)]) is None


class TestRows:
    def test_means_and_differences_are_rows(self, before, arms):
        rows = replication_rows(before, arms, compare_arms(before, arms))
        by_name = {(row.metric, row.map): row for row in rows}
        assert by_name["kl_diagonal", "full: none"].value == pytest.approx(4.012)
        assert by_name["kl_diagonal", "before: none"].value == 10.0
        assert by_name["kl_diagonal_minus_baseline", "full: none"].note.startswith("differs")
        assert by_name["kl_diagonal_minus_baseline_p_seeds", "full: none"].value < 0.05
        assert by_name["effective_rank", "full"].units == "dimensions"
        assert "3 seeds" in by_name["effective_rank", "full"].note

    def test_a_quantity_nobody_can_tell_is_a_row_without_value(self, before):
        lost = Measurement({NEAR: Reading(None, note="not to be told")}, n=40)
        rows = replication_rows(before, {"full": {0: lost}}, [])
        assert rows[-1].value is None
        assert rows[-1].note == "not to be told"

    def test_units_and_directions(self):
        assert (units_of(Key("probe_topic")), better_of(Key("probe_topic"))) == ("accuracy", "higher")
        assert (units_of(Key("nats_a_token")), better_of(Key("nats_a_token"))) == ("nats", "lower")
        assert (units_of(NEAR), better_of(NEAR)) == ("nats", "lower")
        assert (units_of(RANK), better_of(RANK)) == ("dimensions", "none")
        assert better_of(Key("cka", *PAIR, "none")) == "higher"


class TestSentences:
    def test_they_say_what_is_due_to_alignment(self, before, arms):
        rng = np.random.default_rng(0)
        healthy = {scale: rng.normal(size=(60, 4)) for scale in ("local", "intermediate", "global")}
        none = detect_collapse(healthy, healthy)
        point = detect_collapse(healthy, {**healthy, "global": np.ones((60, 4))})
        told = tell_replication(
            before, arms, compare_arms(before, arms), {"baseline": [none] * 3, "full": [none, point, point]}
        )
        text = "\n".join(told)
        assert (
            "Fine-tuning by itself (baseline minus before): kl_diagonal global → intermediate -0.99" in text
        )
        assert "Due to alignment (full minus baseline): kl_diagonal global → intermediate -5" in text
        assert "baseline: no collapse in 3 of 3 seeds" in text
        assert "full: collapse to a point in 2 of 3 seeds" in text
        assert "a ridge map on the model as it came takes the diagonal KL from 10 to 0.5" in text
        assert "full with its trained maps reaches 0.4" in text

    def test_without_a_baseline_arms_are_held_against_before(self, before, arms):
        told = tell_replication(
            before, {"full": arms["full"]}, compare_arms(before, {"full": arms["full"]}), {}
        )
        assert told[0].startswith("Due to alignment (full minus before): kl_diagonal")

    def test_where_nothing_differs_that_is_said(self, before):
        same = {"baseline": dict.fromkeys((0, 1), before)}
        told = tell_replication(before, same, compare_arms(before, same), {})
        assert told[0].endswith("no difference shown in any quantity.")
