"""Figures as files: for screens, for pages, for papers."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msma.errors import ConfigError
from msma.plotting.style import SURFACE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What figures are written as.
FORMATS = ("png", "svg", "pdf")
_DPI = 200


def save_figure(
    axes: "Axes", path: str | os.PathLike[str], *, formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Write the figure that holds some axes on white: PNG at 200 dots an inch, SVG and PDF as vectors.

    In SVG and PDF text stays text; a PDF carries its fonts as TrueType, as publishers ask. Equal figures give
    equal files with the same matplotlib.

    Args:
        axes: Any axes of the figure.
        path: The file without its suffix; missing folders are made.
        formats: Suffixes out of :data:`FORMATS`.

    Returns:
        The paths written.

    Raises:
        ConfigError: When a format is unknown.

    Examples:
        >>> import tempfile
        >>> from msma.plotting import plot_bands
        >>> folder = Path(tempfile.mkdtemp())
        >>> [p.name for p in save_figure(plot_bands(7, (3, 5)), folder / "bands")]
        ['bands.png', 'bands.svg', 'bands.pdf']
    """
    for suffix in formats:
        if suffix not in FORMATS:
            raise ConfigError(f"figure format '{suffix}' came; expected {', '.join(FORMATS)}")
    import matplotlib as mpl

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    # Without a date and with fixed ids, the same numbers give the same file.
    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    written = []
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "msma", "pdf.fonttype": 42}):
        for suffix in formats:
            file = Path(f"{os.fspath(path)}.{suffix}")
            figure: Any = axes.get_figure(root=True)
            figure.savefig(file, format=suffix, dpi=_DPI, facecolor=SURFACE, metadata=metadata.get(suffix))
            written.append(file)
    return written
