"""How wide a text is in a figure, and what of it fits."""

from bisect import bisect_right
from functools import lru_cache

from msma.plotting.style import TEXT


@lru_cache(maxsize=2048)
def inches(text: str) -> float:
    """Measure a text at the size of the figures' text.

    Args:
        text: One line.

    Returns:
        Its width in inches.

    Examples:
        >>> inches(""), inches("iii") < inches("www") < 0.5
        (0.0, True)
    """
    from matplotlib.textpath import TextPath

    plain = text.replace("$", r"\$")  # no mathematics: texts of users may hold dollars
    return float(TextPath((0, 0), plain, size=TEXT).get_extents().width) / 72 if text.strip() else 0.0


def fit(text: str, room: float, *, tail: str = "") -> str:
    """Cut a text that is wider than its room.

    Args:
        text: One line.
        room: Its room in inches.
        tail: What follows it and is never cut.

    Returns:
        The text with its tail, with an ellipsis where something was cut.

    Examples:
        >>> fit("short", 1.0), fit("w" * 40, 0.5, tail=" 0.3").endswith("… 0.3")
        ('short', True)
    """
    if inches(text + tail) <= room:
        return text + tail
    most = bisect_right(range(len(text)), room, key=lambda length: inches(f"{text[:length]}…{tail}")) - 1
    return f"{text[: max(0, most)].rstrip()}…{tail}"
