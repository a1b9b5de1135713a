"""Labelled states of a part of the texts, and the checks of everything that a probe is given."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from msma.errors import CorpusError, ShapeError
from msma.linalg import as_numpy, check_samples


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledStates:
    """States of some texts at each scale, what each text is labelled, and which document it is from.

    Args:
        scales: One (samples, d) matrix a scale, all equally wide, shallow to deep.
        labels: A label a sample.
        documents: The document of each sample; every one its own when left out.
        residuals: (samples, scales), how far each scale lies from what the other scales let expect; higher is
            stranger. Only gates use it.

    Raises:
        ShapeError: When there is no scale, or shapes do not fit each other, or a number is not finite.
        CorpusError: When labels are missing.

    Examples:
        >>> part = LabelledStates(scales={"local": [[1.0], [2.0]], "global": [[3.0], [4.0]]}, labels=["a", "b"])
        >>> part.side_by_side.tolist(), part.n_scales
        ([[1.0, 3.0], [2.0, 4.0]], 2)
    """

    scales: Mapping[str, Float[np.ndarray, "samples d"]]
    labels: Any
    documents: Any = None
    residuals: Any = None

    def __post_init__(self) -> None:
        if not self.scales:
            raise ShapeError("states of 0 scales came; give a matrix for each scale")
        arrays = {str(name): check_samples(a, name=f"scale '{name}'") for name, a in self.scales.items()}
        shapes = {name: array.shape for name, array in arrays.items()}
        if len(set(shapes.values())) > 1:
            raise ShapeError(
                f"scales came with shapes {shapes}; expected one shape: the same samples and width"
            )
        n_samples = len(next(iter(arrays.values())))
        object.__setattr__(self, "scales", arrays)
        object.__setattr__(self, "labels", check_labels(self.labels, n_samples=n_samples))
        object.__setattr__(self, "documents", number_documents(self.documents, n_samples=n_samples))
        if self.residuals is not None:
            object.__setattr__(
                self, "residuals", check_residuals(self.residuals, shape=(n_samples, len(arrays)))
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_scales(self) -> int:
        """Number of scales."""
        return len(self.scales)

    @property
    def side_by_side(self) -> Float[np.ndarray, "samples columns"]:
        """The scales next to each other in one matrix, in their order."""
        return np.hstack(list(self.scales.values()))

    def extended(self, other: "LabelledStates") -> "LabelledStates":
        """Add samples, for instance perturbed copies; a copy's document is its original's.

        Args:
            other: States of the same scales.

        Returns:
            These samples and then those, without residuals.

        Raises:
            ShapeError: When the scales or their widths differ.
        """
        check_same_scales(self, other, names=("the first states", "the added states"))
        scales = {name: np.vstack([array, other.scales[name]]) for name, array in self.scales.items()}
        return LabelledStates(
            scales=scales,
            labels=np.concatenate([self.labels, other.labels]),
            documents=np.concatenate([self.documents, other.documents]),
        )


def check_same_scales(first: LabelledStates, second: LabelledStates, *, names: tuple[str, str]) -> None:
    """Refuse two sets of states that do not have the same scales in the same order and width.

    Args:
        first: States.
        second: States.
        names: What to call them in an error.

    Raises:
        ShapeError: When they differ.
    """
    shapes = [{name: array.shape[1] for name, array in part.scales.items()} for part in (first, second)]
    if list(shapes[0].items()) != list(shapes[1].items()):
        raise ShapeError(
            f"{names[0]} came with scales and widths {shapes[0]} and {names[1]} with {shapes[1]}; expected the "
            "same: take them from one model and one partition"
        )


def check_labels(labels: Any, *, n_samples: int) -> np.ndarray:
    """Give labels as an array, one a sample and none missing.

    Args:
        labels: Strings, integers or other values that can be sorted.
        n_samples: How many are expected.

    Returns:
        One label a sample.

    Raises:
        ShapeError: When there are more or fewer.
        CorpusError: When one is ``None`` or not a number.

    Examples:
        >>> check_labels(["a", None, "b"], n_samples=3)
        Traceback (most recent call last):
        msma.errors.CorpusError: 1 of 3 labels is missing (the first at sample 1); leave such texts out
    """
    values = as_numpy(labels)
    if values.ndim != 1 or len(values) != n_samples:
        raise ShapeError(f"labels came with shape {values.shape} for {n_samples} samples; give one a sample")
    is_missing = np.array([value is None or value != value for value in values.tolist()], dtype=bool)
    if is_missing.any():
        count = int(is_missing.sum())
        raise CorpusError(
            f"{count} of {n_samples} labels {'is' if count == 1 else 'are'} missing (the first at sample "
            f"{int(is_missing.argmax())}); leave such texts out"
        )
    return values


def number_classes(labels: np.ndarray) -> tuple[np.ndarray, Int[np.ndarray, " samples"]]:
    """Sort the different labels and number each sample's.

    Args:
        labels: Checked labels.

    Returns:
        The classes in order, and each sample's number among them.

    Raises:
        CorpusError: When there are fewer than two classes.

    Examples:
        >>> number_classes(np.array(["b", "a", "b"]))[1].tolist()
        [1, 0, 1]
    """
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        counts = dict(Counter(labels.tolist()))
        raise CorpusError(
            f"labels of {len(classes)} class came ({counts}); a classifier needs at least 2 classes: give texts "
            "of another class too"
        )
    return classes, codes.astype(np.int64)


def encode(labels: np.ndarray, classes: np.ndarray, *, name: str) -> Int[np.ndarray, " samples"]:
    """Number labels by classes that were learned.

    Args:
        labels: Checked labels.
        classes: Sorted classes.
        name: What to call the texts in an error.

    Returns:
        Each sample's number.

    Raises:
        CorpusError: When a label was not learned.
    """
    codes = np.clip(np.searchsorted(classes, labels), 0, len(classes) - 1)
    is_new = classes[codes] != labels
    if is_new.any():
        counts = dict(Counter(labels[is_new].tolist()))
        raise CorpusError(
            f"{name} hold labels that the training texts do not ({counts}); the classes learned are "
            f"{classes.tolist()}: leave such texts out or train on some"
        )
    return codes.astype(np.int64)


def number_documents(documents: Any, *, n_samples: int) -> np.ndarray:
    """Give the document of each sample as an array.

    Args:
        documents: Names or numbers; every sample its own document when ``None``.
        n_samples: How many are expected.

    Returns:
        One document a sample.

    Raises:
        ShapeError: When there are more or fewer.
    """
    if documents is None:
        return np.arange(n_samples)
    values = as_numpy(documents)
    if values.ndim != 1 or len(values) != n_samples:
        raise ShapeError(
            f"documents came with shape {values.shape} for {n_samples} samples; give one a sample"
        )
    return values


def check_residuals(residuals: Any, *, shape: tuple[int, int]) -> Float[np.ndarray, "samples scales"]:
    """Give residual scores as a finite matrix, one column a scale.

    Args:
        residuals: Scores, higher is stranger.
        shape: Samples and scales expected.

    Returns:
        The scores.

    Raises:
        ShapeError: When the shape is another or a score is not finite.
    """
    values = check_samples(residuals, name="residuals")
    if values.shape != shape:
        raise ShapeError(
            f"residuals came with shape {values.shape}; expected {shape}, a row a sample and a column a scale"
        )
    return values
