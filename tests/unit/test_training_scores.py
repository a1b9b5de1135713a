"""What the embedded decoder is measured with: Kneser-Ney models, windows, sums by source, and what may be shipped."""

import json
import shutil
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from msma.storage import file_checksum
from training_scripts import evaluate, kneser_ney, recipes, ship, train, write_sources

MARK, N_TOKENS = 0, 72


# Kneser-Ney


class SlowKneserNey:
    """The definition, in dictionaries of tuples."""

    def __init__(self, documents, *, order, is_modified):
        self.order = order
        plain, before = Counter(), defaultdict(set)
        for ids in documents:
            for n in range(1, order + 1):
                for i in range(len(ids) - n + 1):
                    gram = tuple(ids[i : i + n])
                    plain[gram] += 1
                    if i > 0:
                        before[gram].add(ids[i - 1])
        self.counts = {
            gram: count if len(gram) == order or gram[0] == MARK else len(before[gram])
            for gram, count in plain.items()
            if gram != (MARK,)
        }
        self.following = defaultdict(dict)
        for gram, count in self.counts.items():
            self.following[gram[:-1]][gram] = count
        self.discounts = {n: self._discounts(n, is_modified) for n in range(2, order + 1)}

    def _discounts(self, n, is_modified):
        seen = Counter(count for gram, count in self.counts.items() if len(gram) == n)
        y = seen[1] / (seen[1] + 2 * seen[2])
        if not is_modified:
            return [0, y, y, y]
        return [0, *(k - (k + 1) * y * seen[k + 1] / seen[k] for k in (1, 2, 3))]

    def probability(self, word, context):
        context = tuple(context)[-(self.order - 1) :] if self.order > 1 else ()
        lower = self.probability(word, context[1:]) if context else 1 / N_TOKENS
        following = self.following[context]
        if not following:
            return lower
        discounts = self.discounts[len(context) + 1]
        taken = {gram: discounts[min(count, 3)] for gram, count in following.items()}
        gram = (*context, word)
        kept = following.get(gram, 0) - taken.get(gram, 0)
        return (kept + sum(taken.values()) * lower) / sum(following.values())


def _random_documents(seed, n):
    """Set phrases and loose words, both drawn by Zipf's law, so that n-grams of every length come back."""

    def draw(rng, n_choices, size):
        shares = 1 / np.arange(1, n_choices + 1)
        return rng.choice(n_choices, size=size, p=shares / shares.sum())

    words = N_TOKENS - 2  # neither the mark nor the last id, which never comes
    fixed = np.random.default_rng(0)
    phrases = [1 + draw(fixed, words, size=6) for _ in range(80)]
    rng = np.random.default_rng([seed, 1])
    documents = []
    for _ in range(n):
        parts = [phrases[k] for k in draw(rng, 80, size=rng.integers(0, 3))]
        documents.append(np.concatenate([[MARK], *parts, 1 + draw(rng, words, size=rng.integers(0, 9))]))
    return documents


@pytest.mark.parametrize("is_modified", [False, True])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_kneser_ney_is_its_definition(order, is_modified):
    never = N_TOKENS - 1
    documents, others = _random_documents(0, 200), _random_documents(1, 10)
    others.append(np.array([MARK, never, never, 1, 2, never, 3]))
    fast = kneser_ney.KneserNey(N_TOKENS, order=order, is_modified=is_modified).fit(documents)
    slow = SlowKneserNey([ids.tolist() for ids in documents], order=order, is_modified=is_modified)
    for n, level in enumerate(fast.orders[1:], start=2):
        assert level.discounts == pytest.approx(slow.discounts[n][1:])
    # Hardly a word stands behind so few others that their numbers give a discount: that is the fallback's.
    slow.discounts[1] = [0, *fast.orders[0].discounts]
    for ids, found in zip(others, fast.probabilities(others), strict=True):
        expected = [slow.probability(ids[i], ids[:i].tolist()) for i in range(1, len(ids))]
        assert found == pytest.approx(np.array(expected), rel=1e-12)


@pytest.mark.parametrize("is_modified", [False, True])
def test_kneser_ney_adds_up_to_one_and_leaves_nothing_out(is_modified, rng):
    model = kneser_ney.KneserNey(N_TOKENS, is_modified=is_modified).fit(_random_documents(0, 200))
    contexts = [rng.integers(0, N_TOKENS, size=rng.integers(0, 7)) for _ in range(100)]
    contexts += [[], [MARK], [N_TOKENS - 1], *(ids[:5] for ids in _random_documents(0, 20))]
    for context in contexts:
        found = model.distribution(context)
        assert found.sum() == pytest.approx(1, abs=1e-12)
        assert (found > 0).all()


def test_both_ways_to_ask_kneser_ney_agree():
    model = kneser_ney.KneserNey(N_TOKENS).fit(_random_documents(0, 100))
    for ids in _random_documents(2, 5):
        (found,) = model.probabilities([ids])
        expected = [model.distribution(ids[:i])[ids[i]] for i in range(1, len(ids))]
        assert found == pytest.approx(np.array(expected), rel=1e-12)


