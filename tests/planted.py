"""Decoders made by hand: one whose middle scale alone controls how often it ends a sentence, one that knows nothing."""

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from msma.interventions import Direction
from msma.models import load_model
from msma.scales import ScalePartition
from tiny import SPECIALS, VOCABULARY, VOCABULARY_SIZE, WORDS, make_tokenizer

WIDTH = 24
#: Coordinates: what the middle scale holds, what the head reads of it, what is always one.
HELD, READ, ONE = 0, 1, 2
N_LAYERS = 7
PARTITION = ScalePartition(n_layers=N_LAYERS, boundaries=(3, 5))
PROMPTS = tuple(f"the {WORDS[3 + k]} {WORDS[30 + k % 20]}" for k in range(24))


def make_config(**changes):
    return GPT2Config(
        vocab_size=VOCABULARY_SIZE,
        n_positions=64,
        n_embd=WIDTH,
        n_layer=N_LAYERS - 1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
        **changes,
    )


class _Block(nn.Module):
    """Passes states on; "erase" takes out what is held, "carry" hands it to where the head reads."""

    def __init__(self, role):
        super().__init__()
        self.role = role

    def forward(self, hidden_states, *args, **kwargs):
        states = hidden_states.clone()
        if self.role == "carry":
            states[..., READ] += states[..., HELD]
        if self.role in ("erase", "carry"):
            states[..., HELD] = 0.0
        return states


def planted_model(gain=0.4):
    """A bigram model; a state's coordinate HELD, if it is there when block 5 reads it, makes commas full stops."""
    torch.manual_seed(0)
    network = GPT2LMHeadModel(make_config(tie_word_embeddings=False)).eval()
    roles = ("pass", "pass", "erase", "pass", "carry", "erase")
    network.transformer.h = nn.ModuleList(_Block(role) for role in roles)
    network.transformer.ln_f = nn.Identity()
    embeddings, head = network.transformer.wte.weight.data, network.lm_head.weight.data
    network.transformer.wpe.weight.data.zero_()
    embeddings.normal_()
    head.normal_(std=0.2)
    embeddings[:, :3] = head[:, :3] = 0.0
    embeddings[:, ONE] = 1.0
    for token in SPECIALS:
        head[VOCABULARY[token], ONE] = -30.0
    for token, sign in ((".", 1.0), (",", -1.0)):
        head[VOCABULARY[token]] = 0.0
        head[VOCABULARY[token], ONE] = 2.2
        head[VOCABULARY[token], READ] = sign * gain
    return load_model(network, tokenizer=make_tokenizer("none"), name="planted", has_head=True)


def planted_direction():
    vectors = torch.zeros(N_LAYERS, WIDTH)
    vectors[:, HELD] = 1.0
    return Direction(vectors.numpy(), "full stops")


def random_model(seed=0):
    """A decoder as its initialiser leaves it."""
    torch.manual_seed(seed)
    network = GPT2LMHeadModel(make_config()).eval()
    return load_model(network, tokenizer=make_tokenizer("none"), name=f"random {seed}", has_head=True)
