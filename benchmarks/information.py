"""Mutual information: truth beside estimate, for our estimators and for published ones on the same samples.

    python benchmarks/information.py                              # 40 published and 8 other tasks, n = 10,000
    python benchmarks/information.py --estimators hybrid,copula   # some estimators only
    python benchmarks/information.py --dump samples               # write the samples, for published_information.py
    python benchmarks/information.py --published published.csv    # their figures in the same table
    python benchmarks/information.py --high-dimension             # d = 384 and 768, 0 to 200 nats
    python benchmarks/information.py --jobs 4 --markdown table.md # four processes; the tables into a file as well

Results are appended to --out as they come, and what is there already is not computed again.
"""

import argparse
import csv
import math
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from operator import add
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from information_tasks import Task, other_tasks, published_tasks
from msma.errors import ShapeError
from msma.measures import club_mi, critic_mi, gaussian_mi_from_moments, hybrid_mi, ksg_mi
from msma.measures.information import copula_transform
from msma.measures.trained import deal_folds
from msma.moments import CrossMoments
from msma.resampling import jackknife_interval

#: Nearest neighbours are asked for so many pairs, among all, where a sample has more than so many numbers.
_KSG_QUERIES, _KSG_LARGEST = 1000, 5_000_000
COLUMNS = ("task", "seed", "estimator", "truth", "value", "low", "high", "seconds", "note")


def _with_interval(transform):
    """Give the Gaussian closed form of transformed columns, with a jackknife over 20 groups of pairs."""

    def estimate(x, y, seed):
        groups = deal_folds(None, len(x), n_folds=20, seed=seed)
        x, y = transform(x), transform(y)
        parts = [CrossMoments.from_batch(x[groups == g], y[groups == g]) for g in range(20)]
        return (*_of_groups(parts), "")

    return estimate


def _of_groups(parts: list[CrossMoments]) -> tuple[float, float, float]:
    """Estimate from the moments of groups, and again without each of them."""

    def value(kept):
        return gaussian_mi_from_moments(reduce(add, [parts[g] for g in kept]))

    return jackknife_interval(value, np.arange(len(parts)))[:3]


def _trained(function, **options):
    def estimate(x, y, seed):
        found = function(x, y, seed=seed, **options)
        return (
            found.value,
            found.low,
            found.high,
            "; ".join(part for part in (found.method, found.note) if part),
        )

    return estimate


def _ksg(x, y, seed):
    # All pairs of 50,000 in hundreds of columns would take hours; so many of them have the same expectation.
    queries = _KSG_QUERIES if len(x) * x.shape[1] > _KSG_LARGEST else None
    found = ksg_mi(copula_transform(x), copula_transform(y), queries=queries, seed=seed)
    return float(found), math.nan, math.nan, "no interval: k-NN"


ESTIMATORS = {
    "hybrid": _trained(hybrid_mi),
    "copula": _with_interval(copula_transform),
    "gaussian": _with_interval(lambda columns: columns),
    "ksg": _ksg,
    "infonce": _trained(critic_mi, bound="infonce", n_seeds=1),
    "nwj": _trained(critic_mi, bound="nwj", n_seeds=1),
    "smile": _trained(critic_mi, bound="smile", n_seeds=1),
    "mine": _trained(critic_mi, bound="mine", n_seeds=1),
    "club": _trained(club_mi, n_seeds=1),
}


