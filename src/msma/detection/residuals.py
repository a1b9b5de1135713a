"""Cross-scale residuals: how far one scale of a sample is from what another scale of it says it should be."""

from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
from jaxtyping import Float

from msma._types import SCALES, Pair, Scale
from msma.alignment import Alignment
from msma.detection.calibration import number_groups
from msma.detection.whitening import Shrinkage, WhitenedNorm
from msma.errors import ScaleError
from msma.maps import BaseMap

#: One representation a scale, samples in rows.
Scales: TypeAlias = Mapping[Scale, Float[np.ndarray, "samples d_model"]]


class CrossScaleResiduals:
    r"""Measure residuals between scales, whitened by what clean held-out samples leave over: METHOD section 9.

    .. math:: u_{st} = -\log P\left(\|f(z_s) - z_t\|_{\Sigma_{st}^{-1}} \text{ of a clean sample is larger}\right),
        \quad u = \sum_{st} u_{st}

    :math:`\Sigma_{st}` is the shrunk covariance of the residuals of clean samples that the maps were **not** fitted
    on: on those they were, residuals are too small, the more so the wider the states. Each pair's squared norm is
    brought to nats (:class:`msma.detection.whitening.WhitenedNorm`) before pairs are added, so that a pair of wide or
    heavy-tailed residuals does not rule the sum; whether the sum is unusual is then a matter of conformal calibration
    and needs neither normality nor independence of pairs.

    Args:
        maps: Fitted maps by pair of scales, source first.
        pairs: Pairs that are measured; those of the maps when left out. A pair without a map of its own, such as
            ``("global", "local")``, goes through the intermediate scale.
        shrinkage: Of the residuals' correlations: "ledoit-wolf", or a share from 0 to 1.

    Raises:
        ScaleError: When a pair can be mapped neither directly nor through the intermediate scale.

    Examples:
        >>> from msma.maps import RidgeMap
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=(300, 2))
        >>> clean = {s: z + 0.1 * rng.normal(size=z.shape) for s in SCALES}
        >>> gi = RidgeMap(alpha=0.0).fit(clean["global"][:150], clean["intermediate"][:150])
        >>> held = {s: rows[150:] for s, rows in clean.items()}
        >>> residuals = CrossScaleResiduals({("global", "intermediate"): gi}).fit(held)
        >>> broken = {**held, "intermediate": held["intermediate"][::-1]}
        >>> bool(residuals.surprise(broken).mean() > 10 * residuals.surprise(held).mean())
        True
    """

    def __init__(
        self,
        maps: Mapping[Pair, BaseMap],
        *,
        pairs: Sequence[Pair] | None = None,
        shrinkage: Shrinkage = "ledoit-wolf",
    ) -> None:
        self.maps = dict(maps)
        self.pairs: tuple[Pair, ...] = tuple(maps) if pairs is None else tuple((s, t) for s, t in pairs)
        self.shrinkage: Shrinkage = shrinkage
        self._chains = {pair: self._chain(pair) for pair in self.pairs}
        self.norms_: dict[Pair, WhitenedNorm] = {}

    @classmethod
    def from_alignment(
        cls,
        alignment: Alignment,
        *,
        pairs: Sequence[Pair] | None = None,
        shrinkage: Shrinkage = "ledoit-wolf",
    ) -> Self:
        """Take the maps of a fitted alignment.

        Args:
            alignment: A fitted alignment.
            pairs: Pairs that are measured; the alignment's fitted ones when left out.
            shrinkage: See the class.

        Returns:
            Residuals, still to be fitted on states that the alignment was not fitted on.

        Raises:
            ScaleError: When the alignment is not fitted, or cannot map a pair.
        """
        return cls(alignment.maps_, pairs=pairs, shrinkage=shrinkage)

    def _chain(self, pair: Pair) -> tuple[Pair, ...]:
        through: tuple[Pair, ...] = ((pair[0], "intermediate"), ("intermediate", pair[1]))
        for steps in ((pair,), through):
            if all(step in self.maps for step in steps):
                return steps
        known = ", ".join(" -> ".join(fitted) for fitted in self.maps) or "none"
        raise ScaleError(
            f"pair {pair!r} came and the fitted maps are {known}; fit a map of that pair, or leave the pair out"
        )

    def fit(self, scales: Scales, *, groups: Any = None) -> Self:
        """Learn the covariance and the usual size of the residuals.

        Args:
            scales: Clean samples that the maps were not fitted on.
            groups: The document of each sample; every one its own when left out.

        Returns:
            Itself.
        """
        n = len(next(iter(scales.values())))
        documents = number_groups(groups, n_samples=n)
        for pair, rows in self.residuals(scales).items():
            # Told apart from rounding by the size of the target, of which the residual is a remainder.
            sizes = np.sqrt((scales[pair[1]] ** 2).mean(axis=0))
            self.norms_[pair] = WhitenedNorm.from_rows(
                rows, documents=documents, shrinkage=self.shrinkage, sizes=sizes
            )
        return self

    def residuals(self, scales: Scales) -> dict[Pair, Float[np.ndarray, "samples d_target"]]:
        """Compute what the maps leave over.

        Args:
            scales: One representation a scale.

        Returns:
            f(z_s) - z_t by pair.
        """
        found: dict[Pair, Float[np.ndarray, "samples d_target"]] = {}
        for pair, steps in self._chains.items():
            mapped = scales[pair[0]]
            for step in steps:
                mapped = self.maps[step].transform(mapped)
            found[pair] = np.asarray(mapped - scales[pair[1]])
        return found

    def contributions(self, scales: Scales) -> dict[Pair, Float[np.ndarray, " samples"]]:
        """Compute the surprise of each pair of scales.

        Args:
            scales: One representation a scale.

        Returns:
            Nats by pair, 0 or more; about 1 on average for clean samples.

        Raises:
            ScaleError: When :meth:`fit` was not called.
        """
        if not self.norms_:
            raise ScaleError("these residuals have no covariance yet; call fit(held-out clean scales) first")
        return {pair: self.norms_[pair].surprise(rows) for pair, rows in self.residuals(scales).items()}

    def surprise(self, scales: Scales) -> Float[np.ndarray, " samples"]:
        """Compute the surprise of all pairs together.

        Args:
            scales: One representation a scale.

        Returns:
            Nats, 0 or more; higher is more anomalous.
        """
        return np.asarray(sum(self.contributions(scales).values()))


def split_scales(
    rows: Float[np.ndarray, "samples width"],
) -> dict[Scale, Float[np.ndarray, "samples d_model"]]:
    """Divide rows of the three scales side by side.

    Args:
        rows: [local | intermediate | global], (samples, 3 d_model).

    Returns:
        One representation a scale.

    Raises:
        ScaleError: When the width is no multiple of 3.

    Examples:
        >>> split_scales(np.array([[1.0, 2.0, 3.0]]))["global"].tolist()
        [[3.0]]
    """
    width = rows.shape[1]
    if width % len(SCALES):
        raise ScaleError(
            f"X came with {width} columns, which three scales cannot share; give [local | intermediate | global], "
            "each as wide as the model"
        )
    parts = np.split(rows, len(SCALES), axis=1)
    return dict(zip(SCALES, parts, strict=True))
