"""Texts of a study cut to the length of the text explained, so that length alone makes nothing untypical."""

from functools import cached_property

import numpy as np

from msma.explanation.corpus import StudyCorpus
from msma.explanation.reading import ByScale, ScaleReader

#: Lengths grow by this factor, so that few have to be read.
_STEP = 2**0.5
_SHORTEST = 4
#: A text this share as long as the middle one of the corpus is compared with whole texts.
_LONG_ENOUGH = 0.8


class LengthMatch:
    """Give training and validation texts at about the length of another text.

    Mean states depend on the number of tokens: special tokens, and the first token on which decoders put huge
    states, weigh more in a short text. Texts are cut behind that many tokens and read again, each length once.

    Args:
        corpus: The study.
        reader: Reads texts as the study did.
        most: Texts of each part, at most.
    """

    def __init__(self, corpus: StudyCorpus, reader: ScaleReader, *, most: int = 128) -> None:
        self._reader = reader
        seed = corpus.config.seed
        self._texts = {
            part: [text for _, text in corpus.whole_texts(states, most=most, seed=seed) if text.strip()]
            for part, states in (("train", corpus.splits.train), ("validation", corpus.splits.validation))
        }
        self._found: dict[int, dict[str, ByScale]] = {}

    @cached_property
    def _rows(self) -> dict[str, list[tuple[list[int], int, int]]]:
        """Ids of each text, with where its ordinary tokens begin and end."""
        return {part: [self._reader.tokenise(text) for text in texts] for part, texts in self._texts.items()}

    def length_for(self, n_tokens: int) -> int | None:
        """Choose a length.

        Args:
            n_tokens: Ordinary tokens of a text.

        Returns:
            The length that texts are cut to; ``None`` where whole texts are about as short.
        """
        lengths = [end - begin for _, begin, end in self._rows["validation"]]
        if n_tokens >= _LONG_ENOUGH * float(np.median(lengths)):
            return None
        step = round(np.log(max(n_tokens, _SHORTEST) / _SHORTEST) / np.log(_STEP))
        return round(_SHORTEST * _STEP**step)

    def read(self, length: int) -> dict[str, ByScale]:
        """Read the texts cut to a length.

        Args:
            length: Ordinary tokens kept.

        Returns:
            States of texts of "train" and of "validation", at each scale.
        """
        if length not in self._found:
            self._found[length] = {
                part: self._reader.pool([_cut(row, length) for row in rows])
                for part, rows in self._rows.items()
            }
        return self._found[length]


def _cut(row: tuple[list[int], int, int], length: int) -> list[int]:
    """Keep what stands around the text, and its first tokens."""
    ids, begin, end = row
    return [*ids[: min(begin + length, end)], *ids[end:]]
