"""audit_robustness(): what perturbations move, what notices them, what withstands them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from msma._types import Stack as StackName
from msma._version import __version__
from msma.corpora import Document, demo_corpus
from msma.errors import ConfigError, ScaleError
from msma.interventions.sites import find_sites
from msma.locking import locked
from msma.models import load_with_head
from msma.perturbations import Perturbation, find_perturbations
from msma.results import Result
from msma.resuming import check_settings
from msma.robustness.record import RobustnessAudit
from msma.robustness.texts import Unit, foreign_texts, gather_texts
from msma.robustness.work import AuditWork, Say
from msma.scales import ScalePartition
from msma.storage import read_json, write_json

#: Perturbations that are tried when none are named.
DEFAULT_PERTURBATIONS = "keyboard,ocr,misspelling,case,punctuation,spacing,deletion,order,shuffle,negation"
#: Those whose strength is no number of edits: tried once.
_WHOLE = ("shuffle", "lowercase", "uppercase", "negation")


@locked("an audit")
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
    work = AuditWork(loaded, texts, chosen, others, partition, alpha, stack, seed, say)
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


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\x00".join(texts).encode("utf-8", "replace")).hexdigest()[:16]
