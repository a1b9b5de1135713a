"""Train the embedded decoder, or a sibling of another family, on a CPU or a GPU.

    python training/train.py --data DATA --out RUN                   # the decoder that the package carries
    python training/train.py --data DATA --out RUN --family bert     # bert, roberta or t5 likewise
    python training/train.py --data DATA --out RUN --steps 300       # a try

The same command goes on where it stopped: every step draws its batch and its masks from the seed and its own number
alone, so a run that was interrupted ends with the same weights as one that was not.
"""

import argparse
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch

from recipes import CONTEXT, END, N_TOKENS, RECIPES, SPECIAL
from texts import Document, read_documents


@dataclass(frozen=True)
class Settings:
    """Everything that the weights depend on, beside the texts and the machine's arithmetic.

    Args:
        family: Key of ``RECIPES``.
        steps: Batches in all.
        rows: Windows in a batch, of ``CONTEXT`` tokens each.
        muon_rate: Learning rate of the matrices inside the blocks, in AdamW's units.
        adam_rate: Learning rate of everything else.
        decay: Weight decay.
        warmup: Steps before the full rate.
        cooldown: Share of the steps over which the rate falls to 0 in a straight line.
        seed: Fixes weights, order and masks.
    """

    family: str = "gpt2"
    steps: int = 6000
    rows: int = 16
    muon_rate: float = 0.01
    adam_rate: float = 0.004
    decay: float = 0.1
    warmup: int = 100
    cooldown: float = 0.6
    seed: int = 0


def prepare(data: Path, out: Path) -> dict[str, list[np.ndarray]]:
    """Train the tokenizer on the training split and encode every document.

    Args:
        data: Folder of the sources.
        out: Folder of the run; the tokenizer is kept there.

    Returns:
        The ids of each document, by split.
    """
    from tokenizers import Tokenizer

    documents = read_documents(data)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "tokenizer.json"
    if not path.exists():
        unfinished = path.with_suffix(".tmp")
        _train_tokenizer([d.text for d in documents if d.split == "train"]).save(str(unfinished))
        unfinished.replace(path)
    tokenizer = Tokenizer.from_file(str(path))
    return {
        split: encode(tokenizer, [d for d in documents if d.split == split])
        for split in ("train", "validation", "test", "unseen")
    }


def _train_tokenizer(texts: list[str]):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=N_TOKENS,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


def encode(tokenizer, documents: list[Document]) -> list[np.ndarray]:
    """Turn documents into ids, each behind the mark that begins a document.

    Args:
        tokenizer: From the tokenizers library.
        documents: What to encode.

    Returns:
        One array a document.
    """
    encoded = tokenizer.encode_batch([d.text for d in documents])
    return [np.array([END, *e.ids], dtype=np.int64) for e in encoded]


def batches(documents: list[np.ndarray], settings: Settings, *, first: int) -> Iterator[torch.Tensor]:
    """Give the batch of every step from ``first`` on: windows of the documents in an order of their own each epoch.

    Args:
        documents: Ids of the training documents.
        settings: How many steps, of how many rows; the seed.
        first: Step to begin with.

    Yields:
        Ids, one more than the model reads, since each predicts the next.
    """
    per_epoch = (sum(map(len, documents)) - CONTEXT) // (CONTEXT * settings.rows)
    loaded, windows = -1, np.empty(0)
    for step in range(first, settings.steps):
        epoch, place = divmod(step, per_epoch)
        if epoch != loaded:
            rng = np.random.default_rng([settings.seed, epoch])
            stream = np.concatenate([documents[i] for i in rng.permutation(len(documents))])
            shift = int(rng.integers(CONTEXT))
            starts = rng.permutation(np.arange(shift, len(stream) - CONTEXT - 1, CONTEXT))
            windows, loaded = stream[starts[:, None] + np.arange(CONTEXT + 1)], epoch
        rows = np.arange(place * settings.rows, (place + 1) * settings.rows) % len(windows)
        yield torch.from_numpy(windows[rows])


