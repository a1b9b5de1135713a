"""The published protocol repeated: the tables of docs/replication.md.

Run: python benchmarks/replication.py run demo-decoder demo --out replication --learning-rate 1e-4 --max-tokens 32
Trains the arms that are not trained yet and prints the tables; hours on a CPU.

Run: python benchmarks/replication.py tables replication
Prints the tables again from what such a run, or `msma replicate`, left in its folder.

Run: python benchmarks/replication.py build gpt2 --out small
Builds a small GPT-2 (or BERT) from its configuration: six layers of 128, random weights, an embedded tokenizer.

Run: python benchmarks/replication.py join probing_ud --out sentences.jsonl
Joins three probing tasks in SentEval's form (past_present, top_constituents, tree_depth) on the sentences that all
three label: columns tense, constituents, depth, and number where subj_number labels it too.
"""

import argparse
import gzip
import json
from pathlib import Path

from msma._types import PAIRS, SCALES
from msma.corpora import demo_corpus, read_documents
from msma.models import load_with_head
from msma.replication import JointTrainingConfig, Quirks
from msma.replication.measurement import MAP_KINDS, Key
from msma.replication.record import Replication
from msma.replication.replication import replicate
from msma.replication.statistics import BASELINE, BEFORE, mean_over_seeds
from msma.study import find_model

#: Published: model, quantity, before, full (their protocol and code).
PUBLISHED = (
    ("GPT-2", "diagonal KL", "6955", "33"),
    ("GPT-2", "histogram MI", "0.23", "1.25"),
    ("GPT-2", "distance correlation", "0.97", "1.00"),
    ("BERT", "diagonal KL", "403", "0.51"),
    ("BERT", "histogram MI", "0.06", "2.89"),
    ("BERT", "distance correlation", "0.87", "1.00"),
)
CLOSE = (
    "kl_diagonal",
    "mi_histogram",
    "distance_correlation_biased",
    "kl",
    "mi",
    "distance_correlation",
    "cka",
    "r2",
)
SHAPES = ("effective_rank", "relative_spread", "total_variance", "text_cosine")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("model")
    run.add_argument("data")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--arms", nargs="+", default=["baseline", "full", "only_info", "only_geo"])
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    run.add_argument("--epochs", type=int, default=15)
    run.add_argument("--learning-rate", type=float, default=1e-5)
    run.add_argument("--max-tokens", type=int, default=128)
    run.add_argument("--alignment", type=float, default=1.0, help="factor on the three published weights")
    run.add_argument("--as-published", action="store_true")
    run.add_argument("--quirks", nargs="+", default=[], help="departures kept alone, by name")
    run.add_argument("--head-lr", type=float, default=1e-3)
    run.add_argument("--labels", nargs="+", metavar="SCALE=COLUMN", default=[])
    run.add_argument(
        "--transfer", nargs="+", metavar="COLUMN", default=[], help="labels probed, not trained on"
    )
    tables = commands.add_parser("tables")
    tables.add_argument("folder", type=Path)
    build = commands.add_parser("build")
    build.add_argument("family", choices=("gpt2", "bert"))
    build.add_argument("--out", type=Path, required=True)
    join = commands.add_parser("join")
    join.add_argument("folder", type=Path)
    join.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.command == "join":
        _join(options.folder, options.out)
        return
    if options.command == "build":
        _build(options.family, options.out)
        return
    print_tables(_run(options) if options.command == "run" else Replication.load(options.folder))


def _run(options: argparse.Namespace) -> Replication:
    labels = dict(pair.split("=", 1) for pair in options.labels) or None
    source, name = find_model(options.model)
    columns = tuple(dict.fromkeys([*(labels or {}).values(), *options.transfer]))
    documents = (
        demo_corpus() if options.data == "demo" else read_documents(options.data, label_columns=columns)
    )
    config = JointTrainingConfig(
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        max_tokens=options.max_tokens,
        lambda_geo=0.1 * options.alignment,
        lambda_info=0.1 * options.alignment,
        lambda_curv=0.01 * options.alignment,
        head_lr=options.head_lr,
        quirks=(Quirks.published() if options.as_published else Quirks()).also(options.quirks),
    )
    return replicate(
        load_with_head(source, name=name),
        documents,
        arms=options.arms,
        seeds=options.seeds,
        config=config,
        labels=labels,
        out=options.out,
        say=lambda sentence: print(sentence, flush=True),
    )


