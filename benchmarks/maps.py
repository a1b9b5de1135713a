"""What a map costs, and what the learned one adds on real states.

Run: python benchmarks/maps.py --n 10000 100000 --d 384
Fit time and peak memory of ridge, reduced rank and the learned map on curved pairs, each in a process of its own.

Run: python benchmarks/maps.py --minilm --texts wiki.valid.tokens
The learned map against ridge on token states of MiniLM, held out by document, with the document bootstrap's
interval of the difference in R2. States are read once and kept (--cache).
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MAPS = ("ridge", "reduced_rank", "joint")
PAIRS = (("global", "intermediate"), ("intermediate", "local"))
#: Share of the documents that nothing is fitted on.
_TEST = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--d", type=int, nargs="+", default=[384])
    parser.add_argument("--maps", nargs="+", choices=MAPS, default=MAPS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--minilm", action="store_true", help="real states instead")
    parser.add_argument("--texts", type=Path, help="a file of WikiText: wiki.valid.tokens")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "msma-minilm-tokens")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the learned map"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    settings = {name: json.loads(value) for name, value in (pair.split("=", 1) for pair in options.set)}
    if options.one:
        _fit_one(options.one, options.n[0], options.d[0], settings)
    elif options.minilm:
        if options.texts is None:
            parser.error("--minilm needs --texts PATH")
        _compare(options, settings)
    else:
        _costs(options)


# --- costs


def _costs(options):
    print(f"curved pairs (y = x A + B tanh(x C) + noise), {options.threads} threads\n")
    print(
        f"{'map':<14}{'n':>9}{'d':>6}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}{'of that, pairs':>16}{'R2':>8}"
    )
    environment = os.environ | {
        f"{name}_NUM_THREADS": str(options.threads) for name in ("OMP", "OPENBLAS", "MKL")
    }
    for d in options.d:
        for n in options.n:
            for name in options.maps:
                command = [sys.executable, __file__, "--one", name, "--n", str(n), "--d", str(d)]
                command += ["--set", *options.set] if options.set else []
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
                print(done.stdout or done.stderr.strip().splitlines()[-1], end="", flush=True)


def _fit_one(name, n, d, settings):
    from msma.maps import ALL_MAPS

    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, d, d)) / np.sqrt(d)
    x, noise = rng.normal(size=(2, n, d))
    y = x @ a + np.tanh(x @ c) @ b + 0.5 * noise
    held_out = max(1000, n // 10)
    pairs_mb = (x.nbytes + y.nbytes) / 2**20
    map_ = ALL_MAPS[name](**settings) if name == "joint" else ALL_MAPS[name]()
    map_.fit(x[:100], y[:100])  # loading libraries is not what is timed
    wall, cpu = time.perf_counter(), time.process_time()
    map_.fit(x[:-held_out], y[:-held_out])
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    score = map_.score(x[-held_out:], y[-held_out:])
    print(f"{name:<14}{n:>9}{d:>6}{wall:>10.1f}{cpu:>10.1f}{peak:>10.0f}{pairs_mb:>16.0f}{score:>8.3f}")


# --- real states


def read_paragraphs(path):
    """Paragraphs of 20 words and more, each with its article."""
    from msma.corpora import Document

    article = "none"
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if re.fullmatch(r"= [^=].* =", text):
            article = text
        elif len(text.split()) >= 20 and not text.startswith("="):
            yield Document(text=text, id=article, labels={})


def _compare(options, settings):
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import msma
    from msma.maps import JointMap, RidgeMap
    from msma.scales import ScalePartition, ScaleRepresentation

    model = msma.demo_model()
    states = msma.extract(
        model.folder,
        list(read_paragraphs(options.texts)),
        name=model.name,
        unit="token",
        max_tokens=96,
        attention_texts=0,
        out=options.cache,
    )
    names = np.random.default_rng(0).permutation(np.unique(states.documents))
    is_test = np.isin(states.documents, names[: round(_TEST * len(names))])
    train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    partition = ScalePartition.parse("0-2|3-4|5-6", n_layers=states.n_layers)
    scales = ScaleRepresentation(partition).fit(states.subset(train)).transform(states)
    documents = states.documents
    print(f"MiniLM, {partition}; tokens: {len(train)} to fit, {len(test)} held out of {len(names)} documents")
    print(f"JointMap({', '.join(f'{k}={v!r}' for k, v in settings.items())})\n")
    print(
        f"{'pair':<24}{'seed':>5}{'ridge R2':>10}{'joint R2':>10}{'difference':>12}{'95 % interval':>18}"
        f"{'epoch':>7}{'bends':>8}{'seconds':>9}{'CPU s':>7}"
    )
    for source, target in PAIRS:
        x, y = scales[source], scales[target]
        ridge = RidgeMap().fit(x[train], y[train], groups=documents[train])
        for seed in options.seeds:
            wall, cpu = time.perf_counter(), time.process_time()
            joint = JointMap(seed=seed, **settings).fit(x[train], y[train], groups=documents[train])
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            _print_row((source, target), (ridge, joint), (x[test], y[test]), documents[test], seed, wall, cpu)


def _print_row(pair, maps, held_out, documents, seed, wall, cpu):
    from msma.measures.bending import map_curvature
    from msma.resampling import bootstrap_interval

    x, y = held_out
    errors = [((map_.transform(x) - y) ** 2).sum(axis=1) for map_ in maps]
    norms = (y**2).sum(axis=1)

    def difference(weights):
        total = weights @ norms - ((weights @ y) ** 2).sum(axis=1) / weights.sum(axis=1)
        return weights @ (errors[0] - errors[1]) / total

    found = bootstrap_interval(difference, documents)
    ridge, joint = (map_.score(x, y) for map_ in maps)
    bends = map_curvature(maps[1], x[:: max(1, len(x) // 500)], is_relative=True).value
    print(
        f"{' -> '.join(pair):<24}{seed:>5}{ridge:>10.4f}{joint:>10.4f}{found.value:>+12.4f}"
        f"{f'{found.low:+.4f} {found.high:+.4f}':>18}{f'{maps[1].best_epoch_}/{maps[1].n_epochs_}':>7}{bends:>8.4f}"
        f"{wall:>9.0f}{cpu:>7.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
