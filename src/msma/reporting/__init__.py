"""The report of a study: one HTML file that needs no network, and its figures for papers."""

import os
from pathlib import Path

from msma.reporting.explanation import write_explanation
from msma.reporting.figures import save_drawings, save_figures
from msma.reporting.intervention import write_summary
from msma.reporting.page import render
from msma.reporting.reading import read_study
from msma.storage import write_text

__all__ = ["save_figures", "write_explanation", "write_report", "write_summary"]


def write_report(folder: str | os.PathLike[str], *, out: str | os.PathLike[str] | None = None) -> Path:
    """Write the report of a study as one HTML file, and every figure as PNG, SVG and PDF beside it.

    Reads only the folder; needs neither the model nor the texts nor a network, and nor does the report.

    Args:
        folder: A folder that a study filled.
        out: The HTML file; ``report.html`` within the folder when left out. Figures go into ``figures`` next
            to it.

    Returns:
        The HTML file.

    Raises:
        StorageError: When a piece of the study is missing or damaged, or the report cannot be written.
        MissingExtraError: When jinja2 or matplotlib is not installed.

    Examples:
        >>> write_report("no/such/study")
        Traceback (most recent call last):
        ...
        msma.errors.StorageError: there is no folder 'no/such/study'; give one that 'msma analyze' filled
    """
    record = read_study(folder)
    file = Path(folder) / "report.html" if out is None else Path(out)
    page = render(record)
    save_drawings(record, file.parent / "figures")
    return write_text(file, page)
