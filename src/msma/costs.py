r"""What reading a corpus takes, from a formula: bytes in memory and on disk, passes, floating-point operations.

**Operations.** A token is multiplied with every parameter outside the embeddings once, a multiplication and an
addition each, and each block compares it with every token of its text and mixes what it finds:

.. math:: \text{FLOPs of a text of } T \text{ tokens} = T \, (2 P + 4 \, T \, d \, N)

with P parameters, width d and N blocks (of a decoder that is fed by an encoder: all attentions of both). This is
equation 2.2 of Kaplan et al. (2020, arXiv:2001.08361), whose second term is :math:`2 T d N`: they count the half of
the attention square that a causal model needs, while most kernels compute the whole of it. Norms, activations and
softmax are left out, as they are there.

**Stores.** "states" keeps every layer entry of every sample in float32; "scales" three entries; "moments" nothing
of a sample but a bounded held-out part: seven d x d matrices, a sketch of all layers and a filter, in float64. The
last two first keep all layers of a few texts, on which the scales are found.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from msma.errors import ConfigError
from msma.models import ModelShape

__all__ = ["Cost", "ModelShape", "estimate_cost", "parse_size", "size"]

Store: TypeAlias = Literal["states", "scales", "moments"]

#: Bytes of one parameter; "auto" is taken for the largest, which nothing exceeds.
_PARAMETER_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "auto": 4.0}
#: The same of a quantised one: 4 bits come with a float32 scale for each block of 64 (Dettmers et al. 2023).
_QUANTISED_BYTES = {"8bit": 1.0, "4bit": 0.5 + 4 / 64}
_STORES = ("states", "scales", "moments")
_N_SCALES = 3
#: Of each sample besides its states and text: length, cut, position, document, and marks in a text file.
_SAMPLE_BYTES = 32
#: A token of English is about four characters.
_CHARACTERS = 4.0
#: A token of a window in memory, with its place in the text.
_TOKEN_BYTES = 150
#: d x d matrices: scatters of three scales, cross-scatters of two pairs, and those of two shuffled pairs.
_N_MATRICES = 7
#: The filter that knows the texts: its size in memory, and what a text sets of it, written while that is less.
_FILTER_BYTES, _SET_BYTES = 2**24, 7 * 8
#: Of each held-out sample: the hashes that it was drawn by and its text is known by.
_MARK_BYTES = 56
#: Copies of the moments in memory while a part is added to the total, and on disk until it has been.
_COPIES_IN_MEMORY, _COPIES_ON_DISK = 2, 3

_UNITS = {"b": 1, "": 1}
_UNITS |= {f"{letter}{end}": 1000**power for power, letter in enumerate("kmgtp", 1) for end in ("", "b")}
_UNITS |= {f"{letter}ib": 1024**power for power, letter in enumerate("kmgtp", 1)}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a job takes.

    Args:
        weights: Bytes of the model.
        working: Bytes of the activations of one batch and the pooled states of one window, at the most.
        kept: Bytes held in memory until the end, twice over while a part is added.
        disk: Bytes on disk at the most; of moments, which are there three times while a part is added, one stays.
        flops: Floating-point operations of all passes.
        passes: Forward passes a text, on average.

    Examples:
        >>> cost = Cost(weights=14e9, working=1e9, kept=0, disk=38e9, flops=3.6e18, passes=1.0)
        >>> cost.hours(1e15)
        1.0
        >>> cost.describe()
        'the model takes 14 GB, its work 1 GB of memory and 38 GB on disk; 3.6e+18 operations in 1 pass'
    """

    weights: float
    working: float
    kept: float
    disk: float
    flops: float
    passes: float

    def hours(self, flops_per_second: float) -> float:
        """Tell how long it takes.

        Args:
            flops_per_second: What the machine really reaches, which is often a third of what its maker says.

        Returns:
            Hours.

        Raises:
            ConfigError: When the speed is not positive.
        """
        if not flops_per_second > 0:
            raise ConfigError(f"a speed of {flops_per_second} operations a second came; expected more than 0")
        return self.flops / flops_per_second / 3600

    def describe(self) -> str:
        """Say it in one sentence.

        Returns:
            Sizes in words.
        """
        memory = f"its work {size(self.working + self.kept)} of memory"
        passes = "1 pass" if self.passes == 1 else f"{self.passes:.4g} passes"
        return (
            f"the model takes {size(self.weights)}, {memory} and {size(self.disk)} on disk; "
            f"{self.flops:.2g} operations in {passes}"
        )


