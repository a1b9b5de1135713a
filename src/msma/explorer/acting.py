"""What acting on a scale does, beside the clean model: what is written, or what is filled in for hidden tokens."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from msma._types import Stack
from msma.errors import CorpusError, ModelError
from msma.explorer.questions import ActQuestion
from msma.explorer.subject import TextExplainer
from msma.generation import Continuation, generate, nats_per_token, predict_masked
from msma.interventions import (
    Acting,
    Direction,
    Noise,
    Operation,
    Scaling,
    Temperature,
    Translation,
    intervene,
)

#: Heat of the draws, texts that one text is held against, and share of the tokens hidden from an encoder.
HEAT, _OTHERS, _SHARE = 0.8, 40, 0.15


class ScaleActor:
    """Acts on the scales of a study's model.

    Args:
        explainer: The study's model, partition and texts.
    """

    def __init__(self, explainer: TextExplainer) -> None:
        self._explainer = explainer
        self._directions: dict[Any, Direction] = {}
        self._clean: tuple[tuple[Any, ...], Continuation] | None = None

    def describe(self) -> dict[str, Any]:
        """Say what the page can offer.

        Returns:
            ``kind`` "continuation", "output" (of an encoder-decoder, whose encoder reads the prompt), "fills" or
            "none", and a ``reason`` for none.
        """
        loaded = self._explainer.loaded
        if loaded.head == "causal":
            return {"kind": "continuation", "reason": "", "heat": HEAT}
        if loaded.head == "seq2seq":
            return {"kind": "output", "reason": "", "heat": HEAT, "stack": self._explainer.stack}
        if loaded.head == "masked" and loaded.tokenizer.mask_token_id is not None:
            return {"kind": "fills", "reason": "", "share": _SHARE}
        has = {
            "masked": "has a tokenizer without a mask token",
        }.get(loaded.head, "was loaded without a head to write with, or has none")
        reason = (
            f"'{self._explainer.name}' {has}, so there is no text to compare. A study of a decoder, such as the "
            "embedded 'demo-decoder', has this panel."
        )
        return {"kind": "none", "reason": reason}

    def act(self, question: ActQuestion) -> dict[str, Any]:
        """Act on a scale, with the same chance as the clean model beside it.

        Args:
            question: Where, what and how strongly.

        Returns:
            Texts or fills, clean and changed, and the relative norm of what was done, by layer.

        Raises:
            ModelError: When the model has no head to write with.
            CorpusError: When no texts stand for the direction, or the prompt does not fit the model.
        """
        kind = self.describe()["kind"]
        if kind == "none":
            raise ModelError(self.describe()["reason"])
        operation = self._make_operation(question)
        if kind == "fills":
            return self._fill(question, operation)
        return {"kind": kind, **self._write(question, operation)}

    def _make_operation(self, question: ActQuestion) -> Operation:
        if question.operation == "scale":
            return Scaling(question.strength)
        if question.operation == "noise":
            return Noise(question.strength, seed=question.seed)
        if question.operation == "temperature":
            return Temperature(question.strength)
        return Translation(self._find_direction(question), question.strength)

    def _find_direction(self, question: ActQuestion) -> Direction:
        key = (question.towards, question.text)
        if key not in self._directions:
            if isinstance(question.towards, tuple):
                self._directions[key] = self._towards_label(*question.towards)
            else:  # only the last text's is kept: any number may be explained
                self._directions = {k: v for k, v in self._directions.items() if k[0] != question.towards}
                self._directions[key] = self._towards_text(question.text)
        return self._directions[key]

    def _towards_text(self, text: str) -> Direction:
        corpus = self._explainer.corpus
        others = [other for _, other in corpus.whole_texts(corpus.splits.train, most=_OTHERS)]
        return Direction.between(self._explainer.loaded, [text], others, stack=self._stack, name="text")

    def _towards_label(self, column: str, value: str) -> Direction:
        """Point from the training samples without a label to those with it, at every layer, as their states are."""
        train = self._explainer.corpus.splits.train
        given = np.array([str(label) == value for label in train.labels.get(column, ())], dtype=bool)
        if not given.any() or given.all():
            raise CorpusError(
                f"{int(given.sum())} of {train.n_samples} training samples have {column} = {value}; choose a label "
                "that some have and others have not"
            )
        rows = []
        for layer in range(train.n_layers):
            states = train.layer(layer).astype(np.float64)
            rows.append(states[given].mean(axis=0) - states[~given].mean(axis=0))
        return Direction(np.stack(rows), f"{column}={value}")

    @property
    def _stack(self) -> Stack:
        """The stack of an encoder-decoder that the study's scales are of; any other model has one only."""
        return self._explainer.stack if self._explainer.loaded.head == "seq2seq" else "auto"

    def _acting(self, question: ActQuestion, operation: Operation) -> AbstractContextManager[Acting]:
        explainer = self._explainer
        return intervene(
            explainer.loaded,
            explainer.partition,
            question.scale,
            operation,
            stack=self._stack,
            is_measured=True,
        )

    def _write(self, question: ActQuestion, operation: Operation) -> dict[str, Any]:
        loaded = self._explainer.loaded
        options: dict[str, Any] = {
            "max_new_tokens": question.max_new_tokens,
            "seed": question.seed,
            "temperature": HEAT,
        }
        key = (question.prompt, *options.values())
        if self._clean is None or self._clean[0] != key:
            self._clean = key, generate(loaded, [question.prompt], **options)[0]
        clean = self._clean[1]
        with self._acting(question, operation) as acting:
            changed = generate(loaded, [question.prompt], **options)[0]
        nats = nats_per_token(loaded, [clean, changed])
        shared = _shared_length(clean.ids, changed.ids)
        return {
            "prompt": question.prompt,
            "clean": clean.text,
            "changed": changed.text,
            "shared_text": loaded.tokenizer.decode(clean.ids[:shared], skip_special_tokens=True),
            "n_shared": shared,
            "n_clean": len(clean.ids),
            "n_changed": len(changed.ids),
            "nats": {"clean": float(nats[0]), "changed": float(nats[1])},
            **_tell_norms(acting),
        }

    def _fill(self, question: ActQuestion, operation: Operation) -> dict[str, Any]:
        loaded = self._explainer.loaded
        options: dict[str, Any] = {"share": _SHARE, "seed": question.seed}
        clean = predict_masked(loaded, [question.prompt], **options)
        with self._acting(question, operation) as acting:
            changed = predict_masked(loaded, [question.prompt], **options)
        word = loaded.tokenizer.decode
        return {
            "kind": "fills",
            "prompt": question.prompt,
            "fills": [
                {
                    "hidden": word([int(clean.original[i])]).strip(),
                    "clean": word([int(clean.top[i])]).strip(),
                    "changed": word([int(changed.top[i])]).strip(),
                    "clean_rank": int(clean.rank[i]),
                    "changed_rank": int(changed.rank[i]),
                }
                for i in range(len(clean.top))
            ],
            "nats": {"clean": float(np.mean(clean.nats)), "changed": float(np.mean(changed.nats))},
            **_tell_norms(acting),
        }


def _tell_norms(acting: Acting) -> dict[str, Any]:
    norms = acting.relative_norms
    squares = sum(acting.squares.values())
    count = sum(acting.counts.values())
    return {
        "relative_norm": (squares / count) ** 0.5 if count else None,
        "by_layer": [{"layer": layer, "norm": norm} for layer, norm in norms.items()],
        "layers": [acting.layers[0], acting.layers[-1]],
    }


def _shared_length(ours: Sequence[int], theirs: Sequence[int]) -> int:
    return next(
        (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs))
    )
