"""What a text's states say in words, on their way from the global scale down, beside what other texts' say."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from msma._types import Scale
from msma.errors import CorpusError, ModelError, ScaleError
from msma.explanation.corpus import StudyCorpus
from msma.explanation.lens import read_logits
from msma.explanation.parts import Decoding
from msma.explanation.reading import ByScale, ScaleReader, TextReading
from msma.explanation.shelf import Shelf
from msma.explanation.vocabulary import choose_words, document_shares, ordinary_ids
from msma.maps import BaseMap, RidgeMap

#: Scales gone through, source first.
Path: TypeAlias = tuple[Scale, ...]
#: The global state, mapped down, and the local state that the model itself had.
PATHS: tuple[Path, ...] = (
    ("global",),
    ("global", "intermediate"),
    ("global", "intermediate", "local"),
    ("local",),
)

_Score: TypeAlias = Callable[[Float[np.ndarray, "n d_model"], Scale], Float[np.ndarray, "n entries"]]
#: Entries that more of the training documents have than this say nothing of one text.
_COMMON = 0.25
#: Documents that the usual state and logits are measured on, at most.
_MOST = 256
#: Documents that a lens is fitted on, at most.
_MOST_FOR_LENS = 2000
_FEWEST = 4


class WordDecoder:
    r"""Decode states to words: the global state, what :math:`f_{GI}` makes of it, what :math:`f_{IL}` makes of that.

    Entry v of the vocabulary scores, by method,

    - "embeddings": :math:`\cos(z - \bar z,\; e_v - \bar e)`, with :math:`e_v` its row of the input embeddings. Near
      the embeddings, at the local scale, this is what the state is made of; further up it is a baseline.
    - "lens" (models with a causal or masked head): its logit when the state takes the place of the last block's
      output, as in the logit lens (nostalgebraist 2020). A state of a lower scale is first brought to the global one
      by a ridge fitted on the states that training texts have at both, which makes it a tuned lens (Belrose et al.
      2023) fitted by least squares.

    Logits are brought to mean 0 and spread 1 over training documents, since a head likes some entries after every text.
    Cosines are left as they are: of a centred state they have no such liking. Entries are those in some training
    documents and in at most a quarter of them: words such as "the", which nearly every text has, are left out where
    enough others remain.

    Args:
        reader: Reads texts as the study did.
        corpus: The study.
        n_controls: Texts of validation and test documents that a decoding is compared with, at most.
        seed: Fixes which.

    Raises:
        CorpusError: When there are too few documents to compare with, or fewer than two entries.
        ModelError: When neither method can be used.
        ScaleError: When the study has no map from global to intermediate, or from there to local.
    """

    def __init__(
        self, reader: ScaleReader, corpus: StudyCorpus, *, n_controls: int = 100, seed: int = 0
    ) -> None:
        self._reader = reader
        self._maps = {
            pair: corpus.alignment.maps_.get(pair)
            for pair in (("global", "intermediate"), ("intermediate", "local"))
        }
        for pair, map_ in self._maps.items():
            if map_ is None:
                raise ScaleError(
                    f"the study has no map {pair[0]} -> {pair[1]}, which decoding goes through; run it with that pair"
                )
        self.entries = _choose_entries(document_shares(reader, corpus, seed=seed))
        shelf = Shelf.of_texts(corpus)
        trained = shelf.rows_of(corpus.splits.train)
        usual = _choose_rows(trained, most=_MOST, seed=seed)
        others = np.union1d(shelf.rows_of(corpus.splits.validation), shelf.rows_of(corpus.splits.test))
        others = _choose_rows(others, most=n_controls, seed=seed)
        if min(len(usual), len(others)) < _FEWEST:
            raise CorpusError(
                f"{len(usual)} training documents and {len(others)} others came to compare words with; give a study "
                f"of at least {_FEWEST} of each"
            )
        self._texts = [shelf.flat_texts[row] for row in others.tolist()]
        self._means: dict[Path, np.ndarray] = {}
        self._usual: dict[Path, tuple[np.ndarray, np.ndarray]] = {}  # mean and spread of logits
        self._controls: dict[tuple[str, Path], Float[np.ndarray, "controls entries"]] = {}  # ranks of scores
        self._lenses: dict[Scale, BaseMap] = {}
        self._scorers = self._make_scorers()
        if "lens" in self._scorers:
            chosen = _choose_rows(trained, most=_MOST_FOR_LENS, seed=seed)
            last = shelf.states["global"][chosen]
            for scale in ("intermediate", "local"):
                self._lenses[scale] = RidgeMap().fit(shelf.states[scale][chosen], last)
        self._learn(
            {scale: rows[usual] for scale, rows in shelf.states.items()},
            {scale: rows[others] for scale, rows in shelf.states.items()},
        )

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods this model can be decoded by."""
        return tuple(self._scorers)

    def decode(self, reading: TextReading) -> tuple[Decoding, ...]:
        """Decode one text.

        Args:
            reading: The text.

        Returns:
            One decoding a method and path. A text all or none of whose tokens are among the entries has an AUC and
            a p-value that say nothing: 0.5 and 1.
        """
        states = {scale: row[None] for scale, row in reading.pooled.items()}
        is_there = np.isin(self.entries, ordinary_ids(self._reader, reading.ids))
        flat = " ".join(reading.text.split())
        is_other = np.array([text != flat for text in self._texts])
        return tuple(
            self._decode(method, path, rows[0], is_there, is_other)
            for method in self._scorers
            for path, rows in self._map_down(states)
        )

    def _decode(
        self,
        method: str,
        path: Path,
        state: Float[np.ndarray, " d_model"],
        is_there: Bool[np.ndarray, " entries"],
        is_other: Bool[np.ndarray, " controls"],
    ) -> Decoding:
        scores = self._score(method, path, state[None])
        auc = _areas(rankdata(scores, axis=1), is_there)[0]
        controls = _areas(self._controls[method, path][is_other], is_there)
        hits = int((controls >= auc).sum())
        return Decoding(
            path=path,
            method=method,
            words=choose_words(self._reader.loaded.tokenizer, self.entries, scores[0]),
            auc=float(auc),
            control=float(controls.mean()),
            p_value=(1 + hits) / (1 + len(controls)),
        )

    def _map_down(self, states: ByScale) -> Iterator[tuple[Path, Float[np.ndarray, "n d_model"]]]:
        upper, lower = self._maps["global", "intermediate"], self._maps["intermediate", "local"]
        if upper is None or lower is None:
            return
        mapped = upper.transform(states["global"])
        rows = (states["global"], mapped, lower.transform(mapped), states["local"])
        yield from zip(PATHS, rows, strict=True)

    def _learn(self, usual: ByScale, others: ByScale) -> None:
        """Measure the usual state and logits, then how other texts' decodings rank the entries."""
        for path, rows in self._map_down(usual):
            self._means[path] = rows.mean(axis=0)
            if "lens" in self._scorers:
                logits = self._look(rows, path[-1])
                spread = logits.std(axis=0)
                self._usual[path] = logits.mean(axis=0), np.where(spread > 0.0, spread, 1.0)
        for path, rows in self._map_down(others):
            for method in self._scorers:
                ranks = rankdata(self._score(method, path, rows), axis=1)
                self._controls[method, path] = ranks.astype(np.float32)

    def _score(
        self, method: str, path: Path, rows: Float[np.ndarray, "n d_model"]
    ) -> Float[np.ndarray, "n entries"]:
        scores = self._scorers[method](self._centred(method, path, rows), path[-1])
        if method == "embeddings":
            return scores
        mean, spread = self._usual[path]
        return (scores - mean) / spread

    def _centred(
        self, method: str, path: Path, rows: Float[np.ndarray, "n d_model"]
    ) -> Float[np.ndarray, "n d_model"]:
        return rows - self._means[path] if method == "embeddings" else rows

    def _make_scorers(self) -> dict[str, _Score]:
        scorers: dict[str, _Score] = {}
        stack, loaded = self._reader.stack, self._reader.loaded
        weight = getattr(stack.module.get_input_embeddings(), "weight", None)
        if weight is not None and weight.is_floating_point() and weight.shape[-1] == stack.d_model:
            chosen = weight.detach()[torch.from_numpy(self.entries).to(weight.device)]
            scorers["embeddings"] = _make_cosines(chosen.double().cpu().numpy())
        if loaded.head in ("causal", "masked") and stack.blocks:
            scorers["lens"] = self._look
        if not scorers:
            raise ModelError(
                f"'{loaded.name}' has embeddings of another width than its states and no language head that follows "
                "them, so that its states cannot be read as words; explain a model that has either"
            )
        return scorers

    def _look(self, rows: Float[np.ndarray, "n d_model"], scale: Scale) -> Float[np.ndarray, "n entries"]:
        """Put states in place of the last block's output, and read the logits."""
        rows = self._lenses[scale].transform(rows) if scale in self._lenses else rows
        return read_logits(self._reader.loaded, self._reader.stack, self._unscaled(rows), self.entries)

    def _unscaled(self, rows: Float[np.ndarray, "n d_model"]) -> Float[np.ndarray, "n d_model"]:
        """Bring global states of standardised layers back to the size the head knows."""
        representation = self._reader.representation
        means, spreads = representation.means_, representation.spreads_
        if means is None or spreads is None:
            return rows
        layers = list(self._reader.partition["global"])
        chosen = layers if representation.reduction == "mean" else layers[-1:]
        return np.asarray(rows * spreads[chosen].mean() + means[chosen].mean(axis=0))


