"""Commands about states: read them, and join those of separate runs."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from msma.cli.arguments import read_fractions
from msma.cli.options import (
    Address,
    AttentionTexts,
    BatchTokens,
    Column,
    Device,
    DeviceMap,
    Devices,
    Dtype,
    Engine,
    EngineChoice,
    FinalNorm,
    Fractions,
    IdColumn,
    LabelColumns,
    Long,
    LongChoice,
    MaxDisk,
    MaxDocuments,
    MaxMemory,
    MaxTokens,
    Model,
    OffloadFolder,
    PaddingSide,
    ParagraphChoice,
    Paragraphs,
    PrecisionChoice,
    Quantization,
    QuantizationChoice,
    Reduction,
    ReductionChoice,
    RemoteCode,
    Revision,
    Scales,
    Seed,
    SideChoice,
    SketchTexts,
    Stack,
    StackChoice,
    Store,
    StoreChoice,
    Texts,
    Unit,
    UnitChoice,
    Workers,
)
from msma.cli.saying import make_console, speak_on


def register(app: typer.Typer) -> None:
    """Add the commands to the program.

    Args:
        app: The program.
    """
    app.command()(extract)
    app.command()(merge)


def extract(
    model: Model,
    texts: Texts,
    out: Annotated[Path, typer.Option(help="Folder for the states.")] = Path("states"),
    revision: Revision = None,
    column: Column = None,
    id_column: IdColumn = None,
    label_columns: LabelColumns = None,
    paragraphs: Paragraphs = ParagraphChoice.auto,
    max_documents: MaxDocuments = None,
    unit: Unit = UnitChoice.text,
    stack: Stack = StackChoice.auto,
    max_tokens: MaxTokens = None,
    long: Long = LongChoice.truncate,
    batch_tokens: BatchTokens = None,
    padding_side: PaddingSide = SideChoice.right,
    dtype: Dtype = PrecisionChoice.float32,
    device: Device = "auto",
    device_map: DeviceMap = None,
    quantization: Quantization = QuantizationChoice.none,
    offload_folder: OffloadFolder = None,
    final_norm: FinalNorm = False,
    attention_texts: AttentionTexts = 128,
    store: Store = StoreChoice.states,
    scales: Scales = "fused",
    reduction: Reduction = ReductionChoice.mean,
    sketch_texts: SketchTexts = 2048,
    fractions: Fractions = "0.6,0.2,0.2",
    engine: Engine = EngineChoice.local,
    workers: Workers = None,
    address: Address = None,
    devices: Devices = None,
    max_disk: MaxDisk = None,
    max_memory: MaxMemory = None,
    seed: Seed = 0,
    trust_remote_code: RemoteCode = False,
) -> None:
    """Read the pooled hidden states of every layer, or of the three scales, or their moments, for every text."""
    from msma.configuration import StudyConfig
    from msma.study import extract_corpus

    given = {
        n: (v.value if isinstance(v, StrEnum) else v)
        for n, v in locals().items()
        if n in StudyConfig.__dataclass_fields__
    }
    given["fractions"] = read_fractions(fractions)
    given["label_columns"] = tuple(label_columns or ())
    given["offload_folder"] = None if offload_folder is None else os.fspath(offload_folder)
    found = extract_corpus(
        StudyConfig.from_dict(given),
        out,
        store=store.value,
        sketch_texts=sketch_texts,
        engine=engine.value,
        workers=workers,
        address=address,
        devices=devices or None,
        max_disk=max_disk,
        max_memory=max_memory,
        say=speak_on(make_console()),
    )
    typer.echo(f"{found}, in {out}")


def merge(
    folders: Annotated[list[Path], typer.Argument(help="Folders written by 'msma extract', two or more.")],
    out: Annotated[Path, typer.Option(help="Folder for the whole.")] = Path("merged"),
) -> None:
    """Join the shards, or the moments, of separate runs of one model."""
    from msma.merging import merge as join

    typer.echo(f"{join(folders, out)}, in {out}")
