"""Rows of numbers that are known on all samples and without each group of documents."""

from typing import Any

import numpy as np
from jaxtyping import Float

from msma.comparison import contrast_documents
from msma.results import Row

#: What rows of samples that both studies held out say of their split.
COMMON = "common test"
#: What rows say that hold the second less the first.
DIFFERENCE = "difference"
_FLAT = "a side does not vary enough on these samples to tell its directions from noise"


def parts_row(metric: str, parts: Float[np.ndarray, " parts"], **columns: Any) -> Row:
    """Make a row with the interval of the jackknife over documents.

    Args:
        metric: Name of the quantity.
        parts: One value a group left out, then the value on all samples.
        **columns: Further columns; a null that is not finite is left out.

    Returns:
        The row; without a value, and with a note, where a part is not finite.

    Examples:
        >>> row = parts_row("r2", np.array([0.5, 0.5, 0.5]), source="global", target="local")
        >>> row.value, row.low, row.high, row.split
        (0.5, 0.5, 0.5, 'common test')
    """
    columns.setdefault("split", COMMON)
    if columns.get("null") is not None and not np.isfinite(columns["null"]):
        columns["null"] = None
    if not np.isfinite(parts).all():
        return Row(metric=metric, value=None, **{**columns, "null": None, "note": _FLAT})
    found = contrast_documents(float(parts[-1]), parts[:-1])
    return Row(
        metric=metric, value=found.value, low=found.low, high=found.high, interval="jackknife", **columns
    )
