"""Put a trained and evaluated decoder into the package, with its card.

    python training/ship.py --run RUN

Copies weights, configuration, tokenizer, training log and evaluation into ``src/msma/data/decoder`` and writes the
card. Refuses when the evaluation is of other weights, when Kneser-Ney is not beaten, when the whole is over 8 MB, when
a path of this machine stands in a file, or when ``from_pretrained`` has anything to complain about.
"""

import argparse
import json
import os
import re
import shutil
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from evaluate import BASELINES
from msma.storage import file_checksum, open_tensors, read_json, write_text

LIMIT_BYTES = 8_000_000
INTO = Path(__file__).resolve().parents[1] / "src" / "msma" / "data" / "decoder"
COMMAND = "python training/train.py --data DATA --out RUN --compile --threads 1"

_MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)
_MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|work|tmp|Users|mnt)/|file://|\b[A-Z]:\\\\")

_CARD = """---
language: en
license: mit
library_name: transformers
pipeline_tag: text-generation
---

# demo-decoder

A small GPT-2-architecture language model for trying `msma` without a network. In Python `msma.demo_decoder()` says
where it lies; on the command line it is called `demo-decoder`. It is made for looking inside, not for writing: it is
some thirty times smaller than the smallest GPT-2 and has read {megabytes} MB of text about {epochs:.0f} times over.

## Architecture

{architecture}

## Texts

{texts}

- **books**: 22 English novels and travels from Project Gutenberg, in the public domain, body text only. *The Picture
  of Dorian Gray* is kept out whole: it is the split "unseen".
- **wikitext**: the validation part of WikiText-2 (Merity et al. 2016), from Wikipedia, CC BY-SA 3.0; written as prose
  again, sentences with cut-out words left out.
- **tinystories**: 500 short stories of TinyStories (Eldan & Li 2023), CDLA-Sharing-1.0.

A document is a stretch of 24 paragraphs of a book, an article or a story; a hash of its name decides its split (2 %
test, 2 % validation), so that held-out paragraphs stand among held-out ones. The stretches of "test" come from books
whose other stretches were read in training; "unseen" comes from a book that was not. No text is part of these files.
The weights come under the licence of the package.

## Training

{training}

`training_log.jsonl` has the loss on the training texts every 100 steps and on the validation split every 500. Rates
were chosen on the validation split, in runs of 300 steps.

## Held-out bits per byte

Each token given those before it in its own document, by windows of 256 tokens at steps of 128; total bits over UTF-8
bytes. Beside it interpolated Kneser-Ney 5-grams of the same training tokens, scored on the same held-out tokens. 95 %
bootstrap intervals over documents; none where there are fewer than ten. All figures are in `evaluation.json`.

{scores}

## Samples

Temperature {temperature}, {n_samples} beginnings with the seeds 0 to {last_seed}, none left out; up to 80 tokens.

{samples}

## Limits

- English only; the voice is that of nineteenth-century novels, for nine tenths of the text are such.
- It knows next to nothing. Clauses hang together; long sentences, stories and facts often do not, and some words are
  made up. The people, places and opinions in what it writes are those of its texts, with the prejudices of their time.
- At most 256 tokens. A document begins with `<|endoftext|>`, which the tokenizer does not add by itself.
- TinyStories came with some quotation marks in a broken encoding (the letters â€œ), and the model may write them.
- Of WikiText and TinyStories little was held out: their figures are rough.
"""


def ship(run: Path, *, into: Path = INTO, command: str = COMMAND) -> Path:
    """Copy what is shipped, write the card, and check all of it.

    Args:
        run: Folder of the run, evaluated.
        into: Where to; replaced as a whole when everything is in order.
        command: How the run was made.

    Returns:
        The folder.

    Raises:
        SystemExit: When something is not fit to be shipped.
    """
    model = run / "model"
    evaluation = read_json(run / "evaluation.json")
    if evaluation["weights_sha256"] != file_checksum(model / "model.safetensors"):
        raise SystemExit(f"{run / 'evaluation.json'} is of other weights than {model}; evaluate again")
    check_beaten(evaluation)
    staged = into.with_name(f".{into.name}.tmp")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    # Contents without permissions: torch saves weights that only their owner can read.
    for source in (*(model / name for name in _MODEL_FILES), run / "evaluation.json"):
        shutil.copyfile(source, staged / source.name)
    shutil.copyfile(run / "log.jsonl", staged / "training_log.jsonl")
    write_text(staged / "README.md", make_card(run, evaluation, command))
    for file in staged.iterdir():
        file.chmod(0o644)
    check_files(staged)
    check_loading(staged)
    shutil.rmtree(into, ignore_errors=True)
    staged.replace(into)
    return into


def check_beaten(evaluation: dict) -> None:
    """Refuse a decoder that is not better than every baseline on every split, its interval included."""
    rows = [row for row in evaluation["differences"] if row["source"] == "all"]
    asked = {(split, model) for split in ("test", "unseen") for model in BASELINES}
    if not asked <= {(row["split"], row["model"]) for row in rows}:
        raise SystemExit("the evaluation lacks a split or a baseline; evaluate again")
    for row in rows:
        if row["high"] is None or row["high"] >= 0:
            raise SystemExit(
                f"on '{row['split']}' decoder minus {row['model']} is {row['bits_per_byte']:.3f} bits per byte "
                f"(to {row['high']}); it has to be below 0"
            )


