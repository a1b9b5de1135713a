"""The work of a robustness audit: states of clean, perturbed and foreign texts, and what is measured on them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from msma._types import Stack as StackName
from msma.detection import TextDetector
from msma.extraction import extract
from msma.models import LoadedModel
from msma.perturbations import Perturbation, PerturbedTexts, perturb_texts
from msma.progress import progress
from msma.results import Result, Row
from msma.robustness.detecting import RESIDUALS, Panel, detection_rows, fit_panel
from msma.robustness.displacement import displacement_rows, measure_move
from msma.robustness.record import alarm_rows
from msma.robustness.texts import AuditTexts
from msma.robustness.withstanding import gate_rows, labelled_states, probe_rows
from msma.scales import ScalePartition, find_scales
from msma.states import HiddenStates

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class AuditWork:
    """States and detectors of an audit, made when they are first asked for.

    Args:
        loaded: The model.
        texts: Clean texts in three parts.
        perturbations: What is done to the test texts.
        foreign: Texts of other kinds, by name.
        partition: The scales; found on training texts when ``None``.
        alpha: Share of clean texts that may be flagged.
        stack: Stack of an encoder-decoder.
        seed: Fixes every draw.
        say: Told in one line what is being done.
    """

    loaded: LoadedModel
    texts: AuditTexts
    perturbations: tuple[Perturbation, ...]
    foreign: Mapping[str, Sequence[str]]
    partition: ScalePartition | None
    alpha: float
    stack: StackName
    seed: int
    say: Say

    def _extract(
        self, texts: Sequence[str], documents: Sequence[str], *, attention_texts: int = 0
    ) -> HiddenStates:
        return extract(
            self.loaded.network,
            texts,
            tokenizer=self.loaded.tokenizer,
            name=self.loaded.name,
            documents=documents,
            stack=self.stack,
            attention_texts=attention_texts,
            seed=self.seed,
        )

    @cached_property
    def clean(self) -> HiddenStates:
        """States of all clean texts."""
        self.say(f"{len(self.texts.texts)} clean texts")
        return self._extract(self.texts.texts, self.texts.documents, attention_texts=128)

    @cached_property
    def scales(self) -> ScalePartition:
        """The scales, found on training texts where none were given."""
        if self.partition is not None:
            return self.partition
        return find_scales(self.clean.subset(self.texts.parts["train"], part="train"), seed=self.seed)

    @cached_property
    def perturbed(self) -> dict[str, tuple[PerturbedTexts, HiddenStates]]:
        """Perturbed test texts and their states, by name and strength."""
        test, documents = self.texts.of("test"), self.texts.documents_of("test")
        found = {}
        self.say(f"{len(self.perturbations)} perturbations of {len(test)} test texts")
        for one in progress(self.perturbations, label="perturbations"):
            made = perturb_texts(test, one, seed=self.seed)
            found[name_of(one)] = (made, self._extract(made.texts, [documents[i] for i in made.index]))
        return found

    def _originals(self, made: PerturbedTexts) -> HiddenStates:
        return self.clean.subset(self.texts.parts["test"][np.asarray(made.index)], part="test")

    def _is_seen(self, made: PerturbedTexts, states: HiddenStates) -> bool:
        """Tell whether anything moves by more than rounding, which ranks of detectors must not be made of."""
        clean = self._originals(made)
        return any(measure_move(clean.layer(k), states.layer(k)).moved.any() for k in range(states.n_layers))

    def describe(self, one: Perturbation) -> dict[str, Any]:
        """Say what a perturbation did to the test texts, with an example.

        Args:
            one: The perturbation.

        Returns:
            Name, strength, what it does, edits a word, texts skipped, an example.
        """
        made, _ = self.perturbed[name_of(one)]
        shown = next((p for p in made.perturbed if p.is_changed), made.perturbed[0])
        return {
            "name": one.name,
            "strength": one.strength,
            "does": (type(one).__doc__ or "").split("\n", 1)[0],
            "keeps_meaning": one.keeps_meaning,
            "note": one.note,
            "edits_per_word": made.edits_per_word,
            "n": len(made.texts),
            "n_skipped": made.n_skipped,
            "n_unchanged": made.n_unchanged,
            "example": {"original": shown.original, "text": shown.text},
        }

    def displace(self) -> Result:
        """Measure displacement by layer and scale.

        Returns:
            Rows of :func:`msma.robustness.displacement.displacement_rows`.
        """
        rows: list[Row] = []
        for one in self.perturbations:
            made, states = self.perturbed[name_of(one)]
            rows += displacement_rows(
                self._originals(made),
                states,
                self.scales,
                name=one.name,
                strength=one.strength,
                seed=self.seed,
                note=one.note or None,
            )
        return Result("displacement", tuple(rows), {"model": self.loaded.name, "seed": self.seed})

    @cached_property
    def panel(self) -> Panel:
        """All detectors, fitted on training and validation texts."""
        self.say("detectors")
        index = self._fitting
        return fit_panel(
            self.loaded,
            self.clean.subset(index),
            [self.texts.texts[i] for i in index],
            self.scales,
            alpha=self.alpha,
            seed=self.seed,
        )

    @property
    def _fitting(self) -> Any:
        return np.concatenate([self.texts.parts["train"], self.texts.parts["validation"]])

    @cached_property
    def _clean_scores(self) -> dict[str, Any]:
        return self.panel.score(self.clean.subset(self.texts.parts["test"]), self.texts.of("test"))

    def detect(self) -> Result:
        """Compare detectors on every anomaly, and count false alarms.

        Returns:
            Rows of :func:`msma.detection.compare_detectors`, ``split`` the anomaly.
        """
        documents = self.texts.documents_of("test")
        scores = self._clean_scores
        rows: list[Row] = alarm_rows(self.panel.flagged(scores), documents, alpha=self.alpha, seed=self.seed)
        for one in progress(self.perturbations, label="detection"):
            made, states = self.perturbed[name_of(one)]
            if not self._is_seen(made, states):
                self.say(f"{name_of(one)}: the model sees the same tokens, so there is nothing to detect")
                continue
            index = np.asarray(made.index)
            own = [documents[i] for i in index]
            rows += detection_rows(
                {name: values[index] for name, values in scores.items()},
                self.panel.score(states, made.texts),
                name=name_of(one),
                documents=(own, own),
                note=one.note or None,
                seed=self.seed,
            )
        for name, given in self.foreign.items():
            strangers = [f"{name} {i}" for i in range(len(given))]
            states = self._extract(given, strangers)
            rows += detection_rows(
                scores,
                self.panel.score(states, list(given)),
                name=name,
                documents=(documents, strangers),
                seed=self.seed,
            )
        return Result("detection", tuple(rows), {"model": self.loaded.name, "seed": self.seed})

    def probe(self) -> Result:
        """Compare probes on clean and perturbed texts.

        Returns:
            Rows of :func:`msma.robust_probes.compare_probes`.
        """
        parts = {name: self._labelled(name) for name in ("train", "validation", "test")}
        tests = {}
        for name, (made, states) in self.perturbed.items():
            labels = self.texts.labels_of("test")
            tests[name] = labelled_states(
                states, [labels[i] for i in made.index], self.scales, detector=self.panel.detectors[RESIDUALS]
            )
        return probe_rows(
            parts["train"],
            parts["validation"],
            parts["test"],
            tests,
            augmented=self._augmented(),
            seed=self.seed,
        )

    def gate(self) -> Result:
        """Compare what to abstain by.

        Returns:
            Rows of :func:`msma.robust_probes.compare_gates`, ``split`` the perturbation.
        """
        labels = self.texts.labels_of("test")
        tests = {"clean": (self._labelled("test"), self._clean_scores[RESIDUALS])}
        for name, (made, states) in self.perturbed.items():
            part = labelled_states(states, [labels[i] for i in made.index], self.scales)
            tests[name] = (part, self.panel.score(states, made.texts)[RESIDUALS])
        return gate_rows(self._labelled("train"), self._labelled("validation"), tests, seed=self.seed)

    def _labelled(self, part: str) -> Any:
        return labelled_states(
            self.clean.subset(self.texts.parts[part]),
            self.texts.labels_of(part),
            self.scales,
            detector=self.panel.detectors[RESIDUALS],
        )

    def _augmented(self) -> Any:
        """Copies of training texts, each perturbed by one of those that keep the meaning, turn by turn."""
        kinds = [one for one in self.perturbations if one.keeps_meaning] or list(self.perturbations)
        texts, documents, labels = (
            self.texts.of("train"),
            self.texts.documents_of("train"),
            self.texts.labels_of("train"),
        )
        rows = []
        for number, text in enumerate(texts):
            made = kinds[number % len(kinds)](text, seed=self.seed + 1)
            if made is not None and made.is_changed:
                rows.append((made.text, documents[number], labels[number]))
        states = self._extract([row[0] for row in rows], [row[1] for row in rows])
        return labelled_states(states, [row[2] for row in rows], self.scales)

    def detector(self) -> TextDetector:
        """Fit the detector that is saved, on training and validation texts.

        Returns:
            The detector.
        """
        index = self._fitting
        return TextDetector.fit(
            self.loaded,
            [self.texts.texts[i] for i in index],
            partition=self.scales,
            documents=[self.texts.documents[i] for i in index],
            alpha=self.alpha,
            stack=self.stack,
            seed=self.seed,
        )


def name_of(one: Perturbation) -> str:
    """Name a perturbation with its strength, as rows do.

    Args:
        one: The perturbation.

    Returns:
        Both, with a space between.

    Examples:
        >>> from msma.perturbations import KeyboardTypos
        >>> name_of(KeyboardTypos(0.25))
        'keyboard 0.25'
    """
    return f"{one.name} {one.strength:g}"
