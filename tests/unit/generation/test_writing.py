"""Writing and filling in: draws are from the model's distribution, errors are sentences."""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from families import ALL_FAMILIES
from language import loaded_model
from msma.errors import ConfigError, CorpusError, ModelError
from msma.generation import generate, nats_per_token, predict_masked
from msma.interventions import Scaling, intervene
from msma.keyed_noise import keyed_gumbel, keyed_normal, mix
from msma.models import LoadedModel, load_model
from tiny import TEXTS, make_tokenizer

PROMPT = "the river rose in spring and every boat was"


def test_keyed_numbers_have_the_laws_they_should():
    from scipy import stats

    normal = keyed_normal(torch.arange(2000), 7).numpy()
    assert stats.kstest(normal.ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(normal.T) - np.eye(7)).max() < 0.1
    assert np.abs(np.corrcoef(normal[:-1, 0], normal[1:, 0])[0, 1]) < 0.1
    gumbel = keyed_gumbel(torch.arange(2000), 5).numpy()
    assert stats.kstest(gumbel.ravel(), "gumbel_r").pvalue > 1e-3
    assert len(set(mix(torch.arange(1000)).tolist())) == 1000


@pytest.mark.slow
def test_draws_follow_the_model():
    """First tokens over many seeds against the model's own probabilities."""
    from scipy import stats

    loaded = loaded_model("gpt2")
    ids = torch.tensor([loaded.tokenizer(PROMPT)["input_ids"]])
    with torch.no_grad():
        p = torch.softmax(loaded.network(ids).logits[0, -1].double() / 2.0, -1).numpy()
    n = 1500
    found = [
        generate(loaded, [PROMPT], max_new_tokens=1, temperature=2.0, seed=s, may_stop=True)[0].ids
        for s in range(n)
    ]
    tokens = [row[0] if row else loaded.tokenizer.eos_token_id for row in found]
    counts = np.bincount(tokens, minlength=len(p))
    common = p * n >= 5
    assert common.sum() >= 3
    observed = np.append(counts[common], counts[~common].sum())
    expected = np.append(p[common], p[~common].sum()) * n
    is_met = expected > 0
    assert observed[~is_met].sum() == 0
    assert stats.chisquare(observed[is_met], expected[is_met], sum_check=False).pvalue > 1e-3


def test_no_heat_takes_the_likeliest_token_and_top_p_the_likely_ones():
    loaded = loaded_model("gpt2")
    greedy = [generate(loaded, [PROMPT], max_new_tokens=5, temperature=0, seed=s)[0].ids for s in (0, 1)]
    assert greedy[0] == greedy[1]
    tiny = generate(loaded, [PROMPT], max_new_tokens=5, top_p=1e-9, seed=7)[0].ids
    assert tiny == greedy[0]


def test_the_end_token_stops_or_never_comes():
    loaded = loaded_model("gpt2")
    many = [generate(loaded, [PROMPT], max_new_tokens=20, seed=s)[0].ids for s in range(30)]
    assert all(loaded.tokenizer.eos_token_id not in ids for ids in many)
    whole = [generate(loaded, [PROMPT], max_new_tokens=20, seed=s, may_stop=False)[0].ids for s in range(30)]
    assert all(len(ids) == 20 for ids in whole)


@pytest.mark.parametrize("name", ["t5-encoder", "bart-decoder"])
def test_surprise_of_an_encoder_decoder(name):
    loaded = loaded_model(name)
    found = generate(loaded, [PROMPT, "snow fell"], max_new_tokens=6, seed=1, may_stop=False)
    nats = nats_per_token(loaded, found)
    alone = [nats_per_token(loaded, [one])[0] for one in found]
    np.testing.assert_allclose(nats, alone, rtol=1e-4)


@pytest.mark.parametrize("name", ["t5-decoder", "bart-decoder"])
def test_surprise_of_an_encoder_decoder_is_that_of_its_decoder_given_what_its_encoder_reads(name):
    loaded = loaded_model(name)
    found = generate(loaded, [PROMPT], max_new_tokens=9, seed=1, may_stop=False)[0]
    start = loaded.network.config.decoder_start_token_id
    with torch.no_grad():
        output = loaded.network(
            input_ids=torch.tensor([found.prompt_ids]),
            decoder_input_ids=torch.tensor([[start, *found.ids[:-1]]]),
        )
    log_p = torch.log_softmax(output.logits[0].double(), -1)[range(9), list(found.ids)]
    np.testing.assert_allclose(nats_per_token(loaded, [found]), [-log_p.mean().item()], rtol=1e-5)


