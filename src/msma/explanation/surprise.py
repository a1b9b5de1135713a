"""How surprising parts of texts are beside parts of other texts that are alike in what does not matter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import log_ndtr

from msma.detection.calibration import ConformalCalibration
from msma.detection.whitening import Whitening
from msma.errors import ShapeError

#: Squared distances below this share of the usual one count as this.
_NEAREST = 1e-9
#: A kind with parts of fewer documents than this is measured among all kinds.
_FEWEST_DOCUMENTS = 10
_FEWEST_PARTS = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """Sentences or tokens, and what is known of them beside their states.

    Args:
        rows: Their residuals.
        traits: Numbers that the size of a residual depends on, such as the logarithm of a sentence's length.
        kinds: Kind of each, from 0: p-values hold within each kind.
        documents: The document of each.
    """

    rows: Float[np.ndarray, "parts k"]
    traits: Float[np.ndarray, "parts traits"]
    kinds: Int[np.ndarray, " parts"]
    documents: Int[np.ndarray, " parts"]

    def take(self, chosen: Bool[np.ndarray, " parts"]) -> Self:
        """Choose some.

        Args:
            chosen: Which.

        Returns:
            Those.
        """
        return type(self)(
            rows=self.rows[chosen],
            traits=self.traits[chosen],
            kinds=self.kinds[chosen],
            documents=self.documents[chosen],
        )

    @classmethod
    def join(cls, several: Sequence[Self]) -> Self:
        """Put the parts of several texts together.

        Args:
            several: Parts of each.

        Returns:
            All of them.
        """
        return cls(
            rows=np.concatenate([parts.rows for parts in several]),
            traits=np.concatenate([parts.traits for parts in several]),
            kinds=np.concatenate([parts.kinds for parts in several]),
            documents=np.concatenate([parts.documents for parts in several]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PartSurprise:
    r"""Surprise of a part in nats, and its p-value, given its traits and its kind.

    .. math:: u = -\log \Phi(-t), \qquad t = \frac{\log \|w(r)\|^2 - a^\top x - m_c}{s_c}

    with w a whitening of residuals, x the part's traits (quadratic), and :math:`m_c`, :math:`s_c` mean and spread of
    what the traits leave over in its kind c. P-values are conformal, by kind, on documents that nothing was fitted on.

    Args:
        whitening: w.
        slopes: a; the constant first.
        centres: :math:`m_c`.
        spreads: :math:`s_c`.
        calibrations: One a kind, and one of all kinds last, for kinds of which too few documents have a part.
    """

    whitening: Whitening
    slopes: Float[np.ndarray, " terms"]
    centres: Float[np.ndarray, " kinds"]
    spreads: Float[np.ndarray, " kinds"]
    calibrations: tuple[ConformalCalibration | None, ...]

    @classmethod
    def fit(cls, fitted: Parts, calibrated: Parts, *, n_kinds: int, outside: int | None = None) -> Self:
        """Fit on parts of some documents and calibrate on those of others.

        Args:
            fitted: Parts that whitening and expectations are learned from.
            calibrated: Parts of other documents.
            n_kinds: Kinds there are.
            outside: A kind that whitening and slopes are not learned from.

        Returns:
            The measure.

        Raises:
            ShapeError: When there are too few parts.
        """
        inside = fitted if outside is None else fitted.take(fitted.kinds != outside)
        if len(inside.rows) < _FEWEST_PARTS or len(calibrated.rows) == 0:
            raise ShapeError(
                f"{len(inside.rows)} parts of texts came to fit on and {len(calibrated.rows)} to calibrate on; give "
                f"at least {_FEWEST_PARTS} and 1"
            )
        whitening = Whitening.from_rows(inside.rows)
        terms = _terms(inside.traits)
        slopes = np.linalg.lstsq(terms, _log_distances(whitening, inside.rows), rcond=None)[0]
        left = _log_distances(whitening, fitted.rows) - _terms(fitted.traits) @ slopes
        centres, spreads = _moments(left, fitted.kinds, n_kinds)
        measure = cls(whitening=whitening, slopes=slopes, centres=centres, spreads=spreads, calibrations=())
        scores = -measure.surprise(calibrated)
        calibrations: list[ConformalCalibration | None] = []
        for kind in range(n_kinds):
            own = calibrated.kinds == kind
            is_enough = len(np.unique(calibrated.documents[own])) >= _FEWEST_DOCUMENTS
            calibrations.append(
                ConformalCalibration.from_scores(scores[own], calibrated.documents[own])
                if is_enough
                else None
            )
        calibrations.append(ConformalCalibration.from_scores(scores, calibrated.documents))
        return cls(
            whitening=whitening,
            slopes=slopes,
            centres=centres,
            spreads=spreads,
            calibrations=tuple(calibrations),
        )

    def surprise(self, parts: Parts) -> Float[np.ndarray, " parts"]:
        """Compute the surprise of parts.

        Args:
            parts: The parts.

        Returns:
            Nats, 0 or more; about 1 on average for parts of clean texts.
        """
        expected = _terms(parts.traits) @ self.slopes + self.centres[parts.kinds]
        excess = (_log_distances(self.whitening, parts.rows) - expected) / self.spreads[parts.kinds]
        return np.asarray(-log_ndtr(-excess))

    def p_values(self, parts: Parts) -> Float[np.ndarray, " parts"]:
        """Compute how many clean parts of the kind are as surprising.

        Args:
            parts: The parts.

        Returns:
            Conformal p-values, in (0, 1]; small is strange.
        """
        scores = -self.surprise(parts)
        found = np.empty(len(scores))
        for kind in np.unique(parts.kinds):
            calibration = self.calibrations[kind] or self.calibrations[-1]
            if calibration is not None:
                found[parts.kinds == kind] = calibration.p_values(scores[parts.kinds == kind])
        return found

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Give everything as arrays, ready to be written.

        Returns:
            Arrays by name.
        """
        part = self.whitening
        arrays = {
            "mean": part.mean,
            "matrix": part.matrix,
            "columns": part.columns,
            "shrinkage": np.array([part.shrinkage]),
            "slopes": self.slopes,
            "centres": self.centres,
            "spreads": self.spreads,
        }
        for number, calibration in enumerate(self.calibrations):
            if calibration is not None:
                arrays[f"calibration.{number}.scores"] = calibration.scores
                arrays[f"calibration.{number}.cumulative"] = calibration.cumulative
                arrays[f"calibration.{number}.n"] = np.array([calibration.n_documents])
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild what :meth:`to_arrays` gave.

        Args:
            arrays: Arrays by name.

        Returns:
            The measure.
        """
        kept = {name: np.array(array) for name, array in arrays.items()}
        calibrations = tuple(
            ConformalCalibration(
                kept[f"calibration.{number}.scores"],
                kept[f"calibration.{number}.cumulative"],
                int(kept[f"calibration.{number}.n"][0]),
            )
            if f"calibration.{number}.n" in kept
            else None
            for number in range(len(kept["centres"]) + 1)
        )
        return cls(
            whitening=Whitening(kept["mean"], kept["matrix"], kept["columns"], float(kept["shrinkage"][0])),
            slopes=kept["slopes"],
            centres=kept["centres"],
            spreads=kept["spreads"],
            calibrations=calibrations,
        )


def _log_distances(whitening: Whitening, rows: Float[np.ndarray, "parts k"]) -> Float[np.ndarray, " parts"]:
    return np.log(np.maximum(whitening.distances(rows) / len(whitening.columns), _NEAREST))


def _terms(traits: Float[np.ndarray, "parts traits"]) -> Float[np.ndarray, "parts terms"]:
    return np.concatenate([np.ones((len(traits), 1)), traits, traits**2], axis=1)


def _moments(
    left: Float[np.ndarray, " parts"], kinds: Int[np.ndarray, " parts"], n_kinds: int
) -> tuple[Float[np.ndarray, " kinds"], Float[np.ndarray, " kinds"]]:
    """Measure mean and spread by kind, of all parts where a kind has too few."""
    found = []
    for kind in range(n_kinds):
        own = left[kinds == kind]
        own = left if len(own) < _FEWEST_PARTS else own
        found.append((own.mean(), max(float(own.std(ddof=1)), _NEAREST)))
    centres, spreads = np.array(found).T
    return centres, spreads


def mean_by_owner(
    rows: Float[np.ndarray, "tokens k"],
    owners: Int[np.ndarray, " tokens"],
    *,
    is_kept: Bool[np.ndarray, " tokens"],
) -> tuple[Float[np.ndarray, "owners k"], Float[np.ndarray, " owners"]]:
    """Average over the kept tokens of each sentence, over all of one that has no kept token.

    Args:
        rows: One a token.
        owners: The sentence of each, from 0.
        is_kept: Which count.

    Returns:
        Mean of each sentence, and how many tokens it is of.

    Examples:
        >>> rows, kept = np.array([[9.0], [1.0], [3.0]]), np.array([False, True, True])
        >>> mean_by_owner(rows, np.array([0, 0, 0]), is_kept=kept)[0].tolist()
        [[2.0]]
    """
    n = int(owners.max()) + 1
    has_kept = np.bincount(owners[is_kept], minlength=n) > 0
    used = is_kept | ~has_kept[owners]
    lengths = np.bincount(owners[used], minlength=n).astype(np.float64)
    sums = np.zeros((n, rows.shape[1]))
    np.add.at(sums, owners[used], rows[used])
    return sums / lengths[:, None], lengths
