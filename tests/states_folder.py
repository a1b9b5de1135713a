"""A small folder of states, written by one function that goes on where it was stopped."""

import numpy as np

from msma.shards import AttentionSummary, Origin, Shard
from msma.states import StatesWriter

ORIGIN = Origin(model="m", n_layers=3, d_model=2)
#: Samples of each shard; one of them is empty.
SIZES = (6, 0, 5)


def make_shard(start, n, *, n_layers=3, d_model=2):
    """A run of samples whose states say which sample and layer they are of."""
    values = np.arange(start, start + n, dtype=np.float32)
    states = (
        np.broadcast_to(values[None, :, None], (n_layers, n, d_model))
        + np.arange(n_layers)[:, None, None] * 100
    )
    return Shard(
        states=states.astype(np.float32),
        texts=[f"text {i}" for i in range(start, start + n)],
        documents=[str(i // 2) for i in range(start, start + n)],
        lengths=np.arange(start, start + n),
        truncated=np.arange(start, start + n) % 3 == 0,
        labels={"parity": [i % 2 for i in range(start, start + n)]},
        positions=np.arange(start, start + n),
    )


def make_attention(texts):
    row = np.asarray(texts, dtype=np.float32)[None]
    names = ("distance", "distance_raw", "distance_uniform", "entropy", "entropy_uniform", "sink_share")
    return AttentionSummary(**dict.fromkeys(names, row), texts=np.asarray(texts))


def fill(folder):
    """Write the folder, or what is missing of it or damaged; returns the numbers of the shards made."""
    writer = StatesWriter(folder, ORIGIN, settings={"window": 4})
    made, start = [], 0
    for number, n in enumerate(SIZES):
        if not writer.is_whole(number):
            if writer.has_shard(number):
                writer.discard_shard(number)
            writer.write_shard(number, make_shard(start, n), {"n_cut": number, "records": f"hash {start}"})
            made.append(number)
        start += n
    writer.close(attention=make_attention([1, 4]), n_shards=len(SIZES))
    return made


def read_bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
