"""Datasets on the Hugging Face Hub, streamed; the only file that knows the ``datasets`` library."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msma.corpora.formats import Row
from msma.errors import CorpusError, MissingExtraError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_FILE_ENDING = re.compile(r"\.[A-Za-z]{1,8}(\.gz)?$")


def is_hub_name(source: str) -> bool:
    """Tell whether a string can be the name of a dataset on the Hub rather than a path.

    Args:
        source: ``name`` or ``owner/name``.

    Returns:
        False for what has a file ending, spaces, more than one slash or a leading dot.

    Examples:
        >>> [is_hub_name(name) for name in ("imdb", "owner/name-v1.0", "texts.csv", "./texts", "It rains.")]
        [True, True, False, False, False]
    """
    return _NAME.fullmatch(source) is not None and _FILE_ENDING.search(source) is None


def read_hub(name: str, *, config: str | None, split: str, labels: Sequence[str]) -> Iterator[Row]:
    """Stream the rows of a dataset, class labels by their names.

    Args:
        name: Name of the dataset.
        config: Its configuration, where it has several.
        split: Its split.
        labels: Columns whose class numbers are turned into class names.

    Yields:
        Each row and its number.

    Raises:
        MissingExtraError: When ``datasets`` is not installed.
        CorpusError: When the Hub cannot be reached, or has no such dataset, configuration or split.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", extra="hub") from error
    number = 0
    try:
        stream = datasets.load_dataset(name, config, split=split, streaming=True)
        namers: dict[str, Any] = {
            label: feature.int2str
            for label, feature in (stream.features or {}).items()
            if label in labels and hasattr(feature, "int2str")
        }
        for row in stream:
            number += 1
            yield f"row {number}", {key: _name(namers.get(key), value) for key, value in row.items()}
    except Exception as error:  # the library raises its own, requests', huggingface_hub's and fsspec's
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
        at = f" after row {number}" if number else ""
        raise CorpusError(
            f"there is no file '{name}', and the Hub did not give a dataset of that name (split '{split}'"
            f"{f', config {config!r}' if config else ''}){at}: {reason}; check the name, or the network"
        ) from error


def _name(namer: Callable[[int], str] | None, value: Any) -> Any:
    """Name a class; -1 is the Hub's way to say that a row has none."""
    if namer is None or value is None:
        return value
    return namer(value) if value >= 0 else None
