"""Loading models, finding their stacks, and saying in one sentence what is wrong."""

import copy
import logging
import re
import warnings

import pytest
import torch
import transformers
from torch import nn
from transformers.utils import logging as transformers_logging

from families import ALL_FAMILIES, WIDTH
from msma.errors import ConfigError, ModelError
from msma.models import evaluating, find_stack, load_model, position_limit, quiet, recording_attention
from tiny import VOCABULARY_SIZE, make_tokenizer

FAMILIES = {family.name: family for family in ALL_FAMILIES}
IDS = [0, 5, 7, 43, 61, 11, 75, 58, 65, 8, 56, 2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BERT with its tokenizer, as files."""
    path = tmp_path_factory.mktemp("bert")
    FAMILIES["bert"].build().save_pretrained(path)
    make_tokenizer().save_pretrained(path)
    return path


def test_a_folder_is_loaded_with_its_tokenizer(folder):
    loaded = load_model(folder)
    assert (loaded.name, loaded.architecture, loaded.dtype) == (str(folder), "bert", "float32")
    assert loaded.revision is None
    assert str(loaded.device) in ("cpu", "cuda:0")
    assert not loaded.network.training
    assert loaded.tokenizer("the river")["input_ids"] == [0, 5, 7, 2]


def test_precision_is_that_asked_for(folder):
    assert load_model(folder, dtype="bfloat16").dtype == "bfloat16"
    assert load_model(folder, dtype="auto").dtype == "float32"


def test_a_model_that_is_loaded_is_taken_as_it_is(folder):
    model = FAMILIES["bert"].build()
    loaded = load_model(model, tokenizer=str(folder), name="mine")
    assert loaded.network is model
    assert loaded.name == "mine"
    assert load_model(model, tokenizer=make_tokenizer()).name == "BertModel"


def test_a_loaded_model_finds_its_tokenizer_where_it_came_from(folder):
    model = transformers.AutoModel.from_pretrained(folder)
    assert load_model(model).tokenizer("the river")["input_ids"] == [0, 5, 7, 2]


def test_fingerprint_tells_weights_apart(folder):
    one, same = load_model(folder), load_model(FAMILIES["bert"].build(), tokenizer=make_tokenizer())
    other = load_model(FAMILIES["bert"].build(seed=1), tokenizer=make_tokenizer())
    assert re.fullmatch(r"[0-9a-f]{64}", one.fingerprint())
    assert one.fingerprint() == same.fingerprint()
    assert one.fingerprint() != other.fingerprint()
    assert one.fingerprint(one.network.encoder) != one.fingerprint()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "/no/such/folder"}, ModelError, "'/no/such/folder' does not exist"),
        ({"model": "./nowhere"}, ModelError, "does not exist"),
        ({"model": "no-such-model-zz"}, ModelError, "not in the local cache"),
        ({"model": "gpt2", "revision": "nope"}, ModelError, "at revision 'nope'"),
        ({"model": "a b c"}, ModelError, "could not load the model 'a b c'"),
        ({"model": nn.Linear(2, 2)}, ModelError, "Linear without a transformers configuration"),
        ({"model": FAMILIES["bert"].build()}, ModelError, "its tokenizer cannot be found"),
        ({"model": FAMILIES["bert"].build(), "device": "cuda:7"}, ConfigError, "move it first"),
        ({"device": "abacus"}, ConfigError, "device 'abacus' cannot be used"),
        ({"dtype": "float3"}, ConfigError, "expected one of float32, bfloat16, float16, auto"),
        ({"tokenizer": "/no/such/folder"}, ModelError, "could not load the tokenizer"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else None,
)
def test_what_cannot_be_loaded_is_named(folder, options, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        load_model(**{"model": folder, **options})
    assert "\n" not in str(caught.value)


def test_a_wrong_folder_is_told_from_a_damaged_one(tmp_path):
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text("{broken")
    with pytest.raises(ModelError, match="not a valid JSON"):
        load_model(tmp_path)
    with pytest.raises(ModelError, match="is a file"):
        load_model(tmp_path / "config.json")
    (tmp_path / "config.json").write_text('{"model_type": "unheard-of"}')
    with pytest.raises(ModelError, match="unheard-of"):
        load_model(tmp_path)


def test_a_model_without_tokenizer_files_is_refused(tmp_path):
    FAMILIES["bert"].build().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"all of them special|could not load the tokenizer"):
        load_model(tmp_path)


def test_damaged_weights_are_refused(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not weights at all, not even long")
    with pytest.raises(ModelError, match="could not load the model"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("RevisionNotFoundError", "no such revision"),
        ("RepositoryNotFoundError", "no such repository"),
        ("GatedRepoError", "access has to be granted"),
        ("LocalEntryNotFoundError", "not in the local cache"),
    ],
)
def test_errors_of_the_hub_become_one_sentence(monkeypatch, kind, message):
    def fail(*args, **kwargs):
        raise OSError("several\nlines") from type(kind, (Exception,), {})("from the hub")

    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", fail)
    with pytest.raises(ModelError, match=message) as caught:
        load_model("someone/something", revision="main")
    assert isinstance(caught.value.__cause__, OSError)


def test_own_code_has_to_be_trusted(monkeypatch):
    def fail(*args, **kwargs):
        raise ValueError("pass trust_remote_code=True to allow it")

    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", fail)
    with pytest.raises(ModelError, match="read it, then pass trust_remote_code=True"):
        load_model("someone/something")


def test_quiet_silences_and_restores(capsys):
    before = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    with quiet():
        warnings.warn("not heard", stacklevel=1)
        logging.getLogger("transformers").warning("not heard")
        assert not transformers_logging.is_progress_bar_enabled()
    assert (transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()) == before
    with pytest.warns(UserWarning, match="heard again"):
        warnings.warn("heard again", stacklevel=1)
    assert capsys.readouterr() == ("", "")


def test_modes_return_even_after_an_error():
    model = FAMILIES["gpt2"].build().train()
    model.h[0].eval()
    modes = [module.training for module in model.modules()]

    def fail():
        with evaluating(model):
            assert not any(module.training for module in model.modules())
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize(
    ("name", "limit"),
    [("bert", 64), ("roberta", 64), ("mpnet", 64), ("gpt2", 64), ("opt", 64), ("mamba", None)],
)
def test_position_limit_leaves_out_unused_rows(name, limit):
    assert position_limit(FAMILIES[name].build()) == limit


def test_hooks_go_even_when_the_model_fails():
    model = FAMILIES["gpt2"].build()
    found = find_stack(model, IDS)

    def fail(number, states):
        raise RuntimeError("on purpose")

    before = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    with pytest.raises(RuntimeError, match="on purpose"), found.reading(fail) as run:
        run(found.collate([IDS]))
    after = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    assert after == before


def test_a_head_is_never_run():
    config = FAMILIES["gpt2"].build().config
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.lm_head.forward = None  # whoever calls it fails
    found = find_stack(model, IDS)
    assert (found.n_layers, found.d_model) == (5, WIDTH)
    assert found.module is model.transformer


def test_head_models_of_encoder_decoders_give_either_stack():
    model = transformers.AutoModelForSeq2SeqLM.from_config(FAMILIES["t5-encoder"].build().config)
    assert find_stack(model, IDS).n_layers == 5
    assert find_stack(model, IDS, stack="decoder").n_layers == 6


@pytest.mark.parametrize(
    ("name", "stack", "only"), [("gpt2", "encoder", "decoder"), ("bert", "decoder", "encoder")]
)
def test_a_stack_that_is_not_there_is_refused(name, stack, only):
    with pytest.raises(ModelError, match=f"it has only its {only}"):
        find_stack(FAMILIES[name].build(), IDS, stack=stack)


def test_too_few_blocks_are_refused():
    config = copy.deepcopy(FAMILIES["gpt2"].build().config)
    config.n_layer = 1
    with pytest.raises(ModelError, match="a model of 1 blocks came"):
        find_stack(transformers.AutoModel.from_config(config), IDS)


def test_a_model_that_cannot_read_the_tokens_is_refused():
    with pytest.raises(ModelError, match="could not be run on 2 tokens"):
        find_stack(FAMILIES["gpt2"].build(), [5, VOCABULARY_SIZE + 10])


def test_a_decoder_without_a_start_is_refused():
    model = FAMILIES["t5-decoder"].build()
    found = find_stack(model, IDS, stack="decoder")
    for name in ("decoder_start_token_id", "pad_token_id", "bos_token_id"):
        setattr(found.module.config, name, None)
    with pytest.raises(ModelError, match="nothing to start its decoder with"):
        _ = found.start_id


class Unreadable(nn.Module):
    """A body that gives neither hidden states nor a list of blocks."""

    def __init__(self, config, *, n_lists=0, gives_hidden=False):
        super().__init__()
        self.config, self.gives_hidden = config, gives_hidden
        self.embed = nn.Embedding(config.vocab_size, 8)
        if n_lists:
            self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(8)

    def get_input_embeddings(self):
        return self.embed

    def forward(self, input_ids, return_dict=True, output_hidden_states=False):
        states = self.embed(input_ids)
        kept = [states]
        for block in getattr(self, "blocks", [torch.tanh] * self.config.num_hidden_layers):
            states = block(states)
            kept.append(states)
        output = transformers.modeling_outputs.BaseModelOutput(self.norm(states))
        if self.gives_hidden:
            output.hidden_states = tuple(kept)
        return output


def test_a_model_that_shows_nothing_is_refused():
    with pytest.raises(ModelError, match="has no list of 4 blocks"):
        find_stack(Unreadable(FAMILIES["bert"].build().config), IDS)


def test_a_model_that_does_not_give_hidden_states_is_hooked_and_the_note_says_so():
    found = find_stack(Unreadable(FAMILIES["bert"].build().config, n_lists=1), IDS)
    assert (found.n_layers, found.final_norm) == (5, "excluded")
    assert "without a check" in found.note


def test_blocks_without_modules_are_read_through_hidden_states_and_a_norm_is_seen():
    found = find_stack(Unreadable(FAMILIES["bert"].build().config, gives_hidden=True), IDS)
    assert (found.n_layers, found.blocks, found.final_norm) == (5, (), "included")
    # Nothing in it mixes tokens, so that it is causal, and without a mask right padding still does no harm.
    assert found.is_causal
    assert not found.padding.has_mask


@pytest.mark.parametrize("name", [family.name for family in ALL_FAMILIES if family.has_attention])
def test_recorded_maps_are_those_that_transformers_gives(name):
    family = FAMILIES[name]
    model, written_out = family.build(), family.build(attn_implementation="eager")
    ids = torch.tensor([IDS])
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            start = torch.full_like(ids[:, :1], model.config.decoder_start_token_id)
            output = written_out(
                ids, decoder_input_ids=torch.cat([start, ids], dim=1), output_attentions=True
            )
            expected = output.decoder_attentions if family.stack == "decoder" else output.encoder_attentions
        else:
            expected = written_out(ids, output_attentions=True).attentions
    found = find_stack(model, IDS, stack=family.stack)
    rows = [found.start_id, *IDS] if family.stack == "decoder" else IDS
    shown = {}
    with recording_attention(model, found, shown.__setitem__, ids=IDS) as run:
        run(found.collate([rows], sources=[IDS]))
    assert sorted(shown) == list(range(1, family.n_blocks + 1))
    for number, plain in enumerate(expected, start=1):
        torch.testing.assert_close(shown[number], plain, atol=1e-5, rtol=1e-4)
    assert model.config._attn_implementation == family.build().config._attn_implementation


def test_no_maps_are_recorded_where_there_are_none():
    for name in ("mamba", "fnet"):
        model = FAMILIES[name].build()
        with recording_attention(model, find_stack(model, IDS), lambda *_: None, ids=IDS) as run:
            assert run is None
