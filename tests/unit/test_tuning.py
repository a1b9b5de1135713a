"""A search prunes, resumes, survives a kill, repeats itself by its seed, and recommends no more than it found."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from msma.errors import ConfigError, MissingExtraError, MsmaError, ShapeError, StorageError
from msma.heldout import make_pairs
from msma.maps import JointMap, RidgeMap
from msma.plotting import plot_pareto
from msma.results import Result
from msma.tuning import OBJECTIVES, Budget, Logarithmic, OneOf, Trial, Tuning, tune
from msma.tuning.choice import recommend
from msma.tuning.search import count_finished, open_study, sole_owner
from msma.tuning.space import WEIGHTS, draw, fixed_draws, list_terms, make_space
from msma.tuning.trials import is_dominated, read_params, should_prune
from msma.tuning.workers import read_work, write_work
from scale_pairs import PAIR, PARTITION, FeatureMap, bent_states

SPACE = {"width": OneOf((16, 48)), "learning_rate": Logarithmic(1e-3, 1e-1)}
NOTHING = dict.fromkeys(WEIGHTS, 0.0)


@pytest.fixture(scope="module")
def splits():
    return bent_states().split()


def search(splits, **options):
    settings = {"map": FeatureMap(), "space": SPACE, "n_trials": 8, "pairs": [PAIR], "n_groups": 8}
    return tune(splits, PARTITION, **{**settings, **options})


@pytest.fixture(scope="module")
def found(splits):
    return search(splits, n_trials=24)


def budget(**changes):
    return Budget(
        **{
            "objectives": ("r2", "curvature"),
            "rungs": (0.2,),
            "warm_up": 2,
            "n_groups": 8,
            "seed": 0,
            **changes,
        }
    )


def test_the_closed_form_and_the_map_given_come_first(found):
    assert len(found.trials) == 24
    assert found.trials[0].params == NOTHING
    assert found.trials[0].values["curvature"] == 0.0
    assert found.trials[1].params["lambda_geo"] == 1.0
    assert found.trials[1].params["width"] == 64
    assert not any(trial.is_closed for trial in found.trials[1:])
    for trial in found.trials[1:]:
        assert ("estimator" in trial.params) == (trial.params["lambda_info"] > 0)


def test_the_front_is_the_brute_force_front(found):
    points = {
        t.number: np.array([t.values["r2"], t.values["information"], -t.values["curvature"]])
        for t in found.complete
    }
    beaten = {
        i
        for i, mine in points.items()
        for other in points.values()
        if (other >= mine).all() and (other > mine).any()
    }
    assert {t.number for t in found.front} == set(points) - beaten
    for first, second in pairwise(found.front):
        assert first.values["r2"] >= second.values["r2"]


def test_some_trials_are_pruned_and_the_reason_holds(found):
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert pruned
    assert len(pruned) < 0.7 * len(found.trials)
    assert all(not trial.r2_left_out for trial in pruned)
    best = max(trial.values["r2"] for trial in found.complete)
    assert all(trial.values["r2"] < best for trial in pruned)
    assert not [t for t in search_without_rungs(found) if t.state == "pruned"]


def search_without_rungs(found):
    return search(bent_states().split(), rungs=(), n_trials=6).trials


def test_a_rung_prunes_what_is_low_and_beaten_in_everything():
    earlier = [[0.5, 0.1], [0.7, 0.3], [0.9, 0.5]]
    assert should_prune([0.4, 0.2], earlier, budget())  # below the median, beaten by the first
    assert not should_prune([0.4, 0.05], earlier, budget())  # bends less than all others
    assert not should_prune([0.8, 0.9], earlier, budget())  # above the median
    assert not should_prune([0.4, 0.2], earlier[:1], budget())  # too few to compare with
    rng = np.random.default_rng(0)
    for _ in range(200):
        point, others = rng.integers(0, 3, size=2), rng.integers(0, 3, size=(4, 2))
        brute = any(o[0] >= point[0] and o[1] <= point[1] and (o != point).any() for o in others)
        assert is_dominated(point, others, ["maximize", "minimize"]) == brute


def test_a_seed_fixes_a_search_of_one_process(splits, found):
    def plain(tuning):
        return [replace(trial, seconds=None) for trial in tuning.trials]

    again = search(splits, n_trials=24)
    assert plain(again) == plain(found)
    assert again.confirmation == found.confirmation
    assert plain(search(splits, seed=1)) != plain(found)[:8]


@pytest.mark.slow
@pytest.mark.parametrize("file", ["study.journal", "study.db"])
def test_it_goes_on_where_it_stopped_and_as_it_would_have_gone(splits, tmp_path, file):
    first = search(splits, n_trials=5, out=tmp_path, storage=tmp_path / file)
    FeatureMap.fits = 0
    again = search(splits, n_trials=5, out=tmp_path, storage=tmp_path / file)
    assert again == first
    assert FeatureMap.fits == 0  # neither trials nor the look at the test split are repeated
    more = search(splits, n_trials=8, out=tmp_path, storage=tmp_path / file)
    whole = search(splits, n_trials=8)
    assert [(t.params, t.values) for t in more.trials] == [(t.params, t.values) for t in whole.trials]
    assert more.trials[:5] == first.trials


def test_what_a_kill_leaves_behind_is_put_right(splits, tmp_path):
    search(splits, n_trials=4, out=tmp_path)
    file = tmp_path / "study.journal"
    study = open_study(file, budget(objectives=tuple(OBJECTIVES)))
    study.ask().set_user_attr("params", {})  # killed while it ran
    with open(file, "ab") as torn:
        torn.write(b'{"op_code":4,"wor')  # killed while it wrote
    os.symlink(file, f"{file}.lock")  # killed while it held the journal's lock
    started = time.monotonic()
    found = search(splits, n_trials=6, out=tmp_path)
    assert time.monotonic() - started < 20
    assert [trial.number for trial in found.trials] == [0, 1, 2, 3, 5, 6]
    whole = search(splits, n_trials=6)
    assert [(t.params, t.values) for t in found.trials] == [(t.params, t.values) for t in whole.trials]


@pytest.mark.slow
def test_two_searches_do_not_share_a_file(splits, tmp_path):
    search(splits, n_trials=2, out=tmp_path)
    code = (
        "import sys; from pathlib import Path; from msma.tuning.search import sole_owner\n"
        f"with sole_owner(Path({str(tmp_path / 'study.journal')!r})): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline().strip() == b"held"
        with pytest.raises(StorageError, match="searched by another process"):
            search(splits, n_trials=2, out=tmp_path)
        other.kill()
    with sole_owner(tmp_path / "study.journal"):
        pass


def test_a_trial_that_diverges_fails_alone(splits):
    space = {**SPACE, "learning_rate": Logarithmic(1e-3, 10.0)}
    found = search(splits, space=space, n_trials=10)
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert failed
    assert all("diverged" in trial.note for trial in failed)
    assert len(found.trials) == 10
    assert found.complete


def trial(number, r2, *, width=8, spread=0.001, closed=False, seed=0):
    rng = np.random.default_rng(seed if not closed else 99)
    params = (
        NOTHING
        if closed
        else {"lambda_geo": 1.0, "lambda_info": 0.0, "lambda_curv": 0.0, "width": width, "depth": 1}
    )
    left_out = tuple(r2 + spread * rng.normal(size=20) / 20)
    return Trial(number=number, state="complete", params=params, values={"r2": r2}, r2_left_out=left_out)


def test_the_closed_form_is_kept_where_no_map_beats_it_by_more_than_noise():
    base = trial(0, 0.5, closed=True)
    kept = recommend([base, trial(1, 0.5004), trial(2, 0.49, seed=1)])
    assert not kept.is_learned
    assert kept.params == NOTHING
    assert "within noise after correction" in kept.sentence
    worse = recommend([base, trial(1, 0.48)])
    assert "0.0200 less" in worse.sentence
    assert recommend([base]).sentence == "Keep the closed form: no learned map was tried to the end."
    with pytest.raises(ConfigError, match="0 complete trials"):
        recommend([trial(1, 0.4)])


def test_many_maps_that_are_noise_are_not_taken_for_a_gain():
    """The best of forty equal maps looks better than the closed form; Holm knows how many were tried."""
    rng, taken = np.random.default_rng(0), 0
    for _ in range(100):
        effects = rng.normal(size=(41, 20))
        trials = [
            replace(
                trial(i, 0.5, closed=i == 0),
                values={"r2": 0.5 + e.mean() * 1e-3},
                r2_left_out=tuple(0.5 + 1e-3 * (e.sum() - e) / 19),
            )
            for i, e in enumerate(effects)
        ]
        taken += recommend(trials).is_learned
    assert taken <= 10


def test_the_simplest_map_within_one_standard_error_is_taken():
    base, big, small = (
        trial(0, 0.5, closed=True),
        trial(1, 0.7, width=512),
        trial(2, 0.6999, width=16, seed=1),
    )
    chosen = recommend([base, big, small, trial(3, 0.6, width=8, seed=2)])
    assert chosen.is_learned
    assert chosen.trial == 2
    assert "simplest within one standard error of trial 1" in chosen.sentence
    assert recommend([base, big]).sentence.startswith("Take trial 1")


def test_the_choice_is_shown_on_the_test_split_beside_the_closed_form(found):
    assert found.recommend().is_learned
    assert {row.split for row in found.confirmation} == {"test"}
    gain = next(row for row in found.confirmation if row.metric == "r2_gain" and row.source is None)
    assert gain.low > 0
    assert gain.note.endswith("; recommended map")
    assert {row.map for row in found.confirmation if row.metric == "r2"} >= {"features_for_tests"}


def test_it_is_saved_loaded_shown_and_drawn(found, tmp_path):
    assert Tuning.load(found.save(tmp_path / "t.json")) == found
    Result.load(found.to_result().save(tmp_path / "r.json"))
    frame = found.to_frame()
    assert len(frame) == len(found.trials)
    assert {"trial", "state", "r2", "information", "curvature", "lambda_geo", "width"} <= set(frame.columns)
    assert frame["is_on_front"].sum() == len(found.front)
    axes = found.plot()
    assert [panel.get_title(loc="left") for panel in axes.child_axes] == [
        "R² and information",
        "R² and map curvature",
    ]
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(StorageError, match="does not hold a search"):
        Tuning.load(tmp_path / "broken.json")
    with pytest.raises(ShapeError, match="0 complete trials"):
        plot_pareto([], objectives=["r2"], front=[])


def test_one_objective_will_do(splits):
    found = search(splits, objectives=("r2",), n_trials=4)
    assert len(found.front) == 1
    assert found.plot().child_axes[0].get_title(loc="left") == "R² by trial"


def test_draws_and_fixed_draws_are_inverse():
    import optuna

    space = make_space(FeatureMap(lambda_info=0.0), SPACE)
    params = {name: FeatureMap(lambda_info=0.0).get_params()[name] for name in space}
    drawn = draw(optuna.trial.FixedTrial(fixed_draws(params, space)), space)
    assert drawn == {name: value for name, value in params.items() if name != "estimator"}
    assert len(list_terms(space)) == 7
    always = make_space(
        FeatureMap(), {name: Logarithmic(0.1, 1.0) for name in WEIGHTS} | {"width": OneOf((64,))}
    )
    assert list_terms(always) == ("+".join(WEIGHTS),)
    assert "terms" not in fixed_draws(FeatureMap().get_params(), always)
    assert "width" not in fixed_draws(FeatureMap().get_params(), always)
    assert make_space(FeatureMap(width=7), {"width": OneOf((8,))})["width"] == OneOf((8, 7))
    assert make_space(FeatureMap(learning_rate=1.0), {})["learning_rate"].high == 1.0


def test_work_for_several_processes_is_what_was_given(splits, tmp_path):
    data = make_pairs(splits, PARTITION, pairs=[PAIR])
    learned = JointMap(width=8, max_epochs=2)
    space = make_space(learned, SPACE)
    write_work(tmp_path, learned, data, space, budget())
    map_, pairs, ranges, budget_ = read_work(tmp_path)
    assert map_.get_params() == learned.get_params()
    assert (ranges, budget_) == (space, budget())
    assert np.array_equal(pairs[PAIR].train.source, data[PAIR].train.source)
    # The test split stays with the parent.
    assert np.array_equal(pairs[PAIR].test.target, data[PAIR].validation.target)
    assert read_params(map_, NOTHING, pairs, budget_) == read_params(learned, NOTHING, data, budget())
    with pytest.raises(ConfigError, match="several processes"):
        write_work(tmp_path, JointMap(base=RidgeMap()), data, space, budget())
    with pytest.raises(ConfigError, match="several processes"):
        write_work(tmp_path, FeatureMap(), data, space, budget())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_trials": 1}, "at least 2 trials"),
        ({"n_jobs": 0}, "1 process"),
        ({"n_jobs": 2}, "without a folder"),
        ({"objectives": ("r2", "beauty")}, "objective 'beauty' came"),
        ({"objectives": ("curvature",)}, "expected 'r2'"),
        ({"rungs": (0.5, 0.2)}, "rungs (0.5, 0.2) came"),
        ({"rungs": (1.0,)}, "rungs (1.0,) came"),
        ({"space": {"size": OneOf((1,))}}, "parameter 'size' came"),
        ({"map": RidgeMap()}, "parameter 'lambda_geo' came; RidgeMap has"),
        (
            {"map": FeatureMap(lambda_geo=0.0, lambda_info=0.0, lambda_curv=0.0)},
            "all three weights came as 0",
        ),
    ],
)
def test_mistakes_are_told(splits, options, message):
    with pytest.raises(ConfigError) as caught:
        search(splits, **options)
    assert message in str(caught.value)


def test_ranges_that_are_none_are_refused():
    with pytest.raises(ConfigError, match="0 < low <= high"):
        Logarithmic(0.0, 1.0)
    with pytest.raises(ConfigError, match="0 values"):
        OneOf(())


def test_other_settings_and_other_files_are_refused(splits, tmp_path):
    search(splits, n_trials=2, out=tmp_path)
    with pytest.raises(StorageError, match="holds a search with n_groups = 8"):
        search(splits, n_trials=2, out=tmp_path, n_groups=9)
    with pytest.raises(StorageError, match="of other objectives"):
        open_study(tmp_path / "study.journal", budget(objectives=("r2", "information")))
    for name in ("odd.journal", "odd.db"):
        (tmp_path / name).write_text("no study\nat all\n")
        with pytest.raises(StorageError, match="holds no study that can be read"):
            open_study(tmp_path / name, budget())


def test_without_optuna_the_extra_is_named(splits, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"msma\[tune\]"):
        search(splits)


_SEARCH = """
import sys
sys.path.insert(0, {tests!r})
from scale_pairs import PAIR, PARTITION, bent_states
from msma.maps import JointMap
from msma.tuning import OneOf, tune
if __name__ == "__main__":
    learned = JointMap(width=8, batch_size=64, max_epochs=4, device="cpu")
    tune(bent_states(n=300).split(), PARTITION, map=learned, space={{"width": OneOf((8, 16))}}, pairs=[PAIR],
         n_groups=8, n_trials={n_trials}, n_jobs={n_jobs}, out={out!r})
