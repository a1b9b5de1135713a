"""Run association tests on every layer and scale of a model."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES
from msma._types import Stack as StackName
from msma.bias.lists import SIDES, AssociationTest, check_names, check_vocabulary
from msma.comparison import holm
from msma.errors import ConfigError, CorpusError, MissingExtraError, ShapeError, StorageError
from msma.extraction import extract
from msma.measures.association import AssociationDesign
from msma.models import LoadedModel, load_model
from msma.results import Result, Row
from msma.scales import ScalePartition, ScaleRepresentation
from msma.states import HiddenStates
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

LEVEL = 0.05
#: The least p, 1 / (1 + draws), then stays below half the level after Holm's correction.
_DRAWS_A_TEST = 40
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class AssociationRow:
    """One test at one layer, or at one scale.

    Args:
        test: Name of the test.
        label: The test in a few words.
        layer: Layer entry; ``None`` for the scale as a whole.
        scale: The scale, or the one that the layer belongs to.
        effect: Effect size d, in standard deviations; positive when X goes with A. ``None`` where it does not exist.
        low: Lower end of its 95 % interval over words.
        high: Upper end.
        p: Two-sided, by permuting words.
        p_holm: Corrected within its family: all tests and layers, or all tests and scales.
        p_greater: One-sided, for d > 0, as published; not corrected.
        floor: What chance alone shows: the 95 % quantile of |d| under permutation.
        n_words: Words of the four lists.
        n_sentences: Sentences of the four lists.
        is_exact: Whether every partition of the words was tried.
        note: What a reader must know.
    """

    test: str
    label: str
    layer: int | None
    scale: str
    effect: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    p_greater: float | None
    floor: float | None
    n_words: int
    n_sentences: int
    is_exact: bool
    note: str | None = None

    @property
    def is_significant(self) -> bool:
        """Whether there is an association after correction."""
        return self.p_holm is not None and self.p_holm < LEVEL


_COLUMNS = tuple(f.name for f in fields(AssociationRow))


@dataclass(frozen=True)
class AssociationTable:
    """Association tests by layer and by scale.

    Args:
        rows: Test by test: its layers, then its three scales.
        provenance: Model, tests and settings.
    """

    rows: tuple[AssociationRow, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def significant(self) -> tuple[AssociationRow, ...]:
        """Give the rows with an association after correction.

        Returns:
            Rows with ``p_holm`` below 0.05, layers and scales.
        """
        return tuple(row for row in self.rows if row.is_significant)

    def to_result(self) -> Result:
        """Give the table as tidy rows; p stands in each row's note.

        Returns:
            A result named "associations", one row a test and layer or scale, its metric "association_TEST".
        """
        return Result("associations", tuple(_to_row(row) for row in self.rows), dict(self.provenance))

    def to_frame(self) -> "pd.DataFrame":
        """Give the rows as a pandas table, one column a field.

        Returns:
            A tidy ``DataFrame``.

        Raises:
            MissingExtraError: When pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("pandas", extra="report") from error
        return pd.DataFrame([asdict(row) for row in self.rows], columns=list(_COLUMNS))

    def plot(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw effect sizes by layer and scale.

        Args:
            ax: Axes to draw on; new ones when left out.

        Returns:
            The axes; nothing is shown.
        """
        from msma.plotting import plot_associations

        return plot_associations(self.rows, ax=ax)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the table as JSON.

        Args:
            path: The file.

        Returns:
            The path written.
        """
        rows = [asdict(row) for row in self.rows]
        return write_json(
            path, {"name": "associations", "provenance": dict(self.provenance), "associations": rows}
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            path: The file.

        Returns:
            An equal table.

        Raises:
            StorageError: When the file is missing or holds no such table.
        """
        content = read_json(path)
        try:
            return cls(tuple(AssociationRow(**row) for row in content["associations"]), content["provenance"])
        except (KeyError, TypeError) as error:
            raise StorageError(
                f"'{path}' holds no association tests ({error}); give a file written by AssociationTable.save"
            ) from error


def associate(
    model: Any,
    tests: Sequence[AssociationTest],
    *,
    partition: ScalePartition | None = None,
    templates: bool = True,
    is_centred: bool = False,
    tokenizer: Any = None,
    n_permutations: int = 10_000,
    n_resamples: int = 1000,
    seed: int = 0,
    stack: StackName = "auto",
    say: Say | None = None,
) -> AssociationTable:
    """Test what a model associates, on every layer and at every scale (WEAT, SEAT).

    Every sentence is read once, pooled over its tokens (special ones included), and each layer and scale is tested by
    :class:`~msma.measures.association.AssociationDesign`; a scale is the mean of its layers.

    Args:
        model: A model, its name or folder.
        tests: The tests.
        partition: The scales; thirds when left out.
        templates: Whether words are read in sentences (SEAT) or alone (WEAT).
        is_centred: See :func:`associate_states`.
        tokenizer: The model's own when left out.
        n_permutations: Partitions of the words drawn, or tried where there are no more; at least 40 for each test and
            layer are, so that the least p there can be survives the correction.
        n_resamples: Draws for the intervals.
        seed: Fixes both.
        stack: Stack of an encoder-decoder.
        say: Told in one line each what a reader should know.

    Returns:
        Effects with interval and p, corrected as :func:`associate_states` says.

    Raises:
        CorpusError: When no test came, two have one name, or the tokenizer does not know a word.
        ScaleError: When the partition is for another number of layers.
        ConfigError: When a number of draws is not positive.
    """
    _check_tests(tests)
    loaded = model if isinstance(model, LoadedModel) else load_model(model, tokenizer=tokenizer)
    if loaded is not model or tokenizer is None:
        tokenizer = loaded.tokenizer
    check_vocabulary(tests, tokenizer)
    written = (test.sentences(side, is_templated=templates) for test in tests for side in SIDES)
    texts = list(dict.fromkeys(text for part in written for text in part.texts))
    states = extract(
        loaded.network,
        texts,
        tokenizer=tokenizer,
        name=loaded.name,
        stack=stack,
        attention_texts=0,
        say=say,
    )
    table = associate_states(
        states,
        tests,
        partition=partition,
        templates=templates,
        is_centred=is_centred,
        n_permutations=n_permutations,
        n_resamples=n_resamples,
        seed=seed,
    )
    return replace(table, provenance={**table.provenance, "revision": loaded.revision})


def associate_states(
    states: HiddenStates,
    tests: Sequence[AssociationTest],
    *,
    partition: ScalePartition | None = None,
    templates: bool = True,
    is_centred: bool = False,
    n_permutations: int = 10_000,
    n_resamples: int = 1000,
    seed: int = 0,
) -> AssociationTable:
    """Test associations on states of the tests' sentences.

    Holm's correction is made in two families: over all tests and layers, and over all tests and scales, since the scale
    rows sum up the layer rows and are not further evidence. p takes the attributes as they are and asks about the words
    of X and Y; the interval also asks what other attributes would have shown, so it may hold 0 where p is small.

    In most models the states of a layer share a large mean (Ethayarajh 2019), so that all cosines are close to 1. The
    effect size is free of that scale: it divides by the associations' own spread. But the angles are then those around
    a mean that says nothing about the words; ``is_centred`` subtracts it and tests the angles that are left.

    Args:
        states: One sample a sentence, found by its text.
        tests: The tests.
        partition: The scales; thirds when left out.
        templates: Whether the states are of sentences, or of words alone.
        is_centred: Whether the mean state of all sentences of a test is subtracted before cosines are taken.
        n_permutations: Partitions of the words drawn, or tried where there are no more; at least 40 for each test and
            layer are, so that the least p there can be survives the correction.
        n_resamples: Draws for the intervals.
        seed: Fixes both.

    Returns:
        For each test its layers, then its scales.

    Raises:
        CorpusError: When no test came, two have one name, or a sentence has no state.
        ScaleError: When the partition is for another number of layers.
        ConfigError: When a number of draws is not positive.
    """
    _check_tests(tests)
    partition = ScalePartition.thirds(states.n_layers) if partition is None else partition
    scales = ScaleRepresentation(partition).fit(states)
    n_tests = states.n_layers * len(tests)
    if n_permutations >= 1:
        n_permutations = max(n_permutations, _DRAWS_A_TEST * n_tests)
    cases = [
        _prepare(
            test,
            states,
            templates,
            n_permutations=n_permutations,
            n_resamples=n_resamples,
            seed=seed,
        )
        for test in tests
    ]
    found: list[list[AssociationRow]] = [[] for _ in cases]
    # A layer at a time, so that no more than one is held beside the states.
    for layer in range(states.n_layers):
        array = states.layer(layer)
        for case, rows in zip(cases, found, strict=True):
            row = case.test_at(array, layer=layer, scale=partition.scale_of(layer), is_centred=is_centred)
            rows.append(case.warn(row, n_tests=n_tests))
    for scale, array in scales.transform(states).items():
        for case, rows in zip(cases, found, strict=True):
            row = case.test_at(array, layer=None, scale=scale, is_centred=is_centred)
            rows.append(case.warn(row, n_tests=len(SCALES) * len(tests)))
    provenance = {
        "model": states.origin.model,
        "revision": states.origin.revision,
        "scales": str(partition),
        "texts": states.fingerprint,
        "tests": {test.name: test.source for test in tests},
        "templates": templates,
        "is_centred": is_centred,
        "n_permutations": n_permutations,
        "n_resamples": n_resamples,
        "seed": seed,
    }
    return AssociationTable(_correct([row for rows in found for row in rows]), provenance)


_UNMATCHED = "words of X and Y are of different kinds, so that their sentences differ in more; compare with words alone"


class _Case(NamedTuple):
    """A test with the states that its sentences have, and the partitions that all layers share."""

    asked: AssociationTest
    positions: Mapping[str, Int[np.ndarray, " sentences"]]
    design: AssociationDesign
    note: str | None

    def test_at(
        self, array: Float[np.ndarray, "samples d"], *, layer: int | None, scale: str, is_centred: bool
    ) -> AssociationRow:
        used = np.unique(np.concatenate([*self.positions.values()]))
        centre = array[used].mean(axis=0, dtype=np.float64) if is_centred else 0.0
        vectors = [array[self.positions[side]] - centre for side in SIDES]
        row = AssociationRow(
            test=self.asked.name,
            label=self.asked.label,
            layer=layer,
            scale=scale,
            effect=None,
            low=None,
            high=None,
            p=None,
            p_holm=None,
            p_greater=None,
            floor=None,
            n_words=self.design.n_words,
            n_sentences=sum(len(rows) for rows in self.positions.values()),
            is_exact=self.design.is_exact,
            note=self.note,
        )
        try:
            found = self.design.test(*vectors)
        except (
            ShapeError
        ) as error:  # a layer without an association to measure is no reason to lose the others
            return replace(row, note=str(error))
        return replace(
            row,
            effect=found.effect,
            low=found.low,
            high=found.high,
            p=found.p,
            p_greater=found.p_greater,
            floor=found.floor,
        )

    def warn(self, row: AssociationRow, *, n_tests: int) -> AssociationRow:
        """Say so where the words are too few for any effect to survive the correction of its family."""
        least = self.design.least_p
        if row.p is None or least * n_tests <= LEVEL:
            return row
        few = f"so few words that p cannot fall below {least:.2g}, too much for {n_tests} tests at once"
        return replace(row, note=f"{row.note}; {few}" if row.note else few)


def _prepare(
    test: AssociationTest,
    states: HiddenStates,
    templates: bool,
    *,
    n_permutations: int,
    n_resamples: int,
    seed: int,
) -> _Case:
    row_of = {text: row for row, text in enumerate(states.texts)}
    positions, words = {}, []
    for side in SIDES:
        part = test.sentences(side, is_templated=templates)
        missing = [text for text in part.texts if text not in row_of]
        if missing:
            raise CorpusError(
                f"{len(missing)} of {len(part.texts)} sentences of list {side.upper()} of test '{test.name}' have no "
                f"state ('{missing[0]}'); give states of all its sentences, each found by its text"
            )
        positions[side] = np.array([row_of[text] for text in part.texts])
        words.append(part.words)
    design = AssociationDesign(*words, n_permutations=n_permutations, n_resamples=n_resamples, seed=seed)
    return _Case(test, positions, design, _UNMATCHED if templates and not test.is_matched else None)


def _check_tests(tests: Sequence[AssociationTest]) -> None:
    if isinstance(tests, AssociationTest) or not all(isinstance(test, AssociationTest) for test in tests):
        raise ConfigError(
            f"{type(tests).__name__} came as tests; expected a list of AssociationTest: take standard_tests() or "
            "read_association_tests(path)"
        )
    if not tests:
        raise CorpusError("no test came; give at least one, such as standard_tests(['weat7'])")
    check_names(tests)


def _correct(rows: Sequence[AssociationRow]) -> tuple[AssociationRow, ...]:
    """Correct the layer rows together and the scale rows together."""
    corrected = list(rows)
    for is_layer in (True, False):
        tested = [
            (i, row.p)
            for i, row in enumerate(rows)
            if (row.layer is not None) == is_layer and row.p is not None
        ]
        for (i, _), p in zip(tested, holm([p for _, p in tested]), strict=True):
            corrected[i] = replace(rows[i], p_holm=p)
    return tuple(corrected)


def _to_row(row: AssociationRow) -> Row:
    parts = [row.label]
    if row.p is not None and row.p_holm is not None:
        parts.append(f"p = {row.p:.2g} by permuting words, {row.p_holm:.2g} after Holm's correction")
    if row.note:
        parts.append(row.note)
    return Row(
        metric=f"association_{row.test}",
        value=row.effect,
        low=row.low,
        high=row.high,
        null=None if row.effect is None else 0.0,
        floor=row.floor,
        units="standard deviations",
        target=row.scale,
        layer=row.layer,
        n=row.n_words,
        interval=None if row.effect is None else "bootstrap",
        note="; ".join(parts),
    )
