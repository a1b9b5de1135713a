"""Which training pairs a learned map is stopped by: whole documents, and no row that training saw too."""

import hashlib
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from msma.errors import ShapeError
from msma.linalg import as_numpy, check_pairs

__all__ = ["Holdout", "check_validation", "split_holdout"]

#: Fewer validation rows than this tell nothing.
FEWEST_VALIDATION = 8


class Holdout(NamedTuple):
    """Rows to train on and rows to stop by.

    Args:
        train: Row numbers.
        validation: Row numbers; empty where the samples are too few to be divided.
        note: Why rows were left out or nothing was divided; empty where there is nothing to say.
    """

    train: Int[np.ndarray, " n_train"]
    validation: Int[np.ndarray, " n_validation"]
    note: str


def hash_rows(rows: Float[np.ndarray, "samples d"]) -> Int[np.ndarray, " samples"]:
    """Give equal rows equal numbers.

    Args:
        rows: Samples.

    Returns:
        One 64-bit integer a row.

    Examples:
        >>> codes = hash_rows(np.array([[0.0, 1.0], [2.0, 3.0], [-0.0, 1.0]]))
        >>> bool(codes[0] == codes[2]), bool(codes[0] == codes[1])
        (True, False)
    """
    plain = np.ascontiguousarray(rows + 0.0)  # -0.0 equals 0.0 but has other bits
    digests = (hashlib.blake2b(row.data, digest_size=8).digest() for row in plain)
    return np.frombuffer(b"".join(digests), dtype=np.int64)


def split_holdout(
    X: Float[np.ndarray, "samples d_source"], *, groups: Any, fraction: float, seed: int
) -> Holdout:
    """Hold whole documents out, so that training never sees a neighbour of a validation row.

    Without documents every distinct row is its own; equal rows stay together. With documents, a held-out row
    that training has too (boilerplate) is left out of validation.

    Args:
        X: Source samples.
        groups: The document of each row, or ``None``.
        fraction: Share of the rows to hold out.
        seed: Fixes which.

    Returns:
        The division; without validation rows, and a note, where the samples do not suffice.

    Raises:
        ShapeError: When there are not as many documents as rows.

    Examples:
        >>> X = np.arange(100.0)[:, None]
        >>> found = split_holdout(X, groups=np.arange(100) // 5, fraction=0.1, seed=0)
        >>> len(found.train), len(found.validation)
        (90, 10)
    """
    codes = hash_rows(X)
    documents = codes if groups is None else _check_groups(groups, len(X))
    whole = np.arange(len(X))
    names, first, group_of, sizes = np.unique(
        documents, return_index=True, return_inverse=True, return_counts=True
    )
    # In the order in which they come: what a document is called must not matter.
    by_place = np.argsort(first)
    order = by_place[np.random.default_rng(seed).permutation(len(names))]
    before = np.cumsum(sizes[order]) - sizes[order]
    held = order[before < fraction * len(X)]
    if len(held) == len(names):  # the last document must stay
        held = held[:-1]
    is_held = np.isin(group_of, held)
    is_seen = is_held & np.isin(codes, codes[~is_held])
    train, validation = np.flatnonzero(~is_held), np.flatnonzero(is_held & ~is_seen)
    if len(validation) < FEWEST_VALIDATION or len(train) < FEWEST_VALIDATION:
        needed = int(np.ceil(FEWEST_VALIDATION / fraction))
        what = f"{len(X)} samples in {len(names)} {'documents' if groups is not None else 'distinct rows'}"
        note = (
            f"{what} are too few to hold out {FEWEST_VALIDATION} for validation, so the base map stands alone; "
            f"about {needed} samples in 10 documents or more would do"
        )
        return Holdout(whole, whole[:0], note)
    count = int(is_seen.sum())
    note = f"{count} held-out rows equal to training rows were left out of validation" if count else ""
    return Holdout(train, validation, note)


def _check_groups(groups: Any, n: int) -> np.ndarray:
    documents = np.asarray(as_numpy(groups))
    if documents.shape != (n,):
        raise ShapeError(
            f"groups came with shape {documents.shape}; expected ({n},), the document of each row"
        )
    return documents


def check_validation(
    validation: Any, X: Float[np.ndarray, "samples d_source"], *, d_target: int
) -> tuple[Float[np.ndarray, "n_validation d_source"], Float[np.ndarray, "n_validation d_target"]]:
    """Validate pairs given to stop by, and refuse rows that are trained on.

    Args:
        validation: Source and target samples.
        X: Source samples trained on.
        d_target: Width of the target trained on.

    Returns:
        Both as float64 matrices.

    Raises:
        ShapeError: When they are no pairs, too few, of other widths, or shared with training.
    """
    try:
        source, target = validation
    except (TypeError, ValueError) as error:
        raise ShapeError(
            f"validation came as {type(validation).__name__}; expected a pair (source, target) of matrices"
        ) from error
    target = as_numpy(target)
    source, target = check_pairs(source, target[:, None] if target.ndim == 1 else target)
    widths = source.shape[1], target.shape[1]
    if widths != (X.shape[1], d_target):
        raise ShapeError(
            f"validation came {widths[0]} -> {widths[1]} wide; expected {X.shape[1]} -> {d_target}, as in training"
        )
    if len(source) < FEWEST_VALIDATION:
        raise ShapeError(f"{len(source)} validation rows came; expected {FEWEST_VALIDATION} or more")
    codes, seen = hash_rows(source), hash_rows(X)
    shared = np.flatnonzero(np.isin(codes, seen))
    if len(shared):
        first = int(shared[0])
        twin = int(np.flatnonzero(seen == codes[first])[0])
        raise ShapeError(
            f"{len(shared)} of {len(source)} validation rows equal training rows, the first being validation row "
            f"{first}, equal to training row {twin}; give rows that are not trained on"
        )
    return source, target
