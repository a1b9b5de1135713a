"""The command of the robustness audit: what perturbations move, what notices them, what withstands them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from msma.cli.arguments import read_corpus, read_numbers, read_texts
from msma.cli.loading import load_audited, read_partition
from msma.cli.options import (
    AsJson,
    Column,
    Device,
    Dtype,
    IdColumn,
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

_DEFAULT = "keyboard,ocr,misspelling,case,punctuation,spacing,deletion,order,shuffle,negation"


def register(app: typer.Typer) -> None:
    """Add the command to the program.

    Args:
        app: The program.
    """
    app.command()(robustness)


def robustness(
    model: Model,
    texts: Annotated[
        str, typer.Argument(help="Clean texts: file (.txt .jsonl .csv .parquet), Hub dataset, or 'demo'.")
    ] = "demo",
    labels: Annotated[
        str | None, typer.Option(help="Column of labels; trains probes and tells which withstand.")
    ] = None,
    perturbations: Annotated[
        str, typer.Option(help="Names with commas, 'a+b' for one after the other, or 'all'.")
    ] = _DEFAULT,
    strengths: Annotated[str, typer.Option(help="Edits a word.")] = "0.1,0.3",
    misspellings: Annotated[
        Path | None, typer.Option(help="File of misspellings ('wrong->right') to perturb with.")
    ] = None,
    paraphrases: Annotated[
        Path | None, typer.Option(help="File of pairs (text, perturbed) that mean the same.")
    ] = None,
    negations: Annotated[Path | None, typer.Option(help="File of pairs (text, perturbed), negated.")] = None,
    foreign: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE of texts to be noticed; repeatable. Built-in ones when left out."),
    ] = None,
    unit: Annotated[str, typer.Option(help="sentence (each read by itself) or text.")] = "sentence",
    partition: Annotated[
        str,
        typer.Option(
            help="'fused' finds the scales; or a file of scales, ranges like '0-2|3-8|9-12', 'published', 'thirds'."
        ),
    ] = "fused",
    alpha: Annotated[float, typer.Option(help="Share of clean texts that a detector may flag.")] = 0.05,
    detector_out: Annotated[
        Path | None, typer.Option(help="File for the detector, besides the one in the folder.")
    ] = None,
    column: Column = None,
    id_column: IdColumn = None,
    max_documents: MaxDocuments = None,
    out: Annotated[Path, typer.Option(help="Folder for everything that is found.")] = Path("robustness"),
    revision: Revision = None,
    stack: StackOption = StackChoice.auto,
    dtype: Dtype = PrecisionChoice.float32,
    device: Device = "auto",
    trust_remote_code: RemoteCode = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Audit a model's robustness: what perturbations move by scale, what notices them, which probe withstands them."""
    from msma.robustness import audit_robustness
    from msma.robustness.figures import save_figures
    from msma.storage import atomic_path

    console = make_console(is_quiet=as_json)
    # Everything that can be wrong in a file is found before the model is loaded.
    chosen = _choose(
        perturbations,
        read_numbers(strengths, what="strengths", kind=float),
        misspellings,
        paraphrases,
        negations,
    )
    documents = read_corpus(
        texts,
        column=column,
        label_columns=[labels] if labels and texts != "demo" else None,
        max_documents=max_documents,
        id_column=id_column,
    )
    others = None if foreign is None else _read_foreign(foreign)
    loaded = load_audited(
        model,
        needs_head=False,
        revision=revision,
        dtype=dtype.value,
        device=device,
        trust_remote_code=trust_remote_code,
    )
    audit = audit_robustness(
        loaded,
        documents,
        perturbations=chosen,
        label=labels,
        foreign=others,
        unit=unit,  # type: ignore[arg-type]
        partition=None if partition == "fused" else read_partition(partition, loaded, stack=stack.value),
        alpha=alpha,
        out=out,
        stack=stack.value,
        seed=seed,
        say=speak_on(console),
    )
    save_figures(audit, out / "figures")
    write_csv(out / "results.csv", audit.to_result().to_records())
    if detector_out is not None:
        with atomic_path(detector_out) as temporary:
            temporary.write_bytes((out / "detector.safetensors").read_bytes())
    if as_json:
        show_result(audit.to_result(), title="robustness", as_json=True)
        return
    _show(console, audit, out, detector_out)


def _choose(
    names: str,
    strengths: Sequence[float],
    misspellings: Path | None,
    paraphrases: Path | None,
    negations: Path | None,
) -> tuple[Any, ...]:
    from msma.perturbations import Misspellings, PairedTexts
    from msma.robustness import choose_perturbations

    chosen = list(choose_perturbations(names, strengths))
    if misspellings is not None:
        chosen = [one for one in chosen if one.name != "misspelling"]
        chosen += [Misspellings.from_file(misspellings, strength=strength) for strength in strengths]
    for path, kind in ((paraphrases, "paraphrase"), (negations, "negation")):
        if path is not None:
            chosen = [one for one in chosen if one.name != kind]
            chosen.append(PairedTexts.from_file(path, kind=kind))  # type: ignore[arg-type]
    return tuple(chosen)


def _read_foreign(given: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    found = {}
    for one in given:
        name, _, path = one.partition("=")
        if not name.strip() or not path.strip():
            raise ConfigError(f"--foreign '{one}' came; expected NAME=FILE, such as german=german.txt")
        found[name.strip()] = tuple(read_texts(path.strip()))
    return found


def _show(console: Console, audit: Any, out: Path, detector_out: Path | None) -> None:
    from msma._types import SCALES
    from msma.robustness import CAUTIONS

    console.print("", _displacement_table(audit, SCALES), "")
    console.print(_detection_table(audit), "")
    for sentence in audit.findings():
        console.print(f"- {sentence}", soft_wrap=True, markup=False)
    console.print(f"\n{CAUTIONS[0]}", soft_wrap=True, markup=False, style="yellow")
    where = detector_out if detector_out is not None else out / "detector.safetensors"
    console.print(
        f"everything: {out / 'results.csv'}, {out / 'figures'}; detector: TextDetector.load('{where}', model)",
        soft_wrap=True,
        markup=False,
    )


def _displacement_table(audit: Any, scales: Sequence[str]) -> Table:
    table = Table(
        title="displacement: 0 stays, 1 is as far as another text",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("perturbation", no_wrap=True)
    for name in (*scales, "local → global"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = audit.displacement
    for name in dict.fromkeys(row.map for row in rows):
        cells = [
            f"{rows.value('displacement', map=name, target=scale, layer=None) or 0.0:.2f}" for scale in scales
        ]
        step = rows.row("amplification", map=name, source="local", target="global")
        cells.append("–" if step.value is None else f"x {step.value:.2f}")
        table.add_row(name, *cells)
    return table


def _detection_table(audit: Any) -> Table:
    found = audit.detection.where(metric="auroc")
    names = list(dict.fromkeys(row.map for row in found))
    table = Table(
        title="AUROC of each detector (0.5 is chance; intervals in results.csv)",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("anomaly", no_wrap=True)
    for name in names:
        table.add_column(name.replace("mahalanobis", "mahal."), justify="right")
    for split in dict.fromkeys(row.split for row in found):
        values = {row.map: row.value or 0.0 for row in found.where(split=split)}
        best = max(values.values())
        table.add_row(
            split,
            *(f"[bold]{values[n]:.2f}[/bold]" if values[n] == best else f"{values[n]:.2f}" for n in names),
        )
    return table