def _make_cosines(embeddings: Float[np.ndarray, "entries d_model"]) -> _Score:
    centred = embeddings - embeddings.mean(axis=0)
    sizes = np.linalg.norm(centred, axis=1, keepdims=True)
    directions = np.divide(centred, sizes, out=np.zeros_like(centred), where=sizes > 0)

    def score(rows: Float[np.ndarray, "n d_model"], _scale: Scale) -> Float[np.ndarray, "n entries"]:
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0) @ directions.T

    return score


def _choose_entries(shares: Float[np.ndarray, " vocabulary"]) -> Int[np.ndarray, " entries"]:
    """Take what occurs in training documents, without what nearly all of them have where enough remains."""
    seen = np.flatnonzero(shares > 0.0)
    rare = np.flatnonzero((shares > 0.0) & (shares <= _COMMON))
    kept = rare if 2 * len(rare) >= len(seen) else seen
    if len(kept) < 2:
        raise CorpusError(
            f"{len(kept)} entry of the vocabulary occurs in the training documents; give a study of more texts"
        )
    return kept


def _choose_rows(rows: Int[np.ndarray, " n"], *, most: int, seed: int) -> Int[np.ndarray, " k"]:
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])


def _areas(
    ranks: Float[np.ndarray, "n entries"], is_there: Bool[np.ndarray, " entries"]
) -> Float[np.ndarray, " n"]:
    """Compute the share of pairs of a present and an absent entry in which the present one scores higher."""
    n_there, n_absent = int(is_there.sum()), int((~is_there).sum())
    if n_there == 0 or n_absent == 0:
        return np.full(len(ranks), 0.5)
    sums = ranks[:, is_there].sum(axis=1, dtype=np.float64)
    return np.asarray((sums - n_there * (n_there + 1) / 2) / (n_there * n_absent))