def check_files(folder: Path) -> None:
    """Refuse a folder that is too large, or names a path of this machine."""
    size = sum(file.stat().st_size for file in folder.iterdir())
    if size > LIMIT_BYTES:
        raise SystemExit(f"{size:,} bytes in {folder}; at most {LIMIT_BYTES:,} are shipped")
    for file in folder.iterdir():
        content = file.read_bytes()
        if file.suffix == ".safetensors":
            content = content[8 : 8 + int.from_bytes(content[:8], "little")]
        found = _MACHINE_PATH.search(content.decode("utf-8"))
        if found:
            raise SystemExit(f"{file.name} holds the path {found[0]!r} of this machine")


def check_loading(folder: Path) -> None:
    """Load model and tokenizer from the folder alone, every warning an error."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    ids = tokenizer("A little bird.", return_tensors="pt")
    with torch.inference_mode():
        logits = model(**ids).logits
    if not torch.isfinite(logits).all():
        raise SystemExit(f"the model in {folder} gives values that are not finite")


def make_card(run: Path, evaluation: dict, command: str) -> str:
    """Write the card from what is known about a run.

    Args:
        run: Folder of the run.
        evaluation: What evaluation.json holds.
        command: How the run was made.

    Returns:
        Markdown.
    """
    samples, texts = evaluation["samples"], evaluation["texts"]
    settings = torch.load(run / "checkpoint.pt", weights_only=True, map_location="cpu")["settings"]
    read = [row for row in texts if row["split"] == "train"]
    n_tokens = settings["steps"] * settings["rows"] * evaluation["window"]
    columns = ("split", "source", "documents", "tokens", "bytes")
    head = ("split", "source", "bytes", "decoder", *BASELINES, "decoder minus modified", "interval")
    return _CARD.format(
        megabytes=round(sum(row["bytes"] for row in read) / 1e6),
        epochs=n_tokens / sum(row["tokens"] for row in read),
        architecture=_table(("", ""), _architecture(run)),
        texts=_table(columns, [tuple(row[column] for column in columns) for row in texts]),
        training=_table(("", ""), _training(run, settings, evaluation, command)),
        scores=_table(head, _scores(evaluation)),
        temperature=evaluation["temperature"],
        n_samples=len(samples),
        last_seed=samples[-1]["seed"],
        samples="\n\n".join(_quote(sample) for sample in samples),
    )


def _architecture(run: Path) -> list[tuple]:
    config = read_json(run / "model" / "config.json")
    tensors, _ = open_tensors(run / "model" / "model.safetensors")
    n_parameters = sum(tensor.size for tensor in tensors.values())
    kinds = sorted({str(tensor.dtype) for tensor in tensors.values()})
    return [
        ("family", "GPT-2, causal, embedding and output tied"),
        ("blocks", config["n_layer"]),
        ("width", config["n_embd"]),
        ("heads", config["n_head"]),
        ("context", f"{config['n_positions']} tokens"),
        ("vocabulary", f"{config['vocab_size']:,} byte-level BPE tokens, learned from the training split"),
        ("parameters", f"{n_parameters:,}, stored as {' and '.join(kinds)}"),
    ]


def _training(run: Path, settings: dict, evaluation: dict, command: str) -> list[tuple]:
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [
        ("command", f"`{command}`"),
        ("optimizers", "Muon for the matrices of the blocks, AdamW for the rest; rate level, then down to 0"),
        *((name.replace("_", " "), value) for name, value in settings.items() if name != "family"),
        ("last training loss", f"{log[-1]['train_nats']:.3f} nats a token"),
        ("last validation loss", f"{log[-1]['validation_nats']:.3f} nats a token"),
        *((f"{name} when evaluated", number) for name, number in evaluation["versions"].items()),
    ]


def _scores(evaluation: dict) -> list[tuple]:
    rows = []
    for row in evaluation["scores"]:
        if row["model"] != "decoder" or (row["split"], row["source"]) == ("unseen", "books"):
            continue
        place = row["split"], row["source"]
        others = [_pick(evaluation["scores"], place, name)["bits_per_byte"] for name in BASELINES]
        gap = _pick(evaluation["differences"], place, list(BASELINES)[-1])
        interval = "" if gap["low"] is None else f"{gap['low']:+.3f} to {gap['high']:+.3f}"
        values = [f"{value:.3f}" for value in (row["bits_per_byte"], *others)]
        rows.append((*place, row["bytes"], *values, f"{gap['bits_per_byte']:+.3f}", interval))
    return rows


def _pick(rows: list[dict], place: tuple[str, str], model: str) -> dict:
    return next(row for row in rows if (row["split"], row["source"], row["model"]) == (*place, model))


def _table(head: tuple, rows: list[tuple]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _quote(sample: dict) -> str:
    text = f"**{sample['prompt']}**{sample['continuation']}".strip()
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def main() -> None:
    """Ship."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of the run, evaluated")
    parser.add_argument("--into", type=Path, default=INTO)
    parser.add_argument("--command", default=COMMAND, help="how the run was made, for the card")
    options = parser.parse_args()
    folder = ship(options.run, into=options.into, command=options.command)
    print(folder, f"{sum(file.stat().st_size for file in folder.iterdir()):,} bytes")


if __name__ == "__main__":
    main()
