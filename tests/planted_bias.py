"""A decoder made by hand whose states carry which side a word is on in its middle scale, and nowhere else."""

import numpy as np
import torch
from torch import nn
from transformers import GPT2LMHeadModel

from msma.bias import TextPairs
from msma.corpora import Document
from msma.models import load_model
from planted import N_LAYERS, PARTITION, make_config
from tiny import VOCABULARY, VOCABULARY_SIZE, make_tokenizer

__all__ = ["N_LAYERS", "PARTITION", "planted_bias", "planted_documents", "planted_pairs"]

WIDTH = 24
#: Coordinate that holds the side, in the middle scale alone.
HELD = 0
FIRST = "river boat hill village spring winter snow rain light dark".split()  # noqa: SIM905
SECOND = "child woman man dog bird tree stone bridge road house".split()  # noqa: SIM905
_VERBS = (
    "rose fell ran sang slept woke built broke saw heard left came went was rose fell ran sang slept woke"
)
_HOW = "slowly quickly never always slowly quickly never always under over in on under over no two three every never no"
_WHERE = "garden water fire wind sea moon sun star day night year hour morning evening letter song story door sea moon"
_FRAMES = [
    f"the {{}} {verb} {how} {where} ."
    for verb, how, where in zip(_VERBS.split(), _HOW.split(), _WHERE.split(), strict=True)
]


class _Block(nn.Module):
    """Passes states on; "plant" writes the side of each token, "erase" takes it out."""

    def __init__(self, role, signs, strength):
        super().__init__()
        self.role, self.strength = role, strength
        self.register_buffer("signs", signs)
        self.ids = None

    def forward(self, hidden_states, *args, **kwargs):
        states = hidden_states.clone()
        if self.role == "plant":
            states[..., HELD] += self.strength * self.signs[self.ids]
        if self.role == "erase":
            states[..., HELD] = 0.0
        return states


def planted_bias(strength=1.0, apart=0.0, seed=0):
    """Words of the two sides have the same embeddings in pairs (but for noise of size ``apart``); block 3 writes their
    side, block 5 takes it out, so that entries 3 and 4, the middle scale, hold it and no other."""
    rng = torch.Generator().manual_seed(seed)
    network = GPT2LMHeadModel(make_config(tie_word_embeddings=False)).eval()
    signs = torch.zeros(VOCABULARY_SIZE)
    embeddings = network.transformer.wte.weight.data
    embeddings.copy_(torch.randn(embeddings.shape, generator=rng))
    network.lm_head.weight.data.copy_(0.2 * torch.randn(embeddings.shape, generator=rng))
    network.transformer.wpe.weight.data.zero_()
    for one, other in zip(FIRST, SECOND, strict=True):
        a, b = VOCABULARY[one], VOCABULARY[other]
        embeddings[b] = embeddings[a] + apart * torch.randn(WIDTH, generator=rng)
        signs[a], signs[b] = 1.0, -1.0
    embeddings[:, HELD] = 0.0
    roles = ("pass", "pass", "plant", "pass", "erase", "pass")
    blocks = [_Block(role, signs, strength) for role in roles]
    network.transformer.h = nn.ModuleList(blocks)
    network.transformer.ln_f = nn.Identity()

    def remember(_module, args, kwargs):
        blocks[2].ids = kwargs.get("input_ids", args[0] if args else None)

    network.transformer.register_forward_pre_hook(remember, with_kwargs=True)
    return load_model(network, tokenizer=make_tokenizer("none"), name="planted bias", has_head=True)


def planted_pairs():
    """Every frame with every pair of words."""
    rows = [
        (frame.format(a), frame.format(b), frame, f"{a} / {b}")
        for frame in _FRAMES
        for a, b in zip(FIRST, SECOND, strict=True)
    ]
    first, second, documents, words = zip(*rows, strict=True)
    return TextPairs(first, second, ("first", "second"), documents, words, "side", "planted")


def planted_documents(n=240, seed=0):
    """Texts of words of either side; "topic" says what other words they have."""
    rng = np.random.default_rng(seed)
    topics = {"water": "sea water song door night".split(), "fire": "fire moon story letter day".split()}  # noqa: SIM905
    documents = []
    for number in range(n):
        topic = ("water", "fire")[number % 2]
        words = [*rng.choice(topics[topic], 4), *rng.choice([*FIRST, *SECOND], 3)]
        documents.append(Document(" ".join(rng.permutation(words)), f"d{number}", labels={"topic": topic}))
    return documents
