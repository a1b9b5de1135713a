"""TextDetector: texts in, p-values out, with the model they are read by."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int

from msma._types import Pair
from msma._types import Stack as StackName
from msma.corpora import group_duplicates
from msma.detection.detector import AnomalyDetector
from msma.detection.reading import TextReader, check_texts, take_model
from msma.detection.storing import read_detector, write_detector
from msma.errors import CorpusError, OriginError, StorageError
from msma.scales import ScalePartition
from msma.states import HiddenStates


class TextDetector:
    """A detector bound to a model: says how unusual a text's way through the scales is, among clean texts.

    Made by :meth:`fit` or :meth:`load`. A text costs one forward pass and a few products of matrices::

        detector = TextDetector.fit(model, clean_texts)
        detector.save("detector.safetensors")

        detector = TextDetector.load("detector.safetensors", model)  # in a service
        p = detector.p_values(["a text to judge"])

    Args:
        detector: Fitted on the three scales side by side.
        reader: Reads texts with the model.
        partition: Which layers belong to which scale.
        provenance: What the detector was fitted on.
    """

    def __init__(
        self,
        detector: AnomalyDetector,
        reader: TextReader,
        partition: ScalePartition,
        provenance: Mapping[str, Any],
    ) -> None:
        self.detector = detector
        self.reader = reader
        self.partition = partition
        self.provenance = dict(provenance)

    def __repr__(self) -> str:
        return (
            f"TextDetector({self.provenance['model']}: {self.partition}, {self.provenance['n_texts']} clean texts, "
            f"alpha={self.detector.alpha:g})"
        )

    @classmethod
    def fit(
        cls,
        model: Any,
        texts: Sequence[str],
        *,
        partition: ScalePartition | None = None,
        documents: Sequence[Any] | None = None,
        alpha: float = 0.05,
        tokenizer: Any = None,
        stack: StackName = "auto",
        max_tokens: int | None = None,
        seed: int = 0,
        **params: Any,
    ) -> Self:
        """Fit on clean texts of the kind and length that will be judged.

        Args:
            model: Name, folder, transformers model or ``LoadedModel``.
            texts: Clean texts.
            partition: Which layers belong to which scale; thirds when left out.
            documents: The document of each text; every one its own when left out, copies together.
            alpha: Share of clean texts that may be flagged.
            tokenizer: The model's own when left out.
            stack: Stack of an encoder-decoder.
            max_tokens: Tokens after which a text is cut; the model's own limit, at most 512, when left out.
            seed: Fixes which texts maps, covariance and calibration get.
            **params: Further parameters of :class:`AnomalyDetector` (``map``, ``pairs``, ``shrinkage``,
                ``fractions``).

        Returns:
            A fitted detector.

        Raises:
            CorpusError: When texts and documents do not match, or a text has no token.
            ConfigError: When too few texts are left for calibration at this ``alpha``.
            ScaleError: When the partition is for another number of layers.
        """
        names = (
            [str(i) for i in range(len(check_texts(texts)))] if documents is None else [*map(str, documents)]
        )
        if len(names) != len(texts):
            raise CorpusError(
                f"{len(names)} documents came for {len(texts)} texts; give the document of each text"
            )
        detector = AnomalyDetector(alpha=alpha, seed=seed, **params)
        reader = TextReader(take_model(model, tokenizer=tokenizer), stack=stack, max_tokens=max_tokens)
        partition = ScalePartition.thirds(reader.stack.n_layers) if partition is None else partition
        groups = group_duplicates(names, texts)
        detector.fit(reader.read(texts, partition), groups=groups)
        provenance = {
            "model": reader.loaded.name,
            "revision": reader.loaded.revision,
            "fingerprint": reader.fingerprint,
            "probe": reader.probe,
            "stack": stack,
            "max_tokens": reader.max_tokens,
            "boundaries": list(partition.boundaries),
            "n_layers": partition.n_layers,
            "n_texts": len(texts),
            "n_documents": len(set(groups)),
            "texts": _fingerprint_texts(texts),
            "seed": seed,
        }
        return cls(detector, reader, partition, provenance)

    def score(self, texts: Sequence[str]) -> Float[np.ndarray, " texts"]:
        """Score texts.

        Args:
            texts: The texts.

        Returns:
            Minus the surprise of all pairs of scales, in nats: 0 or less, higher is more normal.
        """
        return self.detector.score_samples(self.reader.read(texts, self.partition))

    def p_values(self, texts: Sequence[str]) -> Float[np.ndarray, " texts"]:
        """Compute conformal p-values.

        Args:
            texts: The texts.

        Returns:
            In (0, 1]; P(p <= alpha) <= alpha for texts exchangeable with the clean ones.
        """
        return self.detector.calibration_.p_values(self.score(texts))

    def predict(self, texts: Sequence[str]) -> Int[np.ndarray, " texts"]:
        """Flag texts whose p-value is at most ``alpha``.

        Args:
            texts: The texts.

        Returns:
            -1 for anomalies, 1 for the rest.
        """
        return self.detector.predict(self.reader.read(texts, self.partition))

    def explain(self, texts: Sequence[str]) -> dict[Pair, Float[np.ndarray, " texts"]]:
        """Say which step between scales is broken.

        Args:
            texts: The texts.

        Returns:
            Surprise in nats of each pair of scales; see :meth:`AnomalyDetector.explain`.
        """
        return self.detector.explain(self.reader.read(texts, self.partition))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the detector, without the model, as one safetensors file.

        Args:
            path: The file.

        Returns:
            The path written.
        """
        return write_detector(path, self.detector, facts=self.provenance)

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: Any, *, tokenizer: Any = None) -> Self:
        """Read what :meth:`save` wrote and bind it to its model.

        Args:
            path: The file.
            model: The model it was fitted on: name, folder, transformers model or ``LoadedModel``.
            tokenizer: The model's own when left out.

        Returns:
            A detector that gives the same scores.

        Raises:
            OriginError: When it is another model.
            StorageError: When the file is missing, damaged or holds no detector of texts.
        """
        detector, facts = read_detector(path)
        missing = {"model", "fingerprint", "stack", "max_tokens", "boundaries", "n_layers"} - facts.keys()
        if missing:
            raise StorageError(
                f"'{path}' holds a detector of states, bound to no model; read it with AnomalyDetector.load"
            )
        loaded = take_model(model, tokenizer=tokenizer)
        reader = TextReader(loaded, stack=facts["stack"], max_tokens=facts["max_tokens"])
        if reader.fingerprint != facts["fingerprint"]:
            raise OriginError(
                f"a detector fitted on '{facts['model']}' came for '{loaded.name}', whose weights differ; give the "
                "model it was fitted on, or fit a detector on this one"
            )
        if reader.probe != facts.get("probe", reader.probe):
            raise OriginError(
                f"a detector fitted on '{facts['model']}' came with another tokenizer than it was fitted with; give "
                "that one: tokenizer=..."
            )
        first, second = facts["boundaries"]
        partition = ScalePartition(n_layers=facts["n_layers"], boundaries=(first, second))
        return cls(detector, reader, partition, facts)


def _fingerprint_texts(texts: Sequence[str]) -> str:
    """Hash texts as states do, so that the two can be compared."""
    return HiddenStates.from_arrays(np.zeros((1, len(texts), 1)), texts=texts).fingerprint
