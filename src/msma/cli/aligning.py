"""Commands from states to maps: find the scales, fit a map for each pair, score it, bound it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from msma.cli.arguments import read_fractions
from msma.cli.options import (
    AsJson,
    Fractions,
    MinLayers,
    Reduction,
    ReductionChoice,
    Scales,
    Seed,
    StatesDir,
    Votes,
)
from msma.cli.tables import show_result
from msma.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the commands to the program.

    Args:
        app: The program.
    """
    app.command()(scales)
    app.command()(fit)
    app.command()(evaluate)
    app.command()(certify)


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


def _holds_moments(folder: Path) -> bool:
    return (folder / "moments.json").is_file()


def _open_test(folder: Path, *, seed: int, fractions: str) -> Any:
    """Open the test split of states, or the held-out sample beside moments, which was split when it was drawn."""
    from msma.scale_moments import ScaleMoments
    from msma.states import HiddenStates

    if _holds_moments(folder):
        return ScaleMoments.load(folder).test
    return HiddenStates.load(folder).split(seed=seed, fractions=read_fractions(fractions)).test
