"""The training of the embedded decoder: texts, losses, batches, and a run that was interrupted."""

import itertools
import json

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from training_scripts import recipes, texts, train, write_sources

IDS = torch.from_numpy(np.random.default_rng(0).integers(len(recipes.SPECIAL), recipes.N_TOKENS, (8, 257)))


# Texts


def test_the_sources_are_read_cleaned_and_named(tmp_path):
    documents = texts.read_documents(write_sources(tmp_path))
    assert len({document.name for document in documents}) == len(documents) == 3 * 60 + 20 + 60
    book = next(d for d in documents if d.name == "A-Book/0")
    assert book.text.count("\n\n") == 23
    assert "“" not in book.text
    assert "_" not in book.text
    article = next(d for d in documents if d.name == "wikitext2/7")
    assert article.text.count("\n\n") == 1
    assert "=" not in article.text
    assert {d.split for d in documents} == {"train", "validation", "test", "unseen"}
    for document in documents:
        assert (document.split == "unseen") == document.name.startswith(texts.UNSEEN_BOOK)


@pytest.mark.parametrize("missing", ["public_domain_books", "wikitext2", "tinystories"])
def test_a_missing_source_is_named(tmp_path, missing):
    data = write_sources(tmp_path, n_stretches=1)
    for file in (data / missing).iterdir():
        file.unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        texts.read_documents(data)


def test_the_split_of_a_name_never_changes():
    names = [f"Bleak-House/{i}" for i in range(5000)]
    splits = [texts.split_of(name) for name in names]
    assert [i for i, split in enumerate(splits[:100]) if split == "test"] == [82]
    assert [i for i, split in enumerate(splits[:100]) if split == "validation"] == [1, 18, 60, 69]
    for name in ("test", "validation"):
        assert 0.015 < splits.count(name) / len(names) < 0.025


def test_no_real_document_is_in_two_splits(shared_dir):
    data = shared_dir / "data"
    if not (data / "public_domain_books").is_dir():
        pytest.skip("no public_domain_books beside this checkout")
    documents = texts.read_documents(data)
    assert len({document.name for document in documents}) == len(documents) > 3000
    where = {}
    for document in documents:
        for paragraph in document.text.split("\n\n"):
            if len(paragraph) > 80:  # short ones ("Yes, sir.") come back in every book
                where.setdefault(paragraph, set()).add(document.split)
    assert all(len(splits) == 1 for splits in where.values())


@pytest.mark.parametrize(
    ("tokens", "prose"),
    [
        (" A well @-@ known man , aged 1 @,@ 234 @.@ 5 , left . ", "A well-known man, aged 1,234.5, left."),
        (' He said , " It is late . " ', 'He said, "It is late."'),
        (" It ( the town ) is the king 's ; they 've left ! ", "It (the town) is the king's; they've left!"),
        (" The <unk> fell . It rained . ", "It rained."),
        (" The <unk> fell . ", ""),
        (" It cost $ 5 [ then ] . ", "It cost $5 [then]."),
        ("", ""),
    ],
)
def test_tokens_become_prose(tokens, prose):
    assert texts.undo_tokens(tokens) == prose


# Losses


class Recorder(torch.nn.Module):
    """Knows nothing, and remembers what it was shown and asked."""

    def forward(self, input_ids, **kwargs):
        self.shown, self.asked = input_ids, kwargs.get("labels")
        width = input_ids.shape[1] if self.asked is None else self.asked.shape[1]
        self.logits = torch.zeros(len(input_ids), width, recipes.N_TOKENS, requires_grad=True)
        return self


def _scored(model, loss):
    """Which places the loss depends on."""
    loss.backward()
    return model.logits.grad.abs().sum(-1) > 0


def test_the_masked_loss_hides_fifteen_in_a_hundred():
    model = Recorder()
    ids = IDS.repeat(8, 1)
    loss = recipes.masked_loss(model, ids, torch.Generator().manual_seed(1))
    assert loss.item() == pytest.approx(np.log(recipes.N_TOKENS), rel=1e-6)
    chosen, shown, ids = _scored(model, loss), model.shown, ids[:, :-1]
    assert chosen.float().mean().item() == pytest.approx(0.15, abs=0.01)
    assert torch.equal(shown[~chosen], ids[~chosen])
    is_masked, is_left = shown[chosen] == recipes.MASK, shown[chosen] == ids[chosen]
    assert is_masked.float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert is_left.float().mean().item() == pytest.approx(0.1, abs=0.03)
    assert (shown[chosen] >= len(recipes.SPECIAL))[~is_masked].all()


