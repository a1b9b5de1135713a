"""How often the certificate's limits hold and how tight they are, where the truth is known in closed form.

Run: python benchmarks/certificate.py [bounds|limits|quadrature|estimates|floor|all] --draws 100. One thread; the
tables in docs/certificate.md are what `all` prints at the default settings.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy import stats
from scipy.integrate import trapezoid

from msma.certificate import (
    distortion_rate,
    kl_upper_bound,
    mean_limits,
    smoothed_gaussian_kl,
    smoothed_kl_lower_bound,
    wasserstein2_scores,
)

SHARES = (0.3, 1.0, 3.0, 10.0)


class PairLaw:
    """Jointly Gaussian mapped states x and targets y: mean of x - y, and the covariance of (x, y)."""

    def __init__(self, name, shift, covariance):
        self.name, self.shift, self.covariance = name, shift, covariance
        self.d = len(shift)
        self.root = np.linalg.cholesky(covariance + 1e-12 * np.trace(covariance) * np.eye(2 * self.d))

    def parts(self):
        """Covariance of x, of x with y, of y."""
        d = self.d
        return self.covariance[:d, :d], self.covariance[:d, d:], self.covariance[d:, d:]

    @property
    def spread(self):
        """Rms spread of y a dimension."""
        return np.sqrt(np.trace(self.parts()[2]) / self.d)

    @property
    def error(self):
        """E||x - y||^2."""
        cov_x, cross, cov_y = self.parts()
        return self.shift @ self.shift + np.trace(cov_x + cov_y - 2 * cross)

    @property
    def transport(self):
        """W2^2 of the laws of x and y."""
        cov_x, _, cov_y = self.parts()
        values, vectors = np.linalg.eigh(cov_x)
        root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
        inner = np.linalg.eigvalsh(root @ cov_y @ root).clip(0)
        return self.shift @ self.shift + np.trace(cov_x + cov_y) - 2 * np.sqrt(inner).sum()

    def smoothed_kl(self, sigma):
        """KL of the smoothed laws, in closed form."""
        cov_x, _, cov_y = self.parts()
        p, q = (part + sigma**2 * np.eye(self.d) for part in (cov_x, cov_y))
        inverse = np.linalg.inv(q)
        determinants = np.linalg.slogdet(q)[1] - np.linalg.slogdet(p)[1]
        return 0.5 * (np.trace(inverse @ p) + self.shift @ inverse @ self.shift - self.d + determinants)

    def sample(self, rng, n):
        """Draw n pairs."""
        both = rng.normal(size=(n, 2 * self.d)) @ self.root.T
        return both[:, : self.d] + self.shift, both[:, self.d :]


def spiky(d, power=1.0):
    """A spectrum like that of hidden states: a few huge directions, many small ones; mean 1."""
    values = np.arange(1, d + 1.0) ** -power
    return values * d / values.sum()


def make_laws(d, seed=0):
    """What maps do: regress, copy with noise, miss the mean, stretch, turn, learn nothing."""
    rng = np.random.default_rng(seed)
    spectrum = np.diag(spiky(d))
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    zero, eye = np.zeros(d), np.eye(d)

    def law(name, gain, noise, shift=zero):
        cross = gain @ spectrum
        cov_x = cross @ gain.T + noise
        return PairLaw(name, shift, np.block([[cov_x, cross], [cross.T, spectrum]]))

    def regression(share):
        # x = E[y | z]: cov(x) = cov(x, y) = share of the target's.
        return law(f"regression, R2 = {share}", share * eye, share * (1 - share) * spectrum)

    mixed = eye + 0.2 * rng.normal(size=(d, d)) / np.sqrt(d)
    return [
        regression(0.95),
        regression(0.6),
        law("right law, R2 = 0.8", 0.9 * eye, 0.19 * spectrum),
        law("white noise added", eye, 0.1 * eye),
        law("mean missed", eye, 1e-6 * eye, shift=rng.normal(size=d)),
        law("stretched by 1.3", 1.3 * eye, 1e-6 * eye),
        law("mixed and noisy", mixed, 0.05 * eye, shift=0.2 * rng.normal(size=d)),
        law("a tenth turned", 0.9 * eye + 0.1 * turn, 1e-6 * eye),
        regression(0.05),
    ]


def bounds_table(draws, *, widths=(4, 64, 256), sizes=(40, 200, 1000)):
    """Yield one row a law and width: share of draws in which bounds hold, and their ratio to the truth."""
    for d in widths:
        for law in make_laws(d):
            truths = np.array([law.smoothed_kl(share * law.spread) for share in SHARES])
            blurs = np.array([kl_upper_bound(1.0, share * law.spread) for share in SHARES])
            held, covered, total = 0, 0, 0
            for n in sizes:
                for draw in range(draws):
                    x, y = law.sample(np.random.default_rng((draw, n, d)), n)
                    found = mean_limits(((x - y) ** 2).sum(axis=1), np.arange(n), seed=draw)
                    held += bool((found.limit * blurs >= truths).all())
                    covered += found.limit >= law.error
                    total += 1
            yield {
                "law": law.name,
                "d": d,
                "draws": total,
                "holds": held / total,
                "covers": covered / total,
                "error": law.error,
                "paired bound / truth": _ratios(law.error * blurs, truths),
                "W2 bound / truth": _ratios(law.transport * blurs, truths),
            }


def _ratios(bounds, truths):
    """Divide; where the laws are equal there is nothing to divide by."""
    return np.divide(bounds, truths, out=np.full_like(bounds, np.nan), where=truths > 1e-9)


#: Errors a sample with their mean: from well-behaved to without a variance.
ERROR_LAWS = {
    "Gaussian, 384 wide": (lambda rng, n: rng.chisquare(384, n), 384.0),
    "Gaussian, 1 wide": (lambda rng, n: rng.chisquare(1, n), 1.0),
    "log-normal": (lambda rng, n: np.exp(rng.normal(size=n)), np.exp(0.5)),
    "t with 5 dof, squared": (lambda rng, n: rng.standard_t(5, n) ** 2, 5 / 3),
    "t with 3 dof, squared": (lambda rng, n: rng.standard_t(3, n) ** 2, 3.0),
    "t with 3 dof, 64 wide": (lambda rng, n: 3 * rng.chisquare(64, n) / rng.chisquare(3, n), 192.0),
}


def limits_table(draws, *, sizes=(10, 30, 100, 300), confidence=0.95):
    """Yield one row a law and size: how often Student's limit, ours and the percentile's cover the mean."""
    for name, (sample, truth) in ERROR_LAWS.items():
        for n in sizes:
            student, ours, width = 0, 0, []
            for draw in range(draws):
                values = sample(np.random.default_rng((draw, n)), n)
                reach = stats.t.ppf(confidence, n - 1) * values.std(ddof=1) / np.sqrt(n)
                student += values.mean() + reach >= truth
                limit = mean_limits(values, np.arange(n), confidence=confidence, seed=draw).limit
                ours += limit >= truth
                width.append(limit / truth)
            yield {
                "law": name,
                "n": n,
                "student": student / draws,
                "ours": ours / draws,
                "limit": float(np.median(width)),
            }


def quantiles(law, count=2000):
    return law.ppf((np.arange(count) + 0.5) / count)


#: One-dimensional laws by their quantiles; each is a law of 2,000 equal atoms, so nothing is cut off.
SHAPES = {
    "normal": quantiles(stats.norm),
    "uniform": quantiles(stats.uniform(-2, 4)),
    "Laplace": quantiles(stats.laplace),
    "t, 3 dof": quantiles(stats.t(3)),
    "exponential": quantiles(stats.expon),
    "two bumps": np.sort(
        np.concatenate([quantiles(stats.norm(-3, 0.3), 1000), quantiles(stats.norm(3, 0.3), 1000)])
    ),
    "point": np.zeros(2000),
}


def quadrature_kl(first, second, sigma, *, count=4001):
    """KL between two smoothed laws of atoms, by the trapezoid rule."""
    low = min(first.min(), second.min()) - 10 * sigma
    high = max(first.max(), second.max()) + 10 * sigma
    grid = np.linspace(low, high, count)

    def log_density(atoms):
        terms = -0.5 * ((grid[:, None] - atoms[None, ::4]) / sigma) ** 2
        peak = terms.max(axis=1)
        total = np.log(np.exp(terms - peak[:, None]).mean(axis=1))
        return peak + total - np.log(sigma * np.sqrt(2 * np.pi))

    p, q = log_density(first), log_density(second)
    return float(trapezoid(np.exp(p) * (p - q), grid))


def quadrature_table(*, blurs=(0.3, 1.0, 3.0)):
    """Yield one row a pair of shapes and blur: divergence, bound by the best coupling and by independence."""
    for name, first in SHAPES.items():
        for other, second in SHAPES.items():
            if name == other:
                continue
            p, q = first[::4], second[::4]  # the atoms the density is made of
            best = float(((p - q) ** 2).mean())
            independent = float(p.var() + q.var() + (p.mean() - q.mean()) ** 2)
            for sigma in blurs:
                yield {
                    "from": name,
                    "to": other,
                    "sigma": sigma,
                    "kl": quadrature_kl(first, second, sigma),
                    "best": kl_upper_bound(best, sigma),
                    "independent": kl_upper_bound(independent, sigma),
                }


def estimates_table(draws, *, settings=((8, 200), (32, 400))):
    """Yield one row a law: the mean of estimate and lower bound beside the truth, seen through a blur of 1."""
    for d, n in settings:
        for law in make_laws(d):
            sigma = law.spread
            found = {"estimate": [], "lower": [], "w2": []}
            inside = 0
            truth = law.smoothed_kl(sigma)
            for draw in range(draws):
                x, y = law.sample(np.random.default_rng((draw, n, d)), n)
                interval = smoothed_gaussian_kl(x, y, np.arange(n) % 20, sigma=sigma, seed=draw)
                found["estimate"].append(interval.value)
                inside += interval.low <= truth <= interval.high
                found["lower"].append(
                    smoothed_kl_lower_bound(x, y, np.arange(n), sigma=sigma, seed=draw).value
                )
                found["w2"].append(wasserstein2_scores(x, y).mean())
            distance = law.transport if law.transport > 1e-9 else np.nan
            errors = {k: float(np.std(v) / np.sqrt(draws)) for k, v in found.items()}
            means = {k: float(np.mean(v)) for k, v in found.items()}
            yield {
                "law": law.name,
                "d": d,
                "n": n,
                "truth": truth,
                "estimate": means["estimate"],
                "error": errors["estimate"],
                "inside": inside / draws,
                "lower": means["lower"],
                "lower_error": errors["lower"],
                "W2 / truth": means["w2"] / distance,
                "W2 error": errors["w2"] / distance,
            }


def floor_table(*, d=64):
    """Yield one row a noise level: D(I) beside the least error of any map, for Gaussian pairs."""
    for name, spectrum in (("isotropic", np.ones(d)), ("1 / i", spiky(d)), ("1 / i^2", spiky(d, 2.0))):
        for noise in (0.01, 0.1, 1.0, 10.0):
            # y known through y + noise: each direction is known to spectrum * noise / (spectrum + noise).
            left = spectrum * noise / (spectrum + noise)
            rate = 0.5 * float(np.log(spectrum / left).sum())
            yield {
                "spectrum": name,
                "noise": noise,
                "information": rate,
                "floor": distortion_rate(spectrum, rate),
                "optimum": float(left.sum()),
            }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    names = ("bounds", "limits", "quadrature", "estimates", "floor", "all")
    parser.add_argument("table", nargs="?", default="all", choices=names)
    parser.add_argument("--draws", type=int, default=100, help="draws a setting")
    options = parser.parse_args()
    tables = {
        "bounds": lambda: bounds_table(max(1, options.draws // 5)),
        "limits": lambda: limits_table(4 * options.draws),
        "quadrature": quadrature_table,
        "estimates": lambda: estimates_table(max(2, options.draws // 2)),
        "floor": floor_table,
    }
    for name, table in tables.items():
        if options.table in (name, "all"):
            _show(name, table())


def _show(name, rows):
    print(f"\n{name}")
    head = None
    for row in rows:
        if head is None:
            head = list(row)
            print("| " + " | ".join(head) + " |")
            print("|" + "---|" * len(head))
        print("| " + " | ".join(_cell(row[key]) for key in head) + " |", flush=True)


def _cell(value):
    if isinstance(value, np.ndarray):
        return " ".join("-" if np.isnan(part) else f"{part:.3g}" for part in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
