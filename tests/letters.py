"""Models for tests of likelihoods: one reads any English text letter by letter, one gives each token a fixed chance."""

import math
from functools import cache

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from msma.models import LoadedModel
from tiny import VOCABULARY_SIZE, make_tokenizer

_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORDS = "the a of to and in is was he she his her him they people very not because with for that".split()  # noqa: SIM905
_SIGNS = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
PIECES = {
    piece: number
    for number, piece in enumerate(
        dict.fromkeys([*_SPECIALS, *_WORDS, *_SIGNS, *(f"##{sign}" for sign in _SIGNS)])
    )
}
#: Chances that the fixed models give: the words of the tiny vocabulary, no two alike.
CHANCES = torch.arange(1, VOCABULARY_SIZE + 1, dtype=torch.float64)
LOG_P = (CHANCES / CHANCES.sum()).log()


def letter_tokenizer(*, is_masked=True, has_start=True):
    """WordPiece over letters and a few words, in lower case, as uncased BERT has it."""
    core = Tokenizer(models.WordPiece(PIECES, unk_token="[UNK]", max_input_chars_per_word=200))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]"}
    if is_masked:
        core.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        names |= {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    elif has_start:
        names |= {"eos_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=core, **names)


@cache
def random_encoder():
    """A small BERT with large random weights; shared, so tests must leave it as it is."""
    config = BertConfig(
        vocab_size=len(PIECES),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=300,
        initializer_range=0.3,
    )
    return _seeded(BertForMaskedLM, config, letter_tokenizer(), "random encoder")


@cache
def random_decoder(has_start=True):
    """A small GPT-2 with large random weights; shared, so tests must leave it as it is."""
    config = GPT2Config(
        vocab_size=len(PIECES), n_embd=16, n_layer=2, n_head=2, n_positions=300, initializer_range=0.3
    )
    tokenizer = letter_tokenizer(is_masked=False, has_start=has_start)
    return _seeded(GPT2LMHeadModel, config, tokenizer, "random decoder")


def _seeded(kind, config, tokenizer, name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = kind(config).eval()
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return LoadedModel(network, tokenizer, name, None)


@cache
def fixed_encoder():
    """A BERT whose output bias alone speaks: every mask gets the same chances, whatever stands around it."""
    config = BertConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    network = BertForMaskedLM(config).eval()
    norm = network.cls.predictions.transform.LayerNorm
    norm.weight.data.zero_()
    norm.bias.data.zero_()
    network.cls.predictions.bias.data = LOG_P.float()
    return LoadedModel(network, make_tokenizer("both"), "fixed encoder", None)


@cache
def fixed_decoder():
    """A GPT-2 whose last norm gives one vector: every token gets the same chances, whatever stood before it."""
    config = GPT2Config(
        vocab_size=VOCABULARY_SIZE, n_embd=8, n_layer=1, n_head=2, n_positions=64, tie_word_embeddings=False
    )
    network = GPT2LMHeadModel(config).eval()
    network.transformer.ln_f.weight.data.zero_()
    network.transformer.ln_f.bias.data = torch.eye(8)[0]
    network.lm_head.weight.data.zero_()
    network.lm_head.weight.data[:, 0] = LOG_P.float()
    return LoadedModel(network, make_tokenizer("none"), "fixed decoder", None)


def chance(word, vocabulary):
    """Log-probability that the fixed models give a word, in nats."""
    return math.log((vocabulary[word] + 1) / float(CHANCES.sum()))
