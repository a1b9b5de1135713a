"""What models of 7, 70 and 400 billion parameters cost to read, from the formula in ``msma.costs``.

No weights are needed: the published configurations are written out below and built without values.

    python benchmarks/large_models.py            # prints the tables of docs/large-models.md
"""

import argparse

from transformers import LlamaConfig

from msma.costs import Cost, ModelShape, estimate_cost, size
from msma.models import model_shape

N_TEXTS, N_TOKENS = 1_000_000, 256
#: Operations a second that an accelerator really reaches, in all the hours below: an assumption.
SPEED = 400e12
#: Of that, what is left when weights come and go; and bytes a second that a fast disk gives.
SHARE_OFFLOADED, DISK_SPEED = 0.4, 3e9
BATCH_TOKENS, OFFLOADED_BATCH_TOKENS = 16_384, 131_072

#: Touvron et al. (2023), Llama 2; Grattafiori et al. (2024), Llama 3, table 3.
MODELS = {
    "7B (Llama 2)": {
        "num_hidden_layers": 32,
        "hidden_size": 4_096,
        "intermediate_size": 11_008,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "vocab_size": 32_000,
    },
    "70B (Llama 3)": {
        "num_hidden_layers": 80,
        "hidden_size": 8_192,
        "intermediate_size": 28_672,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
    },
    "405B (Llama 3.1)": {
        "num_hidden_layers": 126,
        "hidden_size": 16_384,
        "intermediate_size": 53_248,
        "num_attention_heads": 128,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
    },
}


def estimate(shape: ModelShape, n_texts: int, **options) -> Cost:
    settings = {"dtype": "bfloat16", "batch_tokens": BATCH_TOKENS, **options}
    return estimate_cost(shape, n_texts=n_texts, tokens_per_text=N_TOKENS, **settings)


def offloaded_hours(cost: Cost, n_texts: int, *, batch_tokens: int) -> float:
    """The slower of computing and reading all weights once a batch."""
    n_batches = cost.passes * n_texts * N_TOKENS / batch_tokens
    return max(cost.hours(SHARE_OFFLOADED * SPEED), n_batches * cost.weights / DISK_SPEED / 3600)


def hours(number: float) -> str:
    return f"{number:,.0f} h" if number >= 10 else f"{number:.1f} h"


def describe(shape: ModelShape, n_texts: int) -> dict[str, str]:
    costs = {store: estimate(shape, n_texts, store=store) for store in ("states", "scales", "moments")}
    small = estimate(shape, n_texts, quantization="4bit")
    offloaded = estimate(shape, n_texts, store="moments", batch_tokens=OFFLOADED_BATCH_TOKENS)
    moments = costs["moments"]
    return {
        "parameters without the head": f"{shape.n_parameters / 1e9:.1f} billion",
        "layer entries x width": f"{shape.n_layers} x {shape.d_model:,}",
        "weights in bfloat16": size(moments.weights),
        "weights in 4 bits": size(small.weights),
        "disk, all layers (states)": size(costs["states"].disk),
        "disk, three scales (scales)": size(costs["scales"].disk),
        "disk, moments at the most": size(moments.disk),
        "memory held by moments": size(moments.kept),
        f"memory to work in, {BATCH_TOKENS:,} tokens a batch": size(moments.working),
        "passes, all layers": f"{costs['states'].passes:.3f}",
        "passes, scales or moments": f"{moments.passes:.3f}",
        "operations": f"{moments.flops:.1e}",
        "hours, weights at hand": hours(moments.hours(SPEED)),
        **{
            f"hours, weights from disk, {n:,} tokens a batch": hours(
                offloaded_hours(moments, n_texts, batch_tokens=n)
            )
            for n in (BATCH_TOKENS, OFFLOADED_BATCH_TOKENS)
        },
        f"memory to work in, {OFFLOADED_BATCH_TOKENS:,} tokens a batch": size(offloaded.working),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=N_TEXTS)
    n_texts = parser.parse_args().texts
    columns = {
        name: describe(model_shape(LlamaConfig(**settings)), n_texts) for name, settings in MODELS.items()
    }
    print(f"| {n_texts:,} texts of {N_TOKENS} tokens | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for row in next(iter(columns.values())):
        print(f"| {row} | " + " | ".join(column[row] for column in columns.values()) + " |")


if __name__ == "__main__":
    main()