def test_what_was_seen_more_often_in_a_context_is_likelier_there():
    ids = np.array([MARK, *[1, 2, 3] * 20, 1, 2, 4, *[5, 3] * 10])
    found = kneser_ney.KneserNey(N_TOKENS, order=3).fit([ids]).distribution([1, 2])
    assert found[3] > 0.9
    assert found[3] > found[4] > found[6]


@pytest.mark.parametrize(
    ("counts", "is_modified", "expected"),
    [
        ([1] * 6 + [2] * 2 + [3], False, (0.6, 0.6, 0.6)),
        ([1] * 6 + [2] * 3 + [3] * 2 + [4], True, (0.5, 1.0, 2.0)),
        ([5, 7, 9], False, (0.5, 0.5, 0.5)),
        ([1, 1, 2, 9], True, (0.5, 1.0, 1.5)),
    ],
)
def test_discounts(counts, is_modified, expected):
    # Second: Y = 6 / (6 + 2 * 3) = 1/2, so 1 - 2/2 * 3/6, 2 - 3/2 * 2/3, 3 - 4/2 * 1/2.
    assert kneser_ney.find_discounts(np.array(counts), is_modified=is_modified) == pytest.approx(expected)


@pytest.mark.parametrize("documents", [[[0, 1], [1, 2]], [[0, 1, 0, 2]]])
def test_the_mark_begins_every_document_and_nothing_else(documents):
    with pytest.raises(ValueError, match="begin with the mark"):
        kneser_ney.KneserNey(N_TOKENS).fit([np.array(ids) for ids in documents])


# Windows


@pytest.mark.parametrize("length", [1, 2, 8, 9, 10, 13, 16, 17, 40, 101])
def test_every_token_is_scored_once_with_half_a_window_before_it(length):
    width, stride = 8, 4
    scored = []
    for start, first in evaluate.find_windows(length, width=width, stride=stride):
        last = min(start + width, length - 1)
        for target in range(first, last + 1):
            scored.append(target)
            assert start == 0 or target - start > stride
    assert scored == list(range(1, length))


def _tiny_decoder(n_positions=256):
    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=recipes.N_TOKENS, n_positions=n_positions, n_embd=8, n_layer=2, n_head=2,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0, pad_token_id=1,
            initializer_range=0.5,
        )
    ).eval()  # fmt: skip


