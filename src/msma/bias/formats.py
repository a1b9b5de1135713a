"""Sentence pairs of published bias tests: CrowS-Pairs, StereoSet and WinoBias, read from their own files."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from msma.corpora.formats import read_json_lines, read_table
from msma.errors import ConfigError, CorpusError, StorageError

Direction: TypeAlias = Literal["stereo", "antistereo"]
StereoKind: TypeAlias = Literal["intrasentence", "intersentence"]
WinoKind: TypeAlias = Literal["type1", "type2"]
PathLike: TypeAlias = str | os.PathLike[str]

#: Marks in a sentence of StereoSet where the option goes.
BLANK = "BLANK"
PRONOUNS = frozenset(("he", "she", "him", "her", "his", "hers", "himself", "herself"))

_CROWS_COLUMNS = ("sent_more", "sent_less", "stereo_antistereo", "bias_type")
_LABELS = ("stereotype", "anti-stereotype", "unrelated")
_STEREO_KEYS = ("type", "target", "bias_type", "context", *_LABELS)
#: More faulty pairs than this share mean that the two files do not belong together.
_MOST_FAULTY = 0.1


@dataclass(frozen=True)
class CrowsPair:
    """A pair of CrowS-Pairs (Nangia et al. 2020).

    Args:
        more: The sentence that is more stereotyping.
        less: The other one.
        direction: "stereo" when ``more`` shows the stereotype, "antistereo" when ``less`` speaks against it.
        bias_type: What the stereotype is about ("gender", "race-color").
    """

    more: str
    less: str
    direction: Direction
    bias_type: str


@dataclass(frozen=True)
class StereoItem:
    """An item of StereoSet (Nadeem et al. 2021).

    Args:
        kind: "intrasentence" (the option fills BLANK in the context) or "intersentence" (it follows the context).
        target: The term that the stereotype is about.
        bias_type: "gender", "profession", "race" or "religion".
        context: The context.
        stereotype: The sentence that shows the stereotype.
        anti_stereotype: The one that goes against it.
        unrelated: The one that makes no sense here.
    """

    kind: StereoKind
    target: str
    bias_type: str
    context: str
    stereotype: str
    anti_stereotype: str
    unrelated: str

    @property
    def options(self) -> tuple[str, str, str]:
        """Stereotype, anti-stereotype, unrelated."""
        return self.stereotype, self.anti_stereotype, self.unrelated


@dataclass(frozen=True)
class WinoPair:
    """A pair of WinoBias (Zhao et al. 2018): two sentences that differ in their gendered pronouns only.

    Args:
        pro: The sentence whose pronoun is of the gender that mostly holds the occupation it refers to.
        anti: The other one.
        kind: "type1" (the meaning tells whom the pronoun refers to) or "type2" (syntax does).
        occupation: The occupation that the pronoun refers to; empty where the file does not mark it.
    """

    pro: str
    anti: str
    kind: WinoKind
    occupation: str


class StereoRecord(NamedTuple):
    """An item with the ids of its three sentences, in the order of :attr:`StereoItem.options`."""

    item: StereoItem
    ids: tuple[str, str, str]


def read_crows(path: PathLike) -> tuple[CrowsPair, ...]:
    """Read CrowS-Pairs in its published form, a CSV file.

    Args:
        path: The file, with the columns sent_more, sent_less, stereo_antistereo and bias_type.

    Returns:
        Its pairs, in order.

    Raises:
        StorageError: When there is no such file.
        CorpusError: When columns are missing, a direction is unknown, a sentence is empty, or nothing is there.
    """
    pairs = []
    for place, row in read_table(_existing(path), delimiter=","):
        values = _texts(path, place, row, _CROWS_COLUMNS)
        direction = values["stereo_antistereo"]
        if direction not in get_args(Direction):
            raise CorpusError(
                f"{place} of '{path}' has stereo_antistereo '{direction}'; expected stereo or antistereo"
            )
        pairs.append(
            CrowsPair(
                values["sent_more"],
                values["sent_less"],
                "stereo" if direction == "stereo" else "antistereo",
                values["bias_type"],
            )
        )
    if not pairs:
        raise CorpusError(f"'{path}' holds no pair; expected a CSV file with {', '.join(_CROWS_COLUMNS)}")
    return tuple(pairs)


def read_stereoset(path: PathLike) -> tuple[StereoItem, ...]:
    """Read StereoSet: its published JSON file, or JSON lines of one item each.

    A line has the keys type, target, bias_type, context, stereotype, anti-stereotype and unrelated.

    Args:
        path: The file, in UTF-8.

    Returns:
        Its items, in order; of the published file those within sentences first.

    Raises:
        StorageError: When there is no such file.
        CorpusError: When it is not JSON of either layout, or nothing is there.
    """
    file = _existing(path)
    if not _is_lines(file):
        return tuple(record.item for record in read_stereoset_records(path))
    items = []
    for place, row in read_json_lines(file):
        values = _texts(path, place, row, _STEREO_KEYS)
        items.append(_stereo_item(path, place, values["type"], values, [values[label] for label in _LABELS]))
    if not items:
        raise CorpusError(f"'{path}' holds no item; expected JSON lines with {', '.join(_STEREO_KEYS)}")
    return tuple(items)


def read_stereoset_records(path: PathLike) -> tuple[StereoRecord, ...]:
    """Read StereoSet's published JSON file with the ids of its sentences, which files of predictions refer to.

    Args:
        path: The file (dev.json).

    Returns:
        Items and ids, those within sentences first.

    Raises:
        StorageError: When there is no such file.
        CorpusError: When it is not of the published layout, or nothing is there.
    """
    content = read_json_content(path)
    data = content.get("data") if isinstance(content, Mapping) else None
    if not isinstance(data, Mapping) or not set(get_args(StereoKind)) & set(data):
        raise CorpusError(
            f"'{path}' holds {_describe(content)}; expected StereoSet's layout, "
            '{"data": {"intrasentence": [...], "intersentence": [...]}}'
        )
    records = []
    for kind in get_args(StereoKind):
        for number, row in enumerate(data.get(kind, ()), start=1):
            place = f"{kind} item {number}"
            values = _texts(path, place, row, ("target", "bias_type", "context"))
            found: dict[str, tuple[str, str]] = {}
            for sentence in row.get("sentences", ()):
                parts = _texts(path, place, sentence, ("sentence", "gold_label"))
                found[parts["gold_label"]] = (parts["sentence"], str(sentence.get("id", "")))
            if set(found) != set(_LABELS):
                raise CorpusError(
                    f"{place} of '{path}' has sentences labelled {', '.join(sorted(found)) or 'nothing'}; expected one "
                    f"each of {', '.join(_LABELS)}"
                )
            item = _stereo_item(path, place, kind, values, [found[label][0] for label in _LABELS])
            first, second, third = (found[label][1] for label in _LABELS)
            records.append(StereoRecord(item, (first, second, third)))
    if not records:
        raise CorpusError(f"'{path}' holds no item; expected items under intrasentence or intersentence")
    return tuple(records)


def read_winobias(
    pro_path: PathLike,
    anti_path: PathLike,
    *,
    kind: WinoKind | None = None,
    is_strict: bool = False,
    say: Callable[[str], None] | None = None,
) -> tuple[WinoPair, ...]:
    """Read a pro-stereotyped and an anti-stereotyped file of WinoBias, line by line.

    Line numbers and brackets go, and so does a "the" that the brackets doubled. The published files hold a few lines
    whose two sentences differ in more than their pronouns (8 of 792 in the dev files); likelihoods of these cannot be
    compared, so they are left out.

    Args:
        pro_path: Sentences whose pronoun goes with the stereotype.
        anti_path: The same sentences with the other pronoun.
        kind: Type of the sentences; read from the name of the file when left out.
        is_strict: Refuse files with a line that would be left out.
        say: Told which lines are left out, in a sentence.

    Returns:
        The pairs, in order.

    Raises:
        StorageError: When a file is missing.
        CorpusError: When the files have different numbers of lines or none, or more than a tenth of the lines (with
            ``is_strict``: any) differ in more than their pronouns.
        ConfigError: When the name of the file does not tell the kind.
    """
    names = f"{Path(pro_path).name} {Path(anti_path).name}"
    chosen = kind or next((k for k in get_args(WinoKind) if k in names), None)
    if chosen is None or chosen not in get_args(WinoKind):
        raise ConfigError(
            f"kind {chosen} for '{pro_path}' came, and its name holds neither type1 nor type2; give kind='type1' or "
            "'type2'"
        )
    pro, anti = (_lines(path) for path in (pro_path, anti_path))
    if len(pro) != len(anti):
        raise CorpusError(
            f"'{pro_path}' has {len(pro)} lines and '{anti_path}' {len(anti)}; expected as many, line by line the same "
            "sentence with the other pronoun"
        )
    pairs, faulty = [], []
    for number, (one, other) in enumerate(zip(pro, anti, strict=True), start=1):
        pair = WinoPair(_clean(one), _clean(other), chosen, _referent(one))
        if differing_pronouns(pair.pro, pair.anti):
            pairs.append(pair)
        else:
            faulty.append(number)
    if len(faulty) > (0 if is_strict else _MOST_FAULTY * len(pro)):
        raise CorpusError(
            f"line {faulty[0]} of '{pro_path}' and '{anti_path}' ({len(faulty)} of {len(pro)} lines in all) does not "
            "hold one sentence that differs in its pronouns only; check that the files belong together"
        )
    if faulty and say is not None:
        say(
            f"left out {len(faulty)} of {len(pro)} lines of '{Path(pro_path).name}', whose two sentences differ in "
            f"more than their pronouns: {', '.join(map(str, faulty))}"
        )
    return tuple(pairs)


def differing_pronouns(one: str, other: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Find the pronouns in which two sentences differ.

    Args:
        one: A sentence.
        other: Another.

    Returns:
        For each pronoun where it begins and ends in each sentence; nothing when the sentences differ in anything else,
        or not at all.

    Examples:
        >>> differing_pronouns("He ran.", "She ran."), differing_pronouns("He ran.", "She sat.")
        ([((0, 2), (0, 3))], [])
    """
    words = [list(re.finditer(r"\w+|[^\w\s]", text)) for text in (one, other)]
    if len(words[0]) != len(words[1]):
        return []
    found = []
    for first, second in zip(*words, strict=True):
        if first.group() == second.group():
            continue
        if not {first.group().lower(), second.group().lower()} <= PRONOUNS:
            return []
        found.append((first.span(), second.span()))
    return found


