"""Which figures a study has, drawn once for the page, for the phone and for print."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from msma.bias.price_list import PriceList
from msma.errors import StorageError
from msma.experiment import Experiment
from msma.plotting import (
    COLUMN,
    FORMATS,
    PAGE,
    plot_ablation,
    plot_associations,
    plot_bands,
    plot_bias_layers,
    plot_certificate,
    plot_clouds,
    plot_coverage,
    plot_detection,
    plot_dimensions,
    plot_displacement,
    plot_dose_response,
    plot_effects,
    plot_maps,
    plot_prices,
    plot_probes,
    plot_rows,
    plot_signals,
    plot_similarity,
    plot_spectra,
    save_figure,
    to_inline_svg,
)
from msma.reporting.bias_folder import BiasRecord
from msma.reporting.captions import write_captions
from msma.reporting.clouds import rank_labels
from msma.reporting.reading import StudyRecord, read_study
from msma.reporting.robustness_folder import RobustnessRecord
from msma.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SQUARE, _PRICES = 4.6, 6.0
_BY_LAYER = ("bias_probe", "bias_probe_new_words", "bias_agreement")


class Drawing(NamedTuple):
    """A figure that can be drawn at several widths.

    Args:
        draw: Takes a width in inches, returns axes.
        page: Its width on a page, in inches.
        print: Its width in print: one column or two.
    """

    draw: Callable[[float], "Axes"]
    page: float
    print: float


def list_drawings(record: StudyRecord) -> dict[str, Drawing]:
    """List the figures that a study has the numbers for.

    Args:
        record: A study.

    Returns:
        Figures by name, in the order shown.
    """
    partition = record.partition
    n_layers, boundaries = partition.n_layers, partition.boundaries
    published = record.published.boundaries if record.published is not None else None
    votes = {name: signal.votes for name, signal in partition.signals.items()}
    profiles = {name: signal.profile for name, signal in partition.signals.items()}
    drawings = {
        "bands": Drawing(
            lambda width: plot_bands(n_layers, boundaries, published=published, width=width), PAGE, PAGE
        )
    }
    if votes:
        drawings["votes"] = Drawing(
            lambda width: plot_bands(n_layers, boundaries, votes=votes, width=width), PAGE, PAGE
        )
    if similarity := profiles.get("similarity", {}).get("cka"):
        drawings["similarity"] = Drawing(
            lambda width: plot_similarity(np.asarray(similarity), boundaries, width=width), _SQUARE, COLUMN
        )
    if profiles.get("attention", {}).get("distance") or profiles.get("information", {}).get("mi"):
        drawings["signals"] = Drawing(
            lambda width: plot_signals(profiles, n_layers=n_layers, boundaries=boundaries, width=width),
            PAGE,
            PAGE,
        )
    drawings["shapes"] = Drawing(lambda width: plot_rows(record.manifold, width=width), PAGE, PAGE)
    drawings["spectra"] = Drawing(
        lambda width: plot_spectra(record.curves["spectrum"], width=width), COLUMN, COLUMN
    )
    drawings["dimensions"] = Drawing(
        lambda width: plot_dimensions(record.curves["dimension"], width=width), COLUMN, COLUMN
    )
    drawings["maps"] = Drawing(lambda width: plot_maps(record.maps, width=width), PAGE, PAGE)
    drawings["measures"] = Drawing(lambda width: plot_rows(record.evaluation, width=width), PAGE, PAGE)
    drawings |= _list_learned(record)
    if record.intervention is not None:
        drawings |= list_intervention(record.intervention)
    if record.bias is not None:
        drawings |= list_bias(record.bias)
    if record.robustness is not None:
        drawings |= list_robustness(record.robustness)
    if (probes := record.probes) is not None:
        drawings["probes"] = Drawing(lambda width: plot_rows(probes, width=width), PAGE, PAGE)
    drawings["clouds"] = Drawing(lambda width: _draw_clouds(record, width), PAGE, PAGE)
    return drawings


def list_intervention(experiment: Experiment) -> dict[str, Drawing]:
    """List the figures of an experiment.

    Args:
        experiment: The experiment.

    Returns:
        Figures by name.
    """
    records = experiment.to_records()
    drawings = {"effects": Drawing(lambda width: plot_effects(records, width=width), PAGE, PAGE)}
    if any(record["delta"] is not None for record in records):
        drawings["dose"] = Drawing(lambda width: plot_dose_response(records, width=width), PAGE, PAGE)
    return drawings


def list_bias(audit: BiasRecord) -> dict[str, Drawing]:
    """List the figures that a bias audit has the numbers for.

    Args:
        audit: The audit.

    Returns:
        Figures by name.
    """
    drawings = {}
    associations, location, prices = audit.associations, audit.location, audit.prices
    if associations is not None:
        drawings["associations"] = Drawing(
            lambda width: plot_associations(associations.rows, width=width), PAGE, PAGE
        )
    if location is not None and _has(location, *_BY_LAYER, is_by_layer=True):
        drawings["bias_layers"] = Drawing(lambda width: plot_bias_layers(location, width=width), PAGE, PAGE)
    if prices is not None:
        drawings["prices"] = Drawing(lambda width: _draw_prices(prices, width), _PRICES, COLUMN)
    return drawings


def list_robustness(audit: RobustnessRecord) -> dict[str, Drawing]:
    """List the figures that a robustness audit has the numbers for.

    Args:
        audit: The audit.

    Returns:
        Figures by name.
    """
    drawings = {}
    displacement, detection, probes, gates = audit.displacement, audit.detection, audit.probes, audit.gates
    if displacement is not None and _has(displacement, "displacement", is_by_layer=True):
        drawings["displacement"] = Drawing(
            lambda width: plot_displacement(displacement, width=width), PAGE, PAGE
        )
    if detection is not None and _has(detection, "auroc"):
        drawings["detection"] = Drawing(lambda width: plot_detection(detection, width=width), PAGE, PAGE)
    if probes is not None and _has(probes, "accuracy"):
        drawings["robust_probes"] = Drawing(lambda width: plot_probes(probes, width=width), PAGE, PAGE)
    if gates is not None and any(
        row.metric.startswith("accuracy_at_") and row.value is not None for row in gates
    ):
        drawings["coverage"] = Drawing(lambda width: plot_coverage(gates, width=width), PAGE, PAGE)
    return drawings


def _has(result: Result, *metrics: str, is_by_layer: bool = False) -> bool:
    known = (row for row in result if row.metric in metrics and row.value is not None)
    return any(row.layer is not None or not is_by_layer for row in known)


def _draw_prices(prices: PriceList, width: float) -> "Axes":
    chosen = prices.recommended
    return plot_prices(
        [{**price.to_record(), "cost": asdict(price.cost)} for price in prices.prices],
        chosen=prices.prices.index(chosen),
        frontier=[prices.prices.index(price) for price in prices.frontier],
        units=chosen.cost_units,
        width=width,
    )


def _list_learned(record: StudyRecord) -> dict[str, Drawing]:
    """List the figures about certificate and learned map, where there are any."""
    drawings = {}
    certificate, tuning, ablation = record.certificate, record.tuning, record.ablation
    if certificate is not None:
        drawings["certificate"] = Drawing(
            lambda width: plot_certificate(certificate.curve, width=width), PAGE, PAGE
        )
    if tuning is not None:
        drawings["pareto"] = Drawing(lambda width: tuning.plot(width=width), PAGE, PAGE)
    if ablation is not None:
        drawings["ablation"] = Drawing(lambda width: plot_ablation(ablation.rows, width=width), PAGE, PAGE)
    return drawings


def _draw_clouds(record: StudyRecord, width: float) -> "Axes":
    clouds = record.clouds
    names = rank_labels(clouds["labels"])
    labels = [str(value) for value in clouds["labels"][names[0]]] if names else None
    return plot_clouds(clouds["points"], mapped=clouds["mapped"], labels=labels, width=width)


def inline_figure(drawing: Drawing, *, name: str, title: str, description: str) -> list[str]:
    """Draw a figure for the page and, where it is wider than a phone, once more for the phone.

    Args:
        drawing: The figure.
        name: A word that is unique on the page.
        title: Its finding.
        description: What it shows.

    Returns:
        One or two SVG elements, the wide one first.
    """
    widths = [drawing.page] if drawing.page <= COLUMN else [drawing.page, COLUMN]
    return [
        to_inline_svg(drawing.draw(width), name=f"{name}-{number}", title=title, description=description)
        for number, width in enumerate(widths)
    ]


def save_figures(
    folder: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    formats: Sequence[str] = FORMATS,
    width: float | None = None,
) -> list[Path]:
    """Write every figure of a study for papers: PNG, SVG and PDF, 3.5 or 7 inches wide, with their captions.

    Args:
        folder: A folder that a study filled.
        out: Where the figures go; ``figures`` within the folder when left out.
        formats: What they are written as, out of :data:`msma.plotting.FORMATS`.
        width: Width in inches; each figure's own, one column or two, when left out.

    Returns:
        The files written, ``captions.md`` and ``captions.tex`` last.

    Raises:
        ConfigError: When a format is unknown.
        StorageError: When a piece of the study is missing or damaged.
        MissingExtraError: When matplotlib is not installed.
    """
    out = Path(folder) / "figures" if out is None else Path(out)
    return save_drawings(read_study(folder), out, formats=formats, width=width)


def save_drawings(
    record: StudyRecord, out: Path, *, formats: Sequence[str] = FORMATS, width: float | None = None
) -> list[Path]:
    """Write every figure of a study that was read, and their captions beside them.

    Args:
        record: The study.
        out: Folder of the figures.
        formats: What they are written as, out of :data:`msma.plotting.FORMATS`.
        width: Width in inches; each figure's own, one column or two, when left out.

    Returns:
        The files written, ``captions.md`` and ``captions.tex`` last.

    Raises:
        ConfigError: When a format is unknown.
        StorageError: When a file cannot be written.
    """
    written = []
    drawings = list_drawings(record)
    widths = {name: drawing.print if width is None else width for name, drawing in drawings.items()}
    try:
        for name, drawing in drawings.items():
            written += save_figure(drawing.draw(widths[name]), out / name, formats=formats)
    except OSError as error:
        raise StorageError(
            f"could not write figures to '{out}': {error.strerror or error}; free some space or choose "
            "another folder"
        ) from error
    return [*written, *write_captions(record, drawings, out, widths=widths)]
