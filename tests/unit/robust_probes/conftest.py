"""Planted states: two classes, each scale a noisy copy of the label along its own direction."""

import numpy as np
import pytest

from msma.robust_probes import LabelledStates

SCALES = ("local", "intermediate", "global")


def draw_part(rng, n, *, signals=(1.5, 1.5, 1.5), noisy=None, spread=1.0, width=4, per_document=1):
    """Column 0 of scale s is ``signals[s]`` times the label plus N(0, 1); scale ``noisy`` is N(0, spread^2) instead."""
    documents = np.arange(n) // per_document
    y = np.where(rng.permutation(np.arange(documents.max() + 1) % 2)[documents] == 1, 1.0, -1.0)
    scales, residuals = {}, np.abs(rng.normal(size=(n, 3)))
    for s, name in enumerate(SCALES):
        states = rng.normal(size=(n, width))
        states[:, 0] += signals[s] * y
        if s == noisy:
            states[:, 0] = spread * rng.normal(size=n)
            residuals[:, s] += 10.0
        scales[name] = states
    labels = np.where(y > 0, "up", "down")
    return LabelledStates(scales=scales, labels=labels, documents=documents, residuals=residuals)


@pytest.fixture
def draw(rng):
    return lambda n, **options: draw_part(rng, n, **options)
