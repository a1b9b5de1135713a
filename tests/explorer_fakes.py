"""An explainer that knows nothing: plausible numbers drawn from the text, on a tiny model that really writes."""

import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import torch
from transformers import BertConfig

from language import loaded_model
from msma._types import SCALES
from msma.errors import CorpusError
from msma.explanation.parts import (
    Attribution,
    Decoding,
    Departure,
    LabelShare,
    Neighbour,
    Piece,
    Place,
)
from msma.explanation.record import Explanation
from msma.interventions.sites import find_sites
from msma.models import load_model
from msma.scales import ScalePartition
from msma.states import HiddenStates
from msma.storage import write_json
from planted import N_LAYERS, PARTITION, WIDTH, random_model
from study_folder import HOSTILE
from tiny import VOCABULARY_SIZE, WORDS, make_tokenizer

TOPICS = ("sea", "home", "law")
_PATHS = (("global",), ("global", "intermediate"), ("global", "intermediate", "local"))


def make_states(n=90, *, n_layers=N_LAYERS, width=WIDTH, seed=0):
    """Samples whose states hold their topic in one coordinate, three samples a document."""
    rng = np.random.default_rng(seed)
    texts = list(HOSTILE) + [
        " ".join(rng.choice(WORDS[:60], size=9)).capitalize() + "." for _ in range(n - len(HOSTILE))
    ]
    topics = [TOPICS[(i // 3) % len(TOPICS)] for i in range(n)]
    states = rng.normal(size=(n_layers, n, width))
    for k, topic in enumerate(TOPICS):
        states[:, [t == topic for t in topics], k] += 3.0
    labels = {"topic": topics, "question": [i % 5 == 0 for i in range(n)]}
    documents = [f"d{i // 3}" for i in range(n)]
    return HiddenStates.from_arrays(
        states.astype(np.float32), texts=texts, documents=documents, labels=labels
    )


@dataclass
class FakeCorpus:
    """The texts of a study."""

    states: HiddenStates = field(default_factory=make_states)

    @property
    def splits(self):
        return SimpleNamespace(train=self.states, validation=self.states, test=self.states)

    def whole_texts(self, states, *, most, seed=0):
        parts = {}
        for document, text in zip(states.document_ids, states.texts, strict=True):
            parts.setdefault(document, []).append(text)
        return [(document, " ".join(texts)) for document, texts in parts.items()][:most]


@dataclass
class FakeUnchecked:
    """What :class:`msma.explanation.UncheckedExplanation` is: the check takes a while, and finds what the text says."""

    explanation: Explanation
    checks: list

    def check(self, *, give_way=None):
        text = self.explanation.text
        for _ in range(1 + 20 * text.count("slow")):
            give_way()
            time.sleep(0.05)
        self.checks.append(text)
        if "uncheckable" in text:
            raise CorpusError("a text came whose tokens cannot be taken out; give another")
        rng = np.random.default_rng(crc32(text.encode()))
        found = [
            replace(
                one,
                comprehensiveness=float(rng.uniform(0, 1)),
                random=float(rng.uniform(0, 0.4)),
                p_value=0.02 if one.scale == "global" else 0.4,
            )
            for one in self.explanation.attributions
        ]
        return replace(self.explanation, attributions=tuple(found))


class FakeExplainer:
    """What :class:`msma.explanation.Explainer` is to the explorer."""

    directions = ("own", "component 1", "topic=sea")
    methods = ("occlusion", "gradient")

    def __init__(
        self, study, *, loaded=None, has_clouds=True, partition=PARTITION, stack="decoder", width=WIDTH
    ):
        self.study, self.partition, self.stack = study, partition, stack
        self.corpus = FakeCorpus(make_states(n_layers=partition.n_layers, width=width))
        self.loaded = random_model() if loaded is None else loaded
        self.name = "tiny <b>decoder</b>"
        self.calls, self.checks = [], []
        study.mkdir(parents=True, exist_ok=True)
        if has_clouds:
            write_json(study / "clouds.json", make_clouds(self.corpus.states))

    def begin(self, text, *, direction="own", methods=("occlusion", "gradient")):
        self.calls.append((text, direction, tuple(methods)))
        if "unreadable" in text:
            raise CorpusError("a text came that the model cannot read; give another")
        if "broken" in text:
            raise RuntimeError("secret of the server")
        rng = np.random.default_rng(crc32(f"{text} {direction}".encode()))
        ends = [0, *(m.end() for m in re.finditer(r"[.!?]+\s+", text)), len(text)]
        spans = [(a, b) for a, b in pairwise(ends) if text[a:b].strip()]
        sentences = tuple(Piece(text=text[a:b], start=a, end=b, sentence=i) for i, (a, b) in enumerate(spans))
        tokens = tuple(
            Piece(
                text=match[0],
                start=match.start(),
                end=match.end(),
                sentence=next(i for i, (_, b) in enumerate(spans) if match.start() < b),
            )
            for match in re.finditer(r"\w+|[^\w\s]", text)
        )
        explanation = Explanation(
            text=text,
            tokens=tokens,
            sentences=sentences,
            places=tuple(_place(rng, scale, self.corpus.states) for scale in SCALES),
            attributions=tuple(
                _attribute(rng, scale, method, direction, len(tokens))
                for scale in SCALES
                for method in methods
            ),
            decodings=tuple(
                _decode(rng, path, method) for path in _PATHS for method in ("embeddings", "lens")
            ),
            departures=tuple(
                _depart(rng, ("global", target), len(sentences), len(tokens))
                for target in ("intermediate", "local")
            ),
            is_cut=len(text) > 2000,
            provenance={"model": self.name},
        )
        return FakeUnchecked(explanation, self.checks)


def make_clouds(states):
    rng = np.random.default_rng(1)
    n = states.n_samples
    points = {scale: rng.normal(size=(n, 2)).round(4).tolist() for scale in SCALES}
    return {
        "texts": list(states.texts),
        "labels": {name: list(column) for name, column in states.labels.items()},
        "points": points,
        "mapped": {scale: rng.normal(size=(n, 2)).round(4).tolist() for scale in SCALES[:2]},
        "explained": dict.fromkeys(SCALES, 0.2),
        "note": "components of 90 texts",
    }


def _place(rng, scale, states):
    near = [
        Neighbour(
            text=states.texts[i],
            document=states.document_ids[i],
            similarity=0.9 - 0.05 * rank,
            labels={name: column[i] for name, column in states.labels.items()},
        )
        for rank, i in enumerate(rng.permutation(states.n_samples)[:6])
    ]
    return Place(
        scale=scale,
        texts=tuple(near[:5]),
        sentences=tuple(near[3:]),
        distance=float(rng.uniform(10, 20)),
        p_value=float(rng.uniform(0.005, 1)),
        position=(float(rng.normal()), float(rng.normal())),
        labels=(LabelShare(column="topic", value="sea", share=0.6, base=0.33),),
    )


def _attribute(rng, scale, method, direction, n):
    scores = rng.normal(scale=0.2, size=n)
    return Attribution(
        scale=scale,
        method=method,
        direction=direction,
        coordinate=float(rng.normal()),
        scores=tuple(scores.tolist()),
    )


def _decode(rng, path, method):
    words = rng.choice(WORDS, size=10, replace=False)
    return Decoding(
        path=path,
        method=method,
        words=tuple((str(word), 0.5 - 0.03 * i) for i, word in enumerate(words)),
        auc=float(rng.uniform(0.5, 0.9)),
        control=0.52,
        p_value=float(rng.uniform(0.01, 0.3)),
    )


def _depart(rng, pair, n_sentences, n_tokens):
    return Departure(
        pair=pair,
        sentence_scores=tuple(rng.uniform(50, 90, n_sentences).tolist()),
        sentence_p_values=tuple(rng.choice([0.004, 0.03, 0.15, 0.6], n_sentences).tolist()),
        token_scores=tuple(rng.uniform(50, 90, n_tokens).tolist()),
        token_p_values=tuple(rng.uniform(0.01, 1, n_tokens).tolist()),
    )


def make_writer(family, folder, *, stack):
    """An explainer of a tiny encoder-decoder that writes, with the scales of one of its stacks."""
    loaded = loaded_model(family)
    n_layers = find_sites(loaded.network, stack=stack).stack.n_layers
    partition = ScalePartition.thirds(n_layers)
    return FakeExplainer(
        folder, loaded=loaded, partition=partition, stack=stack, width=loaded.network.config.d_model
    )


def make_encoder(kind, *, has_head=True):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=WIDTH,
        num_hidden_layers=N_LAYERS - 1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        pad_token_id=1,
    )
    return load_model(kind(config).eval(), tokenizer=make_tokenizer(), name="tiny", has_head=has_head)


@contextmanager
def served(app):
    """Serve an application from a thread on a free port, as ``serve`` does, and give its address."""
    from msma.explorer.serving import _Server, listen

    started = threading.Event()
    with listen("127.0.0.1", 0) as taken:
        server = _Server(app, started.set)
        thread = threading.Thread(target=server.run, args=([taken],), daemon=True)
        thread.start()
        try:
            assert started.wait(30)
            yield f"http://127.0.0.1:{taken.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(30)
