"""How samples come into a measure, numpy or torch, and how its answer goes out."""

from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from msma.errors import ShapeError
from msma.linalg import check_samples

#: One set of samples; two sets of one width; paired samples whose widths may differ.
States: TypeAlias = Float[np.ndarray, "samples d"] | Float[Tensor, "samples d"]
SourceLaw: TypeAlias = Float[np.ndarray, "n_source d"] | Float[Tensor, "n_source d"]
TargetLaw: TypeAlias = Float[np.ndarray, "n_target d"] | Float[Tensor, "n_target d"]
PairedSource: TypeAlias = Float[np.ndarray, "samples d_source"] | Float[Tensor, "samples d_source"]
PairedTarget: TypeAlias = Float[np.ndarray, "samples d_target"] | Float[Tensor, "samples d_target"]
#: ``float`` when numpy came, 0-d float64 tensor when torch came.
Scalar: TypeAlias = float | Float[Tensor, ""]

#: A column whose spread is below this share of its mean is rounding, not variation.
_CONSTANT = 1e-12


def to_tensor(array: Any, *, name: str, min_samples: int = 1) -> Float[Tensor, "samples d"]:
    """Give checked samples as a float64 tensor; a tensor keeps its device and its gradient.

    Args:
        array: Samples in rows, numpy or torch.
        name: What to call them in an error.
        min_samples: Fewest rows that make sense to the caller.

    Returns:
        The samples; they share memory with the input where they can.

    Examples:
        >>> to_tensor([[1, 2]], name="states").dtype
        torch.float64
    """
    values = check_samples(array, name=name, min_samples=min_samples)
    if isinstance(array, Tensor):
        return (array.cpu() if array.device.type == "mps" else array).double()
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))


def to_pairs(
    source: Any, target: Any, *, min_samples: int = 1
) -> tuple[Float[Tensor, "samples d_source"], Float[Tensor, "samples d_target"]]:
    """Give checked pairs as float64 tensors on one device.

    Args:
        source: Samples in rows.
        target: Row i belongs to row i of the source.
        min_samples: Fewest pairs that make sense to the caller.

    Returns:
        Source and target.

    Raises:
        ShapeError: When the numbers of rows differ, or either is not a finite matrix with enough rows.

    Examples:
        >>> [part.shape[1] for part in to_pairs([[1.0]], [[1.0, 2.0]])]
        [1, 2]
    """
    first = to_tensor(source, name="source", min_samples=min_samples)
    second = to_tensor(target, name="target", min_samples=min_samples)
    if len(first) != len(second):
        raise ShapeError(
            f"source came with {len(first)} samples and target with {len(second)}; expected pairs: "
            "row i of one belongs to row i of the other"
        )
    return first, second.to(first.device)


def check_width(source: Tensor, target: Tensor) -> None:
    """Refuse two sets of samples of different widths.

    Args:
        source: Samples in rows.
        target: Samples in rows.

    Raises:
        ShapeError: When the widths differ.
    """
    if source.shape[1] != target.shape[1]:
        raise ShapeError(
            f"source is {source.shape[1]} wide and target {target.shape[1]}; this measure compares them "
            "in one space: map the source into the target's space first"
        )


def check_varies(variance: Float[Tensor, " d"], mean: Float[Tensor, " d"], *, name: str) -> None:
    """Refuse columns that are constant, naming the first.

    Args:
        variance: Variance of each column.
        mean: Mean of each column.
        name: What to call the samples in an error.

    Raises:
        ShapeError: When a column does not vary.
    """
    constant = torch.nonzero(variance.detach() <= (_CONSTANT * mean.detach()) ** 2).flatten().tolist()
    if constant:
        raise ShapeError(
            f"{name} is constant in column {constant[0]} ({len(constant)} of {len(mean)} columns); a "
            "direction without variation has no density: leave it out or project first"
        )


def centre(samples: Float[Tensor, "samples d"], *, name: str) -> Float[Tensor, "samples d"]:
    """Subtract the mean, and refuse samples that are all equal; a single constant column does no harm here.

    Args:
        samples: Samples in rows.
        name: What to call them in an error.

    Returns:
        The centred samples.

    Raises:
        ShapeError: When no column varies.

    Examples:
        >>> centre(torch.tensor([[1.0], [3.0]]), name="states").flatten().tolist()
        [-1.0, 1.0]
    """
    mean = samples.mean(dim=0)
    centred = samples - mean
    if float(centred.detach().square().mean()) <= (_CONSTANT * float(mean.detach().abs().max())) ** 2:
        raise ShapeError(
            f"all {len(samples)} samples of {name} are equal; expected variation: check the states"
        )
    return centred


def answer(value: Float[Tensor, ""], *inputs: Any) -> Scalar:
    """Give a result in the kind its inputs came in.

    Args:
        value: The result.
        *inputs: What the caller passed.

    Returns:
        The 0-d tensor when any input is a tensor, otherwise a float.

    Examples:
        >>> answer(torch.tensor(2.0), np.ones(1))
        2.0
    """
    return value if any(isinstance(part, Tensor) for part in inputs) else float(value)
