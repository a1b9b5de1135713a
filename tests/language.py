"""Tiny models with their language heads, of every family that has one."""

from functools import cache

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

from families import ALL_FAMILIES
from msma.models import LoadedModel
from tiny import VOCABULARY_SIZE, make_tokenizer

FAMILIES = {family.name: family for family in ALL_FAMILIES}
WRITERS = {
    "gpt2": AutoModelForCausalLM,
    "gpt-neox": AutoModelForCausalLM,
    "gpt-j": AutoModelForCausalLM,
    "opt": AutoModelForCausalLM,
    "bloom": AutoModelForCausalLM,
    "llama": AutoModelForCausalLM,
    "qwen3": AutoModelForCausalLM,
    "gemma3": AutoModelForCausalLM,
    "falcon": AutoModelForCausalLM,
    "t5-encoder": AutoModelForSeq2SeqLM,
    "t5-decoder": AutoModelForSeq2SeqLM,
    "bart-decoder": AutoModelForSeq2SeqLM,
}


@cache
def loaded_model(name, head="writer"):
    """A seeded model with large weights, so that every change is seen; shared, so tests must leave it as it is."""
    family = FAMILIES[name]
    kind = AutoModelForMaskedLM if head == "masked" else WRITERS[name]
    special = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    # transformers sizes T5's cache by its encoder's depth, so both stacks are to be as deep.
    extra = {"num_decoder_layers": 4} if family.kind == "t5" else {}
    config = AutoConfig.for_model(
        family.kind, **{"vocab_size": VOCABULARY_SIZE, **special, **family.settings, **extra}
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = kind.from_config(config).eval()
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    if network.can_generate():
        network.generation_config.pad_token_id = 1
    return LoadedModel(network, make_tokenizer(family.template), name, None)
