"""What each quantity is called in figures and reports, in plain words."""

from typing import NamedTuple


class Wording(NamedTuple):
    """How a quantity is called and explained.

    Args:
        title: Its name, short enough for a panel.
        meaning: What it is, in a sentence for readers who know machine learning.
        is_paper: Whether it is the quantity the paper published, kept for comparison only.
    """

    title: str
    meaning: str
    is_paper: bool = False


#: Metric: wording. A metric that is not here is shown under its own name.
WORDINGS: dict[str, Wording] = {
    "kl": Wording(
        "KL divergence",
        "Kullback-Leibler divergence between full-covariance Gaussian fits, corrected exactly for sample size; "
        "may come out slightly below zero where there is nothing to find.",
    ),
    "kl_shrinkage": Wording(
        "KL, shrinkage",
        "The same divergence from shrunken covariances without the correction: mostly bias when samples are few, "
        "so read it against its floor only.",
    ),
    "kl_diagonal": Wording(
        "KL, diagonal",
        "Divergence of Gaussians with diagonal covariance: blind to how dimensions vary together.",
        is_paper=True,
    ),
    "kl_classifier": Wording(
        "KL, classifier bound",
        "A lower bound from a classifier that tells mapped from target states on pairs it was not trained on; "
        "sees what is not Gaussian.",
    ),
    "mi": Wording(
        "Mutual information",
        "Between mapped and target state, Gaussian closed form with the sample-size correction.",
    ),
    "retention": Wording(
        "Information kept",
        "Mutual information after mapping over that before. A deterministic map cannot add any, so a value "
        "above 1 is error of the estimator.",
    ),
    "mi_hybrid": Wording(
        "MI, hybrid",
        "The same plus what a Gaussian copula does not see, as far as critics find it on pairs they were not "
        "trained on.",
    ),
    "mi_ksg": Wording("MI, KSG", "A nearest-neighbour estimate on few leading components."),
    "mi_histogram": Wording(
        "MI, histogram",
        "A 64-bin histogram over all coordinates flattened together: not the information between the states.",
        is_paper=True,
    ),
    "distance_correlation": Wording(
        "Distance correlation²",
        "Dependence of any form, bias-corrected; 0 for independence.",
    ),
    "cka": Wording("CKA, debiased", "Similarity of the two geometries up to rotation and one scale."),
    "svcca": Wording("SVCCA", "Mean canonical correlation after keeping the leading components."),
    "pwcca": Wording("PWCCA", "Canonical correlations weighted by what they account for."),
    "procrustes_distance": Wording(
        "Procrustes distance", "What is left between the two clouds after the best rotation and scaling."
    ),
    "r2": Wording("R²", "Share of the target's variance predicted, large directions counting more."),
    "r2_uniform": Wording("R², uniform", "The same with every coordinate counting equally."),
    "mutual_knn": Wording("Shared neighbours", "Share of the nearest neighbours that both clouds agree on."),
    "participation_ratio": Wording(
        "Participation ratio", "How many directions carry the variance, were they equally strong."
    ),
    "dimension_twonn": Wording(
        "Dimension, TwoNN", "Intrinsic dimension from the two nearest neighbours of each sample."
    ),
    "isotropy": Wording(
        "Isotropy", "1 when the cloud is equally wide in all directions, 0 when it is a line."
    ),
    "mean_norm": Wording("Mean norm", "Mean length of a state vector."),
    "curvature": Wording(
        "Curvature", "How far the cloud bends away from its tangent planes, from local quadratic fits."
    ),
    "map_curvature": Wording(
        "Map curvature",
        "Share of the map's variance that its second derivative brings; 0 for every affine map.",
    ),
    "r2_gain": Wording("Gain in R²", "R² of the learned map less that of the best closed form."),
    "error_removed": Wording(
        "Error removed",
        "Share of the closed form's error that the learned map removes; below 0 it adds some.",
    ),
    "kl_certified": Wording(
        "Certified KL",
        "Upper confidence limit of the divergence between the blurred laws, whatever the laws.",
    ),
    "sigma": Wording("Blur", "Standard deviation of the noise through which the two laws are compared."),
    "resolution": Wording("Resolution", "The smallest blur through which at most one nat is certified."),
    "resolution_share": Wording("Resolution, relative", "The same over the target's spread a dimension."),
    "error": Wording("Paired error", "Mean squared distance between mapped states and their targets."),
    "error_certified": Wording("Paired error, certified", "Its upper confidence limit."),
    "kl_upper": Wording("KL, upper bound", "Paired error over twice the squared blur, as estimated."),
    "kl_upper_gaussian": Wording(
        "KL, upper bound of Gaussian fits", "The same with the best coupling of Gaussian fits: a surrogate."
    ),
    "kl_smoothed": Wording("KL, blurred", "Divergence between Gaussian fits of the blurred laws."),
    "kl_smoothed_lower": Wording("KL, lower bound", "What a classifier can tell apart through the blur."),
    "information": Wording("Information", "What the source holds about the target."),
    "error_floor": Wording("Least error", "The error below which no map can get with that information."),
    "headroom": Wording("Headroom", "The map's error over the least error any map could reach."),
    "lipschitz": Wording("Stretch", "The most by which the map lengthens a step."),
    "bend": Wording("Bend", "The largest second derivative seen along held-out steps."),
    "error_propagated": Wording("Error carried on", "Error of the first map as the second passes it on."),
    "error_composed": Wording(
        "Error of both maps, guaranteed", "What the parts guarantee for both in a row."
    ),
    "kl_certified_composed": Wording(
        "Certified KL from the parts", "The certificate that the parts guarantee."
    ),
    "first_layer": Wording("First layer", "The shallowest layer of the scale."),
    "boundary_stability": Wording("Exact votes", "Share of resampling votes for exactly this layer."),
    "boundary_near": Wording("Votes within one layer", "Share of votes for this layer or a neighbour."),
}
#: Map: its name in words.
MAP_NAMES: dict[str, str] = {
    "none": "before mapping",
    "identity": "identity",
    "mean_shift": "mean shift",
    "procrustes": "Procrustes",
    "ridge": "ridge",
    "reduced_rank": "reduced rank",
    "transport": "Gaussian transport",
    "joint": "joint",
}
SIGNAL_NAMES: dict[str, str] = {
    "similarity": "similarity",
    "attention": "attention",
    "information": "information",
}


