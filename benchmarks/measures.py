"""Wall time of every measure, beside dcor, scikit-learn and a plain loop where they offer the same.

Run: python benchmarks/measures.py --n 5000 --d 768. One thread; best of --repeats; ratios are what counts.
"""

import argparse
import os
import resource
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")  # dcor's default resets torch's threads

import numpy as np

from msma.errors import ShapeError
from msma.measures import (
    MEASURES,
    canonical_correlations,
    curvature,
    distance_correlation,
    gaussian_kl,
    isotropy,
    mle_dimension,
    participation_ratio,
    twonn_dimension,
    wasserstein2_gaussian,
)

#: A plain Python loop over all pairs of samples is timed on this many and scaled with their square.
_LOOP_SAMPLES = 300
#: scikit-learn's iterative CCA is timed on this many components; all d of them would take d / 2 times as long.
_CCA_COMPONENTS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--d", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--skip-others", action="store_true", help="time this package only")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(options.n, options.d))
    y = 0.9 * x + np.sqrt(1 - 0.81) * rng.normal(size=(options.n, options.d))
    MEASURES["r2"].function(x[:50], y[:50])  # the first call pays for loading libraries
    print(f"n={options.n}, d={options.d}, pairs of correlation 0.9, one thread, best of {options.repeats}\n")
    print(f"{'measure':<28}{'value':>12}{'seconds':>10}")
    seconds = {}
    for name, function in _ours().items():
        value, seconds[name] = _time(function, x, y, options.repeats)
        shown = f"{value:>12.4f}" if isinstance(value, float) else f"{value:>12}"
        print(f"{name:<28}{shown}{seconds[name]:>10.2f}", flush=True)
    if not options.skip_others:
        print(f"\n{'the same elsewhere':<44}{'value':>12}{'seconds':>10}{'times ours':>12}")
        for name, (label, function) in _others().items():
            _time(function, x[:60, :4], y[:60, :4], 1)  # loading and compiling are not what is compared
            value, taken = _time(function, x, y, 1)
            shown = f"{value:>12.4f}" if isinstance(value, float) else f"{value:>12}"
            print(f"{label:<44}{shown}{taken:>10.2f}{taken / seconds[name]:>12.1f}", flush=True)
    print(
        f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, everything together"
    )


def _time(function, x, y, repeats):
    best, value = np.inf, np.nan
    for _ in range(repeats):
        start = time.perf_counter()
        try:
            found = function(x, y)
        except ShapeError:
            return "too few", np.nan
        taken = time.perf_counter() - start
        if isinstance(found, tuple):  # a part was timed: (value, seconds scaled to the whole)
            found, taken = found
        best, value = min(best, taken), float(found)
    return value, best


def _ours():
    table = {name: measure.function for name, measure in MEASURES.items()}
    table["kl of independent samples"] = gaussian_kl
    table["distance_correlation biased"] = lambda x, y: distance_correlation(x, y, debiased=False)
    table["canonical_correlations"] = lambda x, y: canonical_correlations(x, y).mean()
    table["wasserstein2"] = wasserstein2_gaussian
    table["participation_ratio"] = lambda x, y: participation_ratio(y)
    table["isotropy"] = lambda x, y: isotropy(y)
    table["twonn_dimension"] = lambda x, y: twonn_dimension(y)
    table["mle_dimension"] = lambda x, y: mle_dimension(y, k=20)
    table["curvature (dimension 10)"] = lambda x, y: curvature(y, dimension=10).value
    return table


def _others():
    """Other ways to the same number, by the name of ours."""
    return {
        "distance_correlation": ("distance_correlation: dcor, scipy distances", _dcor),
        "distance_correlation biased": (
            "distance_correlation: plain loop, scaled up",
            _looped_distance_correlation,
        ),
        "canonical_correlations": (f"CCA: scikit-learn, {_CCA_COMPONENTS} components", _sklearn_cca),
        "cka": ("CKA: Gram matrices in numpy", _gram_cka),
        "kl": ("KL: inverse and slogdet in numpy, plug-in", _plain_kl),
        "mutual_knn": ("mutual k-NN: scikit-learn", _sklearn_overlap),
        "procrustes_distance": ("Procrustes: scipy", _scipy_procrustes),
        "r2": ("R2: scikit-learn", _sklearn_r2),
    }


def _dcor(x, y):
    """Whole distance matrices.

    Beside recent array wrappers dcor takes numpy for a foreign array kind and subtracts all samples from all
    samples at once (143 GiB at full size); told that it may use scipy's distances, as it means to, it runs.
    """
    import dcor
    from dcor import distances

    distances._can_be_numpy_double = lambda array: True
    return dcor.u_distance_correlation_sqr(x, y)


def _looped_distance_correlation(x, y):
    """Two nested loops over pairs on the first samples; the time grows with the square of their number."""
    n = min(_LOOP_SAMPLES, len(x))
    start = time.perf_counter()
    a, b = np.zeros((n, n)), np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            a[i, j] = np.sqrt(((x[i] - x[j]) ** 2).sum())
            b[i, j] = np.sqrt(((y[i] - y[j]) ** 2).sum())
    a, b = (m - m.mean(0) - m.mean(1)[:, None] + m.mean() for m in (a, b))
    value = np.sqrt((a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean()))
    return value, (time.perf_counter() - start) * (len(x) / n) ** 2


def _sklearn_cca(x, y):
    from sklearn.cross_decomposition import CCA

    first, second = CCA(n_components=_CCA_COMPONENTS, max_iter=2000).fit_transform(x, y)
    pairs = zip(first.T, second.T, strict=True)
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]))


def _gram_cka(x, y):
    n = len(x)
    k, m = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)

    def inner(a, b):
        rows_a, rows_b = a.sum(0), b.sum(0)
        totals = rows_a.sum() * rows_b.sum() / ((n - 1) * (n - 2))
        return (a * b).sum() + totals - 2 / (n - 2) * rows_a @ rows_b

    return inner(k, m) / np.sqrt(inner(k, k) * inner(m, m))


def _plain_kl(x, y):
    cov_p, cov_q = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    inverse, delta = np.linalg.inv(cov_q), y.mean(0) - x.mean(0)
    determinants = np.linalg.slogdet(cov_q)[1] - np.linalg.slogdet(cov_p)[1]
    return 0.5 * (np.trace(inverse @ cov_p) + delta @ inverse @ delta - x.shape[1] + determinants)


def _sklearn_overlap(x, y):
    from sklearn.neighbors import NearestNeighbors

    near = [NearestNeighbors(n_neighbors=10).fit(part).kneighbors(return_distance=False) for part in (x, y)]
    return np.mean([len(set(a) & set(b)) / 10 for a, b in zip(*near, strict=True)])


def _scipy_procrustes(x, y):
    from scipy.spatial import procrustes

    return procrustes(x, y)[2]


def _sklearn_r2(x, y):
    from sklearn.metrics import r2_score

    return r2_score(y, x, multioutput="variance_weighted")


if __name__ == "__main__":
    main()
