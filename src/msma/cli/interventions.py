"""The command of the intervention experiment: what disturbing one scale does to what a model writes."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from msma.cli.arguments import read_numbers, read_texts, split_names
from msma.cli.loading import read_partition
from msma.cli.options import (
    AsJson,
    Column,
    Device,
    Dtype,
    Model,
    PrecisionChoice,
    RemoteCode,
    Revision,
    StackChoice,
)
from msma.cli.options import Stack as StackOption
from msma.cli.saying import make_console, speak_on
from msma.cli.tables import show_result, write_csv
from msma.errors import ConfigError, MissingExtraError

#: Prompts taken from the demonstration corpus: every so many paragraphs, so many words.
_DEMO_STEP, _DEMO_WORDS = 20, 8


def register(app: typer.Typer) -> None:
    """Add the command to the program.

    Args:
        app: The program.
    """
    app.command()(intervene)


def intervene(
    model: Model,
    prompts: Annotated[
        str, typer.Argument(help="File (.txt .jsonl .csv .parquet), Hub dataset, or 'demo'.")
    ] = "demo",
    out: Annotated[Path, typer.Option(help="Folder for everything that is found.")] = Path("intervention"),
    partition: Annotated[
        str, typer.Option(help="File of scales, ranges like '0-2|3-8|9-12', 'published' or 'thirds'.")
    ] = "thirds",
    scales: Annotated[str, typer.Option(help="all, or names with commas: local,global.")] = "all",
    kinds: Annotated[
        str, typer.Option(help="all, or translation,scaling,noise,temperature,heads,replacement.")
    ] = "all",
    strengths: Annotated[
        str, typer.Option(help="Relative norms; below 0 damps (scaling) or goes back (translation).")
    ] = "0.05,0.1,0.2",
    seeds: Annotated[str, typer.Option(help="Seeds of the draws.")] = "0,1,2",
    measures: Annotated[
        list[str] | None, typer.Option("--measure", help="Measure; repeatable. All when left out.")
    ] = None,
    towards: Annotated[
        Path | None, typer.Option(help="Texts that translations move towards; with --away-from.")
    ] = None,
    away_from: Annotated[Path | None, typer.Option(help="Texts that translations move away from.")] = None,
    alignment: Annotated[
        Path | None, typer.Option(help="Folder written by 'msma fit', for replacements.")
    ] = None,
    embedder: Annotated[
        str | None, typer.Option(help="Sentence encoder for coherence: name, folder, 'demo' or 'none'.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens of a continuation at most.")] = 48,
    temperature: Annotated[float, typer.Option(help="Of the draw; 0 takes the likeliest token.")] = 1.0,
    share: Annotated[float, typer.Option(help="Share of the tokens hidden from an encoder.")] = 0.15,
    column: Column = None,
    max_prompts: Annotated[int | None, typer.Option(help="Read at most so many prompts.")] = None,
    prompt_tokens: Annotated[int | None, typer.Option(help="Cut prompts to so many tokens.")] = None,
    stack: StackOption = StackChoice.auto,
    batch_rows: Annotated[int, typer.Option(help="Prompts that run together.")] = 16,
    revision: Revision = None,
    dtype: Dtype = PrecisionChoice.float32,
    device: Device = "auto",
    trust_remote_code: RemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Disturb each scale in every way, beside a control as strong, and measure what the model writes."""
    from msma.experiment import run_experiment
    from msma.interventions import Direction
    from msma.models import load_model
    from msma.reporting import write_summary
    from msma.study import find_model

    console = make_console(is_quiet=as_json)

    say = speak_on(console)
    if (towards is None) != (away_from is None):
        raise ConfigError("only one of --towards and --away-from came; a direction needs texts for both ends")
    numbers, chance = (
        read_numbers(strengths, what="strengths", kind=float),
        read_numbers(seeds, what="seeds", kind=int),
    )
    source, name = find_model(model)
    loaded = load_model(
        source,
        name=name,
        revision=revision,
        dtype=dtype.value,
        device=device,
        trust_remote_code=trust_remote_code,
        has_head=True,
    )
    texts = _read_prompts(loaded, prompts, column=column, most=max_prompts, n_tokens=prompt_tokens, say=say)
    chosen = read_partition(partition, loaded, stack=stack.value)
    direction = None
    if towards is not None and away_from is not None:
        ends = [read_texts(path) for path in (towards, away_from)]
        direction = Direction.between(
            loaded, *ends, stack=stack.value, name=f"{towards.stem}-{away_from.stem}"
        )
    experiment = run_experiment(
        loaded,
        chosen,
        texts,
        scales=_names(scales),
        kinds=_names(kinds),
        strengths=numbers,
        seeds=chance,
        direction=direction,
        alignment=_load_alignment(alignment),
        measures=measures or None,
        embed=None if loaded.head == "masked" else _find_embedder(embedder, device=device, say=say),
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        share=share,
        stack=stack.value,
        batch_rows=batch_rows,
        out=out,
        say=say,
    )
    result = experiment.to_result()
    result.save(out / "results.json")
    write_csv(out / "effects.csv", experiment.to_records())
    page = write_summary(experiment, out)
    if as_json:
        show_result(result, title="intervention", as_json=True)
        return
    _show(console, experiment)
    console.print(f"summary: [bold]{escape(str(page))}[/bold]", soft_wrap=True)
    console.print(f"all numbers: {out / 'effects.csv'}, {out / 'results.json'}", soft_wrap=True, markup=False)


