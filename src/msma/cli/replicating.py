"""The command that repeats the published protocol: a model fine-tuned so that its scales align, and what that did."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from msma.cli.arguments import read_corpus, read_numbers, split_names
from msma.cli.options import (
    AsJson,
    Column,
    Device,
    IdColumn,
    LabelColumns,
    MaxDocuments,
    MaxTokens,
    Model,
    RemoteCode,
    Revision,
    Texts,
)
from msma.cli.saying import make_console, speak_on
from msma.cli.tables import short, show_result
from msma.errors import ConfigError

if TYPE_CHECKING:
    from msma.replication import Replication

_SHOWN = (
    "kl_diagonal",
    "mi_histogram",
    "distance_correlation_biased",
    "kl",
    "mi",
    "distance_correlation",
    "cka",
)


def register(app: typer.Typer) -> None:
    """Add the command to the program.

    Args:
        app: The program.
    """
    app.command()(replicate)


def replicate(
    model: Model,
    data: Texts,
    arms: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            help="full, no_geo, no_info, no_curv, only_geo, only_info, only_curv, baseline; "
            "repeatable, or with commas between.",
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of training.")] = "0,1,2",
    epochs: Annotated[int, typer.Option(help="Passes over the training texts.")] = 15,
    learning_rate: Annotated[float, typer.Option(help="Of the language model.")] = 1e-5,
    head_lr: Annotated[float, typer.Option(help="Of heads, maps and critics.")] = 1e-3,
    batch_size: Annotated[int, typer.Option(help="Texts a step.")] = 128,
    micro_batch: Annotated[int, typer.Option(help="Texts that go through the model together.")] = 32,
    lambda_geo: Annotated[float, typer.Option(help="Weight of geometry.")] = 0.1,
    lambda_info: Annotated[float, typer.Option(help="Weight of information.")] = 0.1,
    lambda_curv: Annotated[float, typer.Option(help="Weight of curvature.")] = 0.01,
    estimator: Annotated[
        str, typer.Option(help="Bound on information: infonce, nwj, smile, mine.")
    ] = "infonce",
    is_as_published: Annotated[
        bool, typer.Option("--as-published", help="Keep what the published code does otherwise.")
    ] = False,
    quirks: Annotated[
        list[str] | None,
        typer.Option(
            "--quirk",
            help="One departure alone: padding_in_means, unshuffled_marginals, parameter_norm, "
            "undivided_geometry, unmapped_geometry; repeatable, or with commas between.",
        ),
    ] = None,
    scales: Annotated[str, typer.Option(help="'thirds', or ranges like '0-2|3-4|5-6'.")] = "thirds",
    labels: Annotated[
        str | None,
        typer.Option(help="Label of each scale's head: local=tense,intermediate=mode,global=topic."),
    ] = None,
    label_columns: LabelColumns = None,
    column: Column = None,
    id_column: IdColumn = None,
    max_documents: MaxDocuments = None,
    max_tokens: MaxTokens = 128,
    out: Annotated[Path, typer.Option(help="Folder for everything that is found.")] = Path("replication"),
    has_tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Log every term of every step.")
    ] = False,
    keeps_models: Annotated[bool, typer.Option("--keep-models", help="Keep the tuned models.")] = False,
    revision: Revision = None,
    device: Device = "auto",
    trust_remote_code: RemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a model so that its scales align, as published, and measure what that did to it."""
    from msma.models import load_with_head
    from msma.plotting import save_figure
    from msma.replication import JointTrainingConfig, Quirks
    from msma.replication import replicate as run
    from msma.study import find_model

    console = make_console(is_quiet=as_json)
    heads = None if labels is None else _heads(labels)
    config = JointTrainingConfig(
        epochs=epochs,
        learning_rate=learning_rate,
        head_lr=head_lr,
        batch_size=batch_size,
        micro_batch=micro_batch,
        lambda_geo=lambda_geo,
        lambda_info=lambda_info,
        lambda_curv=lambda_curv,
        estimator=estimator,
        max_tokens=max_tokens,
        quirks=(Quirks.published() if is_as_published else Quirks()).also(split_names(quirks or ())),
    )
    columns = list(dict.fromkeys([*(label_columns or ()), *(heads or {}).values()]))
    source, name = find_model(model)
    done = run(
        load_with_head(
            source, name=name, revision=revision, device=device, trust_remote_code=trust_remote_code
        ),
        read_corpus(
            data, column=column, label_columns=columns, max_documents=max_documents, id_column=id_column
        ),
        arms=_arms(arms),
        seeds=read_numbers(seeds, what="seeds", kind=int),
        config=config,
        partition=scales,
        labels=heads,
        out=out,
        say=speak_on(console),
        tensorboard=has_tensorboard,
        keeps_models=keeps_models,
    )
    result = done.to_result()
    result.save(out / "results.json")
    save_figure(done.plot(), out / "replication")
    if as_json:
        show_result(result, title="replication", as_json=True)
        return
    show_replication(console, done)
    console.print(
        f"all numbers: {out / 'results.json'}; figure: {out / 'replication.svg'}",
        soft_wrap=True,
        markup=False,
    )


def show_replication(console: Console, done: "Replication") -> None:
    """Print each arm beside the model as it came, then the findings.

    Args:
        console: Where to.
        done: The replication.
    """
    result = done.to_result()
    names = ("before", *done.arms)
    for source, target in dict.fromkeys((row.source, row.target) for row in result if row.source):
        table = Table(
            title=f"{source} → {target}, no map",
            title_justify="left",
            title_style="bold",
            box=None,
            pad_edge=False,
        )
        table.add_column("measure", no_wrap=True)
        for name in names:
            table.add_column(name, justify="right", no_wrap=True)
        for metric in _SHOWN:
            cells = [_cell(result, metric, f"{name}: none", source=source, target=target) for name in names]
            table.add_row(metric, *cells)
        console.print(table, "")
    table = Table(
        title="scales and language", title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    table.add_column("measure", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    shown = [
        r
        for r in result
        if r.map == "before" and r.metric.startswith(("effective", "probe", "transfer", "nats"))
    ]
    for row in shown:
        cells = [_cell(result, row.metric, name, target=row.target) for name in names]
        table.add_row(f"{row.metric} {row.target or ''}".strip(), *cells)
    console.print(table, "")
    for sentence in done.describe():
        console.print(sentence, soft_wrap=True, markup=False)
    console.print()


def _cell(result: Any, metric: str, name: str, **place: Any) -> str:
    found = result.where(metric=metric, map=name, **place).rows
    return short(found[0].value) if found else "–"


def _arms(given: list[str] | None) -> tuple[str, ...]:
    return split_names(given or ("baseline", "full"))


def _heads(given: str) -> dict[Any, str]:
    heads: dict[Any, str] = {}
    for part in given.split(","):
        scale, sign, column = part.partition("=")
        if not sign or not column.strip():
            raise ConfigError(
                f"--labels '{given}' came; expected scale=column with commas between, such as "
                "local=tense,intermediate=mode,global=topic"
            )
        heads[scale.strip()] = column.strip()
    return heads
