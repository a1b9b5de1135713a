"""extract(): what is pooled, what is kept, what is refused, and how an interrupted run goes on."""

import platform
import subprocess
import sys
import weakref
from collections import Counter
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from families import ALL_FAMILIES
from msma.corpora import Document, split_sentences
from msma.errors import ConfigError, CorpusError, ModelError, StorageError
from msma.extraction import extract
from msma.extraction.allocation import return_large_blocks
from msma.extraction.attention import TextSample, summarise_map, uniform_map
from msma.extraction.batching import plan_batches
from msma.extraction.tokens import Record
from msma.states import HiddenStates
from tiny import TEXTS, VOCABULARY, VOCABULARY_SIZE, SlowTokenizer, make_tokenizer

FAMILIES = {family.name: family for family in ALL_FAMILIES}


@cache
def build(name):
    return FAMILIES[name].build()


def read(texts=TEXTS, name="bert", **options):
    options = {"tokenizer": make_tokenizer(FAMILIES[name].template), "attention_texts": 0, **options}
    return extract(build(name), texts, **options)


def stacked(states):
    return states.layers(range(states.n_layers))


def same(one, other):
    np.testing.assert_allclose(stacked(one), stacked(other), atol=1e-5, rtol=1e-5)


# Units


def test_origin_says_where_states_come_from():
    origin = read(name="gpt2").origin
    assert (origin.model, origin.architecture, origin.stack) == ("GPT2Model", "gpt2", "decoder")
    assert (origin.n_layers, origin.d_model, origin.max_tokens) == (5, 32, 64)
    assert (origin.final_norm, origin.dtype, origin.note) == ("excluded", "float32", None)
    assert read(name="gpt2").origin == origin
    assert "output_hidden_states" in read(name="albert").origin.note


def test_a_text_is_the_mean_of_its_tokens_special_ones_included():
    states = read(["the river rose"], name="bert")
    tokens = read(["the river rose"], name="bert", unit="token")
    assert states.lengths.tolist() == [5]
    assert tokens.n_samples == 3
    with torch.no_grad():
        output = build("bert")(torch.tensor([[0, 5, 7, 43, 2]]), output_hidden_states=True)
    np.testing.assert_allclose(states.layer(4)[0], output.hidden_states[4][0].mean(0), atol=1e-6)
    np.testing.assert_allclose(tokens.layer(4), output.hidden_states[4][0, 1:4], atol=1e-6)


def test_tokens_carry_their_surface_and_their_text_place():
    states = read(["The river rose.", "Snow fell."], unit="token")
    assert states.texts == ["The", "river", "rose", ".", "Snow", "fell", "."]
    assert states.positions.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert states.lengths.tolist() == [1] * 7
    assert states.document_ids[0] == states.document_ids[3]


@pytest.mark.parametrize("tokenizer", [make_tokenizer(), SlowTokenizer()], ids=["fast", "slow"])
def test_a_sentence_is_the_mean_of_its_tokens_within_its_text(tokenizer):
    sentences = read(unit="sentence", tokenizer=tokenizer)
    tokens = stacked(read(unit="token", tokenizer=tokenizer))
    expected_texts = [text[slice(*span)] for text in TEXTS for span in split_sentences(text)]
    assert sentences.texts == expected_texts
    ends = np.cumsum([0, *sentences.lengths])
    assert ends[-1] == tokens.shape[1]
    for sample, (start, end) in enumerate(pairwise(ends)):
        mean = tokens[:, start:end].mean(1)
        np.testing.assert_allclose(stacked(sentences)[:, sample], mean, atol=1e-5)


def test_a_slow_tokenizer_gives_the_states_of_a_fast_one():
    for unit in ("text", "sentence", "token"):
        same(read(unit=unit), read(unit=unit, tokenizer=SlowTokenizer()))


def test_sentences_known_beforehand_are_taken():
    document = Document("the river rose and snow fell", "a", sentences=((0, 14), (19, 28)))
    states = read([document], unit="sentence")
    assert states.texts == ["the river rose", "snow fell"]
    assert states.lengths.tolist() == [3, 2]


