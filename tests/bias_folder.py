"""A folder of a bias audit made by hand, with numbers of the size GPT-2 gives, for tests of figures and report."""

from pathlib import Path

import numpy as np

from msma._types import PAIRS, SCALES
from msma.bias.associations import AssociationRow, AssociationTable
from msma.bias.crows import CrowsPair, CrowsScore
from msma.bias.price import Change, Price
from msma.bias.price_list import PriceList
from msma.bias.probing import Reading
from msma.bias.stereoset import StereoItem, StereoScore
from msma.results import Result, Row
from msma.scales.partition import ScalePartition
from msma.storage import write_json

TESTS = {
    "weat6": ("male names/female names, career/family", 0.9),
    "weat7": ("maths/arts, male terms/female terms", 0.5),
    "weat8": ("science/arts, male terms/female terms", 0.3),
    "weat1": ("flowers/insects, pleasant/unpleasant", 1.5),
    "occupations": ("<b>his</b>/hers, engineering & law/nursing", -0.7),
}
SAID = [
    "A linear probe tells the two sides apart from the first layer on.",
    "The maps carry <i>most</i> of it.",
]
CAUTIONS = [
    "No association here does not mean that a model is fair: the lists are short and in English.",
    "What a probe can read is not what a model uses.",
]


def make_partition(n_layers=13):
    first, second = (3, 9) if n_layers == 13 else (n_layers // 3, 2 * n_layers // 3)
    return ScalePartition(n_layers=n_layers, boundaries=(first, second), method="by hand")


def make_associations(n_layers=13, *, has_gap=True):
    partition, rng = make_partition(n_layers), np.random.default_rng(0)
    rows = []
    for test, (label, size) in TESTS.items():
        places = [(k, partition.scale_of(k)) for k in range(n_layers)] + [(None, scale) for scale in SCALES]
        for layer, scale in places:
            effect = float(size + 0.35 * rng.normal() + (0.4 if scale == "global" else 0.0))
            p = float(np.exp(-6 * effect**2))
            is_missing = has_gap and test == "weat8" and layer in (0, 1)
            rows.append(
                AssociationRow(
                    test=test,
                    label=label,
                    layer=layer,
                    scale=scale,
                    effect=None if is_missing else effect,
                    low=None if is_missing else effect - 0.4,
                    high=None if is_missing else effect + 0.4,
                    p=None if is_missing else p,
                    p_holm=None if is_missing else min(1.0, 3 * p),
                    p_greater=None if is_missing else p / 2,
                    floor=None if is_missing else 0.62,
                    n_words=32,
                    n_sentences=160,
                    is_exact=False,
                    note="all states are the same" if is_missing else None,
                )
            )
    return AssociationTable(tuple(rows), {"model": "gpt2", "n_permutations": 10_000})


def make_location(n_layers=13, *, has_new=True):
    partition = make_partition(n_layers)
    depth = np.linspace(0, 1, n_layers)
    rows = []
    places = [(k, partition.scale_of(k), depth[k]) for k in range(n_layers)]
    places += [(None, scale, d) for scale, d in zip(SCALES, (0.1, 0.5, 0.9), strict=True)]
    for layer, scale, d in places:
        shared = {"target": scale, "layer": layer, "split": "test", "n": 120, "interval": "bootstrap"}
        value = float(0.7 + 0.24 * np.sqrt(d) - 0.1 * d**4)
        rows.append(
            Row(metric="bias_agreement", value=0.1 + 0.3 * d, low=0.05 + 0.3 * d, high=0.16 + 0.3 * d, null=0.0,
                note="p 0.0001, after Holm 0.0013 (signs flipped)", **shared)
        )  # fmt: skip
        rows.append(
            Row(metric="bias_share", value=0.002 + 0.01 * d, low=0.001, high=0.016, null=0.0, **shared)
        )
        rows.append(
            Row(metric="bias_probe", value=value, low=value - 0.06, high=min(1.0, value + 0.05), null=0.52,
                floor=0.5, ceiling=1.0, units="accuracy", **shared)
        )  # fmt: skip
        if has_new:
            rows.append(
                Row(metric="bias_probe_new_words", value=value - 0.12, low=value - 0.2, high=value - 0.05,
                    null=0.5, floor=0.5, units="accuracy", **shared)
            )  # fmt: skip
        rows.append(Row(metric="bias_top_direction", value=0.3 + 0.1 * d, null=0.11, **shared))
    return Result("bias_location", tuple(rows), {"concept": "gender"})


def make_carried():
    rows = []
    for source, target in PAIRS:
        shared = {"source": source, "target": target, "map": "ridge", "split": "test", "n": 120}
        rows.append(
            Row(metric="carried_cosine", value=0.83, low=0.78, high=0.88, null=0.05, floor=0.21, **shared)
        )
        rows.append(Row(metric="carried_variance", value=0.44, low=0.38, high=0.5, null=-0.4, **shared))
        rows.append(Row(metric="carried_gain", value=1.31, low=1.18, high=1.44, null=1.0, **shared))
    return Result("bias_carried", tuple(rows), {"concept": "gender"})


def make_crows():
    rng = np.random.default_rng(1)
    pairs = tuple(
        CrowsPair(f"more {k}", f"less {k}", "stereo", kind)
        for kind in ("gender", "race-color", "socioeconomic")
        for k in range(40)
    )
    less = rng.normal(size=len(pairs)) - 30
    return CrowsScore(pairs, less + rng.normal(0.3, 1.0, size=len(pairs)), less, {"model": "gpt2"})


def make_stereoset():
    rng = np.random.default_rng(2)
    items = tuple(
        StereoItem(
            kind=kind, bias_type=bias_type, target=f"target {number % 8}",
            context="The BLANK.", stereotype="a", anti_stereotype="b", unrelated="c",
        )
        for kind in ("intrasentence", "intersentence")
        for bias_type in ("gender", "profession")
        for number in range(24)
    )  # fmt: skip
    scores = rng.normal(size=(len(items), 3)) + np.array([0.6, 0.2, -1.0])
    return StereoScore(items, scores, {"model": "gpt2"})


def _reading(value, half=0.05):
    return Reading(value, max(0.0, value - half), min(1.0, value + half), 0.51, 240)


def make_prices(*, strengths=(0.25, 0.5, 0.75, 1.0), is_cheap=True):
    prices = [
        Price(scale="none", method="none", strength=0.0, here_linear=None, here_nonlinear=None,
              output_linear=_reading(0.94, 0.03), output_nonlinear=_reading(0.97, 0.02), chosen_by=_reading(0.95),
              change=0.0, loss=Change(0.0, 0.0, 0.0), task=Change(0.0, 0.0, 0.0), association=0.71, crows=57.0)
    ]  # fmt: skip
    for scale, reach, dear in (("local", 0.5, 0.5), ("intermediate", 0.8, 0.14), ("global", 1.0, 0.05)):
        for method, better in (("leace", 1.0), ("projection", 0.85)):
            for strength in strengths:
                left = 0.94 - 0.43 * reach * better * strength**0.7
                cost = dear * strength**2 * (1 if is_cheap else 20) + 0.002
                prices.append(
                    Price(scale=scale, method=method, strength=strength, here_linear=_reading(left - 0.02),
                          here_nonlinear=_reading(left + 0.05), output_linear=_reading(left),
                          output_nonlinear=_reading(min(0.97, left + 0.12)), chosen_by=_reading(left),
                          change=0.3 * strength, loss=Change(cost, 0.8 * cost, 1.25 * cost),
                          task=Change(-0.02 * strength, -0.05, 0.01), association=0.7 * left, crows=54.0)
                )  # fmt: skip
    return PriceList(tuple(prices), "gender", task="topic", provenance={"model": "gpt2"})


PIECES = {
    "associations": lambda home: make_associations().save(home / "associations.json"),
    "location": lambda home: make_location().save(home / "location.json"),
    "carried": lambda home: make_carried().save(home / "carried.json"),
    "crows": lambda home: make_crows().save(home / "crows.json"),
    "stereoset": lambda home: make_stereoset().save(home / "stereoset.json"),
    "prices": lambda home: make_prices().save(home),
}


def make_bias_folder(folder, *, pieces=tuple(PIECES)):
    """Fill a folder as 'msma bias' does; returns it."""
    home = Path(folder)
    for piece in pieces:
        PIECES[piece](home)
    if "prices" in pieces:
        (home / "eraser.safetensors").write_bytes(b"not read by a report")
    audit = {
        "model": "gpt2",
        "revision": None,
        "partition": {"n_layers": 13, "boundaries": [3, 9]},
        "concept": "gender",
        "said": SAID,
        "cautions": CAUTIONS,
        "settings": {"seed": 0},
    }
    write_json(home / "bias.json", audit)
    return home
