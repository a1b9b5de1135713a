"""Where a text departs from what its themes predict, sentence by sentence and token by token."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int

from msma._types import Pair
from msma.alignment import Alignment
from msma.errors import CorpusError, StorageError
from msma.explanation.corpus import DOWNWARDS, StudyCorpus
from msma.explanation.parts import Departure
from msma.explanation.reading import ScaleReader, TextReading
from msma.explanation.surprise import Parts, PartSurprise, mean_by_owner
from msma.explanation.themes import check_downwards, find_directions
from msma.explanation.vocabulary import document_shares
from msma.progress import progress
from msma.storage import open_tensors, verify_tensors, write_tensors

_CONTENT, _FORMAT = "msma departures", 1
#: Half the documents are fitted on, half calibrate.
_FEWEST = 8
#: Directions in which residuals are measured: those in which what the themes predict varies most.
_DIRECTIONS = 10
#: Tokens up to this place are a kind of their own, the very first of a row another.
_OPENING = 8
_FIRST, _OPENING_KIND, _N_KINDS = 0, 1, 6


class DepartureReference:
    r"""What is usual between a text's global state and its sentences and tokens further down: METHOD section 9.

    .. math:: r_{st}(\text{part}) = z_t(\text{part}) - f_{st}(z_s(\text{text}))

    measured in the ten directions in which :math:`f(z)` varies most among training texts: those are what themes
    predict, and in all directions together what is not theme drowns it. How far a residual is usually off depends on
    what has little to do with themes, which is taken out (:class:`msma.explanation.surprise.PartSurprise`): of a
    sentence its length, of a token its place and how many documents have it. A first token without a special one
    before it, on which decoders put huge states, is left out of its sentence and compared with first tokens only.

    Half the validation texts are fitted on, the other half calibrate, by document. A text-level state is mapped also
    where the study's samples are sentences or tokens; the offset that this brings is that of the reference's texts too,
    and so it is taken out with their mean.

    Args:
        alignment: The study's maps.
        shares: Share of training documents that each entry of the vocabulary occurs in.
        edges: Borders between frequency kinds of tokens.
        bases: Directions by pair.
        sentences: Surprise of sentences by pair.
        tokens: Surprise of tokens by pair.
        facts: What it was made of; plain values.
    """

    def __init__(
        self,
        alignment: Alignment,
        *,
        shares: Float[np.ndarray, " vocabulary"],
        edges: Float[np.ndarray, " borders"],
        bases: Mapping[Pair, Float[np.ndarray, "d_target k"]],
        sentences: Mapping[Pair, PartSurprise],
        tokens: Mapping[Pair, PartSurprise],
        facts: Mapping[str, Any],
    ) -> None:
        self._alignment = alignment
        self._shares = shares
        self._edges = edges
        self._bases = dict(bases)
        self._sentences = dict(sentences)
        self._tokens = dict(tokens)
        self.facts = dict(facts)

    @classmethod
    def open(
        cls,
        corpus: StudyCorpus,
        reader: ScaleReader,
        *,
        cache: str | os.PathLike[str] | None = None,
        n_texts: int = 96,
        seed: int = 0,
    ) -> Self:
        """Read what was kept, or make it and keep it.

        Args:
            corpus: The study.
            reader: Reads texts as the study did.
            cache: File that keeps it.
            n_texts: Validation texts read, at most.
            seed: Fixes which.

        Returns:
            The reference.
        """
        if cache is not None and Path(cache).is_file():
            try:
                kept = cls.load(cache, corpus.alignment)
            except StorageError:
                kept = None  # it is only a cache: what cannot be read is made again
            if kept is not None and kept.facts == _facts(corpus, n_texts=n_texts, seed=seed):
                return kept
        made = cls.build(corpus, reader, n_texts=n_texts, seed=seed)
        if cache is not None:
            made.save(cache)
        return made

    @classmethod
    def build(cls, corpus: StudyCorpus, reader: ScaleReader, *, n_texts: int = 96, seed: int = 0) -> Self:
        """Read validation texts of a study and learn what is usual.

        Args:
            corpus: The study.
            reader: Reads texts as the study did.
            n_texts: Texts read, at most.
            seed: Fixes which.

        Returns:
            The reference.

        Raises:
            CorpusError: When there are too few validation texts.
            ScaleError: When a pair cannot be mapped, or its map predicts the same for every text.
        """
        check_downwards(corpus.alignment)
        texts = [
            text
            for _, text in corpus.whole_texts(corpus.splits.validation, most=n_texts, seed=seed)
            if text.strip()
        ]
        if len(texts) < _FEWEST:
            raise CorpusError(
                f"{len(texts)} validation documents came to learn from what is usual between scales; give a study of "
                f"at least {_FEWEST}"
            )
        readings = [reader.read(text) for text in progress(texts, label="departures", unit="text")]
        shares = document_shares(reader, corpus, seed=seed)
        known = np.concatenate([shares[list(_ids(reading))] for reading in readings[::2]])
        made = cls(
            corpus.alignment,
            shares=shares,
            edges=np.quantile(known, [0.25, 0.5, 0.75]),
            bases=find_directions(corpus, n_directions=_DIRECTIONS),
            sentences={},
            tokens={},
            facts=_facts(corpus, n_texts=n_texts, seed=seed),
        )
        for pair in DOWNWARDS:
            made._learn(pair, readings)
        return made

    def _learn(self, pair: Pair, readings: Sequence[TextReading]) -> None:
        parts = [self._parts(pair, reading, document) for document, reading in enumerate(readings)]
        for number, kept in enumerate((self._sentences, self._tokens)):
            found = Parts.join([both[number] for both in parts])
            is_fitted = found.documents % 2 == 0
            kept[pair] = PartSurprise.fit(
                found.take(is_fitted),
                found.take(~is_fitted),
                n_kinds=(1, _N_KINDS)[number],
                outside=(None, _FIRST)[number],
            )

    def measure(self, reading: TextReading) -> tuple[Departure, ...]:
        """Measure where one text departs from its themes.

        Args:
            reading: The text.

        Returns:
            One a pair of scales.
        """
        found = []
        for pair in DOWNWARDS:
            sentences, tokens = self._parts(pair, reading, 0)
            found.append(
                Departure(
                    pair=pair,
                    sentence_scores=tuple(self._sentences[pair].surprise(sentences).tolist()),
                    sentence_p_values=tuple(self._sentences[pair].p_values(sentences).tolist()),
                    token_scores=tuple(self._tokens[pair].surprise(tokens).tolist()),
                    token_p_values=tuple(self._tokens[pair].p_values(tokens).tolist()),
                )
            )
        return tuple(found)

    def _parts(self, pair: Pair, reading: TextReading, document: int) -> tuple[Parts, Parts]:
        """Give the sentences and tokens of a text with their residuals."""
        basis = self._bases[pair]
        states = {scale: row[None] for scale, row in reading.pooled.items()}
        predicted = self._alignment.transform_scales(states)[pair]
        residuals = (reading.of_tokens[pair[1]] - predicted) @ basis
        shares = self._shares[list(_ids(reading))]
        places = np.asarray(reading.places)
        tokens = Parts(
            rows=residuals,
            traits=np.stack([np.log(shares + 1e-3), 1.0 / (1.0 + places)], axis=1),
            kinds=self._kinds(places, shares),
            documents=np.full(len(places), document),
        )
        owners = np.array([token.sentence for token in reading.tokens])
        means, lengths = mean_by_owner(residuals, owners, is_kept=places > 0)
        sentences = Parts(
            rows=means,
            traits=np.log(lengths)[:, None],
            kinds=np.zeros(len(lengths), dtype=np.int64),
            documents=np.full(len(lengths), document),
        )
        return sentences, tokens

    def _kinds(
        self, places: Int[np.ndarray, " tokens"], shares: Float[np.ndarray, " tokens"]
    ) -> Int[np.ndarray, " tokens"]:
        kinds = _OPENING_KIND + 1 + np.searchsorted(self._edges, shares)
        kinds[places <= _OPENING] = _OPENING_KIND
        kinds[places == 0] = _FIRST
        return kinds

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it to one file.

        Args:
            path: The file.

        Returns:
            The path written.

        Raises:
            StorageError: When it cannot be written.
        """
        arrays = {"shares": self._shares, "edges": self._edges}
        for pair in DOWNWARDS:
            key = "-".join(pair)
            arrays[f"{key}.basis"] = self._bases[pair]
            for kind, measures in (("sentences", self._sentences), ("tokens", self._tokens)):
                arrays |= {f"{key}.{kind}.{name}": a for name, a in measures[pair].to_arrays().items()}
        return write_tensors(path, arrays, metadata={"content": _CONTENT, "facts": json.dumps(self.facts)})

    @classmethod
    def load(cls, path: str | os.PathLike[str], alignment: Alignment) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            path: The file.
            alignment: Maps of the study it was made of.

        Returns:
            The reference.

        Raises:
            StorageError: When the file is missing, damaged, or holds something else.
        """
        arrays, metadata = open_tensors(path)
        verify_tensors(path)
        try:
            keys = {pair: "-".join(pair) for pair in DOWNWARDS}
            return cls(
                alignment,
                shares=np.array(arrays["shares"]),
                edges=np.array(arrays["edges"]),
                bases={pair: np.array(arrays[f"{key}.basis"]) for pair, key in keys.items()},
                sentences={
                    p: PartSurprise.from_arrays(_under(arrays, f"{k}.sentences.")) for p, k in keys.items()
                },
                tokens={p: PartSurprise.from_arrays(_under(arrays, f"{k}.tokens.")) for p, k in keys.items()},
                facts=json.loads(metadata["facts"]),
            )
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise StorageError(
                f"'{path}' holds nothing about departures ({error}); delete it, so that it is made again"
            ) from error


def _facts(corpus: StudyCorpus, *, n_texts: int, seed: int) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "model_fingerprint": corpus.states.origin.fingerprint,
        "texts_fingerprint": corpus.states.fingerprint,
        "scales": corpus.partition.written,
        "fitted_on": corpus.alignment.origin_.get("texts"),
        "pairs": [list(pair) for pair in DOWNWARDS],
        "n_texts": n_texts,
        "seed": seed,
    }


def _ids(reading: TextReading) -> Int[np.ndarray, " tokens"]:
    return np.asarray(reading.ids)[reading.places]


def _under(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
