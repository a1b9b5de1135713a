"""Which keys lie beside each other, and letters that take the case of others."""

from typing import Literal, TypeAlias

__all__ = ["LAYOUTS", "Layout", "find_neighbours", "with_case"]

Layout: TypeAlias = Literal["qwerty", "qwertz", "azerty"]

_ROWS: dict[Layout, tuple[str, str, str]] = {
    "qwerty": ("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    "qwertz": ("qwertzuiop", "asdfghjkl", "yxcvbnm"),
    "azerty": ("azertyuiop", "qsdfghjklm", "wxcvbn"),
}
#: How far each row stands to the right, in keys (ISO/IEC 9995 staggering).
_OFFSETS = (0.0, 0.25, 0.75)
#: Keys whose centres are less than this apart, in keys, touch.
_TOUCHING = 1.3


def find_neighbours(layout: Layout) -> dict[str, str]:
    """Find the letters whose keys touch that of each letter.

    Args:
        layout: The keyboard.

    Returns:
        Neighbours by letter, in lower case.

    Examples:
        >>> find_neighbours("qwerty")["g"], find_neighbours("qwerty")["q"]
        ('tyfhvb', 'wa')
    """
    keys = [
        (letter, column + offset, float(row))
        for row, (letters, offset) in enumerate(zip(_ROWS[layout], _OFFSETS, strict=True))
        for column, letter in enumerate(letters)
    ]
    return {
        letter: "".join(
            other
            for other, x2, y2 in keys
            if other != letter and (x - x2) ** 2 + (y - y2) ** 2 < _TOUCHING**2
        )
        for letter, x, y in keys
    }


#: Neighbours of each letter by layout.
LAYOUTS: dict[Layout, dict[str, str]] = {layout: find_neighbours(layout) for layout in _ROWS}


def with_case(letter: str, like: str) -> str:
    """Give a letter the case of another, where both have one.

    Args:
        letter: Letter, with its marks.
        like: Letter whose case to take.

    Returns:
        The letter; as it was where its other case is not one letter.

    Examples:
        >>> with_case("a", "T"), with_case("ß", "T"), with_case("A", "3")
        ('A', 'ß', 'A')
    """
    cased = letter.upper() if like.isupper() else letter.lower() if like.islower() else letter
    return cased if len(cased) == len(letter) else letter
