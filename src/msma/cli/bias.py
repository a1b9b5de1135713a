"""The command of the bias audit: where a bias lives, how it travels, what taking it out costs."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from msma.cli.arguments import read_corpus, read_numbers
from msma.cli.loading import load_audited, read_partition
from msma.cli.options import (
    AsJson,
    Column,
    Device,
    Dtype,
    IdColumn,
    LabelColumns,
    MaxDocuments,
    Model,
    PrecisionChoice,
    RemoteCode,
    Revision,
    Seed,
    StackChoice,
)
from msma.cli.options import Stack as StackOption
from msma.cli.saying import make_console, speak_on
from msma.cli.tables import show_result, write_csv
from msma.errors import ConfigError

#: Widest name of a test in the table.
_LONGEST = 46


def register(app: typer.Typer) -> None:
    """Add the command to the program.

    Args:
        app: The program.
    """
    app.command()(bias)


def bias(
    model: Model,
    lists: Annotated[
        Path | None,
        typer.Option(help="Association tests (.json .jsonl .csv); the standard ones when left out."),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="Pairs of texts (.csv .jsonl: first, second); women and men when left out."),
    ] = None,
    concept: Annotated[str, typer.Option(help="What the pairs of --pairs differ in.")] = "concept",
    crows: Annotated[Path | None, typer.Option(help="CrowS-Pairs, as published (.csv).")] = None,
    stereoset: Annotated[Path | None, typer.Option(help="StereoSet, as published (.json) or .jsonl.")] = None,
    winobias: Annotated[
        str | None, typer.Option(help="WinoBias: PRO,ANTI, the two files as published.")
    ] = None,
    erase: Annotated[
        str | None,
        typer.Option(help="Price an erasure at: local, intermediate, global (with commas), or all."),
    ] = None,
    methods: Annotated[
        str, typer.Option(help="leace, projection, or both with a comma.")
    ] = "leace,projection",
    strengths: Annotated[str, typer.Option(help="Shares to take out.")] = "0.5,1",
    texts: Annotated[
        str, typer.Option(help="Ordinary texts for scales, maps and prices: file, Hub dataset, or 'demo'.")
    ] = "demo",
    column: Column = None,
    id_column: IdColumn = None,
    label_columns: LabelColumns = None,
    max_documents: MaxDocuments = None,
    partition: Annotated[
        str,
        typer.Option(
            help="'fused' finds the scales; or a file of scales, ranges like '0-2|3-8|9-12', 'published', 'thirds'."
        ),
    ] = "fused",
    out: Annotated[Path, typer.Option(help="Folder for everything that is found.")] = Path("bias"),
    revision: Revision = None,
    stack: StackOption = StackChoice.auto,
    dtype: Dtype = PrecisionChoice.float32,
    device: Device = "auto",
    trust_remote_code: RemoteCode = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Audit a model for bias: association and language-model tests by scale, where it lives, what erasing it costs."""
    from msma.bias import (
        audit_bias,
        read_association_tests,
        read_crows,
        read_pairs,
        read_stereoset,
        read_winobias,
    )
    from msma.bias.figures import save_figures

    console = make_console(is_quiet=as_json)
    # Everything that can be wrong in a file is found before the model is loaded.
    given: dict[str, Any] = {
        "tests": None if lists is None else read_association_tests(lists),
        "pairs": None if pairs is None else read_pairs(pairs, concept=concept),
        "crows": () if crows is None else read_crows(crows),
        "stereoset": () if stereoset is None else read_stereoset(stereoset),
        "winobias": () if winobias is None else read_winobias(*_two_files(winobias)),
        "erase": _read_scales(erase),
        "methods": tuple(part.strip() for part in methods.split(",") if part.strip()),
        "strengths": read_numbers(strengths, what="strengths", kind=float),
        "documents": read_corpus(
            texts,
            column=column,
            id_column=id_column,
            label_columns=label_columns,
            max_documents=max_documents,
        ),
        "label": label_columns[0] if label_columns else None,
    }
    needs_head = bool(given["crows"] or given["stereoset"] or given["winobias"])
    loaded = load_audited(
        model,
        needs_head=needs_head,
        revision=revision,
        dtype=dtype.value,
        device=device,
        trust_remote_code=trust_remote_code,
    )
    audit = audit_bias(
        loaded,
        out=out,
        partition=None if partition == "fused" else read_partition(partition, loaded, stack=stack.value),
        stack=stack.value,
        seed=seed,
        say=speak_on(console),
        **given,
    )
    save_figures(audit, out / "figures")
    write_csv(out / "results.csv", audit.to_result().to_records())
    if as_json:
        show_result(audit.to_result(), title="bias", as_json=True)
        return
    _show(console, audit, out)


def _two_files(given: str) -> tuple[str, str]:
    parts = [part.strip() for part in given.split(",")]
    if len(parts) != 2:
        raise ConfigError(f"--winobias '{given}' came; expected two files with a comma between: PRO,ANTI")
    return parts[0], parts[1]


def _read_scales(given: str | None) -> tuple[str, ...]:
    from msma._types import SCALES

    if given is None:
        return ()
    names = tuple(part.strip() for part in given.split(",") if part.strip())
    if names == ("all",):
        return tuple(SCALES)
    if not names or not set(names) <= set(SCALES):
        raise ConfigError(f"--erase '{given}' came; expected all, or some of {', '.join(SCALES)}")
    return names


def _show(console: Console, audit: Any, out: Path) -> None:
    from msma._types import SCALES
    from msma.bias import CAUTIONS

    scales = [row for row in audit.associations.rows if row.layer is None]
    table = Table(
        title="association tests: d at each scale (* p < 0.05 after Holm's correction; intervals in results.csv)",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("test", no_wrap=True, max_width=_LONGEST, overflow="ellipsis")
    for name in SCALES:
        table.add_column(name, justify="right", no_wrap=True)
    for test in dict.fromkeys(row.test for row in scales):
        own = {row.scale: row for row in scales if row.test == test}
        cells = ["–" if own[s].effect is None else f"{own[s].effect:+.2f}{_mark(own[s])}" for s in SCALES]
        table.add_row(escape(f"{test}: {own['local'].label}"), *cells)
    console.print("", table, "")
    if audit.prices is not None:
        console.print(_price_table(audit.prices), "")
    for sentence in audit.findings():
        console.print(f"- {sentence}", soft_wrap=True, markup=False)
    console.print(f"\n{CAUTIONS[0]}", soft_wrap=True, markup=False, style="yellow")
    said = f"everything: {out / 'results.csv'}, {out / 'figures'}"
    if audit.prices is not None:
        said += f"; eraser: {out / 'eraser.safetensors'}"
    console.print(said, soft_wrap=True, markup=False)


def _mark(row: Any) -> str:
    return "*" if row.is_significant else " "


def _price_table(prices: Any) -> Table:
    table = Table(
        title=f"what erasing {escape(prices.concept)} leaves and costs", title_justify="left", title_style="bold",
        box=None, pad_edge=False,
    )  # fmt: skip
    for name in ("scale", "method", "share", "linear", "non-linear", prices.recommended.cost_units):
        table.add_column(name, justify="left" if name in ("scale", "method") else "right", no_wrap=True)
    for price in prices.prices:
        table.add_row(
            price.scale,
            price.method,
            f"{price.strength:g}",
            f"{price.output_linear.value:.0%}",
            f"{price.output_nonlinear.value:.0%}",
            "–" if price.is_clean else f"{price.cost.value:+.3f}",
            style="bold" if price is prices.recommended else None,
        )
    return table
