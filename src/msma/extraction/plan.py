"""From the call of an extraction to its session: settings checked, limits set, scales found."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from msma.corpora import Corpus, rank_document
from msma.errors import ConfigError, CorpusError, ScaleError
from msma.extraction.corpus import TextStream
from msma.extraction.jobs import Store, WorkerSetup
from msma.extraction.limits import Limits
from msma.extraction.moments_session import MomentsSession
from msma.extraction.session import Engine, Say
from msma.extraction.shard_session import ShardSession
from msma.extraction.survey import choose_documents, is_repeatable, survey_texts
from msma.locking import folder_lock
from msma.models import load_model
from msma.scale_moments import MomentSettings, ScaleMoments
from msma.scale_moments.splitting import assign_split, keyed_hash
from msma.scales import Method, Reduction, ScalePartition, find_scales
from msma.states import HiddenStates

_CHOICES = {
    "unit": ("text", "sentence", "token"),
    "stack": ("auto", "encoder", "decoder"),
    "long": ("truncate", "windows"),
    "padding_side": ("right", "left"),
    "reduction": ("mean", "last"),
    "engine": ("local", "processes", "ray"),
}


@dataclass(kw_only=True)
class Plan:
    """One extraction: its settings checked, its scales found, its session made.

    Args:
        model: Name on the Hub, folder, or a transformers model.
        texts: The corpus.
        documents: The document of each text.
        labels: Columns of labels.
        loading: Options of :func:`msma.models.load_model`.
        reading: How texts become tokens and batches.
        store: What is kept.
        out: Folder; in memory when left out.
        scales: A partition, ranges, or the method by which a first pass finds them.
        reduction: What represents a scale.
        sketch_texts: Texts of the first pass.
        window: Texts sorted by length together.
        attention_texts: Texts whose attention is looked at.
        engine: Where the work is done.
        limits: What it may take.
        moments: Seed, split and sizes of what is kept of the moments.
        say: Told what a reader should know.

    Raises:
        ConfigError: When a setting is impossible.
        CorpusError: When a single string came in place of texts.
    """

    model: Any
    texts: Iterable[Any]
    documents: Iterable[Any] | None
    labels: Mapping[str, Sequence[Any]] | None
    loading: dict[str, Any]
    reading: dict[str, Any]
    store: Store
    out: Path | None
    scales: ScalePartition | str
    reduction: Reduction
    sketch_texts: int
    window: int | None
    attention_texts: int
    engine: Engine
    limits: Limits
    moments: MomentSettings
    say: Say
    stream: TextStream = field(init=False)

    def __post_init__(self) -> None:
        self.stream = TextStream(self.texts, documents=self.documents, labels=self.labels)
        chosen = {name: self.reading[name] for name in ("unit", "stack", "long", "padding_side")}
        _check_choices(**chosen, reduction=self.reduction, engine=self.engine.kind)
        check_numbers(
            batch_tokens=self.reading["batch_tokens"],
            window=self.window,
            attention_texts=self.attention_texts,
            sketch_texts=self.sketch_texts,
            workers=self.engine.workers,
        )

    def shards(self) -> HiddenStates:
        """Read into shards.

        Returns:
            States of all layers, or of the scales.
        """
        with self._lock():
            partition = None if self.store == "states" else self._find_scales()
            session = ShardSession(
                **self._common(partition),
                attention_texts=self.attention_texts if partition is None else 0,
                seed=self.moments.seed,
            )
            session.walk()
            states = session.finish()
            session.report()
            if partition is None and states.attention is None and self.attention_texts:
                self.say(
                    "no attention statistics: the model has no attention maps, or no text is long enough"
                )
        return states

    def as_moments(self, *, block: int) -> ScaleMoments:
        """Read into moments.

        Args:
            block: Texts after which the sums are put on disk.

        Returns:
            The moments.
        """
        with self._lock():
            session = MomentsSession(**self._common(self._find_scales()), block=block)
            session.walk()
            moments = session.finish()
            session.report()
        return moments

    def _lock(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.out is None else folder_lock(self.out, what="an extraction")

    def _common(self, partition: ScalePartition | None) -> dict[str, Any]:
        """What both sessions take."""
        settings: dict[str, Any] = {"attention_texts": self.attention_texts, "seed": self.moments.seed}
        if partition is not None:
            how = (
                {"scales": "given"}
                if self._is_given
                else {"scales": self.scales, "sketch_texts": self.sketch_texts}
            )
            settings = {"seed": self.moments.seed, **how}
        # A file is counted in no time beside what reading it takes, and then the time left can be told.
        is_file = isinstance(self.texts, Corpus) and Path(self.texts.source).is_file()
        has_to_count = self.limits.is_set or self.store != "states" or (is_file and self.out is not None)
        return {
            "setup": WorkerSetup(
                model=self.model,
                loading=self.loading,
                folder=self.out,
                store=self.store,
                partition=partition,
                reduction=self.reduction,
                moments=self.moments,
                **self.reading,
            ),
            "stream": self.stream,
            "survey": survey_texts(self.texts, has_to_count=has_to_count),
            "engine": self.engine,
            "limits": self.limits,
            "window": self.window,
            "settings": settings,
            "sketch_texts": 0 if partition is None or self._is_given else self.sketch_texts,
            "say": self.say,
        }

    @property
    def _is_given(self) -> bool:
        return isinstance(self.scales, ScalePartition) or "|" in self.scales

    def _find_scales(self) -> ScalePartition:
        """Take the scales given, or find them in a pass over some texts of training documents."""
        if isinstance(self.scales, ScalePartition):
            return self.scales
        if "|" in self.scales:
            return _parse_ranges(self.scales)
        kept = None if self.out is None else self.out / "scales.json"
        if kept is not None and kept.is_file():
            return ScalePartition.load(kept)
        if self.documents is not None and not is_repeatable(self.documents):
            self.documents = list(self.documents)
            self.stream = TextStream(self.texts, documents=self.documents, labels=self.labels)
        chosen = choose_documents(
            self.texts,
            size=self.sketch_texts,
            rank=self._rank,
            documents=self.documents,
            # Moments leave out validation and test by name, states by rank.
            share=1.0 if self.store == "moments" else self.moments.fractions[0],
        )
        if not chosen:
            raise CorpusError("no text came that holds anything; give texts that are not empty")
        if self.engine.kind == "local":
            self._load_once()
        self.say(f"finding the scales on {len(chosen)} texts of training documents")
        sketch = self._sketching(chosen)
        partition = find_scales(sketch.shards(), method=cast("Method", self.scales), seed=self.moments.seed)
        self.say(f"{partition}")
        if kept is not None:
            partition.save(kept)
        return partition

    def _rank(self, document: str) -> int | None:
        """Order documents so that the first of them are training's, however the store divides them."""
        seed = self.moments.seed
        if self.store != "moments":
            return rank_document(document, seed=seed)
        if assign_split(document, seed=seed, fractions=self.moments.fractions) != "train":
            return None
        return keyed_hash(document, purpose="sketch", seed=seed)

    def _sketching(self, chosen: Iterable[Any]) -> "Plan":
        """Make the plan of the first pass: some texts, all layers, with attention, into a folder of its own."""
        return replace(
            self,
            texts=chosen,
            documents=None,
            labels=None,
            store="states",
            out=None if self.out is None else self.out / "sketch",
            attention_texts=128,
            limits=Limits(),
        )

    def _load_once(self) -> None:
        """Load the model here, so that both passes share it."""
        loaded = load_model(self.model, **self.loading)
        self.model = loaded.network
        self.loading = {**self.loading, "tokenizer": loaded.tokenizer, "name": loaded.name}
        self.loading |= {"device": "auto", "device_map": None, "quantization": "none"}


def _parse_ranges(text: str) -> ScalePartition:
    """Read ranges whose last number says how many layers there are."""
    last = text.split("|")[-1].split("-")[-1].strip()
    if not last.isdigit():
        raise ScaleError(f"scales '{text}' came; expected three ranges of layers, such as '0-2|3-8|9-12'")
    return ScalePartition.parse(text, n_layers=int(last) + 1)


def _check_choices(**settings: str) -> None:
    for name, value in settings.items():
        if value not in _CHOICES[name]:
            raise ConfigError(f"{name} '{value}' came; expected one of {', '.join(_CHOICES[name])}")


def check_numbers(**settings: int | None) -> None:
    """Refuse numbers below the least that makes sense: 0 for texts of attention and projections, else 1.

    Args:
        **settings: Numbers by name.

    Raises:
        ConfigError: When one is below.
    """
    for name, value in settings.items():
        least = 0 if name in ("attention_texts", "sketch_width") else 1
        if value is not None and value < least:
            raise ConfigError(f"{name} {value} came; expected {least} or more")
