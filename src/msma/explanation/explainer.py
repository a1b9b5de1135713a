"""Explainer: a finished study with its model, ready to explain one text after another."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from msma._types import Stack
from msma._version import __version__
from msma.explanation.attribution import METHODS, Deletions, attribute_unchecked, check_settings
from msma.explanation.checking import UncheckedExplanation
from msma.explanation.coordinates import list_coordinates, make_coordinate
from msma.explanation.corpus import StudyCorpus
from msma.explanation.decoding import WordDecoder
from msma.explanation.departures import DepartureReference
from msma.explanation.lengths import LengthMatch
from msma.explanation.placing import Placing
from msma.explanation.reading import ScaleReader
from msma.explanation.record import Explanation
from msma.explanation.shelf import Shelf
from msma.models import LoadedModel
from msma.scales import ScalePartition

_FOLDER = "explanation"


class Explainer:
    """Explain texts against a finished study: the model, its states, scales and maps are opened once.

    What takes seconds to make (sentences of the corpus, what is usual between scales) is kept in the study's
    folder, under ``explanation/``, where it can be written.

    Args:
        corpus: The study.
        loaded: Its model.
        say: Told in a few words what is being done.

    Raises:
        OriginError: When the model is not that of the study.
    """

    def __init__(
        self, corpus: StudyCorpus, loaded: LoadedModel, *, say: Callable[[str], None] | None = None
    ) -> None:
        self.corpus = corpus
        self.loaded = loaded
        self._say = say or (lambda _: None)
        self.reader = ScaleReader(loaded, corpus.states.origin, corpus.alignment.representation_)
        corpus.check_model(loaded, loaded.fingerprint(self.reader.stack.module))

    def __repr__(self) -> str:
        return (
            f"Explainer({self.name}: {self.partition}, {len(set(self.corpus.states.document_ids))} documents)"
        )

    @classmethod
    def open(
        cls,
        study: str | os.PathLike[str],
        *,
        model: Any = None,
        device: str | None = None,
        say: Callable[[str], None] | None = None,
    ) -> Self:
        """Open a finished study.

        Args:
            study: A folder that 'msma analyze' filled.
            model: Name, folder, transformers model or ``LoadedModel``; the study's own when left out.
            device: Where the model goes; as in the study when left out.
            say: Told in a few words what is being done.

        Returns:
            The explainer.

        Raises:
            StorageError: When the folder holds no finished study.
            OriginError: When the model is not that of the study.
            ModelError: When the model cannot be loaded.
        """
        corpus = StudyCorpus.open(study)
        return cls(corpus, corpus.load_model(model, device=device), say=say)

    @property
    def study(self) -> Path:
        """The study's folder."""
        return self.corpus.folder

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.corpus.states.origin.model

    @property
    def partition(self) -> ScalePartition:
        """Which layers belong to which scale."""
        return self.corpus.partition

    @property
    def stack(self) -> Stack:
        """The stack that the scales are of: "encoder" or "decoder"."""
        return self.reader.stack.kind

    @property
    def methods(self) -> tuple[str, ...]:
        """How tokens of this model can be scored: by the gradient only where its blocks can be reached."""
        return METHODS if self.reader.stack.blocks else ("occlusion",)

    @cached_property
    def directions(self) -> tuple[str, ...]:
        """What a coordinate may run along: "own", "component 1", "topic=sea", ..."""
        return list_coordinates(self.corpus)

    @cached_property
    def corpus_texts(self) -> list[str]:
        """Whole texts of the test split, in the order of the corpus."""
        return [text for _, text in self.corpus.whole_texts(self.corpus.splits.test, most=10**9)]

    @cached_property
    def _placing(self) -> Placing:
        self._say("what lies near: texts and sentences of the corpus")
        texts = Shelf.of_texts(self.corpus)
        sentences = Shelf.of_sentences(self.corpus, self.reader, cache=self._cache("sentences.safetensors"))
        return Placing(self.corpus, texts, sentences, LengthMatch(self.corpus, self.reader))

    @cached_property
    def _decoder(self) -> WordDecoder:
        self._say("words that states stand for")
        return WordDecoder(self.reader, self.corpus, seed=self.corpus.config.seed)

    @cached_property
    def _reference(self) -> DepartureReference:
        path = self._cache("departures.safetensors")
        self._say("what is usual between the scales")
        return DepartureReference.open(self.corpus, self.reader, cache=path, seed=self.corpus.config.seed)

    def _cache(self, name: str) -> Path | None:
        """Tell where something is kept; nowhere when the study's folder cannot be written."""
        return self.study / _FOLDER / name if os.access(self.study, os.W_OK) else None

    def prepare(self) -> Self:
        """Make everything that the first explanation would wait for.

        Returns:
            Itself.
        """
        _ = self._placing, self._decoder, self._reference
        return self

    def explain(
        self,
        text: str,
        *,
        direction: str = "own",
        methods: Sequence[str] = METHODS,
        n_draws: int = 50,
        seed: int = 0,
    ) -> Explanation:
        """Explain one text across the three scales.

        Args:
            text: The text; what is longer than the model reads is cut.
            direction: What each scale's coordinate runs along: "own" (the text's own departure from the corpus),
                "component k", or "column=value" of a label.
            methods: How tokens are scored: "occlusion", "gradient".
            n_draws: Random deletions that faithfulness is compared with.
            seed: Fixes them.

        Returns:
            The explanation.

        Raises:
            CorpusError: When the text has no token.
            ConfigError: When direction or method is unknown.
            ModelError: When a state is not finite, or blocks cannot be reached by the gradient.
        """
        begun = self.begin(text, direction=direction, methods=methods, n_draws=n_draws, seed=seed)
        return begun.check()

    def begin(
        self,
        text: str,
        *,
        direction: str = "own",
        methods: Sequence[str] = METHODS,
        n_draws: int = 50,
        seed: int = 0,
    ) -> UncheckedExplanation:
        """Explain one text, and leave the check of the token scores for later: for those who wait for an answer.

        ``begin(text).check()`` is ``explain(text)``, to the last digit.

        Args:
            text: As in :meth:`explain`, like the rest.
            direction: What each scale's coordinate runs along.
            methods: How tokens are scored.
            n_draws: Random deletions that faithfulness will be compared with.
            seed: Fixes them.

        Returns:
            The explanation, and what checks it.

        Raises:
            CorpusError: When the text has no token.
            ConfigError: When direction or method is unknown.
            ModelError: When a state is not finite, or blocks cannot be reached by the gradient.
        """
        check_settings(methods=tuple(methods), n_draws=n_draws)
        reading = self.reader.read(text)
        deletions = Deletions(self.reader, reading, make_coordinate(self.corpus, direction, reading))
        explanation = Explanation(
            text=reading.text,
            tokens=reading.tokens,
            sentences=reading.sentences,
            places=self._placing.place(reading),
            attributions=attribute_unchecked(deletions, methods=tuple(methods)),
            decodings=self._decoder.decode(reading),
            departures=self._reference.measure(reading),
            is_cut=reading.is_cut,
            provenance=self._provenance(direction=direction, seed=seed, n_draws=n_draws),
        )
        return UncheckedExplanation(explanation=explanation, deletions=deletions, n_draws=n_draws, seed=seed)

    def _provenance(self, **settings: Any) -> dict[str, Any]:
        kept = ("model", "revision", "model_fingerprint", "texts", "texts_fingerprint", "unit", "n_documents")
        return {
            **{key: self.corpus.provenance.get(key) for key in kept},
            "scales": self.partition.written,
            "study_seed": self.corpus.config.seed,
            **settings,
            "version": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def explain(
    study: Any,
    text: str,
    *,
    direction: str = "own",
    methods: Sequence[str] = METHODS,
    n_draws: int = 50,
    model: Any = None,
    device: str | None = None,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
) -> Explanation:
    """Explain one text across the scales of a finished study.

    For several texts make an :class:`Explainer` once.

    Args:
        study: A folder that 'msma analyze' filled, a :class:`msma.Study` that was run, or an :class:`Explainer`.
        text: The text.
        direction: What each scale's coordinate runs along: "own" (the text's own departure from the corpus),
            "component k", or "column=value" of a label.
        methods: How tokens are scored: "occlusion", "gradient".
        n_draws: Random deletions that faithfulness is compared with.
        model: Name, folder, transformers model or ``LoadedModel``; the study's own when left out.
        device: Where the model goes; as in the study when left out.
        seed: Fixes the random deletions.
        say: Told in a few words what is being done.

    Returns:
        Where the text lies at each scale, which tokens drive it, what its themes read as on the way down, and where
        it departs from them.

    Raises:
        StorageError: When the folder holds no finished study.
        OriginError: When the model is not that of the study.
        CorpusError: When the text has no token.
        ConfigError: When direction or method is unknown.
    """
    if not isinstance(study, Explainer):
        study = Explainer.open(getattr(study, "folder", study), model=model, device=device, say=say)
    found: Explanation = study.explain(text, direction=direction, methods=methods, n_draws=n_draws, seed=seed)
    return found
