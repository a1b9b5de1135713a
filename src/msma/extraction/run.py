"""extract(): a model and texts in; pooled hidden states of every layer, of the scales, or their moments out."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Literal

from msma._types import Stack as StackName
from msma._types import Unit
from msma.errors import ConfigError
from msma.extraction.limits import Limits
from msma.extraction.plan import Plan, check_numbers
from msma.extraction.session import Engine
from msma.models import Dtype, Quantization
from msma.scale_moments import MomentSettings, ScaleMoments
from msma.scale_moments.seen import FILTER_BITS
from msma.scales import Reduction, ScalePartition
from msma.states import HiddenStates


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
    store: Literal["states", "scales"] = "states",
    scales: ScalePartition | str = "fused",
    reduction: Reduction = "mean",
    sketch_texts: int = 2048,
    documents: Iterable[Any] | None = None,
    labels: Mapping[str, Sequence[Any]] | None = None,
    max_tokens: int | None = None,
    long: Literal["truncate", "windows"] = "truncate",
    batch_tokens: int | None = None,
    window: int | None = None,
    dtype: Dtype = "float32",
    device: str = "auto",
    device_map: str | Mapping[str, Any] | None = None,
    quantization: Quantization = "none",
    offload_folder: str | os.PathLike[str] | None = None,
    padding_side: Literal["right", "left"] = "right",
    final_norm: bool = False,
    attention_texts: int = 128,
    seed: int = 0,
    engine: Literal["local", "processes", "ray"] = "local",
    workers: int | None = None,
    address: str | None = None,
    devices: Sequence[str] | None = None,
    max_disk: int | str | None = None,
    max_memory: int | str | None = None,
    local_files_only: bool = False,
    trust_remote_code: bool = False,
    say: Callable[[str], None] | None = None,
) -> HiddenStates:
    r"""Read pooled hidden states of every layer for every text, without ever holding a token's state.

    .. math:: z_l = \frac{1}{|T|} \sum_{t \in T} h_l(t), \quad l = 0 \dots N

    with :math:`h_0` the input of the first block, :math:`h_l` the output of block :math:`l` before any final
    norm, and :math:`T` the tokens of the sample: all tokens of a text, special ones included; those of a
    sentence, read within its text; or a single token. Padding never enters. This is mean pooling
    (Reimers and Gurevych 2019, section 3) at every depth.

    With ``store="scales"`` only the representations of the three scales are kept, three states a sample
    whatever the depth. Where the scales are not given, a first pass over ``sketch_texts`` texts of training
    documents finds them.

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
        store: What is kept: "states" of all layers, or only those of the "scales".
        scales: With ``store="scales"``: a partition, ranges such as "0-2|3-8|9-12", or the method by which the
            first pass finds them.
        reduction: What represents a scale: the "mean" of its layers, or its "last".
        sketch_texts: Texts of the first pass, at most.
        documents: The document of each text.
        labels: Columns of labels, one value a text.
        max_tokens: Tokens after which a text is long; the model's own limit, at most 512, when left out.
        long: Cut longer texts, or read them in windows whose tokens count alike.
        batch_tokens: Tokens a batch, padding included; 1,024 on a CPU, 16,384 elsewhere when left out.
        window: Texts sorted by length together and kept in one shard; by the model's size when left out.
        dtype: Precision of the forward pass of a model loaded by name; sums are always float32.
        device: "auto", "cpu", "cuda", ...
        device_map: How accelerate spreads the model over devices, memory and disk: "auto", or a mapping.
        quantization: "8bit" or "4bit" weights, where bitsandbytes is installed.
        offload_folder: Where weights go that fit nowhere else.
        padding_side: Side on which batches are padded.
        final_norm: Take the last entry after the model's final norm, where it has one.
        attention_texts: Texts on which attention statistics are taken, chosen at random; 0 for none.
        seed: Fixes that choice.
        engine: "local" reads in this process, "processes" in several on this machine, "ray" on a cluster.
        workers: Replicas of the model; one a GPU when left out, or else one for every four cores, at least two.
        address: Address of a running Ray cluster; a local one is started when left out.
        devices: Devices of the replicas, in turn, such as ("cuda:0", "cuda:1").
        max_disk: Refuse to write more than this, bytes or words such as "20 GB".
        max_memory: Refuse to hold more than this, the model included; windows are made small enough.
        local_files_only: Never ask the Hub.
        trust_remote_code: Let the model bring its own code.
        say: Told in one line each what a reader should know (texts skipped, texts cut, no attention maps).

    Returns:
        States of layer entries 0..N, or of the three scales, float32.

    Raises:
        CorpusError: When no text is left, or texts, documents and labels do not match.
        ModelError: When the model cannot be loaded, read or padded, or gives states that are not finite.
        StorageError: When ``out`` holds states of another model, other settings or other texts, is in use by
            another process, or is out of room.
        ConfigError: When a setting is impossible, or more would be taken than allowed.
        ScaleError: When the scales do not fit the model.
        MissingExtraError: When ray, accelerate or bitsandbytes is asked for and not installed.
    """
    if store not in ("states", "scales"):
        raise ConfigError(f"store '{store}' came; expected states or scales; moments: msma.extract_moments")
    run = Plan(
        model=model,
        texts=texts,
        documents=documents,
        labels=labels,
        loading={
            "tokenizer": tokenizer,
            "name": name,
            "revision": revision,
            "dtype": dtype,
            "device": device,
            "device_map": device_map,
            "quantization": quantization,
            "offload_folder": offload_folder,
            "local_files_only": local_files_only,
            "trust_remote_code": trust_remote_code,
        },
        reading={
            "unit": unit,
            "stack": stack,
            "max_tokens": max_tokens,
            "long": long,
            "batch_tokens": batch_tokens,
            "padding_side": padding_side,
            "final_norm": final_norm,
        },
        store=store,
        out=None if out is None else Path(out),
        scales=scales,
        reduction=reduction,
        sketch_texts=sketch_texts,
        window=window,
        attention_texts=attention_texts,
        engine=Engine(
            kind=engine,
            workers=workers,
            address=address,
            devices=None if devices is None else tuple(devices),
        ),
        limits=Limits(max_disk, max_memory),
        moments=MomentSettings(seed=seed),
        say=say or (lambda _: None),
    )
    return run.shards()


def extract_moments(
    model: Any,
    texts: Iterable[Any],
    *,
    out: str | os.PathLike[str] | None = None,
    scales: ScalePartition | str = "fused",
    reduction: Reduction = "mean",
    sketch_texts: int = 2048,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
    n_heldout: int = 4096,
    sketch_width: int = 64,
    filter_bits: int = FILTER_BITS,
    block: int = 16_384,
    seed: int = 0,
    **reading: Any,
) -> ScaleMoments:
    r"""Read a corpus of any length and keep its moments only, in memory that does not grow with it.

    Of the training documents: mean, scatter and cross-scatter of the three scales (all that a closed-form map
    is fitted on), the same cross-scatter over shuffled pairs (what its null is fitted on), and covariances of
    random projections of all layers (what their similarity is read from). Of the others: a bounded random
    sample of the three representations, on which the maps are evaluated.

    Args:
        model: As in :func:`extract`.
        texts: As in :func:`extract`; must be repeatable where the scales are to be found.
        out: Folder for the moments; an interrupted run goes on where it stopped. In memory when left out.
        scales: A partition, ranges such as "0-2|3-8|9-12", or the method by which a first pass finds them.
        reduction: What represents a scale: the "mean" of its layers, or its "last".
        sketch_texts: Texts of the first pass, at most.
        fractions: Share of the documents in train, validation and test.
        n_heldout: Samples of validation and test documents kept, at most.
        sketch_width: Projections of each layer; 0 for none.
        filter_bits: Size of the filter that tells held-out texts that were trained on under another document's
            name; the default errs for 0.2 % of texts after 10 million.
        block: Texts after which the sums are put on disk.
        seed: Fixes the split, the samples and the projections.
        **reading: Every other option of :func:`extract`.

    Returns:
        The moments; ``msma.Alignment(...).fit_moments(moments)`` fits, ``msma.evaluate(alignment,
        moments.test)`` scores.

    Raises:
        ConfigError: When an option does not exist or is impossible.
        CorpusError: As :func:`extract`.
        ModelError: As :func:`extract`.
        StorageError: As :func:`extract`.
        ScaleError: As :func:`extract`.
    """
    parameters = signature(extract).parameters
    defaults = {key: p.default for key, p in parameters.items() if p.kind is Parameter.KEYWORD_ONLY}
    known = set(defaults) - {"store", "attention_texts"}
    unknown = reading.keys() - known
    if unknown:
        raise ConfigError(f"option '{min(unknown)}' came; expected some of {', '.join(sorted(known))}")
    options = {**defaults, **reading}
    names = {
        "loading": (
            "tokenizer name revision dtype device device_map quantization offload_folder local_files_only "
            "trust_remote_code"
        ),
        "reading": "unit stack max_tokens long batch_tokens padding_side final_norm",
    }
    groups = {group: {key: options[key] for key in keys.split()} for group, keys in names.items()}
    check_numbers(n_heldout=n_heldout, sketch_width=sketch_width, block=block)
    run = Plan(
        model=model,
        texts=texts,
        documents=options["documents"],
        labels=options["labels"],
        loading=groups["loading"],
        reading=groups["reading"],
        store="moments",
        out=None if out is None else Path(out),
        scales=scales,
        reduction=reduction,
        sketch_texts=sketch_texts,
        window=options["window"],
        attention_texts=0,
        engine=Engine(
            kind=options["engine"],
            workers=options["workers"],
            address=options["address"],
            devices=None if options["devices"] is None else tuple(options["devices"]),
        ),
        limits=Limits(options["max_disk"], options["max_memory"]),
        moments=MomentSettings(
            seed=seed,
            fractions=fractions,
            n_heldout=n_heldout,
            sketch_width=sketch_width,
            filter_bits=filter_bits,
        ),
        say=options["say"] or (lambda _: None),
    )
    return run.as_moments(block=block)
