"""Texts to rows of tokens, and each token to the sample it belongs to."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Int

from msma._types import Unit
from msma.corpora import split_sentences
from msma.errors import ConfigError, CorpusError, ModelError

#: What a tokenizer and a model are tried on.
PROBE_TEXT = "The river rose in spring, and every boat was moved to the hill."
#: Tokens after which a text is long, unless more are asked for.
_DEFAULT_LIMIT = 512

Span: TypeAlias = tuple[int, int]
#: No sample: special tokens of the units below a text, and what stands between sentences.
NOWHERE = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One text as it came.

    Args:
        position: Its position in the corpus.
        text: The text.
        document: The document it belongs to.
        labels: Its labels.
        sentences: Where its sentences are, when that is known.
        sentence_labels: Labels of each sentence, when there are any.
    """

    position: int
    text: str
    document: str
    labels: Mapping[str, Any]
    sentences: Sequence[Span] | None = None
    sentence_labels: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One run of tokens that goes through the model.

    Args:
        ids: What the stack reads.
        source: What the encoder reads, when the stack is the decoder of an encoder-decoder.
        sample: The sample that all its tokens belong to; ``NOWHERE`` where they belong to several.
        samples: The sample of each token, where they belong to several.
    """

    ids: list[int]
    source: list[int] | None
    sample: int
    samples: Int[np.ndarray, " tokens"] | None = None

    @property
    def length(self) -> int:
        """Tokens, of the longer of its two runs."""
        return max(len(self.ids), len(self.source or ()))


@dataclass(frozen=True)
class Encoded:
    """Some texts as rows of tokens, and the samples that they will be pooled into.

    Args:
        rows: The rows, in the order of the texts.
        record_of_row: Which record each row comes from.
        record_of_sample: Which record each sample comes from.
        texts: The text of each sample.
        truncated: Whether each sample's text was cut.
        n_cut: Records that were cut.
        n_empty: Records of which no token is left.
    """

    rows: list[Row] = field(default_factory=list)
    record_of_row: list[Record] = field(default_factory=list)
    record_of_sample: list[Record] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    truncated: list[bool] = field(default_factory=list)
    n_cut: int = 0
    n_empty: int = 0

    @property
    def counts(self) -> Int[np.ndarray, " samples"]:
        """Tokens pooled into each sample."""
        counts = np.zeros(len(self.texts), dtype=np.int64)
        for row in self.rows:
            if row.samples is None:
                counts[row.sample] += len(row.ids)
            else:
                kept = row.samples[row.samples >= 0]
                counts += np.bincount(kept, minlength=len(counts))
        return counts


class TextEncoder:
    """Turn texts into rows of tokens.

    Args:
        tokenizer: A transformers tokenizer, fast or slow.
        unit: What one sample is.
        max_tokens: Tokens a row may have, special ones included; ``None`` takes the model's limit, at most 512.
        limit: Positions that the model has.
        long: Longer texts are cut ("truncate") or read in several rows ("windows").
        start_id: Id that starts a decoder, when the stack is that of an encoder-decoder.
        n_tokens: Number of tokens that the model knows.

    Raises:
        ConfigError: When ``max_tokens`` leaves no room for the text, or exceeds the model's limit.
        ModelError: When the tokenizer's special tokens do not stand around the text.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        unit: Unit,
        max_tokens: int | None,
        limit: int | None,
        long: Literal["truncate", "windows"],
        start_id: int | None,
        n_tokens: int,
    ) -> None:
        self._tokenizer = tokenizer
        self._unit = unit
        self._long = long
        self._start = [] if start_id is None else [start_id]
        self._has_source = start_id is not None
        self._n_tokens = n_tokens
        self._prefix, self._suffix = self._find_special_tokens()
        # A decoder reads the text one place later, so it gets what closes the text only when there is room.
        self._closing = self._suffix[:-1] if self._has_source else self._suffix
        if max_tokens is not None and limit is not None and max_tokens > limit:
            raise ConfigError(f"max_tokens {max_tokens} came; the model has {limit} positions: ask for fewer")
        declared = min(n for n in (limit, tokenizer.model_max_length, _DEFAULT_LIMIT) if n is not None)
        self.max_tokens = int(declared if max_tokens is None else max_tokens)
        special = len(self._prefix) + max(len(self._suffix), len(self._start) + len(self._closing))
        self._room = self.max_tokens - special
        if self._room < 1:
            raise ConfigError(
                f"max_tokens {self.max_tokens} came; {special} of them go to special tokens: ask for more"
            )

    def _find_special_tokens(self) -> tuple[list[int], list[int]]:
        full = self._tokenizer(PROBE_TEXT, add_special_tokens=True)["input_ids"]
        bare = self._tokenizer(PROBE_TEXT, add_special_tokens=False)["input_ids"]
        for start in range(len(full) - len(bare) + 1):
            if bare and full[start : start + len(bare)] == bare:
                return list(full[:start]), list(full[start + len(bare) :])
        raise ModelError(
            f"{type(self._tokenizer).__name__} turns a plain sentence into {len(bare)} tokens that cannot be "
            "found among those it gives with special tokens; give another tokenizer"
        )

    def encode(self, records: Sequence[Record]) -> Encoded:
        """Turn texts into rows of tokens and samples.

        Args:
            records: Some texts.

        Returns:
            Rows and samples.

        Raises:
            ModelError: When the tokenizer gives ids that the model does not know.
        """
        if not records:
            return Encoded()
        needs_offsets = self._unit != "text" and self._tokenizer.is_fast
        tokens = self._tokenise(records, needs_offsets=needs_offsets)
        encoded = Encoded()
        n_cut = n_empty = 0
        for i, record in enumerate(records):
            ids = tokens["input_ids"][i]
            if not ids:
                n_empty += 1
                continue
            if max(ids) >= self._n_tokens:
                raise ModelError(
                    f"the tokenizer gave id {max(ids)} and the model knows {self._n_tokens} tokens; "
                    "model and tokenizer do not belong together"
                )
            n_cut += len(ids) > self._room
            offsets = tokens["offset_mapping"][i] if needs_offsets else None
            self._add(encoded, record, ids, offsets)
        return Encoded(**{**vars(encoded), "n_cut": n_cut, "n_empty": n_empty})

    def _tokenise(self, records: Sequence[Record], *, needs_offsets: bool) -> Any:
        try:
            return self._tokenizer(
                [record.text for record in records],
                add_special_tokens=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
                **({"return_offsets_mapping": True} if needs_offsets else {}),
            )
        except Exception as error:  # tokenizers say anything about text that is not valid Unicode
            for record in records if len(records) > 1 else ():
                self._tokenise([record], needs_offsets=needs_offsets)
            raise CorpusError(
                f"text {records[0].position} cannot be tokenised ({type(error).__name__}), which happens when "
                "it is not valid Unicode; repair or remove it"
            ) from error

    def _add(self, encoded: Encoded, record: Record, ids: list[int], offsets: Sequence[Span] | None) -> None:
        n_kept = len(ids) if self._long == "windows" else min(len(ids), self._room)
        first = len(encoded.texts)
        owners: Int[np.ndarray, " tokens"] | None = None
        records = [record] * n_kept
        if self._unit == "text":
            records = [record]
            texts, cut = [record.text], [n_kept < len(ids)]
        elif self._unit == "token":
            texts = self._surfaces(record.text, ids[:n_kept], offsets)
            cut = [n_kept < len(ids)] * n_kept
            owners = np.arange(n_kept)
        else:
            owners, texts, cut, numbers = self._sentences(record, ids, offsets, n_kept)
            records = [_sentence_record(record, number) for number in numbers]
        encoded.texts.extend(texts)
        encoded.truncated.extend(cut)
        encoded.record_of_sample.extend(records)
        for start in range(0, n_kept, self._room):
            chunk = slice(start, min(start + self._room, n_kept))
            encoded.rows.append(self._make_row(ids[chunk], first, None if owners is None else owners[chunk]))
            encoded.record_of_row.append(record)

    def _make_row(self, ids: list[int], first: int, owners: Int[np.ndarray, " n"] | None) -> Row:
        whole = [*self._prefix, *ids, *self._suffix]
        read = [*self._start, *self._prefix, *ids, *self._closing]
        source = whole if self._has_source else None
        if owners is None:
            return Row(read, source, first)
        samples = np.full(len(read), NOWHERE)
        begin = len(self._start) + len(self._prefix)
        samples[begin : begin + len(ids)] = np.where(owners >= 0, owners + first, NOWHERE)
        return Row(read, source, NOWHERE, samples)

    def _surfaces(self, text: str, ids: list[int], offsets: Sequence[Span] | None) -> list[str]:
        if offsets is None:
            return [str(token) for token in self._tokenizer.convert_ids_to_tokens(ids)]
        return [text[start:end] for start, end in offsets[: len(ids)]]

    def _sentences(
        self, record: Record, ids: list[int], offsets: Sequence[Span] | None, n_kept: int
    ) -> tuple[Int[np.ndarray, " tokens"], list[str], list[bool], list[int]]:
        """Give each kept token its sentence; sentences of which no token is kept are left out."""
        spans = split_sentences(record.text) if record.sentences is None else record.sentences
        if offsets is None:
            owners = self._owners_by_prefix(record.text, spans, len(ids))
        else:
            owners = _owners_by_offset(spans, offsets)
        kept, renumbered = np.unique(owners[:n_kept], return_inverse=True)
        if len(kept) and kept[0] == NOWHERE:
            kept, renumbered = kept[1:], renumbered - 1
        lost = set(owners[n_kept:].tolist())
        texts = [record.text[slice(*spans[number])] for number in kept]
        return renumbered, texts, [number in lost for number in kept.tolist()], kept.tolist()

    def _owners_by_prefix(
        self, text: str, spans: Sequence[Span], n_tokens: int
    ) -> Int[np.ndarray, " tokens"]:
        """Slow tokenizers know no offsets: count the tokens of the text up to the end of each sentence."""
        heads = [text[:end] for _, end in spans]
        counts = [len(ids) for ids in self._tokenizer(heads, add_special_tokens=False)["input_ids"]]
        owners = np.full(n_tokens, NOWHERE)
        start = 0
        for number, count in enumerate(counts):
            owners[start:count] = number
            start = max(start, count)
        return owners


def _sentence_record(record: Record, number: int) -> Record:
    """Add the labels of one sentence to those of its text."""
    if record.sentences is None or record.sentence_labels is None:
        return record
    return replace(record, labels={**record.labels, **record.sentence_labels[number]})


def _owners_by_offset(spans: Sequence[Span], offsets: Sequence[Span]) -> Int[np.ndarray, " tokens"]:
    """A token belongs to the sentence in which its last character is."""
    starts = [start for start, _ in spans]
    owners = np.full(len(offsets), NOWHERE)
    for token, (start, end) in enumerate(offsets):
        number = bisect_right(starts, end - 1) - 1
        if end > start and number >= 0 and end <= spans[number][1]:
            owners[token] = number
    return owners
