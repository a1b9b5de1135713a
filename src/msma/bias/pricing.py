"""price_erasure(): erase at every scale and strength asked for, and read what is left and what it cost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES, Scale
from msma._types import Stack as StackName
from msma.bias.association_testing import associate
from msma.bias.begun import BegunList
from msma.bias.crows_scoring import crows_score
from msma.bias.formats import CrowsPair, StereoItem
from msma.bias.lists import AssociationTest
from msma.bias.location import PairStates, read_pairs_states
from msma.bias.ordinary import OrdinaryTexts, read_task
from msma.bias.pairs import TextPairs
from msma.bias.price import Change, Price
from msma.bias.price_list import PriceList
from msma.bias.probing import cross_read, read_side
from msma.bias.stereoset_scoring import stereoset_score
from msma.erasure import ERASERS, ScaleEraser, fit_eraser
from msma.errors import ConfigError, ShapeError
from msma.extraction import extract
from msma.generation import text_nats
from msma.interventions import Acting
from msma.models import LoadedModel
from msma.resampling import bootstrap_interval
from msma.scales import ScalePartition

Say = Callable[[str], None]
#: Permutations of the association tests, of which the price list shows the effects alone.
_PERMUTATIONS = 1


def price_erasure(
    loaded: LoadedModel,
    pairs: TextPairs,
    ordinary: OrdinaryTexts,
    *,
    partition: ScalePartition,
    scales: Sequence[Scale] = SCALES,
    methods: Sequence[str] = ("leace", "projection"),
    strengths: Sequence[float] = (0.5, 1.0),
    tests: Sequence[AssociationTest] = (),
    crows: Sequence[CrowsPair] = (),
    stereoset: Sequence[StereoItem] = (),
    stack: StackName = "auto",
    seed: int = 0,
    out: Path | None = None,
    say: Say | None = None,
) -> PriceList:
    """Write the price list of taking a concept out: METHOD section 8.

    Pairs are divided by document into three parts: erasers are fitted on the first, fresh probes trained on the second
    on states already erased (a reader who knows of the erasure), and read on the third. The recommendation goes by
    cross-validated probes of the second part, so the third stays free of it. Ordinary texts are divided likewise: those
    that say which changes are dear to the eraser, those that the probe of another task is trained on, those on which
    costs are measured.

    Args:
        loaded: The model.
        pairs: Pairs that differ in the concept.
        ordinary: Texts that the model should go on handling as before.
        partition: The scales.
        scales: Those to try.
        methods: "leace", "projection".
        strengths: Shares taken out.
        tests: Association tests whose effects are read before and after.
        crows: CrowS-Pairs to score before and after; needs a language head.
        stereoset: StereoSet items to score before and after; needs a language head.
        stack: Stack of an encoder-decoder.
        seed: Fixes every draw.
        out: Folder in which every eraser and line is kept as soon as it is there, so that an interrupted run with the
            same settings goes on where it stopped.
        say: Told in one line what is being done.

    Returns:
        The list, with its erasers.

    Raises:
        ConfigError: When a method, scale or strength is impossible.
        ShapeError: When no scale has a linear trace of the concept.
    """
    check_erasures(scales, methods, strengths)
    say = say or (lambda _: None)
    fit, train, test = pairs.split(seed=seed)
    reader = _Reader(
        loaded, train, test, ordinary, partition, tuple(tests), tuple(crows), tuple(stereoset), stack, seed
    )
    say("price list: the model as it is")
    clean = reader.read(None)
    prices = [reader.price(clean, clean, None, None)]
    kept = BegunList(out)
    erasers: dict[tuple[str, str], ScaleEraser] = {}
    for scale, method in product(scales, methods):
        eraser = kept.eraser(scale, method)
        if eraser is None:
            try:
                eraser = fit_eraser(
                    loaded,
                    fit.texts,
                    fit.labels.tolist(),
                    scale=scale,
                    partition=partition,
                    method=method,
                    reference=ordinary.reference,
                    stack=stack,
                    name=pairs.concept,
                    say=say,
                )
            except ShapeError as error:
                say(str(error))
                continue
            kept.keep(eraser)
        erasers[scale, method] = eraser
        for strength in strengths:
            what = f"{method} at the {scale} scale, strength {strength:g}"
            price = kept.price(scale, method, strength)
            say(f"price list: {what}" + (", found in the folder" if price else ""))
            if price is None:
                price = reader.price(reader.read(eraser.at(strength)), clean, eraser, strength)
                kept.add(price)
            prices.append(price)
    if not erasers:
        raise ShapeError(
            f"no scale of '{loaded.name}' shows a linear trace of {pairs.concept}, so there is nothing to price"
        )
    provenance = {
        "model": loaded.name,
        "revision": loaded.revision,
        "scales": str(partition),
        "pairs": {"source": pairs.source, "fit": len(fit), "train": len(train), "test": len(test)},
        "ordinary": ordinary.describe(),
        "crows": len(crows),
        "stereoset": len(stereoset),
        "seed": seed,
    }
    return PriceList(tuple(prices), pairs.concept, erasers, ordinary.task, provenance)


@dataclass(frozen=True, eq=False)
class _Read:
    """Everything read with one eraser at work."""

    train: PairStates
    test: PairStates
    nats: Float[np.ndarray, " texts"] | None
    hits: Float[np.ndarray, " texts"] | None
    change: float
    scores: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class _Reader:
    """All that stays the same from erasure to erasure."""

    loaded: LoadedModel
    train: TextPairs
    test: TextPairs
    ordinary: OrdinaryTexts
    partition: ScalePartition
    tests: tuple[AssociationTest, ...]
    crows: tuple[CrowsPair, ...]
    stereoset: tuple[StereoItem, ...]
    stack: StackName
    seed: int

    def read(self, eraser: ScaleEraser | None) -> _Read:
        """Read pairs, ordinary texts and scores while an eraser acts."""
        with self._acting(eraser) as acting:
            # First the texts by whose change the erasure's size is told, and nothing else in between.
            nats = text_nats(self.loaded, self.ordinary.test, seed=self.seed)
            hits = read_task(self.loaded, self.ordinary, stack=self.stack, seed=self.seed)
            if acting is not None and nats is None and hits is None:
                # Neither ran the model, and yet the change of these texts is then the only cost there is.
                self._run(self.ordinary.test)
            norms = {} if acting is None else acting.relative_norms
            change = float(np.sqrt(np.mean(np.square(list(norms.values()))))) if norms else 0.0
            train, test = (
                read_pairs_states(self.loaded, part, self.partition, stack=self.stack)
                for part in (self.train, self.test)
            )
            return _Read(train, test, nats, hits, change, self._scores())

    def _run(self, texts: Sequence[str]) -> None:
        extract(
            self.loaded.network, texts, tokenizer=self.loaded.tokenizer, stack=self.stack, attention_texts=0
        )

    @contextmanager
    def _acting(self, eraser: ScaleEraser | None) -> Iterator[Acting | None]:
        with nullcontext() if eraser is None else eraser.acting(self.loaded) as acting:
            yield acting

    def _scores(self) -> dict[str, float]:
        scores: dict[str, float] = {}
        if self.tests:
            table = associate(
                self.loaded,
                self.tests,
                partition=self.partition,
                n_permutations=_PERMUTATIONS,
                n_resamples=_PERMUTATIONS,
                stack=self.stack,
                seed=self.seed,
            )
            last = self.partition.n_layers - 1
            rows = [row for row in table.rows if row.layer == last and row.effect is not None]
            if rows:
                scores["association"] = float(np.mean([abs(row.effect or 0.0) for row in rows]))
                scores["difference"] = float(np.mean([abs(row.difference or 0.0) for row in rows]))
        if self.crows:
            scores["crows"] = float(crows_score(self.loaded, self.crows).metric_score)
        if self.stereoset:
            figures = stereoset_score(self.loaded, self.stereoset).figure()
            scores |= {"ss": figures.ss, "icat": figures.icat}
        return scores

    def price(self, found: _Read, clean: _Read, eraser: ScaleEraser | None, strength: float | None) -> Price:
        """Put one line of the list together."""
        last = self.partition.n_layers - 1
        train, test = found.train.sides(last), found.test.sides(last)
        extra: dict[str, Any] = {**found.scores, "here_linear": None, "here_nonlinear": None}
        if eraser is not None:
            place = max(eraser.layers)
            sides = found.train.sides(place), found.test.sides(place)
            extra |= {
                "here_linear": read_side(*sides, seed=self.seed),
                "here_nonlinear": read_side(*sides, kind="nonlinear", seed=self.seed),
            }
        return Price(
            scale="none" if eraser is None else eraser.scale,
            method="none" if eraser is None else eraser.method,
            strength=0.0 if strength is None else strength,
            output_linear=read_side(train, test, seed=self.seed),
            output_nonlinear=read_side(train, test, kind="nonlinear", seed=self.seed),
            chosen_by=cross_read(train, seed=self.seed),
            change=found.change,
            loss=self._change(found.nats, clean.nats, self.ordinary.test_documents),
            task=self._change(found.hits, clean.hits, self.ordinary.task_documents),
            **extra,
        )

    def _change(
        self,
        after: Float[np.ndarray, " texts"] | None,
        before: Float[np.ndarray, " texts"] | None,
        documents: Int[np.ndarray, " texts"],
    ) -> Change | None:
        if after is None or before is None:
            return None
        difference = after - before
        found = bootstrap_interval(
            lambda weights: weights @ difference / weights.sum(axis=1), documents, seed=self.seed
        )
        return Change(found.value, found.low, found.high)


def check_erasures(scales: Sequence[str], methods: Sequence[str], strengths: Sequence[float]) -> None:
    """Refuse erasures that there are not.

    Args:
        scales: Scales to erase at.
        methods: Methods.
        strengths: Shares taken out.

    Raises:
        ConfigError: When one is impossible, or there is none.
    """
    unknown = [scale for scale in scales if scale not in SCALES]
    if unknown or not scales:
        raise ConfigError(f"scales {', '.join(map(str, scales))} came; expected {', '.join(SCALES)}")
    unknown = [method for method in methods if method not in ERASERS]
    if unknown or not methods:
        raise ConfigError(f"methods {', '.join(map(str, methods))} came; expected {', '.join(ERASERS)}")
    if not strengths or not all(0 < strength <= 1 for strength in strengths):
        raise ConfigError(
            f"strengths {', '.join(map(str, strengths))} came; expected shares above 0, at most 1"
        )
