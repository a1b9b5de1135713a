"""What the page may ask: each question read from JSON, and refused in one sentence where it makes no sense."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from msma._types import SCALES, Scale
from msma.errors import ConfigError, CorpusError

OPERATIONS = ("translate", "scale", "noise", "temperature")
#: Longest text and most new tokens that a page may ask for: a model is busy with one question at a time.
MAX_CHARACTERS, MAX_NEW_TOKENS = 20_000, 200
_MAX_STRENGTH, _MAX_SEED = 10.0, 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class ExplainQuestion:
    """A text to explain.

    Args:
        text: The text.
        direction: What the coordinate runs along.
        methods: How tokens are scored.
    """

    text: str
    direction: str
    methods: tuple[str, ...]

    @classmethod
    def read(cls, body: Mapping[str, Any], *, directions: Sequence[str], methods: Sequence[str]) -> Self:
        """Read it from what came.

        Args:
            body: What came.
            directions: Directions there are.
            methods: Methods there are; "both" is all of them.

        Returns:
            The question.

        Raises:
            ConfigError: When a field is missing or impossible.
            CorpusError: When the text is empty or too long.
        """
        method = _choose(body, "method", ("both", *methods), default="both")
        return cls(
            text=read_text(body, "text"),
            direction=_choose(body, "direction", directions, default="own"),
            methods=tuple(methods) if method == "both" else (method,),
        )


@dataclass(frozen=True, kw_only=True)
class ActQuestion:
    """An intervention to see beside the clean model.

    Args:
        prompt: The text to continue, or to hide tokens of.
        scale: The scale acted on.
        operation: What is done there.
        strength: How strongly; for "temperature" the temperature itself.
        seed: Fixes the draw and the noise.
        max_new_tokens: Tokens to write at most.
        towards: What a translation points to: "text", or column and value of a label.
        text: The text that "text" stands for.
    """

    prompt: str
    scale: Scale
    operation: str
    strength: float
    seed: int
    max_new_tokens: int
    towards: str | tuple[str, str]
    text: str

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """Read it from what came.

        Args:
            body: What came.

        Returns:
            The question.

        Raises:
            ConfigError: When a field is missing or impossible.
            CorpusError: When a text is empty or too long.
        """
        operation = _choose(body, "operation", OPERATIONS)
        towards, text = _read_towards(body) if operation == "translate" else ("text", "")
        return cls(
            prompt=read_text(body, "prompt"),
            scale=_choose(body, "scale", SCALES),
            operation=operation,
            strength=_read_number(body, "strength", -_MAX_STRENGTH, _MAX_STRENGTH),
            seed=_read_whole(body, "seed", 0, _MAX_SEED, default=0),
            max_new_tokens=_read_whole(body, "max_new_tokens", 1, MAX_NEW_TOKENS, default=32),
            towards=towards,
            text=text,
        )


def read_text(body: Mapping[str, Any], name: str) -> str:
    """Read a text that is neither empty nor endless.

    Args:
        body: What came.
        name: Name of the field.

    Returns:
        The text.

    Raises:
        ConfigError: When it is no text.
        CorpusError: When it is empty or too long.
    """
    text = body.get(name)
    if not isinstance(text, str):
        raise ConfigError(f"no {name} came; give one as a string")
    if not text.strip():
        raise CorpusError(f"an empty {name} came; type at least one word")
    if len(text) > MAX_CHARACTERS:
        raise CorpusError(
            f"a {name} of {len(text)} characters came; the page takes at most {MAX_CHARACTERS}: shorten it"
        )
    # A lone surrogate, which JSON can carry, is no character and breaks tokenizers.
    return text.encode("utf-8", "replace").decode("utf-8")


def _read_towards(body: Mapping[str, Any]) -> tuple[str | tuple[str, str], str]:
    towards = body.get("towards", "text")
    if towards == "text":
        return "text", read_text(body, "text")
    if isinstance(towards, Mapping) and {"column", "value"} <= set(towards):
        return (str(towards["column"]), str(towards["value"])), ""
    raise ConfigError(f"towards {towards!r} came; expected 'text', or the column and value of a label")


def _choose(body: Mapping[str, Any], name: str, known: Sequence[str], *, default: str | None = None) -> Any:
    value = body.get(name, default)
    if value not in known:
        raise ConfigError(f"{name} {value!r} came; expected one of {', '.join(known)}")
    return value


def _read_number(body: Mapping[str, Any], name: str, low: float, high: float) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name} {value!r} came; expected a number")
    if not low <= value <= high:
        raise ConfigError(f"{name} {value:g} came; expected {low:g} to {high:g}")
    return float(value)


def _read_whole(body: Mapping[str, Any], name: str, low: int, high: int, *, default: int) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name} {value!r} came; expected a whole number from {low} to {high}")
    return value
