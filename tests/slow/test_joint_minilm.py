"""The learned map on token states of the real encoder: what docs/joint-map.md says, at a smaller size."""

import re

import numpy as np
import pytest

import msma
from msma.corpora import Document
from msma.maps import JointMap, RidgeMap
from msma.measures.bending import map_curvature
from msma.resampling import bootstrap_interval
from msma.scales import ScalePartition, ScaleRepresentation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scales(shared_dir):
    """Tokens of every third paragraph: about 45,000, with the article of each."""
    documents, article = [], "none"
    path = shared_dir / "data" / "wikitext2" / "wiki.valid.tokens"
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if re.fullmatch(r"= [^=].* =", text):
            article = text
        elif len(text.split()) >= 20 and not text.startswith("="):
            documents.append(Document(text=text, id=article, labels={}))
    model = msma.demo_model()
    states = msma.extract(
        model.folder, documents[::3], name=model.name, unit="token", max_tokens=96, attention_texts=0
    )
    partition = ScalePartition.parse("0-2|3-4|5-6", n_layers=7)
    return ScaleRepresentation(partition).fit(states).transform(states), states.documents


@pytest.mark.parametrize(
    ("source", "target", "least"), [("global", "intermediate", 0.03), ("intermediate", "local", 0.01)]
)
def test_the_learned_map_explains_more_than_ridge(scales, source, target, least):
    states, documents = scales
    x, y = states[source].astype(np.float32), states[target].astype(np.float32)
    names = np.random.default_rng(0).permutation(np.unique(documents))
    is_test = np.isin(documents, names[:16])
    ridge = RidgeMap().fit(x[~is_test], y[~is_test], groups=documents[~is_test])
    joint = JointMap(max_epochs=6).fit(x[~is_test], y[~is_test], groups=documents[~is_test])
    held_out = y[is_test]
    errors = [((map_.transform(x[is_test]) - held_out) ** 2).sum(axis=1) for map_ in (ridge, joint)]
    total = ((held_out - held_out.mean(axis=0)) ** 2).sum(axis=1)
    found = bootstrap_interval(lambda w: w @ (errors[0] - errors[1]) / (w @ total), documents[is_test])
    assert found.low > least
    # what was promised on the held-out training documents is about what came
    assert joint.gain_on_validation_ == pytest.approx(found.value, rel=0.3)
    assert 0.01 < map_curvature(joint, x[is_test][::100], is_relative=True).value < 1.0
