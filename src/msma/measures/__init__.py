"""Every measure: what it compares, in which units, which way is better, how few samples it can do with.

:data:`MEASURES` is the table an evaluation goes through, in the order it is shown. To add a measure: write the
function in the file of its idea, add one row here, its name in ``tests/unit/measures/test_registry.py`` and one
line in the docs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from msma._types import Better
from msma.measures._inputs import PairedSource, PairedTarget, Scalar
from msma.measures.bounds import (
    BOUNDS,
    club_bound,
    infonce_bound,
    jensen_shannon_bound,
    mine_bound,
    mine_surrogate,
    nwj_bound,
    smile_bound,
    vib_rate,
)
from msma.measures.canonical import canonical_correlations, pwcca, svcca
from msma.measures.curvature import Curvature, curvature
from msma.measures.density_ratio import classifier_kl_bound
from msma.measures.dimension import dimension_profile, mle_dimension, twonn_dimension
from msma.measures.divergence import (
    gaussian_kl,
    gaussian_kl_from_cross_moments,
    gaussian_kl_from_moments,
    split_gaussian_kl,
    wasserstein2_gaussian,
)
from msma.measures.estimate import Estimate
from msma.measures.geometry import covariance_spectrum, isotropy, mean_norm, participation_ratio
from msma.measures.hybrid import Recommendation, hybrid_mi, recommend
from msma.measures.information import (
    copula_mi,
    copula_transform,
    gaussian_mi,
    gaussian_mi_from_moments,
    histogram_mi,
    ksg_mi,
)
from msma.measures.projection import leading_projection, projection_width
from msma.measures.similarity import cka, distance_correlation, mutual_knn_overlap, procrustes_distance, r2
from msma.measures.trained import club_mi, critic_mi

__all__ = [
    "BOUNDS",
    "MEASURES",
    "Curvature",
    "Estimate",
    "Measure",
    "Recommendation",
    "canonical_correlations",
    "cka",
    "classifier_kl_bound",
    "club_bound",
    "club_mi",
    "copula_mi",
    "copula_transform",
    "covariance_spectrum",
    "critic_mi",
    "curvature",
    "dimension_profile",
    "distance_correlation",
    "gaussian_kl",
    "gaussian_kl_from_cross_moments",
    "gaussian_kl_from_moments",
    "gaussian_mi",
    "gaussian_mi_from_moments",
    "histogram_mi",
    "hybrid_mi",
    "infonce_bound",
    "isotropy",
    "jensen_shannon_bound",
    "ksg_mi",
    "leading_projection",
    "mean_norm",
    "mine_bound",
    "mine_surrogate",
    "mle_dimension",
    "mutual_knn_overlap",
    "nwj_bound",
    "participation_ratio",
    "procrustes_distance",
    "projection_width",
    "pwcca",
    "r2",
    "recommend",
    "smile_bound",
    "split_gaussian_kl",
    "svcca",
    "twonn_dimension",
    "vib_rate",
    "wasserstein2_gaussian",
]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One row of the table of measures.

    Args:
        name: As results spell it.
        function: Takes what a map made of the source, and the target, row i beside row i.
        units: Of the value.
        better: Which way is better, or "none".
        paired: True where the quantity is about pairs, whose null is the same with pairs shuffled. False where
            it is about two laws: shuffling changes nothing true about them, and the floor is what two halves
            of the target read.
        low: Least value the true quantity can have; ``None`` where there is no bound.
        high: Greatest value, likewise.
        citation: Where the estimate comes from.
        min_samples: Fewest samples for widths (d_source, d_target); below, project first or leave it out.
        floor: Takes two separate samples, such as two halves of the target; ``None`` where ``paired``.
        is_paper: True for the published code's own quantity, shown beside ours and marked ``paper``.

    Examples:
        >>> MEASURES["kl"].units, MEASURES["kl"].better, MEASURES["kl"].min_samples(768, 768)
        ('nats', 'lower', 771)
        >>> [name for name, measure in MEASURES.items() if measure.is_paper]
        ['kl_diagonal', 'mi_histogram']
    """

    name: str
    function: Callable[..., Scalar]
    units: str
    better: Better
    paired: bool
    low: float | None
    high: float | None
    citation: str
    min_samples: Callable[[int, int], int]
    floor: Callable[..., Scalar] | None = None
    is_paper: bool = False


def _at_least(fewest: int) -> Callable[[int, int], int]:
    return lambda d_source, d_target: fewest


def _more_than_one_width(d_source: int, d_target: int) -> int:
    return max(d_source, d_target) + 3


def _more_than_both_widths(d_source: int, d_target: int) -> int:
    return d_source + d_target + 2