def wording(metric: str) -> Wording:
    """Return how a metric is called, whether or not it is known.

    Args:
        metric: Its name in results.

    Returns:
        Its wording; for an unknown metric its name with spaces and nothing more.

    Examples:
        >>> wording("kl_diagonal").is_paper, wording("dimension_mle_10").title, wording("my_score").title
        (True, 'Dimension, k = 10', 'my score')
    """
    if metric in WORDINGS:
        return WORDINGS[metric]
    if metric.startswith("dimension_mle"):
        size = metric.removeprefix("dimension_mle").strip("_")
        title = f"Dimension, k = {size}" if size else "Dimension, likelihood"
        return Wording(title, "Intrinsic dimension by maximum likelihood over the k nearest neighbours.")
    if metric.startswith("probe_"):
        label = metric.removeprefix("probe_").replace("_", " ")
        return Wording(f"Probe: {label}", f"Held-out accuracy of a linear probe for '{label}'.")
    return Wording(metric.replace("_", " "), "")


def map_name(name: str | None) -> str:
    """Return a map's name in words.

    Args:
        name: Its name in results.

    Returns:
        The words.

    Examples:
        >>> map_name("transport"), map_name("my_map"), map_name(None)
        ('Gaussian transport', 'my map', '')
    """
    return "" if name is None else MAP_NAMES.get(name, name.replace("_", " "))


def pair_name(source: str | None, target: str | None) -> str:
    """Write a pair of scales, or one scale.

    Args:
        source: Scale mapped from, or ``None``.
        target: Scale mapped to, or described.

    Returns:
        The words.

    Examples:
        >>> pair_name("global", "local"), pair_name(None, "local")
        ('global → local', 'local')
    """
    return f"{source} → {target}" if source is not None and target is not None else target or source or ""
