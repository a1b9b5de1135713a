"""Where a text lies among a study's texts: what is near, how typical it is, which labels are near."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES, Scale
from msma.detection import ConformalCalibration
from msma.detection.whitening import Whitening
from msma.exhibits import Planes
from msma.explanation.corpus import StudyCorpus
from msma.explanation.lengths import LengthMatch
from msma.explanation.reading import ByScale, TextReading
from msma.explanation.record import LabelShare, Neighbour, Place
from msma.explanation.shelf import Shelf

#: Nearest texts whose labels are counted.
_NEAR = 20
_SHOWN_LABELS = 4


class Placing:
    r"""Place texts among those of a study.

    Typicality is the conformal p-value (Vovk et al. 2005) of the Mahalanobis distance from the training texts,
    calibrated on validation texts, which no distance was fitted on. Texts much shorter than those of the study are
    compared with the beginnings of as many tokens (see :class:`LengthMatch`): both the distance and the mean that is
    taken off before cosines are those of texts as short.

    Args:
        corpus: The study.
        texts: Its whole texts.
        sentences: Sentences of it.
        lengths: Its texts at other lengths.
        n_neighbours: Nearest texts and sentences shown.
    """

    def __init__(
        self,
        corpus: StudyCorpus,
        texts: Shelf,
        sentences: Shelf,
        lengths: LengthMatch,
        *,
        n_neighbours: int = 5,
    ) -> None:
        self._texts, self._sentences, self._lengths = texts, sentences, lengths
        self._n = n_neighbours
        self._planes = Planes.fit(corpus.train)
        parts = (("train", corpus.splits.train), ("validation", corpus.splits.validation))
        rows = {part: texts.rows_of(states) for part, states in parts}
        self._whole = {
            part: {scale: texts.states[scale][chosen] for scale in SCALES} for part, chosen in rows.items()
        }
        self._yardsticks: dict[int | None, _Yardstick] = {}

    def place(self, reading: TextReading) -> tuple[Place, ...]:
        """Tell where a text lies at each scale.

        Args:
            reading: The text.

        Returns:
            One place a scale; texts of the corpus that are the text itself are not among its neighbours.
        """
        yardstick = self._yardstick(len(reading.tokens))
        return tuple(self._place(scale, state, yardstick, reading) for scale, state in reading.pooled.items())

    def _place(
        self, scale: Scale, state: Float[np.ndarray, " d"], yardstick: "_Yardstick", reading: TextReading
    ) -> Place:
        distance = yardstick.distances(scale, state[None])
        centred = state - yardstick.means[scale]
        texts = _nearest(self._texts, scale, centred, self._whole["train"][scale].mean(axis=0), reading.text)
        # Sentences are centred by their own mean: read within a text, they have no special tokens.
        middle = self._sentences.states[scale].mean(axis=0)
        sentences = _nearest(self._sentences, scale, centred, middle, reading.text)
        x, y = self._planes.place(scale, state[None])[0].tolist()
        return Place(
            scale=scale,
            texts=_neighbours(self._texts, texts, self._n),
            sentences=_neighbours(self._sentences, sentences, self._n),
            distance=float(distance[0]),
            p_value=float(yardstick.calibrations[scale].p_values(-distance)[0]),
            position=(x, y),
            labels=_label_shares(self._texts.labels, texts[0][:_NEAR]),
        )

    def _yardstick(self, n_tokens: int) -> "_Yardstick":
        length = self._lengths.length_for(n_tokens)
        if length not in self._yardsticks:
            found = self._whole if length is None else self._lengths.read(length)
            self._yardsticks[length] = _Yardstick.fit(found["train"], found["validation"])
        return self._yardsticks[length]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Yardstick:
    """Texts of about one length: their mean, their spread, and how far off validation texts are."""

    means: Mapping[Scale, Float[np.ndarray, " d_model"]]
    whitenings: Mapping[Scale, Whitening]
    calibrations: Mapping[Scale, ConformalCalibration]

    @classmethod
    def fit(cls, train: ByScale, validation: ByScale) -> Self:
        whitenings = {scale: _whiten(train[scale]) for scale in SCALES}
        return cls(
            means={scale: train[scale].mean(axis=0) for scale in SCALES},
            whitenings=whitenings,
            calibrations={
                scale: ConformalCalibration.from_scores(
                    -np.sqrt(whitenings[scale].distances(validation[scale]))
                )
                for scale in SCALES
            },
        )

    def distances(self, scale: Scale, states: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        return np.sqrt(self.whitenings[scale].distances(states))


def _whiten(rows: Float[np.ndarray, "n d"]) -> Whitening:
    """Whiten without the dimensions that are dead (MiniLM's last layer has three of 1e-32), judged by the others."""
    sizes = np.sqrt((rows**2).mean(axis=0))
    return Whitening.from_rows(rows, sizes=np.maximum(sizes, np.median(sizes)))


def centred_cosines(
    states: Float[np.ndarray, "n d"], mean: Float[np.ndarray, " d"], state: Float[np.ndarray, " d"]
) -> Float[np.ndarray, " n"]:
    """Compute the cosine of one centred state with each of others, centred alike.

    Args:
        states: The others.
        mean: What is taken off the others.
        state: The one, centred.

    Returns:
        -1 to 1; 0 where either is nothing.

    Examples:
        >>> centred_cosines(np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, 1.0]), np.array([1.0, 0.0])).tolist()
        [1.0, 0.0]
    """
    centred = states - mean
    norms = np.linalg.norm(centred, axis=1) * np.linalg.norm(state)
    products: Float[np.ndarray, " n"] = centred @ state
    return np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)


def _nearest(
    shelf: Shelf, scale: Scale, state: Float[np.ndarray, " d"], mean: Float[np.ndarray, " d"], text: str
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Order a shelf by nearness, without the text itself and what belongs to it."""
    similarity = centred_cosines(shelf.states[scale], mean, state)
    whole = _flat(text)
    own = {d for d, other in zip(shelf.documents, shelf.flat_texts, strict=True) if other == whole}
    kept = np.array(
        [
            d not in own and other not in whole
            for d, other in zip(shelf.documents, shelf.flat_texts, strict=True)
        ]
    )
    order = np.argsort(-similarity, kind="stable")
    order = order[kept[order]] if len(kept) else order
    return order, similarity


def _flat(text: str) -> str:
    return " ".join(text.split())


def _neighbours(
    shelf: Shelf, near: tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]], most: int
) -> tuple[Neighbour, ...]:
    order, similarity = near
    return tuple(
        Neighbour(
            text=shelf.texts[number],
            document=shelf.documents[number],
            similarity=float(similarity[number]),
            labels={
                name: column[number] for name, column in shelf.labels.items() if column[number] is not None
            },
        )
        for number in order[:most].tolist()
    )


def _label_shares(labels: Mapping[str, Sequence[Any]], near: Int[np.ndarray, " k"]) -> tuple[LabelShare, ...]:
    """Compare how common labels are nearby with how common they are at all."""
    found = []
    for name, column in labels.items():
        known = [str(value) for value in column if value is not None]
        here = [str(column[number]) for number in near.tolist() if column[number] is not None]
        if not here:
            continue
        found += [
            LabelShare(
                column=name,
                value=value,
                share=here.count(value) / len(here),
                base=known.count(value) / len(known),
            )
            for value in set(here)
        ]
    found.sort(key=lambda label: (label.base - label.share, label.column, label.value))
    return tuple(label for label in found if label.share > label.base)[:_SHOWN_LABELS]
