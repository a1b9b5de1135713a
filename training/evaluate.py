"""Held-out bits per byte of the trained decoder, beside Kneser-Ney 5-grams of the same tokens.

    python training/evaluate.py --data DATA --run RUN                                      # RUN/model, just trained
    python training/evaluate.py --data DATA --run OUT --model src/msma/data/decoder        # the one that ships

Every model is told the same and asked the same: each token of a document, given those before it in that document
alone. The decoder is read from its files in half precision and computes in float32; it sees windows of 256 tokens at
steps of 128, so that every token is scored once, with at least 128 tokens before it wherever its document has so many.
Intervals are 95 % bootstrap intervals over documents. Writes RUN/evaluation.json and prints a table.
"""

import argparse
import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from torch.nn import functional

from kneser_ney import KneserNey
from msma.models import quiet
from msma.resampling import bootstrap_interval
from msma.storage import file_checksum, write_json
from recipes import CONTEXT, END, N_TOKENS, PAD
from texts import Document, read_documents
from train import encode

SPLITS = ("test", "unseen")
SOURCES = ("all", "books", "wikitext", "tinystories")
BASELINES = {"kneser-ney": False, "modified kneser-ney": True}

#: Fewer documents than this give no interval worth printing.
_FEWEST = 10
_RESAMPLES = 10_000

TEMPERATURE = 0.8
PROMPTS = (
    "It was a cold morning, and",
    '"I do not know what you mean," said',
    "Once upon a time, there was a little",
    "The town is in the north of England, and",
    "She looked out of the window and saw",
    "When the ship came into the harbour,",
)


@dataclass(frozen=True)
class Score:
    """Bits per byte of one model on one part of the held-out texts.

    Args:
        split: "test" or "unseen".
        source: One of ``SOURCES``.
        model: "decoder" or a key of ``BASELINES``; in a difference, what is taken from the decoder.
        documents: Documents in that part.
        tokens: Scored tokens.
        bytes: UTF-8 bytes of the text.
        bits_per_byte: Total bits over bytes, or the difference of two such.
        low: Lower end of the interval; None where the documents are too few.
        high: Upper end.
    """

    split: str
    source: str
    model: str
    documents: int
    tokens: int
    bytes: int
    bits_per_byte: float
    low: float | None
    high: float | None


