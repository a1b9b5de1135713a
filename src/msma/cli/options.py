"""Options that several commands share, each written once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class UnitChoice(StrEnum):
    """What one sample is."""

    text = "text"
    sentence = "sentence"
    token = "token"


class StackChoice(StrEnum):
    """Stack of an encoder-decoder."""

    auto = "auto"
    encoder = "encoder"
    decoder = "decoder"


class LongChoice(StrEnum):
    """What happens to long texts."""

    truncate = "truncate"
    windows = "windows"


class ParagraphChoice(StrEnum):
    """How a .txt file is divided."""

    auto = "auto"
    line = "line"
    blank = "blank"


class PrecisionChoice(StrEnum):
    """Precision of the forward pass."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
    auto = "auto"


class StoreChoice(StrEnum):
    """What is kept of the states."""

    states = "states"
    scales = "scales"
    moments = "moments"


class EngineChoice(StrEnum):
    """Where the work is done."""

    local = "local"
    processes = "processes"
    ray = "ray"


class QuantizationChoice(StrEnum):
    """Precision of the weights."""

    none = "none"
    eight = "8bit"
    four = "4bit"


class SideChoice(StrEnum):
    """Side on which batches are padded."""

    right = "right"
    left = "left"


class ReductionChoice(StrEnum):
    """What represents a scale."""

    mean = "mean"
    last = "last"


Model = Annotated[
    str,
    typer.Argument(help="Hub name, folder, 'demo' (embedded encoder) or 'demo-decoder' (embedded decoder)."),
]
Texts = Annotated[str, typer.Argument(help="File (.txt .jsonl .csv .parquet), Hub dataset, or 'demo'.")]
StatesDir = Annotated[Path, typer.Argument(help="Folder written by 'msma extract'.")]
Seed = Annotated[int, typer.Option(help="Fixes splits, votes, shuffles and intervals.")]
Fractions = Annotated[str, typer.Option(help="Shares of the documents in train, validation and test.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Column = Annotated[str | None, typer.Option(help="Column of the texts.")]
IdColumn = Annotated[str | None, typer.Option(help="Column of the document each text belongs to.")]
LabelColumns = Annotated[
    list[str] | None, typer.Option("--label-column", help="Column to probe; repeatable.")
]
Paragraphs = Annotated[ParagraphChoice, typer.Option(help="A text is a line, or a blank-line paragraph.")]
MaxDocuments = Annotated[int | None, typer.Option(help="Read at most so many documents.")]
Revision = Annotated[str | None, typer.Option(help="Commit, tag or branch of the model.")]
Unit = Annotated[UnitChoice, typer.Option(help="What one sample is.")]
Stack = Annotated[StackChoice, typer.Option(help="Which stack of an encoder-decoder.")]
MaxTokens = Annotated[int | None, typer.Option(help="Tokens after which a text is long (the model's limit).")]
Long = Annotated[LongChoice, typer.Option(help="Cut long texts, or read them in windows.")]
BatchTokens = Annotated[int | None, typer.Option(help="Tokens a batch.")]
PaddingSide = Annotated[SideChoice, typer.Option(help="Side on which batches are padded.")]
Dtype = Annotated[PrecisionChoice, typer.Option(help="Precision of the forward pass.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
FinalNorm = Annotated[bool, typer.Option(help="Take the last entry after the model's final norm.")]
AttentionTexts = Annotated[int, typer.Option(help="Texts whose attention is looked at; 0 for none.")]
Scales = Annotated[
    str,
    typer.Option(help="fused, similarity, attention, information, thirds, or ranges like '0-2|3-4|5-6'."),
]
Votes = Annotated[int, typer.Option(help="Random halves of the documents that vote on the boundaries.")]
MinLayers = Annotated[int | None, typer.Option(help="Fewest layers a scale may have.")]
Reduction = Annotated[ReductionChoice, typer.Option(help="A scale is the mean of its layers, or the last.")]
Standardised = Annotated[bool, typer.Option(help="Bring layers to equal spread first.")]
RemoteCode = Annotated[bool, typer.Option(help="Let the model's repository run its own code.")]
DeviceMap = Annotated[
    str | None,
    typer.Option(help="Spread the model over devices, memory and disk: auto, balanced, sequential."),
]
Quantization = Annotated[
    QuantizationChoice, typer.Option(help="Precision of the weights, where bitsandbytes is installed.")
]
OffloadFolder = Annotated[Path | None, typer.Option(help="Where weights go that fit nowhere else.")]
Store = Annotated[
    StoreChoice, typer.Option(help="Keep all layers, the three scales, or only their moments and sketches.")
]
SketchTexts = Annotated[int, typer.Option(help="Texts of the pass that finds the scales.")]
Engine = Annotated[
    EngineChoice, typer.Option(help="This process, several on this machine, or a Ray cluster.")
]
Workers = Annotated[int | None, typer.Option(help="Replicas of the model; one a GPU when left out.")]
Address = Annotated[str | None, typer.Option(help="Address of a running Ray cluster.")]
Devices = Annotated[
    list[str] | None, typer.Option("--on", help="Device of a replica, such as cuda:1; repeatable.")
]
MaxDisk = Annotated[str | None, typer.Option(help="Refuse to write more, such as '20 GB'.")]
MaxMemory = Annotated[str | None, typer.Option(help="Refuse to hold more, the model included.")]
