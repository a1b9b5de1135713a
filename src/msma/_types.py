"""The vocabulary of shapes, scales and splits that every module shares.

Axis names used in every signature: ``texts tokens layers samples d_model d_source d_target k``.
"""

from typing import Literal, TypeAlias, get_args

Scale: TypeAlias = Literal["local", "intermediate", "global"]
Pair: TypeAlias = tuple[Scale, Scale]
Unit: TypeAlias = Literal["text", "sentence", "token"]
Split: TypeAlias = Literal["train", "validation", "test"]
Stack: TypeAlias = Literal["auto", "encoder", "decoder"]
Better: TypeAlias = Literal["higher", "lower", "none"]

#: The three scales, shallow to deep; always in this order.
SCALES: tuple[Scale, ...] = get_args(Scale)
#: The two fitted pairs of the decoding direction, source first.
PAIRS: tuple[Pair, ...] = (("global", "intermediate"), ("intermediate", "local"))
#: What the two fitted maps compose to.
COMPOSED_PAIR: Pair = ("global", "local")
UNITS: tuple[Unit, ...] = get_args(Unit)
SPLITS: tuple[Split, ...] = get_args(Split)
