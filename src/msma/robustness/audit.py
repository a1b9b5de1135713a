"""audit_robustness(): what perturbations move, what notices them, what withstands them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from msma._types import Stack as StackName
from msma._version import __version__
from msma.corpora import Document, demo_corpus
from msma.detection import TextDetector
from msma.errors import ConfigError, ScaleError
from msma.extraction import extract
from msma.interventions.sites import find_sites
from msma.models import LoadedModel, load_with_head
from msma.perturbations import Perturbation, PerturbedTexts, find_perturbations, perturb_texts
from msma.progress import progress
from msma.results import Result, Row
from msma.resuming import check_settings
from msma.robustness.detecting import RESIDUALS, Panel, detection_rows, fit_panel
from msma.robustness.displacement import displacement_rows, measure_move
from msma.robustness.record import RobustnessAudit, alarm_rows
from msma.robustness.texts import AuditTexts, Unit, foreign_texts, gather_texts
from msma.robustness.withstanding import gate_rows, labelled_states, probe_rows
from msma.scales import ScalePartition, find_scales
from msma.states import HiddenStates
from msma.storage import read_json, write_json

Say = Callable[[str], None]

#: Perturbations that are tried when none are named.
DEFAULT_PERTURBATIONS = "keyboard,ocr,misspelling,case,punctuation,spacing,deletion,order,shuffle,negation"
#: Those whose strength is no number of edits: tried once.
_WHOLE = ("shuffle", "lowercase", "uppercase", "negation")


def audit_robustness(
    model: Any,
    documents: Sequence[Document] | None = None,
    *,
    perturbations: str | Sequence[Perturbation] = DEFAULT_PERTURBATIONS,
    strengths: Sequence[float] = (0.1, 0.3),
    label: str | None = None,
    foreign: Mapping[str, Sequence[str]] | None = None,
    unit: Unit = "sentence",
    partition: ScalePartition | None = None,
    alpha: float = 0.05,
    out: str | Path | None = None,
    stack: StackName = "auto",
    seed: int = 0,
    say: Say | None = None,
) -> RobustnessAudit:
    """Tell what perturbations move at each scale, which detector notices them, and which probe withstands them.

    METHOD section 9. Documents are divided into three parts: detectors, maps and probes are fitted on the first two,
    everything is read on the third. Every piece is written to ``out`` before the next begins, and read from there when
    the same call runs again.

    Args:
        model: A model, its name or folder.
        documents: Clean texts; the demonstration corpus when left out.
        perturbations: Names with commas, or perturbations, which then have strengths of their own.
        strengths: Edits a word, for each named perturbation.
        label: Column that probes are trained on; no probes when left out.
        foreign: Texts of other kinds that are to be noticed, by name; other languages and domains when left out.
        unit: A text is a "sentence", read by itself, or a whole "text".
        partition: The scales; found on the training texts when left out.
        alpha: Share of clean texts that a detector may flag.
        out: Folder for everything found, the detector among it; nothing is written when left out.
        stack: Stack of an encoder-decoder.
        seed: Fixes every draw.
        say: Told in one line what is being done.

    Returns:
        Everything found.

    Raises:
        ConfigError: When a perturbation, a strength or the unit is impossible.
        CorpusError: When there are too few texts, or the label has one class or is missing.
        ScaleError: When the partition is for another number of layers.
        StorageError: When ``out`` holds an audit with other settings.
    """
    say = say or (lambda _: None)
    if unit not in ("sentence", "text"):
        raise ConfigError(f"unit '{unit}' came; expected sentence or text")
    chosen = choose_perturbations(perturbations, strengths)
    loaded = load_with_head(model)
    documents = list(demo_corpus()) if documents is None else list(documents)
    texts = gather_texts(documents, unit=unit, label=label, seed=seed)
    others = foreign_texts() if foreign is None else foreign
    settings = {
        "model": loaded.name,
        "fingerprint": loaded.fingerprint(),
        "texts": _digest([*texts.texts, *map(str, texts.labels or ())]),
        "foreign": _digest([text for name in others for text in (name, *others[name])]),
        "perturbations": [f"{one.name} {one.strength:g}" for one in chosen],
        "label": label,
        "unit": unit,
        "partition": None if partition is None else list(partition.boundaries),
        "alpha": alpha,
        "stack": stack,
        "seed": seed,
    }
    folder = None if out is None else Path(out)
    if folder is not None:
        check_settings(folder / "settings.json", settings, what="an audit")
    known = None if folder is None else folder / "scales.json"
    if partition is None and known is not None and known.is_file():
        partition = ScalePartition.load(known)
    work = _Work(loaded, texts, chosen, others, partition, alpha, stack, seed, say)
    n_layers = find_sites(loaded.network, stack=stack).stack.n_layers
    if partition is not None and partition.n_layers != n_layers:
        raise ScaleError(
            f"a partition of {partition.n_layers} layer entries came for a model of {n_layers}; find the scales of "
            "this model, or take ScalePartition.thirds"
        )
    if known is not None:
        work.scales.save(known)

    def keep(name: str, make: Callable[[], Result]) -> Result:
        path = None if folder is None else folder / f"{name}.json"
        if path is not None and path.is_file():
            say(f"{name}: found in {folder}")
            return Result.load(path)
        say(name)
        made = make()
        if path is not None:
            made.save(path)
        return made

    audit = RobustnessAudit(
        model=loaded.name,
        partition=work.scales,
        unit=unit,
        perturbations=_keep_records(folder, lambda: [work.describe(one) for one in chosen]),
        displacement=keep("displacement", work.displace),
        detection=keep("detection", work.detect),
        probes=None if label is None else keep("probes", work.probe),
        gates=None if label is None else keep("gates", work.gate),
        label=label,
        provenance={**settings, "version": __version__, "n_short": texts.n_short},
    )
    if folder is not None:
        if not (folder / "detector.safetensors").is_file():
            say("detector")
            work.detector().save(folder / "detector.safetensors")
        audit.save(folder)
    return audit


def _keep_records(
    folder: Path | None, make: Callable[[], list[dict[str, Any]]]
) -> tuple[Mapping[str, Any], ...]:
    path = None if folder is None else folder / "perturbations.json"
    if path is not None and path.is_file():
        return tuple(read_json(path))
    made = make()
    if path is not None:
        write_json(path, made)
    return tuple(made)


def choose_perturbations(
    given: str | Sequence[Perturbation], strengths: Sequence[float]
) -> tuple[Perturbation, ...]:
    """Find named perturbations at every strength; those that act on whole texts once.

    Args:
        given: Names with commas, or perturbations.
        strengths: Edits a word.

    Returns:
        The perturbations.

    Raises:
        ConfigError: When a name is unknown, or a strength is not above 0.

    Examples:
        >>> [(one.name, one.strength) for one in choose_perturbations("swap,shuffle", (0.1, 0.3))]
        [('swap', 0.1), ('swap', 0.3), ('shuffle', 1.0)]
    """
    if not isinstance(given, str):
        if not given:
            raise ConfigError("0 perturbations came; give at least one, or names such as 'keyboard,order'")
        return tuple(given)
    if not strengths or not all(np.isfinite(s) and s > 0 for s in strengths):
        raise ConfigError(f"strengths {tuple(strengths)} came; expected edits a word above 0, such as 0.1")
    found = []
    for one in find_perturbations(given):
        found += [one.at(1.0)] if one.name in _WHOLE else [one.at(float(s)) for s in strengths]
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Work:
    """States and detectors, made when they are first asked for."""

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
            found[_name(one)] = (made, self._extract(made.texts, [documents[i] for i in made.index]))
        return found

    def _originals(self, made: PerturbedTexts) -> HiddenStates:
        return self.clean.subset(self.texts.parts["test"][np.asarray(made.index)], part="test")

    def _is_seen(self, made: PerturbedTexts, states: HiddenStates) -> bool:
        """Tell whether anything moves by more than rounding, which ranks of detectors must not be made of."""
        clean = self._originals(made)
        return any(measure_move(clean.layer(k), states.layer(k)).moved.any() for k in range(states.n_layers))

    def describe(self, one: Perturbation) -> dict[str, Any]:
        """Say what a perturbation did to the test texts, with an example."""
        made, _ = self.perturbed[_name(one)]
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
        """Measure displacement by layer and scale."""
        rows: list[Row] = []
        for one in self.perturbations:
            made, states = self.perturbed[_name(one)]
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
        """Compare detectors on every anomaly, and count false alarms."""
        documents = self.texts.documents_of("test")
        scores = self._clean_scores
        rows: list[Row] = alarm_rows(self.panel.flagged(scores), documents, alpha=self.alpha, seed=self.seed)
        for one in progress(self.perturbations, label="detection"):
            made, states = self.perturbed[_name(one)]
            if not self._is_seen(made, states):
                self.say(f"{_name(one)}: the model sees the same tokens, so there is nothing to detect")
                continue
            index = np.asarray(made.index)
            own = [documents[i] for i in index]
            rows += detection_rows(
                {name: values[index] for name, values in scores.items()},
                self.panel.score(states, made.texts),
                name=_name(one),
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
        """Compare probes on clean and perturbed texts."""
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
        """Compare what to abstain by."""
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
        """Fit the detector that is saved, on training and validation texts."""
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


def _name(one: Perturbation) -> str:
    return f"{one.name} {one.strength:g}"


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\x00".join(texts).encode("utf-8", "replace")).hexdigest()[:16]