"""


def script(tmp_path, *, n_trials, n_jobs):
    text = _SEARCH.format(
        tests=str(Path(__file__).parents[1]), n_trials=n_trials, n_jobs=n_jobs, out=str(tmp_path / "out")
    )
    path = tmp_path / "search.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def numbers(tmp_path):
    study = open_study(tmp_path / "out" / "study.journal", budget(objectives=tuple(OBJECTIVES)))
    return count_finished(study)


@pytest.mark.slow
def test_two_processes_share_the_work(tmp_path):
    subprocess.run(script(tmp_path, n_trials=9, n_jobs=2), check=True, timeout=300)
    found = Tuning.load(tmp_path / "out" / "tuning.json")
    assert len(found.trials) == 9
    assert len({tuple(sorted(map(str, t.params.items()))) for t in found.trials}) == 9
    assert found.trials[0].is_closed


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_killed_search_goes_on_and_leaves_no_process_behind(tmp_path, n_jobs):
    command = script(tmp_path, n_trials=12, n_jobs=n_jobs)
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        time.sleep(0.3)
        if (tmp_path / "out" / "study.journal").exists() and numbers(tmp_path) >= 4:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = numbers(tmp_path)
    assert 4 <= before < 12
    time.sleep(3)
    # Workers saw their parent go: nothing is added any more.
    settled = numbers(tmp_path)
    time.sleep(4)
    assert numbers(tmp_path) == settled < 12
    subprocess.run(command, check=True, timeout=300)
    assert len(Tuning.load(tmp_path / "out" / "tuning.json").trials) == 12


@pytest.mark.slow
def test_a_worker_that_dies_is_told(splits, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "msma.tuning.workers._COMMAND", "import sys; sys.stderr.write('out of memory\\n'); sys.exit(9)"
    )
    learned = JointMap(width=8, max_epochs=1)
    with pytest.raises(MsmaError, match=r"ended with code 9 after 0 trials \(out of memory\)"):
        tune(splits, PARTITION, map=learned, pairs=[PAIR], n_trials=4, n_jobs=2, n_groups=8, out=tmp_path)
