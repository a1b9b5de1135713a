"""Which moments can be joined, and how their sketches are."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from msma.errors import OriginError
from msma.sketches import LayerSketch

if TYPE_CHECKING:
    from msma.scale_moments.moments import ScaleMoments

#: What may differ between moments that are joined.
_FREE = ("version", "note")


def check_same(first: "ScaleMoments", second: "ScaleMoments") -> None:
    """Refuse moments that cannot be joined.

    Args:
        first: Moments.
        second: Moments of other texts.

    Raises:
        OriginError: When model, scales or settings differ, or only one of the two has a sketch.
    """
    for what in ("origin", "settings"):
        mine, theirs = asdict(getattr(first, what)), asdict(getattr(second, what))
        for key in mine:
            if key in _FREE or mine[key] == theirs[key]:
                continue
            if key == "revision" and None in (mine[key], theirs[key]):
                continue  # not known of a folder; the fingerprint tells
            raise OriginError(_refusal(f"{what} {key}", repr(mine[key]), repr(theirs[key])))
    if first.n and second.n and (first.sketch is None) != (second.sketch is None):
        has_sketch = ("not sketched" if m.sketch is None else "sketched" for m in (first, second))
        raise OriginError(_refusal("layers", *has_sketch))


def join_sketches(first: LayerSketch | None, second: LayerSketch | None) -> LayerSketch | None:
    """Add sketches where there are two.

    Args:
        first: A sketch.
        second: Another.

    Returns:
        The sketch of both.
    """
    if first is None or second is None:
        return first if second is None else second
    return first + second


def _refusal(what: str, first: str, second: str) -> str:
    return (
        f"moments with {what} {first} and {second} cannot be joined; gather both with one model and the same "
        "settings"
    )
