"""What the explorer needs of an explainer, and what it shows of a study before any text is explained."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from msma._types import SCALES, Stack
from msma.errors import MsmaError
from msma.explanation.checking import UncheckedExplanation
from msma.explanation.corpus import StudyCorpus
from msma.models import LoadedModel
from msma.reporting.clouds import lay_out, shorten
from msma.scales import ScalePartition
from msma.states import HiddenStates
from msma.storage import read_json

#: Texts of the corpus to pick from, and characters of each that the list shows.
_MOST_PICKS, _SHOWN = 400, 90
#: Labels that a state can be moved towards: samples that one must have, and how many values are offered.
_LEAST_SAMPLES, _MOST_VALUES = 8, 60


class TextExplainer(Protocol):
    """Explains texts against a study; see :class:`msma.explanation.Explainer`."""

    @property
    def study(self) -> Path:
        """Folder of the study."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def partition(self) -> ScalePartition:
        """Which layers belong to which scale."""

    @property
    def directions(self) -> tuple[str, ...]:
        """What a coordinate can run along."""

    @property
    def methods(self) -> tuple[str, ...]:
        """How tokens can be scored."""

    @property
    def stack(self) -> Stack:
        """The stack that the scales are of."""

    loaded: LoadedModel
    corpus: StudyCorpus

    def begin(
        self, text: str, *, direction: str = "own", methods: Sequence[str] = ()
    ) -> UncheckedExplanation:
        """Explain a text, and leave the check of its token scores for later."""


def describe_study(explainer: TextExplainer) -> dict[str, Any]:
    """Say what the page shows before a text is explained.

    Args:
        explainer: Explains texts against the study.

    Returns:
        Names, scales, clouds, texts to pick from, directions, and the values that states can be moved towards.
    """
    partition = explainer.partition
    return {
        "name": explainer.name,
        "study": explainer.study.name,
        "scales": [
            {"name": scale, "layers": [partition[scale][0], partition[scale][-1]]} for scale in SCALES
        ],
        "directions": list(explainer.directions),
        "examples": list_picks(explainer.corpus),
        "clouds": read_clouds(explainer.study),
        "towards": list_values(explainer.corpus.splits.train),
    }


def list_picks(corpus: StudyCorpus) -> list[dict[str, str]]:
    """List whole texts of the test split to pick from.

    Args:
        corpus: The study's texts.

    Returns:
        The whole text, its beginning, and the labels that all its samples share.
    """
    test = corpus.splits.test
    shared: dict[str, dict[str, Any]] = {}
    for i, document in enumerate(test.document_ids):
        labels = {name: column[i] for name, column in test.labels.items() if isinstance(column[i], str)}
        known = shared.setdefault(document, labels)
        shared[document] = {name: value for name, value in known.items() if labels.get(name) == value}
    return [
        {
            "text": text,
            "short": shorten(text, longest=_SHOWN),
            "labels": " · ".join(shared[document].values()),
        }
        for document, text in corpus.whole_texts(test, most=_MOST_PICKS)
    ]


def list_values(states: HiddenStates) -> list[dict[str, str]]:
    """List the label values that enough samples have, and enough have not, to point from one set to the other.

    Args:
        states: Samples with labels.

    Returns:
        Column and value, the commonest of a column first.
    """
    found = []
    for column, values in states.labels.items():
        counts = Counter(map(str, values))
        found += [
            {"column": column, "value": value}
            for value, count in counts.most_common()
            if min(count, states.n_samples - count) >= _LEAST_SAMPLES
        ]
    return found[:_MOST_VALUES]


def read_clouds(study: Path) -> dict[str, Any] | None:
    """Read the clouds of the test texts.

    Args:
        study: Folder of the study.

    Returns:
        Positions by scale, mapped positions, and the groups that labels make; ``None`` where the study has none.
    """
    try:
        clouds: Mapping[str, Any] = read_json(study / "clouds.json")
        return {
            "points": clouds["points"],
            "mapped": clouds["mapped"],
            "note": clouds.get("note") or "",
            "groupings": lay_out(clouds)["groupings"],
        }
    except (MsmaError, KeyError, TypeError, ValueError):
        return None