def _hybrid_value(source: PairedSource, target: PairedTarget) -> Scalar:
    return hybrid_mi(source, target).value


_ROWS = (
    Measure(
        name="kl",
        function=partial(gaussian_kl, estimator="paired"),
        floor=partial(gaussian_kl, estimator="corrected"),
        units="nats",
        better="lower",
        paired=False,
        low=0.0,
        high=None,
        citation="Gaussian KL with Wishart correction (Anderson 2003, lemma 7.7.1 and theorem 7.5.3)",
        min_samples=_more_than_one_width,
    ),
    Measure(
        name="kl_shrinkage",
        function=partial(gaussian_kl, estimator="shrinkage"),
        floor=partial(gaussian_kl, estimator="shrinkage"),
        units="nats",
        better="lower",
        paired=False,
        low=0.0,
        high=None,
        citation="Ledoit and Wolf 2004",
        min_samples=_at_least(4),
    ),
    Measure(
        name="kl_diagonal",
        function=partial(gaussian_kl, estimator="diagonal"),
        floor=partial(gaussian_kl, estimator="diagonal"),
        units="nats",
        better="lower",
        paired=False,
        low=0.0,
        high=None,
        citation="Zhang and Dong, arXiv 2505.20333",
        min_samples=_at_least(2),
        is_paper=True,
    ),
    Measure(
        name="kl_classifier",
        function=classifier_kl_bound,
        floor=classifier_kl_bound,
        units="nats",
        better="lower",
        paired=False,
        low=0.0,
        high=None,
        citation="Nguyen, Wainwright and Jordan 2010, equation 9",
        min_samples=_at_least(25),
    ),
    Measure(
        name="mi",
        function=copula_mi,
        units="nats",
        better="higher",
        paired=True,
        low=0.0,
        high=None,
        citation="Gaussian copula with log-determinant correction (Anderson 2003, theorem 7.5.3)",
        min_samples=_more_than_both_widths,
    ),
    Measure(
        name="mi_hybrid",
        function=_hybrid_value,
        units="nats",
        better="higher",
        paired=True,
        low=0.0,
        high=None,
        citation="Gaussian copula in closed form plus held-out critics (docs/estimators.md)",
        min_samples=_more_than_both_widths,
    ),
    Measure(
        name="mi_ksg",
        function=partial(ksg_mi, k=5, components=5),
        units="nats",
        better="higher",
        paired=True,
        low=0.0,
        high=None,
        citation="Kraskov, Stögbauer and Grassberger 2004, equation 8",
        min_samples=_at_least(7),
    ),
    Measure(
        name="mi_histogram",
        function=histogram_mi,
        units="nats",
        better="higher",
        paired=True,
        low=0.0,
        high=None,
        citation="Zhang and Dong, arXiv 2505.20333",
        min_samples=_at_least(1),
        is_paper=True,
    ),
    Measure(
        name="distance_correlation",
        function=distance_correlation,
        units="1",
        better="higher",
        paired=True,
        low=0.0,
        high=1.0,
        citation="Székely and Rizzo 2013 (bias-corrected, squared)",
        min_samples=_at_least(4),
    ),
    Measure(
        name="cka",
        function=cka,
        units="1",
        better="higher",
        paired=True,
        low=0.0,
        high=1.0,
        citation="Kornblith et al. 2019, equation 4; Song et al. 2012, equation 5",
        min_samples=_at_least(4),
    ),
    Measure(
        name="svcca",
        function=svcca,
        units="1",
        better="higher",
        paired=True,
        low=0.0,
        high=1.0,
        citation="Raghu et al. 2017",
        min_samples=_more_than_both_widths,
    ),
    Measure(
        name="pwcca",
        function=pwcca,
        units="1",
        better="higher",
        paired=True,
        low=0.0,
        high=1.0,
        citation="Morcos, Raghu and Bengio 2018",
        min_samples=_more_than_both_widths,
    ),
    Measure(
        name="procrustes_distance",
        function=procrustes_distance,
        units="1",
        better="lower",
        paired=True,
        low=0.0,
        high=1.0,
        citation="Dryden and Mardia 2016, section 4.2.2",
        min_samples=_at_least(2),
    ),
    Measure(
        name="r2",
        function=r2,
        units="1",
        better="higher",
        paired=True,
        low=None,
        high=1.0,
        citation="coefficient of determination, columns weighted by variance",
        min_samples=_at_least(2),
    ),
    Measure(
        name="mutual_knn",
        function=mutual_knn_overlap,
        units="1",
        better="higher",
        paired=True,
        low=0.0,
        high=1.0,
        citation="Huh et al. 2024",
        min_samples=_at_least(12),
    ),
)

#: The measures of an evaluation by name, in the order they are shown.
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ROWS}
