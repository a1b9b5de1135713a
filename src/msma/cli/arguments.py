"""What people write on the command line, turned into numbers, names, texts and documents."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from msma.errors import ConfigError


def read_numbers(text: str, *, what: str, kind: type[int] | type[float]) -> tuple[Any, ...]:
    """Read numbers with commas between.

    Args:
        text: What was written.
        what: What the numbers are, for the message.
        kind: Whole numbers or any.

    Returns:
        The numbers.

    Raises:
        ConfigError: When one is none.

    Examples:
        >>> read_numbers("0,1,2", what="seeds", kind=int)
        (0, 1, 2)
    """
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError as error:
        expected = "numbers with commas, such as 0.05,0.1,0.2"
        if kind is int:
            expected = "whole numbers with commas, such as 0,1,2"
        raise ConfigError(f"{what} '{text}' came; expected {expected}") from error


def read_fractions(text: str) -> tuple[float, float, float]:
    """Read the shares of train, validation and test.

    Args:
        text: What was written.

    Returns:
        Three numbers; whether they are shares is for the split to say.

    Raises:
        ConfigError: When they are not three numbers.

    Examples:
        >>> read_fractions("0.6,0.2,0.2")
        (0.6, 0.2, 0.2)
    """
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"fractions '{text}' came; expected three numbers such as 0.6,0.2,0.2") from error
    return first, second, third


def split_names(given: Iterable[str]) -> tuple[str, ...]:
    """Take names apart that were given one an option, or with commas between.

    Args:
        given: What was written.

    Returns:
        The names.

    Examples:
        >>> split_names(["full, no_geo", "baseline"])
        ('full', 'no_geo', 'baseline')
    """
    names = [part.strip() for name in given for part in name.split(",")]
    return tuple(name for name in names if name)


def read_texts(path: str | Path) -> list[str]:
    """Read the texts of a file or folder.

    Args:
        path: Where they are.

    Returns:
        Texts, without labels.
    """
    from msma.corpora import read_documents

    return [document.text for document in read_documents(path)]


def read_corpus(
    given: str,
    *,
    column: str | None,
    label_columns: Sequence[str] | None,
    max_documents: int | None,
    id_column: str | None = None,
) -> list[Any]:
    """Read documents, or the demonstration corpus for "demo".

    Args:
        given: A file, a folder, or "demo".
        column: Where the text is.
        label_columns: Columns kept as labels.
        max_documents: No more than these.
        id_column: Column that names the document.

    Returns:
        Documents.

    Raises:
        ConfigError: When ``max_documents`` is below 1.
    """
    from msma.corpora import demo_corpus, read_documents

    if given == "demo":
        if max_documents is not None and max_documents < 1:
            raise ConfigError(f"max_documents {max_documents} came; expected 1 or more")
        return list(demo_corpus())[:max_documents]
    corpus = read_documents(
        given,
        column=column,
        id_column=id_column,
        label_columns=tuple(label_columns or ()),
        max_documents=max_documents,
    )
    return list(corpus)
