"""Association tests as data: four word lists and the sentences that carry them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msma.bias.sentence_templates import TEMPLATES, has_place, write_sentence
from msma.errors import ConfigError, CorpusError

#: The four lists, by the letters of Caliskan et al. 2017.
SIDES = ("x", "y", "a", "b")


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
                texts = (
                    write_sentence(template, word) for template in self.templates[self._kind(word, side)]
                )
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
            faulty = [template for template in given if not has_place(template)]
            if not given or faulty:
                raise CorpusError(
                    f"test '{self.name}' came with {faulty[0] if faulty else templates!r} as a template of '{kind}'; "
                    "expected a list of sentences with {word} or {a word} in each"
                )


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
