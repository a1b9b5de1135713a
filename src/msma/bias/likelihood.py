"""Log-probabilities of the tokens of a text, under causal, masked and encoder-decoder language models."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from msma.bias.formats import BLANK
from msma.errors import ConfigError, CorpusError, ModelError
from msma.models import LoadedModel, evaluating, position_limit, quiet
from msma.progress import progress

#: Takes a sentence for whoever watches.
Say: TypeAlias = Callable[[str], None]
#: What stands for the later subwords of a filler while an earlier one is predicted: nothing, or masks.
Rest: TypeAlias = Literal["dropped", "masked"]
_SHOWN = 60


@dataclass(frozen=True)
class TokenText:
    """A text as its model reads it.

    Args:
        text: The text.
        ids: The tokens the model reads, special ones included.
        places: Places in ``ids`` of the tokens that can be scored: the text's own.
    """

    text: str
    ids: tuple[int, ...]
    places: tuple[int, ...]


class MaskedRow(NamedTuple):
    """A row with masks in it, and what is asked of it.

    Args:
        ids: The tokens, masks included.
        place: The mask that is read.
        token: The token whose probability is asked for there.
    """

    ids: tuple[int, ...]
    place: int
    token: int


def check_language_model(
    loaded: LoadedModel, *, wanted: Sequence[str] = ("causal", "masked", "seq2seq")
) -> None:
    """Refuse a model that cannot be asked for likelihoods.

    Args:
        loaded: The model.
        wanted: Heads that will do.

    Raises:
        ModelError: When it has another head or none, or a masked-language-model head without a mask token.
    """
    head = loaded.head
    if head == "none":
        raise ModelError(
            f"'{loaded.name}' has no language-model head, so it gives no likelihoods; load it with its head "
            "(has_head=True), or run what needs only its states: association tests and erasure"
        )
    if head not in wanted:
        raise ModelError(
            f"'{loaded.name}' has a {head} language-model head and this score needs one that is "
            f"{' or '.join(wanted)}; give such a model, or run what needs only states: association tests and erasure"
        )
    if head == "masked" and loaded.tokenizer.mask_token_id is None:
        raise ModelError(
            f"the tokenizer of '{loaded.name}' has no mask token, so no token can be hidden; give its own tokenizer"
        )


def read_tokens(loaded: LoadedModel, texts: Sequence[str]) -> list[TokenText]:
    """Tokenise texts as the model is to read them.

    A causal model reads a start token (the tokenizer's bos, else its eos, as StereoSet does for GPT-2), then the text;
    where the tokenizer has neither, the first token has nothing before it and is not scored. A masked model reads what
    its tokenizer makes, special tokens around the text. The decoder of an encoder-decoder reads its start token and
    then the same; its encoder gets the tokenizer's empty text.

    Args:
        loaded: The model.
        texts: The texts.

    Returns:
        One entry a text.

    Raises:
        ModelError: When the model has no language-model head, or an encoder-decoder no start or no empty source.
        CorpusError: When a text has no token to score, or is longer than the model's positions allow.
    """
    check_language_model(loaded)
    tokenizer, head = loaded.tokenizer, loaded.head
    limit = position_limit(loaded.network)
    before: tuple[int, ...] = ()
    if head == "causal":
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        before = () if start is None else (int(start),)
    elif head == "seq2seq":
        before = (_decoder_start(loaded),)
    found = []
    for text in texts:
        with quiet():
            encoded = tokenizer(text, add_special_tokens=head != "causal", return_special_tokens_mask=True)
        ids = (*before, *encoded["input_ids"])
        own = [not special for special in encoded["special_tokens_mask"]]
        if head == "causal":  # nothing was added, so even a token that looks special belongs to the text
            own = [True] * len(own)
        places = tuple(len(before) + i for i, is_own in enumerate(own) if is_own)
        if head != "masked":
            places = tuple(place for place in places if place > 0)
        if not places:
            raise CorpusError(f"the text '{text[:_SHOWN]}' has no token to score; give texts with words")
        if limit is not None and len(ids) > limit:
            raise CorpusError(
                f"the text '{text[:_SHOWN]}...' has {len(ids)} tokens and '{loaded.name}' reads {limit}; shorten it or "
                "leave it out"
            )
        found.append(TokenText(text, ids, places))
    return found


def token_log_probs(
    loaded: LoadedModel,
    texts: Sequence[TokenText],
    *,
    places: Sequence[Sequence[int]] | None = None,
    batch_rows: int = 32,
    label: str = "scoring texts",
) -> list[Float[np.ndarray, " places"]]:
    r"""Compute log-probabilities of tokens.

    Causal and encoder-decoder: :math:`\log p(w_t \mid w_{<t})`. Masked: the terms of the pseudo-log-likelihood,
    :math:`\log p(w_t \mid w_{\setminus t})`, each token masked in turn (Salazar et al. 2020, equation 1). An
    encoder-decoder's are given an empty source.

    Args:
        loaded: The model.
        texts: From :func:`read_tokens` with the same model.
        places: For each text the tokens to score; all of its own when left out. A masked model is run for these only.
        batch_rows: Rows that run together, of nearly equal length.
        label: What the progress bar says.

    Returns:
        For each text one value a place, in nats, at most 0.

    Raises:
        ConfigError: When a place is not one of the text's, or ``batch_rows`` is not positive.
    """
    wanted = [text.places for text in texts] if places is None else [tuple(part) for part in places]
    for text, part in zip(texts, wanted, strict=True):
        if not set(part) <= set(text.places):
            raise ConfigError(
                f"places {sorted(set(part) - set(text.places))} of '{text.text[:_SHOWN]}' came; it can be scored at "
                f"{list(text.places)}"
            )
    if loaded.head != "masked":
        return _causal(loaded, texts, wanted, batch_rows=batch_rows, label=label)
    mask = loaded.tokenizer.mask_token_id
    rows = [
        MaskedRow((*text.ids[:place], mask, *text.ids[place + 1 :]), place, text.ids[place])
        for text, part in zip(texts, wanted, strict=True)
        for place in part
    ]
    values = masked_log_probs(loaded, rows, batch_rows=batch_rows, label=label)
    ends = np.cumsum([len(part) for part in wanted])
    return [values[end - len(part) : end] for part, end in zip(wanted, ends, strict=True)]


def masked_log_probs(
    loaded: LoadedModel, rows: Sequence[MaskedRow], *, batch_rows: int = 32, label: str = "filling masks"
) -> Float[np.ndarray, " rows"]:
    """Compute what a masked model gives a token at a mask.

    Args:
        loaded: A model with a masked-language-model head.
        rows: The rows; sorted by length for the run.
        batch_rows: Rows that run together.
        label: What the progress bar says.

    Returns:
        Log-probabilities in nats, at most 0.

    Raises:
        ModelError: When the model has another head.
        ConfigError: When ``batch_rows`` is not positive.
    """
    check_language_model(loaded, wanted=("masked",))
    found = np.empty(len(rows))
    with evaluating(loaded.network):
        for part in progress(_batches([len(row.ids) for row in rows], batch_rows), label=label, unit="batch"):
            ids, mask = _rectangle(loaded, [rows[i].ids for i in part])
            places = torch.tensor([rows[i].place for i in part], device=ids.device)
            with _decoding_only(loaded, places):
                logits = loaded.network(input_ids=ids, attention_mask=mask).logits
            at = torch.arange(len(part), device=logits.device)
            tokens = torch.tensor([rows[i].token for i in part], device=logits.device)
            if logits.shape[1] == ids.shape[1]:
                logits = logits[at, places.to(logits.device), None]
            log_p = torch.log_softmax(logits[:, 0].float(), dim=-1)
            found[part] = log_p[at, tokens].double().cpu().numpy()
    return found


def filler_rows(loaded: LoadedModel, frame: str, filler: str, *, rest: Rest = "dropped") -> list[MaskedRow]:
    """Make the rows that ask a masked model for a filler of a blank, subword by subword from the left.

    Args:
        loaded: A model with a masked-language-model head.
        frame: A text with BLANK where the filler goes; where it holds several, the first is asked for and each other
            stays a mask.
        filler: What goes there.
        rest: What stands for the filler's later subwords: "dropped", nothing (StereoSet's published code), or
            "masked", a mask each.

    Returns:
        One row a subword; the earlier ones stand there as they are.

    Raises:
        ModelError: When the model has another head.
        CorpusError: When there is no blank or no filler, or the text is longer than the model reads.
    """
    check_language_model(loaded, wanted=("masked",))
    tokenizer = loaded.tokenizer
    if BLANK not in frame:
        raise CorpusError(f"no {BLANK} in the frame '{frame[:_SHOWN]}' came; put it where the filler goes")
    hidden = frame.replace(BLANK, tokenizer.mask_token)
    first, *others = frame.split(BLANK)
    filled = tokenizer.mask_token.join([first + filler + others[0], *others[1:]])
    around, inside = (list(read_tokens(loaded, [text])[0].ids) for text in (hidden, filled))
    at = around.index(tokenizer.mask_token_id)
    before, after = around[:at], around[at + 1 :]
    tokens = inside[at : len(inside) - len(after)]
    if inside[:at] != before or inside[len(inside) - len(after) :] != after:
        # The tokenizer joins the filler to its neighbours: take it as it stands alone.
        space = " " if first.endswith(" ") else ""
        tokens = tokenizer(space + filler, add_special_tokens=False)["input_ids"]
    if not tokens:
        raise CorpusError(f"'{filler}' in '{frame[:_SHOWN]}' has no token; give a word for each blank")
    rows = []
    for number, token in enumerate(tokens):
        masks = [tokenizer.mask_token_id] * (len(tokens) - number if rest == "masked" else 1)
        rows.append(MaskedRow((*before, *tokens[:number], *masks, *after), at + number, token))
    return rows


def _causal(
    loaded: LoadedModel,
    texts: Sequence[TokenText],
    wanted: Sequence[Sequence[int]],
    *,
    batch_rows: int,
    label: str,
) -> list[Float[np.ndarray, " places"]]:
    found: list[Float[np.ndarray, " places"]] = [np.empty(0)] * len(texts)
    is_pair = loaded.head == "seq2seq"
    source = torch.tensor([_empty_source(loaded)] if is_pair else [[]], device=loaded.device)
    with evaluating(loaded.network):
        for part in progress(_batches([len(t.ids) for t in texts], batch_rows), label=label, unit="batch"):
            # What comes after a token never reaches it, so padding on the right is harmless.
            ids, mask = _rectangle(loaded, [texts[i].ids for i in part])
            inputs = {"input_ids": ids, "attention_mask": mask}
            if is_pair:
                empty = source.expand(len(part), -1)
                inputs = {
                    "input_ids": empty,
                    "attention_mask": torch.ones_like(empty),
                    "decoder_input_ids": ids,
                    "decoder_attention_mask": mask,
                }
            logits = loaded.network(**inputs).logits
            for row, i in enumerate(part):
                places = torch.tensor(wanted[i], dtype=torch.long, device=logits.device)
                log_p = torch.log_softmax(logits[row, places - 1].float(), dim=-1)
                found[i] = log_p.gather(1, ids[row, places, None])[:, 0].double().cpu().numpy()
    return found


@contextmanager
def _decoding_only(loaded: LoadedModel, places: torch.Tensor) -> Iterator[None]:
    """Turn one state a row into logits: those of all places cost as much as a small model, and none is read.

    Families whose output layer is not called with (rows, places, width) are left to decode all places.
    """

    def choose(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        states = inputs[0] if inputs else None
        if not isinstance(states, torch.Tensor) or states.ndim != 3 or len(states) != len(places):
            return None
        at = torch.arange(len(places), device=states.device)
        return (states[at, places.to(states.device), None], *inputs[1:])

    hook = loaded.network.get_output_embeddings().register_forward_pre_hook(choose)
    try:
        yield
    finally:
        hook.remove()


def _batches(lengths: Sequence[int], batch_rows: int) -> list[list[int]]:
    if batch_rows < 1:
        raise ConfigError(f"batch_rows {batch_rows} came; expected 1 or more")
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    return [order[start : start + batch_rows] for start in range(0, len(order), batch_rows)]


def _rectangle(loaded: LoadedModel, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.full((len(rows), max(map(len, rows))), loaded.tokenizer.pad_token_id or 0)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = torch.tensor(row), 1
    return ids.to(loaded.device), mask.to(loaded.device)


def _decoder_start(loaded: LoadedModel) -> int:
    start = getattr(loaded.network.config, "decoder_start_token_id", None)
    if start is None:
        raise ModelError(
            f"the configuration of '{loaded.name}' names no decoder_start_token_id, so its decoder cannot score a "
            "text; set it, or run what needs only states: association tests and erasure"
        )
    return int(start)


def _empty_source(loaded: LoadedModel) -> list[int]:
    ids = list(loaded.tokenizer("")["input_ids"])
    if not ids:
        raise ModelError(
            f"the tokenizer of '{loaded.name}' makes no token of an empty text, so its decoder has no source to score "
            "a text from; run what needs only states: association tests and erasure"
        )
    return ids