def _build(family: str, out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer, BertConfig, GPT2Config

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(find_model("demo-decoder" if family == "gpt2" else "demo")[0])
    if family == "gpt2":
        config = GPT2Config(vocab_size=len(tokenizer), n_positions=128, n_embd=128, n_layer=6, n_head=4)
        network = AutoModelForCausalLM.from_config(config)
    else:
        sizes = {
            "hidden_size": 128,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "intermediate_size": 512,
        }
        network = AutoModelForMaskedLM.from_config(
            BertConfig(vocab_size=len(tokenizer), max_position_embeddings=128, **sizes)
        )
    network.save_pretrained(out)
    tokenizer.save_pretrained(out)
    print(f"{family}, {sum(p.numel() for p in network.parameters()):,} random parameters")


def _join(folder: Path, out: Path) -> None:
    tasks = {"tense": "past_present", "constituents": "top_constituents", "depth": "tree_depth"}
    tasks["number"] = "subj_number"
    labels = {column: _read_task(folder / f"{task}.txt.gz") for column, task in tasks.items()}
    kept = [text for text in labels["tense"] if text in labels["constituents"] and text in labels["depth"]]
    with out.open("w", encoding="utf-8") as lines:
        for text in kept:
            found = {column: values.get(text) for column, values in labels.items()}
            lines.write(json.dumps({"text": text, **found}) + "\n")
    print(f"{len(kept)} sentences")


def _read_task(path: Path) -> dict[str, str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        parts = [line.rstrip("\n").split("\t") for line in lines]
    return {text: label for _, label, text in parts}


def print_tables(done: Replication) -> None:
    """Print the tables of the page as Markdown."""
    config = done.provenance["config"]
    print(
        f"\n{done.provenance['model']}, scales {done.provenance['scales']}, texts {done.provenance['n_texts']}, "
        f"labels {done.provenance['labels']}, learning rate {config['learning_rate']:g}, {config['epochs']} epochs, "
        f"batch {config['batch_size']}, at most {config['max_tokens']} tokens, "
        f"weights {config['lambda_geo']:g} / {config['lambda_info']:g} / {config['lambda_curv']:g}, "
        f"seeds {list(done.seeds)}\n"
    )
    names = ["before", *done.arms]
    for pair in PAIRS:
        print(f"\n{pair[0]} → {pair[1]}, test texts\n")
        columns = [(name, kind) for name in names for kind in MAP_KINDS]
        columns = [(name, kind) for name, kind in columns if _has(done, name, Key("cka", *pair, kind))]
        _head("quantity", [f"{name}, {_WORDS[kind]}" for name, kind in columns])
        for metric in CLOSE:
            _line(metric, [_mean(done, name, Key(metric, *pair, kind)) for name, kind in columns])
    print("\nshape of the scales, probes, transfer, language\n")
    _head("quantity", names)
    keys = [Key(metric, target=scale) for metric in SHAPES for scale in SCALES]
    keys += [key for key in done.before.readings if key.metric.startswith(("probe_", "transfer_", "nats"))]
    for key in keys:
        _line(f"{key.metric} {key.target or ''}", [_mean(done, name, key) for name in names])
    _print_differences(done)
    print("\ncollapse\n")
    _head("arm", ["seed", "verdict"])
    for cell in done.cells:
        _line(cell.arm, [str(cell.seed), cell.collapse.sentence])
    print()
    for sentence in done.describe():
        print(f"- {sentence}")


def _print_differences(done: Replication) -> None:
    for against in (BASELINE, BEFORE):
        print(f"\ndifferences from {against} (95 % over documents; p after Holm over documents / seeds)\n")
        arms = [arm for arm in done.arms if arm != against]
        arms = arms if against == BASELINE else [BASELINE]
        found = {(d.arm, d.key): d for d in done.differences if d.against == against and d.arm in arms}
        keys = [key for key in dict.fromkeys(key for _, key in found) if key.map in (None, "none")]
        if not keys:
            continue
        _head("quantity", arms)
        for key in keys:
            place = " → ".join(part for part in (key.source, key.target) if part)
            cells = []
            for arm in arms:
                d = found.get((arm, key))
                if d is None or d.documents.low is None:
                    cells.append("–")
                    continue
                ps = " / ".join("–" if p is None else f"{p:.2g}" for p in (d.p_documents, d.p_seeds))
                ends = f"{d.documents.low:+.3g} to {d.documents.high:+.3g}"
                cells.append(f"{d.documents.value:+.3g} ({ends}; p {ps})" + (" *" if d.holds else ""))
            _line(f"{key.metric} {place}", cells)


_WORDS = {"none": "no map", "shift": "mean shifted", "trained": "trained map", "ridge": "ridge"}


def _has(done: Replication, name: str, key: Key) -> bool:
    return any(key in found.readings for found in _measured(done, name))


def _measured(done: Replication, name: str) -> list:
    return [done.before] if name == "before" else list(done.by_arm()[name].values())


def _mean(done: Replication, name: str, key: Key) -> str:
    readings = [found.readings[key] for found in _measured(done, name) if key in found.readings]
    found = mean_over_seeds(readings) if readings else None
    if found is None:
        return "–"
    interval, spread = found
    return f"{interval.value:.4g}" + (f" ± {spread:.2g}" if len(readings) > 1 else "")


def _head(first: str, names: list[str]) -> None:
    print(f"| {first} | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")


def _line(first: str, cells: list[str]) -> None:
    print(f"| {first.strip()} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
