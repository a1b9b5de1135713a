"""Association tests by layer and scale: a planted one is found where it is, nothing where there is nothing."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from scipy.stats import binom, kstest
from torch import nn
from transformers import GPT2LMHeadModel

from msma.bias.association_testing import associate, associate_states
from msma.bias.associations import AssociationRow, AssociationTable
from msma.bias.list_files import standard_tests
from msma.bias.lists import AssociationTest
from msma.comparison import holm
from msma.errors import ConfigError, CorpusError, ScaleError, StorageError
from msma.measures.association import association_effect
from msma.measures.association_design import association_test
from msma.models import load_model
from msma.scales import ScalePartition
from msma.states import HiddenStates
from planted import HELD, N_LAYERS, PARTITION, make_config
from tiny import VOCABULARY, make_tokenizer

GROUPS = {
    "x": ("river", "boat", "hill", "village", "spring", "winter", "snow", "rain"),
    "y": ("dog", "bird", "tree", "stone", "bridge", "road", "house", "garden"),
    "a": ("child", "woman", "man", "sea", "moon", "sun"),
    "b": ("rose", "fell", "ran", "sang", "slept", "woke"),
}
FRAMES = {"word": ("the {word} .", "no {word} and {word} .", "every {word} was old .")}
TEST = AssociationTest("planted", *GROUPS.values(), names=("X", "Y", "A", "B"), templates=FRAMES)


class _Block(nn.Module):
    """Passes states on; "show" sets coordinate HELD to what a word's embedding keeps hidden, "hide" takes it out."""

    def __init__(self, role, hidden):
        super().__init__()
        self.role, self.hidden = role, hidden

    def forward(self, hidden_states, *args, **kwargs):
        states = hidden_states.clone()
        if self.role == "show":
            states[..., HELD] = 1000.0 * states[..., self.hidden]
        if self.role == "hide":
            states[..., HELD] = 0.0
        return states


def associating_model():
    """Words of X and A share a sign, those of Y and B the other; visible in layers 3 and 4 alone."""
    torch.manual_seed(1)
    network = GPT2LMHeadModel(make_config(tie_word_embeddings=False)).eval()
    hidden = 5
    roles = ("pass", "pass", "show", "pass", "hide", "pass")
    network.transformer.h = nn.ModuleList(_Block(role, hidden) for role in roles)
    network.transformer.ln_f = nn.Identity()
    embeddings = network.transformer.wte.weight.data
    network.transformer.wpe.weight.data.zero_()
    embeddings.normal_()
    embeddings[:, [HELD, hidden]] = 0.0
    for side, sign in zip("xyab", (1, -1, 1, -1), strict=True):
        for word in GROUPS[side]:
            embeddings[VOCABULARY[word], hidden] = 0.01 * sign
    return load_model(network, tokenizer=make_tokenizer("none"), name="associating")


@pytest.fixture(scope="module")
def planted_table():
    return associate(associating_model(), [TEST], partition=PARTITION)


def sentences_of(tests, *, templates=True):
    texts = [
        text
        for test in tests
        for side in "xyab"
        for text in test.sentences(side, is_templated=templates).texts
    ]
    return list(dict.fromkeys(texts))


def states_of(tests, rng, *, n_layers=3, d=12, templates=True):
    texts = sentences_of(tests, templates=templates)
    return HiddenStates.from_arrays(rng.normal(size=(n_layers, len(texts), d)), texts=texts)


def test_a_planted_association_is_found_in_its_scale_alone(planted_table):
    layers = [row for row in planted_table.rows if row.layer is not None]
    scales = {row.scale: row for row in planted_table.rows if row.layer is None}
    assert [row.layer for row in layers if row.is_significant] == [3, 4]
    assert [row.scale for row in layers] == ["local"] * 3 + ["intermediate"] * 2 + ["global"] * 2
    assert [scale for scale, row in scales.items() if row.is_significant] == ["intermediate"]
    found = scales["intermediate"]
    assert found.effect > 1.8
    assert found.low > found.floor
    assert {row.layer for row in planted_table.significant()} == {3, 4, None}
    assert all(row.n_words == 28 and row.n_sentences == 84 for row in planted_table.rows)


def test_provenance_tells_what_was_done(planted_table):
    about = planted_table.provenance
    assert about["model"] == "associating"
    assert about["scales"] == str(PARTITION)
    assert (about["templates"], about["is_centred"], about["n_permutations"]) == (True, False, 10_000)
    assert about["tests"] == {"planted": ""}


