"""Replacing a scale by what a map predicts: against the same thing computed by hand."""

import numpy as np
import pytest
import torch

from language import loaded_model
from msma.alignment import Alignment
from msma.errors import ConfigError, OriginError, ScaleError
from msma.extraction import extract
from msma.generation import generate
from msma.interventions import Replacement, intervene
from msma.interventions.sites import find_sites
from msma.maps import IdentityMap, RidgeMap
from msma.scales import ScalePartition
from tiny import TEXTS

THIRDS = ScalePartition.thirds(5)  # local 0-1 | intermediate 2-3 | global 4
IDS = [5, 6, 7, 43, 9, 10]


def fitted(name, map=None, **options):
    loaded = loaded_model(name)
    unit = options.pop("unit", "token")
    states = extract(
        loaded.network, list(TEXTS) * 3, tokenizer=loaded.tokenizer, unit=unit, attention_texts=0
    )
    return Alignment(map or RidgeMap(alpha=1.0), **options).fit(states, THIRDS)


def entries(loaded, rows):
    stack, found = find_sites(loaded.network).stack, {}
    with torch.no_grad(), stack.reading(lambda k, states: found.__setitem__(k, states.clone())) as run:
        run(stack.collate(rows))
    return found


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("options", [{}, {"is_standardised": True}, {"reduction": "last"}], ids=str)
def test_the_representation_becomes_the_prediction(name, options):
    loaded, alignment = loaded_model(name), fitted(name, **options)
    clean = entries(loaded, [IDS])
    operation = Replacement(alignment, "global", "intermediate")
    with intervene(loaded, THIRDS, "intermediate", operation):
        replaced = entries(loaded, [IDS])

    def represent(states, scale):
        layers = THIRDS[scale] if alignment.reduction == "mean" else THIRDS[scale][-1:]
        rows = []
        for layer in layers:
            array = states[layer][0].double().numpy()
            if alignment.is_standardised:
                fit = alignment.representation_
                array = (array - fit.means_[layer]) / fit.spreads_[layer]
            rows.append(array)
        return np.mean(rows, axis=0)

    expected = alignment.maps_["global", "intermediate"].transform(represent(clean, "global"))
    np.testing.assert_allclose(represent(replaced, "intermediate"), expected, rtol=1e-3, atol=1e-3)
    assert not torch.equal(replaced[4], clean[4])
    assert torch.equal(replaced[1], clean[1])


def test_a_map_that_changes_nothing_and_a_weight_of_zero():
    """Identity of a scale that is already what it is told to be; and no weight at all."""
    loaded = loaded_model("gpt2")
    clean = entries(loaded, [IDS])
    alignment = fitted("gpt2", IdentityMap())
    with intervene(loaded, THIRDS, "local", Replacement(alignment, "intermediate", "local", weight=0.0)):
        same = entries(loaded, [IDS])
    assert all(torch.equal(same[k], clean[k]) for k in clean)
    with intervene(loaded, THIRDS, "local", Replacement(alignment, "intermediate", "local", weight=0.5)):
        half = entries(loaded, [IDS])
    mean = (half[0] + half[1]) / 2
    expected = ((clean[0] + clean[1]) / 2 + (clean[2] + clean[3]) / 2) / 2
    torch.testing.assert_close(mean, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("unit", ["token", "text"])
def test_cached_equals_uncached_and_batched_equals_single(unit):
    loaded, alignment = loaded_model("gpt2"), fitted("gpt2", unit=unit)
    prompts = ["the river rose in spring and", "snow fell", "a bird sang in the garden"]
    found = []
    for options in ({}, {"use_cache": False}, {"batch_rows": 1}):
        operation = Replacement(alignment, "intermediate", "local", weight=9.0)
        with intervene(loaded, THIRDS, "local", operation):
            written = generate(loaded, prompts, max_new_tokens=8, seed=2, may_stop=False, **options)
        found.append([continuation.ids for continuation in written])
    assert found[0] == found[1] == found[2]
    clean = generate(loaded, prompts, max_new_tokens=8, seed=2, may_stop=False)
    assert found[0] != [continuation.ids for continuation in clean]


def test_an_encoder_is_replaced_by_the_mean_of_all_its_tokens():
    loaded = loaded_model("bert", head="masked")
    states = extract(loaded.network, list(TEXTS) * 3, tokenizer=loaded.tokenizer, attention_texts=0)
    alignment = Alignment(RidgeMap(alpha=1.0)).fit(states, THIRDS)
    clean = entries(loaded, [IDS])
    with intervene(loaded, THIRDS, "intermediate", Replacement(alignment, "global", "intermediate")):
        replaced = entries(loaded, [IDS])
    means = {k: clean[k][0].double().mean(0).numpy() for k in clean}
    expected = alignment.maps_["global", "intermediate"].transform(means[4][None])[0]
    found = (replaced[2] + replaced[3])[0].double().mean(0).numpy() / 2
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_bad_input_is_told_in_a_sentence():
    loaded, alignment = loaded_model("gpt2"), fitted("gpt2")
    with pytest.raises(OriginError, match="without fitted maps"):
        Replacement(Alignment(), "global", "local")
    with pytest.raises(ScaleError, match="no map leads from local to global"):
        Replacement(alignment, "local", "global")
    with pytest.raises(ConfigError, match="finite number"):
        Replacement(alignment, "global", "local", weight=float("nan"))
    with pytest.raises(ScaleError, match="a replacement of the local scale came for global"):
        intervene(loaded, THIRDS, "global", Replacement(alignment, "intermediate", "local")).__enter__()
    with pytest.raises(OriginError, match="came for a model of 6 x 32"):
        Replacement(alignment, "global", "local").check(n_layers=6, d_model=32)
