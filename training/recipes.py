"""What is trained: one recipe for each of the four families of the paper, of the same depth and width.

Only the decoder's weights are shipped. The siblings exist so that the families can be compared on trained weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

N_TOKENS = 4096
CONTEXT = 256
SPECIAL = ("<|endoftext|>", "<pad>", "<mask>", "<s>", "</s>", *(f"<extra_id_{i}>" for i in range(32)))
END, PAD, MASK, START, STOP = range(5)
_FIRST_SENTINEL = 5
_IGNORED = -100


@dataclass(frozen=True)
class Recipe:
    """How one family is built and taught.

    Args:
        build: Makes the untrained model.
        loss: Nats per predicted token of a batch of ids, given a random generator.
    """

    build: Callable[[], Any]
    loss: Callable[[Any, torch.Tensor, torch.Generator], torch.Tensor]


def _gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=N_TOKENS, n_positions=CONTEXT, n_embd=144, n_layer=12, n_head=6,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            bos_token_id=END, eos_token_id=END, pad_token_id=PAD,
        )
    )  # fmt: skip


def _masked(family: str) -> Callable[[], Any]:
    def build() -> Any:
        import transformers

        name = {"bert": "Bert", "roberta": "Roberta"}[family]
        config = getattr(transformers, f"{name}Config")(
            vocab_size=N_TOKENS, max_position_embeddings=CONTEXT + 2, hidden_size=144, num_hidden_layers=12,
            num_attention_heads=6, intermediate_size=576, type_vocab_size=1, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, pad_token_id=PAD, bos_token_id=START, eos_token_id=STOP,
        )  # fmt: skip
        return getattr(transformers, f"{name}ForMaskedLM")(config)

    return build


def _t5() -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=N_TOKENS, d_model=144, d_kv=24, d_ff=576, num_layers=6, num_decoder_layers=6, num_heads=6,
            dropout_rate=0.0, pad_token_id=PAD, eos_token_id=STOP, decoder_start_token_id=PAD,
        )
    )  # fmt: skip


def causal_loss(model: Any, ids: torch.Tensor, _generator: torch.Generator) -> torch.Tensor:
    """Cross-entropy of every token given those before it."""
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits
    return functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())


def masked_loss(model: Any, ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Cross-entropy of the hidden 15 % (Devlin et al. 2019: 80 % masked, 10 % replaced, 10 % left)."""
    ids = ids[:, :-1]
    draw = torch.rand(ids.shape, generator=generator)
    kind = torch.rand(ids.shape, generator=generator)
    other = torch.randint(len(SPECIAL), N_TOKENS, ids.shape, generator=generator).to(ids.device)
    chosen = (draw < 0.15).to(ids.device)
    labels = ids.masked_fill(~chosen, _IGNORED)
    shown = ids.masked_fill(chosen & (kind < 0.8).to(ids.device), MASK)
    shown = torch.where(chosen & (kind >= 0.9).to(ids.device), other, shown)
    logits = model(input_ids=shown).logits
    return functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=_IGNORED)


def span_loss(model: Any, ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Cross-entropy of spans cut out of the text (Raffel et al. 2020: 15 % of the tokens, three at a time)."""
    ids = ids[:, :-1]
    width = ids.shape[1]
    n_spans = max(round(0.15 * width / 3), 1)
    # The same places in every row of the batch, so that no padding is needed.
    room = width // n_spans
    starts = [i * room + int(torch.randint(room - 3, (1,), generator=generator)) for i in range(n_spans)]
    source, target, last = [], [], 0
    for number, start in enumerate(starts):
        sentinel = torch.full_like(ids[:, :1], _FIRST_SENTINEL + number)
        source += [ids[:, last:start], sentinel]
        target += [sentinel, ids[:, start : start + 3]]
        last = start + 3
    source.append(ids[:, last:])
    target.append(torch.full_like(ids[:, :1], STOP))
    labels = torch.cat(target, 1)
    logits = model(input_ids=torch.cat(source, 1), labels=labels).logits
    return functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten())


RECIPES = {
    "gpt2": Recipe(_gpt2, causal_loss),
    "bert": Recipe(_masked("bert"), masked_loss),
    "roberta": Recipe(_masked("roberta"), masked_loss),
    "t5": Recipe(_t5, span_loss),
}