def test_a_transformers_model_with_its_tokenizer_gives_the_same(planted_table):
    loaded = associating_model()
    again = associate(loaded.network, [TEST], tokenizer=loaded.tokenizer, partition=PARTITION)
    assert again.rows == planted_table.rows
    other = associate(loaded, [TEST], tokenizer=loaded.tokenizer, partition=PARTITION)
    assert other.rows == planted_table.rows


def test_words_alone_are_one_sentence_each():
    table = associate(associating_model(), [TEST], partition=PARTITION, templates=False)
    assert all(row.n_sentences == row.n_words == 28 for row in table.rows)
    assert {row.layer for row in table.significant()} == {3, 4, None}


def test_rows_are_the_measure_on_each_layer_and_on_the_mean_of_each_scales_layers(rng):
    states = states_of([TEST], rng, n_layers=5)
    table = associate_states(states, [TEST], n_permutations=500, n_resamples=50, seed=4)
    partition = ScalePartition.thirds(5)
    row_of = {text: i for i, text in enumerate(states.texts)}
    parts = [TEST.sentences(side) for side in "xyab"]
    words = {f"words_{side}": part.words for side, part in zip("xyab", parts, strict=True)}
    for row in table.rows:
        layers = [row.layer] if row.layer is not None else list(partition[row.scale])
        vectors = np.mean([states.layer(layer).astype(float) for layer in layers], axis=0)
        lists = [vectors[[row_of[text] for text in part.texts]] for part in parts]
        expected = association_test(*lists, **words, n_permutations=500, n_resamples=50, seed=4)
        assert row.effect == pytest.approx(association_effect(*lists), abs=1e-6)
        for name in ("effect", "low", "high", "floor", "p", "p_greater"):
            assert getattr(row, name) == pytest.approx(getattr(expected, name), abs=1e-6)


def test_centring_takes_out_a_mean_that_all_sentences_share(rng):
    states = states_of([TEST], rng)
    shift = 50.0 * rng.normal(size=(3, 1, 12))
    array = np.stack([states.layer(layer) for layer in range(3)]).astype(float)
    array -= array.mean(axis=1, keepdims=True)
    plain = HiddenStates.from_arrays(array, texts=states.texts)
    shifted = HiddenStates.from_arrays(array + shift, texts=states.texts)
    options = {"n_permutations": 300, "n_resamples": 20}
    # Scale rows too: the mean of layers' means is the mean of the scale.
    truth = [row.effect for row in associate_states(plain, [TEST], **options).rows]
    centred = [row.effect for row in associate_states(shifted, [TEST], is_centred=True, **options).rows]
    raw = [row.effect for row in associate_states(shifted, [TEST], **options).rows]
    assert centred == pytest.approx(truth, abs=1e-4)
    assert np.abs(np.subtract(raw, truth)).max() > 0.1


def test_holm_corrects_layers_together_and_scales_together(rng):
    other = dataclasses.replace(
        TEST, name="other", targets_x=TEST.targets_x[::-1], templates={"word": ("{word}",)}
    )
    table = associate_states(
        states_of([TEST, other], rng, n_layers=4), [TEST, other], n_permutations=200, n_resamples=20
    )
    assert [row.test for row in table.rows] == ["planted"] * 7 + ["other"] * 7
    for is_layer, count in ((True, 8), (False, 6)):
        rows = [row for row in table.rows if (row.layer is not None) == is_layer]
        assert len(rows) == count
        assert [row.p_holm for row in rows] == holm([row.p for row in rows])


def test_p_is_uniform_where_words_are_random():
    p = []
    for seed in range(200):
        table = associate_states(
            states_of([TEST], np.random.default_rng(seed)),
            [TEST],
            n_permutations=300,
            n_resamples=2,
            seed=seed,
        )
        p.append(table.rows[1].p_greater)
    p = np.array(p)
    assert kstest(p - np.random.default_rng(0).uniform(size=200) / 301, "uniform").pvalue > 0.01
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).sum() <= binom.ppf(0.999, 200, level)


def test_enough_partitions_are_drawn_for_the_correction(rng):
    states = states_of([TEST], rng, n_layers=30, d=6)
    table = associate_states(states, [TEST], n_permutations=10, n_resamples=2)
    assert table.provenance["n_permutations"] == 1200
    assert not table.rows[0].is_exact


def test_a_layer_that_tells_nothing_apart_is_noted_and_not_counted(rng):
    states = states_of([TEST], rng)
    array = np.stack([states.layer(layer) for layer in range(3)])
    array[1] = 1.0
    table = associate_states(
        HiddenStates.from_arrays(array, texts=states.texts), [TEST], n_permutations=200, n_resamples=20
    )
    flat = [row for row in table.rows if row.effect is None]
    assert [row.layer for row in flat] == [1, None]  # the layer, and the scale that is this layer
    assert all(row.p is None and row.p_holm is None and row.low is None for row in flat)
    assert "all 48 targets have the same association" in flat[0].note
    kept = [row for row in table.rows if row.layer in (0, 2)]
    assert [row.p_holm for row in kept] == holm([row.p for row in kept])
    assert table.to_result().row("association_planted", layer=1).value is None


