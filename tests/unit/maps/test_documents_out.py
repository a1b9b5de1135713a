"""A ridge whose strength is chosen by leaving whole documents out."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut

from msma.errors import ShapeError
from msma.maps import RidgeMap
from msma.maps.penalty import FoldedProblem
from msma.moments import CrossMoments


def grouped(rng, *, n_documents=30, rows=10, d=12):
    """Rows of a document share most of what they are, in source and in noise alike."""
    documents = np.repeat(np.arange(n_documents), rows)
    x = rng.normal(size=(n_documents, d))[documents] + 0.3 * rng.normal(size=(len(documents), d))
    noise = rng.normal(size=(n_documents, 4))[documents] + 0.3 * rng.normal(size=(len(documents), 4))
    return x, x @ rng.normal(size=(d, 4)) + 3 * noise, documents


def test_fold_errors_from_moments_are_those_of_refitting(rng):
    x, y, documents = grouped(rng, n_documents=5)
    parts = [CrossMoments.from_batch(x[documents == f], y[documents == f]) for f in range(5)]
    alphas = np.array([0.1, 10.0, 1000.0])
    expected = np.zeros(3)
    for train, test in LeaveOneGroupOut().split(x, y, documents):
        for i, alpha in enumerate(alphas):
            ridge = Ridge(alpha=alpha * len(train) / len(x)).fit(x[train], y[train])
            expected[i] += ((y[test] - ridge.predict(x[test])) ** 2).sum() / len(x)
    np.testing.assert_allclose(FoldedProblem(parts).errors(alphas), expected, rtol=1e-8)


def test_documents_ask_for_more_strength_than_rows_and_predict_others_better(rng):
    x, y, documents = grouped(rng)
    rows, whole = RidgeMap().fit(x, y), RidgeMap().fit(x, y, groups=documents)
    assert whole.alpha_rule_ == "documents left out"
    assert whole.alpha_ > 3 * rows.alpha_


def test_labels_may_be_words_and_what_does_not_fit_is_refused(rng):
    x, y, documents = grouped(rng)
    names = np.array([f"d{i}" for i in documents])
    assert RidgeMap().fit(x, y, groups=names).alpha_ == RidgeMap().fit(x, y, groups=documents).alpha_
    assert RidgeMap().fit(x, y, groups=np.zeros(len(x))).alpha_rule_ == "leave-one-out"
    assert RidgeMap(alpha=2.0).fit(x, y, groups=documents).alpha_rule_ == "given"
    with pytest.raises(ShapeError, match="one for each of 300 rows"):
        RidgeMap().fit(x, y, groups=documents[:5])
