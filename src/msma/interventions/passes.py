"""What a stack is reading just now: which tokens, at which positions, of the prompt or after it."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int

from msma.errors import ModelError
from msma.models import Stack
from msma.models.finding import is_probing

Region: TypeAlias = Literal["all", "prompt", "new"]

REGIONS: tuple[Region, ...] = ("all", "prompt", "new")

#: Stacks that run for an intervention's own purposes; nothing intervenes there.
_PLAIN: set[int] = set()


@dataclass
class Pass:
    """One forward pass of a stack, and what came before it when it continues a text.

    A pass with a cache continues the text. A pass without one does so when its tokens begin with those of the
    pass before, which is how texts are generated without a cache; any other begins a prompt.

    Args:
        stack: The stack that is watched.
        entrance: The module whose arguments tell of a pass; the stack's own when ``None``.
    """

    stack: Stack
    entrance: torch.nn.Module | None = None
    ids: Int[torch.Tensor, "rows all_tokens"] | None = None
    prompt_width: int = 0
    first: int = 0
    width: int = 0
    mask: Int[torch.Tensor, "rows all_tokens"] | None = None
    shape: tuple[int, int] = (0, 0)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    inputs: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    _clean: dict[int, Float[torch.Tensor, "rows all_tokens d_model"]] = field(default_factory=dict)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Take note of a pass that is about to start.

        Args:
            args: Positional arguments of the stack's forward.
            kwargs: Named ones.
        """
        signature = inspect.signature((self.entrance or self.stack.module).forward)
        self.inputs = dict(signature.bind_partial(*args, **kwargs).arguments)
        ids, embeds = self.inputs.get("input_ids"), self.inputs.get("inputs_embeds")
        shown = ids if ids is not None else embeds
        if shown is None:
            return
        rows, width = int(shown.shape[0]), int(shown.shape[1])
        self.device, self.shape = shown.device, (rows, width)
        past = _past_length(self.inputs.get("past_key_values"), default=self.first + self.width)
        known = self.ids
        if past > 0:
            is_known = known is not None and ids is not None and tuple(known.shape) == (rows, past)
            self.ids = (
                torch.cat([known, ids], 1) if is_known and known is not None and ids is not None else None
            )
        elif not self._continues(ids, width):
            self.prompt_width, self.ids = width, ids
        else:
            self.ids = ids
        self.first, self.width = past, width
        mask = self.inputs.get("attention_mask")
        is_plain = isinstance(mask, torch.Tensor) and mask.ndim == 2 and mask.shape[1] >= past + width
        self.mask = mask[:, : past + width] if is_plain and mask is not None else None
        self.number += 1
        self._clean = {}

    def _continues(self, ids: torch.Tensor | None, width: int) -> bool:
        before = self.ids
        if before is None or ids is None or width <= before.shape[1] or len(ids) != len(before):
            return False
        return bool(torch.equal(ids[:, : before.shape[1]], before))

    @property
    def positions(self) -> Int[torch.Tensor, "rows tokens"]:
        """Place of each token in its own text, padding on the left not counted."""
        if self.mask is not None:
            return (self.mask.long().cumsum(1) - 1).clamp_min(0)[:, self.first :]
        places = torch.arange(self.first, self.first + self.width, device=self.device)
        return places.expand(self.shape)

    @property
    def keys(self) -> Int[torch.Tensor, "rows tokens"]:
        """A number for each token, from its place and what it is: the same in any batch, with or without cache."""
        tokens = torch.zeros(self.shape, dtype=torch.int64, device=self.device)
        if self.ids is not None:
            tokens = self.ids[:, self.first :].long()
        return self.positions.long() * 1_000_003 + tokens

    def region(self, tokens: Region) -> Bool[torch.Tensor, "rows tokens"]:
        """Tell which tokens are to be acted on.

        Args:
            tokens: "all", those of the "prompt", or "new" ones.

        Returns:
            True where they are; never on padding.
        """
        columns = torch.arange(self.first, self.first + self.width, device=self.device)
        chosen = torch.ones_like(columns, dtype=torch.bool)
        if tokens != "all":
            chosen = (columns < self.prompt_width) == (tokens == "prompt")
        chosen = chosen.expand(self.shape)
        return chosen if self.mask is None else chosen & (self.mask[:, self.first :] != 0)

    def clean(self, layer: int) -> Float[torch.Tensor, "rows tokens d_model"]:
        """Give a layer entry as it is for the tokens so far when nothing intervenes.

        Args:
            layer: Its number.

        Returns:
            States of all tokens so far, from a pass of its own without a cache.

        Raises:
            ModelError: When the tokens so far are not known.
        """
        if not self._clean:
            if self.ids is None:
                raise ModelError(
                    "a replacement needs the tokens so far, and they could not be followed (embeddings instead "
                    "of ids, or a cache that began elsewhere); generate from token ids, in one go"
                )
            self._clean = self._run_clean(self.ids)
        return self._clean[layer]

    def _run_clean(self, ids: torch.Tensor) -> dict[int, torch.Tensor]:
        options: dict[str, Any] = {
            name: value for name, value in self.inputs.items() if name.startswith("encoder_")
        }
        if self.mask is not None:
            options["attention_mask"] = self.mask
            if "position_ids" in self.stack.accepted and self.stack.is_causal:
                options["position_ids"] = (self.mask.long().cumsum(1) - 1).clamp_min(0)
        if "token_type_ids" in self.inputs and self.inputs["token_type_ids"] is not None and self.first == 0:
            options["token_type_ids"] = self.inputs["token_type_ids"]
        if "use_cache" in self.stack.accepted:
            options["use_cache"] = False
        found: dict[int, torch.Tensor] = {}
        with torch.no_grad(), plain(self.stack), self.stack.reading(found.__setitem__):
            extra = {} if self.stack.blocks else {"output_hidden_states": True}
            output = self.stack.module(input_ids=ids, return_dict=True, **options, **extra)
        return found or dict(enumerate(output.hidden_states))


def _past_length(past: Any, *, default: int) -> int:
    """Tokens in a cache; what was read so far where the cache cannot tell."""
    if past is None:
        return 0
    if hasattr(past, "get_seq_length"):
        return int(past.get_seq_length())
    return default


@contextmanager
def plain(stack: Stack) -> Iterator[None]:
    """Let a stack run as if nothing intervened.

    Args:
        stack: The stack.

    Yields:
        Nothing.
    """
    key = id(stack.module)
    is_outer = key not in _PLAIN
    _PLAIN.add(key)
    try:
        yield
    finally:
        if is_outer:
            _PLAIN.discard(key)


def is_plain(stack: Stack) -> bool:
    """Tell whether a stack runs for an intervention's own purposes, or to find out how a model is to be read.

    Args:
        stack: The stack.

    Returns:
        Whether hooks are to stand back.
    """
    return is_probing() or id(stack.module) in _PLAIN
