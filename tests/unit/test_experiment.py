"""The intervention experiment: finds what was planted and only that, nothing where nothing is, and goes on."""

import json
import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import permutation_test
from transformers import (
    BertConfig,
    BertForMaskedLM,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

import msma
from msma.cli import run
from msma.comparison import cliffs_delta
from msma.errors import (
    ConfigError,
    CorpusError,
    ModelError,
    OriginError,
    ScaleError,
    ShapeError,
    StorageError,
)
from msma.experiment import Experiment, compare_published, make_design, run_experiment
from msma.experiment.arms import ArmMaker
from msma.experiment.design import Cell
from msma.experiment.effects import Measured, Outcome, compute_effects
from msma.experiment.statistics import (
    least_p,
    mean_differences,
    paired_delta,
    relative_change,
    sign_flip_tests,
)
from msma.extraction import extract
from msma.generation import generate
from msma.interventions import HeadRemoval, Noise, Temperature, intervene, relative_norm
from msma.models import load_model
from msma.reporting import write_summary
from msma.reporting.figures import list_drawings
from msma.reporting.page import render
from msma.reporting.reading import read_study
from msma.scales import ScalePartition
from planted import N_LAYERS, PARTITION, PROMPTS, planted_direction, planted_model, random_model
from study_folder import HOSTILE, make_study_folder
from tiny import TEXTS, VOCABULARY_SIZE, make_tokenizer

torch.set_num_threads(1)
FEW = PROMPTS[:6]
QUICK = {"seeds": (0, 1), "max_new_tokens": 8, "batch_rows": 24}


@pytest.fixture(scope="module")
def chance():
    return random_model()


@pytest.fixture(scope="module")
def quick(chance, tmp_path_factory):
    """A small experiment, and the folder it kept itself in."""
    folder = tmp_path_factory.mktemp("quick") / "out"
    return run_experiment(chance, PARTITION, FEW, strengths=(0.3,), out=folder, **QUICK), folder


# What is known of the statistics


def test_delta_pairs_out_what_is_undefined_and_equals_cliffs():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(9, 3)), rng.normal(0.5, size=(9, 3))
    assert paired_delta(first, second).value == pytest.approx(cliffs_delta(first.ravel(), second.ravel()))
    first[0, 0] = second[3, 1] = np.nan
    keep = np.isfinite(first) & np.isfinite(second)
    assert paired_delta(first, second).value == pytest.approx(cliffs_delta(first[keep], second[keep]))
    assert paired_delta(first * np.nan, second) is None
    assert paired_delta(first[:4], second[:4]).low is None  # too few prompts to redraw


def test_the_interval_covers_and_is_wider_than_one_that_takes_seeds_for_samples():
    """Half of the variance is the prompt's own: 95 % of intervals over prompts hold the true delta."""
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(150):
        own = rng.normal(size=(30, 1))
        first, second = (own + rng.normal(size=(30, 3)) + shift for shift in (0.6, 0.0))
        found = paired_delta(first, second, n_resamples=300)
        # x - y ~ N(0.6, 4) for two texts of different prompts; equal prompts are one comparison in thirty.
        truth = 29 / 30 * math.erf(0.6 / 2 / math.sqrt(2)) + 1 / 30 * math.erf(
            0.6 / math.sqrt(2) / math.sqrt(2)
        )
        hits.append(found.low <= truth <= found.high)
    assert 0.88 <= np.mean(hits) <= 0.99


def test_sign_flips_equal_scipys_exact_test():
    differences = np.random.default_rng(1).normal(0.4, size=(3, 9))
    expected = [
        permutation_test(
            (d, np.zeros(9)), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
        ).pvalue
        for d in differences
    ]
    assert sign_flip_tests(differences) == pytest.approx(expected)


