"""One text as the model read it: its tokens, its sentences, their states at the three scales."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from msma._types import SCALES, Scale
from msma.corpora import split_sentences
from msma.explanation.parts import Piece

ByScale: TypeAlias = dict[Scale, Float[np.ndarray, "rows d_model"]]


@dataclass(frozen=True, kw_only=True, eq=False)
class TextReading:
    """One text as the model read it.

    Args:
        text: The text, as much of it as was read.
        ids: Ids of the row, special tokens included.
        source: What the encoder reads, when the stack is the decoder of an encoder-decoder.
        places: Where in the row the ordinary tokens are.
        tokens: The ordinary tokens.
        sentences: The sentences of which a token was read.
        states: States of all tokens of the row at each scale.
        is_cut: Whether the text was longer than the model reads.
    """

    text: str
    ids: tuple[int, ...]
    source: tuple[int, ...] | None
    places: Int[np.ndarray, " tokens"]
    tokens: tuple[Piece, ...]
    sentences: tuple[Piece, ...]
    states: ByScale
    is_cut: bool

    @property
    def pooled(self) -> dict[Scale, Float[np.ndarray, " d_model"]]:
        """The text's state at each scale: the mean over all tokens of the row, special ones included."""
        return {scale: rows.mean(axis=0) for scale, rows in self.states.items()}

    @property
    def of_tokens(self) -> ByScale:
        """States of the ordinary tokens at each scale."""
        return {scale: rows[self.places] for scale, rows in self.states.items()}

    @property
    def of_sentences(self) -> ByScale:
        """States of the sentences at each scale: the mean over the tokens of each."""
        owners = np.array([token.sentence for token in self.tokens])
        tokens = self.of_tokens
        return {
            scale: np.stack(
                [tokens[scale][owners == number].mean(axis=0) for number in range(len(self.sentences))]
            )
            for scale in SCALES
        }


def place_tokens(text: str, spans: Sequence[tuple[int, int]]) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Give each token its sentence.

    Args:
        text: The text.
        spans: First character of each token, and one past its last.

    Returns:
        Tokens and sentences. Sentences without a token are left out; tokens between two join the one before.
    """
    borders = split_sentences(text) or [(0, len(text))]
    owners = []
    for start, end in spans:
        here = max(end - 1, start)
        owners.append(max((k for k, (begin, _) in enumerate(borders) if begin <= here), default=0))
    kept = sorted(set(owners))
    number = {old: new for new, old in enumerate(kept)}
    tokens = tuple(
        Piece(text=text[start:end], start=start, end=end, sentence=number[owner])
        for (start, end), owner in zip(spans, owners, strict=True)
    )
    sentences = tuple(
        Piece(text=text[slice(*borders[old])], start=borders[old][0], end=borders[old][1], sentence=new)
        for new, old in enumerate(kept)
    )
    return tokens, sentences
