"""How a report writes numbers: few digits, a true minus sign, and never a value without what belongs to it."""

from math import floor, log10

from msma.plotting.style import RowLike

NOTHING = "–"


def show(value: float | None, *, like: float | None = None) -> str:
    """Write a number with three significant digits and at most three decimals.

    Args:
        value: The number.
        like: A number whose count of decimals is taken over, so that an interval reads like its value.

    Returns:
        The text; an en dash where there is no number.

    Examples:
        >>> show(0.8617), show(-41.26), show(12345.0), show(None), show(0.0), show(0.00004)
        ('0.862', '−41.3', '12,345', '–', '0', '0.00004')
        >>> show(2.0, like=812.4)
        '2'
    """
    if value is None:
        return NOTHING
    if value == round(value) and abs(value) < 1000 and like is None:
        return f"{value:.0f}".replace("-", "−")
    if abs(value) < 5e-4 and like is None:
        return f"{value:.0e}".replace("-", "−", 1) if abs(value) < 1e-5 else f"{value:.5f}".replace("-", "−")
    text = f"{value:,.{_decimals(value if like is None else like)}f}"
    # A rounded "-0.00" would claim a sign that is not there.
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def _decimals(value: float) -> int:
    if value == 0:
        return 3
    return min(3, max(0, 2 - floor(log10(abs(value)))))


def show_interval(row: RowLike) -> str:
    """Write a value with its interval.

    Args:
        row: A row of results.

    Returns:
        The text, the interval in brackets where there is one.

    Examples:
        >>> from msma.results import Row
        >>> show_interval(Row(metric="r2", value=0.8617, low=0.85, high=0.874))
        '0.862 [0.850, 0.874]'
    """
    if row.value is None or row.low is None or row.high is None:
        return show(row.value)
    like = _finest(row.value, row.low, row.high)
    return f"{show(row.value, like=like)} [{show(row.low, like=like)}, {show(row.high, like=like)}]"


def _finest(value: float, low: float, high: float) -> float:
    """Pick whose decimals to use: the value's, unless the interval is too narrow to be told at that."""
    width = high - low
    return width if width > 0 and _decimals(width) > _decimals(value) and width < abs(value) / 100 else value


def show_share(value: float | None) -> str:
    """Write a share as a whole percentage.

    Args:
        value: From 0 to 1, or beyond where a share can be.

    Returns:
        The text.

    Examples:
        >>> show_share(0.8617), show_share(-1.94), show_share(0.998), show_share(None)
        ('86%', '−194%', '99.8%', '–')
    """
    if value is None:
        return NOTHING
    digits = 1 if 0.99 < value < 1 or 0 < value < 0.01 else 0
    return f"{value * 100:,.{digits}f}%".replace("-", "−")


def show_layers(layers: range) -> str:
    """Write a range of layers.

    Args:
        layers: A non-empty range.

    Returns:
        The words.

    Examples:
        >>> show_layers(range(3, 9)), show_layers(range(5, 6))
        ('layers 3–8', 'layer 5')
    """
    if len(layers) == 1:
        return f"layer {layers[0]}"
    return f"layers {layers[0]}–{layers[-1]}"


def count_of(number: int, word: str, words: str = "") -> str:
    """Write how many of a thing there are.

    Args:
        number: How many.
        word: What one is called.
        words: What several are called; the word with an "s" when left out.

    Returns:
        The text.

    Examples:
        >>> count_of(1, "test"), count_of(0, "test"), count_of(2, "anomaly", "anomalies")
        ('1 test', '0 tests', '2 anomalies')
    """
    return f"{number} {word if number == 1 else words or f'{word}s'}"


def join_words(words: list[str]) -> str:
    """Join words as in a sentence.

    Args:
        words: One or more.

    Returns:
        The text.

    Examples:
        >>> join_words(["a"]), join_words(["a", "b"]), join_words(["a", "b", "c"])
        ('a', 'a and b', 'a, b and c')
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def begin(text: str) -> str:
    """Begin a sentence with a capital letter, leaving the rest as it is.

    Args:
        text: The sentence.

    Returns:
        The same with its first letter raised.

    Examples:
        >>> begin("ridge and KL"), begin("")
        ('Ridge and KL', '')
    """
    return text[:1].upper() + text[1:]
