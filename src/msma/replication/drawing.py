"""What a training draws depends on its seed and its place alone, so that a run can be gone on with anywhere."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Int
from torch import Tensor

__all__ = ["drawing", "epoch_batches", "learning_rate", "place_seed"]


def place_seed(seed: int, *place: int | str) -> int:
    """Give one place of a training a seed of its own.

    Args:
        seed: Of the whole training.
        *place: What is drawn, and at which step.

    Returns:
        A whole number below 2^63.

    Examples:
        >>> place_seed(0, "order", 1) == place_seed(0, "order", 1) != place_seed(0, "order", 2)
        True
    """
    digest = hashlib.sha256(":".join(str(part) for part in (seed, *place)).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


@contextmanager
def drawing(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Let torch draw by a seed on the CPU and on one device; the state from before returns on leaving.

    Args:
        seed: Fixes what is drawn within.
        device: Where, besides the CPU.

    Yields:
        Nothing.

    Examples:
        >>> with drawing(3):
        ...     first = torch.rand(2)
        >>> with drawing(3):
        ...     bool((torch.rand(2) == first).all())
        True
    """
    is_cuda = device is not None and device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if is_cuda else []):
        torch.default_generator.manual_seed(seed)
        if is_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def epoch_batches(n_samples: int, *, batch_size: int, seed: int, epoch: int) -> list[Int[Tensor, " samples"]]:
    """Shuffle samples and deal them into batches of nearly equal size, of two samples at least.

    Args:
        n_samples: How many there are.
        batch_size: Samples a batch, at most (one more where one would be left alone).
        seed: Of the training.
        epoch: From 1.

    Returns:
        Positions of each batch.

    Examples:
        >>> [len(batch) for batch in epoch_batches(288, batch_size=128, seed=0, epoch=1)]
        [96, 96, 96]
    """
    generator = torch.Generator().manual_seed(place_seed(seed, "order", epoch))
    order = torch.randperm(n_samples, generator=generator)
    n_batches = max(1, min(-(-n_samples // batch_size), n_samples // 2))
    return list(order.tensor_split(n_batches))


def learning_rate(step: int, n_steps: int, *, warmup: float) -> float:
    """Give the share of the highest learning rate at a step: a linear rise, then a linear fall to 0.

    Args:
        step: From 0.
        n_steps: Steps in all.
        warmup: Share of the steps in which it rises.

    Returns:
        Above 0, at most 1.

    Examples:
        >>> [learning_rate(step, 10, warmup=0.2) for step in (0, 1, 2, 6, 9)]
        [0.5, 1.0, 1.0, 0.5, 0.125]
    """
    rising = round(warmup * n_steps)
    if step < rising:
        return (step + 1) / rising
    return (n_steps - step) / (n_steps - rising)
