"""Models made by hand whose attributions are known, and small studies of them."""

from types import SimpleNamespace

import torch
from torch import nn
from transformers import GPT2LMHeadModel

import msma
from msma.configuration import StudyConfig
from msma.explanation.coordinates import Coordinate
from msma.explanation.corpus import StudyCorpus
from msma.explanation.reading import ScaleReader
from msma.models import load_model
from msma.scales import ScaleRepresentation
from msma.states import HiddenStates
from planted import N_LAYERS, PARTITION, WIDTH, make_config
from tiny import VOCABULARY, WORDS, make_tokenizer

SCALES = ("local", "intermediate", "global")
#: What only the carrier brings, and where the deep layers write it; both are coordinates of a state.
CARRIED, WRITTEN = 0, 1
CARRIER, GAIN = "wind", 3.0
_PLAIN = [word for word in WORDS if word.isalpha() and word != CARRIER]


class _Linear(nn.Module):
    """A block that multiplies each token's state by a matrix and mixes no tokens."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, hidden_states, *args, **kwargs):
        return hidden_states @ self.matrix


def make_linear(matrices, *, template="none"):
    torch.manual_seed(0)
    network = GPT2LMHeadModel(make_config(tie_word_embeddings=False)).eval()
    network.transformer.h = nn.ModuleList(_Linear(matrix) for matrix in matrices)
    network.transformer.ln_f = nn.Identity()
    network.transformer.wpe.weight.data.zero_()
    network.transformer.wte.weight.data.normal_()
    return load_model(network.double(), tokenizer=make_tokenizer(template), name="linear")


def make_carrier():
    """Layers 3 and 4 have nothing at WRITTEN; layers 5 and 6 have there GAIN where a token is the carrier.

    Below, WRITTEN is a number of each word, and the carrier's is the lowest.
    """
    erase, carry = torch.eye(WIDTH), torch.eye(WIDTH)
    erase[WRITTEN, WRITTEN] = 0.0
    carry[CARRIED, WRITTEN] = GAIN
    same = torch.eye(WIDTH)
    loaded = make_linear([same, same, erase, same, carry, same])
    table = loaded.network.transformer.wte.weight.data
    table[:, CARRIED] = 0.0
    table[VOCABULARY[CARRIER], CARRIED] = 1.0
    table[VOCABULARY[CARRIER], WRITTEN] = table[:, WRITTEN].min() - 1.0
    return loaded


def make_reader(loaded, texts=("the river rose",)):
    states = msma.extract(loaded.network, list(texts), tokenizer=loaded.tokenizer, attention_texts=0)
    return ScaleReader(loaded, states.origin, ScaleRepresentation(PARTITION).fit(states))


def written_coordinate(*, spread=1.0):
    """Run along WRITTEN, from nothing, in units of ``spread``."""
    axis = torch.eye(WIDTH, dtype=torch.float64)[WRITTEN].numpy()
    return Coordinate(
        name="written",
        axes=dict.fromkeys(SCALES, axis),
        origins=dict.fromkeys(SCALES, 0.0 * axis),
        spreads=dict.fromkeys(SCALES, spread),
    )


def write_texts(rng, n_texts):
    """Ten words each; in every other one, one of them is the carrier."""
    texts = []
    for number in range(n_texts):
        words = rng.choice(_PLAIN, size=10).tolist()
        if number % 2:
            words[int(rng.integers(10))] = CARRIER
        texts.append(" ".join(words))
    return texts, ["windy" if number % 2 else "calm" for number in range(n_texts)]


def make_corpus(states, partition=PARTITION, **provenance):
    """A study as far as attributions look at one."""
    representation = ScaleRepresentation(partition).fit(states)
    return StudyCorpus(
        folder=None,
        config=StudyConfig(model="planted", texts="planted"),
        provenance=provenance,
        states=states,
        alignment=SimpleNamespace(partition_=partition, representation_=representation),
    )


def make_carrier_study(rng, *, n_texts=120):
    texts, labels = write_texts(rng, n_texts)
    loaded = make_carrier()
    states = msma.extract(
        loaded.network,
        texts,
        tokenizer=loaded.tokenizer,
        attention_texts=0,
        labels={"weather": labels},
    )
    corpus = make_corpus(states, model="planted")
    return corpus, ScaleReader(loaded, states.origin, corpus.alignment.representation_)


def make_array_corpus(array, **labels):
    """A study of given states, layers x samples x width, in thirds of the layers."""
    states = HiddenStates.from_arrays(array, labels=labels)
    assert states.n_layers == 3
    return make_corpus(states, msma.ScalePartition.thirds(3))


__all__ = ["N_LAYERS", "PARTITION", "WIDTH"]