def draw(task: Task, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return task.sample(n, np.random.default_rng([seed, *task.name.encode()]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="", help="part of the names")
    parser.add_argument("--estimators", default="hybrid,copula,gaussian,ksg", help=", ".join(ESTIMATORS))
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--out", type=Path, default=Path("information.csv"))
    parser.add_argument("--published", type=Path, help="CSV of published_information.py")
    parser.add_argument("--dump", type=Path, help="write samples there and stop")
    parser.add_argument("--high-dimension", action="store_true")
    parser.add_argument("--repeats", type=int, default=20, help="of the closed form; others run less often")
    parser.add_argument("--widths", default="384,768", help="columns a side, with --high-dimension")
    parser.add_argument("--sizes", default="2000,5000,20000,50000", help="pairs, with --high-dimension")
    parser.add_argument("--truths", default="0,2,10,50,200", help="nats, with --high-dimension")
    parser.add_argument("--jobs", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--markdown", type=Path, help="write the tables there too")
    parser.add_argument("--table-only", action="store_true", help="print what --out holds")
    options = parser.parse_args()
    seeds = [int(part) for part in options.seeds.split(",")]
    emit = _emitter(options.markdown)
    if options.high_dimension:
        _high_dimension(options, seeds[0], emit)
        return
    tasks = _all_tasks()
    tasks = {name: task for name, task in tasks.items() if options.tasks in name}
    if options.dump:
        _dump(tasks, options, seeds)
        return
    if not options.table_only:
        _run(tasks, options, seeds)
    rows = _read(options.out) + (_read(options.published) if options.published else [])
    rows = [row for row in rows if row["task"] in tasks and int(row["seed"]) in seeds]
    # The truth of today's definitions, whatever the files were written with.
    _print_tables([row | {"truth": tasks[row["task"]].mi} for row in rows], emit)


def _emitter(path: Path | None) -> Callable[[str], None]:
    """Print lines, and write them to a file where one is given."""
    if path:
        path.write_text("")

    def emit(line: str) -> None:
        print(line, flush=True)
        if path:
            with path.open("a") as file:
                file.write(line + "\n")

    return emit


def _all_tasks() -> dict[str, Task]:
    return {**published_tasks(), **other_tasks()}


def _run(tasks, options, seeds) -> None:
    done = {(row["task"], row["seed"], row["estimator"]) for row in _read(options.out)}
    wanted = [
        (task, options.n, seed, name)
        for seed in seeds
        for task in tasks
        for name in options.estimators.split(",")
        if (task, str(seed), name) not in done
    ]
    if options.jobs == 1:
        _collect(map(_one_row, wanted), options.out)
        return
    with ProcessPoolExecutor(options.jobs) as pool:
        _collect(pool.map(_one_row, wanted), options.out)


def _one_row(wanted: tuple[str, int, int, str]):
    """Estimate one task with one estimator on one sample: a row of the file."""
    task_name, n, seed, name = wanted
    task = _all_tasks()[task_name]
    x, y = draw(task, n, seed)
    start = time.perf_counter()
    try:
        value, low, high, note = ESTIMATORS[name](x, y, seed)
    except ShapeError as error:
        value, low, high, note = math.nan, math.nan, math.nan, str(error)
    return task_name, seed, name, task.mi, value, low, high, time.perf_counter() - start, note


def _collect(rows, path: Path) -> None:
    for row in rows:
        _append(path, row)
        task, _, name, truth, value, low, high, taken, note = row
        print(
            f"{task:<46}{name:<10}truth {truth:6.3f}  {value:7.3f} [{low:6.3f}, {high:6.3f}]"
            f"  error {value - truth:+.4f}  {taken:5.0f} s  {note}",
            flush=True,
        )


def _append(path: Path, row) -> None:
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(COLUMNS)
        writer.writerow([f"{part:.6f}" if isinstance(part, float) else part for part in row])


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _dump(tasks, options, seeds) -> None:
    options.dump.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for task in tasks.values():
            x, y = draw(task, options.n, seed)
            np.savez(options.dump / f"{task.name}-{seed}.npz", x=x, y=y, mi=task.mi)
    print(f"{len(tasks) * len(seeds)} samples in {options.dump}")


def _print_tables(rows, emit) -> None:
    names = list(dict.fromkeys(row["estimator"] for row in rows))
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    for title, chosen in (
        ("the published tasks", [t for t in tasks if not t.startswith("other-")]),
        ("the other tasks", [t for t in tasks if t.startswith("other-")]),
    ):
        if chosen:
            _print_summary(title, rows, chosen, names, emit)
    found: dict[tuple[str, str], list[float]] = {}
    truths = {row["task"]: row["truth"] for row in rows}
    for row in rows:
        value = float(row["value"])
        if math.isfinite(value):
            found.setdefault((row["task"], row["estimator"]), []).append(value)
    emit("\n| task | truth | " + " | ".join(names) + " |")
    emit("|---|---|" + "---|" * len(names))
    for task in tasks:
        cells = [_cell(found.get((task, name)), truths[task]) for name in names]
        emit(f"| {task} | {truths[task]:.3f} | " + " | ".join(cells) + " |")


def _cell(values, truth) -> str:
    return "-" if not values else f"{np.mean(values):.3f} ({np.mean(values) - truth:+.3f})"


def _print_summary(title, rows, tasks, names, emit) -> None:
    """Absolute errors of single samples: no averaging over seeds before the absolute value."""
    emit(f"\nAbsolute error in nats on {title}\n")
    emit("| estimator | samples | tasks | median | mean | max | truth within interval | seconds |")
    emit("|---|---|---|---|---|---|---|---|")
    for name in names:
        mine = [r for r in rows if r["estimator"] == name and r["task"] in tasks]
        mine = [r for r in mine if math.isfinite(float(r["value"]))]
        if not mine:
            continue
        errors = np.array([abs(float(r["value"]) - r["truth"]) for r in mine])
        bounded = [r for r in mine if math.isfinite(float(r["low"]))]
        inside = [float(r["low"]) <= r["truth"] <= float(r["high"]) for r in bounded]
        share = f"{np.mean(inside):.0%}" if inside else "-"
        n_tasks = len({r["task"] for r in mine})
        seconds = np.median([float(r["seconds"]) for r in mine])
        emit(
            f"| {name} | {len(mine)} | {n_tasks} | {np.median(errors):.3f} | {errors.mean():.3f} | "
            f"{errors.max():.3f} | {share} | {seconds:.1f} |"
        )


# High dimension.

_FEW = 4
#: How often each estimator runs, over the repeats of the closed form; the others once.
_SHARES = {"gaussian": 1.0, "copula": 0.2, "hybrid": 0.1}


def _root(d: int, mi: float, spread: int) -> np.ndarray:
    """A factor of the joint covariance with that information, spread evenly over ``spread`` columns."""
    correlation = np.zeros(d)
    correlation[:spread] = math.sqrt(-math.expm1(-2 * mi / spread))
    lower = np.zeros((2 * d, 2 * d))
    lower[:d, :d] = np.eye(d)
    lower[d:, :d] = np.diag(correlation)
    lower[d:, d:] = np.diag(np.sqrt(1 - correlation**2))
    return lower


def _wishart_parts(rng, n: int, d: int, root: np.ndarray) -> list[CrossMoments]:
    """Moments that 20 groups of Gaussian pairs would have, drawn without drawing the pairs (Bartlett 1933)."""
    parts = []
    for size in np.full(20, n // 20) + (np.arange(20) < n % 20):
        if size > 2 * d:
            lower = np.tril(rng.normal(size=(2 * d, 2 * d)), -1)
            lower[np.diag_indices(2 * d)] = np.sqrt(rng.chisquare(size - 1 - np.arange(2 * d)))
            factor = root @ lower
            scatter, mean = factor @ factor.T, root @ rng.normal(size=2 * d) / math.sqrt(size)
        else:  # fewer pairs than columns: the pairs themselves are cheaper
            z = rng.normal(size=(size, 2 * d)) @ root.T
            mean = z.mean(axis=0)
            scatter = (z - mean).T @ (z - mean)
        parts.append(
            CrossMoments(int(size), mean[:d], mean[d:], scatter[:d, :d], scatter[:d, d:], scatter[d:, d:])
        )
    return parts


def _high_dimension(options, seed: int, emit) -> None:
    """Print error and coverage; information spread over all columns, or over four."""
    emit("| d | n | truth | spread over | estimator | mean error | rms error | within interval | repeats |")
    emit("|---|---|---|---|---|---|---|---|---|")
    names = options.estimators.split(",")
    for d in map(int, options.widths.split(",")):
        for n in map(int, options.sizes.split(",")):
            for mi in map(float, options.truths.split(",")):
                for spread in (d, _FEW):
                    # No information is spread over nothing; and correlations must be told from 1 in double precision.
                    if (mi == 0 and spread == _FEW) or mi / spread > 8:
                        continue
                    for name in names:
                        _one_setting(options, name, emit, n=n, d=d, mi=mi, spread=spread, seed=seed)


def _one_setting(options, name: str, emit, *, n: int, d: int, mi: float, spread: int, seed: int) -> None:
    share = _SHARES.get(name, 0.0)
    root, found, problem = _root(d, mi, spread), [], ""
    for repeat in range(max(2 if share else 1, int(options.repeats * share))):
        rng = np.random.default_rng([seed, repeat, n, d, int(mi), spread])
        try:
            if name == "gaussian":
                found.append(_of_groups(_wishart_parts(rng, n, d, root)))
            else:
                z = rng.normal(size=(n, 2 * d)) @ root.T
                turns = [np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(2)]
                found.append(ESTIMATORS[name](z[:, :d] @ turns[0], z[:, d:] @ turns[1], seed)[:3])
        except ShapeError as error:
            problem = str(error)
            break
    start = f"| {d} | {n} | {mi:g} | {spread} | {name} |"
    if not found:
        emit(f"{start} refused: {problem} | | | |")
        return
    values, lows, highs = np.array(found).T
    errors = values - mi
    inside = f"{np.mean((lows <= mi) & (mi <= highs)):.0%}" if np.isfinite(lows).all() else "no interval"
    emit(f"{start} {errors.mean():+.2f} | {np.sqrt((errors**2).mean()):.2f} | {inside} | {len(found)} |")


if __name__ == "__main__":
    main()
