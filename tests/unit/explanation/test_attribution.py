"""Tokens get the credit they are known to deserve; gradients are gradients; deletion is compared with chance."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

import msma
from families import ALL_FAMILIES
from msma.errors import ConfigError
from msma.explanation import attribution
from msma.explanation.attribution import Deletions, attribute, rank_tokens, score_tokens
from msma.explanation.coordinates import Coordinate, make_coordinate
from msma.explanation.reading import ScaleReader
from msma.models import load_model
from msma.scales import ScalePartition, ScaleRepresentation
from planted_explanation import (
    CARRIER,
    GAIN,
    SCALES,
    WIDTH,
    make_carrier,
    make_carrier_study,
    make_linear,
    make_reader,
    write_texts,
    written_coordinate,
)
from tiny import TEXTS, make_tokenizer

TEXT = "the old dog saw a boat under the wind and the moon rose slowly"


def pick(found, scale, method):
    return next(one for one in found if (one.scale, one.method) == (scale, method))


@pytest.fixture(scope="module")
def reader():
    return make_reader(make_carrier())


def random_coordinate(rng, reader):
    return Coordinate(
        name="random",
        axes={scale: rng.normal(size=reader.stack.d_model) for scale in SCALES},
        origins={scale: rng.normal(size=reader.stack.d_model) for scale in SCALES},
        spreads={"local": 0.5, "intermediate": 1.0, "global": 3.0},
    )


def test_a_planted_token_carries_the_global_scale_by_the_known_amount(reader):
    reading = reader.read(TEXT)
    n, carrier = len(reading.tokens), TEXT.split().index(CARRIER)
    found = attribute(reader, reading, written_coordinate(spread=0.5), n_draws=20)
    assert [(one.method, one.scale) for one in found] == [
        (method, scale) for method in ("occlusion", "gradient") for scale in SCALES
    ]
    whole = GAIN / n / 0.5
    for method, known in (("occlusion", whole), ("gradient", whole * (n - 1) / n)):
        one = pick(found, "global", method)
        assert np.isclose(one.coordinate, whole)
        assert np.isclose(one.scores[carrier], known)
        assert np.argmax(one.scores) == carrier
        # Without its one carrier the text has nothing there, whatever else is deleted.
        assert np.isclose(one.comprehensiveness, whole)
        assert one.random < 0.7 * whole
        assert np.argmin(pick(found, "local", method).scores) == carrier
        assert np.allclose(pick(found, "intermediate", method).scores, 0.0)


def test_the_token_that_carries_a_global_label_is_found(rng):
    corpus, reader = make_carrier_study(rng)
    test, first = corpus.splits.test, []
    for text, label in zip(test.texts, test.labels["weather"], strict=True):
        if label == "windy":
            reading = reader.read(text)
            made = make_coordinate(corpus, "weather=windy", reading)
            found = attribute(reader, reading, made, n_draws=1)
            place = text.split().index(CARRIER)
            first += [np.argmax(pick(found, "global", m).scores) == place for m in ("occlusion", "gradient")]
    assert len(first) > 10
    assert np.mean(first) == 1.0


def test_for_a_linear_model_that_mixes_nothing_both_methods_are_the_exact_contribution(rng):
    scale_matrices = torch.from_numpy(rng.normal(size=(6, WIDTH, WIDTH)) / WIDTH**0.5)
    loaded = make_linear(list(scale_matrices), template="both")
    reader = make_reader(loaded)
    reading, coordinate = reader.read(TEXT), random_coordinate(rng, reader)
    table = loaded.network.transformer.wte.weight.data
    h = table[list(reading.ids)].detach().numpy()
    maps = [np.eye(WIDTH)]
    for matrix in scale_matrices.numpy():
        maps.append(maps[-1] @ matrix)
    n = len(reading.ids)
    for scale in SCALES:
        total = np.mean([maps[layer] for layer in reader.partition[scale]], axis=0)
        effects = h @ total @ coordinate.axes[scale] / coordinate.spreads[scale]
        exact = ((effects - effects.mean()) / n)[reading.places]
        gradient = score_tokens(reader, reading, coordinate, "gradient")[scale]
        occlusion = score_tokens(reader, reading, coordinate, "occlusion")[scale]
        assert np.abs(gradient - exact).max() < 1e-8
        assert np.abs(occlusion - exact * n / (n - 1)).max() < 1e-8


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_gradients_are_those_of_finite_differences(name, rng):
    family = next(family for family in ALL_FAMILIES if family.name == name)
    loaded = load_model(family.build().double(), tokenizer=make_tokenizer(max_tokens=48), name=name)
    states = msma.extract(loaded.network, TEXTS, tokenizer=loaded.tokenizer, attention_texts=0)
    representation = ScaleRepresentation(ScalePartition.thirds(states.n_layers), is_standardised=True)
    reader = ScaleReader(loaded, states.origin, representation.fit(states))
    reading, coordinate = reader.read(TEXTS[0]), random_coordinate(rng, reader)
    axes = {scale: torch.from_numpy(coordinate.axes[scale] / coordinate.spreads[scale]) for scale in SCALES}
    gradients, inputs = reader.differentiate(reading, lambda scale, state: state @ axes[scale])
    step = rng.normal(size=inputs.shape)

    def move(size):
        def shift(_module, args, kwargs):
            if args:
                return (args[0] + size * torch.from_numpy(step), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": kwargs["hidden_states"] + size * torch.from_numpy(step)}

        handle = reader.stack.blocks[0].register_forward_pre_hook(shift, with_kwargs=True)
        try:
            pooled = reader.pool([reading.ids])
        finally:
            handle.remove()
        return {scale: coordinate.value(scale, pooled[scale])[0] for scale in SCALES}

    up, down = move(1e-5), move(-1e-5)
    for scale in SCALES:
        assert np.isclose((gradients[scale] * step).sum(), (up[scale] - down[scale]) / 2e-5, rtol=1e-5)


def test_integrated_gradients_add_up_to_the_whole_way(rng):
    family = next(family for family in ALL_FAMILIES if family.name == "bert")
    loaded = load_model(family.build().double(), tokenizer=make_tokenizer("none", max_tokens=48), name="bert")
    states = msma.extract(loaded.network, TEXTS, tokenizer=loaded.tokenizer, attention_texts=0)
    representation = ScaleRepresentation(ScalePartition.thirds(states.n_layers)).fit(states)
    reader = ScaleReader(loaded, states.origin, representation)
    reading, coordinate = reader.read(TEXTS[0]), random_coordinate(rng, reader)
    seen = {}

    def record(scale, state):
        seen[scale] = coordinate.value(scale, state.detach().numpy()[None])[0]
        return state.sum()

    _, inputs = reader.differentiate(reading, record)
    end = dict(seen)
    reader.differentiate(reading, record, inputs=np.broadcast_to(inputs.mean(axis=0), inputs.shape).copy())
    for n_steps, tolerance in ((1, np.inf), (200, 0.02)):
        scores = score_tokens(reader, reading, coordinate, "gradient", n_steps=n_steps)
        for scale in SCALES:
            assert abs(scores[scale].sum() - (end[scale] - seen[scale])) < tolerance * abs(
                end[scale] - seen[scale]
            )


def test_occlusion_takes_the_token_out_and_leaves_special_ones():
    reader = make_reader(make_linear([torch.eye(WIDTH)] * 6, template="both"))
    reading, coordinate = reader.read("the river rose"), written_coordinate()
    without = reader.pool([[i for k, i in enumerate(reading.ids) if k != 2]])
    whole = coordinate.value("global", reading.pooled["global"][None])[0]
    found = score_tokens(reader, reading, coordinate, "occlusion")["global"]
    assert np.isclose(found[1], whole - coordinate.value("global", without["global"])[0])
    one = reader.read("river")  # only the two special tokens are left of it
    left = reader.pool([[one.ids[0], one.ids[-1]]])
    assert np.isclose(
        score_tokens(reader, one, coordinate, "occlusion")["global"][0],
        coordinate.value("global", one.pooled["global"][None])[0]
        - coordinate.value("global", left["global"])[0],
    )


def test_a_text_of_which_nothing_is_left_is_the_mean_text(reader):
    reading = reader.read(CARRIER)
    for one in attribute(reader, reading, written_coordinate(), n_draws=3):
        if one.scale == "global":
            assert np.isclose(one.coordinate, GAIN)
            assert np.allclose([one.comprehensiveness, one.random, one.p_value], [GAIN, GAIN, 1.0])
            assert np.allclose(one.scores, [GAIN if one.method == "occlusion" else 0.0])


def test_long_texts_are_occluded_in_runs_that_share_what_they_lose(reader, monkeypatch):
    monkeypatch.setattr(attribution, "MOST_RUNS", 5)
    reading, coordinate = reader.read(TEXT), written_coordinate()
    n, carrier = len(reading.tokens), TEXT.split().index(CARRIER)
    scores = score_tokens(reader, reading, coordinate, "occlusion")["global"]
    assert n == 14  # so that runs are of 3 tokens, the last of 2
    run = carrier // 3
    assert np.allclose(scores[3 * run : 3 * run + 3], GAIN / n / 3)
    assert np.isclose(scores[12], scores[13])
    assert (np.delete(scores, range(3 * run, 3 * run + 3)) < 0).all()


def test_a_variant_is_read_once(reader, monkeypatch):
    reading = reader.read(TEXT)
    rows = []
    monkeypatch.setattr(
        reader, "pool", lambda new, **options: rows.extend(new) or ScaleReader.pool(reader, new, **options)
    )
    deletions = Deletions(reader, reading, written_coordinate())
    first = deletions.values([[0], [1, 2], [2, 1]])
    again = deletions.values([[2, 1], [0]])
    assert len(rows) == 2
    assert np.array_equal(first["local"][[1, 0]], again["local"])


def test_more_shares_average(reader):
    reading, coordinate = reader.read(TEXT), written_coordinate()
    each = [attribute(reader, reading, coordinate, shares=(s,), n_draws=4) for s in (0.2, 0.6)]
    both = attribute(reader, reading, coordinate, shares=(0.2, 0.6), n_draws=4)
    for one, other, joint in zip(*each, both, strict=True):
        assert np.isclose((one.comprehensiveness + other.comprehensiveness) / 2, joint.comprehensiveness)
        assert np.isclose((one.random + other.random) / 2, joint.random)


def test_the_same_seed_gives_the_same_and_methods_can_be_left_out(reader):
    reading = reader.read(TEXT)
    both = attribute(reader, reading, written_coordinate(), n_draws=5, seed=3)
    assert both == attribute(reader, reading, written_coordinate(), n_draws=5, seed=3)
    only = attribute(reader, reading, written_coordinate(), methods=("gradient",), n_draws=5, seed=3)
    assert only == both[3:]


@pytest.mark.parametrize("kind", ["constant", "random"])
def test_scores_that_say_nothing_have_uniform_p_values(kind, reader, rng, monkeypatch):
    def score(reader, reading, coordinate, method, **options):
        n = len(reading.places)
        return {scale: np.zeros(n) if kind == "constant" else rng.normal(size=n) for scale in SCALES}

    monkeypatch.setattr(attribution, "score_tokens", score)
    texts, _ = write_texts(rng, 100)
    p_values, gains = [], []
    for number, text in enumerate(texts):
        found = attribute(
            reader, reader.read(text), written_coordinate(), methods=("gradient",), n_draws=19, seed=number
        )
        p_values.append(found[0].p_value)  # at the local scale all words differ
        gains.append(found[0].comprehensiveness - found[0].random)
    jittered = np.array(p_values) - rng.uniform(size=len(p_values)) / 20
    assert kstest(jittered, "uniform").pvalue > 0.01
    assert abs(np.mean(gains)) < 3 * np.std(gains) / np.sqrt(len(gains))


def test_order_is_by_score():
    assert rank_tokens(np.array([1.0, 3.0, 2.0]), np.arange(3)).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": ("occlusion", "saliency")}, "method 'saliency' came"),
        ({"methods": ()}, "no method came"),
        ({"n_draws": 0}, "n_draws=0 came"),
        ({"n_steps": 0}, "n_steps=0 came"),
        ({"shares": ()}, r"shares=\(\) came"),
        ({"shares": (0.5, 1.5)}, "at most 1"),
        ({"shares": (0.0,)}, "above 0"),
    ],
)
def test_impossible_settings_are_refused(reader, settings, message):
    with pytest.raises(ConfigError, match=message):
        attribute(reader, reader.read(TEXT), written_coordinate(), **settings)


def test_an_unknown_method_scores_nothing(reader):
    with pytest.raises(ConfigError, match="method 'attention' came"):
        score_tokens(reader, reader.read(TEXT), written_coordinate(), "attention")
