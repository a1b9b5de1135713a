"""Small models and labelled documents for joint trainings; nothing is downloaded."""

from dataclasses import replace
from itertools import product

import torch

from families import ALL_FAMILIES
from msma.corpora import Document
from msma.extraction.tokens import PROBE_TEXT
from msma.models import find_stack, load_model
from msma.replication import JointTrainingConfig
from msma.replication.model import JointModel
from msma.replication.objective import JointObjective
from msma.replication.samples import read_samples
from msma.scales import ScalePartition
from tiny import make_tokenizer

FAMILIES = {family.name: family for family in ALL_FAMILIES}
STILL = {
    "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "gpt2": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    "t5-encoder": {"dropout_rate": 0.0},
    "llama": {},
}
LABELS = {"local": "who", "intermediate": "verb", "global": "place"}
SMALL = {"width": 8, "batch_size": 8, "micro_batch": 4, "epochs": 2}


def make_documents(n=30):
    """Texts of unequal length whose words are their labels."""
    words = list(product(("dog", "bird", "child"), ("sang", "slept"), ("river", "hill")))
    return [
        Document(
            f"the {who} {verb} in the {place}"
            + i % 5 * " and the rain fell"
            + f" {'no' if i % 2 else 'one'} day",
            str(i),
            labels={"verb": verb, "place": place},
            sentences=((0, 3),),
            sentence_labels=({"who": who},),
        )
        for i, (who, verb, place) in enumerate((words * 5)[:n])
    ]


def build(name="bert", *, is_still=True, seed=0):
    """A tiny model, without dropout unless asked for, and its tokenizer."""
    family = FAMILIES[name]
    settings = {**family.settings, **(STILL[name] if is_still else {})}
    return replace(family, settings=settings).build(seed), make_tokenizer(family.template)


def make_joint(config, *, arm="full", name="bert", is_double=True, noise=0.1, longest=0, documents=None):
    """A joint model with everything a step needs; parameters are shaken, so that nothing starts at zero."""
    network, tokenizer = build(name)
    loaded = load_model(network.double() if is_double else network, tokenizer=tokenizer)
    stack = find_stack(loaded.network, tokenizer(PROBE_TEXT)["input_ids"][:12])
    samples = read_samples(
        documents or make_documents(), loaded, stack, labels=LABELS, config=config, say=lambda _: None
    )
    weights = config.weights(arm)
    joint = JointModel(
        loaded,
        stack,
        ScalePartition.thirds(stack.n_layers),
        n_classes={scale: len(labels.classes) for scale, labels in samples.labels.items()},
        config=config,
        has_critics=weights.info > 0,
        longest=longest or samples.longest,
    ).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, parameter in joint.named_additions():
            parameter += noise * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    objective = JointObjective(weights, estimator=config.estimator, quirks=config.quirks, model=joint)
    return joint, objective, samples


def small(**changes):
    return JointTrainingConfig(**{**SMALL, **changes})