def size(n_bytes: float) -> str:
    """Write a number of bytes as people do.

    Args:
        n_bytes: Bytes.

    Returns:
        Two digits or more and a decimal unit.

    Examples:
        >>> [size(n) for n in (512, 1_500, 38_400_000_000, 99_960, 999_999)]
        ['512 B', '1.5 kB', '38 GB', '100 kB', '1 MB']
    """
    value, units = float(n_bytes), ("B", "kB", "MB", "GB", "TB", "PB")
    place = 0
    while round(value) >= 1000 and place < len(units) - 1:
        value, place = value / 1000, place + 1
    return f"{value:.0f} {units[place]}" if value >= 9.95 or not place else f"{value:.2g} {units[place]}"


def parse_size(text: int | str) -> int:
    """Read a number of bytes.

    Args:
        text: "38GB", "500 MB", "1.5 GiB", or a number of bytes; kB, MB, GB, TB count in thousands, KiB, MiB, GiB,
            TiB in 1,024s.

    Returns:
        Bytes.

    Raises:
        ConfigError: When it is no size.

    Examples:
        >>> parse_size("38GB"), parse_size("500 MB"), parse_size("1.5 GiB"), parse_size(1024)
        (38000000000, 500000000, 1610612736, 1024)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", str(text).lower())
    n_bytes = int(float(found[1]) * _UNITS.get(found[2], 0)) if found and not isinstance(text, bool) else 0
    if n_bytes < 1:
        raise ConfigError(
            f"the size {text!r} came; expected a number of bytes from 1, such as '38GB', '500 MB', '16 GiB' "
            "or 1000000"
        )
    return n_bytes


def estimate_cost(
    shape: ModelShape,
    *,
    n_texts: int,
    tokens_per_text: float,
    samples_per_text: float = 1.0,
    characters_per_text: float | None = None,
    store: Store = "states",
    dtype: str = "float32",
    quantization: str = "none",
    batch_tokens: int = 1024,
    window: int = 2048,
    n_heldout: int = 4096,
    sketch_width: int = 64,
    sketch_texts: int = 2048,
) -> Cost:
    """Estimate what reading a corpus takes; the formulas stand at the head of the module.

    Args:
        shape: The model.
        n_texts: Texts.
        tokens_per_text: Tokens of a text that are read, on average.
        samples_per_text: Samples a text gives: 1 for whole texts, more for sentences or tokens.
        characters_per_text: Characters of a text; four a token when left out.
        store: What is kept of every sample.
        dtype: Precision the model is loaded in.
        quantization: "none", "8bit" or "4bit".
        batch_tokens: Tokens a batch.
        window: Texts whose pooled states are held together.
        n_heldout: Held-out samples kept beside the moments, at most.
        sketch_width: Random projections of each layer kept beside the moments; 0 for none.
        sketch_texts: Texts read and kept beforehand with all their layers, to find the scales for "scales" and
            "moments"; 0 where they are known.

    Returns:
        The cost.

    Raises:
        ConfigError: When a setting does not exist or a number is impossible.

    Examples:
        >>> gpt2 = ModelShape(n_parameters=124_439_808, n_layers=13, d_model=768, n_embedding=39_383_808)
        >>> cost = estimate_cost(gpt2, n_texts=1_000_000, tokens_per_text=256)
        >>> size(cost.weights), size(cost.disk), f"{cost.flops:.1e}", cost.passes
        ('498 MB', '41 GB', '4.6e+16', 1.0)
        >>> size(estimate_cost(gpt2, n_texts=1_000_000, tokens_per_text=256, store="scales").disk)
        '10 GB'
    """
    _check(store=store, dtype=dtype, quantization=quantization)
    numbers = {"n_texts": n_texts, "tokens_per_text": tokens_per_text, "samples_per_text": samples_per_text}
    for name, number in numbers.items():
        if not (number > 0 and math.isfinite(number)):
            raise ConfigError(f"{name}={number} came; expected a number above 0")
    n_samples = n_texts * samples_per_text
    characters = _CHARACTERS * tokens_per_text if characters_per_text is None else characters_per_text
    text_bytes = characters / samples_per_text + _SAMPLE_BYTES
    if store == "moments":
        held = min(n_heldout, n_samples) * (4 * _N_SCALES * shape.d_model + text_bytes + _MARK_BYTES)
        moments = _moment_bytes(shape, sketch_width=sketch_width) + held
        kept = _COPIES_IN_MEMORY * (moments + _FILTER_BYTES)
        disk = _COPIES_ON_DISK * (moments + min(_FILTER_BYTES, _SET_BYTES * n_samples))
    else:
        n_entries = shape.n_layers if store == "states" else _N_SCALES
        disk, kept = n_samples * (4 * n_entries * shape.d_model + text_bytes), 0.0
    if store != "states":
        n_sketched = min(sketch_texts, n_texts) * samples_per_text
        disk += n_sketched * (4 * shape.n_layers * shape.d_model + text_bytes)
    passes = 1.0 if store == "states" else 1.0 + min(sketch_texts, n_texts) / n_texts
    entry_bytes = _entry_bytes(shape, store, sketch_width=sketch_width)
    working = _batch_bytes(shape, dtype, quantization, batch_tokens=max(batch_tokens, tokens_per_text))
    per_text = samples_per_text * (2 * entry_bytes + text_bytes) + _TOKEN_BYTES * tokens_per_text
    working += min(window, n_texts) * per_text
    return Cost(
        weights=_weight_bytes(shape, dtype, quantization),
        working=working,
        kept=kept,
        disk=disk,
        flops=passes * n_texts * count_flops(shape, tokens=tokens_per_text),
        passes=passes,
    )


def count_flops(shape: ModelShape, *, tokens: float) -> float:
    r"""Count the floating-point operations of reading one text: :math:`T (2 P + 4 T d N)`.

    Args:
        shape: The model.
        tokens: T.

    Returns:
        Multiplications and additions.

    Examples:
        >>> count_flops(ModelShape(n_parameters=100, n_layers=3, d_model=4), tokens=10)
        5200
    """
    return tokens * (2 * shape.n_multiplied + 4 * tokens * shape.d_model * shape.n_compared)


def _check(*, store: str, dtype: str, quantization: str) -> None:
    choices = {
        "store": (store, _STORES),
        "dtype": (dtype, tuple(_PARAMETER_BYTES)),
        "quantization": (quantization, ("none", *_QUANTISED_BYTES)),
    }
    for name, (value, known) in choices.items():
        if value not in known:
            raise ConfigError(f"{name} '{value}' came; expected one of {', '.join(known)}")


def _weight_bytes(shape: ModelShape, dtype: str, quantization: str) -> float:
    """Quantisation takes the matrices that tokens are multiplied with; embeddings stay as they are."""
    each = _PARAMETER_BYTES[dtype]
    rest = _QUANTISED_BYTES.get(quantization, each)
    return each * shape.n_embedding + rest * (shape.n_parameters - shape.n_embedding)


def _batch_bytes(shape: ModelShape, dtype: str, quantization: str, *, batch_tokens: float) -> float:
    """Activations of one block, of which one runs at a time: states, queries, keys, values, and the inner layer."""
    each = _PARAMETER_BYTES[dtype]
    # Norms work in float32 whatever the model's precision.
    activations = batch_tokens * (each * (8 * shape.d_model + 4 * shape.n_inner) + 8 * shape.d_model)
    # A quantised matrix is written out in the model's precision while it is used.
    return activations + (0 if quantization == "none" else each * shape.d_model * shape.n_inner)


def _entry_bytes(shape: ModelShape, store: Store, *, sketch_width: int) -> float:
    """Pooled states of one sample."""
    if store == "states":
        return 4.0 * shape.n_layers * shape.d_model
    sketch = 2 * sketch_width * shape.n_layers if store == "moments" else 0
    return 4.0 * (_N_SCALES * shape.d_model + sketch)


def _moment_bytes(shape: ModelShape, *, sketch_width: int) -> float:
    d, projected = shape.d_model, shape.n_layers * sketch_width
    return 8.0 * (_N_MATRICES * (d * d + d) + projected * projected + 2 * projected)
