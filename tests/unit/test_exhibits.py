"""What a report shows beside its numbers is computed right."""

import numpy as np
import pytest

from msma.alignment import Alignment
from msma.exhibits import find_examples, make_clouds, make_curves
from msma.maps import ProcrustesMap
from msma.scales import ScalePartition
from msma.states import HiddenStates


@pytest.fixture
def fitted(rng):
    z = rng.normal(size=(600, 4)) * np.array([4.0, 3.0, 0.5, 0.5])
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    labels = {"topic": ["first" if x > 0 else "second" for x in z[:, 0]]}
    texts = [f"this is text number {i} <b>" + "x" * 500 for i in range(600)]
    states = HiddenStates.from_arrays(np.stack([z @ turn, z, z @ turn.T]), texts=texts, labels=labels)
    splits = states.split()
    return Alignment(ProcrustesMap()).fit(splits.train, ScalePartition.thirds(3)), splits


def test_clouds_of_turned_scales_coincide(fitted):
    clouds = make_clouds(*fitted)
    points = {scale: np.array(p) for scale, p in clouds["points"].items()}
    assert np.allclose(points["local"], points["intermediate"], atol=0.05)
    assert np.allclose(points["global"], points["intermediate"], atol=0.05)
    for target in ("intermediate", "local"):
        assert np.allclose(np.array(clouds["mapped"][target]), points[target], atol=0.05)
    assert all(share > 0.9 for share in clouds["explained"].values())
    assert len(clouds["texts"]) == len(points["local"]) == len(clouds["labels"]["topic"])
    assert max(map(len, clouds["texts"])) <= 400


def test_many_points_are_thinned(fitted, monkeypatch):
    monkeypatch.setattr("msma.exhibits._MOST_POINTS", 10)
    assert len(make_clouds(*fitted)["texts"]) == 10


def test_neighbours_are_of_other_documents_and_nearest(fitted):
    alignment, splits = fitted
    found = find_examples(alignment, splits.test, n_queries=4)
    texts = [text[:30] for text in splits.test.texts]
    states = alignment.representation_.transform(splits.test)["global"]
    centred = states - states.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    assert len(found["queries"]) == 4
    for query in found["queries"]:
        i = texts.index(query["text"][:30])
        cosine = unit @ unit[i]
        cosine[i] = -1
        best = query["neighbours"]["global"][0]
        assert best["text"][:30] == texts[int(cosine.argmax())]
        assert best["similarity"] == pytest.approx(cosine.max(), abs=1e-5)
        assert best["label"] in ("first", "second")


def test_curves(fitted):
    alignment, splits = fitted
    curves = make_curves(alignment, splits.test)
    shares = curves["spectrum"]["intermediate"]
    variances = np.sort(splits.test.layer(1).astype(float).var(axis=0))[::-1]
    assert sum(shares) == pytest.approx(1)
    assert shares[0] == pytest.approx(variances[0] / variances.sum(), abs=0.03)
    assert curves["dimension"]["local"]["neighbours"] == [5, 10, 20, 50]
