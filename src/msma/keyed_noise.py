"""Gaussian numbers that depend on a key alone, so that batching and caching cannot change them.

A generator that is read in order gives another token other noise as soon as a text stands in another row of a
batch, or its earlier tokens come from the cache. Here every number is a hash of its key (a counter-based
generator in the sense of Salmon et al. 2011), with the finaliser of SplitMix64 (Steele et al. 2014) as the hash.
"""

import math

import torch
from jaxtyping import Float, Int

#: The constants of SplitMix64 as signed 64-bit integers; products wrap, as they must.
_STEP = -0x61C8864680B583EB
_FIRST, _SECOND = -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15
_UNIFORM_BITS = 24


def mix(keys: Int[torch.Tensor, "*shape"]) -> Int[torch.Tensor, "*shape"]:
    """Scramble 64-bit keys: neighbouring keys give unrelated results.

    Args:
        keys: Any integers.

    Returns:
        64-bit integers, each a one-to-one function of its key.

    Examples:
        >>> mix(torch.tensor([0])).item() % 2**64 == 0xE220A8397B1DCDAF  # first number of SplitMix64 from 0
        True
    """
    mixed = keys.to(torch.int64) + _STEP
    mixed = (mixed ^ _shift(mixed, 30)) * _FIRST
    mixed = (mixed ^ _shift(mixed, 27)) * _SECOND
    return mixed ^ _shift(mixed, 31)


def _shift(keys: torch.Tensor, bits: int) -> torch.Tensor:
    """Shift right without carrying the sign."""
    return (keys >> bits) & ((1 << (64 - bits)) - 1)


def keyed_normal(keys: Int[torch.Tensor, "*shape"], width: int) -> Float[torch.Tensor, "*shape width"]:
    r"""Draw independent standard normal numbers for every key (Box and Muller 1958).

    .. math:: z_{2i} = \sqrt{-2 \log u_1} \cos 2\pi u_2, \quad z_{2i+1} = \sqrt{-2 \log u_1} \sin 2\pi u_2

    Args:
        keys: One a vector.
        width: Numbers a vector.

    Returns:
        float32, the same for the same key on every machine up to rounding.

    Examples:
        >>> one = keyed_normal(torch.tensor([[3, 4]]), 5)
        >>> bool(torch.equal(one[0, 1], keyed_normal(torch.tensor([4]), 5)[0]))
        True
    """
    pairs = (width + 1) // 2
    counters = mix(keys).unsqueeze(-1) + torch.arange(2 * pairs, device=keys.device)
    uniform = (_shift(mix(counters), 64 - _UNIFORM_BITS).float() + 0.5) / 2**_UNIFORM_BITS
    first, second = uniform[..., :pairs], uniform[..., pairs:]
    radius, angle = torch.sqrt(-2.0 * torch.log(first)), 2.0 * math.pi * second
    return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=-1)[..., :width]


def keyed_gumbel(keys: Int[torch.Tensor, "*shape"], width: int) -> Float[torch.Tensor, "*shape width"]:
    r"""Draw independent standard Gumbel numbers for every key: :math:`-\log(-\log u)`.

    Added to log-probabilities, the position of the largest sum is a draw from the distribution (Gumbel 1954).

    Args:
        keys: One a vector.
        width: Numbers a vector.

    Returns:
        float32.

    Examples:
        >>> draws = keyed_gumbel(torch.arange(4000), 2) + torch.log(torch.tensor([0.25, 0.75]))
        >>> bool(abs(draws.argmax(-1).float().mean() - 0.75) < 0.03)
        True
    """
    counters = mix(keys).unsqueeze(-1) + torch.arange(width, device=keys.device)
    uniform = (_shift(mix(counters), 64 - _UNIFORM_BITS).float() + 0.5) / 2**_UNIFORM_BITS
    return -torch.log(-torch.log(uniform))