def test_drawn_sign_flips_agree_with_exact_ones_and_stay_above_zero():
    differences = np.random.default_rng(2).normal(0.25, size=(40, 15))
    signs = np.array(list(product((1, -1), repeat=15)))
    exact = (np.abs(signs @ differences.T) >= np.abs(differences.sum(axis=1)) - 1e-9).mean(axis=0)
    assert sign_flip_tests(differences) == pytest.approx(exact, abs=0.02)
    sure = sign_flip_tests(np.ones((300, 40)))
    assert sure.max() == least_p(40, 300) > 0
    assert sure.max() * 300 < 0.05  # survives Holm's correction


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_promised():
    rng = np.random.default_rng(3)
    heavy = rng.standard_t(2, size=(2000, 20)) * rng.integers(0, 2, size=(2000, 20))
    assert (sign_flip_tests(heavy) <= 0.05).mean() == pytest.approx(0.05, abs=0.015)


def test_too_few_prompts_are_not_tested():
    differences = np.array([[1.0, 2.0, 3.0, 4.0, np.nan, np.nan], [1.0, 2.0, 3.0, 4.0, 5.0, np.nan]])
    assert np.isnan(sign_flip_tests(differences)[0])
    assert sign_flip_tests(differences)[1] == pytest.approx(2 / 32)


def test_means_and_changes_use_pairs_only():
    first, second = np.array([[2.0, np.nan], [4.0, 6.0]]), np.array([[1.0, 50.0], [2.0, 2.0]])
    assert mean_differences(first, second).tolist() == [1.0, 3.0]
    assert relative_change(first, second) == pytest.approx(4.0 / (5 / 3) - 1)
    assert relative_change(first, 0 * second) is None
    assert relative_change(first * np.nan, second) is None


def make_outcome(shift, control=0.0, n=12, cell=None):
    rng = np.random.default_rng(0)
    clean = rng.normal(10.0, size=(n, 2))
    noise = rng.normal(size=(2, n, 2)) * 0.2
    outcome = Outcome(
        cell or Cell("global", "scaling", 0.1, (5, 6)),
        0.1,
        0.1,
        {"mtld": clean + shift + noise[0]},
        {"mtld": clean + control + noise[1]},
        None,
    )
    return {"mtld": clean}, outcome


def test_an_effect_holds_only_beyond_its_control():
    measures = {"mtld": Measured("MTLD", "words")}
    for shift, control, expected in (
        (1.0, 0.0, (True, True)),
        (1.0, 1.0, (True, False)),
        (0.0, 1.0, (False, False)),
    ):
        clean, outcome = make_outcome(shift, control)
        (effect,) = compute_effects(clean, [outcome], measures)
        assert (effect.is_significant, effect.is_beyond_control) == expected
        assert effect.change == pytest.approx(shift / 10, abs=0.02)
        assert effect.low <= effect.delta <= effect.high


def test_few_prompts_are_reported_as_not_testable():
    clean, outcome = make_outcome(1.0, n=4)
    (effect,) = compute_effects(clean, [outcome], {"mtld": Measured("MTLD", "words")})
    assert not effect.is_tested
    assert "not testable: 4 prompts" in effect.note
    assert "could not be tested" in " ".join(Experiment((effect,), (), {}).findings())


def test_published_effects_stand_beside_ours():
    clean, outcome = make_outcome(1.0)
    effects = compute_effects(clean, [outcome], {"mtld": Measured("MTLD", "words")})
    (found,) = compare_published(effects)
    assert (found.published.change, found.published.delta, found.verdict) == (0.074, 0.23, "same direction")
    for shift, control, verdict in (
        (-1.0, 0.0, "opposite direction"),
        (0.0, 0.0, "no effect shown here"),
        (1.0, 1.0, "same direction, but no more than its control"),
    ):
        clean, outcome = make_outcome(shift, control)
        assert (
            compare_published(compute_effects(clean, [outcome], {"mtld": Measured("m", "1")}))[0].verdict
            == verdict
        )


# Cells and arms


