"""A judge of texts that knows nothing of the model: counts of words and a logistic regression."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from msma.errors import CorpusError

_INVERSE_PENALTY = 1.0
#: Words, and marks of punctuation each by itself.
_TOKENS = r"\w+|[^\w\s]"


class Judge:
    r"""Tell from its words alone to which of two sets a text belongs.

    .. math:: j(x) = \log \frac{p(\text{towards} \mid x)}{p(\text{away} \mid x)} = w^\top \text{tfidf}(x) + b

    fitted as a logistic regression with balanced classes (Salton and Buckley 1988 for the weights of words). Texts
    are not brought to the same length, so that every telling word adds its evidence, and a word that none of the
    judge's texts holds adds nothing.

    Args:
        towards: Texts of the one set.
        away_from: Texts of the other.

    Raises:
        CorpusError: When the texts hold no word.

    Examples:
        >>> judge = Judge(["a ship at sea", "the sea"], ["a house", "the garden of a house"])
        >>> at_sea, at_home = judge.log_odds(["by the sea", "in the garden"])
        >>> bool(at_sea > 0 > at_home)
        True
    """

    def __init__(self, towards: Sequence[str], away_from: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        self._model: Any = make_pipeline(
            TfidfVectorizer(token_pattern=_TOKENS, sublinear_tf=True, norm=None),
            LogisticRegression(C=_INVERSE_PENALTY, class_weight="balanced", max_iter=1000),
        )
        labels = [1] * len(towards) + [0] * len(away_from)
        try:
            self._model.fit([*towards, *away_from], labels)
        except ValueError as error:
            raise CorpusError(f"{len(labels)} texts without a word came; give texts with words") from error

    def log_odds(self, texts: Sequence[str]) -> Float[np.ndarray, " texts"]:
        """Judge texts.

        Args:
            texts: The texts.

        Returns:
            In nats; above 0 where "towards" is likelier.
        """
        return np.asarray(self._model.decision_function(list(texts)), dtype=np.float64)

    def accuracy(self, towards: Sequence[str], away_from: Sequence[str]) -> float:
        """Share of other texts that are told apart, each side counting half.

        Args:
            towards: Texts of the one set that the judge was not fitted on.
            away_from: Texts of the other.

        Returns:
            1 when all are, 0.5 by chance.

        Examples:
            >>> Judge(["sea", "ship"], ["house", "garden"]).accuracy(["sea", "a ship"], ["a house"])
            1.0
        """
        hits = np.mean(self.log_odds(towards) > 0), np.mean(self.log_odds(away_from) <= 0)
        return float(np.mean(hits))
