"""Change self-attention inside a block of any family: between the logits and what the heads bring back.

Nothing is known of the family. While a block runs, torch's own softmax and scaled dot-product attention are watched;
the first of them is the block's self-attention (cross-attention and routers come later), whether it is written out
or fused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from msma.errors import ModelError, ShapeError
from msma.interventions.operations import AttentionOperation, HeadRemoval, Temperature

_SOFTMAX = {functional.softmax, torch.softmax, torch.Tensor.softmax}
_FUSED = {functional.scaled_dot_product_attention}


@dataclass(frozen=True)
class _Change:
    """What happens to the heads of one block in one pass."""

    temperature: float = 1.0
    removed: Sequence[int] | Literal["all"] = ()

    @classmethod
    def of(cls, operation: AttentionOperation, number: int) -> "_Change":
        if isinstance(operation, Temperature):
            return cls(temperature=operation.temperature)
        if isinstance(operation, HeadRemoval):
            return cls(removed=operation.of_block(number))
        raise TypeError(f"no such operation inside attention: {operation!r}")


class AttentionWatch(TorchFunctionMode):
    """Act on the first attention of a block that runs inside this context.

    Args:
        operation: What is done.
        number: Layer entry of the block.
        region: Tokens whose attention is changed; all of the pass when ``None``.
        block: The block, whose configuration tells how queries that share keys are laid out.
    """

    def __init__(
        self,
        operation: AttentionOperation,
        number: int,
        region: Callable[[], Bool[torch.Tensor, "rows tokens"] | None],
        block: Any = None,
    ) -> None:
        super().__init__()
        self._block = block
        self._change, self._number, self._region = _Change.of(operation, number), number, region
        self.is_done = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Pass everything on but the first attention.

        Args:
            func: The function called.
            types: Types of its arguments.
            args: Positional arguments.
            kwargs: Named ones.

        Returns:
            What the function gives, changed where it is the block's attention.
        """
        kwargs = kwargs or {}
        if self.is_done or (func not in _SOFTMAX and func not in _FUSED):
            return func(*args, **kwargs)
        self.is_done = True
        return self._fused(func, args, kwargs) if func in _FUSED else self._written_out(func, args, kwargs)

    def _written_out(self, func: Any, args: Any, kwargs: Any) -> Any:
        logits, rest = (args[0], args[1:]) if args else (kwargs.pop("input"), ())
        if logits.ndim != 4:
            raise ModelError(
                f"the attention of block {self._number} has logits of {logits.ndim} axes; only (rows, heads, "
                "tokens, tokens) can be acted on: load the model with attn_implementation='sdpa'"
            )
        if self._change.temperature != 1:
            lowest = torch.finfo(logits.dtype).min
            logits = (logits * self._inverse(logits, n_tokens=logits.shape[2])).clamp_min(lowest)
        weights = func(logits, *rest, **kwargs)
        return self._drop(weights, axis=1, tokens=2)

    def _fused(self, func: Any, args: Any, kwargs: Any) -> Any:
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        n_heads = _packed_heads(self._block, given["query"])
        if self._change.temperature != 1:
            n_tokens = given["query"].shape[2] if n_heads is None else 1
            factor = self._inverse(given["query"], n_tokens=n_tokens)
            given["query"] = given["query"] * factor
            mask = given.get("attn_mask")
            if mask is not None and mask.dtype != torch.bool:
                given["attn_mask"] = (mask * factor).clamp_min(torch.finfo(mask.dtype).min)
        heads = func(**given)
        if n_heads is None:
            return self._drop(heads, axis=1, tokens=2)
        apart = heads.reshape(heads.shape[0], n_heads, 1, heads.shape[-1])
        return self._drop(apart, axis=1, tokens=2).reshape(heads.shape)

    def _inverse(self, tensor: torch.Tensor, *, n_tokens: int) -> torch.Tensor:
        """Inverse temperature of each attending token, shaped to multiply (rows, heads, tokens, anything)."""
        chosen = self._chosen(n_tokens)
        inverse = 1.0 / self._change.temperature
        if chosen is None:
            return tensor.new_full((1, 1, 1, 1), inverse)
        return torch.where(chosen, inverse, 1.0).to(tensor.dtype)[:, None, :, None]

    def _chosen(self, n_tokens: int) -> torch.Tensor | None:
        region = self._region()
        if region is None or bool(region.all()):
            return None
        if region.shape[1] != n_tokens:
            raise ModelError(
                f"block {self._number} attends from {n_tokens} places where {region.shape[1]} tokens are read; "
                "only models that attend from every token can be acted on for some of them: use tokens='all'"
            )
        return region

    def _drop(self, heads: torch.Tensor, *, axis: int, tokens: int) -> torch.Tensor:
        """Set what the removed heads bring back (or weigh) to zero."""
        removed, count = self._change.removed, heads.shape[axis]
        if not removed:
            return heads
        if removed != "all" and max(removed) >= count:
            raise ShapeError(
                f"head {max(removed)} of block {self._number} was to be removed; it has heads 0 to {count - 1}"
            )
        is_removed = torch.zeros(count, dtype=torch.bool, device=heads.device)
        is_removed[list(range(count)) if removed == "all" else list(removed)] = True
        drop = is_removed[None, :, None, None]
        chosen = self._chosen(heads.shape[tokens])
        if chosen is not None:
            drop = drop & chosen[:, None, :, None]
        return heads.masked_fill(drop, 0.0)


def _packed_heads(block: Any, query: torch.Tensor) -> int | None:
    """Tell how many heads a query holds whose heads of one key stand where tokens do.

    transformers lays out a single token so where several queries share a key (grouped-query attention with a cache).
    """
    for module in [] if block is None else block.modules():
        groups = getattr(module, "num_key_value_groups", 1)
        n_heads = getattr(getattr(module, "config", None), "num_attention_heads", None)
        if (
            groups > 1
            and n_heads is not None
            and query.shape[1] * groups == n_heads == query.shape[1] * query.shape[2]
        ):
            return int(n_heads)
    return None