def test_targets_in_other_sentences_are_noted(rng):
    test = dataclasses.replace(
        TEST, templates={"word": ("the {word}",), "name": ("{word}",)}, kinds=("word", "name", "word", "word")
    )
    table = associate_states(states_of([test], rng), [test], n_permutations=100, n_resamples=5)
    assert all("compare with words alone" in row.note for row in table.rows)
    alone = states_of([test], rng, templates=False)
    table = associate_states(alone, [test], templates=False, n_permutations=100, n_resamples=5)
    assert all(row.note is None for row in table.rows)


def test_lists_too_short_for_the_correction_are_noted(rng):
    short = dataclasses.replace(TEST, targets_x=TEST.targets_x[:4], targets_y=TEST.targets_y[:4])
    table = associate_states(states_of([short], rng), [short], n_resamples=5)
    assert all("p cannot fall below 0.029, too much for 3 tests" in row.note for row in table.rows)  # 2 of 70
    enough = dataclasses.replace(TEST, targets_x=TEST.targets_x[:6], targets_y=TEST.targets_y[:6])
    table = associate_states(states_of([enough], rng, n_layers=30), [enough], n_resamples=5)  # 2 of 924
    assert all("too much for 30 tests" in row.note for row in table.rows if row.layer is not None)
    assert all(row.note is None for row in table.rows if row.layer is None)


def test_a_table_comes_back_as_it_was_saved(planted_table, tmp_path):
    path = planted_table.save(tmp_path / "associations.json")
    again = AssociationTable.load(path)
    assert again.rows == planted_table.rows
    assert dict(again.provenance) == dict(planted_table.provenance)
    assert all(isinstance(row, AssociationRow) for row in again.rows)


def test_a_table_becomes_tidy_rows_and_a_frame(planted_table):
    result = planted_table.to_result()
    assert len(result) == len(planted_table) == N_LAYERS + 3
    row = result.row("association_planted", layer=3)
    source = planted_table.rows[3]
    assert (row.value, row.low, row.high, row.floor, row.null) == (
        source.effect,
        source.low,
        source.high,
        source.floor,
        0.0,
    )
    assert (row.target, row.n, row.interval) == ("intermediate", 28, "bootstrap")
    assert f"p = {source.p:.2g} by permuting words, {source.p_holm:.2g} after Holm's correction" in row.note
    frame = planted_table.to_frame()
    assert list(frame["scale"])[-3:] == ["local", "intermediate", "global"]
    assert frame.loc[3, "p_holm"] == source.p_holm


def test_a_table_is_drawn_by_its_rows(planted_table, monkeypatch):
    monkeypatch.setattr("msma.plotting.plot_associations", lambda rows, *, ax=None: (rows, ax), raising=False)
    assert planted_table.plot(ax="axes") == (planted_table.rows, "axes")


def test_a_file_that_holds_no_table_is_told(tmp_path):
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"rows": []}), encoding="utf-8")
    with pytest.raises(StorageError, match="holds no association tests"):
        AssociationTable.load(path)
    with pytest.raises(StorageError, match="there is no file"):
        AssociationTable.load(tmp_path / "none.json")


def test_what_cannot_be_run_is_told(rng):
    model, states = associating_model(), states_of([TEST], rng)
    with pytest.raises(CorpusError, match=r"test 'weat7' has .* words that this model's tokenizer does not"):
        associate(model, standard_tests(["weat7"]))
    for run, given in ((associate, model), (associate_states, states)):
        with pytest.raises(CorpusError, match="no test came"):
            run(given, [])
        with pytest.raises(CorpusError, match="two tests are called 'planted'"):
            run(given, [TEST, TEST])
        with pytest.raises(ConfigError, match="str came as tests; expected a list of AssociationTest"):
            run(given, "weat1")
        with pytest.raises(ConfigError, match="AssociationTest came as tests; expected a list"):
            run(given, TEST)
        with pytest.raises(ConfigError, match="0 permutations"):
            run(given, [TEST], n_permutations=0)
        with pytest.raises(ScaleError, match="layers came for a partition of 9"):
            run(given, [TEST], partition=ScalePartition.thirds(9))
    with pytest.raises(CorpusError, match="24 of 24 sentences of list X of test 'planted' have no state"):
        associate_states(states_of([TEST], rng, templates=False), [TEST])