def test_what_does_not_fit_an_encoder_decoder_is_told():
    loaded = loaded_model("bart-decoder")
    assert len(generate(loaded, [PROMPT], max_new_tokens=64, may_stop=False)[0].ids) == 64
    with pytest.raises(CorpusError, match="65 new tokens were asked for; the model's decoder holds 64"):
        generate(loaded, [PROMPT], max_new_tokens=65)
    with pytest.raises(CorpusError, match="prompt 1 has 72 tokens; the model's encoder holds 64"):
        generate(loaded, ["the " * 70], max_new_tokens=4)


def test_bad_prompts_and_settings_are_told_in_a_sentence():
    loaded = loaded_model("gpt2")
    with pytest.raises(CorpusError, match="no prompt came"):
        generate(loaded, [])
    with pytest.raises(CorpusError, match="prompt 2 is empty"):
        generate(loaded, [PROMPT, "  "], max_new_tokens=4)
    with pytest.raises(
        CorpusError, match=r"prompt 1 has 9 tokens and 60 are to follow; the model's context holds 64"
    ):
        generate(loaded, [PROMPT], max_new_tokens=60)
    with pytest.raises(ConfigError, match="expected at least 1"):
        generate(loaded, [PROMPT], max_new_tokens=0)
    with pytest.raises(ConfigError, match="expected 0 or more"):
        generate(loaded, [PROMPT], temperature=float("nan"))
    with pytest.raises(ConfigError, match="expected a share above 0"):
        generate(loaded, [PROMPT], top_p=0)


def test_models_without_the_head_are_named(tmp_path):
    body = LoadedModel(ALL_FAMILIES[0].build(), make_tokenizer("none"), "body", None)
    with pytest.raises(ModelError, match="'body' has no language-model head, so it cannot write"):
        generate(body, [PROMPT])
    with pytest.raises(ModelError, match="only a head for masked tokens"):
        generate(loaded_model("bert", head="masked"), [PROMPT])
    with pytest.raises(ModelError, match="no head for masked tokens"):
        predict_masked(loaded_model("gpt2"), TEXTS)
    narrow = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    config = AutoConfig.for_model("bert", vocab_size=90, **narrow)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has no language-model head"):
        load_model(tmp_path, has_head=True)
    with pytest.raises(ModelError, match="has no language-model head"):
        load_model(ALL_FAMILIES[0].build(), tokenizer=make_tokenizer("none"), has_head=True)


@pytest.mark.parametrize("name", ["gpt2", "t5-decoder"])
def test_heads_survive_the_disk(tmp_path, name):
    loaded = loaded_model(name)
    loaded.network.save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    again = load_model(tmp_path, has_head=True)
    assert again.head == loaded.head
    options = {"max_new_tokens": 6, "seed": 4}
    assert generate(again, [PROMPT], **options)[0].ids == generate(loaded, [PROMPT], **options)[0].ids


def test_masked_predictions_are_those_of_the_model():
    loaded = loaded_model("bert", head="masked")
    found = predict_masked(loaded, TEXTS, share=0.3, seed=1)
    first = found.texts == 0
    ids = loaded.tokenizer(TEXTS[0])["input_ids"]
    shown = torch.tensor([ids])
    shown[0, found.places[first]] = loaded.tokenizer.mask_token_id
    with torch.no_grad():
        log_p = torch.log_softmax(loaded.network(shown).logits[0, found.places[first]].double(), -1)
    assert [ids[place] for place in found.places[first]] == found.original[first].tolist()
    np.testing.assert_array_equal(found.top[first], log_p.argmax(-1).numpy())
    np.testing.assert_allclose(found.entropy[first], -(log_p.exp() * log_p).sum(-1).numpy(), rtol=1e-4)
    own = log_p[torch.arange(len(log_p)), torch.from_numpy(found.original[first])]
    np.testing.assert_allclose(found.nats[first], -own.numpy(), rtol=1e-4)
    np.testing.assert_array_equal(found.rank[first], ((log_p > own[:, None]).sum(-1) + 1).numpy())
    assert found.changed(found).sum() == 0


def test_masked_predictions_under_an_intervention():
    loaded = loaded_model("bert", head="masked")
    clean = predict_masked(loaded, TEXTS, share=0.3)
    with intervene(loaded, None, [2, 3], Scaling(3.0)):
        changed = predict_masked(loaded, TEXTS, share=0.3)
        single = predict_masked(loaded, TEXTS, share=0.3, batch_rows=1)
    assert changed.changed(clean).mean() > 0
    np.testing.assert_array_equal(changed.top, single.top)
    np.testing.assert_allclose(changed.entropy, single.entropy, rtol=1e-3)
    with pytest.raises(CorpusError, match="other hidden tokens"):
        changed.changed(predict_masked(loaded, TEXTS, share=0.3, seed=9))
    with pytest.raises(CorpusError, match="without a token to hide"):
        predict_masked(loaded, [" "])
    with pytest.raises(ConfigError, match="expected a share"):
        predict_masked(loaded, TEXTS, share=0)
