"""The only door to Optuna: a study on disk that several processes share and that survives being killed."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msma._types import Pair
from msma.errors import MissingExtraError, MsmaError, StorageError
from msma.heldout import PairData
from msma.maps import BaseMap
from msma.tuning.space import WEIGHTS, Space, draw, fixed_draws
from msma.tuning.trials import Budget, read_params, should_prune

if TYPE_CHECKING:
    import optuna

_NAME = "msma"
#: Far apart, so that no two processes draw by one seed.
_STRIDE = 1_000_003


def load_optuna() -> Any:
    """Import Optuna, silenced.

    Returns:
        The package.

    Raises:
        MissingExtraError: When it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("optuna", extra="tune") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def open_study(storage: Path | None, budget: Budget) -> "optuna.Study":
    """Open a study, or make it.

    Args:
        storage: A journal file, or an SQLite file where it ends in ".db"; memory when left out.
        budget: Its objectives.

    Returns:
        The study.

    Raises:
        StorageError: When the file holds something else, or a study of other objectives.
    """
    optuna = load_optuna()
    if storage is not None:
        storage.parent.mkdir(parents=True, exist_ok=True)
    try:
        backend: Any = None
        if storage is not None and storage.suffix == ".db":
            backend = f"sqlite:///{storage}"
        elif storage is not None:
            journal = optuna.storages.journal.JournalFileBackend(str(storage))
            backend = optuna.storages.JournalStorage(journal)
        study = optuna.create_study(
            storage=backend, study_name=_NAME, directions=budget.directions, load_if_exists=True
        )
    except Exception as error:  # each backend raises its own
        raise StorageError(f"'{storage}' holds no study that can be read ({error}); delete it") from error
    if [direction.name.lower() for direction in study.directions] != budget.directions:
        raise StorageError(
            f"'{storage}' holds a study of other objectives; choose another file, or delete it"
        )
    return study


@contextmanager
def sole_owner(storage: Path | None) -> Iterator[None]:
    """Hold a study alone: what runs when it is opened was left by a process that died.

    The lock is the kernel's, which lets it go however the process ends. What a killed process left half
    written is mended first: a line without an end, and the lock file of the journal.

    Args:
        storage: The study's file; nothing is done when left out.

    Yields:
        Nothing.

    Raises:
        StorageError: When another process holds it.
    """
    if storage is None:
        yield
        return
    storage.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{storage}.owner", "w") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # no such locks on this system: two searches at once are the user's to avoid
            pass
        except OSError as error:
            raise StorageError(
                f"'{storage}' is searched by another process; wait for it, or choose another folder"
            ) from error
        if storage.suffix != ".db":
            _mend_journal(storage)
        yield


def _mend_journal(storage: Path) -> None:
    with suppress(FileNotFoundError):
        os.unlink(f"{storage}.lock")
    if not storage.is_file():
        return
    content = storage.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with open(storage, "r+b") as file:
            file.truncate(whole)


def prepare(
    study: "optuna.Study", map_: BaseMap, data: Mapping[Pair, PairData], space: Space, budget: Budget
) -> None:
    """Declare trials dead that a killed process left running, and make sure of the two that must be there.

    The best closed form is entered as a trial of no parameters, so that nothing is drawn around it; the map
    given is put in the queue.

    Args:
        study: A study that no other process works on.
        map_: Its parameters are the first trial that is trained.
        data: The pairs of scales.
        space: What is searched.
        budget: What is read.
    """
    optuna = load_optuna()
    states = optuna.trial.TrialState
    for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
        study.tell(trial.number, state=states.FAIL)
    known = [trial for trial in study.get_trials(deepcopy=False) if trial.state != states.FAIL]
    nothing = dict.fromkeys(WEIGHTS, 0.0)
    if not any(trial.user_attrs.get("params") == nothing for trial in known):
        started = time.monotonic()
        values, left_out = read_params(map_, nothing, data, budget)
        seconds = time.monotonic() - started
        attributes = {"params": nothing, "r2_left_out": left_out, "seconds": seconds}
        study.add_trial(optuna.trial.create_trial(values=values, user_attrs=attributes))
    params = map_.get_params(deep=False)
    draws = fixed_draws({name: params[name] for name in space}, space)
    if not any(trial.system_attrs.get("fixed_params") == draws for trial in known):
        study.enqueue_trial(draws)


def count_finished(study: "optuna.Study") -> int:
    """Count the trials that came to an end: complete, pruned, or failed for a reason that is written down.

    Args:
        study: The study.

    Returns:
        Their number; trials of a process that was killed do not count.
    """
    trials = study.get_trials(deepcopy=False)
    return sum(
        trial.state.is_finished() and (not _is_failed(trial) or "error" in trial.user_attrs)
        for trial in trials
    )


def _is_failed(trial: Any) -> bool:
    return bool(trial.state == load_optuna().trial.TrialState.FAIL)


def run_trials(
    study: "optuna.Study",
    map_: BaseMap,
    data: Mapping[Pair, PairData],
    space: Space,
    budget: Budget,
    *,
    n_trials: int,
    worker: int | None = None,
    deadline: float | None = None,
) -> Iterator[int]:
    """Run trials one after another.

    The sampler is seeded anew for every trial, by how many came to an end before it, so that a search that was
    interrupted goes on as it would have gone.

    Args:
        study: The study.
        map_: The map that is tuned.
        data: The pairs of scales.
        space: What is searched.
        budget: What is read, and when trials are given up.
        n_trials: Trials to run.
        worker: Number of this process among several; ``None`` for a process that works alone.
        deadline: Time (``time.monotonic``) after which no trial is begun.

    Yields:
        After each trial, its place among those run here.
    """
    optuna = load_optuna()
    # An objective that fails for one configuration (diverged, not estimable) fails that trial only.
    for place in range(n_trials):
        if deadline is not None and time.monotonic() > deadline:
            return
        number = count_finished(study) + _STRIDE * (0 if worker is None else worker + 1)
        study.sampler = optuna.samplers.TPESampler(seed=(9176 * budget.seed + number) % 2**32)
        study.optimize(
            lambda trial: _objective(trial, map_, data, space, budget), n_trials=1, catch=(MsmaError,)
        )
        yield place


def _objective(
    trial: "optuna.Trial", map_: BaseMap, data: Mapping[Pair, PairData], space: Space, budget: Budget
) -> tuple[float, ...]:
    optuna = load_optuna()
    params = draw(trial, space)
    trial.set_user_attr("params", params)
    started = time.monotonic()
    try:
        for rung in budget.rungs:
            values, _ = read_params(map_, params, data, budget, share=rung)
            earlier = [
                other.user_attrs[f"rung {rung}"]
                for other in trial.study.get_trials(deepcopy=False)
                if other.state.is_finished() and f"rung {rung}" in other.user_attrs
            ]
            trial.set_user_attr(f"rung {rung}", values)
            if should_prune(values, earlier, budget):
                trial.set_user_attr("seconds", time.monotonic() - started)
                raise optuna.TrialPruned
        values, left_out = read_params(map_, params, data, budget)
    except MsmaError as error:
        trial.set_user_attr("error", str(error))
        raise
    trial.set_user_attr("r2_left_out", left_out)
    trial.set_user_attr("seconds", time.monotonic() - started)
    return tuple(values)
