"""Read association tests: the standard ones, and one's own from JSON and CSV."""

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from msma.bias.lists import SIDES, AssociationTest, check_names
from msma.bias.seat_files import PUBLISHED_KEYS, parse_published
from msma.errors import ConfigError, CorpusError

#: The built-in tests, in order.
STANDARD_TESTS = (*(f"weat{number}" for number in range(1, 11)), "intelligence")


def standard_tests(names: Sequence[str] | None = None) -> tuple[AssociationTest, ...]:
    """Open published association tests that come with this package.

    "weat1" to "weat10" are the ten of Caliskan, Bryson and Narayanan (2017, supplement), each replicating a study of
    the implicit association test; "intelligence" holds the adjectives of intelligence and of appearance of Garg et al.
    (2018) against male and female terms. Each says whose words it has in ``source``.

    Args:
        names: Which; all when left out.

    Returns:
        The tests.

    Raises:
        ConfigError: When there is no such test.

    Examples:
        >>> [test.label for test in standard_tests(["weat1", "weat7"])]
        ['flowers/insects, pleasant/unpleasant', 'math/arts, male/female terms']
    """
    found = []
    for name in STANDARD_TESTS if names is None else names:
        if name not in STANDARD_TESTS:
            near = get_close_matches(name, STANDARD_TESTS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; there are {', '.join(STANDARD_TESTS)}"
            raise ConfigError(f"standard test '{name}' was asked for, which is unknown{hint}")
        text = files("msma").joinpath("data", "association", f"{name}.json").read_text(encoding="utf-8")
        found.append(_from_record(json.loads(text), name=name, where=f"standard test '{name}'"))
    return tuple(found)


def read_association_tests(path: str | os.PathLike[str]) -> tuple[AssociationTest, ...]:
    """Read association tests of one's own from a file.

    JSON (one test, a list of them, or several one after another, over as many lines as they like), either with the
    names of :class:`AssociationTest` as keys, or as published by May et al. (2019): ``targ1``, ``targ2``, ``attr1``,
    ``attr2``, each with ``category`` and ``examples``. Their files of sentences are read too: what is left of a
    sentence without what carries it ("This is a ...") is its word, plurals with their singular, so that sentences
    about one word stay together; where nothing or more than four words are left, every sentence stands for itself.

    CSV with the columns ``test``, ``list`` (x, y, a or b) and ``word``, and if you like ``kind`` and ``category`` (what
    the list is called).

    Words whose kind is not told are put into sentences that fit any ("I am thinking of the word ...").

    Args:
        path: A .json, .jsonl or .csv file.

    Returns:
        The tests.

    Raises:
        CorpusError: When the file cannot be read, or holds no test, or a test is faulty.
    """
    path = Path(path)
    readers: dict[str, Callable[[str, Path], list[AssociationTest]]] = {
        ".json": _parse_json, ".jsonl": _parse_json, ".csv": _parse_csv
    }  # fmt: skip
    if path.is_dir():
        raise CorpusError(f"'{path}' is a folder; give one of the files in it")
    if path.suffix.lower() not in readers:
        raise CorpusError(
            f"'{path}' ends in '{path.suffix}'; association tests are read from .json, .jsonl and .csv"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise CorpusError(f"there is no file '{path}'; check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"could not read '{path}': {error}; check that it is UTF-8 text") from error
    found = readers[path.suffix.lower()](text, path)
    if not found:
        raise CorpusError(f"'{path}' holds no test; give at least one")
    check_names(found)
    return tuple(found)


def _parse_json(text: str, path: Path) -> list[AssociationTest]:
    records: list[Any] = []
    position, decoder = 0, json.JSONDecoder()
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        try:
            record, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise CorpusError(
                f"'{path}' is not JSON (line {error.lineno}: {error.msg}); correct it there"
            ) from error
        records += record if isinstance(record, list) else [record]
    names = [
        path.stem if len(records) == 1 else f"{path.stem}-{number}" for number in range(1, len(records) + 1)
    ]
    return [_from_record(r, name=n, where=f"'{path}'") for r, n in zip(records, names, strict=True)]


_COLUMNS = ("test", "list", "word")
_OPTIONAL = ("kind", "category")


def _parse_csv(text: str, path: Path) -> list[AssociationTest]:
    reader = csv.DictReader(text.splitlines())
    columns = [column.strip() for column in reader.fieldnames or []]
    if set(columns) - {*_COLUMNS, *_OPTIONAL} or not set(_COLUMNS) <= set(columns):
        raise CorpusError(
            f"'{path}' has the columns {', '.join(columns) or 'none'}; expected {', '.join(_COLUMNS)}, and if you like "
            f"{', '.join(_OPTIONAL)}"
        )
    reader.fieldnames = columns
    tests: dict[str, dict[str, dict[str, list[str]]]] = {}
    for row in reader:
        where = f"line {reader.line_num} of '{path}'"
        if None in row or any(row[column] is None for column in columns):
            raise CorpusError(f"{where} has not the {len(columns)} cells that its header names; correct it")
        side = row["list"].strip().lower()
        if side not in SIDES:
            raise CorpusError(f"{where} names list '{row['list']}'; expected one of {', '.join(SIDES)}")
        test = tests.setdefault(
            row["test"].strip(), {s: {"word": [], "kind": [], "category": []} for s in SIDES}
        )
        for column in ("word", *_OPTIONAL):
            test[side][column].append(row.get(column, "").strip())
    return [_from_columns(name, lists) for name, lists in tests.items()]


def _from_columns(name: str, lists: Mapping[str, Mapping[str, list[str]]]) -> AssociationTest:
    given: dict[str, str] = {}
    for side in SIDES:
        for word, kind in zip(lists[side]["word"], lists[side]["kind"], strict=True):
            if given.setdefault(word, kind) != kind:
                raise CorpusError(
                    f"'{word}' of test '{name}' came with the kinds '{given[word]}' and '{kind}'; give it one"
                )
    x, y, a, b = (tuple(lists[side]["word"]) for side in SIDES)
    names = tuple(next(filter(None, lists[side]["category"]), side.upper()) for side in SIDES)
    exceptions = {word: kind for word, kind in given.items() if kind}
    return AssociationTest(name, x, y, a, b, names=names, exceptions=exceptions)


_KEYS = tuple(f.name for f in fields(AssociationTest) if f.name != "written")


def _from_record(record: Any, *, name: str, where: str) -> AssociationTest:
    if not isinstance(record, Mapping):
        raise CorpusError(
            f"{where} holds {type(record).__name__} where a test was expected; expected {{...}}"
        )
    if any(key in record for key in PUBLISHED_KEYS):
        return parse_published(record, name=name, where=where)
    for key in record:
        if key not in _KEYS:
            near = get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"expected {', '.join(_KEYS)}"
            raise CorpusError(f"{where} has the key '{key}', which is unknown; {hint}")
    missing = [key for key in _KEYS[1:5] if key not in record]
    if missing:
        raise CorpusError(f"{where} has no '{missing[0]}'; a test needs {', '.join(_KEYS[1:5])}")
    return AssociationTest(**{"name": name, **record})
