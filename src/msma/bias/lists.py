"""Association tests as data: four word lists, the sentences that carry them, readers, and the standard tests."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from msma.errors import ConfigError, CorpusError

#: The four lists, by the letters of Caliskan et al. 2017.
SIDES = ("x", "y", "a", "b")

# One set of frames for all kinds, so that a list of names and a list of nouns differ in their words alone.
_FRAMES = ("I am thinking of {}.", "They spoke about {}.", "Somebody mentioned {}.", "The text is about {}.",
           "My example is {}.", "We heard about {}.")  # fmt: skip


def _fill(phrase: str) -> tuple[str, ...]:
    return tuple(frame.format(phrase) for frame in _FRAMES)


#: Sentences that say nothing about what they name, in the spirit of May et al. 2019, by kind of word: a name, a
#: noun that takes an article, one that takes none, a plural, an adjective, a verb; "word" fits any, "sentence" is one.
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "name": _fill("{word}"),
    "noun": _fill("{a word}"),
    "mass": _fill("{word}"),
    "plural": _fill("{word}"),
    "adjective": _fill("something {word}"),
    "verb": _fill("how to {word}"),
    "word": _fill("the word {word}"),
    "sentence": ("{word}",),
}

#: What begins with a vowel letter but not with its sound, and the reverse.
_CONSONANT_SOUNDS = ("eu", "ewe", "once", "one-", "uku", "uni", "use", "usu", "ura", "ute", "uto", "ubi")
_EXCEPT = ("unim", "unin", "unid")
_SILENT = ("heir", "honest", "honor", "honour", "hour")


class Sentences(NamedTuple):
    """Sentences and what each is about.

    Args:
        texts: The sentences.
        words: The word of each.
    """

    texts: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class AssociationTest:
    """Two lists of targets and two of attributes: do X go with A and Y with B?

    Args:
        name: Short name, unique among the tests that are run together.
        targets_x: Words of the first targets.
        targets_y: Words of the second targets.
        attributes_a: Words of the first attributes.
        attributes_b: Words of the second attributes.
        names: What the four lists are called.
        source: Where the words come from.
        templates: Sentences by kind of word, with ``{word}`` or ``{a word}`` (which brings "a" or "an") in each.
        label: The test in a few words; made of the lists' names when left out.
        kinds: Kind of the words in each of the four lists.
        exceptions: Words of another kind than their list.
        written: Sentences that a file gave for the words of each list, instead of templates.

    Raises:
        CorpusError: When a list has fewer than two words, a word is empty, stands twice in a list or on both sides,
            or a kind or template is unknown.

    Examples:
        >>> test = AssociationTest("demo", ("ant", "bee"), ("Ann", "Bob"), ("joy", "fun"), ("woe", "war"),
        ...                        names=("insects", "people", "good", "bad"),
        ...                        kinds=("noun", "name", "mass", "mass"))
        >>> test.label
        'insects/people, good/bad'
        >>> test.sentences("x").texts[:2]
        ('I am thinking of an ant.', 'They spoke about an ant.')
        >>> test.sentences("y", is_templated=False)
        Sentences(texts=('Ann', 'Bob'), words=('Ann', 'Bob'))
    """

    name: str
    targets_x: tuple[str, ...]
    targets_y: tuple[str, ...]
    attributes_a: tuple[str, ...]
    attributes_b: tuple[str, ...]
    names: tuple[str, ...] = ("X", "Y", "A", "B")
    source: str = ""
    templates: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict(TEMPLATES))
    label: str = ""
    kinds: tuple[str, ...] = ("word", "word", "word", "word")
    exceptions: Mapping[str, str] = field(default_factory=dict)
    written: tuple[Mapping[str, tuple[str, ...]], ...] | None = None

    def __post_init__(self) -> None:
        for column in ("targets_x", "targets_y", "attributes_a", "attributes_b", "names", "kinds"):
            value = getattr(self, column)
            if isinstance(value, str) or not all(isinstance(item, str) for item in value):
                raise CorpusError(
                    f"test '{self.name}' came with {value!r} as {column}; expected a list of strings"
                )
            object.__setattr__(self, column, tuple(value))
        for column in ("names", "kinds"):
            if len(getattr(self, column)) != 4:
                raise CorpusError(
                    f"test '{self.name}' came with {len(getattr(self, column))} {column}; expected four, one for "
                    "each of X, Y, A and B"
                )
        if not self.label:
            x, y, a, b = self.names
            object.__setattr__(self, "label", f"{x}/{y}, {a}/{b}")
        self._check_words()
        self._check_kinds()

    @property
    def lists(self) -> dict[str, tuple[str, ...]]:
        """The words by side: "x", "y", "a", "b"."""
        return dict(
            zip(SIDES, (self.targets_x, self.targets_y, self.attributes_a, self.attributes_b), strict=True)
        )

    @property
    def words(self) -> tuple[str, ...]:
        """Every word of the four lists, once."""
        return tuple(dict.fromkeys(word for words in self.lists.values() for word in words))

    @property
    def is_matched(self) -> bool:
        """Whether the words of X and those of Y are put into the same sentences, articles apart."""
        if self.written is not None:
            return True  # what a file gives is its own affair
        frames = [
            {
                t.replace("{a word}", "{word}")
                for word in self.lists[side]
                for t in self.templates[self._kind(word, side)]
            }
            for side in ("x", "y")
        ]
        return frames[0] == frames[1]

    def _kind(self, word: str, side: str) -> str:
        return self.exceptions.get(word, self.kinds[SIDES.index(side)])

    def sentences(self, side: str, *, is_templated: bool = True) -> Sentences:
        """Write a list out, and tell which word each sentence is about.

        Args:
            side: "x", "y", "a" or "b".
            is_templated: Whether words are put into sentences; else they stand alone.

        Returns:
            The sentences; they are the words themselves when ``is_templated`` is false.

        Raises:
            ConfigError: When there is no such list.
        """
        if side not in SIDES:
            raise ConfigError(f"list '{side}' was asked for; a test has {', '.join(SIDES)}")
        number, words = SIDES.index(side), self.lists[side]
        if not is_templated:
            return Sentences(words, words)
        pairs = []
        for word in words:
            if self.written is not None:
                texts: Iterable[str] = self.written[number][word]
            else:
                texts = (_write(template, word) for template in self.templates[self._kind(word, side)])
            pairs += [(text, word) for text in texts]
        return Sentences(tuple(text for text, _ in pairs), tuple(word for _, word in pairs))

    def _check_words(self) -> None:
        for name, words in zip(self.names, self.lists.values(), strict=True):
            where = f"list '{name}' of test '{self.name}'"
            if not all(word.strip() for word in words):
                raise CorpusError(f"{where} came with an empty word; remove it")
            if len(set(words)) < len(words):
                twice = next(word for word in words if words.count(word) > 1)
                raise CorpusError(f"{where} came with '{twice}' twice; name each word once")
            if len(words) < 2:
                raise CorpusError(
                    f"{where} came with {len(words)} words; expected at least 2, better 8 or more"
                )
        for first, second in ((0, 1), (2, 3)):
            ours, theirs = (self.lists[SIDES[i]] for i in (first, second))
            shared = [word for word in ours if word in theirs]
            if shared:
                raise CorpusError(
                    f"'{shared[0]}' stands in both '{self.names[first]}' and '{self.names[second]}' of test "
                    f"'{self.name}', which are held against each other; leave it in one"
                )

    def _check_kinds(self) -> None:
        for kind in (*self.kinds, *self.exceptions.values()):
            if kind not in self.templates:
                raise CorpusError(
                    f"test '{self.name}' came with words of kind '{kind}'; its templates know "
                    f"{', '.join(self.templates)}"
                )
        for kind, templates in self.templates.items():
            given = () if isinstance(templates, str) else templates
            faulty = [template for template in given if not _has_place(template)]
            if not given or faulty:
                raise CorpusError(
                    f"test '{self.name}' came with {faulty[0] if faulty else templates!r} as a template of '{kind}'; "
                    "expected a list of sentences with {word} or {a word} in each"
                )


def with_article(word: str) -> str:
    """Put "a" or "an" before a word, by how English words that are spelled so mostly sound.

    Args:
        word: The word.

    Returns:
        Both.

    Examples:
        >>> [with_article(word) for word in ("rose", "ant", "hour", "unicorn", "uncle", "European")]
        ['a rose', 'an ant', 'an hour', 'a unicorn', 'an uncle', 'a European']
    """
    lower = word.lower()
    sounds_open = lower[:1] in "aeiou" and (
        lower.startswith(_EXCEPT) or not lower.startswith(_CONSONANT_SOUNDS)
    )
    return f"an {word}" if sounds_open or lower.startswith(_SILENT) else f"a {word}"


def _has_place(template: Any) -> bool:
    return isinstance(template, str) and ("{word}" in template or "{a word}" in template)


def _write(template: str, word: str) -> str:
    if template == "{word}":
        return word
    text = template.replace("{a word}", with_article(word)).replace("{word}", word)
    return text[0].upper() + text[1:]


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


def check_vocabulary(tests: Iterable[AssociationTest], tokenizer: Any) -> None:
    """Refuse words that a tokenizer cannot tell from any other unknown word.

    Args:
        tests: The tests.
        tokenizer: The model's; one without an unknown token knows every word.

    Raises:
        CorpusError: When a word becomes the unknown token.
    """
    unknown_id = getattr(tokenizer, "unk_token_id", None)
    if unknown_id is None:
        return
    for test in tests:
        ids = tokenizer(list(test.words), add_special_tokens=False)["input_ids"]
        lost = [word for word, row in zip(test.words, ids, strict=True) if unknown_id in row]
        if lost:
            more = f" and {len(lost) - 8} more" if len(lost) > 8 else ""
            raise CorpusError(
                f"test '{test.name}' has {len(lost)} of {len(test.words)} words that this model's tokenizer does not "
                f"know ({', '.join(lost[:8])}{more}); leave them out, or take a model whose tokenizer knows them"
            )


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


def check_names(tests: Iterable[AssociationTest]) -> None:
    """Refuse two tests of one name, which a table could not tell apart.

    Args:
        tests: The tests.

    Raises:
        CorpusError: When a name comes twice.
    """
    seen: set[str] = set()
    for test in tests:
        if test.name in seen:
            raise CorpusError(f"two tests are called '{test.name}'; give each a name of its own")
        seen.add(test.name)


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


_PUBLISHED = ("targ1", "targ2", "attr1", "attr2")
_KEYS = tuple(f.name for f in fields(AssociationTest) if f.name != "written")


def _from_record(record: Any, *, name: str, where: str) -> AssociationTest:
    if not isinstance(record, Mapping):
        raise CorpusError(
            f"{where} holds {type(record).__name__} where a test was expected; expected {{...}}"
        )
    if any(key in record for key in _PUBLISHED):
        return _from_published(record, name=name, where=where)
    for key in record:
        if key not in _KEYS:
            near = get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"expected {', '.join(_KEYS)}"
            raise CorpusError(f"{where} has the key '{key}', which is unknown; {hint}")
    missing = [key for key in _KEYS[1:5] if key not in record]
    if missing:
        raise CorpusError(f"{where} has no '{missing[0]}'; a test needs {', '.join(_KEYS[1:5])}")
    return AssociationTest(**{"name": name, **record})


def _from_published(record: Mapping[str, Any], *, name: str, where: str) -> AssociationTest:
    lists, names = [], []
    for key in _PUBLISHED:
        part = record.get(key)
        if not isinstance(part, Mapping) or not {"category", "examples"} <= part.keys():
            raise CorpusError(
                f"{where} has no '{key}' with 'category' and 'examples'; it needs {', '.join(_PUBLISHED)}"
            )
        lists.append(tuple(str(word).strip() for word in part["examples"]))
        names.append(str(part["category"]))
    if not all(_is_sentence(text) for words in lists for text in words):
        x, y, a, b = lists
        return AssociationTest(name, x, y, a, b, names=tuple(names))
    written = tuple(_group_sentences(texts) for texts in lists)
    x, y, a, b = (tuple(part) for part in written)
    return AssociationTest(name, x, y, a, b, names=tuple(names), kinds=("sentence",) * 4, written=written)


#: What carries the word in the sentences of May et al. 2019.
_CARRIERS = frozenset(
    (
        *("this", "that", "there", "here", "it", "these", "those", "they", "the", "a", "an", "is", "are"),
        *("can", "may", "will", "did", "thing", "things", "person", "person's", "people", "name"),
    )
)
#: What is left of a sentence is its word up to so many words.
_LONGEST_PHRASE = 4
_IRREGULAR = {"men": "man", "women": "woman", "children": "child"}
_ENDINGS = (("s", ""), ("es", ""), ("ies", "y"), ("ves", "f"), ("ves", "fe"))


def _is_sentence(text: str) -> bool:
    return " " in text and text.endswith((".", "!", "?"))


def _group_sentences(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Bring sentences about one word together; each stands for itself where what it is about cannot be told."""
    phrases = [[word for word in text[:-1].split() if word.lower() not in _CARRIERS] for text in texts]
    is_told = all(1 <= len(phrase) <= _LONGEST_PHRASE for phrase in phrases)
    left = [" ".join(phrase) for phrase in phrases] if is_told else list(texts)
    known = {phrase.lower() for phrase in left}
    groups: dict[str, tuple[str, list[str]]] = {}
    for text, phrase in zip(texts, left, strict=True):
        groups.setdefault(_singular(phrase.lower(), known), (phrase, []))[1].append(text)
    return {shown: tuple(sentences) for shown, sentences in groups.values()}


def _singular(phrase: str, known: set[str]) -> str:
    if phrase == "hers":  # no plural of "her"
        return phrase
    if _IRREGULAR.get(phrase) in known:
        return _IRREGULAR[phrase]
    for ending, instead in _ENDINGS:
        if phrase.endswith(ending) and phrase.removesuffix(ending) + instead in known:
            return phrase.removesuffix(ending) + instead
    return phrase
