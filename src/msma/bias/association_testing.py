"""Run association tests on every layer and scale of a model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES
from msma._types import Stack as StackName
from msma.bias.associations import LEVEL, AssociationRow, AssociationTable
from msma.bias.lists import SIDES, AssociationTest, check_names, check_vocabulary
from msma.comparison import holm
from msma.errors import ConfigError, CorpusError, ShapeError
from msma.extraction import extract
from msma.measures.association_design import AssociationDesign
from msma.models import LoadedModel, load_model
from msma.scales import ScalePartition, ScaleRepresentation
from msma.states import HiddenStates

#: The least p, 1 / (1 + draws), then stays below half the level after Holm's correction.
_DRAWS_A_TEST = 40
_UNMATCHED = "words of X and Y are of different kinds, so that their sentences differ in more; compare with words alone"
Say = Callable[[str], None]


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
    :class:`~msma.measures.association_design.AssociationDesign`; a scale is the mean of its layers.

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
            difference=found.difference,
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