def test_the_bits_of_a_token_are_those_of_its_own_window(rng):
    model, width = _tiny_decoder(8), 8
    documents = [np.array([0, *rng.integers(40, 4096, n)]) for n in (0, 1, 5, 8, 9, 30)]
    found = evaluate.score_decoder(model, documents, width=width, rows=3)
    for ids, bits in zip(documents, found, strict=True):
        assert len(bits) == len(ids) - 1
        for target in range(1, len(ids)):
            # Windows start at 0, 4, 8, ...: the first one that reaches the token, so a context of 5 to 8.
            start = 0 if target <= width else 4 * -(-(target - width) // 4)
            with torch.inference_mode():
                logits = model(input_ids=torch.from_numpy(ids[start:target])[None]).logits[0, -1]
            expected = -torch.log_softmax(logits, 0)[ids[target]].item() / np.log(2)
            assert bits[target - 1] == pytest.approx(expected, rel=1e-4)


# Sums


def _document(name, text, split):
    return evaluate.Document(name, text, split)


def test_bits_per_byte_are_summed_by_split_and_source():
    documents = [
        _document("Dracula/1", "abcd", "test"),
        _document("wikitext2/3", "é", "test"),
        *[_document(f"Emma/{i}", "xy", "unseen") for i in range(12)],
    ]
    ones = [np.ones(2), np.ones(1), *[np.ones(2)] * 12]
    scores, differences = evaluate.compare(documents, {"decoder": ones, "other": [3 * part for part in ones]})
    found = {(s.split, s.source, s.model): s for s in scores}
    assert found["test", "all", "decoder"].bits_per_byte == 3 / 6
    assert found["test", "books", "other"].bits_per_byte == 6 / 4
    assert found["test", "wikitext", "decoder"].bytes == 2
    assert found["test", "all", "decoder"].low is None  # two documents
    assert ("test", "tinystories", "decoder") not in found
    gaps = {(s.split, s.source): s for s in differences}
    assert gaps["test", "all"].bits_per_byte == -1
    unseen = gaps["unseen", "all"]
    assert (unseen.bits_per_byte, unseen.low, unseen.high) == (-2, -2, -2)
    assert (unseen.documents, unseen.tokens, unseen.bytes) == (12, 24, 24)


def test_the_interval_of_a_difference_is_that_of_its_documents():
    rng = np.random.default_rng(0)
    documents = [_document(f"Emma/{i}", "x" * 10, "unseen") for i in range(200)]
    decoder = [rng.normal(10, 1, 1) for _ in documents]
    other = [part + rng.normal(2, 1, 1) for part in decoder]
    _, (gap, *_) = evaluate.compare(documents, {"decoder": decoder, "other": other})
    half = 1.96 * np.std([a - b for a, b in zip(decoder, other, strict=True)]) / np.sqrt(200) / 10
    assert (gap.high - gap.low) / 2 == pytest.approx(half, rel=0.1)
    assert gap.low < gap.bits_per_byte < gap.high < 0


# From texts to the package, in small


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of a tiny model on small texts: trained, exported, evaluated."""
    folder = tmp_path_factory.mktemp("training")
    data, run = write_sources(folder / "data"), folder / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "CONTEXT", 16)
        patch.setattr(evaluate, "PROMPTS", evaluate.PROMPTS[:2])
        patch.setitem(train.RECIPES, "gpt2", recipes.Recipe(_tiny_decoder, recipes.causal_loss))
        patch.setattr(
            "sys.argv",
            ["train.py", "--data", str(data), "--out", str(run), "--steps", "4", "--device", "cpu"],
        )
        train.main()
        patch.setattr("sys.argv", ["evaluate.py", "--data", str(data), "--run", str(run)])
        evaluate.main()
    return run


@pytest.fixture
def run(finished, tmp_path):
    """A copy with an evaluation that says that the decoder is better."""
    copied = shutil.copytree(finished, tmp_path / "run")
    path = copied / "evaluation.json"
    evaluation = json.loads(path.read_text())
    for row in evaluation["differences"]:
        row.update(bits_per_byte=-0.1, low=-0.2, high=-0.05)
    path.write_text(json.dumps(evaluation))
    return copied


def test_the_evaluation_says_what_was_found(finished):
    evaluation = json.loads((finished / "evaluation.json").read_text())
    assert evaluation["weights_sha256"] == file_checksum(finished / "model" / "model.safetensors")
    models = {(row["split"], row["source"], row["model"]): row for row in evaluation["scores"]}
    assert {key[2] for key in models} == {"decoder", "kneser-ney", "modified kneser-ney"}
    # Four steps teach nothing: a uniform guess takes log2(4096) = 12 bits a token, and 5-grams fewer.
    row = models["unseen", "all", "decoder"]
    assert row["documents"] == 60
    assert row["bits_per_byte"] * row["bytes"] / row["tokens"] > 10
    assert models["unseen", "all", "kneser-ney"]["bits_per_byte"] < row["bits_per_byte"]
    assert len(evaluation["baselines"]["kneser-ney"]["n_grams"]) == 5
    assert [sample["seed"] for sample in evaluation["samples"]] == [0, 1]
    assert sum(row["documents"] for row in evaluation["texts"]) == 3 * 60 + 20 + 60


def test_a_decoder_that_is_beaten_is_not_shipped(finished, tmp_path):
    with pytest.raises(SystemExit, match="it has to be below 0"):
        ship.ship(finished, into=tmp_path / "decoder")
    assert not list(tmp_path.iterdir())


def test_what_is_shipped(run, tmp_path):
    folder = ship.ship(run, into=tmp_path / "package" / "decoder", command="python train")
    names = {"README.md", "config.json", "evaluation.json", "generation_config.json", "model.safetensors"}
    names |= {"tokenizer.json", "tokenizer_config.json", "training_log.jsonl"}
    assert {file.name for file in folder.iterdir()} == names
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o644}
    assert [path.name for path in folder.parent.iterdir()] == ["decoder"]
    card = (folder / "README.md").read_text()
    for part in (
        "`python train`",
        "-0.100",
        "-0.200 to -0.050",
        "float16",
        "CDLA-Sharing-1.0",
        "CC BY-SA 3.0",
    ):
        assert part in card
    assert card.count("\n> ") >= 2
    assert ship.ship(run, into=folder) == folder  # and again, over the old one


@pytest.mark.parametrize(
    ("file", "addition", "message"),
    [
        ("model/model.safetensors", " ", "of other weights"),
        ("log.jsonl", '{"step": 9, "at": "/home/me"}', "holds the path"),
        ("model/tokenizer_config.json", " " * 8_000_000, "at most"),
    ],
)
def test_what_is_not_fit_is_not_shipped(run, tmp_path, monkeypatch, file, addition, message):
    monkeypatch.setattr(ship, "make_card", lambda *_: "")
    with (run / file).open("a") as opened:
        opened.write(addition)
    with pytest.raises(SystemExit, match=message):
        ship.ship(run, into=tmp_path / "decoder")
    assert not (tmp_path / "decoder").exists()


def test_an_evaluation_without_a_baseline_is_not_enough(run):
    evaluation = json.loads((run / "evaluation.json").read_text())
    evaluation["differences"] = [row for row in evaluation["differences"] if row["split"] == "test"]
    with pytest.raises(SystemExit, match="lacks a split or a baseline"):
        ship.check_beaten(evaluation)
