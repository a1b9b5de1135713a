"""The figures of a robustness audit, as files."""

from pathlib import Path

from msma.robustness.record import RobustnessAudit


def save_figures(audit: RobustnessAudit, folder: Path) -> list[Path]:
    """Write the figures of an audit as PNG, SVG and PDF, and one of the displacement by each perturbation.

    Args:
        audit: The audit.
        folder: Where.

    Returns:
        The files written.
    """
    from msma.plotting import plot_coverage, plot_detection, plot_displacement, plot_probes, save_figure

    figures = {"displacement": audit.plot(), "detection": plot_detection(audit.detection.rows)}
    if audit.probes is not None:
        figures["probes"] = plot_probes(audit.probes.rows)
    if audit.gates is not None:
        figures["coverage"] = plot_coverage(audit.gates.rows)
    for kind in dict.fromkeys(one["name"] for one in audit.perturbations):
        own = [row for row in audit.displacement if (row.map or "").rpartition(" ")[0] == kind]
        figures[f"displacement-{kind.replace('+', '-')}"] = plot_displacement(own, has_every_strength=True)
    return [path for name, axes in figures.items() for path in save_figure(axes, folder / name)]
