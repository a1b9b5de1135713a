"""Draw continuations that can be compared pair by pair: the same prompt and seed meet the same chance."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int

from msma.errors import ConfigError, CorpusError, ModelError
from msma.keyed_noise import keyed_gumbel, mix
from msma.models import LoadedModel, evaluating, position_limit


@dataclass(frozen=True)
class Continuation:
    """What a model wrote after a prompt.

    Args:
        prompt: The prompt.
        text: What follows it.
        prompt_ids: Tokens of the prompt.
        ids: Tokens that follow, the end-of-text token not included.
        seed: Seed of the draw.
    """

    prompt: str
    text: str
    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]
    seed: int


def generate(
    loaded: LoadedModel,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 64,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    batch_rows: int = 16,
    use_cache: bool = True,
    may_stop: bool = True,
) -> list[Continuation]:
    r"""Write one continuation of each prompt, with chance that depends on prompt, seed and step alone.

    The token drawn at step t is :math:`\arg\max_v \log p_t(v) / \tau + g_{t,v}` with standard Gumbel numbers g
    that are a hash of (seed, prompt, t, v): a draw from the distribution (Gumbel-max), and the same g with and
    without an intervention (common random numbers; Oberst and Sontag 2019). So a difference between the two
    texts is due to the intervention, and batching and caching change nothing.

    Args:
        loaded: A model with a language head, decoder or encoder-decoder, and its tokenizer.
        prompts: Texts to continue; an encoder-decoder reads them in its encoder.
        max_new_tokens: Tokens to write at most.
        temperature: Of the draw; 0 takes the likeliest token.
        top_p: Draw from the likeliest tokens that hold this share of the probability.
        seed: Fixes the draw.
        batch_rows: Prompts that run together.
        use_cache: Keep keys and values of earlier tokens.
        may_stop: Whether the end-of-text token ends a continuation; else it is never drawn.

    Returns:
        One continuation a prompt, in order.

    Raises:
        ModelError: When the model has no head to write with.
        CorpusError: When there is no prompt, one is empty, or one does not fit the context.
        ConfigError: When a setting is impossible.
    """
    _check(loaded, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p)
    rows = encode_prompts(loaded, prompts, room=max_new_tokens)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    found: list[Continuation | None] = [None] * len(rows)
    with evaluating(loaded.network):
        for start in range(0, len(order), batch_rows):
            part = order[start : start + batch_rows]
            draw = _Draw([_key(rows[i], seed) for i in part], temperature=temperature, top_p=top_p)
            written = _run(loaded, [rows[i] for i in part], draw, max_new_tokens, use_cache, may_stop)
            for i, ids in zip(part, written, strict=True):
                text = loaded.tokenizer.decode(ids, skip_special_tokens=True)
                found[i] = Continuation(prompts[i], text, tuple(rows[i]), tuple(ids), seed)
    return [continuation for continuation in found if continuation is not None]


def encode_prompts(loaded: LoadedModel, prompts: Sequence[str], *, room: int) -> list[list[int]]:
    """Turn prompts into tokens, and refuse what cannot be continued.

    Args:
        loaded: Model and tokenizer.
        prompts: The prompts.
        room: Tokens that are to follow.

    Returns:
        Ids of each prompt.

    Raises:
        CorpusError: When there is no prompt, one is empty, or one or what is to follow does not fit the context.
    """
    if isinstance(prompts, str):
        prompts = [prompts]
    if not prompts:
        raise CorpusError("no prompt came; give at least one text to continue")
    limit = position_limit(loaded.network)
    is_seq2seq = bool(loaded.network.config.is_encoder_decoder)
    rows = []
    for number, prompt in enumerate(prompts, start=1):
        ids = list(loaded.tokenizer(prompt)["input_ids"]) if prompt.strip() else []
        if not ids:
            raise CorpusError(f"prompt {number} is empty; give at least one word to continue")
        if limit is not None:
            _check_room(number, len(ids), room, limit, is_seq2seq=is_seq2seq)
        rows.append(ids)
    return rows


def _check_room(number: int, n_ids: int, room: int, limit: int, *, is_seq2seq: bool) -> None:
    """Refuse what does not fit: a decoder has one context for prompt and continuation, two stacks have one each."""
    if not is_seq2seq and n_ids + room > limit:
        raise CorpusError(
            f"prompt {number} has {n_ids} tokens and {room} are to follow; the model's context holds {limit}: "
            "shorten the prompt or ask for fewer new tokens"
        )
    if is_seq2seq and n_ids > limit:
        raise CorpusError(
            f"prompt {number} has {n_ids} tokens; the model's encoder holds {limit}: shorten the prompt"
        )
    if is_seq2seq and room > limit:
        raise CorpusError(
            f"{room} new tokens were asked for; the model's decoder holds {limit}: ask for fewer"
        )


def _check(loaded: LoadedModel, *, max_new_tokens: int, temperature: float, top_p: float) -> None:
    if loaded.head not in ("causal", "seq2seq"):
        has = "only a head for masked tokens" if loaded.head == "masked" else "no language-model head"
        raise ModelError(
            f"'{loaded.name}' has {has}, so it cannot write; give a decoder or an encoder-decoder such as GPT-2 "
            "or T5, loaded with its head"
        )
    if max_new_tokens < 1:
        raise ConfigError(f"{max_new_tokens} new tokens were asked for; expected at least 1")
    if not temperature >= 0:
        raise ConfigError(f"temperature {temperature} came; expected 0 or more")
    if not 0 < top_p <= 1:
        raise ConfigError(f"top_p {top_p} came; expected a share above 0, at most 1")


def _key(ids: Sequence[int], seed: int) -> int:
    digest = hashlib.blake2b(repr((seed, list(ids))).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


class _Draw:
    """A logits processor that turns the likeliest token into a draw."""

    def __init__(self, keys: Sequence[int], *, temperature: float, top_p: float) -> None:
        self.keys, self.temperature, self.top_p = torch.tensor(keys), temperature, top_p
        self._first: int | None = None

    def __call__(
        self, input_ids: Int[torch.Tensor, "rows tokens"], scores: Float[torch.Tensor, "rows vocabulary"]
    ) -> Float[torch.Tensor, "rows vocabulary"]:
        """Add chance to the scores of one step."""
        if self._first is None:
            self._first = input_ids.shape[1]
        if self.temperature == 0:
            return scores
        scores = torch.log_softmax(scores.float() / self.temperature, dim=-1)
        if self.top_p < 1:
            ordered, places = scores.sort(dim=-1, descending=True)
            before = ordered.exp().cumsum(-1) - ordered.exp()
            ordered = ordered.masked_fill(before >= self.top_p, float("-inf"))
            scores = scores.scatter(-1, places, ordered)
        step = input_ids.shape[1] - self._first
        return scores + keyed_gumbel(mix(self.keys.to(scores.device) + step), scores.shape[-1])


def _run(
    loaded: LoadedModel,
    rows: Sequence[Sequence[int]],
    draw: _Draw,
    max_new_tokens: int,
    use_cache: bool,
    may_stop: bool,
) -> list[list[int]]:
    network, width = loaded.network, max(map(len, rows))
    end = _end_ids(loaded)
    pad = loaded.tokenizer.pad_token_id
    pad = pad if pad is not None else (end[0] if end else 0)
    is_seq2seq = bool(network.config.is_encoder_decoder)
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        place = slice(0, len(row)) if is_seq2seq else slice(width - len(row), width)
        ids[i, place], mask[i, place] = torch.tensor(row), 1
    options: dict[str, Any] = {}
    if end and not may_stop:
        options = {"suppress_tokens": end, "forced_eos_token_id": None}
    written = network.generate(
        input_ids=ids.to(loaded.device),
        attention_mask=mask.to(loaded.device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        use_cache=use_cache,
        pad_token_id=pad,
        logits_processor=[draw],
        **options,
    )
    # A decoder gives the prompt back first; an encoder-decoder its start token.
    tokens = written[:, 1 if is_seq2seq else width :].tolist()
    return [_until(row, end) for row in tokens]


def _end_ids(loaded: LoadedModel) -> list[int]:
    found = getattr(loaded.network.generation_config, "eos_token_id", None)
    if found is None:
        found = loaded.tokenizer.eos_token_id
    if found is None:
        return []
    return [int(i) for i in found] if isinstance(found, (list, tuple)) else [int(found)]


def _until(ids: list[int], ends: Sequence[int]) -> list[int]:
    for place, token in enumerate(ids):
        if token in ends:
            return ids[:place]
    return ids
