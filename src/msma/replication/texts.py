"""The texts of a replication as every measurement reads them: tokens, labels, and the training's own parts."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from msma._types import Scale, Split
from msma.corpora import group_duplicates, split_documents
from msma.errors import CorpusError
from msma.extraction.tokens import Row
from msma.models import LoadedModel, Stack
from msma.replication.config import JointTrainingConfig
from msma.replication.reading import ScaleReader, probe_stack
from msma.replication.samples import encode_texts, find_label, label_columns
from msma.resampling import group_documents
from msma.scales import ScalePartition

__all__ = ["MeasuredTexts", "ScaleStates", "read_texts"]

#: Fewest documents that figures and their intervals are read from.
_FEWEST = 8

ScaleStates = Mapping[Scale, Float[np.ndarray, "texts d_model"]]


@dataclass(frozen=True, eq=False)
class MeasuredTexts:
    """Texts in the parts that the training divides them into.

    Args:
        rows: Token ids of each text.
        texts: The texts.
        documents: Number of the document of each; texts that repeat each other share one.
        labels: Every column of labels, ``None`` where a text has none.
        splits: Positions in each part.
        groups: The jackknife group of each test text.
    """

    rows: Sequence[Row]
    texts: Sequence[str]
    documents: Int[np.ndarray, " texts"]
    labels: Mapping[str, Sequence[str | None]]
    splits: Mapping[Split, Int[np.ndarray, " k"]]
    groups: Int[np.ndarray, " k"]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over texts, tokens and parts."""
        digest = hashlib.sha256()
        for text, row in zip(self.texts, self.rows, strict=True):
            digest.update(text.encode())
            digest.update(np.asarray(row.ids, dtype=np.int64).tobytes())
        for name, positions in self.splits.items():
            digest.update(name.encode() + positions.astype(np.int64).tobytes())
        return digest.hexdigest()

    def read(
        self,
        loaded: LoadedModel,
        partition: ScalePartition,
        config: JointTrainingConfig,
        *,
        part: Split | None = None,
    ) -> dict[Scale, Float[np.ndarray, "texts d_model"]]:
        """Give the states of each scale, as the training pools them.

        Args:
            loaded: The model, tuned or not.
            partition: Which layers belong to which scale.
            config: Says how texts are pooled.
            part: Only the texts of this part; all when left out.

        Returns:
            One row a text, float64.
        """
        longest = max(len(row.ids) for row in self.rows)
        stack = probe_stack(loaded, config)
        reader = ScaleReader(loaded.network, stack, partition, config.quirks.padding_in_means, longest)
        rows = self.rows if part is None else [self.rows[i] for i in self.splits[part]]
        states = reader.read(rows)
        return {scale: part.cpu().double().numpy() for scale, part in states.items()}


def read_texts(
    documents: Iterable[object],
    loaded: LoadedModel,
    *,
    config: JointTrainingConfig,
    stack: Stack | None = None,
    n_groups: int = 20,
) -> MeasuredTexts:
    """Tokenise and divide documents as :func:`msma.replication.train_jointly` does.

    Args:
        documents: Documents with labels; walked through once.
        loaded: The model, for its tokenizer.
        config: Settings of the training.
        stack: How the model is read, where that is known already.
        n_groups: Groups that the test documents are dealt into for jackknife intervals.

    Returns:
        The texts.

    Raises:
        CorpusError: When there are too few test documents to tell anything.
    """
    stack = probe_stack(loaded, config) if stack is None else stack
    encoded = encode_texts(documents, loaded, stack, config=config)
    records = encoded.record_of_row
    names = group_duplicates([record.document for record in records], [record.text for record in records])
    splits = split_documents(names, seed=config.split_seed, fractions=config.fractions)
    numbers = np.unique(names, return_inverse=True)[1]
    n_test = len(np.unique(numbers[splits["test"]]))
    if n_test < _FEWEST:
        raise CorpusError(
            f"{n_test} test documents came; measuring needs at least {_FEWEST}: give more texts, or a larger "
            "share of them to the test part"
        )
    return MeasuredTexts(
        rows=encoded.rows,
        texts=[record.text for record in records],
        documents=numbers,
        labels={name: [find_label(record, name) for record in records] for name in label_columns(records)},
        splits=splits,
        groups=group_documents(numbers[splits["test"]], n_groups=n_groups),
    )
