"""Interventions while a model writes: cache or not, batch or single, prompt or new tokens."""

import pytest
import torch

from language import WRITERS, loaded_model
from msma.generation import generate, nats_per_token
from msma.interventions import HeadRemoval, Noise, Scaling, Temperature, Translation, intervene

PROMPTS = [
    "the river rose in spring and every boat was",
    "snow fell on the",
    "a bird sang in the garden every",
]
OPERATIONS = [
    Translation(torch.linspace(-1, 1, 32).numpy(), 0.3),
    Scaling(0.5),
    Noise(0.3),
    Temperature(0.02),
    HeadRemoval([1, 2]),
]
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.kind)
STACKS = {name: "decoder" if name.endswith("decoder") else "auto" for name in WRITERS}


def write(loaded, **options):
    found = generate(loaded, PROMPTS, max_new_tokens=10, may_stop=False, **{"seed": 3, **options})
    return [continuation.ids for continuation in found]


@pytest.mark.parametrize("name", WRITERS)
@every_operation
def test_cached_equals_uncached_and_batched_equals_single(name, operation):
    loaded = loaded_model(name)
    clean = write(loaded)
    with intervene(loaded, None, [1, 2], operation, stack=STACKS[name]):
        cached, uncached, single = write(loaded), write(loaded, use_cache=False), write(loaded, batch_rows=1)
    assert cached == uncached == single
    assert cached != clean
    assert write(loaded) == clean


@pytest.mark.parametrize("name", ["gpt2", "llama", "bloom"])
@pytest.mark.parametrize("tokens", ["prompt", "new"])
@every_operation
def test_regions_are_the_same_with_and_without_a_cache(name, tokens, operation):
    loaded = loaded_model(name)
    with intervene(loaded, None, [1, 2], operation, tokens=tokens):
        assert write(loaded) == write(loaded, use_cache=False) == write(loaded, batch_rows=1)


@every_operation
def test_prompt_and_new_tokens_together_are_all(operation):
    loaded = loaded_model("gpt2")
    with intervene(loaded, None, [1, 2], operation):
        whole = write(loaded)
    with (
        intervene(loaded, None, [1, 2], operation, tokens="prompt"),
        intervene(loaded, None, [1, 2], operation, tokens="new"),
    ):
        assert write(loaded) == whole


def test_new_tokens_leave_the_first_draw_as_it_was():
    """The first token is drawn from the prompt alone."""
    loaded = loaded_model("gpt2")
    clean = write(loaded)
    with intervene(loaded, None, [1, 2, 3, 4], Scaling(5.0), tokens="new"):
        changed = write(loaded)
    assert [ids[0] for ids in changed] == [ids[0] for ids in clean]
    assert changed != clean


def test_a_plain_pass_is_all_prompt():
    loaded = loaded_model("gpt2")
    ids = torch.tensor([loaded.tokenizer(PROMPTS[0])["input_ids"]])
    with torch.no_grad():
        clean = loaded.network(ids).logits
        with intervene(loaded, None, [2], Scaling(0.5), tokens="new"):
            assert torch.equal(loaded.network(ids).logits, clean)
        with intervene(loaded, None, [2], Scaling(0.5), tokens="prompt"):
            changed = loaded.network(ids).logits
        with intervene(loaded, None, [2], Scaling(0.5)):
            assert torch.equal(loaded.network(ids).logits, changed)


def test_transformers_own_sampling_is_served_too():
    """Not only our generate(): the model's own, with left padding, and its pipeline."""
    from transformers import pipeline

    loaded = loaded_model("gpt2")
    plain = loaded_model("gpt2").network
    pipe = pipeline("text-generation", model=plain, tokenizer=loaded.tokenizer)
    options = {"do_sample": False, "max_new_tokens": 8, "return_full_text": False}
    clean = pipe(PROMPTS[0], **options)[0]["generated_text"]
    with intervene(plain, None, [2, 3], Scaling(2.0)):
        changed = pipe(PROMPTS[0], **options)[0]["generated_text"]
    assert changed != clean
    assert pipe(PROMPTS[0], **options)[0]["generated_text"] == clean


def test_surprise_is_that_of_the_model_itself():
    loaded = loaded_model("gpt2")
    found = generate(loaded, PROMPTS, max_new_tokens=6, seed=1, may_stop=False)
    one = found[0]
    ids = torch.tensor([[*one.prompt_ids, *one.ids]])
    with torch.no_grad():
        log_p = torch.log_softmax(loaded.network(ids).logits[0], -1)
    start = len(one.prompt_ids)
    by_hand = -sum(float(log_p[start - 1 + t, token]) for t, token in enumerate(one.ids)) / len(one.ids)
    assert nats_per_token(loaded, found)[0] == pytest.approx(by_hand, rel=1e-5)
