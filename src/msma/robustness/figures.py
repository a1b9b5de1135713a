"""The figures of a robustness audit, as files."""

from pathlib import Path

from msma.robustness.record import RobustnessAudit


def save_figures(audit: RobustnessAudit, folder: Path) -> list[Path]:
    """Write the figures of an audit as SVG and PNG.

    Args:
        audit: The audit.
        folder: Where.

    Returns:
        The files written.
    """
    from msma.plotting import plot_coverage, plot_detection, plot_probes, save_figure

    figures = {"displacement": audit.plot(), "detection": plot_detection(audit.detection.rows)}
    if audit.probes is not None:
        figures["probes"] = plot_probes(audit.probes.rows)
    if audit.gates is not None:
        figures["coverage"] = plot_coverage(audit.gates.rows)
    return [path for name, axes in figures.items() for path in save_figure(axes, folder / name)]
