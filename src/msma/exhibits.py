"""What a report shows beside its numbers: spectra, dimension curves, clouds, nearest examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import eigh

from msma._types import SCALES, Pair, Scale
from msma.alignment import Alignment
from msma.measures.dimension import dimension_profile
from msma.measures.geometry import covariance_spectrum
from msma.states import HiddenStates, Splits

_MOST_POINTS = 400
_LONGEST_TEXT = 400
_NEIGHBOURHOODS = (5, 10, 20, 50)


def make_curves(alignment: Alignment, test: HiddenStates) -> dict[str, Any]:
    """Compute the covariance spectrum and the dimension over neighbourhood sizes of each scale.

    Args:
        alignment: A fitted alignment.
        test: Held-out states.

    Returns:
        ``spectrum``: share of the variance of each component, descending; ``dimension``: estimates by
        neighbourhood size.
    """
    scales = alignment.representation_.transform(test)
    sizes = tuple(k for k in _NEIGHBOURHOODS if k < test.n_samples - 1)
    curves: dict[str, Any] = {"spectrum": {}, "dimension": {}}
    for scale in SCALES:
        spectrum = np.asarray(covariance_spectrum(scales[scale]), dtype=np.float64)
        curves["spectrum"][scale] = (spectrum / spectrum.sum())[:200].tolist()
        profile = dimension_profile(scales[scale], neighbours=sizes)
        curves["dimension"][scale] = {
            "neighbours": list(profile),
            "mle": [float(value) for value in profile.values()],
        }
    return curves


@dataclass(frozen=True, kw_only=True, eq=False)
class Planes:
    """One plane for the three scales, in which any state can be given its place.

    Each scale is projected on the two leading components of its training states; the planes of the local and
    the global scale are then turned and scaled onto that of the intermediate scale (orthogonal Procrustes on
    the training states).

    Args:
        means: Mean of each scale's training states.
        axes: The two leading components of each scale, turned and scaled.
        explained: Share of the training variance that the two components hold, 0 to 1.
    """

    means: dict[Scale, Float[np.ndarray, " d_model"]]
    axes: dict[Scale, Float[np.ndarray, "d_model 2"]]
    explained: dict[Scale, float]

    @classmethod
    def fit(cls, train: Mapping[Scale, Float[np.ndarray, "samples d_model"]]) -> Self:
        """Find the planes of training states.

        Args:
            train: Training states at each scale, sample by sample.

        Returns:
            The planes.
        """
        found = {scale: _leading_plane(train[scale]) for scale in SCALES}
        projected = {scale: (train[scale] - found[scale][0]) @ found[scale][1] for scale in SCALES}
        anchor = projected["intermediate"]
        return cls(
            means={scale: found[scale][0] for scale in SCALES},
            axes={scale: found[scale][1] @ _turn_onto(projected[scale], anchor) for scale in SCALES},
            explained={scale: found[scale][2] for scale in SCALES},
        )

    def place(
        self, scale: Scale, states: Float[np.ndarray, "samples d_model"]
    ) -> Float[np.ndarray, "samples 2"]:
        """Give states their places.

        Args:
            scale: The scale they belong to, or were mapped onto.
            states: One row a sample.

        Returns:
            Coordinates in the common plane.
        """
        return (states - self.means[scale]) @ self.axes[scale]


def make_clouds(alignment: Alignment, splits: Splits, *, seed: int = 0) -> dict[str, Any]:
    """Bring the three scales of the test split into one plane; see :class:`Planes`.

    What the maps predict goes through the target scale's plane.

    Args:
        alignment: A fitted alignment.
        splits: States divided by document.
        seed: Fixes which test samples are shown when there are many.

    Returns:
        Texts, labels and coordinates by scale, and the mapped coordinates by target scale.
    """
    planes = Planes.fit(alignment.representation_.transform(splits.train))
    shown = np.arange(splits.test.n_samples)
    if len(shown) > _MOST_POINTS:
        shown = np.sort(np.random.default_rng(seed).choice(shown, _MOST_POINTS, replace=False))
    test = splits.test.subset(shown)
    scales = alignment.representation_.transform(test)

    def place(states: Float[np.ndarray, "samples d_model"], scale: Scale) -> list[list[float]]:
        turned: list[list[float]] = planes.place(scale, states).round(4).tolist()
        return turned

    mapped = alignment.transform_scales(scales)
    fitted: dict[Scale, Pair] = {pair[1]: pair for pair in alignment.pairs}
    explained = {scale: round(planes.explained[scale], 3) for scale in SCALES}
    shares = ", ".join(f"{scale} {share:.0%}" for scale, share in explained.items())
    return {
        "texts": [_shorten(text) for text in test.texts],
        "labels": {name: [str(v) for v in column] for name, column in test.labels.items()},
        "points": {scale: place(scales[scale], scale) for scale in SCALES},
        "mapped": {target: place(mapped[pair], target) for target, pair in fitted.items()},
        "explained": explained,
        "note": f"two components hold this share of the training variance: {shares}",
    }


def _leading_plane(
    states: Float[np.ndarray, "samples d_model"],
) -> tuple[Float[np.ndarray, " d_model"], Float[np.ndarray, "d_model 2"], float]:
    mean = states.mean(axis=0)
    values, vectors = eigh(np.cov(states - mean, rowvar=False))
    total = float(values.clip(min=0).sum())
    return mean, vectors[:, -2:][:, ::-1], float(values[-2:].sum()) / total if total > 0 else 0.0


def _turn_onto(
    source: Float[np.ndarray, "samples 2"], target: Float[np.ndarray, "samples 2"]
) -> Float[np.ndarray, "2 2"]:
    left, values, right = np.linalg.svd(source.T @ target)
    energy = float((source**2).sum())
    return left @ right * (values.sum() / energy if energy > 0 else 1.0)


def find_examples(
    alignment: Alignment, test: HiddenStates, *, n_queries: int = 6, n_neighbours: int = 3, seed: int = 0
) -> dict[str, Any]:
    """Find, for a few test samples, the nearest test samples of other documents at each scale.

    Args:
        alignment: A fitted alignment.
        test: Held-out states.
        n_queries: Samples to find neighbours for.
        n_neighbours: Neighbours of each at each scale.
        seed: Fixes which samples are shown.

    Returns:
        ``queries``: each with its text, label and neighbours by scale (cosine similarity of centred states).
    """
    scales = alignment.representation_.transform(test)
    candidates = np.flatnonzero(np.array([len(text.split()) >= 4 for text in test.texts]))
    if len(candidates) == 0:
        candidates = np.arange(test.n_samples)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(candidates, size=min(n_queries, len(candidates)), replace=False)
    label = _shown_label(test)
    directions = {}
    for scale in SCALES:
        centred = scales[scale] - scales[scale].mean(axis=0)
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        directions[scale] = centred / np.where(norms > 0, norms, 1.0)

    def neighbours(query: int, scale: Scale) -> list[dict[str, Any]]:
        similarity = directions[scale] @ directions[scale][query]
        similarity[test.documents == test.documents[query]] = -np.inf
        best: Int[np.ndarray, " k"] = np.argsort(-similarity)[:n_neighbours]
        return [
            {"text": _shorten(test.texts[i]), "similarity": float(similarity[i]), "label": label[i]}
            for i in best.tolist()
            if np.isfinite(similarity[i])
        ]

    return {
        "queries": [
            {
                "text": _shorten(test.texts[query]),
                "label": label[query],
                "neighbours": {scale: neighbours(query, scale) for scale in SCALES},
            }
            for query in chosen.tolist()
        ]
    }


def _shown_label(test: HiddenStates) -> list[str | None]:
    """Join the first two label columns of text, which in the demo are topic and mode."""
    names = [n for n, column in test.labels.items() if all(isinstance(v, str) for v in column)][:2]
    if not names:
        return [None] * test.n_samples
    return [" · ".join(row) for row in zip(*(test.labels[name] for name in names), strict=True)]


def _shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST_TEXT else flat[: _LONGEST_TEXT - 1].rstrip() + "…"