def _names(text: str) -> str | tuple[str, ...]:
    return text if text == "all" else split_names([text])


def _read_prompts(
    loaded: Any, source: str, *, column: str | None, most: int | None, n_tokens: int | None, say: Any
) -> list[str]:
    """Read, cut and count prompts; each is kept once."""
    from msma.corpora import demo_corpus, read_documents

    for name, value in (("--max-prompts", most), ("--prompt-tokens", n_tokens)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} {value} came; expected 1 or more")
    if source == "demo":
        documents = list(demo_corpus())[::_DEMO_STEP]
        texts = [
            d.text if loaded.head == "masked" else " ".join(d.sentence_texts[0].split()[:_DEMO_WORDS])
            for d in documents
        ][:most]
    else:
        texts = [d.text for d in read_documents(source, column=column, max_documents=most)]
    if n_tokens is not None:
        texts = [_cut(loaded.tokenizer, text, n_tokens) for text in texts]
    kept = list(dict.fromkeys(texts))
    if len(kept) < len(texts):
        say(f"{len(texts) - len(kept)} prompts came before and are left out")
    return kept


def _cut(tokenizer: Any, text: str, n_tokens: int) -> str:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return (
        text
        if len(ids) <= n_tokens
        else str(tokenizer.decode(ids[:n_tokens], skip_special_tokens=True)).strip()
    )


def _load_alignment(folder: Path | None) -> Any:
    from msma.alignment import Alignment

    return None if folder is None else Alignment.load(folder)


def _find_embedder(given: str | None, *, device: str, say: Any) -> Any:
    """Load the sentence encoder: the demo's where none is named and it is installed."""
    from msma.experiment import sentence_embedder
    from msma.study import demo_model

    if given == "none":
        return None
    if given not in (None, "demo"):
        return sentence_embedder(given, device=device)
    try:
        found = demo_model()
        return sentence_embedder(found.folder, name=found.name, device=device)
    except MissingExtraError as error:
        if given == "demo":
            raise
        say(f"coherence is left out: {error}")
        return None


def _show(console: Console, experiment: Any) -> None:
    """Print the findings and the effects that differ from the clean text, strongest first."""
    from msma.experiment.findings import change_of, signed

    console.print()
    for sentence in experiment.findings():
        console.print(f"- {sentence}", soft_wrap=True, markup=False)
    found = [effect for effect in experiment.effects if effect.is_significant or effect.is_beyond_control]
    found.sort(key=lambda effect: (not effect.is_beyond_control, -abs(effect.delta or effect.beyond or 0.0)))
    if found:
        table = Table(box=None, pad_edge=False)
        for name in ("scale", "intervention", "measure", "change", "delta", "control", "p"):
            table.add_column(
                name, justify="left" if name in ("scale", "intervention", "measure") else "right"
            )
        for effect in found[:20]:
            p = effect.p_holm if effect.p_holm is not None else effect.beyond_p_holm
            table.add_row(
                effect.scale,
                f"{effect.kind} {effect.strength:+g}",
                effect.measure,
                change_of(effect),
                signed(effect.delta) + ("*" if effect.is_beyond_control else " "),
                signed(effect.control_delta),
                "" if p is None else f"{p:.2g}",
            )
        console.print("", table)
        more = f"; {len(found) - 20} more in effects.csv" if len(found) > 20 else ""
        console.print(f"* beyond its control as well (Holm, 5 %){more}")
