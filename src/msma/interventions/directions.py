"""Directions to move states along: the difference of two sets of texts, or what a probe reads."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from msma._types import Stack as StackName
from msma.errors import CorpusError, ShapeError, StorageError
from msma.extraction import extract
from msma.models import LoadedModel
from msma.states import HiddenStates
from msma.storage import open_tensors, write_tensors


@dataclass(frozen=True, eq=False)
class Direction:
    """A vector at every layer entry of a model.

    Args:
        vectors: One row a layer entry, in the units of the states.
        name: What it points to.
        provenance: Where it comes from.

    Raises:
        ShapeError: When the vectors are not a finite matrix.
    """

    vectors: Float[np.ndarray, "layers d_model"]
    name: str = "direction"
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if np.ndim(self.vectors) != 2 or not np.isfinite(self.vectors).all():
            raise ShapeError(
                f"vectors of shape {np.shape(self.vectors)} came; expected finite numbers, (layers, d_model)"
            )

    @classmethod
    def between(
        cls,
        model: Any,
        towards: Sequence[str],
        away_from: Sequence[str],
        *,
        tokenizer: Any = None,
        stack: StackName = "auto",
        name: str = "difference",
    ) -> Self:
        r"""Point from one set of texts to another: the difference of their mean states at every layer.

        .. math:: v_l = \frac{1}{n_a} \sum_i z_l(a_i) - \frac{1}{n_b} \sum_j z_l(b_j)

        with z the pooled states (Rimsky et al. 2024; Marks and Tegmark 2024 show that it is also the direction along
        which a linear intervention changes the model most).

        Args:
            model: A model, its name or folder.
            towards: Texts that have what is wanted.
            away_from: Texts that do not.
            tokenizer: The model's own when left out.
            stack: Stack of an encoder-decoder.
            name: What it points to.

        Returns:
            The direction.

        Raises:
            CorpusError: When a set is empty.
        """
        for which, texts in (("towards", towards), ("away_from", away_from)):
            if isinstance(texts, str) or not any(text.strip() for text in texts):
                raise CorpusError(
                    f"no text came in '{which}'; give a list of texts, ten or more for each side"
                )
        if isinstance(model, LoadedModel):
            tokenizer = model.tokenizer if tokenizer is None else tokenizer
            model = model.network
        means = []
        for texts in (towards, away_from):
            states = extract(model, list(texts), tokenizer=tokenizer, stack=stack, attention_texts=0)
            means.append(_layer_means(states))
        provenance = {"kind": "mean difference", "towards": len(towards), "away_from": len(away_from)}
        return cls(means[0] - means[1], name, provenance)

    @classmethod
    def from_probe(cls, states: HiddenStates, label: str, *, towards: Any, strength: float = 0.03) -> Self:
        r"""Point along what a linear probe reads: the normal of a logistic regression at every layer.

        The probe of a label's value against all others, on states standardised by column; its weights are
        brought back to the units of the states and to the length of the difference they stand for.

        Args:
            states: Training states with the label.
            label: The column.
            towards: The value to move to.
            strength: Inverse penalty C of the probe.

        Returns:
            The direction, named "label=value".

        Raises:
            CorpusError: When there is no such label or value, or nothing else beside it.
        """
        from sklearn.linear_model import LogisticRegression

        if label not in states.labels:
            known = ", ".join(states.labels) or "none"
            raise CorpusError(f"label '{label}' was asked for; these states have {known}")
        values = np.asarray([value == towards for value in states.labels[label]])
        if values.all() or not values.any():
            raise CorpusError(
                f"{int(values.sum())} of {len(values)} samples have {label} = {towards!r}; a probe needs samples "
                "with and without it"
            )
        rows = []
        for layer in range(states.n_layers):
            array = states.layer(layer).astype(np.float64)
            spread = array.std(axis=0)
            spread = np.where(spread > 0, spread, 1.0)
            probe = LogisticRegression(C=strength, max_iter=1000).fit(
                (array - array.mean(axis=0)) / spread, values
            )
            normal = probe.coef_[0] / spread
            length = float(np.linalg.norm(normal)) or 1.0
            gap = array[values].mean(axis=0) - array[~values].mean(axis=0)
            rows.append(normal / length * abs(float(gap @ normal)) / length)
        return cls(np.asarray(rows), f"{label}={towards}", {"kind": "probe", "model": states.origin.model})

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the vectors as safetensors.

        Args:
            path: The file.

        Returns:
            The path written.
        """
        arrays = {"vectors": np.ascontiguousarray(self.vectors, dtype=np.float32)}
        return write_tensors(path, arrays, metadata={"name": self.name, "content": "msma direction"})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            path: The file.

        Returns:
            The direction.

        Raises:
            StorageError: When the file is missing or holds no direction.
        """
        arrays, metadata = open_tensors(path)
        if "vectors" not in arrays:
            raise StorageError(f"'{path}' holds no direction; give a file written by Direction.save")
        return cls(np.array(arrays["vectors"]), metadata.get("name", "direction"))


def _layer_means(states: HiddenStates) -> Float[np.ndarray, "layers d_model"]:
    return np.stack([states.layer(k).astype(np.float64).mean(axis=0) for k in range(states.n_layers)])
