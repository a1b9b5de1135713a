"""The command line: one command for each public function, tables for people, ``--json`` for machines."""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from msma._version import __version__
from msma.cli.arguments import read_fractions
from msma.cli.bias import register as register_bias
from msma.cli.comparing import register as register_comparing
from msma.cli.explaining import register as register_explaining
from msma.cli.exploring import register as register_exploring
from msma.cli.figures import register as register_figures
from msma.cli.interventions import register as register_interventions
from msma.cli.learned import register
from msma.cli.leaving import Ending, ending_on_sigterm, explain, is_debugging, tell_usage
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
    StatesDir,
    Store,
    StoreChoice,
    Texts,
    Unit,
    UnitChoice,
    Votes,
    Workers,
)
from msma.cli.replicating import register as register_replicating
from msma.cli.robustness import register as register_robustness
from msma.cli.saying import make_console, print_anything, speak_on
from msma.cli.steering import register as register_steering
from msma.cli.tables import show_result, show_study
from msma.errors import ConfigError
from msma.progress import log_event, log_json


class _Commands(TyperGroup):
    """The group of commands: each ends in an exit code and at most one line, also in the log."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command.

        Args:
            ctx: Context of the call.

        Returns:
            What the command returned.

        Raises:
            Exit: With the code of the failure, where there was one.
        """
        with ExitStack() as stack:
            try:
                if (log := ctx.params.get("log_json")) is not None:
                    stack.enter_context(log_json(sys.stderr if str(log) == "-" else log))
                found = super().invoke(ctx)
            except Exception as error:
                if (code := getattr(error, "exit_code", None)) is not None:
                    # Typer's own: a wrong option, which it tells itself, or an orderly exit.
                    _log_ending(ctx, Ending(code, tell_usage(error)))
                    raise
                raise _leave(ctx, error) from error
            except (KeyboardInterrupt, SystemExit) as error:
                raise _leave(ctx, error) from error
            _log_ending(ctx, Ending(0))
            return found


def _leave(ctx: Any, error: BaseException) -> typer.Exit:
    if is_debugging() and isinstance(error, Exception):
        raise error
    ending = explain(error)
    _log_ending(ctx, ending)
    ending.show()
    return typer.Exit(ending.code)


def _log_ending(ctx: Any, ending: Ending) -> None:
    said = {"message": ending.message} if ending.message else {}
    event = "error" if ending.code else "done"
    log_event(event, label=ctx.invoked_subcommand, exit_code=ending.code, **said)


app = typer.Typer(
    name="msma",
    cls=_Commands,
    help="Show how a language model holds meaning at three scales: local, intermediate, global.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    log_json: Annotated[
        Path | None,
        typer.Option(help="Append events to this file, one JSON object a line; - for standard error."),
    ] = None,
) -> None:
    """Show how a language model holds meaning at three scales: local, intermediate, global."""
    log_event("start", label=context.invoked_subcommand, version=__version__)
    if version:
        typer.echo(f"msma {__version__}")
        raise typer.Exit


@app.command()
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


@app.command()
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


@app.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Folders written by 'msma extract', two or more.")],
    out: Annotated[Path, typer.Option(help="Folder for the whole.")] = Path("merged"),
) -> None:
    """Join the shards, or the moments, of separate runs of one model."""
    from msma.merging import merge as join

    typer.echo(f"{join(folders, out)}, in {out}")


