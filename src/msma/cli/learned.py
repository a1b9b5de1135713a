"""Commands about the learned map: which part of it does the work, and which settings to take."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from msma.cli.arguments import read_fractions, read_numbers
from msma.cli.options import AsJson, Device, Fractions, Reduction, ReductionChoice, Seed, StatesDir
from msma.cli.saying import make_console, speak_on
from msma.cli.tables import show_result, write_csv
from msma.results import Result, Row, format_cell

ScalesFile = Annotated[Path, typer.Option(help="File written by 'msma scales'.")]
Standardised = Annotated[
    bool, typer.Option("--standardised/--raw", help="Bring layers to equal spread first.")
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training pairs at most.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program.

    Args:
        app: The program.
    """
    app.command()(ablate)
    app.command()(tune)


def ablate(
    states: StatesDir,
    scales: ScalesFile = Path("scales.json"),
    out: Annotated[Path, typer.Option(help="Folder for everything that is found.")] = Path("ablation"),
    seeds: Annotated[str, typer.Option(help="Seeds of training.")] = "0,1,2,3,4",
    arms: Annotated[list[str] | None, typer.Option("--arm", help="Arm to train; repeatable.")] = None,
    metrics: Annotated[list[str] | None, typer.Option("--metric", help="Measure; repeatable.")] = None,
    max_epochs: Epochs = None,
    device: Device = "auto",
    reduction: Reduction = ReductionChoice.mean,
    is_standardised: Standardised = False,
    fractions: Fractions = "0.6,0.2,0.2",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Leave out each term of the learned map's objective, and keep each alone."""
    from msma.ablation import ARMS
    from msma.ablation import ablate as run_ablation
    from msma.plotting import plot_ablation
    from msma.readings import READINGS
    from msma.scales import ScalePartition

    console = make_console(is_quiet=as_json)
    result = run_ablation(
        _split(states, seed=seed, fractions=fractions),
        ScalePartition.load(scales),
        map=_learned_map(max_epochs, device),
        seeds=read_numbers(seeds, what="seeds", kind=int),
        arms=tuple(arms or ARMS),
        metrics=tuple(metrics or READINGS),
        reduction=reduction.value,
        is_standardised=is_standardised,
        out=out,
        say=speak_on(console),
    )
    sentences = list(result.provenance["findings"])
    shown = Result(result.name, tuple(r for r in result if not r.metric.endswith("_by_seed")), {})
    _write(
        out,
        "ablation",
        result,
        shown,
        sentences,
        plot_ablation(result.rows),
        title="Ablation of the learned map",
    )
    if as_json:
        show_result(result, title="ablation", as_json=True)
        return
    _show_ablation(console, result)
    console.print(
        f"* differs from full over documents{'' if ',' not in seeds else ' and over seeds'} (Holm, 5 %)"
    )
    console.print(f"summary: [bold]{escape(str(out / 'summary.html'))}[/bold]", soft_wrap=True)


def tune(
    states: StatesDir,
    scales: ScalesFile = Path("scales.json"),
    out: Annotated[Path, typer.Option(help="Folder for everything that is found.")] = Path("tuning"),
    n_trials: Annotated[int, typer.Option(help="Trials in all; those already in the folder count.")] = 30,
    n_jobs: Annotated[int, typer.Option(help="Processes.")] = 1,
    objectives: Annotated[
        list[str] | None, typer.Option("--objective", help="r2, information, curvature; repeatable.")
    ] = None,
    storage: Annotated[Path | None, typer.Option(help="Study's file: a journal, or SQLite (.db).")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which no trial is begun.")] = None,
    max_epochs: Epochs = None,
    device: Device = "auto",
    reduction: Reduction = ReductionChoice.mean,
    is_standardised: Standardised = False,
    fractions: Fractions = "0.6,0.2,0.2",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Search the learned map's weights, size and learning rate on the validation split."""
    from msma.scales import ScalePartition
    from msma.tuning import OBJECTIVES
    from msma.tuning import tune as run_search

    console = make_console(is_quiet=as_json)
    found = run_search(
        _split(states, seed=seed, fractions=fractions),
        ScalePartition.load(scales),
        map=_learned_map(max_epochs, device),
        n_trials=n_trials,
        n_jobs=n_jobs,
        objectives=tuple(objectives or OBJECTIVES),
        storage=storage,
        timeout=timeout,
        reduction=reduction.value,
        is_standardised=is_standardised,
        out=out,
        seed=seed,
        say=speak_on(console),
    )
    result = found.to_result()
    sentences = [found.recommend().sentence, *_tell_confirmation(found.confirmation)]
    _write(
        out, "pareto", result, result, sentences, found.plot(), title="Search of the learned map's settings"
    )
    write_csv(out / "trials.csv", found.to_records())
    if as_json:
        show_result(result, title="tuning", as_json=True)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("trial", *found.objectives, "settings"):
        table.add_column(column, justify="left" if column == "settings" else "right")
    for trial in found.front:
        settings = "closed form" if trial.is_closed else _settings(trial.params)
        table.add_row(str(trial.number), *(f"{trial.values[n]:.4g}" for n in found.objectives), settings)
    counts = {s: sum(t.state == s for t in found.trials) for s in ("complete", "pruned", "failed")}
    console.print(f"\n[bold]Pareto front[/bold] ({', '.join(f'{n} {s}' for s, n in counts.items() if n)})\n")
    console.print(table)
    for sentence in sentences:
        console.print(sentence, soft_wrap=True)
    console.print(f"summary: [bold]{escape(str(out / 'summary.html'))}[/bold]", soft_wrap=True)


def _split(states: Path, *, seed: int, fractions: str) -> Any:
    from msma.states import HiddenStates

    return HiddenStates.load(states).split(seed=seed, fractions=read_fractions(fractions))


def _learned_map(max_epochs: int | None, device: str) -> Any:
    from msma.maps import JointMap

    return JointMap(device=device) if max_epochs is None else JointMap(device=device, max_epochs=max_epochs)


def _settings(params: Any) -> str:
    return ", ".join(f"{name.removeprefix('lambda_')} {format_cell(value)}" for name, value in params.items())


def _tell_confirmation(rows: Sequence[Row]) -> list[str]:
    return [
        f"Test split, {(row.note or '').split('; ')[-1]}: gain in R2 {(row.note or '').split('; ')[0]} "
        f"{row.value:+.4f} ({row.low:+.4f} to {row.high:+.4f})."
        for row in rows
        if row.metric == "r2_gain" and row.source is None and row.value is not None
    ]


def _show_ablation(console: Console, result: Result) -> None:
    metrics = [
        m for m in dict.fromkeys(r.metric for r in result) if f"{m}_by_seed" in {r.metric for r in result}
    ]
    for source, target in dict.fromkeys((row.source, row.target) for row in result):
        table = Table(
            title=f"{source} → {target}", title_justify="left", title_style="bold", box=None, pad_edge=False
        )
        table.add_column("terms")
        for metric in metrics:
            table.add_column(metric, justify="right")
        rows = {(r.map, r.metric): r for r in result.where(source=source, target=target)}
        for arm in dict.fromkeys(arm for arm, _ in rows):
            cells = []
            for metric in metrics:
                row, test = rows.get((arm, metric)), rows.get((arm, f"{metric}_minus_full"))
                star = "*" if test is not None and (test.note or "").startswith("differs") else " "
                cells.append("–" if row is None else format_cell(row.value) + star)
            table.add_row(str(arm), *cells)
        console.print(table, "")


def _write(
    out: Path, name: str, result: Result, shown: Result, sentences: Sequence[str], axes: Any, *, title: str
) -> None:
    """Write the rows, the figure and a page that needs nothing else."""
    import html

    from msma.plotting import save_figure, to_inline_svg
    from msma.plotting.inline import DARK, LIGHT
    from msma.storage import write_text

    result.save(out / "results.json")
    write_csv(out / "results.csv", result.to_records())
    save_figure(axes, out / name)
    light, dark = ("".join(f"--{n}: {c};" for n, c in colours.items()) for colours in (LIGHT, DARK))
    style = (
        f":root {{{light}}} @media (prefers-color-scheme: dark) {{:root {{{dark}}}}}"
        "body {font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;"
        "background: var(--surface); color: var(--ink)} svg {width: 100%; max-width: var(--width)}"
        "div {overflow-x: auto} table {border-collapse: collapse; font-size: 14px}"
        "td, th {padding: .2rem .6rem; text-align: left; border-bottom: 1px solid var(--grid)}"
    )
    figure = to_inline_svg(axes, name=name, title=title, description=" ".join(sentences))
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    write_text(
        out / "summary.html",
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
        f"<style>{style}</style><h1>{html.escape(title)}</h1><ul>{items}</ul>{figure}"
        f"<div>{shown._repr_html_()}</div></html>\n",
    )
