"""One shard of states that something else computed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from msma.errors import ShapeError
from msma.shards import Shard


def make_shard(
    states: Float32[np.ndarray, "layers samples d_model"],
    *,
    texts: Sequence[str] | None,
    documents: Sequence[str] | None,
    labels: Mapping[str, Sequence[Any]] | None,
) -> Shard:
    """Check an array and its columns, and put them into a shard.

    Args:
        states: Finite numbers, layer entry by sample by dimension.
        texts: One text a sample; numbered placeholders where there are none.
        documents: The document of each sample; one document a sample where there are none.
        labels: Columns of labels.

    Returns:
        The shard.

    Raises:
        ShapeError: When the array is not three-dimensional and finite, or the columns differ in length.
    """
    array = np.asarray(states, dtype=np.float32)
    if array.ndim != 3:
        raise ShapeError(
            f"an array of {array.ndim} dimensions came; stack states as layers x samples x d_model"
        )
    if not np.isfinite(array).all():
        layer, sample = np.argwhere(~np.isfinite(array))[0][:2]
        raise ShapeError(f"state of sample {sample} at layer {layer} is not finite; remove or repair it")
    n_samples = array.shape[1]
    texts = [f"sample {i}" for i in range(n_samples)] if texts is None else list(texts)
    documents = [str(i) for i in range(n_samples)] if documents is None else [str(d) for d in documents]
    columns = {"texts": texts, "documents": documents, **(labels or {})}
    for name, column in columns.items():
        if len(column) != n_samples:
            raise ShapeError(f"{len(column)} {name} came for {n_samples} samples; give one a sample")
    return Shard(
        states=array,
        texts=texts,
        documents=documents,
        lengths=np.ones(n_samples, dtype=np.int64),
        truncated=np.zeros(n_samples, dtype=bool),
        labels=dict(labels or {}),
        positions=np.arange(n_samples),
    )