@app.command()
def scales(
    states: StatesDir,
    out: Annotated[Path, typer.Option(help="File for the partition.")] = Path("scales.json"),
    method: Scales = "fused",
    n_votes: Votes = 100,
    min_layers: MinLayers = None,
    fractions: Fractions = "0.6,0.2,0.2",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Find which layers are local, intermediate and global, on the training split."""
    from msma.states import HiddenStates
    from msma.study import choose_scales

    train = HiddenStates.load(states).split(seed=seed, fractions=read_fractions(fractions)).train
    partition = choose_scales(train, method=method, n_votes=n_votes, min_layers=min_layers, seed=seed)
    partition.save(out)
    show_result(partition.to_result(), title=str(partition), as_json=as_json)


@app.command()
def fit(
    states: StatesDir,
    scales: Annotated[Path, typer.Option(help="File written by 'msma scales'.")] = Path("scales.json"),
    out: Annotated[Path, typer.Option(help="Folder for the fitted maps.")] = Path("alignment"),
    map: Annotated[str, typer.Option(help="identity, mean_shift, procrustes, ridge, ..., joint")] = "ridge",
    reduction: Reduction = ReductionChoice.mean,
    is_standardised: Annotated[bool, typer.Option("--standardised/--raw", help="Equal spread.")] = False,
    fractions: Fractions = "0.6,0.2,0.2",
    seed: Seed = 0,
) -> None:
    """Fit a map for each pair of scales on the training split, or on moments of it."""
    from msma.alignment import Alignment
    from msma.maps import ALL_MAPS
    from msma.scale_moments import ScaleMoments
    from msma.scales import ScalePartition
    from msma.states import HiddenStates

    if map not in ALL_MAPS:
        raise ConfigError(f"map '{map}' came; expected one of {', '.join(ALL_MAPS)}")
    alignment = Alignment(
        ALL_MAPS[map](), reduction=reduction.value, is_standardised=is_standardised, seed=seed
    )
    if _holds_moments(states):
        moments = ScaleMoments.load(states)
        alignment.fit_moments(moments).save(out)
        typer.echo(f"{map} maps fitted on the moments of {moments.n} samples, in {out}")
        return
    train = HiddenStates.load(states).split(seed=seed, fractions=read_fractions(fractions)).train
    alignment.fit(train, ScalePartition.load(scales)).save(out)
    typer.echo(f"{map} maps fitted on {train.n_samples} samples, in {out}")


@app.command()
def evaluate(
    alignment: Annotated[Path, typer.Argument(help="Folder written by 'msma fit'.")],
    states: StatesDir,
    out: Annotated[Path | None, typer.Option(help="File for the result, as JSON.")] = None,
    metrics: Annotated[list[str] | None, typer.Option("--metric", help="Measure; repeatable.")] = None,
    fractions: Fractions = "0.6,0.2,0.2",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Score fitted maps on the test split of the states."""
    from msma.alignment import Alignment
    from msma.evaluation import evaluate as score

    test = _open_test(states, seed=seed, fractions=fractions)
    result = score(Alignment.load(alignment), test, metrics=metrics or None, seed=seed)
    if out is not None:
        result.save(out)
    show_result(result, title="held-out measures", as_json=as_json)


@app.command()
def certify(
    alignment: Annotated[Path, typer.Argument(help="Folder written by 'msma fit'.")],
    states: StatesDir,
    out: Annotated[Path | None, typer.Option(help="File for the certificate, as JSON.")] = None,
    sigma: Annotated[float, typer.Option(help="Blur, over the target's spread a dimension.")] = 1.0,
    confidence: Annotated[float, typer.Option(help="Coverage of every certified limit.")] = 0.95,
    fractions: Fractions = "0.6,0.2,0.2",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Bound from both sides how far mapped states are from the target's, on the test split."""
    from msma.alignment import Alignment
    from msma.certificate import certify as bound

    test = _open_test(states, seed=seed, fractions=fractions)
    found = bound(Alignment.load(alignment), test, sigma=sigma, confidence=confidence, seed=seed)
    if out is not None:
        found.save(out)
    show_result(found.table, title="certificate", as_json=as_json)
    if not as_json:
        typer.echo(found.describe())


@app.command()
def report(
    study: Annotated[Path, typer.Argument(help="Folder written by 'msma analyze'.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file; inside the folder when left out.")] = None,
) -> None:
    """Write the report and the figures of a study again."""
    from msma.reporting import write_report

    typer.echo(f"report: {write_report(study, out=out)}")


register(app)
register_interventions(app)
register_steering(app)
register_bias(app)
register_robustness(app)
register_explaining(app)
register_exploring(app)
register_comparing(app)
register_figures(app)
register_replicating(app)


def _holds_moments(folder: Path) -> bool:
    return (folder / "moments.json").is_file()


def _open_test(folder: Path, *, seed: int, fractions: str) -> Any:
    """Open the test split of states, or the held-out sample beside moments, which was split when it was drawn."""
    from msma.scale_moments import ScaleMoments
    from msma.states import HiddenStates

    if _holds_moments(folder):
        return ScaleMoments.load(folder).test
    return HiddenStates.load(folder).split(seed=seed, fractions=read_fractions(fractions)).test


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and turn every failure into one line and an exit code.

    Args:
        arguments: What was typed; the process's own arguments when left out.

    Returns:
        0 when all went well, 2 for a mistake that can be put right, 130 when interrupted, 143 when told to
        end by a scheduler (SIGTERM), 1 for a defect of this program.

    Raises:
        BaseException: Whatever went wrong, where ``MSMA_DEBUG`` is set.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    print_anything()
    try:
        with ending_on_sigterm():
            app(args=list(arguments) if arguments is not None else None, standalone_mode=True)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if is_debugging() and isinstance(error, Exception):
            raise
        ending = explain(error)
        ending.show()
        return ending.code
    return 0