def test_padding_side_of_the_tokenizer_and_its_pad_token_do_not_matter():
    for name in ("bert", "gpt2"):
        template = FAMILIES[name].template
        plain = read(name=name)
        same(plain, read(name=name, tokenizer=make_tokenizer(template, has_pad=False)))
        same(plain, read(name=name, tokenizer=make_tokenizer(template, padding_side="left")))


@pytest.mark.parametrize("budget", [1, 30, 10_000])
def test_batches_change_nothing(budget):
    for unit in ("text", "sentence"):
        same(read(unit=unit, batch_tokens=budget), read(unit=unit))


# Long texts

LONG = " ".join(["The river rose slowly and the old bridge broke."] * 12)


def test_long_texts_are_cut_and_flagged():
    said = []
    states = read([LONG, TEXTS[0]], max_tokens=22, say=said.append)
    assert states.truncated.tolist() == [True, False]
    assert states.lengths.tolist() == [22, 21]
    assert said == ["1 of 2 texts are longer than 22 tokens and were cut"]
    cut = " ".join(["The river rose slowly and the old bridge broke."] * 2)
    np.testing.assert_allclose(stacked(states)[:, 0], stacked(read([cut]))[:, 0], atol=1e-5)


def test_windows_weigh_every_token_alike():
    said = []
    states = read([LONG], max_tokens=22, long="windows", say=said.append)
    assert states.truncated.tolist() == [False]
    words = LONG.replace(".", " .").split()
    pieces = [" ".join(words[start : start + 20]) for start in range(0, len(words), 20)]
    alone = read(pieces)
    expected = np.average(stacked(alone), axis=1, weights=alone.lengths)
    assert states.lengths.tolist() == [alone.lengths.sum()]
    np.testing.assert_allclose(stacked(states)[:, 0], expected, atol=1e-5)
    assert "read in windows" in said[0]


def test_sentences_across_windows_and_beyond_the_cut():
    cut = read([LONG], unit="sentence", max_tokens=24)
    assert cut.lengths.tolist() == [10, 10, 2]
    assert cut.truncated.tolist() == [False, False, True]
    whole = read([LONG], unit="sentence", max_tokens=24, long="windows")
    assert whole.lengths.tolist() == [10] * 12
    assert not whole.truncated.any()


def test_the_models_limit_holds():
    assert read([LONG], name="roberta").lengths.tolist() == [64]
    assert read([LONG], name="bart-decoder", stack="decoder").lengths.tolist() == [64]
    assert read(["the river " * 400], name="mamba").lengths.tolist() == [512]
    assert read([LONG], tokenizer=make_tokenizer(max_tokens=16)).lengths.tolist() == [16]
    with pytest.raises(ConfigError, match="max_tokens 65 came; the model has 64 positions"):
        read([LONG], max_tokens=65)
    with pytest.raises(ConfigError, match="2 of them go to special tokens"):
        read([LONG], max_tokens=2)


# What comes in


class Named:
    def __init__(self, text, document, **labels):
        self.text, self.id, self.labels = text, document, labels


def test_records_bring_documents_and_labels():
    records = [
        Named("The river rose. Snow fell.", "a", topic="water"),
        Named("A bird sang.", "b", topic="air"),
    ]
    states = read(records, unit="sentence")
    assert states.labels == {"topic": ["water", "water", "air"]}
    assert states.documents.tolist() == [0, 0, 1]


def test_sentence_labels_join_those_of_the_text():
    document = Document(
        "The river rose. Snow fell.",
        "a",
        labels={"topic": "water"},
        sentences=((0, 15), (16, 26)),
        sentence_labels=({"n": 3}, {"n": 2}),
    )
    assert read([document], unit="sentence").labels == {"topic": ["water"] * 2, "n": [3, 2]}
    assert read([document]).labels == {"topic": ["water"]}


def test_a_label_missing_later_is_none_and_one_missing_at_first_is_refused():
    one, two = Named("The river rose.", "a", topic="water"), Named("Snow fell.", "b")
    assert read([one, two]).labels == {"topic": ["water", None]}
    with pytest.raises(CorpusError, match="text 1 has a label 'topic' that the first sample lacks"):
        read([two, one])


