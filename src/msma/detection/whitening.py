"""Whitened norms of vectors in units that can be added: nats of surprise against held-out clean vectors."""

import math
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int
from scipy.special import log_ndtr
from sklearn.covariance import ledoit_wolf_shrinkage

from msma.errors import ConfigError, ShapeError
from msma.resampling import group_documents

#: How strongly correlations are shrunk: chosen by Ledoit and Wolf's rule, or a share from 0 to 1.
Shrinkage: TypeAlias = float | Literal["ledoit-wolf"]

#: Columns that vary less than this share of the size of what they belong to hold rounding.
_ROUNDING = 1e-7
#: Eigenvalues of a correlation matrix at or below this are none.
_SINGULAR = 1e-10
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Whitening:
    r"""Whiten vectors by mean, spreads and shrunk correlations of a sample.

    .. math:: w(x) = \big((1 - \rho) R + \rho I\big)^{-1/2} D^{-1} (x - \mu)

    with D the standard deviations, R the correlation matrix and :math:`\rho` Ledoit and Wolf's (2004, J. Multivariate
    Anal. 88) shrinkage of the standardised vectors. Shrinking correlations rather than covariances (Schaefer and
    Strimmer 2005) keeps the few huge dimensions of a language model from swamping the rest. :math:`\|w(x)\|^2` is the
    squared Mahalanobis distance. Columns that do not vary are left out: they have no unit to be measured in.

    Args:
        mean: :math:`\mu` of the columns kept.
        matrix: Columns times directions; the inverse square root with the spreads in it.
        columns: Columns kept.
        shrinkage: :math:`\rho`.

    Examples:
        >>> rows = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
        >>> whitening = Whitening.from_rows(rows, shrinkage=0.0)
        >>> whitening.distances(np.array([[0.0, 2.0], [0.0, 0.0]])).round(9).tolist()  # (2 / spread)^2 with n - 1
        [1.5, 0.0]
    """

    mean: Float[np.ndarray, " kept"]
    matrix: Float[np.ndarray, "kept directions"]
    columns: Int[np.ndarray, " kept"]
    shrinkage: float

    @classmethod
    def from_rows(
        cls,
        rows: Float[np.ndarray, "samples d"],
        *,
        shrinkage: Shrinkage = "ledoit-wolf",
        sizes: Float[np.ndarray, " d"] | None = None,
    ) -> Self:
        """Fit on clean vectors.

        Args:
            rows: Samples in rows.
            shrinkage: "ledoit-wolf", or a share from 0 (none; needs more samples than dimensions) to 1.
            sizes: Size of what the columns are a remainder of, to tell rounding by; their own when left out.

        Returns:
            The whitening.

        Raises:
            ConfigError: When the shrinkage is impossible, or too weak for so few samples.
            ShapeError: When there are fewer than 2 samples, or no column varies.
        """
        _check_shrinkage(shrinkage)
        if len(rows) < 2:
            raise ShapeError(
                f"{len(rows)} sample came for a covariance; give at least 2, and hundreds are better"
            )
        mean, spreads = rows.mean(axis=0), rows.std(axis=0, ddof=1)
        if sizes is None:
            sizes = np.sqrt((rows**2).mean(axis=0))
        columns = np.flatnonzero(spreads > _ROUNDING * sizes)
        if len(columns) == 0:
            raise ShapeError(
                f"none of {rows.shape[1]} columns varies over {len(rows)} samples beyond rounding, so that there is "
                "nothing to measure a distance in; give samples that differ, or another pair of scales"
            )
        standard = (rows[:, columns] - mean[columns]) / spreads[columns]
        if shrinkage == "ledoit-wolf":
            share = float(ledoit_wolf_shrinkage(standard, assume_centered=True))
        else:
            share = float(shrinkage)
        correlations = standard.T @ standard / (len(rows) - 1)
        shrunk = (1.0 - share) * correlations
        shrunk.flat[:: len(columns) + 1] += share
        values, vectors = scipy.linalg.eigh(shrunk, check_finite=False)
        if values[0] <= _SINGULAR:
            raise ConfigError(
                f"correlations of {len(columns)} columns over {len(rows)} samples with shrinkage {share:g} cannot be "
                f"inverted; give more than {len(columns) + 1} samples in this part, or shrinkage='ledoit-wolf'"
            )
        matrix = (vectors / np.sqrt(values)) / spreads[columns][:, None]
        return cls(mean[columns], matrix, columns, share)

    def transform(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n directions"]:
        """Whiten vectors.

        Args:
            rows: As wide as those fitted on.

        Returns:
            Coordinates of mean 0 and, without shrinkage, covariance I on the sample fitted on.
        """
        return np.asarray((rows[:, self.columns] - self.mean) @ self.matrix)

    def distances(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Compute squared Mahalanobis distances.

        Args:
            rows: As wide as those fitted on.

        Returns:
            One a row, 0 or more; about the number of columns for a clean Gaussian one.
        """
        return np.asarray((self.transform(rows) ** 2).sum(axis=1))


@dataclass(frozen=True, eq=False)
class WhitenedNorm:
    r"""A squared Mahalanobis distance as surprise in nats, so that several can be added.

    .. math:: u(x) = -\log \Phi\left(-\frac{\|w(x)\|^{2/3} - m}{s}\right)

    The cube root of a (scaled) chi-square is nearly normal (Wilson and Hilferty 1931), with m and s its mean and
    standard deviation over clean vectors, each measured by a whitening fitted without its document (five folds), since
    distances to a covariance that holds the vector itself are too small. :math:`u` is minus the logarithm of the
    upper-tail probability: log 2 at the middle, linear in the distance's own units far out, and never saturated as
    empirical p-values are, so that large anomalies keep their order. A sum of such terms is Fisher's combination.

    Args:
        whitening: How vectors are whitened.
        centre: m.
        spread: s.

    Examples:
        >>> rows = np.random.default_rng(0).normal(size=(500, 4))
        >>> norm = WhitenedNorm.from_rows(rows)
        >>> surprise = norm.surprise(np.random.default_rng(1).normal(size=(2000, 4)))
        >>> bool(abs(surprise.mean() - 1.0) < 0.1)  # a mean of 1 nat, as -log of a uniform number has
        True
    """

    whitening: Whitening
    centre: float
    spread: float

    @classmethod
    def from_rows(
        cls,
        rows: Float[np.ndarray, "samples d"],
        *,
        documents: Int[np.ndarray, " samples"] | None = None,
        shrinkage: Shrinkage = "ledoit-wolf",
        sizes: Float[np.ndarray, " d"] | None = None,
    ) -> Self:
        """Fit on clean vectors.

        Args:
            rows: Samples in rows.
            documents: The document of each; every one its own when left out.
            shrinkage: See :class:`Whitening`.
            sizes: See :meth:`Whitening.from_rows`.

        Returns:
            The norm.

        Raises:
            ShapeError: When there are too few samples or documents.
        """
        whole = Whitening.from_rows(rows, shrinkage=shrinkage, sizes=sizes)
        documents = np.arange(len(rows)) if documents is None else documents
        if len(np.unique(documents)) < 4:
            raise ShapeError(
                f"{len(rows)} samples of {len(np.unique(documents))} documents came to measure clean distances on; at "
                "least 4 documents are needed, and hundreds of samples are better: give more"
            )
        folds = group_documents(documents, n_groups=_FOLDS)
        roots = np.empty(len(rows))
        for fold in np.unique(folds):
            held = folds == fold
            # The same shrinkage in every fold: the rule would choose more of it for fewer samples.
            part = Whitening.from_rows(rows[~held], shrinkage=whole.shrinkage, sizes=sizes)
            # A column that is constant without this fold has no unit there: distances count what is left.
            share = len(whole.columns) / len(part.columns)
            roots[held] = np.cbrt(share * part.distances(rows[held]))
        centre, spread = float(roots.mean()), float(roots.std(ddof=1))
        if spread <= 1e-9 * centre:
            spread = centre * math.sqrt(2.0 / (9.0 * len(whole.columns)))
        return cls(whole, centre, spread)

    def surprise(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Compute how surprising vectors are.

        Args:
            rows: As wide as those fitted on.

        Returns:
            Nats, 0 or more.
        """
        return np.asarray(-log_ndtr((self.centre - np.cbrt(self.whitening.distances(rows))) / self.spread))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Give everything as arrays, ready to be written.

        Returns:
            Arrays by name.
        """
        part = self.whitening
        numbers = np.array([part.shrinkage, self.centre, self.spread])
        return {"mean": part.mean, "matrix": part.matrix, "columns": part.columns, "numbers": numbers}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Rebuild what :meth:`to_arrays` gave.

        Args:
            arrays: Arrays by name.

        Returns:
            The norm.
        """
        shrinkage, centre, spread = (float(number) for number in arrays["numbers"])
        mean, matrix, columns = (np.array(arrays[name]) for name in ("mean", "matrix", "columns"))
        return cls(Whitening(mean, matrix, columns, shrinkage), centre, spread)


def _check_shrinkage(shrinkage: Any) -> None:
    if shrinkage == "ledoit-wolf":
        return
    if isinstance(shrinkage, str) or not 0.0 <= shrinkage <= 1.0:
        raise ConfigError(f"shrinkage={shrinkage!r} came; expected 'ledoit-wolf' or a share from 0 to 1")