def test_design_leaves_out_what_is_impossible_and_says_so():
    local_first = ScalePartition(n_layers=N_LAYERS, boundaries=(1, 4))
    design = make_design(local_first, strengths=(-0.1, 0.1))
    names = [cell.name for cell in design.cells]
    assert "local-scaling-0.1" in names
    assert "local-noise-0.1" not in names
    assert not any(name.startswith("local-heads") for name in names)
    assert any("no attention for heads" in sentence for sentence in design.left_out)
    assert any("--alignment" in sentence for sentence in design.left_out)
    cell = next(c for c in make_design(PARTITION).cells if c.name == "local-temperature+0.1")
    assert cell.layers == (1, 2)  # the embeddings have no attention


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kinds": ["noisy"]}, ConfigError, "did you mean 'noise'"),
        ({"scales": ["middle"]}, ConfigError, "scale 'middle' came"),
        ({"scales": []}, ConfigError, "no scale came"),
        ({"strengths": ()}, ConfigError, "no strength came"),
        ({"strengths": (math.nan,)}, ConfigError, "strength nan"),
        ({"strengths": (0.0,)}, ConfigError, "strength 0"),
        ({"strengths": (0.1, 0.1)}, ConfigError, "each once"),
        ({"kinds": ["noise"], "strengths": (-0.1,)}, ConfigError, "no backwards"),
        ({"kinds": ["replacement"]}, ConfigError, "needs a fitted alignment"),
        ({"kinds": ["heads"], "scales": ["local"]}, ScaleError, "holds no block"),
    ],
)
def test_mistakes_in_the_design(options, error, message):
    with pytest.raises(error, match=message):
        make_design(ScalePartition(n_layers=N_LAYERS, boundaries=(1, 4)), **options)


@pytest.fixture(scope="module")
def maker(chance):
    ids = [chance.tokenizer(prompt)["input_ids"] for prompt in TEXTS[:4]]
    return ArmMaker(chance.network, ids, n_layers=N_LAYERS, d_model=24), ids


@pytest.mark.parametrize("kind", ["translation", "scaling", "noise", "temperature", "heads"])
def test_controls_are_as_strong_on_as_many_other_layers(kind, maker, chance):
    arms, ids = maker
    cell = next(
        c for c in make_design(PARTITION, kinds=[kind], strengths=(0.1,)).cells if c.scale == "global"
    )
    treated = arms.treated(cell, 1)
    control = arms.control(cell, 1, treated)
    assert len(control.layers) == len(treated.layers)
    assert not set(control.layers) & set(treated.layers)
    for arm in (treated, control):
        norm = relative_norm(chance, arm.operation, arm.layers, ids)
        assert norm == pytest.approx(arm.reached, rel=0.2)
    if kind == "noise":
        assert {arms.treated(cell, seed).operation.seed for seed in (0, 1)} == {0, 1}


def test_a_control_is_drawn_anew_for_each_seed(maker):
    arms, _ = maker
    cell = Cell("global", "scaling", 0.1, (5, 6))
    drawn = {arms.control(cell, seed, arms.treated(cell, seed)).layers for seed in range(6)}
    assert len(drawn) > 2


def fitted_alignment(chance):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(PROMPTS[i % 24].split(), size=6)) for i in range(60)]
    states = extract(chance.network, texts, tokenizer=chance.tokenizer, attention_texts=0)
    return msma.Alignment(msma.RidgeMap()).fit(states, PARTITION)


