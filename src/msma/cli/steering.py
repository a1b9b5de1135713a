"""The command of steering: which scale and strength move a model towards some texts, and at what cost."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from msma.cli.arguments import read_numbers, read_texts
from msma.cli.loading import read_partition
from msma.cli.options import (
    AsJson,
    Device,
    Dtype,
    Model,
    PrecisionChoice,
    RemoteCode,
    Revision,
    Seed,
    StackChoice,
)
from msma.cli.options import Stack as StackOption
from msma.cli.saying import make_console, speak_on
from msma.cli.tables import show_result

_LONGEST = 160


def register(app: typer.Typer) -> None:
    """Add the command to the program.

    Args:
        app: The program.
    """
    app.command()(steer)


def steer(
    model: Model,
    towards: Annotated[str, typer.Option(help="File of texts that have what is wanted, or 'demo-sea'.")],
    away_from: Annotated[str, typer.Option(help="File of texts that do not, or 'demo-home'.")],
    scale: Annotated[str, typer.Option(help="auto, local, intermediate or global.")] = "auto",
    partition: Annotated[
        str | None,
        typer.Option(
            help="File of scales, ranges like '0-2|3-8|9-12', 'published' or 'thirds'; the published ones, else "
            "thirds, when left out."
        ),
    ] = None,
    strengths: Annotated[str, typer.Option(help="Relative norms to try.")] = "0.05,0.1,0.2,0.4",
    prompts: Annotated[
        Path | None, typer.Option(help="File of texts to continue; beginnings of the texts when left out.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of the draws.")] = "0,1",
    max_loss: Annotated[float, typer.Option(help="Nats a token that steering may cost.")] = 0.5,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens of a continuation.")] = 24,
    temperature: Annotated[float, typer.Option(help="Of the draw; 0 takes the likeliest token.")] = 0.8,
    out: Annotated[Path, typer.Option(help="Folder for direction, curve and figure.")] = Path("steering"),
    revision: Revision = None,
    stack: StackOption = StackChoice.auto,
    dtype: Dtype = PrecisionChoice.float32,
    device: Device = "auto",
    trust_remote_code: RemoteCode = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Steer a model towards some texts: try scales and strengths, keep the best for what it costs."""
    from msma.models import load_model
    from msma.plotting import save_figure
    from msma.steering import DEMONSTRATIONS
    from msma.steering import steer as choose
    from msma.study import find_model

    console = make_console(is_quiet=as_json)
    sides = [given if given in DEMONSTRATIONS else read_texts(Path(given)) for given in (towards, away_from)]
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
    steering = choose(
        loaded,
        *sides,
        scale=scale,  # type: ignore[arg-type]
        partition=None if partition is None else read_partition(partition, loaded, stack=stack.value),
        strengths=read_numbers(strengths, what="strengths", kind=float),
        prompts=None if prompts is None else read_texts(prompts),
        seeds=read_numbers(seeds, what="seeds", kind=int),
        max_loss=max_loss,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        stack=stack.value,
        seed=seed,
        say=speak_on(console),
    )
    result = steering.to_result()
    steering.save(out)
    result.save(out / "results.json")
    save_figure(steering.plot(), out / "tradeoff")
    if as_json:
        show_result(result, title="steering", as_json=True)
        return
    _show(console, steering)
    console.print(
        f"curve: {out / 'tradeoff.svg'}; to use again: Steering.load('{out}', model)",
        soft_wrap=True,
        markup=False,
    )


def _show(console: Console, steering: Any) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("scale", "strength", "effect", "95 % interval", "loss", "random: effect", "loss"):
        table.add_column(name, justify="left" if name == "scale" else "right")
    for point in steering.curve:
        cells = (
            point.scale,
            f"{point.strength:g}",
            f"{point.effect:+.2f}",
            f"{point.effect_low:+.2f} to {point.effect_high:+.2f}",
            f"{point.loss:+.2f}",
            f"{point.control_effect:+.2f}",
            f"{point.control_loss:+.2f}",
        )
        table.add_row(*cells, style="bold" if point is steering.chosen else None)
    console.print("", table, "")
    console.print(steering.describe(), soft_wrap=True, markup=False)
    for sample in steering.samples(2):
        console.print(f"\nprompt:  {_line(sample.prompt)}", soft_wrap=True, markup=False)
        console.print(f"clean:   … {_line(sample.clean)}", soft_wrap=True, markup=False)
        console.print(f"steered: … {_line(sample.steered)}", soft_wrap=True, markup=False)
    console.print()


def _line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else words[:_LONGEST] + "…"
