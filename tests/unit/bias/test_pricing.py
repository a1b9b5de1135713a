"""Ordinary texts, lines and lists of prices: what is chosen, said, saved, refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from language import FAMILIES, loaded_model
from letters import fixed_decoder, fixed_encoder
from msma.bias import OrdinaryTexts, Price, PriceList, TextPairs, price_erasure
from msma.bias.ordinary import read_task
from msma.bias.price import Change
from msma.bias.probing import Reading
from msma.corpora import Document
from msma.errors import ConfigError, CorpusError, ShapeError, StorageError
from msma.generation import text_nats
from msma.interventions.sites import find_sites
from msma.models import LoadedModel
from planted_bias import PARTITION, planted_bias, planted_documents, planted_pairs
from tiny import VOCABULARY, make_tokenizer

# ---------------------------------------------------------------------------------------------------- ordinary texts


def documents(n=60, **labels):
    """Documents whose labels are lists, one value each."""
    return [
        Document(
            f"text {i}", f"d{i}", labels={name: values[i % len(values)] for name, values in labels.items()}
        )
        for i in range(n)
    ]


def test_parts_are_thirds_and_share_no_document():
    twice = [
        *documents(60, topic=["a", "b"]),
        *(replace(d, text=f"more of {d.text}") for d in documents(60, topic=["a", "b"])),
    ]
    found = OrdinaryTexts.from_documents(twice)
    parts = [{text.split()[-1] for text in part} for part in (found.reference, found.train, found.test)]
    assert not parts[0] & parts[1]
    assert not parts[1] & parts[2]
    assert not parts[0] & parts[2]
    assert len(parts[0] | parts[1] | parts[2]) == 60
    assert [len(part) for part in parts] == [20, 20, 20]
    assert all(len(part) == 40 for part in (found.reference, found.train, found.test))
    assert found.describe() == {"reference": 40, "train": 40, "test": 40, "task": "topic"}


def test_labels_stay_with_their_texts():
    found = OrdinaryTexts.from_documents(documents(90, number=["even", "odd"]), label="number")
    for texts, labels in ((found.train, found.train_labels), (found.test, found.test_labels)):
        assert list(labels) == [("even", "odd")[int(text.split()[1]) % 2] for text in texts]


def test_as_many_are_drawn_as_asked_for_and_the_seed_fixes_which():
    given = documents(100, topic=["a", "b"])
    one, same, other = (OrdinaryTexts.from_documents(given, most=30, seed=seed) for seed in (1, 1, 2))
    assert sum(one.describe()[part] for part in ("reference", "train", "test")) == 30
    assert (one.reference, one.train, one.test) == (same.reference, same.train, same.test)
    assert set(one.test) != set(other.test)


def test_blank_documents_are_left_out():
    given = [*documents(20), Document("  ", "blank")]
    assert (
        sum(OrdinaryTexts.from_documents(given).describe()[p] for p in ("reference", "train", "test")) == 20
    )


@pytest.mark.parametrize(
    ("labels", "wanted", "task"),
    [
        ({"topic": ["a", "b"]}, None, "topic"),
        ({"year": [1990, 1991, 1992], "topic": ["a", "b"]}, None, "topic"),  # too few texts a year
        ({"score": [0.1, 0.2], "topic": ["a", "b"]}, None, "topic"),  # fractions are no classes
        ({"same": ["x"], "topic": ["a", "b"]}, None, "topic"),
        ({"same": ["x"]}, None, None),
        ({}, None, None),
        ({"topic": ["a", "b"], "other": ["c", "d"]}, "other", "other"),
        ({"year": [1990, 1991, 1992], "topic": ["a", "b"]}, "year", "year"),  # asked for, so tried
        ({"is_old": [True, False]}, None, "is_old"),
    ],
)
def test_the_first_label_that_can_be_probed_is_the_task(labels, wanted, task):
    found = OrdinaryTexts.from_documents(documents(60, **labels), label=wanted)
    assert found.task == task
    assert len(found.train_labels) == (20 if task else 0)


def test_documents_without_a_value_are_no_part_of_the_task():
    found = OrdinaryTexts.from_documents(documents(90, topic=["a", "b", None]))
    assert found.task == "topic"
    assert set(found.train_labels) == {"a", "b", None}
    assert (
        len(found.task_documents) == sum(value is not None for value in found.test_labels) < len(found.test)
    )


@pytest.mark.parametrize(
    ("given", "label", "message"),
    [
        (documents(11), None, "11 documents came; expected 12 or more"),
        ([*documents(11), Document(" ", "z")], None, "11 documents came"),
        ([Document(f"t{i}", "same") for i in range(50)], None, "1 documents came"),
        (documents(30, topic=["a", "b"]), "tpoic", "label 'tpoic' was asked for; these documents have topic"),
        (documents(30), "topic", "these documents have none"),
        (documents(30, topic=["a"]), "topic", "label 'topic' cannot be probed; one needs 2 to 20 values"),
        (documents(90, topic=[f"v{i}" for i in range(90)]), "topic", "cannot be probed"),
        (documents(30, score=[0.5, 1.5]), "score", "no fractions"),
    ],
)
def test_documents_that_cannot_be_used_are_told(given, label, message):
    with pytest.raises(CorpusError, match=message):
        OrdinaryTexts.from_documents(given, label=label)


def test_test_labels_that_training_lacks_are_left_out():
    found = OrdinaryTexts((), ("a", "b"), ("c", "d", "e"), "topic", ("x", "y"), ("y", "z", None))
    assert found.task_documents.tolist() == [0]
    assert found.test_documents.tolist() == [0, 1, 2]


# ------------------------------------------------------------------------------------------------------------ nats

TEXTS = (
    "the river rose in spring",
    "snow",
    "a bird sang every morning ; the child heard the song",
    "no one came .",
)


def causal_nats(loaded, text, limit):
    ids = loaded.tokenizer(text)["input_ids"][:limit]
    if len(ids) < 2:
        return 0.0
    with torch.no_grad():
        log_p = torch.log_softmax(loaded.network(torch.tensor([ids])).logits[0].double(), -1)
    return -sum(float(log_p[t - 1, ids[t]]) for t in range(1, len(ids))) / (len(ids) - 1)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_nats_of_a_decoder_are_those_of_its_tokens(name):
    loaded = loaded_model(name)
    found = text_nats(loaded, TEXTS)
    assert found == pytest.approx([causal_nats(loaded, text, 64) for text in TEXTS], rel=1e-4, abs=1e-5)
    assert found[1] == 0.0  # one token has nothing before it


def test_long_texts_are_cut_at_the_limit_of_the_model():
    loaded, text = loaded_model("gpt2"), " ".join(["river", "snow", "rain"] * 60)
    assert text_nats(loaded, [text])[0] == pytest.approx(causal_nats(loaded, text, 64), rel=1e-4)
    bloom = loaded_model("bloom")  # no limit of its own
    assert text_nats(bloom, [text])[0] == pytest.approx(causal_nats(bloom, text, 96), rel=1e-4)


def test_nats_of_a_model_of_fixed_chances_are_known():
    total = sum(range(1, len(VOCABULARY) + 1))

    def nats(words):
        return -np.mean([math.log((VOCABULARY[word] + 1) / total) for word in words])

    assert text_nats(fixed_decoder(), ["the river rose"])[0] == pytest.approx(
        nats(["river", "rose"]), rel=1e-5
    )
    # One word alone: the only one that can be hidden.
    assert text_nats(fixed_encoder(), ["river", "snow"]) == pytest.approx(
        [nats(["river"]), nats(["snow"])], rel=1e-5
    )


def test_nats_of_an_encoder_are_those_of_the_tokens_that_are_hidden():
    loaded, seed = loaded_model("bert", "masked"), 3
    expected = []
    for text in TEXTS:
        ids = loaded.tokenizer(text)["input_ids"]
        places = list(range(1, len(ids) - 1))
        hidden = np.random.default_rng([seed, *ids]).choice(
            places, size=max(1, round(0.15 * len(places))), replace=False
        )
        shown = torch.tensor([ids])
        shown[0, hidden] = loaded.tokenizer.mask_token_id
        with torch.no_grad():
            log_p = torch.log_softmax(loaded.network(shown).logits[0].double(), -1)
        expected.append(-np.mean([float(log_p[k, ids[k]]) for k in hidden]))
    assert text_nats(loaded, TEXTS, seed=seed) == pytest.approx(expected, rel=1e-4)
    assert not np.allclose(text_nats(loaded, TEXTS, seed=4), expected)


def test_a_model_without_a_head_has_no_nats():
    bare = LoadedModel(FAMILIES["gpt2"].build(), make_tokenizer("none"), "bare", None)
    assert text_nats(bare, TEXTS) is None


# ------------------------------------------------------------------------------------------------------------ task


def test_a_topic_is_read_from_the_last_layer():
    ordinary = OrdinaryTexts.from_documents(planted_documents(120), label="topic")
    hits = read_task(planted_bias(), ordinary)
    assert set(np.unique(hits)) <= {0.0, 1.0}
    assert len(hits) == len(ordinary.test)
    assert hits.mean() > 0.9


def test_labels_that_mean_nothing_are_read_at_chance():
    rng = np.random.default_rng(0)
    given = [replace(d, labels={"topic": str(rng.integers(2))}) for d in planted_documents(300)]
    hits = read_task(planted_bias(), OrdinaryTexts.from_documents(given, label="topic"))
    assert abs(hits.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(hits))


def test_there_is_no_task_without_a_label():
    assert (
        read_task(
            planted_bias(),
            OrdinaryTexts.from_documents([replace(d, labels={}) for d in planted_documents(30)]),
        )
        is None
    )


def test_a_text_without_a_token_is_told_rather_than_paired_with_the_wrong_label():
    ordinary = OrdinaryTexts.from_documents(planted_documents(60), label="topic")
    with pytest.raises(CorpusError, match="1 ordinary texts have no token"):
        read_task(planted_bias(), replace(ordinary, test=(" ", *ordinary.test[1:])))


# ---------------------------------------------------------------------------------------------------------- prices


def reading(value, half=0.05):
    return Reading(value, value - half, value + half, 0.5, 100)


def line(
    scale,
    left,
    cost,
    *,
    method="leace",
    strength=1.0,
    change=0.1,
    half=0.02,
    nonlinear=None,
    chosen=None,
    **more,
):
    return Price(
        scale=scale,
        method=method,
        strength=strength,
        here_linear=reading(left),
        here_nonlinear=reading(left),
        output_linear=reading(left),
        output_nonlinear=reading(left if nonlinear is None else nonlinear),
        chosen_by=reading(left if chosen is None else chosen),
        change=change,
        loss=Change(cost, cost - half, cost + half),
        **more,
    )


CLEAN = replace(
    line("none", 0.95, 0.0, method="none", strength=0.0, change=0.0, half=0.0),
    here_linear=None,
    here_nonlinear=None,
)


def listed(*lines, **options):
    return PriceList((CLEAN, *lines), "side", **options)


def test_the_gentlest_of_those_that_cannot_be_told_from_the_cheapest_is_recommended():
    cheap = line("local", 0.52, 0.10, change=0.5)
    gentle = line("global", 0.51, 0.115, change=0.1)  # its interval holds 0.10
    dear = line("intermediate", 0.50, 0.30, change=0.01)
    loud = line("global", 0.9, 0.0, change=0.001, strength=0.5)  # not at chance
    assert listed(cheap, gentle, dear, loud).recommended is gentle


def test_where_none_is_at_chance_the_ones_that_leave_least_are_taken():
    least = line("global", 0.70, 0.5, change=0.9)
    close = line("local", 0.74, 0.1, change=0.5)  # its interval holds 0.70
    far = line("intermediate", 0.90, 0.0, change=0.1)
    assert listed(least, close, far).recommended is close
    assert (
        "None of 3 settings brings a linear probe at the last layer to chance"
        in listed(least, close, far).describe()
    )


def test_the_choice_goes_by_training_pairs_alone():
    lucky = line("local", 0.5, 0.1, chosen=0.8)
    honest = line("global", 0.6, 0.1, chosen=0.5)
    assert listed(lucky, honest).recommended is honest


def test_a_cost_that_never_varies_is_chosen_in_spite_of_rounding():
    above = replace(
        line("local", 0.5, 0.1), loss=Change(0.1, 0.1 + 1e-16, 0.1 + 1e-16), chosen_by=reading(0.8)
    )
    above = replace(above, chosen_by=Reading(0.8, 0.8 + 2e-16, 0.9, 0.5, 100))
    assert above.loss.low > above.loss.value
    assert listed(above).recommended is above


def test_the_frontier_holds_what_no_other_beats():
    best = line("global", 0.5, 0.3)
    middle = line("local", 0.7, 0.1)
    beaten = line("intermediate", 0.7, 0.2)
    worse = line("intermediate", 0.8, 0.4, strength=0.5)
    found = listed(best, middle, beaten, worse)
    assert list(found.frontier) == [CLEAN, middle, best]
    gain = line("local", 0.6, -0.1)  # cheaper than nothing and less to read: the model as it is is beaten
    assert list(listed(best, gain).frontier) == [gain, best]
    twin = line("local", 0.5, 0.3)
    assert len(listed(best, twin).frontier) == 3


def test_the_clean_line_is_apart():
    found = listed(line("global", 0.5, 0.3))
    assert found.clean is CLEAN
    assert CLEAN.is_clean
    assert len(found.erasures) == 1
    assert found.eraser is None


def test_cost_is_nats_else_accuracy_lost_else_the_change():
    nats = replace(line("local", 0.5, 0.2, task=Change(-0.1, -0.2, 0.05)), loss=Change(0.2, 0.1, 0.3))
    assert (nats.cost, nats.cost_units) == (Change(0.2, 0.1, 0.3), "nats a token")
    task = replace(nats, loss=None)
    assert (task.cost, task.cost_units) == (Change(0.1, -0.05, 0.2), "accuracy lost")
    bare = replace(task, task=None)
    assert (bare.cost, bare.cost_units) == (Change(0.1, 0.1, 0.1), "relative norm")


@pytest.mark.parametrize(
    ("lines", "task", "said", "unsaid"),
    [
        (
            [line("global", 0.5, 0.1)],
            None,
            [
                "To erase side, take leace at the global scale, strength 1: of 1 settings",
                "tells 50% (45% to 55%) of the texts apart, 95% (90% to 100%) before; a non-linear one 50%",
                "It costs +0.100 nats a token (+0.080 to +0.120).",
                "No other scale leaves as little at a cost as low",
            ],
            ["reduced, not gone", "linear probes only", "points", "None of"],
        ),
        (
            [line("global", 0.5, 0.1, nonlinear=0.8, task=Change(-0.023, -0.05, 0.004))],
            "topic",
            ["it is gone for linear probes only: a non-linear reader still finds it",
             "A probe of topic changes by -2.3 points (-5.0 to +0.4)."],
            ["reduced"],
        ),
        (
            [line("global", 0.8, 0.1, chosen=0.5, nonlinear=0.9)],
            None,
            ["So what a linear probe reads there is reduced, not gone."],
            ["linear probes only"],
        ),
        ([line("global", 0.7, 0.1)], None, ["None of 1 settings", "leave it least to read"], ["To erase"]),
        (
            [line("global", 0.5, 0.1, change=0.01), line("local", 0.52, 0.11), line("intermediate", 0.5, 0.9)],
            None,
            ["These texts cannot tell it from the best at the local scale."],
            ["intermediate scale", "No other scale"],
        ),
        (
            [line("global", 0.5, 0.1, change=0.01), line("local", 0.52, 0.11), line("intermediate", 0.52, 0.11)],
            None,
            ["cannot tell it from the best at the intermediate and local scale."],
            [],
        ),
        (
            [replace(line("global", 0.5, 0.1, task=Change(-0.1, -0.2, 0.0)), loss=None)],
            "topic",
            ["It costs +0.100 accuracy lost (+0.000 to +0.200)."],
            ["points"],
        ),
        ([replace(line("global", 0.5, 0.1), loss=None)], None, ["It costs +0.100 relative norm"], []),
    ],
)  # fmt: skip
def test_it_says_what_to_take_and_what_that_leaves(lines, task, said, unsaid):
    words = listed(*lines, task=task).describe()
    for part in said:
        assert part in words
    for part in unsaid:
        assert part not in words


FULL = line("global", 0.5, 0.1, task=Change(-0.1, -0.2, 0.0), association=0.4, crows=55.0, ss=52.0, icat=70.0)


def test_rows_hold_every_number():
    result = listed(FULL, replace(line("local", 0.7, 0.2, strength=0.5), loss=None)).to_result()
    full = {row.metric: row for row in result.where(target="global")}
    assert set(full) == {
        *(f"readable_{place}_{kind}" for place in ("here", "output") for kind in ("linear", "nonlinear")),
        "price_loss", "price_task", "price_change", "score_association", "score_crows", "score_ss", "score_icat",
    }  # fmt: skip
    assert {row.map for row in full.values()} == {"leace 1"}
    left = full["readable_output_linear"]
    assert (left.value, left.low, left.high, left.null, left.floor, left.n) == (
        0.5,
        0.45,
        0.55,
        0.5,
        0.5,
        100,
    )
    assert (full["price_loss"].value, full["price_loss"].units, full["price_task"].value) == (
        0.1,
        "nats",
        -0.1,
    )
    assert (full["score_crows"].null, full["score_icat"].value) == (50.0, 70.0)
    assert {row.metric for row in result.where(map="leace 0.5")} == {
        *(f"readable_{place}_{kind}" for place in ("here", "output") for kind in ("linear", "nonlinear")),
        "price_change",
    }
    clean = result.where(map="none")
    assert {row.target for row in clean} == {None}
    assert not [row for row in clean if "here" in row.metric]
    assert (result.name, len(listed(FULL).to_frame())) == ("bias_prices", len(listed(FULL).to_result().rows))


def test_saved_and_loaded_it_is_the_same(tmp_path):
    lines = (
        FULL,
        line("local", 0.7, 0.2, strength=0.5),
        replace(line("intermediate", 0.6, 0.2), loss=None, here_linear=None, here_nonlinear=None),
    )
    found = listed(*lines, task="topic", provenance={"seed": 0})
    assert found.save(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == [
        "prices.json"
    ]  # no eraser, so none is written
    again = PriceList.load(tmp_path / "a" / "b")
    assert again.prices == found.prices
    assert (again.concept, again.task, again.provenance) == ("side", "topic", {"seed": 0})
    assert again.describe() == found.describe()
    assert again.to_result() == found.to_result()
    for one in lines:
        assert Price.from_record(one.to_record()) == one


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "holds no price list"),
        (
            '{"prices": [{"scale": "local"}], "concept": "c", "task": null, "provenance": {}}',
            "holds no price list",
        ),
        ('{"prices": [{"magic": 1}]}', "holds no price list"),
        ("[1]", "holds no price list"),
        ('{"prices": [1], "concept": "c", "task": null, "provenance": {}}', "holds no price list"),
        ("{", "not valid JSON"),
    ],
)
def test_a_damaged_list_is_told(content, message, tmp_path):
    (tmp_path / "prices.json").write_text(content)
    with pytest.raises(StorageError, match=message):
        PriceList.load(tmp_path)


def test_a_missing_list_is_told(tmp_path):
    with pytest.raises(StorageError, match=r"no file '.*prices\.json'"):
        PriceList.load(tmp_path)


def test_the_figure_has_a_mark_for_every_line():
    found = listed(FULL, line("local", 0.7, 0.2), line("local", 0.6, 0.3, method="projection"))
    axes = found.plot()
    assert "nats a token" in axes.get_xlabel()


# --------------------------------------------------------------------------------------------------------- pricing


def few_pairs():
    pairs = planted_pairs()
    return pairs.subset(range(0, len(pairs), 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scales": ("middle",)}, "scales middle came; expected local, intermediate, global"),
        ({"scales": ()}, "expected local"),
        ({"methods": ("magic",)}, "methods magic came; expected leace, projection"),
        ({"methods": ()}, "expected leace"),
        ({"strengths": ()}, "expected shares above 0, at most 1"),
        ({"strengths": (0.0,)}, "strengths 0.0 came"),
        ({"strengths": (0.5, 2.0)}, "strengths 0.5, 2.0 came"),
        ({"strengths": (float("nan"),)}, "strengths nan came"),
    ],
)
def test_impossible_erasures_are_told(changes, message):
    with pytest.raises(ConfigError, match=message):
        price_erasure(planted_bias(), few_pairs(), None, partition=PARTITION, **changes)


def test_a_model_without_the_concept_has_nothing_to_price():
    ordinary = OrdinaryTexts.from_documents(planted_documents(40))
    with pytest.raises(ShapeError, match="no scale of 'planted bias' shows a linear trace of side"):
        price_erasure(
            planted_bias(strength=0.0),
            few_pairs(),
            ordinary,
            partition=PARTITION,
            scales=("global",),
            methods=("leace",),
        )


def test_without_head_and_label_the_price_is_the_change():
    model = planted_bias(strength=3.0)
    bare = LoadedModel(model.network.transformer, model.tokenizer, "bare", None)
    ordinary = OrdinaryTexts.from_documents([replace(d, labels={}) for d in planted_documents(40)])
    found = price_erasure(
        bare,
        few_pairs(),
        ordinary,
        partition=PARTITION,
        scales=("intermediate",),
        methods=("projection",),
        strengths=(0.5, 1.0),
    )
    half, whole = found.erasures
    assert (whole.loss, whole.task, whole.cost_units) == (None, None, "relative norm")
    assert half.change == pytest.approx(whole.change / 2, rel=1e-5)
    # By hand: the coordinate that blocks 3 and 4 hold is set to its mean, over the norm of all of a token's state.
    stack, changes = find_sites(bare.network).stack, []
    # Layer 4 is then the changed layer 3, and what is left to change there is nothing.
    for text in ordinary.test:
        seen = {}
        with torch.no_grad(), stack.reading(lambda k, h, seen=seen: seen.__setitem__(k, h.clone())) as run:
            run(stack.collate([bare.tokenizer(text)["input_ids"]]))
        states = seen[3][0].double().numpy()
        mean = found.erasers["intermediate", "projection"].erasure.projections[3].mean
        changes.append(((states[:, 0] - mean[0]) ** 2) / (states**2).sum(axis=1))
    assert set(found.erasers["intermediate", "projection"].erasure.projections) == {3}
    assert whole.change == pytest.approx(float(np.sqrt(np.concatenate(changes).mean())), rel=1e-4)


def test_an_interrupted_list_goes_on_where_it_stopped(tmp_path, monkeypatch):
    ordinary = OrdinaryTexts.from_documents(planted_documents(40), label="topic")
    model = planted_bias(strength=3.0)
    options = {
        "partition": PARTITION,
        "scales": ("intermediate",),
        "methods": ("leace",),
        "strengths": (0.5, 1.0),
    }
    whole = price_erasure(model, few_pairs(), ordinary, **options)
    from msma.bias import pricing

    real, calls = pricing.fit_eraser, []

    def counted(*args, **kwargs):
        calls.append(kwargs["method"])
        return real(*args, **kwargs)

    def interrupted(words):
        if words.endswith("strength 1"):
            raise KeyboardInterrupt

    monkeypatch.setattr(pricing, "fit_eraser", counted)
    with pytest.raises(KeyboardInterrupt):
        price_erasure(model, few_pairs(), ordinary, out=tmp_path, say=interrupted, **options)
    said = []
    again = price_erasure(model, few_pairs(), ordinary, out=tmp_path, say=said.append, **options)
    assert calls == ["leace"]
    assert [words for words in said if "found in the folder" in words] == [
        "price list: leace at the intermediate scale, strength 0.5, found in the folder"
    ]
    for one, other in zip(whole.prices, again.prices, strict=True):
        assert one.output_linear == other.output_linear
        assert one.change == pytest.approx(other.change, rel=1e-5)
    again.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["eraser.safetensors", "prices.json"]


def test_prices_are_read_on_pairs_that_nothing_was_fitted_on():
    """Texts of the three parts are disjoint, and the reading counts those of the third."""
    pairs = few_pairs()
    fit, train, test = pairs.split()
    assert not set(fit.documents) & set(train.documents)
    assert not (set(fit.documents) | set(train.documents)) & set(test.documents)
    ordinary = OrdinaryTexts.from_documents(planted_documents(40), label="topic")
    found = price_erasure(
        planted_bias(strength=3.0),
        pairs,
        ordinary,
        partition=PARTITION,
        scales=("intermediate",),
        methods=("leace",),
        strengths=(1.0,),
    )
    assert found.clean.output_linear.n == 2 * len(test)
    assert found.clean.chosen_by.n == 2 * len(train)
    assert found.provenance["pairs"] == {
        "source": "planted",
        "fit": len(fit),
        "train": len(train),
        "test": len(test),
    }
    assert found.clean.change == 0.0
    assert found.clean.loss == Change(0.0, 0.0, 0.0)
    assert isinstance(pairs, TextPairs)
