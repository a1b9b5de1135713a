"""extract(): a model and texts in, pooled hidden states of every layer out."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from msma._types import Stack as StackName
from msma._types import Unit
from msma.errors import ConfigError, CorpusError, StorageError
from msma.extraction.allocation import return_large_blocks
from msma.extraction.attention import TextSample, measure_attention
from msma.extraction.corpus import TextStream
from msma.extraction.pooling import default_budget, default_window, pool_rows
from msma.extraction.tokens import PROBE_TEXT, Encoded, Record, TextEncoder
from msma.models import LoadedModel, Stack, find_stack, load_model, position_limit
from msma.shards import read_shard
from msma.states import AttentionSummary, HiddenStates, Origin, Shard, StatesWriter

Say = Callable[[str], None]

_CHOICES = {
    "unit": ("text", "sentence", "token"),
    "stack": ("auto", "encoder", "decoder"),
    "long": ("truncate", "windows"),
    "padding_side": ("right", "left"),
}
#: Tokens on which a model is tried out.
_PROBE_TOKENS = 12


def extract(
    model: Any,
    texts: Iterable[Any],
    *,
    tokenizer: Any = None,
    name: str | None = None,
    unit: Unit = "text",
    stack: StackName = "auto",
    revision: str | None = None,
    out: str | os.PathLike[str] | None = None,
    documents: Iterable[Any] | None = None,
    labels: Mapping[str, Sequence[Any]] | None = None,
    max_tokens: int | None = None,
    long: Literal["truncate", "windows"] = "truncate",
    batch_tokens: int | None = None,
    window: int | None = None,
    dtype: Literal["float32", "bfloat16", "auto"] = "float32",
    device: str = "auto",
    padding_side: Literal["right", "left"] = "right",
    final_norm: bool = False,
    attention_texts: int = 128,
    seed: int = 0,
    local_files_only: bool = False,
    trust_remote_code: bool = False,
    say: Say | None = None,
) -> HiddenStates:
    r"""Read pooled hidden states of every layer for every text, without ever holding a token's state.

    .. math:: z_l = \frac{1}{|T|} \sum_{t \in T} h_l(t), \quad l = 0 \dots N

    with :math:`h_0` the input of the first block, :math:`h_l` the output of block :math:`l` before any final
    norm, and :math:`T` the tokens of the sample: all tokens of a text, special ones included; those of a
    sentence, read within its text; or a single token. Padding never enters. This is mean pooling
    (Reimers and Gurevych 2019, section 3) at every depth.

    Args:
        model: Name on the Hub, folder, or a transformers model, which is left as it was.
        texts: Strings, or records with ``text``, ``id``, ``labels``; any iterable, read once.
        tokenizer: Name, folder or tokenizer; the model's own when left out.
        name: What to call the model in results.
        unit: What one sample is: "text", "sentence" or "token".
        stack: Stack of an encoder-decoder; a decoder is fed the text that its encoder reads.
        revision: Commit, tag or branch of the model.
        out: Folder to keep the states in, shard by shard; an interrupted run goes on where it stopped.
            In memory when left out.
        documents: The document of each text.
        labels: Columns of labels, one value a text.
        max_tokens: Tokens after which a text is long; the model's own limit, at most 512, when left out.
        long: Cut longer texts, or read them in windows whose tokens count alike.
        batch_tokens: Tokens a batch, padding included; 1,024 on a CPU, 16,384 elsewhere when left out.
        window: Texts sorted by length together and kept in one shard; by the model's size when left out.
        dtype: Precision of the forward pass of a model loaded by name; sums are always float32.
        device: "auto", "cpu", "cuda", ...
        padding_side: Side on which batches are padded.
        final_norm: Take the last entry after the model's final norm, where it has one.
        attention_texts: Texts on which attention statistics are taken, chosen at random; 0 for none.
        seed: Fixes that choice.
        local_files_only: Never ask the Hub.
        trust_remote_code: Let the model bring its own code.
        say: Told in one line each what a reader should know (texts skipped, texts cut, no attention maps).

    Returns:
        States of layer entries 0..N, float32.

    Raises:
        CorpusError: When no text is left, or texts, documents and labels do not match.
        ModelError: When the model cannot be loaded, read or padded, or gives states that are not finite.
        StorageError: When ``out`` holds states of another model, other settings or other texts.
        ConfigError: When a setting is impossible.
    """
    stream = TextStream(texts, documents=documents, labels=labels)
    _check_choices(unit=unit, stack=stack, long=long, padding_side=padding_side)
    _check_numbers(batch_tokens=batch_tokens, window=window, attention_texts=attention_texts)
    return_large_blocks()
    loaded = load_model(
        model,
        tokenizer=tokenizer,
        name=name,
        revision=revision,
        dtype=dtype,
        device=device,
        local_files_only=local_files_only,
        trust_remote_code=trust_remote_code,
    )
    probe = loaded.tokenizer(PROBE_TEXT)["input_ids"][:_PROBE_TOKENS]
    found = find_stack(loaded.network, probe, stack=stack, final_norm=final_norm, padding_side=padding_side)
    encoder = TextEncoder(
        loaded.tokenizer,
        unit=unit,
        max_tokens=max_tokens,
        limit=position_limit(loaded.network),
        long=long,
        start_id=found.start_id,
        n_tokens=found.n_tokens,
    )
    origin = _describe(loaded, found, unit=unit, long=long, max_tokens=encoder.max_tokens)
    window = default_window(found, unit=unit, max_tokens=encoder.max_tokens) if window is None else window
    settings: dict[str, Any] = {"window": window, "attention_texts": attention_texts, "seed": seed}
    settings["tokenizer"] = _describe_tokenizer(loaded.tokenizer)
    writer = StatesWriter(out, origin, settings=settings)
    extraction = _Extraction(loaded, found, encoder, writer, TextSample(attention_texts, seed=seed))
    budget = default_budget(found) if batch_tokens is None else batch_tokens
    states = extraction.run(stream, window=window, budget=budget)
    extraction.report(stream, states, say=say or (lambda _: None))
    return states


class _Extraction:
    """One run of :func:`extract`: shards written so far, and what there is to tell about them."""

    def __init__(
        self,
        loaded: LoadedModel,
        stack: Stack,
        encoder: TextEncoder,
        writer: StatesWriter,
        sample: TextSample,
    ) -> None:
        self._loaded, self._stack, self._encoder, self._writer = loaded, stack, encoder, writer
        self._sample = sample
        self._columns: tuple[str, ...] | None = None
        self._n_shards = self._n_cut = self._n_empty = self._n_found = 0

    def run(self, stream: TextStream, *, window: int, budget: int) -> HiddenStates:
        """Read the whole corpus, window by window."""
        for records in stream.windows(window):
            self._add(self._encoder.encode(records), budget=budget)
        self._check_whole(stream)
        return self._finish()

    def _add(self, encoded: Encoded, *, budget: int) -> None:
        """Pool a window of texts into the next shard, unless that shard is there already."""
        self._n_cut += encoded.n_cut
        self._n_empty += encoded.n_empty
        offered: set[int] = set()
        for record, row in zip(encoded.record_of_row, encoded.rows, strict=True):
            if record.position not in offered:
                offered.add(record.position)
                self._sample.offer(record.position, row)
        if not encoded.texts:
            return
        number = self._n_shards
        self._n_shards += 1
        columns = self._label_columns(encoded.record_of_sample)
        if self._writer.has_shard(number):
            self._check_texts(number, encoded)
            self._n_found += 1
            return
        states = pool_rows(self._loaded, self._stack, encoded, budget=budget, unit=self._writer.origin.unit)
        records = encoded.record_of_sample
        self._writer.write_shard(
            number,
            Shard(
                states=states,
                texts=encoded.texts,
                documents=[record.document for record in records],
                lengths=encoded.counts,
                truncated=np.asarray(encoded.truncated, dtype=bool),
                labels=columns,
                positions=np.asarray([record.position for record in records], dtype=np.int64),
            ),
        )

    def _label_columns(self, records: Sequence[Record]) -> dict[str, list[Any]]:
        """One column a label of the very first sample; ``None`` where a later sample lacks it."""
        if self._columns is None:
            self._columns = tuple(records[0].labels)
        for record in records:
            unknown = record.labels.keys() - set(self._columns)
            if unknown:
                raise CorpusError(
                    f"text {record.position} has a label '{min(unknown)}' that the first sample lacks; "
                    "give it to the first one too, None where it is not known"
                )
        return {name: [record.labels.get(name) for record in records] for name in self._columns}

    def _check_texts(self, number: int, encoded: Encoded) -> None:
        """Refuse to go on with a folder whose shard holds other texts."""
        if self._writer.folder is not None:
            shard = read_shard(self._writer.folder, number)
            if list(shard.texts) == encoded.texts:
                return
        raise StorageError(
            f"shard {number} of '{self._writer.folder}' holds other texts than came now; "
            "choose another folder, or delete that one"
        )

    def _check_whole(self, stream: TextStream) -> None:
        """Refuse an empty corpus, and a folder that holds more than this corpus."""
        if self._n_shards == 0:
            raise CorpusError(
                f"{stream.n_texts} texts came and none holds a token; give texts that are not empty"
            )
        if self._writer.has_shard(self._n_shards):
            raise StorageError(
                f"'{self._writer.folder}' holds states of more texts than the {stream.n_texts} that came now; "
                "choose another folder, or delete that one"
            )

    def _finish(self) -> HiddenStates:
        """Take the attention statistics, unless they are there already, and open the states."""
        folder = self._writer.folder
        if folder is not None and (folder / "states.json").is_file() and self._n_found == self._n_shards:
            return HiddenStates.load(folder)
        attention: AttentionSummary | None = measure_attention(self._loaded, self._stack, self._sample)
        return self._writer.finish(attention=attention)

    def report(self, stream: TextStream, states: HiddenStates, *, say: Say) -> None:
        """Say what a reader of the states should know."""
        n_empty = stream.n_empty + self._n_empty
        if n_empty:
            say(f"{n_empty} of {stream.n_texts} texts hold no token and were skipped")
        if self._n_cut:
            done = "cut" if states.origin.long == "truncate" else "read in windows"
            say(f"{self._n_cut} of {stream.n_texts} texts are longer than {states.origin.max_tokens} "
                f"tokens and were {done}")  # fmt: skip
        if states.attention is None and self._sample.size:
            say("no attention statistics: the model has no attention maps, or no text is long enough")
        if states.origin.note:
            say(states.origin.note)
        if self._n_found:
            say(f"{self._n_found} of {self._n_shards} shards were there already")


def _check_choices(**settings: str) -> None:
    for name, value in settings.items():
        if value not in _CHOICES[name]:
            raise ConfigError(f"{name} '{value}' came; expected one of {', '.join(_CHOICES[name])}")


def _check_numbers(**settings: int | None) -> None:
    for name, value in settings.items():
        least = 0 if name == "attention_texts" else 1
        if value is not None and value < least:
            raise ConfigError(f"{name} {value} came; expected {least} or more")


def _describe(
    loaded: LoadedModel, stack: Stack, *, unit: Unit, long: Literal["truncate", "windows"], max_tokens: int
) -> Origin:
    return Origin(
        model=loaded.name,
        revision=loaded.revision,
        architecture=loaded.architecture,
        stack=stack.kind,
        n_layers=stack.n_layers,
        d_model=stack.d_model,
        unit=unit,
        max_tokens=max_tokens,
        long=long,
        final_norm=stack.final_norm,
        dtype=loaded.dtype,
        fingerprint=loaded.fingerprint(stack.module),
        note=stack.note,
    )


def _describe_tokenizer(tokenizer: Any) -> str:
    """Tell tokenizers apart without walking over a whole vocabulary."""
    ids = " ".join(map(str, tokenizer(PROBE_TEXT)["input_ids"]))
    return (
        f"{type(tokenizer).__name__} of {len(tokenizer)} tokens, {hashlib.sha256(ids.encode()).hexdigest()}"
    )