def test_replacement_predicts_from_the_nearest_scale_and_its_control_is_noise(chance):
    alignment = fitted_alignment(chance)
    found = run_experiment(
        chance,
        PARTITION,
        FEW,
        kinds=["replacement"],
        scales=["local"],
        strengths=(0.03, 0.9),
        alignment=alignment,
        measures=["nats"],
        **QUICK,
    )
    weak, strong = found.effects
    assert weak.reached == pytest.approx(0.03, rel=0.05)
    assert strong.reached < 0.5  # the prediction itself is no further away
    assert "where 0.9 was asked for" in strong.note
    maker = ArmMaker(chance.network, [[5, 6, 7]], n_layers=N_LAYERS, d_model=24, alignment=alignment)
    cell = make_design(PARTITION, kinds=["replacement"], scales=["local"], alignment=alignment).cells[0]
    treated = maker.treated(cell, 0)
    control = maker.control(cell, 0, treated)
    assert treated.operation.source == "intermediate"
    assert isinstance(control.operation, Noise)
    assert control.layers == treated.layers
    with pytest.raises(ScaleError, match="no map of the alignment leads to the global scale"):
        make_design(PARTITION, kinds=["replacement"], alignment=alignment)
    with pytest.raises(OriginError, match="came for an experiment on"):
        make_design(ScalePartition(n_layers=N_LAYERS, boundaries=(2, 5)), alignment=alignment)
    with pytest.raises(ConfigError, match="without an alignment"):
        ArmMaker(chance.network, [[5]], n_layers=N_LAYERS, d_model=24).treated(cell, 0)


# What is planted is found, and what is not there is not


def test_a_property_that_one_scale_controls_is_found_there_and_nowhere_else():
    found = run_experiment(
        planted_model(),
        PARTITION,
        PROMPTS,
        kinds=["translation"],
        strengths=(-0.2, 0.2),
        direction=planted_direction(),
        measures=["sentence_count", "lexical_variation", "distinct_2", "repeated_4grams"],
        seeds=(0, 1),
        max_new_tokens=40,
        batch_rows=24,
    )
    holds = [(e.scale, e.measure) for e in found.effects if e.is_beyond_control]
    assert set(holds) == {("intermediate", "sentence_count")}
    up = found.effect("sentence_count", scale="intermediate", kind="translation", strength=0.2)
    assert up.change > 0.3
    assert up.low > 0
    assert up.control == pytest.approx(up.clean)  # elsewhere the same push does nothing at all
    for scale in ("local", "global"):
        other = found.effect("sentence_count", scale=scale, kind="translation", strength=0.2)
        assert other.treated == other.clean
        assert other.p == 1.0
    assert any(s.startswith("Intermediate scale: translation +0.20: sentences") for s in found.findings())
    assert "Global scale: no effect goes beyond its control." in found.findings()


@pytest.mark.slow
def test_a_model_that_knows_nothing_shows_nothing():
    """At most 5 % of effects on a random model after correction, although text does change."""
    found = run_experiment(
        random_model(1), PARTITION, PROMPTS, strengths=(0.4,), seeds=(0, 1), max_new_tokens=14, batch_rows=24
    )
    tested = [e for e in found.effects if e.is_tested]
    assert len(tested) > 100
    assert sum(e.is_significant for e in tested) <= 0.05 * len(tested)
    assert sum(e.is_beyond_control for e in tested) <= 0.05 * len(tested)
    assert any(sample.treated != sample.clean for sample in found.samples)


# Folders


