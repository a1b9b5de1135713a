"""Search the parameters of the learned map on the validation split, and show the choice once on the test split."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from msma._types import PAIRS, Pair
from msma.errors import ConfigError
from msma.gain import measure_gain, rows_of_maps
from msma.heldout import PairData, best_closed_form, make_pairs
from msma.maps import BaseMap, JointMap
from msma.progress import progress
from msma.results import Row
from msma.resuming import check_settings, plain_setting
from msma.scales import Reduction, ScalePartition
from msma.states import Splits
from msma.tuning.choice import Trial
from msma.tuning.findings import Tuning
from msma.tuning.search import count_finished, load_optuna, open_study, prepare, run_trials, sole_owner
from msma.tuning.space import Space, make_space
from msma.tuning.trials import Budget, fit_params
from msma.tuning.workers import run_workers

#: Parameters that do not change what is computed.
_PASSING = ("seed", "checkpoint", "device")


def tune(
    splits: Splits,
    scales: ScalePartition,
    *,
    map: BaseMap | None = None,
    n_trials: int = 30,
    n_jobs: int = 1,
    objectives: Sequence[str] = ("r2", "information", "curvature"),
    space: Space | None = None,
    rungs: Sequence[float] = (0.2,),
    warm_up: int = 5,
    n_groups: int = 20,
    pairs: Sequence[Pair] = PAIRS,
    reduction: Reduction = "mean",
    is_standardised: bool = False,
    out: str | os.PathLike[str] | None = None,
    storage: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
) -> Tuning:
    """Search weights, size and learning rate of the learned map for what it reaches on the validation split.

    Every trial is fitted on the training split and read on the validation split, averaged over the pairs of
    scales: R2, mutual information in nats, and how much the map bends. Trial 0 is the best closed form alone,
    trial 1 the map given; the others are drawn by Optuna's TPE sampler for several objectives. A trial is first
    fitted for a share of the epochs (a rung) and given up there when its R2 lies below the median of earlier
    trials and one of them beats it in every objective. The recommended configuration is fitted again and shown
    on the test split, once, beside the best closed form.

    With a folder the same call goes on where it stopped and adds only the trials that are missing, also after
    a kill. With one process the seed fixes everything; several processes see each other's trials in an order
    that no seed fixes.

    Args:
        splits: States divided by document.
        scales: Which layers belong to which scale.
        map: The learned map whose other parameters are kept; ``JointMap()`` when left out.
        n_trials: Trials in all, those found in the folder included.
        n_jobs: Processes.
        objectives: "r2" and any of "information", "curvature".
        space: Ranges by parameter that replace those of :data:`msma.tuning.SPACE`.
        rungs: Shares of the epochs after which a trial may be given up; none for no pruning.
        warm_up: Trials a rung must have seen before it prunes.
        n_groups: Groups of documents the jackknife leaves out one at a time.
        pairs: Pairs of scales, source first.
        reduction: "mean" of a scale's layers, or its "last" layer.
        is_standardised: Whether layers are brought to equal spread first.
        out: Folder of the search; it stays in memory when left out.
        storage: The study's file, a journal or SQLite (".db"); "study.journal" in the folder when left out.
        timeout: Seconds after which no trial is begun.
        seed: Fixes draws, training and groups.
        say: Told in a few words what is being done.

    Returns:
        Trials, front, recommendation and its confirmation on the test split.

    Raises:
        ConfigError: When a number, objective, rung or parameter is impossible.
        CorpusError: When validation or test is too small.
        MissingExtraError: When Optuna is not installed.
        StorageError: When the folder holds a search with other settings, or another process searches it.
    """
    load_optuna()
    map_ = JointMap() if map is None else map
    if n_trials < 2 or n_jobs < 1:
        raise ConfigError(
            f"{n_trials} trials and {n_jobs} processes came; expected at least 2 trials and 1 process"
        )
    if n_jobs > 1 and out is None and storage is None:
        raise ConfigError(f"{n_jobs} processes came without a folder to share; give out")
    budget = Budget(
        objectives=tuple(objectives), rungs=tuple(rungs), warm_up=warm_up, n_groups=n_groups, seed=seed
    )
    ranges = make_space(map_, space)
    settings = _settings(splits, scales, map_, ranges, budget, pairs, reduction, is_standardised)
    folder, file = _places(out, storage)
    data = make_pairs(splits, scales, pairs=pairs, reduction=reduction, is_standardised=is_standardised)
    with sole_owner(file):
        if folder is not None:
            check_settings(folder / "settings.json", settings, what="a search")
        study = open_study(file, budget)
        prepare(study, map_, data, ranges, budget)
        missing = n_trials - count_finished(study)
        if say is not None:
            say(f"{max(0, missing)} of {n_trials} trials to run")
        if missing > 0 and n_jobs == 1:
            deadline = None if timeout is None else time.monotonic() + timeout
            work: Iterator[int] = run_trials(
                study, map_, data, ranges, budget, n_trials=missing, deadline=deadline
            )
        elif missing > 0 and folder is not None and file is not None:
            work = run_workers(
                folder, file, map_, data, ranges, budget, n_trials=missing, n_jobs=n_jobs, timeout=timeout
            )
        else:
            work = iter(())
        for _ in progress(work, label="trials", total=max(0, missing)):
            pass
        found = Tuning(trials=_read_trials(study, budget), objectives=budget.objectives, provenance=settings)
        return _confirm(found, map_, data, folder, seed=seed, say=say)


def _places(
    out: str | os.PathLike[str] | None, storage: str | os.PathLike[str] | None
) -> tuple[Path | None, Path | None]:
    """Find the folder and the study's file; without a folder, the file's own."""
    if out is None and storage is None:
        return None, None
    file = Path(storage if storage is not None else Path(str(out)) / "study.journal").resolve()
    return (Path(out).resolve() if out is not None else file.parent), file


def _settings(
    splits: Splits,
    scales: ScalePartition,
    map_: BaseMap,
    space: Space,
    budget: Budget,
    pairs: Sequence[Pair],
    reduction: Reduction,
    is_standardised: bool,
) -> dict[str, Any]:
    params = map_.get_params(deep=False)
    return {
        "model": splits.train.origin.model,
        "texts": [part.fingerprint for part in splits],
        "scales": str(scales),
        "map": {name: plain_setting(value) for name, value in params.items() if name not in _PASSING},
        "space": {name: repr(range_) for name, range_ in space.items()},
        "pairs": ["-".join(pair) for pair in pairs],
        "reduction": reduction,
        "is_standardised": is_standardised,
        **{n: list(v) if isinstance(v, tuple) else v for n, v in asdict(budget).items()},
    }


def _read_trials(study: Any, budget: Budget) -> tuple[Trial, ...]:
    states = load_optuna().trial.TrialState
    names = {states.COMPLETE: "complete", states.PRUNED: "pruned", states.FAIL: "failed"}
    trials = []
    for trial in study.get_trials(deepcopy=False):
        attributes = trial.user_attrs
        # What a killed process left has neither values nor a reason.
        if trial.state not in names or (trial.state == states.FAIL and "error" not in attributes):
            continue
        rungs = [attributes[f"rung {rung}"] for rung in budget.rungs if f"rung {rung}" in attributes]
        values = trial.values or (rungs[-1] if rungs else [])
        trials.append(
            Trial(
                number=trial.number,
                state=names[trial.state],
                params=attributes["params"],
                values=dict(zip(budget.objectives, values, strict=False)),
                r2_left_out=tuple(attributes.get("r2_left_out", ())),
                seconds=attributes.get("seconds"),
                note=attributes.get("error"),
            )
        )
    return tuple(trials)


def _confirm(
    found: Tuning,
    map_: BaseMap,
    data: Mapping[Pair, PairData],
    folder: Path | None,
    *,
    seed: int,
    say: Callable[[str], None] | None,
) -> Tuning:
    """Show the recommended configuration on the test split, unless that was done for these very trials."""
    path = None if folder is None else folder / "tuning.json"
    if path is not None and path.is_file():
        before = Tuning.load(path)
        if before.trials == found.trials:
            return before
    recommended = found.recommend()
    learned = [trial for trial in found.complete if not trial.is_closed]
    rows: list[Row] = []
    if learned:
        best = max(learned, key=lambda trial: trial.values["r2"])
        shown = recommended.params if recommended.is_learned else best.params
        if say is not None:
            say("the recommended map and the closed form on the test split")
        closed = best_closed_form(data)[1]
        maps = fit_params(map_, shown, data, seed=seed)
        gain = measure_gain(maps, closed, data, seed=seed)
        which = "recommended map" if recommended.is_learned else "best learned map (not recommended)"
        note = f"over {gain.closed}; {which}"
        rows = [row for row in rows_of_maps((maps, closed), data, seed=seed) if row.split == "test"]
        rows += [replace(row, note=note) for row in gain.rows() if row.split == "test"]
    provenance = {
        **found.provenance,
        "recommended": dict(recommended.params),
        "sentence": recommended.sentence,
    }
    whole = replace(found, confirmation=tuple(rows), provenance=provenance)
    if path is not None:
        whole.save(path)
    return whole
