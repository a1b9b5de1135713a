"""How an extraction grows: memory against the number of texts, speed against the number of workers.

    python benchmarks/scaling.py                       # both tables
    python benchmarks/scaling.py --sizes 1000,10000    # memory over fewer texts
    python benchmarks/scaling.py --only workers        # one table
    python benchmarks/scaling.py --figure scaling.svg  # the memory table as a figure

Every run is a process of its own, so that its peak is its own. Speed is a ratio within one call of this program.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_TEXT = (
    "the river rose in spring and every boat was moved to hill while snow fell over old stone bridges "
    "children sang songs of winter light beneath quiet trees near small dark houses by sea"
)
_WORDS = _TEXT.split()


class Sentences:
    """As many short texts as asked for, made as they are walked through, so that they take no memory."""

    def __init__(self, n: int, *, n_words: int = 12) -> None:
        self.n, self.n_words = n, n_words

    def __len__(self) -> int:
        return self.n

    def __iter__(self):
        for number in range(self.n):
            state = number * 2654435761 % 2**32
            words = []
            for _ in range(self.n_words + state % 5):
                state = (state * 1103515245 + 12345) % 2**31
                words.append(_WORDS[state // 65536 % len(_WORDS)])
            yield f"{' '.join(words)} {number}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="1000,10000,100000", help="texts")
    parser.add_argument("--stores", default="states,scales,moments")
    parser.add_argument("--model", default="demo-decoder", help="demo-decoder, demo, a name or a folder")
    parser.add_argument("--only", choices=["memory", "workers"])
    parser.add_argument("--workers-model", default="demo")
    parser.add_argument("--texts", type=int, default=4096, help="texts, for the speed")
    parser.add_argument("--repeats", type=int, default=3, help="of the speed")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        _run_one(json.loads(options.run))
        return
    if options.only != "workers":
        rows = _measure_memory(options)
        if options.figure:
            _draw(rows, options.figure)
    if options.only != "memory":
        _measure_workers(options)


def _start(settings: dict) -> dict:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--run", json.dumps(settings)],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def _run_one(settings: dict) -> None:
    """One extraction; prints what it held and took."""
    from msma.extraction import extract, extract_moments
    from msma.models import load_model
    from msma.progress import peak_memory, resident_memory
    from msma.study import find_model

    model, name = find_model(settings["model"])
    texts = Sentences(settings["n"], n_words=settings.get("n_words", 12))
    options = {"name": name, "seed": 0, **settings["options"]}
    before = 0
    if settings["has_baseline"]:
        loaded = load_model(model)
        before = resident_memory()
        model = loaded.network
        options["tokenizer"] = loaded.tokenizer
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        if settings["store"] == "moments":
            found = extract_moments(model, texts, out=folder, **options)
            n = found.n
        else:
            found = extract(model, texts, out=folder, store=settings["store"], **options)
            n = found.n_samples
        seconds = time.perf_counter() - start
        written = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    print(
        json.dumps({"n": n, "seconds": seconds, "before": before, "peak": peak_memory(), "written": written})
    )


def _measure_memory(options) -> list[dict]:
    print(
        "| store | texts | beyond the loaded model, MB | against the fewest texts | peak, MB | written, MB |"
    )
    print("|---|---|---|---|---|---|")
    rows = []
    for store in options.stores.split(","):
        kept = {"window": 256}
        if store != "states" and options.model == "demo-decoder":
            kept["scales"] = "0-3|4-8|9-12"
        if store == "moments":
            # So that a thousand texts fill what is bounded: blocks, the held-out sample and the filter.
            kept |= {"block": 512, "n_heldout": 128, "filter_bits": 2**20}
        first = None
        for n in map(int, options.sizes.split(",")):
            settings = {"model": options.model, "n": n, "n_words": 4, "store": store}
            found = _start({**settings, "has_baseline": True, "options": kept})
            beyond = found["peak"] - found["before"]
            first = beyond if first is None else first
            rows.append({"store": store, "n": n, "beyond": beyond})
            print(
                f"| {store} | {n:,} | {beyond / 1e6:.1f} | {beyond / first:.3f} | {found['peak'] / 1e6:.0f} "
                f"| {found['written'] / 1e6:.1f} |",
                flush=True,
            )
    return rows


def _measure_workers(options) -> None:
    """Runs in turn, so that what else the machine does falls on all alike."""
    kinds = {
        "this process": {"engine": "local"},
        "two processes": {"engine": "processes", "workers": 2},
        "two Ray workers": {"engine": "ray", "workers": 2},
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    shorter: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(options.repeats):
        for kind, engine in kinds.items():
            for n, kept in ((options.texts // 8, shorter), (options.texts, seconds)):
                settings = {"model": options.workers_model, "n": n, "n_words": 40, "store": "states"}
                settings |= {"has_baseline": False, "options": {"window": 64, "attention_texts": 0, **engine}}
                kept[kind].append(_start(settings)["seconds"])
    print("\n| where | seconds | times as fast | without starting up, texts a second | times as fast |")
    print("|---|---|---|---|---|")
    whole, rates = {}, {}
    for kind in kinds:
        whole[kind] = statistics.median(seconds[kind])
        # What an eighth of the texts takes less is work alone: loading and starting are in both.
        pairs = zip(seconds[kind], shorter[kind], strict=True)
        rates[kind] = (options.texts - options.texts // 8) / statistics.median(a - b for a, b in pairs)
    base = next(iter(kinds))
    for kind in kinds:
        print(
            f"| {kind} | {whole[kind]:.1f} | {whole[base] / whole[kind]:.2f} | {rates[kind]:.1f} "
            f"| {rates[kind] / rates[base]:.2f} |"
        )


def _draw(rows: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.2), layout="constrained")
    for store in dict.fromkeys(row["store"] for row in rows):
        mine = [row for row in rows if row["store"] == store]
        axes.plot([row["n"] for row in mine], [row["beyond"] / 1e6 for row in mine], marker="o", label=store)
    axes.set_xscale("log")
    axes.set_ylim(0)
    axes.set_xlabel("texts")
    axes.set_ylabel("peak memory beyond the model, MB")
    axes.legend(title="store", frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
