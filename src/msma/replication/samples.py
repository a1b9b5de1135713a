"""Documents to what a joint training reads: rows of tokens, one label a scale, three parts."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from msma._types import SCALES, Scale, Split
from msma.corpora import group_duplicates, split_documents
from msma.errors import ConfigError, CorpusError
from msma.extraction.corpus import TextStream
from msma.extraction.tokens import Encoded, Record, Row, TextEncoder
from msma.models import LoadedModel, Stack, position_limit
from msma.replication.config import JointTrainingConfig

__all__ = [
    "DEFAULT_LABELS",
    "MISSING",
    "UNSEEN",
    "Labels",
    "Samples",
    "encode_texts",
    "find_label",
    "label_columns",
    "read_samples",
]

#: What each scale's head learns where nothing is said: columns of :func:`msma.demo_corpus`.
DEFAULT_LABELS: dict[Scale, str] = {"local": "tense", "intermediate": "mode", "global": "topic"}
#: Code of a text that has no label, and of one whose label no training text has.
MISSING, UNSEEN = -100, -1
#: Texts held at a time while they are read.
_WINDOW = 4096


@dataclass(frozen=True, eq=False)
class Labels:
    """One column of labels as codes.

    Args:
        column: Its name.
        classes: Values found in the training texts, in alphabetical order.
        codes: Position of each text's value among them, else :data:`MISSING` or :data:`UNSEEN`.
    """

    column: str
    classes: tuple[str, ...]
    codes: Int[Tensor, " samples"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Texts ready to be trained on.

    Args:
        rows: Token ids of each text.
        documents: The document of each text; texts that repeat each other share one.
        labels: The labels of each scale that has some.
        splits: Positions in each part.
        fingerprint: SHA-256 over tokens, labels and parts.
    """

    rows: Sequence[Row]
    documents: Sequence[str]
    labels: Mapping[Scale, Labels]
    splits: Mapping[Split, Int[np.ndarray, " k"]]
    fingerprint: str

    @property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return max(len(row.ids) for row in self.rows)


def read_samples(
    documents: Iterable[Any],
    loaded: LoadedModel,
    stack: Stack,
    *,
    labels: Mapping[Scale, str] | None,
    config: JointTrainingConfig,
    say: Callable[[str], None],
) -> Samples:
    """Tokenise documents, look up a label for each scale, and divide by document.

    A label that only sentences carry is that of most of a text's sentences; of equals, the first.

    Args:
        documents: Documents, or records with a text; walked through once.
        loaded: The model, for its tokenizer.
        stack: The stack that is read.
        labels: Column of each scale; :data:`DEFAULT_LABELS`, where found, when left out.
        config: Tokens a text may have, and how to divide.
        say: Told what a reader should know.

    Returns:
        The samples.

    Raises:
        ConfigError: When a label is asked for that no text has, or for no scale.
        CorpusError: When there are too few documents.
    """
    encoded = encode_texts(documents, loaded, stack, config=config)
    kept = encoded.record_of_row
    longest = max(row.length for row in encoded.rows)
    if encoded.n_cut:
        say(f"{encoded.n_cut} of {len(kept)} texts are cut at {longest} tokens")
    names = group_duplicates([record.document for record in kept], [record.text for record in kept])
    splits = split_documents(names, seed=config.split_seed, fractions=config.fractions)
    found = _read_labels(kept, labels, train=splits["train"], say=say)
    return Samples(encoded.rows, names, found, splits, _fingerprint(encoded.rows, found, splits))


def encode_texts(
    texts: Iterable[Any], loaded: LoadedModel, stack: Stack, *, config: JointTrainingConfig
) -> Encoded:
    """Turn texts into rows of tokens, one a text.

    Args:
        texts: Texts or documents; walked through once.
        loaded: The model, for its tokenizer.
        stack: The stack that is read.
        config: Tokens a text may have.

    Returns:
        Rows, and the records they come from.

    Raises:
        CorpusError: When no text has a token.
    """
    records = [record for window in TextStream(texts).windows(_WINDOW) for record in window]
    limit = position_limit(loaded.network)
    encoder = TextEncoder(
        loaded.tokenizer,
        unit="text",
        max_tokens=_most_tokens(config.max_tokens, limit),
        limit=limit,
        long="truncate",
        start_id=stack.start_id,
        n_tokens=stack.n_tokens,
    )
    encoded = encoder.encode(records)
    if not encoded.rows:
        raise CorpusError("no text with a token came; give a source with at least three documents")
    return encoded


def _most_tokens(asked: int | None, limit: int | None) -> int | None:
    """As many as asked for, where the model has as many positions."""
    return asked if limit is None or asked is None else min(asked, limit)


def _read_labels(
    records: Sequence[Record],
    asked: Mapping[Scale, str] | None,
    *,
    train: Int[np.ndarray, " k"],
    say: Callable[[str], None],
) -> dict[Scale, Labels]:
    columns = DEFAULT_LABELS if asked is None else asked
    unknown = [scale for scale in columns if scale not in SCALES]
    if unknown:
        raise ConfigError(f"labels came for '{unknown[0]}'; expected scales out of {', '.join(SCALES)}")
    found: dict[Scale, Labels] = {}
    for scale in SCALES:
        column = columns.get(scale)
        values = [None if column is None else find_label(record, column) for record in records]
        if column is not None and asked is not None and all(value is None for value in values):
            raise ConfigError(
                f"label '{column}' was asked for at scale '{scale}', and no text has it; there are "
                f"{', '.join(label_columns(records)) or 'no labels'}"
            )
        classes = tuple(sorted({value for value in (values[i] for i in train) if value is not None}))
        if len(classes) < 2:
            why = (
                "no label" if column is None else f"fewer than two values of '{column}' among training texts"
            )
            say(f"{scale}: {why}, so that this scale has no head")
            continue
        places = {name: code for code, name in enumerate(classes)}
        codes = [MISSING if value is None else places.get(value, UNSEEN) for value in values]
        found[scale] = Labels(str(column), classes, torch.tensor(codes))
    return found


def find_label(record: Record, column: str) -> str | None:
    """Give a text's label: its own, or that of most of its sentences.

    Args:
        record: The text.
        column: Name of the column.

    Returns:
        The label; of equally many the first; ``None`` where there is none.
    """
    own = record.labels.get(column)
    if own is not None:
        return str(own)
    counted = Counter(
        str(labels[column]) for labels in record.sentence_labels or () if labels.get(column) is not None
    )
    return counted.most_common(1)[0][0] if counted else None


def label_columns(records: Sequence[Record]) -> list[str]:
    """Give the names of all columns of labels.

    Args:
        records: Texts.

    Returns:
        Names, in alphabetical order.
    """
    names: set[str] = set()
    for record in records:
        names.update(record.labels)
        for labels in record.sentence_labels or ():
            names.update(labels)
    return sorted(names)


def _fingerprint(
    rows: Sequence[Row], labels: Mapping[Scale, Labels], splits: Mapping[Split, Int[np.ndarray, " k"]]
) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(np.asarray([*row.ids, -1, *(row.source or ())], dtype=np.int64).tobytes())
    for scale, column in labels.items():
        digest.update(f"{scale}:{column.column}:{column.classes}".encode())
        digest.update(column.codes.numpy().tobytes())
    for name, positions in splits.items():
        digest.update(name.encode() + positions.astype(np.int64).tobytes())
    return digest.hexdigest()
