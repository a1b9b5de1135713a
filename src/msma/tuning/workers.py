"""Several processes on one study: what they are given, and what one of them does."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np

from msma._types import Pair
from msma.errors import ConfigError, MsmaError
from msma.heldout import PairData, Paired
from msma.maps import LEARNED_MAPS, BaseMap
from msma.scales import Basis
from msma.storage import open_tensors, read_json, write_json, write_tensors
from msma.tuning.search import count_finished, open_study, run_trials
from msma.tuning.space import Logarithmic, OneOf, Space
from msma.tuning.trials import Budget

_POLL = 0.2
_COMMAND = "import sys; from msma.tuning.workers import main; sys.exit(main(sys.argv[1:]))"
#: Libraries that start threads of their own: processes share the cores instead.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def run_workers(
    folder: Path,
    storage: Path,
    map_: BaseMap,
    data: Mapping[Pair, PairData],
    space: Space,
    budget: Budget,
    *,
    n_trials: int,
    n_jobs: int,
    timeout: float | None,
) -> Iterator[int]:
    """Run trials in several processes, each with its share of them.

    A worker ends when this process does, however that comes about: it watches a pipe that closes then.

    Args:
        folder: Where what the workers need is written meanwhile.
        storage: The study's file.
        map_: The map that is tuned.
        data: The pairs of scales.
        space: What is searched.
        budget: What is read, and when trials are given up.
        n_trials: Trials to run in all.
        n_jobs: Processes.
        timeout: Seconds after which no trial is begun.

    Yields:
        Numbers, one for each trial that came to an end.

    Raises:
        MsmaError: When a worker ended before its trials were done.
    """
    handed = folder / "worker"
    write_work(handed, map_, data, space, budget)
    study = open_study(storage, budget)
    before = count_finished(study)
    shares = [len(part) for part in np.array_split(np.arange(n_trials), n_jobs)]
    environment = {**dict.fromkeys(_THREADS, str(max(1, (os.cpu_count() or 1) // n_jobs))), **os.environ}
    limit = "" if timeout is None else str(timeout)
    processes = [
        _start(handed, [str(handed), str(storage), str(number), str(share), limit], environment)
        for number, share in enumerate(shares)
        if share
    ]
    try:
        yield from _watch(processes, lambda: count_finished(study) - before, handed)
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()


def _start(folder: Path, arguments: list[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    with open(folder / f"worker-{arguments[2]}.log", "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-c", _COMMAND, *arguments],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=dict(environment),
        )


def _watch(
    processes: list["subprocess.Popen[bytes]"], count: Callable[[], int], folder: Path
) -> Iterator[int]:
    seen = 0
    is_running = True
    while is_running:
        time.sleep(_POLL)
        is_running = any(process.poll() is None for process in processes)
        for number in range(seen, count()):
            yield number
            seen = number + 1
    for place, process in enumerate(processes):
        if process.returncode:
            said = (folder / f"worker-{place}.log").read_text(encoding="utf-8", errors="replace").strip()
            last = said.splitlines()[-1] if said else "without a word"
            raise MsmaError(
                f"a worker ended with code {process.returncode} after {seen} trials ({last}); what was found is "
                "kept: the same search goes on with it"
            )


def write_work(
    folder: Path, map_: BaseMap, data: Mapping[Pair, PairData], space: Space, budget: Budget
) -> None:
    """Write what a worker needs: arrays it can map into memory, and settings.

    Args:
        folder: Where to.
        map_: The map that is tuned.
        data: The pairs of scales; their test part is left out, so that no worker can look at it.
        space: What is searched.
        budget: What is read.

    Raises:
        ConfigError: When the map cannot be written down.
    """
    params = map_.get_params(deep=False)
    odd = [n for n, v in params.items() if not (v is None or isinstance(v, bool | int | float | str))]
    if odd or LEARNED_MAPS.get(map_.kind) is not type(map_):
        raise ConfigError(
            f"{map_!r} came for several processes; give a learned map of plain parameters "
            f"({', '.join(odd) or 'of this package'}: a name, not an object), or n_jobs=1"
        )
    arrays: dict[str, np.ndarray] = {}
    for pair, part in data.items():
        for name in ("train", "validation"):
            columns = part.part(cast("Any", name))._asdict()
            arrays |= {f"{'-'.join(pair)}.{name}.{key}": np.asarray(value) for key, value in columns.items()}
        for side, basis in zip(("source", "target"), part.bases, strict=True):
            arrays |= {f"{'-'.join(pair)}.{side}.{key}": value for key, value in basis._asdict().items()}
    write_tensors(folder / "pairs.safetensors", arrays)
    ranges = {name: {"kind": type(range_).__name__, **asdict(range_)} for name, range_ in space.items()}
    content = {"map": map_.kind, "params": params, "space": ranges, "budget": asdict(budget)}
    write_json(folder / "work.json", {**content, "pairs": [list(pair) for pair in data]})


def read_work(folder: Path) -> tuple[BaseMap, dict[Pair, PairData], Space, Budget]:
    """Read what :func:`write_work` wrote.

    Args:
        folder: Where it is.

    Returns:
        The map, the pairs of scales, the space and the budget.
    """
    content = read_json(folder / "work.json")
    arrays, _ = open_tensors(folder / "pairs.safetensors")

    def paired(pair: Pair, name: str) -> Paired:
        return Paired(*(arrays[f"{'-'.join(pair)}.{name}.{key}"] for key in Paired._fields))

    data = {}
    for source, target in content["pairs"]:
        pair: Pair = (source, target)
        bases = [
            Basis(*(arrays[f"{'-'.join(pair)}.{s}.{k}"] for k in Basis._fields)) for s in ("source", "target")
        ]
        train, validation = paired(pair, "train"), paired(pair, "validation")
        data[pair] = PairData(train=train, validation=validation, test=validation, bases=(bases[0], bases[1]))
    kinds = {kind.__name__: kind for kind in (Logarithmic, OneOf)}
    space = {name: kinds[range_.pop("kind")](**_tuples(range_)) for name, range_ in content["space"].items()}
    return (
        LEARNED_MAPS[content["map"]](**content["params"]),
        data,
        space,
        Budget(**_tuples(content["budget"])),
    )


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _end_with_parent() -> None:
    """Wait for the pipe from the parent to close, which it does however the parent ends, and end."""

    def wait() -> None:
        # Not through sys.stdin, whose lock would keep the interpreter from ending in peace.
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main(arguments: list[str]) -> int:
    """Run a worker's share of the trials.

    Args:
        arguments: Folder of the work, the study's file, number of the worker, its trials, seconds or "".

    Returns:
        0, or 2 for a foreseen failure, told in one line on standard error.
    """
    _end_with_parent()
    try:
        map_, data, space, budget = read_work(Path(arguments[0]))
        study = open_study(Path(arguments[1]), budget)
        deadline = time.monotonic() + float(arguments[4]) if arguments[4] else None
        trials = run_trials(
            study,
            map_,
            data,
            space,
            budget,
            n_trials=int(arguments[3]),
            worker=int(arguments[2]),
            deadline=deadline,
        )
        for _ in trials:
            pass
    except MsmaError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0
