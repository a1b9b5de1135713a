"""The command of a study: the whole main job into a folder."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from msma.cli.arguments import read_fractions
from msma.cli.options import (
    Address,
    AsJson,
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
    MinLayers,
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
    Stack,
    StackChoice,
    Unit,
    UnitChoice,
    Votes,
    Workers,
)
from msma.cli.saying import make_console, speak_on
from msma.cli.tables import show_study


def register(app: typer.Typer) -> None:
    """Add the command to the program.

    Args:
        app: The program.
    """
    app.command()(analyze)


def analyze(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="Hub name, folder, 'demo' or 'demo-decoder'.")] = None,
    texts: Annotated[str | None, typer.Argument(help="File, Hub dataset, or 'demo'.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for everything that is found.")] = Path("msma-out"),
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings; options given here win.")
    ] = None,
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
    scales: Scales = "fused",
    n_votes: Votes = 100,
    min_layers: MinLayers = None,
    reduction: Reduction = ReductionChoice.mean,
    is_standardised: Annotated[bool, typer.Option("--standardised/--raw", help="Equal spread.")] = False,
    maps: Annotated[
        list[str] | None,
        typer.Option("--map", help="Map to compare; repeatable. 'joint' adds the learned map."),
    ] = None,
    joint: Annotated[
        list[str] | None, typer.Option("--joint", help="Setting of the learned map, name=value; repeatable.")
    ] = None,
    fractions: Fractions = "0.6,0.2,0.2",
    engine: Engine = EngineChoice.local,
    workers: Workers = None,
    address: Address = None,
    devices: Devices = None,
    max_disk: MaxDisk = None,
    max_memory: MaxMemory = None,
    seed: Seed = 0,
    trust_remote_code: RemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Do the whole main job: states, scales, maps, measures, and a report to look at."""
    from msma.configuration import StudyConfig

    given = {name: value for name, value in locals().items() if name in StudyConfig.__dataclass_fields__}
    given["label_columns"], given["maps"] = tuple(label_columns or ()), tuple(maps or ())
    given["joint"] = tuple(joint or ())
    given["offload_folder"] = None if offload_folder is None else os.fspath(offload_folder)
    given["fractions"] = read_fractions(fractions)
    settings = _merge_config(context, given, config)

    from msma.reporting import write_report
    from msma.study import Study

    console = make_console(is_quiet=as_json)
    study = Study(
        StudyConfig.from_dict(settings),
        out,
        say=speak_on(console),
        engine=engine.value,
        workers=workers,
        address=address,
        devices=devices or None,
        max_disk=max_disk,
        max_memory=max_memory,
    )
    study.run()
    study.say("report and figures")
    report = write_report(out)
    if as_json:
        typer.echo((out / "results.json").read_text(encoding="utf-8"))
        return
    show_study(console, out, report)


def _merge_config(context: typer.Context, given: dict[str, Any], config: Path | None) -> dict[str, Any]:
    """Lay what was typed over what the file says, and both over the defaults."""
    from msma.configuration import StudyConfig

    sources = {name: context.get_parameter_source(name) for name in given}
    typed = {
        name: value
        for name, value in given.items()
        if (source := sources[name]) is not None and source.name in ("COMMANDLINE", "ENVIRONMENT", "PROMPT")
    }
    settings = {} if config is None else StudyConfig.read_toml(config)
    plain = {n: (v.value if isinstance(v, StrEnum) else v) for n, v in typed.items() if v is not None}
    return {**settings, **plain}