def find_windows(length: int, *, width: int = CONTEXT, stride: int = CONTEXT // 2) -> list[tuple[int, int]]:
    """Lay windows over a document so that every token after the first is scored once.

    Args:
        length: Tokens in the document, the mark in front included.
        width: Tokens the model reads at once.
        stride: Tokens from one window to the next.

    Returns:
        Where each window starts, and the first token it scores; it scores up to the token behind its last.
    """
    starts = range(0, max(length - 1 - width + stride, 1), stride)
    return [(start, start + 1 if start == 0 else start + width - stride + 1) for start in starts]


@torch.inference_mode()
def score_decoder(
    model, documents: list[np.ndarray], *, width: int = CONTEXT, rows: int = 16
) -> list[np.ndarray]:
    """Bits of every token after the mark.

    Args:
        model: A causal language model.
        documents: Ids of each document.
        width: Tokens it reads at once; windows advance by half of it.
        rows: Windows computed together.

    Returns:
        One array a document, an entry shorter than the document.
    """
    bits = [np.full(len(ids) - 1, np.nan) for ids in documents]
    places = [
        (number, start, first)
        for number, ids in enumerate(documents)
        for start, first in find_windows(len(ids), width=width, stride=width // 2)
    ]
    places.sort(key=lambda place: min(len(documents[place[0]]) - place[1], width))
    for begin in range(0, len(places), rows):
        batch = places[begin : begin + rows]
        parts = [documents[number][start : start + width + 1] for number, start, _ in batch]
        # Ids behind the end are never looked at: attention is causal, and they are not scored.
        ids = torch.full((len(batch), max(map(len, parts))), END)
        for row, part in enumerate(parts):
            ids[row, : len(part)] = torch.from_numpy(part)
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        nats = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        found = (nats.view(len(batch), -1) / np.log(2)).double().numpy()
        for row, (number, start, first) in enumerate(batch):
            end = start + len(parts[row]) - 1
            bits[number][first - 1 : end] = found[row, first - 1 - start : end - start]
    return bits


def source_of(name: str) -> str:
    """Tell the source of a document by its name.

    Args:
        name: As in ``Document``.

    Returns:
        "books", "wikitext" or "tinystories".
    """
    head = name.split("/", 1)[0]
    return {"wikitext2": "wikitext", "tinystories": "tinystories"}.get(head, "books")


def describe_texts(documents: list[Document], ids: list[np.ndarray]) -> list[dict[str, str | int]]:
    """Count documents, tokens and bytes of every split and source.

    Args:
        documents: All of them.
        ids: Their tokens, the mark in front.

    Returns:
        A row for each split and source.
    """
    rows: dict[tuple[str, str], dict] = {}
    for document, part in zip(documents, ids, strict=True):
        key = document.split, source_of(document.name)
        row = rows.setdefault(
            key, {"split": key[0], "source": key[1], "documents": 0, "tokens": 0, "bytes": 0}
        )
        row["documents"] += 1
        row["tokens"] += len(part) - 1
        row["bytes"] += len(document.text.encode())
    return [rows[key] for key in sorted(rows)]


def compare(documents: list[Document], bits: dict[str, list[np.ndarray]]) -> tuple[list[Score], list[Score]]:
    """Sum up bits by split and source.

    Args:
        documents: The held-out documents.
        bits: Bits of their tokens, by model; one of them is "decoder".

    Returns:
        The scores, and the differences decoder minus each of the others, negative where the decoder is better.
    """
    sums = {model: np.array([part.sum() for part in parts]) for model, parts in bits.items()}
    n_tokens = np.array([len(part) for part in bits["decoder"]])
    n_bytes = np.array([len(document.text.encode()) for document in documents])
    scores, differences = [], []
    for split in SPLITS:
        for source in SOURCES:
            chosen = np.array([d.split == split and source in ("all", source_of(d.name)) for d in documents])
            if not chosen.any():
                continue
            part = (split, source), n_tokens[chosen], n_bytes[chosen]
            scores += [_sum_up(*part, model, total[chosen]) for model, total in sums.items()]
            differences += [
                _sum_up(*part, model, (sums["decoder"] - total)[chosen])
                for model, total in sums.items()
                if model != "decoder"
            ]
    return scores, differences


def _sum_up(place, n_tokens, n_bytes, model, total) -> Score:
    low = high = None
    if len(total) >= _FEWEST:
        found = bootstrap_interval(
            lambda weights: weights @ total / (weights @ n_bytes),
            np.arange(len(total)),
            n_resamples=_RESAMPLES,
        )
        low, high = found.low, found.high
    value = float(total.sum() / n_bytes.sum())
    return Score(*place, model, len(total), int(n_tokens.sum()), int(n_bytes.sum()), value, low, high)


def write_samples(model, tokenizer, *, n_new: int = 80) -> list[dict[str, str | int]]:
    """Let the decoder go on from a few beginnings; the seeds are 0, 1, 2 and so on, none is left out.

    Args:
        model: The decoder.
        tokenizer: Its tokenizer.
        n_new: Most tokens of a continuation.

    Returns:
        Seed, beginning and continuation of each.
    """
    samples = []
    for seed, prompt in enumerate(PROMPTS):
        torch.manual_seed(seed)
        ids = torch.tensor([[END, *tokenizer.encode(prompt).ids]])
        done = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=TEMPERATURE, top_k=0,
            max_new_tokens=n_new, pad_token_id=PAD,
        )  # fmt: skip
        text = tokenizer.decode(done[0, ids.shape[1] :].tolist())
        samples.append({"seed": seed, "prompt": prompt, "continuation": text})
    return samples


def fit_baselines(
    train: list[np.ndarray], held_out: list[np.ndarray]
) -> tuple[dict[str, list], dict[str, dict]]:
    """Fit the Kneser-Ney models and score documents with them.

    Args:
        train: Ids of the training documents.
        held_out: Ids of the documents to score.

    Returns:
        Bits of every token after the mark, by model; and what each model consists of.
    """
    bits, facts = {}, {}
    for name, is_modified in BASELINES.items():
        fitted = KneserNey(N_TOKENS, is_modified=is_modified).fit(train)
        bits[name] = [-np.log2(part) for part in fitted.probabilities(held_out)]
        facts[name] = {
            "order": fitted.order,
            "n_grams": [len(level.keys) for level in fitted.orders],
            "discounts": [level.discounts if is_modified else level.discounts[0] for level in fitted.orders],
        }
    return bits, facts


def _print_table(scores: list[Score], differences: list[Score]) -> None:
    def interval(score: Score) -> str:
        return "" if score.low is None else f"{score.low:.3f} to {score.high:.3f}"

    for title, rows in (("bits per byte", scores), ("decoder minus", differences)):
        print(
            f"\n{'split':7} {'source':12} {title:20} {'documents':>9} {'bytes':>8} {'value':>7}  95 % interval"
        )
        for row in rows:
            print(
                f"{row.split:7} {row.source:12} {row.model:20} {row.documents:9} {row.bytes:8} "
                f"{row.bits_per_byte:7.3f}  {interval(row)}"
            )


def evaluate(data: Path, folder: Path) -> dict:
    """Score the decoder in a folder, and the baselines.

    Args:
        data: Folder of the sources.
        folder: Folder of the exported model.

    Returns:
        Everything that evaluation.json holds.
    """
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    documents = read_documents(data)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = encode(tokenizer, documents)
    train = [part for part, document in zip(ids, documents, strict=True) if document.split == "train"]
    chosen = [i for i, document in enumerate(documents) if document.split in SPLITS]
    held_out = [documents[i] for i in chosen]
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True
        ).eval()
    bits = {"decoder": score_decoder(model, [ids[i] for i in chosen])}
    baselines, facts = fit_baselines(train, [ids[i] for i in chosen])
    scores, differences = compare(held_out, bits | baselines)
    return {
        "weights_sha256": file_checksum(folder / "model.safetensors"),
        "window": CONTEXT,
        "stride": CONTEXT // 2,
        "resamples": _RESAMPLES,
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
        "texts": describe_texts(documents, ids),
        "baselines": facts,
        "scores": [asdict(score) for score in scores],
        "differences": [asdict(score) for score in differences],
        "temperature": TEMPERATURE,
        "samples": write_samples(model, tokenizer),
    }


def main() -> None:
    """Evaluate, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the sources")
    parser.add_argument(
        "--run", type=Path, required=True, help="folder of the run; evaluation.json goes there"
    )
    parser.add_argument("--model", type=Path, help="folder of the exported model; RUN/model when left out")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    found = evaluate(options.data, options.model or options.run / "model")
    print(write_json(options.run / "evaluation.json", found))
    _print_table([Score(**row) for row in found["scores"]], [Score(**row) for row in found["differences"]])
    for sample in found["samples"]:
        print(f"\n[{sample['seed']}] {sample['prompt']} | {sample['continuation']}")


if __name__ == "__main__":
    main()