def test_documents_and_labels_beside_the_texts():
    states = read(["the river", " ", "the boat"], documents=["a", "b", "a"], labels={"n": [1, 2, 3]})
    assert states.documents.tolist() == [0, 0]
    assert states.labels == {"n": [1, 3]}
    assert states.positions.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ("one string", {}, "a single string of 10 characters"),
        ([], {}, "0 texts came and none holds a token"),
        (["", " \n"], {}, "2 texts came and none holds a token"),
        (["the river", 3], {}, "text 1 is a int"),
        (["the river", "a \ud800"], {}, "text 1 cannot be tokenised"),
        (["the river"] * 2, {"documents": ["a"]}, "there is no document for text 1"),
        (["the river"], {"documents": ["a", "b"]}, "more documents than the 1 texts"),
        (["the river"] * 2, {"labels": {"n": [1]}}, "there is no label 'n' for text 1"),
        (["the river"], {"labels": {"n": [1, 2]}}, "2 labels 'n' came for 1 texts"),
    ],
)
def test_a_corpus_that_cannot_be_read_is_refused(texts, options, message):
    with pytest.raises(CorpusError, match=message):
        read(texts, **options)


def test_empty_texts_are_skipped_and_counted():
    said = []
    states = read(["", "the river", "\n\t"], say=said.append)
    assert states.positions.tolist() == [1]
    assert said == ["2 of 3 texts hold no token and were skipped"]


def test_a_text_that_loses_every_token_is_skipped():
    tokenizer = make_tokenizer()
    from tokenizers import normalizers

    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.Replace("zzz", "")]
    )
    said = []
    states = read(["zzz", "the river", "zzz"], tokenizer=tokenizer, say=said.append, window=1)
    assert states.positions.tolist() == [1]
    assert said == ["2 of 3 texts hold no token and were skipped"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "word"}, "unit 'word' came"),
        ({"stack": "middle"}, "stack 'middle' came"),
        ({"long": "fold"}, "long 'fold' came"),
        ({"padding_side": "top"}, "padding_side 'top' came"),
        ({"batch_tokens": 0}, "batch_tokens 0 came; expected 1 or more"),
        ({"window": -1}, "window -1 came"),
        ({"attention_texts": -1}, "expected 0 or more"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        read(**options)


class Decorating(SlowTokenizer):
    """Puts special tokens between all others."""

    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        return [part for number in token_ids_0 for part in (VOCABULARY["<s>"], number)]


def test_tokenizers_that_do_not_belong_are_refused():
    with pytest.raises(ModelError, match="cannot be found among those it gives with special tokens"):
        read(tokenizer=Decorating())
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["xylophone"])
    with pytest.raises(ModelError, match=f"gave id {VOCABULARY_SIZE} and the model knows {VOCABULARY_SIZE}"):
        read(["the xylophone"], tokenizer=tokenizer)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_state_that_is_not_finite_names_layer_and_text(bad):
    model = FAMILIES["gpt2"].build()
    model.wte.weight.data[VOCABULARY["river"], 0] = bad
    with pytest.raises(
        ModelError, match=r"state of layer 0 is not finite for the text 'The river' \(text 1\)"
    ):
        extract(model, ["A boat", "The river"], tokenizer=make_tokenizer("none"))


def test_running_out_of_memory_says_what_to_do(monkeypatch):
    def fail(*args, **kwargs):
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr("msma.extraction.pooling._pool_batch", fail)
    with pytest.raises(ModelError, match="ask for fewer: batch_tokens"):
        read()


# Streaming and going on


