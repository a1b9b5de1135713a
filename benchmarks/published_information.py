"""The published estimators of mutual information on samples that ``benchmarks/information.py --dump`` wrote.

Runs in an environment of its own, since the package pins an old jax:

    python -m venv published && published/bin/pip install benchmark-mi==0.1.3 jax==0.4.30 jaxlib==0.4.30
    python benchmarks/information.py --dump samples
    published/bin/python benchmarks/published_information.py samples --out published.csv
    python benchmarks/information.py --published published.csv

Rows are appended as they come; what is there already is not computed again. Estimators are as the package (Czyz et
al. 2023, benchmark-mi) offers them, with its defaults.
"""

import argparse
import csv
import os
import time
from pathlib import Path

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

COLUMNS = ("task", "seed", "estimator", "truth", "value", "low", "high", "seconds", "note")


def _make(name):
    from bmi import estimators

    if name == "CCA":
        return estimators.CCAMutualInformationEstimator()
    if name == "KSG":
        return estimators.KSGEnsembleFirstEstimator(neighborhoods=(10,))
    kinds = {"InfoNCE": "InfoNCE", "MINE": "MINE", "NWJ": "NWJ", "DV": "DonskerVaradhan"}
    return getattr(estimators, f"{kinds[name]}Estimator")(verbose=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("samples", type=Path)
    parser.add_argument("--out", type=Path, default=Path("published.csv"))
    parser.add_argument("--estimators", default="CCA,KSG,InfoNCE,MINE", help="NWJ and DV too")
    parser.add_argument("--seed", default="0")
    parser.add_argument(
        "--limit", type=float, default=3600.0, help="seconds after which nothing new is begun"
    )
    options = parser.parse_args()
    done = set()
    if options.out.exists():
        with options.out.open(newline="") as file:
            done = {(row["task"], row["seed"], row["estimator"]) for row in csv.DictReader(file)}
    begin = time.perf_counter()
    for name in options.estimators.split(","):
        for path in sorted(options.samples.glob(f"*-{options.seed}.npz")):
            task = path.stem.rsplit("-", 1)[0]
            if (task, options.seed, f"published {name}") in done:
                continue
            if time.perf_counter() - begin > options.limit:
                return
            content = np.load(path)
            start = time.perf_counter()
            try:
                value, note = float(_make(name).estimate(content["x"], content["y"])), ""
            except Exception as error:  # whatever a foreign package raises is a row of the table
                value, note = float("nan"), f"{type(error).__name__}: {error}"[:200]
            taken = time.perf_counter() - start
            is_new = not options.out.exists()
            with options.out.open("a", newline="") as file:
                writer = csv.writer(file)
                if is_new:
                    writer.writerow(COLUMNS)
                row = (task, options.seed, f"published {name}", float(content["mi"]), value)
                writer.writerow((*row, "nan", "nan", f"{taken:.1f}", note))
            print(
                f"{task:<46}{name:<10}{float(content['mi']):7.3f} {value:7.3f} {taken:6.0f} s {note}",
                flush=True,
            )


if __name__ == "__main__":
    main()
