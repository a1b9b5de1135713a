"""Folders as studies leave them, with states from arrays, so that what two of them share is known."""

import numpy as np

from msma.alignment import Alignment
from msma.evaluation import evaluate
from msma.scales import ScalePartition
from msma.shards import Origin
from msma.states import HiddenStates
from msma.storage import read_json, write_json
from study_folder import make_study_folder

N, LAYERS, WIDTH = 300, 6, 5


def make_layers(seed=0, *, n=N, width=WIDTH):
    """Layers that drift from one another, each scale a little further than its own layers from one another."""
    rng = np.random.default_rng(seed)
    layers = [rng.normal(size=(n, width)) * np.linspace(2.0, 1.0, width)]
    for layer in range(1, LAYERS):
        step = 0.8 if layer in (2, 4) else 0.3
        mixed = layers[-1] @ (np.eye(width) + 0.2 * rng.normal(size=(width, width)))
        layers.append(mixed + step * rng.normal(size=(n, width)))
    return np.stack(layers)


def make_texts(n=N, *, tail=""):
    # Two samples a document, so that intervals and shuffles have something to keep together.
    return [f"text number {i} of this corpus{tail}" for i in range(n)], [f"d{i // 2}" for i in range(n)]


def make_study(
    folder,
    array,
    *,
    model="first",
    texts=None,
    documents=None,
    order=None,
    seed=0,
    unit="text",
    boundaries=(2, 4),
    fingerprint=None,
    probes=True,
    revision=None,
    is_scored=False,
):
    """A folder as a study leaves it, with states from an array."""
    make_study_folder(folder, n_layers=array.shape[0] + 1, has_published=False, has_probes=probes, n_texts=70)
    default = make_texts(array.shape[1])
    texts, documents = texts or default[0], documents or default[1]
    if order is not None:
        array = array[:, order]
        texts, documents = [texts[i] for i in order], [documents[i] for i in order]
    origin = Origin(
        model=model,
        revision=revision,
        n_layers=array.shape[0],
        d_model=array.shape[2],
        unit=unit,
        fingerprint=fingerprint or model,
    )
    states = HiddenStates.from_arrays(array, texts=texts, documents=documents, origin=origin)
    partition = ScalePartition(
        n_layers=array.shape[0], boundaries=boundaries, stability=(0.5, 0.6), near=(0.9, 1.0)
    )
    splits = states.split(seed=seed)
    alignment = Alignment().fit(splits.train, partition)
    states.save(folder / "states")
    alignment.save(folder / "alignment")
    partition.save(folder / "scales.json")
    if is_scored:  # the folder has made-up numbers otherwise
        scores = evaluate(alignment, splits.test, metrics=["r2", "cka", "kl"])
        scores.save(folder / "tables" / "evaluation.json")
    study = read_json(folder / "study.json")
    study["config"] |= {"seed": seed, "texts": "texts.jsonl"}
    study["provenance"] |= {
        "model": model,
        "revision": revision,
        "model_fingerprint": origin.fingerprint,
        "n_layers": array.shape[0],
        "d_model": array.shape[2],
        "unit": unit,
    }
    write_json(folder / "study.json", study)
    return folder


def make_rotation(width=WIDTH, seed=5):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(width, width)))[0]
