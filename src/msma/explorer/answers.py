"""Answers as JSON: plain values only, and no number that JSON does not know."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from starlette.responses import Response


class JsonAnswer(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write the content as JSON.

        Args:
            content: Dataclasses, mappings, sequences and plain values.

        Returns:
            The bytes.
        """
        return json.dumps(to_plain(content), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def to_plain(value: Any) -> Any:
    """Turn dataclasses and arrays into what JSON knows.

    Args:
        value: The value.

    Returns:
        The same in dicts, lists and plain values; a number that is not finite becomes ``None``.

    Examples:
        >>> to_plain({"a": (1, float("nan")), "b": np.float32(0.5)})
        {'a': [1, None], 'b': 0.5}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return to_plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return str(value)