def optimizers(model: torch.nn.Module, settings: Settings) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices of the blocks, AdamW for embeddings, norms and biases.

    Args:
        model: The model.
        settings: Rates.

    Returns:
        The two optimizers.
    """
    tables = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    matrices = [p for p in model.parameters() if p.ndim == 2 and id(p) not in tables]
    others = [p for p in model.parameters() if p.ndim != 2 or id(p) in tables]
    return [
        torch.optim.Muon(
            matrices, lr=settings.muon_rate, weight_decay=settings.decay, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, lr=settings.adam_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate(step: int, settings: Settings) -> float:
    """Share of the full learning rate: up, level, then down in a straight line (Hägele et al. 2024).

    Args:
        step: From 0.
        settings: Lengths of the phases.

    Returns:
        Between 0 and 1.
    """
    fall = max(int(settings.cooldown * settings.steps), 1)
    return min((step + 1) / settings.warmup, (settings.steps - step) / fall, 1.0)


def train(
    documents: dict[str, list[np.ndarray]],
    settings: Settings,
    out: Path,
    *,
    device: str,
    is_compiled: bool,
    log_every: int = 100,
    save_every: int = 500,
) -> torch.nn.Module:
    """Train, saving a checkpoint now and then; go on from the last one.

    Args:
        documents: Ids by split.
        settings: What to train and how.
        out: Folder of the run.
        device: Where.
        is_compiled: Whether torch.compile is used.
        log_every: Steps between lines of the log.
        save_every: Steps between checkpoints, a multiple of ``log_every``.

    Returns:
        The trained model.
    """
    recipe = RECIPES[settings.family]
    torch.manual_seed(settings.seed)
    model = recipe.build().to(device)
    kinds = optimizers(model, settings)
    first = _load_checkpoint(out, settings, model, kinds)
    loss_of = torch.compile(recipe.loss) if is_compiled else recipe.loss
    held_out = _held_out_batches(documents["validation"])
    log = out / "log.jsonl"
    _cut_log(log, first)
    tally, start = [], time.perf_counter()
    for step, ids in enumerate(batches(documents["train"], settings, first=first), start=first):
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
        for optimizer, full in zip(kinds, (settings.muon_rate, settings.adam_rate), strict=True):
            optimizer.param_groups[0]["lr"] = full * rate(step, settings)
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            loss = loss_of(model, ids.to(device), generator)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in kinds:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        tally.append(loss.detach())
        done = step + 1
        if done % log_every == 0 or done == settings.steps:
            nats = float(torch.stack(tally).mean())
            if not math.isfinite(nats):
                raise SystemExit(f"the loss is {nats} after {done} steps; take lower rates")
            seen = len(tally) * settings.rows * CONTEXT
            line = {
                "step": done,
                "train_nats": nats,
                "tokens_per_second": seen / (time.perf_counter() - start),
            }
            if done % save_every == 0 or done == settings.steps:
                line["validation_nats"] = validate(model, recipe.loss, held_out, device)
                _save_checkpoint(out, settings, model, kinds, done)
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(line, flush=True)
            tally, start = [], time.perf_counter()
    return model


def _held_out_batches(documents: list[np.ndarray]) -> torch.Tensor:
    stream = np.concatenate(documents)
    n = min((len(stream) - 1) // CONTEXT, 128)
    return torch.from_numpy(stream[np.arange(n)[:, None] * CONTEXT + np.arange(CONTEXT + 1)])


@torch.no_grad()
def validate(model, loss_of, windows: torch.Tensor, device: str) -> float:
    """Nats per predicted token on the first windows of the validation split."""
    generator = torch.Generator().manual_seed(0)
    model.eval()
    found = [float(loss_of(model, part.to(device), generator)) * len(part) for part in windows.split(16)]
    model.train()
    return sum(found) / len(windows)


def _save_checkpoint(out: Path, settings, model, kinds, done: int) -> None:
    state = {
        "settings": asdict(settings),
        "step": done,
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in kinds],
    }
    path = out / "checkpoint.pt"
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def _load_checkpoint(out: Path, settings, model, kinds) -> int:
    path = out / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    if state["settings"] != asdict(settings):
        raise SystemExit(
            f"{path} was trained with {state['settings']}; take the same settings or another folder"
        )
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(kinds, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])


def _cut_log(path: Path, first: int) -> None:
    """Drop lines of steps that are done again, and a last one that was cut off while it was written."""
    lines = path.read_text().splitlines() if path.exists() else []
    whole = [line for line in lines if line.endswith("}")]
    path.write_text("".join(line + "\n" for line in whole if json.loads(line)["step"] <= first))


def export(model, out: Path, family: str) -> Path:
    """Write weights in half precision, configuration and tokenizer, as ``from_pretrained`` reads them.

    Args:
        model: The trained model.
        out: Folder of the run.
        family: Its family.

    Returns:
        The folder of the model.
    """
    from transformers import PreTrainedTokenizerFast

    folder = out / "model"
    special = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<pad>"}
    if family != "gpt2":
        special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "mask_token": "<mask>"}
    PreTrainedTokenizerFast(
        tokenizer_file=str(out / "tokenizer.json"), model_max_length=CONTEXT, **special
    ).save_pretrained(folder)
    model.to("cpu").half().save_pretrained(folder)
    shutil.copy(out / "log.jsonl", folder / "training_log.jsonl")
    return folder


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the sources")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--family", choices=list(RECIPES), default="gpt2")
    for name in ("steps", "rows", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Settings, name))
    for name in ("muon_rate", "adam_rate"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Settings, name))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    settings = Settings(
        options.family, options.steps, options.rows, options.muon_rate, options.adam_rate, seed=options.seed
    )
    documents = prepare(options.data, options.out)
    print({split: sum(map(len, ids)) for split, ids in documents.items()}, "tokens")
    model = train(documents, settings, options.out, device=options.device, is_compiled=options.compile)
    print(export(model, options.out, options.family))


if __name__ == "__main__":
    main()