def test_the_span_loss_asks_for_exactly_what_was_cut_out():
    model = Recorder()
    loss = recipes.span_loss(model, IDS, torch.Generator().manual_seed(1))
    assert _scored(model, loss).all()
    for shown, asked, whole in zip(model.shown.tolist(), model.asked.tolist(), IDS.tolist(), strict=True):
        assert asked.pop() == recipes.STOP
        spans = {asked[i]: asked[i + 1 : i + 4] for i in range(0, len(asked), 4)}
        assert len(spans) == round(0.15 * 256 / 3)
        restored = [spans.pop(token) if token in spans else [token] for token in shown]
        assert list(itertools.chain(*restored)) == whole[:-1]
        assert not spans


@pytest.mark.parametrize("loss", [recipes.masked_loss, recipes.span_loss])
def test_what_is_hidden_depends_on_the_generator_alone(loss):
    seen = []
    for seed in (1, 1, 2):
        model = Recorder()
        loss(model, IDS, torch.Generator().manual_seed(seed))
        seen.append(model.shown)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


def test_the_causal_loss_is_that_of_every_next_token():
    torch.manual_seed(0)
    model = _tiny_decoder().eval()
    ids = IDS[:2, :20]
    found = recipes.causal_loss(model, ids, torch.Generator())
    assert found.item() == pytest.approx(model(input_ids=ids, labels=ids).loss.item(), rel=1e-5)


@pytest.mark.parametrize("family", recipes.RECIPES)
def test_every_family_learns(family):
    torch.manual_seed(0)
    recipe = recipes.RECIPES[family]
    model = recipe.build()
    depth = getattr(model.config, "num_decoder_layers", 0) or 0
    assert model.config.num_hidden_layers + depth == 12
    optimizers = train.optimizers(model, train.Settings())
    ids = IDS[:2, :65]
    losses = []
    for _ in range(3):
        loss = recipe.loss(model, ids, torch.Generator().manual_seed(0))
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_each_parameter_has_one_optimizer_and_tables_are_not_turned():
    model = recipes.RECIPES["gpt2"].build()
    muon, adam = ([p for group in o.param_groups for p in group["params"]] for o in _optimizers(model))
    assert sorted(map(id, [*muon, *adam])) == sorted(map(id, model.parameters()))
    assert id(model.transformer.wte.weight) in set(map(id, adam))
    assert len(muon) == 12 * 4


def _optimizers(model):
    return train.optimizers(model, train.Settings())


# Batches and rates


def _documents(n_tokens=5000, n_documents=7):
    """Every id once, so that an id says where it was."""
    return np.array_split(np.arange(n_tokens), n_documents)


def test_batches_go_on_from_any_step():
    settings = train.Settings(steps=9, rows=4)
    whole = list(train.batches(_documents(), settings, first=0))
    assert len(whole) == 9
    assert whole[0].shape == (4, recipes.CONTEXT + 1)
    for first in (0, 3, 8):
        rest = list(train.batches(_documents(), settings, first=first))
        assert len(rest) == 9 - first
        assert all(torch.equal(a, b) for a, b in zip(whole[first:], rest, strict=True))
    other = next(train.batches(_documents(), train.Settings(rows=4, seed=1), first=0))
    assert not torch.equal(other, whole[0])


def test_an_epoch_reads_everything_once_in_an_order_of_its_own(monkeypatch):
    monkeypatch.setattr(train, "CONTEXT", 16)
    per_epoch = (5000 - 16) // (16 * 4)
    settings = train.Settings(steps=2 * per_epoch, rows=4)
    found = [batch[:, :-1].flatten() for batch in train.batches(_documents(), settings, first=0)]
    first, second = torch.cat(found[:per_epoch]), torch.cat(found[per_epoch:])
    for epoch in (first, second):
        counts = np.bincount(epoch.numpy(), minlength=5000)
        # A batch that is not full is left out, and the shift of the windows costs one more at most.
        assert (counts == 0).sum() <= 16 * (4 + 2)
        assert (counts > 1).sum() <= 16
    assert not torch.equal(first, second)