def read_json_content(path: PathLike) -> Any:
    """Read a JSON file that a user gives.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        StorageError: When there is no such file.
        CorpusError: When it is not JSON in UTF-8.
    """
    try:
        return json.loads(_existing(path).read_text(encoding="utf-8-sig"))
    except ValueError as error:  # not UTF-8, or not JSON
        raise CorpusError(f"'{path}' is not JSON in UTF-8 ({error}); expected one whole JSON file") from error


def _existing(path: PathLike) -> Path:
    file = Path(path)
    if not file.is_file():
        state = "is not a file" if file.exists() else "does not exist"
        raise StorageError(f"'{path}' {state}; check the path")
    return file


def _is_lines(file: Path) -> bool:
    """Tell JSON lines of items from the published layout by the first line that is not empty."""
    try:
        with file.open(encoding="utf-8-sig") as stream:
            first = json.loads(next((line for line in stream if line.strip()), "{}"))
    except ValueError:
        return False
    return isinstance(first, Mapping) and "data" not in first


def _texts(path: PathLike, place: str, row: Any, names: tuple[str, ...]) -> dict[str, str]:
    """Take the named values of a row, each a text that is not empty."""
    lacking = [name for name in names if not isinstance(row, Mapping) or name not in row]
    if lacking:
        raise CorpusError(
            f"{place} of '{path}' has {_describe(row)}, so no {', '.join(lacking)}; expected {', '.join(names)}"
        )
    empty = [name for name in names if not isinstance(row[name], str) or not row[name].strip()]
    if empty:
        raise CorpusError(f"{place} of '{path}' has no text in {', '.join(empty)}; expected a text in each")
    return {name: row[name].strip() for name in names}


