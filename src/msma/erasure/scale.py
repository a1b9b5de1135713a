"""What takes a concept out of one scale of a model: used live, saved, loaded into another session."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from msma.errors import OriginError, StorageError
from msma.interventions import Acting, AffineProjection, Erasure, intervene
from msma.interventions.sites import find_sites
from msma.models import LoadedModel
from msma.storage import open_tensors, verify_tensors, write_tensors

_PARTS = ("mean", "left", "right")


@dataclass(frozen=True, eq=False)
class ScaleEraser:
    """An erasure fitted on one scale of one model; see :func:`msma.erasure.fit_eraser`.

    Args:
        erasure: What is done at each layer.
        scale: The scale, or "layers" where layers were given by number.
        layers: Layer entries of the scale; those without a trace of the concept are left alone.
        method: "leace" or "projection".
        name: What is erased.
        provenance: Model, fingerprint, number of texts.
    """

    erasure: Erasure
    scale: str
    layers: tuple[int, ...]
    method: str = "leace"
    name: str = "concept"
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        ranks = [len(part.right) for part in self.erasure.projections.values()]
        return f"{self.method} eraser of {self.name} at the {self.scale} scale: {len(ranks)} layers, rank {max(ranks)}"

    @contextmanager
    def acting(self, model: Any, *, strength: float | None = None) -> Iterator[Acting]:
        """Erase in whatever runs the model inside: a forward pass, ``extract``, ``generate``, a pipeline.

        Args:
            model: The model it was fitted on, as transformers gives it or ``load_model``.
            strength: Share that is taken out; the eraser's own, 1 by default.

        Yields:
            What is being done, with the relative norm of the change.

        Raises:
            OriginError: When it is another model.
        """
        network = model.network if isinstance(model, LoadedModel) else model
        self.check_origin(network)
        erasure = self.erasure if strength is None else replace(self.erasure, strength=strength)
        stack = self.provenance.get("stack", "auto")
        with intervene(
            network, None, sorted(erasure.projections), erasure, stack=stack, is_measured=True
        ) as acting:
            yield acting

    def at(self, strength: float) -> "ScaleEraser":
        """Give the same eraser at another strength.

        Args:
            strength: Share that is taken out.

        Returns:
            The eraser.
        """
        return replace(self, erasure=replace(self.erasure, strength=strength))

    def check_origin(self, network: Any) -> None:
        """Refuse a model whose weights differ from those it was fitted on.

        Args:
            network: A transformers model.

        Raises:
            OriginError: When they differ.
        """
        known = self.provenance.get("fingerprint")
        stack = find_sites(network, stack=self.provenance.get("stack", "auto")).stack
        if known is not None and LoadedModel(network, None, "", None).fingerprint(stack.module) != known:
            raise OriginError(
                f"an eraser fitted on '{self.provenance.get('model')}' came for a model whose weights differ; "
                "give the model it was fitted on, or fit it anew"
            )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the eraser as safetensors.

        Args:
            path: The file.

        Returns:
            The path written.
        """
        arrays = {
            f"{part}.{layer}": np.asarray(values, dtype=np.float32)
            for layer, projection in self.erasure.projections.items()
            for part, values in zip(_PARTS, projection, strict=True)
        }
        facts = {
            "strength": self.erasure.strength,
            "scale": self.scale,
            "layers": list(self.layers),
            "method": self.method,
            "name": self.name,
            "provenance": dict(self.provenance),
        }
        return write_tensors(path, arrays, metadata={"content": "msma eraser", "facts": json.dumps(facts)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            path: The file.

        Returns:
            An eraser that does the same, up to single precision.

        Raises:
            StorageError: When the file is missing, damaged or holds no eraser.
        """
        arrays, metadata = open_tensors(path)
        verify_tensors(path)
        try:
            facts = json.loads(metadata["facts"])
            numbers = sorted({int(name.split(".")[1]) for name in arrays})
            projections = {
                layer: AffineProjection(*(np.array(arrays[f"{part}.{layer}"]) for part in _PARTS))
                for layer in numbers
            }
            return cls(
                erasure=Erasure(projections, facts["strength"]),
                scale=facts["scale"],
                layers=tuple(facts["layers"]),
                method=facts["method"],
                name=facts["name"],
                provenance=facts["provenance"],
            )
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise StorageError(
                f"'{path}' holds no eraser ({error}); give a file written by ScaleEraser.save"
            ) from error