def test_each_token_of_a_window_is_followed_by_the_next_one():
    for batch in train.batches(_documents(n_documents=1), train.Settings(steps=3, rows=4), first=0):
        assert torch.equal(batch[:, 1:], batch[:, :-1] + 1)


def test_the_rate_rises_stays_and_falls_to_nothing():
    settings = train.Settings(steps=1000, warmup=100, cooldown=0.6)
    rates = [train.rate(step, settings) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[99:401] == [1.0] * 302
    assert rates[700] == pytest.approx(0.5)
    assert rates[999] == pytest.approx(1 / 600)
    assert all(0 < rate <= 1 for rate in rates)
    assert np.all(np.diff(rates[400:]) <= 0)


# A run


def _tiny_decoder():
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=recipes.N_TOKENS, n_positions=256, n_embd=8, n_layer=2, n_head=2,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0, pad_token_id=1,
        )
    )  # fmt: skip


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(train, "CONTEXT", 16)
    monkeypatch.setitem(train.RECIPES, "gpt2", recipes.Recipe(_tiny_decoder, recipes.causal_loss))
    rng = np.random.default_rng(0)
    parts = {"train": 20, "validation": 2}
    return {name: [rng.integers(0, 4096, 50) for _ in range(n)] for name, n in parts.items()}


def _run(documents, out, **settings):
    out.mkdir(exist_ok=True)
    settings = train.Settings(**{"steps": 9, "rows": 2, "warmup": 2} | settings)
    return train.train(
        documents, settings, out, device="cpu", is_compiled=False, log_every=2, save_every=4
    ).state_dict()


def _steps(out):
    return [line["step"] for line in map(json.loads, (out / "log.jsonl").read_text().splitlines())]


def test_an_interrupted_run_ends_with_the_same_weights(small, tmp_path, monkeypatch):
    whole = _run(small, tmp_path / "whole")
    calls = itertools.count(1)

    def stop_in_the_seventh(model, ids, generator):
        if next(calls) == 7 + 1:  # one call is of the validation after the fourth step
            raise KeyboardInterrupt
        return recipes.causal_loss(model, ids, generator)

    interrupted = recipes.Recipe(_tiny_decoder, stop_in_the_seventh)
    monkeypatch.setitem(train.RECIPES, "gpt2", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _run(small, tmp_path / "halves")
    assert _steps(tmp_path / "halves") == [2, 4, 6]
    with (tmp_path / "halves" / "log.jsonl").open("a") as file:
        file.write('{"step": 6, "tra')  # and the log was cut off in the middle of a line
    monkeypatch.setitem(train.RECIPES, "gpt2", recipes.Recipe(_tiny_decoder, recipes.causal_loss))
    halves = _run(small, tmp_path / "halves")
    assert _steps(tmp_path / "halves") == _steps(tmp_path / "whole") == [2, 4, 6, 8, 9]
    assert whole.keys() == halves.keys()
    for name in whole:
        assert torch.equal(whole[name], halves[name]), name
    again = _run(small, tmp_path / "halves")  # nothing is left to do
    assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_the_seed_decides_the_weights(small, tmp_path):
    one, same, other = (
        _run(small, tmp_path / name, seed=seed) for name, seed in [("a", 0), ("b", 0), ("c", 1)]
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["transformer.wte.weight"], other["transformer.wte.weight"])


def test_other_settings_in_the_same_folder_are_refused(small, tmp_path):
    _run(small, tmp_path / "run", steps=4)
    with pytest.raises(SystemExit, match="take the same settings"):
        _run(small, tmp_path / "run", steps=6)


def test_a_diverged_run_stops(small, tmp_path, monkeypatch):
    def lose(model, ids, generator):
        return recipes.causal_loss(model, ids, generator) * float("nan")

    monkeypatch.setitem(train.RECIPES, "gpt2", recipes.Recipe(_tiny_decoder, lose))
    with pytest.raises(SystemExit, match="take lower rates"):
        _run(small, tmp_path / "run")


def test_the_defaults_are_what_the_shipped_weights_were_made_with():
    settings = train.Settings()
    assert (settings.family, settings.steps, settings.rows, settings.seed) == ("gpt2", 6000, 16, 0)
    assert (settings.muon_rate, settings.adam_rate, settings.decay) == (0.01, 0.004, 0.1)
    assert (settings.warmup, settings.cooldown) == (100, 0.6)