def test_texts_are_streamed_a_window_at_a_time(tmp_path):
    written = []

    def stream():
        for position in range(12):
            written.append(len(list(tmp_path.glob("*.safetensors"))))
            yield TEXTS[position % len(TEXTS)]

    read(stream(), out=tmp_path, window=4)
    assert written == [0] * 4 + [1] * 4 + [2] * 4


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_MMAP_THRESHOLD_", "131072"), ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072")],
)
def test_a_users_own_memory_setting_stands(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert return_large_blocks() is False


# Blocks of 500 kB with small ones that stay between them: what a heap keeps of them is its holes.
KEPT_BY_THE_HEAP = """
import ctypes, sys
from msma.extraction.allocation import return_large_blocks
if sys.argv[1] == "set":
    assert return_large_blocks()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
libc.free(libc.malloc(2_000_000))
before = resident()
blocks = []
for _ in range(100):
    blocks.append(libc.malloc(500_000))
    ctypes.memset(blocks[-1], 1, 500_000)
    libc.malloc(50_000)
for block in blocks:
    libc.free(block)
print(resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_freed_blocks_go_back_to_the_system():
    kept = {}
    for way in ("left", "set"):
        command = [sys.executable, "-c", KEPT_BY_THE_HEAP, way]
        kept[way] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert kept["left"] > 40e6
    assert kept["set"] < 10e6


class TracedText(str):
    """A text whose end can be watched: a plain string takes no weak reference."""


def test_no_more_than_two_windows_of_texts_are_ever_held(tmp_path):
    """What is kept of a text while reading is in its shard on disk; the window being read lies beside the next."""
    alive, most = weakref.WeakSet(), 0

    def stream():
        nonlocal most
        for position in range(60):
            text = TracedText(f"{TEXTS[position % len(TEXTS)]} {position}")
            alive.add(text)
            most = max(most, len(alive))
            yield text

    read(stream(), out=tmp_path, window=6)
    assert 6 <= most <= 12
    assert len(HiddenStates.load(tmp_path).texts) == 60


def test_windows_and_folders_change_nothing(tmp_path):
    for unit in ("text", "sentence", "token"):
        on_disk = read(unit=unit, out=tmp_path / unit, window=3)
        in_memory = read(unit=unit)
        same(on_disk, in_memory)
        assert on_disk.texts == in_memory.texts
        assert on_disk.lengths.tolist() == in_memory.lengths.tolist()
        same(HiddenStates.load(tmp_path / unit), in_memory)


def interrupted(position):
    yield from TEXTS[:position]
    raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        read(interrupted(7), out=tmp_path, window=3, attention_texts=4)
    with pytest.raises(StorageError, match="interrupted"):
        HiddenStates.load(tmp_path)
    shards = {path: path.stat().st_mtime_ns for path in tmp_path.glob("shard-*")}
    assert len(shards) == 4
    said = []
    states = read(out=tmp_path, window=3, attention_texts=4, say=said.append)
    assert said == ["2 of 3 shards were there already"]
    assert all(path.stat().st_mtime_ns == time for path, time in shards.items())
    whole = read(window=3, attention_texts=4)
    same(states, whole)
    for name, values in whole.attention.to_arrays().items():
        np.testing.assert_allclose(states.attention.to_arrays()[name], values, atol=1e-5)


def test_a_finished_run_is_found(tmp_path):
    first = read(out=tmp_path, attention_texts=4)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = read(out=tmp_path, attention_texts=4)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files
    same(first, again)
    assert again.attention is not None


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        (TEXTS, {"unit": "sentence"}, "unit = 'text'"),
        (TEXTS, {"max_tokens": 20}, "max_tokens = 64"),
        (TEXTS, {"window": 4}, "window = 3"),
        (TEXTS, {"tokenizer": make_tokenizer("start")}, "tokenizer = "),
        (TEXTS[::-1], {}, "shard 0 of .* holds other texts"),
        (TEXTS[:3], {}, "holds states of more texts than the 3"),
    ],
)
def test_a_folder_of_other_states_is_refused(tmp_path, texts, options, message):
    read(out=tmp_path, window=3)
    with pytest.raises(StorageError, match=message):
        read(texts, **{"out": tmp_path, "window": 3, **options})


def test_other_weights_are_refused(tmp_path):
    read(out=tmp_path)
    with pytest.raises(StorageError, match="fingerprint"):
        extract(
            FAMILIES["bert"].build(seed=1), TEXTS, tokenizer=make_tokenizer(), out=tmp_path, attention_texts=0
        )


# Precision and devices


def test_half_precision_is_summed_in_full(tmp_path):
    FAMILIES["gpt2"].build().save_pretrained(tmp_path)
    make_tokenizer("none").save_pretrained(tmp_path)
    half = extract(tmp_path, TEXTS, dtype="bfloat16", device="cpu")
    full = extract(tmp_path, TEXTS, device="cpu")
    tokens = extract(tmp_path, TEXTS[:1], dtype="bfloat16", device="cpu", unit="token", attention_texts=0)
    assert (half.origin.dtype, full.origin.dtype) == ("bfloat16", "float32")
    assert half.layer(0).dtype == np.float32
    scale = np.abs(stacked(full)).max()
    np.testing.assert_allclose(stacked(half), stacked(full), atol=0.03 * scale)
    # The mean is taken in float32: it is not a bfloat16 number, and equals the mean of the rounded tokens.
    alone = extract(tmp_path, TEXTS[:1], dtype="bfloat16", device="cpu", attention_texts=0)
    np.testing.assert_allclose(stacked(alone)[:, 0], stacked(tokens).mean(1), atol=1e-5)
    assert half.attention is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_cuda_device_gives_the_same_states(tmp_path):
    FAMILIES["gpt2"].build().save_pretrained(tmp_path)
    make_tokenizer("none").save_pretrained(tmp_path)
    for unit in ("text", "sentence"):
        on_gpu, on_cpu = (extract(tmp_path, TEXTS, device=d, unit=unit) for d in ("cuda", "cpu"))
        np.testing.assert_allclose(stacked(on_gpu), stacked(on_cpu), atol=1e-3)


# Batches


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 200), st.booleans())
def test_batches_hold_every_row_once_and_keep_the_budget(lengths, budget, is_mixed):
    batches = plan_batches(lengths, budget=budget, is_mixed=is_mixed)
    assert Counter(np.concatenate(batches).tolist()) == Counter(range(len(lengths)))
    for batch in batches:
        sizes = [lengths[row] for row in batch]
        assert len(batch) == 1 or len(batch) * max(sizes) <= budget
        assert is_mixed or len(set(sizes)) == 1
    longest = [max(lengths[row] for row in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_rows_of_one_length_are_kept_together():
    batches = plan_batches([8] * 16 + [7] * 16, budget=128)
    assert [len(batch) for batch in batches] == [16, 16]


# Attention


def test_uniform_attention_has_known_statistics():
    # Token i sees tokens 1..i without the sink: mean distance (i - 1) / 2, entropy log i.
    n = 9
    causal = summarise_map(uniform_map(n, is_causal=True), is_causal=True)
    assert causal.distance == pytest.approx(np.mean([(i - 1) / 2 for i in range(1, n)]))
    assert causal.distance_raw == pytest.approx(np.mean([i / 2 for i in range(1, n)]))
    assert causal.entropy == pytest.approx(np.mean([np.log(i) for i in range(1, n)]), abs=1e-6)
    assert causal.sink_share == pytest.approx(np.mean([1 / (i + 1) for i in range(1, n)]))
    both = summarise_map(uniform_map(n, is_causal=False), is_causal=False)
    gaps = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    assert both.distance == pytest.approx(gaps[:, 1:].mean())
    assert both.distance_raw == pytest.approx(gaps.mean())
    assert both.entropy == pytest.approx(np.log(n - 1), abs=1e-6)
    assert both.sink_share == pytest.approx(1 / n)


def test_weight_on_the_sink_alone_says_nothing_about_distance():
    weights = torch.zeros(2, 6, 6)
    weights[:, :, 0] = 1.0
    weights[0, 5] = torch.tensor([0.6, 0.0, 0.4, 0.0, 0.0, 0.0])
    found = summarise_map(weights, is_causal=True)
    assert found.distance == pytest.approx(3.0)
    assert found.entropy == pytest.approx(0.0)
    assert found.sink_share == pytest.approx((9 + 0.6) / 10)
    weights[0, 5] = weights[1, 5]
    assert summarise_map(weights, is_causal=True).distance == 0.0


def slow_twin(weights, *, is_causal):
    """The same four numbers, token by token."""
    distances, raw, entropies, sinks = [], [], [], []
    for head in weights:
        for i in range(1 if is_causal else 0, len(head)):
            row = head[i]
            raw.append(sum(w * abs(i - j) for j, w in enumerate(row)))
            sinks.append(row[0])
            rest = row[1:] / row[1:].sum()
            distances.append(sum(w * abs(i - j) for j, w in enumerate(rest, start=1)))
            entropies.append(-sum(w * np.log(w) for w in rest if w > 0))
    return [np.mean(values) for values in (distances, raw, entropies, sinks)]


@pytest.mark.parametrize("is_causal", [True, False])
def test_statistics_equal_a_slow_twin(rng, is_causal):
    weights = rng.dirichlet(np.full(7, 0.3), size=(3, 7))
    if is_causal:
        weights = np.tril(weights) + 1e-6 * np.tril(np.ones((7, 7)))
        weights /= weights.sum(-1, keepdims=True)
    found = summarise_map(torch.from_numpy(weights), is_causal=is_causal)
    np.testing.assert_allclose(found, slow_twin(weights, is_causal=is_causal), rtol=1e-4)


def test_real_gpt2_parks_its_weight_on_the_first_token(shared_dir):
    files = sorted((shared_dir / "data/reference_results/gpt2_attention").glob("*.npz"))
    assert files
    found = []
    for file in files:
        with np.load(file) as content:
            maps = torch.from_numpy(content["attention"])
        found.append([summarise_map(weights, is_causal=True) for weights in maps])
        even = summarise_map(uniform_map(maps.shape[-1], is_causal=True), is_causal=True)
        assert all(layer.entropy < even.entropy + 1e-4 for layer in found[-1])
    sinks = np.mean([[layer.sink_share for layer in text] for text in found], axis=0)
    raw = np.mean([[layer.distance_raw for layer in text] for text in found], axis=0)
    distance = np.mean([[layer.distance for layer in text] for text in found], axis=0)
    assert sinks[0] == pytest.approx(0.34, abs=0.011)
    assert sinks[[7, 9]] == pytest.approx(0.87, abs=0.01)
    # Raw distance doubles with depth; without the sink most of that rise is gone.
    assert raw[10] / raw[0] > 1.9
    assert distance[10] / distance[0] < 1.4


def test_a_sample_of_texts_is_fair_fixed_and_in_order():
    records = [Record(position=n, text="It rains.", document="a", labels={}) for n in range(20)]
    counts = Counter()
    for seed in range(300):
        sample = TextSample(4, seed=seed)
        for record in records:
            sample.offer(record)
        kept = [record.position for record in sample.records]
        assert kept == sorted(kept)
        counts.update(kept)
    assert len(counts) == 20
    assert min(counts.values()) > 30  # 60 expected


def test_texts_too_short_for_attention_are_not_looked_at():
    states = read(["the", "the river rose", "a"], attention_texts=4, name="gpt2")
    assert states.attention is None
    states = read(
        ["the", "the river rose slowly", "a", "snow fell slowly now"], attention_texts=4, name="gpt2"
    )
    assert states.attention.texts.tolist() == [1, 3]


def test_attention_is_taken_on_as_many_texts_as_asked():
    texts = [TEXTS[i % len(TEXTS)] for i in range(20)]
    states = read(texts, attention_texts=5, seed=3)
    assert states.attention.texts.shape == (5,)
    again = read(texts, attention_texts=5, seed=3, window=6)
    assert again.attention.texts.tolist() == states.attention.texts.tolist()
    assert read(texts).attention is None


def test_having_no_attention_is_said():
    said = []
    assert read(name="mamba", attention_texts=4, say=said.append).attention is None
    assert said == ["no attention statistics: the model has no attention maps, or no text is long enough"]
    assert read(["the"], name="gpt2", attention_texts=4).attention is None
