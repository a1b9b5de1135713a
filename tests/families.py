"""Every model family the extraction is tested on: tiny, seeded, built from a configuration in code.

``ALL_FAMILIES`` is the table; tests parametrise over it. A new family is one more row.
"""

from dataclasses import dataclass, field

import torch
from transformers import AutoConfig, AutoModel

from tiny import VOCABULARY_SIZE

WIDTH = 32
MAX_POSITIONS = 64
HEADS = {"num_attention_heads": 4}
NARROW = {"hidden_size": WIDTH, "intermediate_size": 64, "max_position_embeddings": MAX_POSITIONS, **HEADS}
GROUPED = {**NARROW, "num_key_value_heads": 2, "num_hidden_layers": 4}
T5 = {
    "decoder_start_token_id": 1,
    "num_layers": 4,
    "num_decoder_layers": 5,
    "d_model": WIDTH,
    "d_kv": 8,
    "d_ff": 64,
    "num_heads": 4,
}
BART = {
    "encoder_layers": 4,
    "decoder_layers": 5,
    "d_model": WIDTH,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": MAX_POSITIONS,
}


@dataclass(frozen=True)
class Family:
    """One architecture and what is known about it.

    Args:
        name: The row's name.
        kind: ``model_type`` of the configuration.
        settings: The configuration.
        n_blocks: Blocks of the stack that is read.
        is_causal: Whether a token sees only what came before.
        has_final_norm: Whether ``hidden_states[-1]`` is not the last block's output.
        is_hookable: Whether each layer entry is the output of a block of its own.
        has_attention: Whether attention maps can be read.
        stack: The stack asked for.
        left: Whether padding on the left can work.
    """

    name: str
    kind: str
    settings: dict = field(hash=False)
    n_blocks: int = 4
    is_causal: bool = True
    has_final_norm: bool = True
    is_hookable: bool = True
    has_attention: bool = True
    stack: str = "auto"
    left: bool = True

    def build(self, seed: int = 0, **options):
        config = AutoConfig.for_model(
            self.kind,
            **{
                "vocab_size": VOCABULARY_SIZE,
                "bos_token_id": 0,
                "pad_token_id": 1,
                "eos_token_id": 2,
                **self.settings,
            },
        )
        # Weights ten times the usual spread, so that a token that leaks into another is seen.
        for name in ("initializer_range", "init_std"):
            if hasattr(config, name):
                setattr(config, name, 0.2)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = AutoModel.from_config(config, **options).eval()
            for parameter in model.parameters():
                parameter.data += 0.02 * torch.randn_like(parameter)
        n_parameters = sum(parameter.numel() for parameter in model.parameters())
        assert n_parameters < 300_000, f"{self.name} has {n_parameters} parameters; keep it tiny"
        return model

    @property
    def template(self) -> str:
        """Which special tokens its tokenizer adds: T5 only closes a text, most decoders add nothing."""
        if self.kind == "t5":
            return "end"
        return "none" if self.is_causal and self.kind != "bart" else "both"

    @property
    def n_layers(self) -> int:
        return self.n_blocks + 1


def decoder(name, kind=None, settings=None, **known):
    return Family(name, kind or name, settings or GROUPED, **known)


def encoder(name, kind=None, settings=None, **known):
    known = {"is_causal": False, "has_final_norm": False, **known}
    return Family(name, kind or name, {"num_hidden_layers": 4, **NARROW, **(settings or {})}, **known)


GPT2 = {"n_layer": 4, "n_embd": WIDTH, "n_head": 4, "n_positions": MAX_POSITIONS}
OFFSET = {"max_position_embeddings": MAX_POSITIONS + 2}
ALL_FAMILIES = (
    decoder("gpt2", settings=GPT2),
    decoder(
        "gpt-neo",
        "gpt_neo",
        {
            "num_layers": 4,
            "hidden_size": WIDTH,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 2]],
            "max_position_embeddings": MAX_POSITIONS,
            "window_size": 8,
        },
    ),
    decoder("gpt-neox", "gpt_neox", {"num_hidden_layers": 4, **NARROW}),
    decoder("gpt-j", "gptj", {**GPT2, "rotary_dim": 4}),
    decoder(
        "opt",
        settings={
            "num_hidden_layers": 4,
            "hidden_size": WIDTH,
            "ffn_dim": 64,
            "word_embed_proj_dim": WIDTH,
            "max_position_embeddings": MAX_POSITIONS,
            **HEADS,
        },
    ),
    decoder("bloom", settings={"n_layer": 4, "hidden_size": WIDTH, "n_head": 4}),
    decoder("llama"),
    decoder("mistral", settings={**GROUPED, "sliding_window": 8}),
    decoder("qwen2"),
    decoder("qwen3", settings={**GROUPED, "head_dim": 8}),
    decoder("gemma2", settings={**GROUPED, "head_dim": 8, "sliding_window": 8}),
    decoder("gemma3", "gemma3_text", {**GROUPED, "head_dim": 8, "sliding_window": 8}),
    decoder("phi", settings={"num_hidden_layers": 4, **NARROW}),
    decoder("stablelm", settings=GROUPED),
    decoder("falcon", settings={"num_hidden_layers": 4, "hidden_size": WIDTH, **HEADS}),
    decoder("mixtral", settings={**GROUPED, "num_local_experts": 4}),
    decoder(
        "mamba",
        settings={"num_hidden_layers": 4, "hidden_size": WIDTH, "state_size": 4},
        has_attention=False,
    ),
    encoder("bert"),
    encoder("roberta", settings=OFFSET),
    encoder("xlm-roberta", settings=OFFSET),
    encoder(
        "distilbert",
        settings={"n_layers": 4, "dim": WIDTH, "n_heads": 4, "hidden_dim": 64},
    ),
    encoder("albert", settings={"embedding_size": 16}, is_hookable=False),
    encoder("electra", settings={"embedding_size": 16}),
    encoder(
        "deberta-v2",
        settings={"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16},
    ),
    encoder("deberta-conv", "deberta-v2", {"conv_kernel_size": 3}, is_hookable=False),
    encoder(
        "modernbert",
        settings={
            "local_attention": 16,
            "global_attn_every_n_layers": 2,
            "cls_token_id": 0,
            "sep_token_id": 2,
        },
        has_final_norm=True,
    ),
    encoder("mpnet", settings=OFFSET),
    encoder("fnet", has_attention=False, left=False),
    Family(
        "xlnet",
        "xlnet",
        {"n_layer": 4, "d_model": WIDTH, "n_head": 4, "d_inner": 64},
        is_causal=False,
        has_final_norm=False,
        is_hookable=False,
    ),
    Family("t5-encoder", "t5", T5, is_causal=False),
    Family("t5-decoder", "t5", T5, n_blocks=5, stack="decoder"),
    Family("bart-encoder", "bart", BART, is_causal=False, has_final_norm=False, left=False),
    Family("bart-decoder", "bart", BART, n_blocks=5, has_final_norm=False, stack="decoder", left=False),
)