def _describe(value: Any) -> str:
    return (
        ", ".join(repr(str(key)) for key in value) or "nothing"
        if isinstance(value, Mapping)
        else repr(value)[:60]
    )


def _stereo_item(
    path: PathLike, place: str, kind: str, values: Mapping[str, str], options: list[str]
) -> StereoItem:
    if kind not in get_args(StereoKind):
        raise CorpusError(
            f"{place} of '{path}' is of type '{kind}'; expected one of {', '.join(get_args(StereoKind))}"
        )
    if kind == "intrasentence" and BLANK not in values["context"]:
        raise CorpusError(
            f"{place} of '{path}' has no {BLANK} in its context; expected it where the options differ"
        )
    chosen: StereoKind = "intrasentence" if kind == "intrasentence" else "intersentence"
    return StereoItem(chosen, values["target"], values["bias_type"], values["context"], *options)


def _lines(path: PathLike) -> list[str]:
    try:
        content = _existing(path).read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise CorpusError(f"'{path}' is not text in UTF-8 ({error}); expected a sentence a line") from error
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    if not lines:
        raise CorpusError(f"'{path}' holds no line; expected a sentence a line")
    return lines


def _clean(line: str) -> str:
    bare = re.sub(r"[\[\]]", "", re.sub(r"^\d+\s+", "", line))
    return re.sub(r"\b(the) the\b", r"\1", " ".join(bare.split()), flags=re.IGNORECASE)


def _referent(line: str) -> str:
    marked: Iterator[str] = (part.strip().lower() for part in re.findall(r"\[(.*?)\]", line))
    return next((re.sub(r"^(the|an?)\s+", "", part) for part in marked if part not in PRONOUNS), "")