def test_an_interrupted_run_gives_what_an_uninterrupted_one_does(quick, chance, tmp_path, monkeypatch):
    whole, _ = quick
    options = {"strengths": (0.3,), "out": tmp_path / "out", **QUICK}
    from msma.experiment import writing

    write, count = writing.Writer.cell, []

    def stop_after_three(self, *args):
        count.append(1)
        if len(count) > 3:
            raise KeyboardInterrupt
        return write(self, *args)

    monkeypatch.setattr(writing.Writer, "cell", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(chance, PARTITION, FEW, **options)
    monkeypatch.setattr(writing.Writer, "cell", write)
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 4
    told = []
    again = run_experiment(chance, PARTITION, FEW, say=told.append, **options)
    assert told[0].startswith("12 of 15 interventions")
    assert again == whole
    assert Experiment.load(tmp_path / "out") == whole


def test_more_cells_join_a_folder_and_other_settings_are_refused(quick, chance):
    _, folder = quick
    told = []
    options = {"strengths": (0.3, 0.4), "kinds": ["scaling"], "out": folder, "say": told.append}
    run_experiment(chance, PARTITION, FEW, **options, **QUICK)
    assert told[0].startswith("3 of 6 interventions")
    with pytest.raises(StorageError, match="with max_new_tokens = 8, and this one has 9"):
        run_experiment(chance, PARTITION, FEW, **options, **{**QUICK, "max_new_tokens": 9})
    with pytest.raises(StorageError, match="fingerprint"):
        run_experiment(replace(random_model(5), name=chance.name), PARTITION, FEW, **options, **QUICK)


def test_damaged_files_are_told(quick, chance, tmp_path):
    options = {"strengths": (0.3,), "kinds": ["scaling"], "scales": ["local"], "out": tmp_path, **QUICK}
    run_experiment(chance, PARTITION, FEW, **options)
    cell = tmp_path / "cells" / "local-scaling+0.3.jsonl"
    lines = cell.read_text().splitlines()
    cell.write_text("\n".join(lines[:-1]))
    with pytest.raises(StorageError, match="12 and 11 continuations"):
        run_experiment(chance, PARTITION, FEW, **options)
    cell.write_text("{")
    with pytest.raises(StorageError, match="is damaged"):
        run_experiment(chance, PARTITION, FEW, **options)
    (tmp_path / "experiment.json").write_text('{"effects": [{}]}')
    with pytest.raises(StorageError, match="holds no experiment"):
        Experiment.load(tmp_path)


def test_everything_can_be_asked_for(quick):
    found, _ = quick
    frame = found.to_frame()
    assert {"mtld", "mtld_delta", "mtld_p_beyond"} <= set(frame.metric)
    assert len(found.to_records()) == len(found.effects) == 15 * len({e.measure for e in found.effects})
    assert found.provenance["prompts"]
    assert found.provenance["fingerprint"]
    assert json.loads(json.dumps(found.to_result().to_records()))
    with pytest.raises(StorageError, match="no effect of noise"):
        found.effect("mtld", scale="local", kind="noise", strength=9.0)
    assert found.plot().child_axes[0].get_title(loc="left") == "local"
    assert len(found.plot_dose(measures=["nats"], kinds=["noise", "heads"]).child_axes) == 2
    assert len(found.plot(width=3.5).child_axes) == 3
    with pytest.raises(ConfigError, match="measure 'x' came"):
        found.plot_dose(measures=["x"])
    from msma.plotting import plot_dose_response, plot_effects

    for draw in (plot_effects, plot_dose_response):
        with pytest.raises(ShapeError, match="0 effects"):
            draw([])


# Encoders and encoder-decoders


def test_an_encoder_fills_in_hidden_tokens():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        pad_token_id=1,
        initializer_range=0.3,
    )
    loaded = load_model(BertForMaskedLM(config).eval(), tokenizer=make_tokenizer(), has_head=True)
    texts = [f"{text} {PROMPTS[i]} {PROMPTS[i + 8]}" for i, text in enumerate(TEXTS)]
    found = run_experiment(
        loaded,
        ScalePartition.thirds(5),
        texts,
        kinds=["noise", "temperature"],
        strengths=(0.5,),
        seeds=(0, 1),
    )
    assert {e.measure for e in found.effects} == {"entropy", "log_rank", "nats", "lexical_change"}
    change = [e for e in found.effects if e.measure == "lexical_change"]
    assert all(e.clean == 0 and e.delta is None and e.p is None and 0 <= e.treated <= 1 for e in change)
    assert any(e.treated > 0 for e in change)
    assert "[" in found.samples[0].clean
    assert found.samples[0].prompt == ""
    assert found.plot() is not None
    with pytest.raises(ConfigError, match="this model has entropy"):
        run_experiment(loaded, ScalePartition.thirds(5), texts, measures=["mtld"])


def test_an_encoder_decoder_writes():
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=VOCABULARY_SIZE,
        d_model=24,
        d_kv=12,
        d_ff=48,
        num_layers=4,
        num_heads=2,
        decoder_start_token_id=1,
        pad_token_id=1,
        eos_token_id=2,
    )
    loaded = load_model(
        T5ForConditionalGeneration(config).eval(), tokenizer=make_tokenizer("end"), has_head=True
    )
    found = run_experiment(
        loaded,
        ScalePartition.thirds(5),
        FEW,
        kinds=["scaling", "heads"],
        strengths=(0.5,),
        measures=["nats", "sentence_count"],
        **QUICK,
    )
    assert len(found.effects) == 12
    assert all(e.n_pairs > 0 for e in found.effects if e.measure == "sentence_count")


