"""What cross-scale residuals have to beat, with the same contract and the same calibration."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from msma._types import Split
from msma.detection.base import FRACTIONS, BaseDetector, fitting_part
from msma.detection.whitening import Shrinkage, WhitenedNorm
from msma.errors import ConfigError, CorpusError, ShapeError

_WORDS = re.compile(r"\w+|[^\w\s]")
#: Rows compared with all others at once.
_CHUNK = 512


class MahalanobisDetector(BaseDetector):
    r"""Score samples by their Mahalanobis distance to the clean ones, on one block of columns or the worst of all.

    .. math:: u(x) = \max_b -\log P\left(\|x_b - \mu_b\|_{\Sigma_b^{-1}} \text{ of a clean sample is larger}\right)

    (Lee et al. 2018, with one class; Podolskiy et al. 2021 for the last layer of a language model.) ``X`` holds blocks
    of equal width side by side: the three scales, all layers, or one layer alone.

    Args:
        n_blocks: Number of blocks in ``X``.
        block: The block measured, from 0 or from -1 backwards; "max" for the most surprising one.
        alpha: Share of clean samples that may be flagged.
        shrinkage: Of the correlations: "ledoit-wolf", or a share from 0 to 1.
        fractions: Shares of the documents; the first two together are fitted on.
        seed: Fixes that division.

    Examples:
        >>> X = np.random.default_rng(0).normal(size=(400, 3))
        >>> MahalanobisDetector().fit(X).predict([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]]).tolist()
        [1, -1]
    """

    def __init__(
        self,
        *,
        n_blocks: int = 1,
        block: int | Literal["max"] = -1,
        alpha: float = 0.05,
        shrinkage: Shrinkage = "ledoit-wolf",
        fractions: tuple[float, float, float] = FRACTIONS,
        seed: int = 0,
    ) -> None:
        self.n_blocks = n_blocks
        self.block = block
        self.alpha = alpha
        self.shrinkage: Shrinkage = shrinkage
        self.fractions = fractions
        self.seed = seed

    def _blocks(self, rows: Float[np.ndarray, "samples width"]) -> list[Float[np.ndarray, "samples d"]]:
        if self.n_blocks < 1 or rows.shape[1] % self.n_blocks:
            raise ShapeError(
                f"X came with {rows.shape[1]} columns, which {self.n_blocks} blocks cannot share equally"
            )
        blocks = np.split(rows, self.n_blocks, axis=1)
        if self.block == "max":
            return blocks
        if not isinstance(self.block, (int, np.integer)) or not -self.n_blocks <= self.block < self.n_blocks:
            raise ConfigError(
                f"block={self.block!r} came; expected 'max' or one of {self.n_blocks} blocks, from 0"
            )
        return [blocks[self.block]]

    def _fit_parts(
        self,
        rows: Float[np.ndarray, "samples width"],
        documents: Int[np.ndarray, " samples"],
        parts: Mapping[Split, Int[np.ndarray, " k"]],
    ) -> None:
        kept = fitting_part(parts)
        self.norms_ = [
            WhitenedNorm.from_rows(block[kept], documents=documents[kept], shrinkage=self.shrinkage)
            for block in self._blocks(rows)
        ]

    def _score(self, rows: Float[np.ndarray, "samples width"]) -> Float[np.ndarray, " samples"]:
        found = [norm.surprise(block) for norm, block in zip(self.norms_, self._blocks(rows), strict=True)]
        return -np.max(found, axis=0)


class NeighbourDetector(BaseDetector):
    r"""Score samples by the distance to their k-th nearest clean neighbour on the unit sphere (Sun et al. 2022).

    .. math:: u(x) = \left\| \frac{x}{\|x\|} - \frac{x_{(k)}}{\|x_{(k)}\|} \right\|

    Args:
        k: Which neighbour.
        alpha: Share of clean samples that may be flagged.
        fractions: Shares of the documents; the first two together are the neighbours.
        seed: Fixes that division.

    Examples:
        >>> X = np.random.default_rng(0).normal(size=(400, 3)) + 5.0
        >>> NeighbourDetector(k=5).fit(X).predict([[5.0, 5.0, 5.0], [-5.0, 5.0, 5.0]]).tolist()
        [1, -1]
    """

    def __init__(
        self,
        *,
        k: int = 10,
        alpha: float = 0.05,
        fractions: tuple[float, float, float] = FRACTIONS,
        seed: int = 0,
    ) -> None:
        self.k = k
        self.alpha = alpha
        self.fractions = fractions
        self.seed = seed

    def _fit_parts(
        self,
        rows: Float[np.ndarray, "samples width"],
        documents: Int[np.ndarray, " samples"],
        parts: Mapping[Split, Int[np.ndarray, " k"]],
    ) -> None:
        del documents
        kept = fitting_part(parts)
        if not 1 <= self.k <= len(kept):
            raise ConfigError(
                f"k={self.k!r} came for {len(kept)} clean samples; expected a number from 1 to as many"
            )
        self.neighbours_ = _on_sphere(rows[kept])

    def _score(self, rows: Float[np.ndarray, "samples width"]) -> Float[np.ndarray, " samples"]:
        scores = np.empty(len(rows))
        for start in range(0, len(rows), _CHUNK):
            part = _on_sphere(rows[start : start + _CHUNK])
            cosines = part @ self.neighbours_.T
            nearest = np.partition(cosines, len(self.neighbours_) - self.k, axis=1)[:, -self.k]
            scores[start : start + _CHUNK] = -np.sqrt(np.maximum(2.0 - 2.0 * nearest, 0.0))
        return scores


class SurpriseDetector(BaseDetector):
    """Score samples by a number computed elsewhere, such as nats per token under a language model; less is normal.

    Args:
        alpha: Share of clean samples that may be flagged.
        fractions: Shares of the documents; only the last, for calibration, is used.
        seed: Fixes that division.

    Examples:
        >>> nats = np.linspace(2.0, 4.0, 200)
        >>> SurpriseDetector().fit(nats[:, None]).predict([[3.0], [7.0]]).tolist()
        [1, -1]
    """

    def __init__(
        self, *, alpha: float = 0.05, fractions: tuple[float, float, float] = FRACTIONS, seed: int = 0
    ) -> None:
        self.alpha = alpha
        self.fractions = fractions
        self.seed = seed

    def _fit_parts(
        self,
        rows: Float[np.ndarray, "samples width"],
        documents: Int[np.ndarray, " samples"],
        parts: Mapping[Split, Int[np.ndarray, " k"]],
    ) -> None:
        del documents, parts
        if rows.shape[1] != 1:
            raise ShapeError(
                f"X came with {rows.shape[1]} columns; expected one, the surprise of each sample"
            )

    def _score(self, rows: Float[np.ndarray, "samples width"]) -> Float[np.ndarray, " samples"]:
        return -rows[:, 0]


class RarityDetector(BaseDetector):
    r"""Score texts by how rare their words are among the clean ones: what any detector with a model has to beat.

    .. math:: u = \frac{1}{T} \sum_t -\log \frac{c(t) + 1}{N + V + 1}

    with c the counts in the clean texts fitted on, N their sum and V the number of different words. Word order does not
    enter, so that it is at chance on shuffled words.

    Args:
        alpha: Share of clean texts that may be flagged.
        fractions: Shares of the documents; words of the first two together are counted.
        seed: Fixes that division.

    Examples:
        >>> texts = ["the sea rose", "the sea fell", "the wind rose", "the wind fell"] * 30
        >>> RarityDetector().fit(texts).predict(["the wind rose", "tzq wqnd rxqe"]).tolist()
        [1, -1]
    """

    def __init__(
        self, *, alpha: float = 0.05, fractions: tuple[float, float, float] = FRACTIONS, seed: int = 0
    ) -> None:
        self.alpha = alpha
        self.fractions = fractions
        self.seed = seed

    def _read(self, X: Any, *, is_fitting: bool) -> Any:
        del is_fitting
        if isinstance(X, str):
            raise CorpusError("a single string came; give a list of texts, or of sequences of tokens")
        found = [_WORDS.findall(text.lower()) if isinstance(text, str) else list(text) for text in X]
        empty = next((place for place, tokens in enumerate(found) if not tokens), None)
        if empty is not None:
            raise CorpusError(f"text {empty} has no token; leave it out")
        return found

    def _take(self, rows: Any, index: Int[np.ndarray, " k"]) -> Any:
        return [rows[place] for place in index]

    def _fit_parts(
        self, rows: Any, documents: Int[np.ndarray, " samples"], parts: Mapping[Split, Int[np.ndarray, " k"]]
    ) -> None:
        del documents
        counts = Counter(token for place in fitting_part(parts) for token in rows[place])
        total = math.log(counts.total() + len(counts) + 1)
        self.rarity_ = {token: total - math.log(count + 1) for token, count in counts.items()}
        self.rarity_of_unseen_ = total

    def _score(self, rows: Any) -> Float[np.ndarray, " samples"]:
        unseen = self.rarity_of_unseen_
        return -np.array([np.mean([self.rarity_.get(token, unseen) for token in tokens]) for tokens in rows])


def _on_sphere(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0.0, norms, 1.0))
