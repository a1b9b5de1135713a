"""What a text is compared with: a study's whole texts, and sentences of it, at the three scales."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES, Scale
from msma.errors import StorageError
from msma.explanation.corpus import StudyCorpus
from msma.explanation.reading import ScaleReader
from msma.progress import progress
from msma.states import HiddenStates
from msma.storage import open_tensors, write_tensors


@dataclass(frozen=True, kw_only=True, eq=False)
class Shelf:
    """Texts with their states at the three scales.

    Args:
        texts: What they say.
        documents: The document of each.
        states: Their states.
        labels: Columns of labels; ``None`` where one has none.
    """

    texts: Sequence[str]
    documents: Sequence[str]
    states: Mapping[Scale, Float[np.ndarray, "n d_model"]]
    labels: Mapping[str, Sequence[Any]]

    @classmethod
    def of_texts(cls, corpus: StudyCorpus) -> Self:
        """Give the whole texts of a study; samples below a text are pooled by their tokens.

        Args:
            corpus: The study.

        Returns:
            One entry a document. Its labels are those on which all its samples agree.
        """
        states = corpus.states
        samples = corpus.alignment.representation_.transform(states)
        names, owners = np.unique(states.document_ids, return_inverse=True)
        weights = np.asarray(states.lengths, dtype=np.float64)
        totals = np.bincount(owners, weights=weights)
        pooled = {}
        for scale in SCALES:
            sums = np.zeros((len(names), states.d_model))
            np.add.at(sums, owners, samples[scale] * weights[:, None])
            pooled[scale] = sums / totals[:, None]
        parts: list[list[str]] = [[] for _ in names]
        for owner, text in zip(owners.tolist(), states.texts, strict=True):
            parts[owner].append(text)
        glue = "" if states.origin.unit == "token" else " "
        return cls(
            texts=[glue.join(pieces) for pieces in parts],
            documents=[str(name) for name in names],
            states=pooled,
            labels=_agreed(states.labels, owners, len(names)),
        )

    @classmethod
    def of_sentences(
        cls,
        corpus: StudyCorpus,
        reader: ScaleReader,
        *,
        cache: str | os.PathLike[str] | None = None,
        most: int = 256,
        seed: int = 0,
    ) -> Self:
        """Give sentences of a study: its samples where those are sentences, else those of some texts read again.

        Args:
            corpus: The study.
            reader: Reads texts as the study did.
            cache: File that keeps what was read.
            most: Texts read, at most.
            seed: Fixes which.

        Returns:
            One entry a sentence.
        """
        states = corpus.states
        if states.origin.unit == "sentence":
            return cls(
                texts=states.texts,
                documents=states.document_ids,
                states=corpus.alignment.representation_.transform(states),
                labels=states.labels,
            )
        chosen = corpus.whole_texts(states, most=most, seed=seed)
        facts = {
            "texts_fingerprint": states.fingerprint,
            "model_fingerprint": states.origin.fingerprint,
            "scales": corpus.partition.written,
            "most": most,
            "seed": seed,
        }
        found = None if cache is None else _read_cache(Path(cache), facts)
        if found is None:
            found = _read_sentences(reader, chosen)
            if cache is not None:
                texts, documents, arrays = found
                content = {**facts, "texts": texts, "documents": documents}
                write_tensors(
                    cache, {str(k): v for k, v in arrays.items()}, metadata={"facts": json.dumps(content)}
                )
        texts, documents, arrays = found
        return cls(texts=texts, documents=documents, states=arrays, labels={})

    @cached_property
    def flat_texts(self) -> list[str]:
        """Texts with single spaces, to tell copies by."""
        return [" ".join(text.split()) for text in self.texts]

    def rows_of(self, states: HiddenStates) -> Int[np.ndarray, " k"]:
        """Find the entries that belong to a part of the study.

        Args:
            states: Samples of the part.

        Returns:
            Their numbers.
        """
        part = set(states.document_ids)
        return np.flatnonzero([document in part for document in self.documents])


def _agreed(
    labels: Mapping[str, Sequence[Any]], owners: Int[np.ndarray, " samples"], n_documents: int
) -> dict[str, list[Any]]:
    """Keep labels on which the samples of most documents agree."""
    kept: dict[str, list[Any]] = {}
    for name, column in labels.items():
        values: list[set[Any]] = [set() for _ in range(n_documents)]
        for owner, value in zip(owners.tolist(), column, strict=True):
            values[owner].add(value)
        agreed = [next(iter(found)) if len(found) == 1 else None for found in values]
        if sum(value is not None for value in agreed) > 0.9 * n_documents:
            kept[name] = agreed
    return kept


_Read = tuple[list[str], list[str], dict[Scale, Float[np.ndarray, "n d_model"]]]


def _read_sentences(reader: ScaleReader, chosen: Sequence[tuple[str, str]]) -> _Read:
    texts: list[str] = []
    documents: list[str] = []
    rows: dict[Scale, list[np.ndarray]] = {scale: [] for scale in SCALES}
    for document, text in progress(chosen, label="sentences", unit="text"):
        if not text.strip():
            continue
        reading = reader.read(text)
        texts += [piece.text for piece in reading.sentences]
        documents += [document] * len(reading.sentences)
        for scale, states in reading.of_sentences.items():
            rows[scale].append(states)
    return texts, documents, {scale: np.concatenate(parts) for scale, parts in rows.items()}


def _read_cache(path: Path, facts: Mapping[str, Any]) -> _Read | None:
    if not path.is_file():
        return None
    try:
        arrays, metadata = open_tensors(path)
        found = json.loads(metadata["facts"])
        if any(found.get(key) != value for key, value in facts.items()):
            return None
        return found["texts"], found["documents"], {scale: np.asarray(arrays[scale]) for scale in SCALES}
    except (StorageError, KeyError, ValueError):
        return None  # it is only a cache: what cannot be read is made again
