"""Ordinary texts: what a model should go on handling as before, and how well it does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from msma._types import Stack as StackName
from msma.corpora import Document
from msma.errors import CorpusError
from msma.extraction import extract
from msma.models import LoadedModel

_FEWEST = 12
_MOST_CLASSES, _FEWEST_A_CLASS = 20, 8


@dataclass(frozen=True, eq=False)
class OrdinaryTexts:
    """Texts in three parts by document, and a label to probe where there is one.

    Args:
        reference: Texts that tell the eraser which changes are dear.
        train: Texts that the probe of the task is trained on.
        test: Texts that costs are measured on.
        task: Name of the label; ``None`` where there is none.
        train_labels: Its values.
        test_labels: Its values.
    """

    reference: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]
    task: str | None
    train_labels: tuple[Any, ...]
    test_labels: tuple[Any, ...]

    @classmethod
    def from_documents(
        cls,
        documents: Sequence[Document],
        *,
        label: str | None = None,
        most: int = 300,
        seed: int = 0,
    ) -> "OrdinaryTexts":
        """Divide documents into three parts of equal size.

        Args:
            documents: The documents.
            label: Column that the task is about; the first that can be probed when left out.
            most: Documents kept; drawn at random.
            seed: Fixes the draw.

        Returns:
            The parts.

        Raises:
            CorpusError: When there are too few documents, or the label cannot be probed.
        """
        order = np.random.default_rng([seed, 8]).permutation(len(documents))[:most]
        chosen = [documents[i] for i in order if documents[i].text.strip()]
        # Documents that share an id stay on one side; a draw without order leaves them next to each other.
        names = {name: number for number, name in enumerate(dict.fromkeys(d.id for d in chosen))}
        if len(names) < _FEWEST:
            raise CorpusError(
                f"{len(names)} documents came; expected {_FEWEST} or more, and hundreds are better"
            )
        parts: list[list[Document]] = [[], [], []]
        for document in chosen:
            parts[3 * names[document.id] // len(names)].append(document)
        task = _find_task(parts[1], parts[2], label)
        return cls(
            reference=tuple(d.text for d in parts[0]),
            train=tuple(d.text for d in parts[1]),
            test=tuple(d.text for d in parts[2]),
            task=task,
            train_labels=tuple(d.labels.get(task) for d in parts[1]) if task else (),
            test_labels=tuple(d.labels.get(task) for d in parts[2]) if task else (),
        )

    @property
    def test_documents(self) -> Int[np.ndarray, " texts"]:
        """A number for each test text."""
        return np.arange(len(self.test))

    @property
    def task_documents(self) -> Int[np.ndarray, " texts"]:
        """A number for each test text that has a label known in training."""
        return np.arange(len(self._known))

    @property
    def _known(self) -> list[int]:
        seen = set(self.train_labels)
        return [i for i, value in enumerate(self.test_labels) if value is not None and value in seen]

    def describe(self) -> Mapping[str, Any]:
        """Say how many texts there are and what the task is.

        Returns:
            Numbers by part.
        """
        sizes = {name: len(getattr(self, name)) for name in ("reference", "train", "test")}
        return {**sizes, "task": self.task}


def _find_task(train: Sequence[Document], test: Sequence[Document], label: str | None) -> str | None:
    names = list(dict.fromkeys(name for document in train for name in document.labels))
    if label is not None and label not in names:
        raise CorpusError(f"label '{label}' was asked for; these documents have {', '.join(names) or 'none'}")
    for name in names if label is None else [label]:
        values = [d.labels.get(name) for d in train if d.labels.get(name) is not None]
        classes = set(values)
        is_number = any(isinstance(value, float) for value in classes)
        is_known = any(d.labels.get(name) in classes for d in test)
        is_plenty = label is not None or len(values) >= _FEWEST_A_CLASS * len(classes)
        if 2 <= len(classes) <= _MOST_CLASSES and is_plenty and is_known and not is_number:
            return name
    if label is not None:
        raise CorpusError(
            f"label '{label}' cannot be probed; one needs 2 to {_MOST_CLASSES} values that are no fractions"
        )
    return None


def read_task(
    loaded: LoadedModel, ordinary: OrdinaryTexts, *, stack: StackName = "auto", seed: int = 0
) -> Float[np.ndarray, " texts"] | None:
    """Tell for which test texts a probe at the last layer entry gets the label right, as the model runs now.

    Args:
        loaded: The model.
        ordinary: The texts.
        stack: Stack of an encoder-decoder.
        seed: Fixes nothing that can be seen; kept for the solver.

    Returns:
        1 where it is right, else 0; ``None`` where there is no task.

    Raises:
        CorpusError: When a text has no token.
    """
    if ordinary.task is None:
        return None
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    states = extract(
        loaded.network,
        [*ordinary.train, *ordinary.test],
        tokenizer=loaded.tokenizer,
        stack=stack,
        attention_texts=0,
    )
    if len(states) != len(ordinary.train) + len(ordinary.test):
        raise CorpusError(
            f"{len(ordinary.train) + len(ordinary.test) - len(states)} ordinary texts have no token; leave them out"
        )
    last = states.layer(states.n_layers - 1).astype(np.float64)
    n = len(ordinary.train)
    known = [i for i, value in enumerate(ordinary.train_labels) if value is not None]
    labels = np.array([str(ordinary.train_labels[i]) for i in known])
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, random_state=seed))
    probe.fit(last[known], labels)
    index = ordinary._known
    wanted = np.array([str(ordinary.test_labels[i]) for i in index])
    return np.asarray((probe.predict(last[n:][index]) == wanted).astype(np.float64))
