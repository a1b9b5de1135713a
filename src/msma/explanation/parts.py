"""The parts of an explanation: plain values, ready to be shown and saved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msma._types import Pair, Scale


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A token or a sentence, and where it stands.

    Args:
        text: Its characters, as they stand in the text.
        start: First character in the text.
        end: One past its last character.
        sentence: Number of the sentence a token belongs to; that of the sentence itself.
    """

    text: str
    start: int
    end: int
    sentence: int = 0


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A sample of the corpus near the text at one scale.

    Args:
        text: What it says.
        document: The document it belongs to.
        similarity: Cosine of the two centred states, -1 to 1.
        labels: Its labels, by column.
    """

    text: str
    document: str
    similarity: float
    labels: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LabelShare:
    """How common a label is among the nearest samples, beside how common it is at all.

    Args:
        column: Column of the label.
        value: The label.
        share: Share among the nearest samples, 0 to 1.
        base: Share in the whole corpus, 0 to 1.
    """

    column: str
    value: str
    share: float
    base: float


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a text lies among the corpus at one scale.

    Args:
        scale: The scale.
        texts: Nearest samples of the corpus, nearest first.
        sentences: Nearest sentences of the corpus to the text, nearest first.
        distance: Mahalanobis distance from the training mean (shrunk correlations), in its own units.
        p_value: Conformal p-value of that distance among validation texts, in (0, 1]; small is untypical.
        position: Place in the plane of the study's clouds.
        labels: Labels among the nearest, most over-represented first; empty where the corpus has none.
    """

    scale: Scale
    texts: tuple[Neighbour, ...]
    sentences: tuple[Neighbour, ...]
    distance: float
    p_value: float
    position: tuple[float, float]
    labels: tuple[LabelShare, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Which tokens drive one scale's coordinate.

    Args:
        scale: The scale.
        method: "occlusion" or "gradient".
        direction: What the coordinate runs along: "own", "component 3", or "topic=sea".
        coordinate: The text's coordinate, in standard deviations of the corpus.
        scores: One a token, in the same units: positive pushes the coordinate up; special tokens have none.
        comprehensiveness: How far deleting the highest tokens moves the coordinate down, averaged over shares
            of the tokens deleted; like the next two ``None`` as long as the scores have not been checked.
        random: The same for as many tokens deleted at random, averaged over draws.
        p_value: Share of random draws that move it at least as far, (1 + hits) / (1 + draws).
    """

    scale: Scale
    method: str
    direction: str
    coordinate: float
    scores: tuple[float, ...]
    comprehensiveness: float | None = None
    random: float | None = None
    p_value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Words that a scale's state stands for, after being mapped down.

    Args:
        path: Scales gone through: ("global",), ("global", "intermediate"), ("global", "intermediate", "local").
        method: "embeddings" (nearest rows of the embedding matrix) or "lens" (through the language head).
        words: Words and their scores, best first.
        auc: Probability that a token of the text scores above a token that is not in it; 0.5 is chance.
        control: The same with the decoding of other texts of the corpus in place of this one's, on average.
        p_value: Share of those controls that reach this text's, (1 + hits) / (1 + controls).
    """

    path: tuple[Scale, ...]
    method: str
    words: tuple[tuple[str, float], ...]
    auc: float
    control: float
    p_value: float


@dataclass(frozen=True, kw_only=True)
class Departure:
    """Where a text departs from what its themes predict.

    Args:
        pair: Scales, source first: the text's state at the source predicts the part's at the target.
        sentence_scores: Surprise of each sentence against parts of validation texts, in nats, higher is stranger.
        sentence_p_values: Conformal p-value of each sentence among sentences of validation texts.
        token_scores: The same for each token.
        token_p_values: Conformal p-value of each token among tokens of validation texts.
    """

    pair: Pair
    sentence_scores: tuple[float, ...]
    sentence_p_values: tuple[float, ...]
    token_scores: tuple[float, ...]
    token_p_values: tuple[float, ...]
