"""audit_bias(): association tests, language-model tests, where a bias lives, how it travels, what erasing it costs."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from msma._types import SCALES, Scale
from msma._types import Stack as StackName
from msma._version import __version__
from msma.alignment import Alignment
from msma.bias.association_testing import associate
from msma.bias.associations import AssociationTable
from msma.bias.carrying import carried_bias
from msma.bias.crows import CrowsScore
from msma.bias.crows_scoring import crows_score
from msma.bias.formats import CrowsPair, StereoItem, WinoPair
from msma.bias.likelihood import check_language_model
from msma.bias.list_files import standard_tests
from msma.bias.lists import AssociationTest, check_vocabulary
from msma.bias.location import locate_bias, read_pairs_states
from msma.bias.ordinary import OrdinaryTexts
from msma.bias.pairs import TextPairs, gender_pairs
from msma.bias.price_list import PriceList
from msma.bias.pricing import check_erasures, price_erasure
from msma.bias.record import BiasAudit
from msma.bias.stereoset import StereoScore
from msma.bias.stereoset_scoring import stereoset_score
from msma.bias.winobias import WinoScore, winobias_score
from msma.corpora import Document, demo_corpus, split_sentences
from msma.errors import ScaleError
from msma.extraction import extract
from msma.interventions.sites import find_sites
from msma.locking import locked
from msma.models import LoadedModel, load_with_head
from msma.results import Result
from msma.resuming import check_settings
from msma.scales import ScalePartition, find_scales
from msma.states import HiddenStates

Say = Callable[[str], None]
#: Sentences that maps are fitted on at most, and items of a language-model test in the price list.
_SENTENCES, _ITEMS = 3000, 200

#: Standard tests about women and men.
_GENDERED = ("weat6", "weat7", "weat8", "intelligence")


class _Saved(Protocol):
    def save(self, path: Any) -> Path: ...

    @classmethod
    def load(cls, path: Any) -> Self: ...


_Piece = TypeVar("_Piece", bound=_Saved)


@locked("an audit")
def audit_bias(
    model: Any,
    *,
    out: str | Path | None = None,
    tests: Sequence[AssociationTest] | None = None,
    pairs: TextPairs | None = None,
    crows: Sequence[CrowsPair] = (),
    stereoset: Sequence[StereoItem] = (),
    winobias: Sequence[WinoPair] = (),
    erase: Sequence[Scale] = (),
    methods: Sequence[str] = ("leace", "projection"),
    strengths: Sequence[float] = (0.5, 1.0),
    documents: Sequence[Document] | None = None,
    label: str | None = None,
    partition: ScalePartition | None = None,
    stack: StackName = "auto",
    seed: int = 0,
    say: Say | None = None,
) -> BiasAudit:
    """Tell where in a model a social bias lives, how it travels between scales, and what taking it out costs.

    METHOD section 8. Every piece is written to ``out`` before the next begins, and read from there when the same
    command runs again.

    Args:
        model: A model, its name or folder; loaded with its language head where there is one.
        out: Folder for everything found; nothing is written when left out.
        tests: Association tests; the standard ones (WEAT 1 to 10 and more, in sentences) when left out.
        pairs: Pairs that differ in the concept; gender when left out.
        crows: CrowS-Pairs, for models with a language head.
        stereoset: StereoSet, likewise.
        winobias: WinoBias, likewise.
        erase: Scales to price an erasure at.
        methods: "leace", "projection".
        strengths: Shares taken out.
        documents: Ordinary texts, for scales, maps and prices; the demonstration corpus when left out.
        label: Column that the price list probes; the first that can be when left out.
        partition: The scales; found on the documents when left out.
        stack: Stack of an encoder-decoder.
        seed: Fixes every draw.
        say: Told in one line what is being done.

    Returns:
        Everything found.

    Raises:
        ModelError: When a language-model test was asked for and the model has no head.
        ConfigError: When a method, scale or strength of the erasure is impossible.
        CorpusError: When there are too few pairs or documents, the label cannot be probed, or the tokenizer does not
            know a word of the tests.
        ScaleError: When the partition is for another number of layers.
        StorageError: When ``out`` holds an audit with other settings.
    """
    say = say or (lambda _: None)
    loaded = load_with_head(model)
    if crows or stereoset or winobias:
        check_language_model(loaded)
    tests = standard_tests() if tests is None else tuple(tests)
    pairs = gender_pairs() if pairs is None else pairs
    documents = list(demo_corpus()) if documents is None else list(documents)
    n_layers = find_sites(loaded.network, stack=stack).stack.n_layers
    if partition is not None and partition.n_layers != n_layers:
        raise ScaleError(
            f"a partition of {partition.n_layers} layer entries came for a model of {n_layers}; "
            "find the scales of this model, or take ScalePartition.thirds"
        )
    # What can be wrong in the texts is told before hours of reading, not after them.
    _, train, test = pairs.split(seed=seed)
    check_vocabulary(tests, loaded.tokenizer)
    ordinary = None
    if erase:
        check_erasures(erase, methods, strengths)
        ordinary = OrdinaryTexts.from_documents(documents, label=label, seed=seed)
    settings = {
        "model": loaded.name,
        "revision": loaded.revision,
        "fingerprint": loaded.fingerprint(),
        "tests": [test.name for test in tests],
        "pairs": f"{pairs.concept}, {len(pairs)} of {pairs.source}",
        "crows": len(crows),
        "stereoset": len(stereoset),
        "winobias": len(winobias),
        "erase": list(erase),
        "methods": list(methods),
        "strengths": list(strengths),
        "documents": len(documents),
        "label": label,
        "partition": None if partition is None else list(partition.boundaries),
        "stack": stack,
        "seed": seed,
        "content": {
            "tests": _digest(tests),
            "pairs": _digest([pairs]),
            "crows": _digest(crows),
            "stereoset": _digest(stereoset),
            "winobias": _digest(winobias),
            "documents": _digest((d.id, d.text, d.sentences, sorted(d.labels.items())) for d in documents),
        },
    }
    folder = None if out is None else Path(out)
    if folder is not None:
        check_settings(folder / "settings.json", settings, what="an audit")
    keep = _Keeper(folder, say)
    states = _Reference(loaded, documents, stack=stack, seed=seed, say=say)
    if partition is None:
        partition = keep("scales", ScalePartition, lambda: find_scales(states.read().split(seed=seed).train))
    scales = partition
    associations = keep(
        "associations",
        AssociationTable,
        lambda: associate(loaded, tests, partition=scales, stack=stack, seed=seed, say=say),
    )

    def locate() -> Result:
        parts = [read_pairs_states(loaded, part, scales, stack=stack) for part in (train, test)]
        return locate_bias(parts[0], parts[1], seed=seed)

    def carry() -> Result:
        parts = states.read().split(seed=seed)
        alignment = Alignment(seed=seed).fit(parts.train, scales)
        return carried_bias(
            alignment, read_pairs_states(loaded, test, scales, stack=stack), parts.test, seed=seed
        )

    audit = BiasAudit(
        model=loaded.name,
        partition=scales,
        concept=pairs.concept,
        associations=associations,
        location=keep("location", Result, locate),
        carried=keep("carried", Result, carry),
        crows=keep("crows", CrowsScore, lambda: crows_score(loaded, crows, say=say)) if crows else None,
        stereoset=(
            keep("stereoset", StereoScore, lambda: stereoset_score(loaded, stereoset, say=say))
            if stereoset
            else None
        ),
        winobias=(
            keep("winobias", WinoScore, lambda: winobias_score(loaded, winobias)) if winobias else None
        ),
        prices=None,
        provenance={**settings, "version": __version__, "dtype": loaded.dtype, "device": str(loaded.device)},
    )
    if ordinary is not None:
        audit = audit.with_prices(
            keep(
                "prices",
                PriceList,
                lambda: price_erasure(
                    loaded,
                    pairs,
                    ordinary,
                    partition=scales,
                    scales=[scale for scale in SCALES if scale in erase],
                    methods=methods,
                    strengths=strengths,
                    tests=_about(tests, pairs.concept),
                    crows=_some(crows, seed=seed),
                    stereoset=_some(stereoset, seed=seed),
                    stack=stack,
                    seed=seed,
                    out=folder,
                    say=say,
                ),
            )
        )
    if folder is not None:
        audit.save(folder)
    return audit


class _Keeper:
    """Make a piece once: what is in the folder already is read from there."""

    def __init__(self, folder: Path | None, say: Say) -> None:
        self._folder, self._say = folder, say

    def __call__(self, name: str, kind: type[_Piece], make: Callable[[], _Piece]) -> _Piece:
        if self._folder is None:
            self._say(name)
            return make()
        # A price list keeps its eraser beside it, so it is a folder's content, not a file.
        path = self._folder if kind is PriceList else self._folder / f"{name}.json"
        if (self._folder / f"{name}.json").is_file():
            self._say(f"{name}: found in {self._folder}")
            return kind.load(path)
        self._say(name)
        made = make()
        made.save(path)
        return made


class _Reference:
    """States of ordinary sentences, read when they are first asked for."""

    def __init__(
        self, loaded: LoadedModel, documents: Sequence[Document], *, stack: StackName, seed: int, say: Say
    ) -> None:
        self._loaded, self._documents, self._stack, self._seed = loaded, documents, stack, seed
        self._say = say
        self._states: HiddenStates | None = None

    def read(self) -> HiddenStates:
        """Read sentences one by one, as the pairs are, each with its document."""
        if self._states is None:
            rows = [
                (document.text[slice(*span)], document.id)
                for document in self._documents
                for span in document.sentences or split_sentences(document.text)
            ]
            if len(rows) > _SENTENCES:
                kept = np.random.default_rng([self._seed, 9]).choice(len(rows), _SENTENCES, replace=False)
                rows = [rows[i] for i in sorted(kept)]
            self._say(f"{len(rows)} ordinary sentences")
            self._states = extract(
                self._loaded.network,
                [text for text, _ in rows],
                tokenizer=self._loaded.tokenizer,
                name=self._loaded.name,
                documents=[document for _, document in rows],
                stack=self._stack,
                seed=self._seed,
            )
        return self._states


def _digest(items: Iterable[Any]) -> str:
    """Tell texts from others of the same number."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(repr(item).encode())
    return digest.hexdigest()[:16]


def _about(tests: Sequence[AssociationTest], concept: str) -> Sequence[AssociationTest]:
    """Take the standard tests that are about gender where that is erased; all of the user's own, and for others."""
    gendered = [test for test in tests if test.name in _GENDERED]
    return gendered if concept == "gender" and gendered else tests


def _some(items: Sequence[Any], *, seed: int) -> list[Any]:
    """Draw as many items as the price list scores, the same ones each time."""
    if len(items) <= _ITEMS:
        return list(items)
    kept = np.random.default_rng([seed, 10]).choice(len(items), _ITEMS, replace=False)
    return [items[i] for i in sorted(kept)]
