"""The command that explains a text across its scales."""

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from msma.cli.options import AsJson, Seed
from msma.cli.saying import make_console, speak_on
from msma.cli.tables import show_result
from msma.errors import CorpusError

#: Backgrounds on a terminal from far down to far up; the middle one is none.
_COLOURS = ("#92c5de", "#dbe9f2", "", "#f8c5a7", "#e57f5b")


def register(app: typer.Typer) -> None:
    """Add the command to the program.

    Args:
        app: The program.
    """
    app.command()(explain)


def explain(
    study: Annotated[
        str, typer.Argument(help="Folder written by 'msma analyze', or a model to run one for.")
    ],
    text: Annotated[str | None, typer.Argument(help="The text; - for standard input.")] = None,
    file: Annotated[Path | None, typer.Option(help="File that holds the text, instead.")] = None,
    corpus: Annotated[
        str, typer.Option(help="Texts to read first, where a model is given: file, Hub dataset, or 'demo'.")
    ] = "demo",
    direction: Annotated[
        str, typer.Option(help="What coordinates run along: own, 'component 1', 'topic=sea'.")
    ] = "own",
    methods: Annotated[str, typer.Option(help="How tokens are scored.")] = "occlusion,gradient",
    n_draws: Annotated[int, typer.Option(help="Random deletions to compare with.")] = 50,
    model: Annotated[
        str | None, typer.Option(help="Where the study's model lies now, if it has moved.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, ...; as in the study when left out.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for page, figure and record.")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Explain a text across the scales: where it lies, which tokens drive it, what its themes predict."""
    from msma.explanation import Explainer

    words = _take_text(text, file)
    console = make_console(is_quiet=as_json)
    say = speak_on(console)
    folder = _take_study(study, corpus, device=device, seed=seed, say=say)
    chosen = tuple(part.strip() for part in methods.split(",") if part.strip())
    explainer = Explainer.open(folder, model=model, device=device, say=say)
    found = explainer.explain(words, direction=direction, methods=chosen, n_draws=n_draws, seed=seed)
    if out is not None:
        _write(found, out)
    if as_json:
        show_result(found.to_result(), title="explanation", as_json=True)
        return
    _show(console, found)
    if out is not None:
        console.print(
            f"page: {out / 'explanation.html'}; figure: {out / 'tokens.svg'}", soft_wrap=True, markup=False
        )


def _take_text(text: str | None, file: Path | None) -> str:
    if (text is None) == (file is None):
        raise CorpusError(
            f"{'no text' if text is None else 'a text and a file'} came; give one text, or --file with one"
        )
    if file is not None:
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CorpusError(f"could not read '{file}' ({error}); give a text file in UTF-8") from error
    return sys.stdin.read() if text == "-" else str(text)


def _take_study(given: str, corpus: str, *, device: str | None, seed: int, say: Any) -> Path:
    """Take a finished study, or run one of a model first; it is kept for the next text."""
    folder = Path(given)
    if (folder / "study.json").is_file() or (folder / "settings.json").is_file():
        return folder
    from msma.configuration import StudyConfig
    from msma.storage import read_json
    from msma.study import Study

    slug = re.sub(r"[^\w.-]+", "-", f"{given}-{Path(corpus).stem}").strip("-.")
    home = Path("msma-explain") / slug
    say(f"'{given}' is no study, so it is taken for a model, and one of it on '{corpus}' is kept in {home}")
    begun = home / "settings.json"
    # Another device is no other study: one that was begun goes on as it is, and only the explanation moves.
    where = read_json(begun).get("device", "auto") if begun.is_file() else device or "auto"
    Study(StudyConfig(model=given, texts=corpus, device=where, seed=seed), home, say=say).run()
    return home


def _write(found: Any, out: Path) -> None:
    from msma.plotting import save_figure
    from msma.reporting import write_explanation

    found.save(out / "explanation.json")
    found.to_result().save(out / "results.json")
    save_figure(found.plot(), out / "tokens")
    write_explanation(found, out / "explanation.html")


def _show(console: Console, found: Any) -> None:
    for item in found.attributions:
        if item.method != found.attributions[0].method:
            continue
        console.print(f"\n[bold]{item.scale}[/bold] [dim]({item.method}, along {item.direction})[/dim]")
        console.print(_colour(found, item.scores), soft_wrap=False)
    console.print()
    from msma.explanation.findings import say_findings

    for sentence in say_findings(found):
        console.print(f"· {sentence}", soft_wrap=True, markup=False)
    console.print()


def _colour(found: Any, scores: tuple[float, ...]) -> Text:
    """Colour the tokens; the strongest are underlined too, for terminals without colour."""
    largest = max((abs(score) for score in scores), default=0.0) or 1.0
    line, here = Text(), 0
    for piece, score in zip(found.tokens, scores, strict=True):
        line.append(found.text[here : piece.start])
        step = round(2 * score / largest)
        colour = _COLOURS[2 + step]
        style = f"black on {colour}" if colour else ""
        line.append(
            found.text[max(here, piece.start) : piece.end], style=f"{style} underline" if step == 2 else style
        )
        here = max(here, piece.end)
    line.append(found.text[here:])
    return line