@pytest.mark.parametrize(
    "operation", [HeadRemoval({3: [1, 3], 4: [0, 2, 3]}), Temperature(6.0)], ids=lambda o: o.kind
)
@pytest.mark.parametrize("tokens", ["all", "prompt", "new"])
def test_heads_that_share_keys_are_the_same_heads_with_a_cache(operation, tokens):
    """With a cache, transformers lays out grouped queries of a single token otherwise."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.4,
        eos_token_id=2,
        pad_token_id=1,
    )
    loaded = load_model(LlamaForCausalLM(config).eval(), tokenizer=make_tokenizer("none"), has_head=True)
    written = []
    for use_cache in (True, False):
        with intervene(loaded, None, [3, 4], operation, tokens=tokens):
            written.append(generate(loaded, FEW, max_new_tokens=12, use_cache=use_cache))
    assert written[0] == written[1]
    assert written[0] != generate(loaded, FEW, max_new_tokens=12)


@pytest.mark.slow
def test_what_cannot_be_done_or_was_done_is_left_out(chance):
    found = run_experiment(
        chance, PARTITION, FEW, kinds=["heads"], strengths=(1e-6, 0.5, 0.6), measures=["nats"], **QUICK
    )
    assert {e.strength for e in found.effects} == {0.5}
    left_out = " ".join(found.provenance["left_out"])
    assert "global-heads+1e-06, because heads cannot act so weakly" in left_out
    assert "global-heads+0.6, because it is the same as global-heads+0.5" in left_out
    with pytest.raises(ConfigError, match="no intervention is left to measure"):
        run_experiment(chance, PARTITION, FEW, kinds=["heads"], strengths=(1e-6,), **QUICK)


# Mistakes


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"prompts": FEW[:4]}, CorpusError, "4 prompts came"),
        ({"prompts": "the river"}, CorpusError, "one string came"),
        ({"prompts": [*FEW, " "]}, CorpusError, "prompt 7 is empty"),
        ({"prompts": [*FEW, FEW[0]]}, CorpusError, "came before"),
        ({"prompts": [*FEW, "the " * 60]}, CorpusError, "context holds 64"),
        ({"seeds": ()}, ConfigError, "seeds"),
        ({"seeds": (1, 1)}, ConfigError, "seeds"),
        ({"measures": ["beauty"]}, ConfigError, "measure 'beauty' came"),
        ({"measures": ["coherence"]}, ConfigError, "cannot be taken here"),
        ({"measures": []}, ConfigError, "no measure came"),
        ({"partition": ScalePartition.thirds(5)}, ScaleError, "5 layer entries came for a model of 7"),
    ],
)
def test_mistakes_are_told_in_a_sentence(changes, error, message, chance):
    given = {"partition": PARTITION, "prompts": FEW, **QUICK, **changes}
    with pytest.raises(error, match=message):
        run_experiment(chance, given.pop("partition"), given.pop("prompts"), **given)


def test_a_model_without_a_head_is_refused(tmp_path):
    from families import ALL_FAMILIES

    with pytest.raises(ModelError, match="no language-model head"):
        run_experiment(ALL_FAMILIES[0].build(), PARTITION, FEW, tokenizer=make_tokenizer())


# Pages and the command line


def test_the_page_escapes_what_models_write(quick, tmp_path):
    found, _ = quick
    samples = tuple(
        s._replace(clean=text, treated=text, control=text, prompt=text)
        for s, text in zip(found.samples, HOSTILE, strict=False)
    )
    provenance = {**found.provenance, "model": HOSTILE[0], "architecture": "gpt2"}
    page = write_summary(Experiment(found.effects, samples, provenance), tmp_path).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert 'id="figure-effects"' in page
    assert {f"{name}.{end}" for name in ("effects", "dose") for end in ("png", "svg", "pdf")} <= {
        p.name for p in tmp_path.iterdir()
    }


@pytest.mark.slow
def test_a_study_shows_the_experiment_within_it(quick, tmp_path):
    found, _ = quick
    study = make_study_folder(tmp_path / "study")
    found.save(study / "intervention")
    record = read_study(study)
    page = render(record)
    assert 'id="intervention"' in page
    assert 'href="#intervention"' in page
    assert {"effects", "dose"} <= set(list_drawings(record))
    assert not {"effects", "dose"} & set(list_drawings(replace(record, intervention=None)))


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    loaded = random_model()
    loaded.network.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_the_command_does_it_all(model_folder, tmp_path, capsys):
    (tmp_path / "p.txt").write_text("\n".join([*FEW, FEW[0]]))
    for name, words in (("a.txt", "river boat"), ("b.txt", "dog bird")):
        (tmp_path / name).write_text("\n".join(f"{words} {k}" for k in ("rose", "fell", "ran")))
    common = ["intervene", str(model_folder), str(tmp_path / "p.txt"), "--out", str(tmp_path / "out")]
    common += ["--partition", "0-2|3-4|5-6", "--kinds", "translation,scaling", "--strengths", "-0.2,0.2"]
    common += ["--seeds", "0,1", "--max-new-tokens", "6", "--embedder", "none", "--prompt-tokens", "3"]
    common += ["--towards", str(tmp_path / "a.txt"), "--away-from", str(tmp_path / "b.txt")]
    assert run(common) == 0
    shown = capsys.readouterr().out
    assert "12 of 12 interventions" in shown
    assert "came before and are left out" in shown
    assert (tmp_path / "out" / "summary.html").is_file()
    assert run([*common, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["name"] == "intervention"
    assert printed["provenance"]["direction"].startswith("a-b ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strengths", "a"], "expected numbers with commas"),
        (["--strengths", "nan"], "strength nan"),
        (["--seeds", "0.5"], "expected whole numbers with commas"),
        (["--kinds", "noisy"], "did you mean 'noise'"),
        (["--scales", "middle"], "scale 'middle'"),
        (["--measure", "beauty"], "measure 'beauty'"),
        (["--partition", "published"], "nothing was published"),
        (["--partition", "absent.json"], "absent.json"),
        (["--towards", "a.txt"], "only one of --towards and --away-from"),
        (["--max-prompts", "0"], "--max-prompts 0"),
        (["--max-prompts", "3"], "3 prompts came"),
        (["--alignment", "absent"], "absent"),
        (["--max-new-tokens", "64"], "context holds 64"),
    ],
)
def test_mistakes_on_the_command_line(arguments, message, model_folder, tmp_path, capsys):
    command = ["intervene", str(model_folder), "demo", "--out", str(tmp_path / "o"), "--embedder", "none"]
    assert run([*command, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_model_that_writes_stories_is_disturbed_most_where_its_loss_says(shared_dir):
    """On real text: strong interventions surprise the clean model, weak ones do not, and nothing else is claimed."""
    loaded = load_model(str(shared_dir / "models" / "stories260K-hf"), has_head=True)
    prompts = [
        f"{name} {verb}"
        for name in ("Tom", "Lily", "The dog", "A bird", "One day")
        for verb in ("went to the park", "saw a big tree", "was very sad", "had a red ball")
    ]
    found = run_experiment(
        loaded,
        ScalePartition.thirds(6),
        prompts,
        kinds=["noise", "temperature"],
        strengths=(0.02, 0.3),
        measures=["nats", "lexical_variation"],
    )
    strong = [e for e in found.effects if e.measure == "nats" and e.strength == 0.3]
    assert sum(e.is_significant and e.delta > 0.3 for e in strong) >= 4
    weak = [e for e in found.effects if e.strength == 0.02]
    assert sum(e.is_significant for e in weak) <= 1
