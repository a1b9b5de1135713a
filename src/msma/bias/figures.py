"""The figures of an audit, as files."""

from pathlib import Path

from msma.bias.record import BiasAudit


def save_figures(audit: BiasAudit, folder: Path) -> list[Path]:
    """Write the figures of an audit as PNG, SVG and PDF.

    Args:
        audit: The audit.
        folder: Where.

    Returns:
        The files written.
    """
    from msma.plotting import save_figure

    figures = {"associations": audit.associations.plot(), "layers": audit.plot()}
    if audit.prices is not None:
        figures["prices"] = audit.prices.plot()
    return [path for name, axes in figures.items() for path in save_figure(axes, folder / name)]
