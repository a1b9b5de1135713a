"""One number a scale, along a direction that means something: the text's own, a component's, or a label's."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import eigh

from msma._types import SCALES, Scale
from msma.detection.whitening import Whitening
from msma.errors import ConfigError, ShapeError
from msma.explanation.corpus import StudyCorpus
from msma.explanation.reading import TextReading
from msma.linalg import symmetrise

OWN = "own"
N_COMPONENTS = 5
#: A column with more values than this names texts rather than sorts them.
_MOST_VALUES = 30
#: Fewer samples than this do not place a value's mean.
_FEWEST_SAMPLES = 10
#: A spread below this share of the size of the states is rounding.
_ROUNDING = 1e-7


@dataclass(frozen=True, kw_only=True, eq=False)
class Coordinate:
    r"""A direction at each scale, with where it starts and its unit.

    .. math:: F_s(z) = u_s^\top (z - \mu_s) / \sigma_s

    Args:
        name: What it runs along.
        axes: :math:`u_s`, of length 1.
        origins: :math:`\mu_s`, the mean of the training samples.
        spreads: :math:`\sigma_s`, standard deviation of the training samples along the axis.

    Examples:
        >>> one = {scale: np.array([2.0, 0.0]) for scale in SCALES}
        >>> axes = {scale: np.array([1.0, 0.0]) for scale in SCALES}
        >>> made = Coordinate(name="first", axes=axes, origins=one, spreads=dict.fromkeys(SCALES, 0.5))
        >>> made.value("global", np.array([[3.0, 7.0], [2.0, 0.0]])).tolist()
        [2.0, 0.0]
    """

    name: str
    axes: Mapping[Scale, Float[np.ndarray, " d"]]
    origins: Mapping[Scale, Float[np.ndarray, " d"]]
    spreads: Mapping[Scale, float]

    def value(self, scale: Scale, states: Float[np.ndarray, "rows d"]) -> Float[np.ndarray, " rows"]:
        """Place states along the axis.

        Args:
            scale: Their scale.
            states: One a row.

        Returns:
            Standard deviations of the training samples from their mean.
        """
        return np.asarray((states - self.origins[scale]) @ self.axes[scale] / self.spreads[scale])


def list_coordinates(corpus: StudyCorpus) -> tuple[str, ...]:
    """Name what coordinates can run along in a study.

    Args:
        corpus: The study.

    Returns:
        "own", "component 1" and so on, and "column=value" for labels that are words, of at most 30 values a column,
        where at least 10 training samples have the value and as many have another.
    """
    return (OWN, *_component_names(corpus), *_label_names(corpus))


def make_coordinate(corpus: StudyCorpus, name: str, reading: TextReading) -> Coordinate:
    r"""Make a coordinate of each scale.

    "own" runs along the text's own departure from the corpus, :math:`z_s - \mu_s`. "component k" runs along the k-th
    principal axis of the training samples; its sign is the one that makes their third moment positive, so that it does
    not depend on the text. "column=value" runs along the linear discriminant of the value's training samples against
    the others, with shrunk correlations (see :class:`msma.detection.whitening.Whitening`): on the validation samples
    of the two demonstration studies it told a label better than the plain difference of means at 16 of 18 scales and
    columns.

    Args:
        corpus: The study.
        name: One of :func:`list_coordinates`.
        reading: The text.

    Returns:
        The coordinate; larger is more of what its name says.

    Raises:
        ConfigError: When there is none of that name.
        ShapeError: When the training samples do not vary along it.
    """
    if name == OWN:
        pooled = reading.pooled
        return _complete(corpus, name, {scale: pooled[scale] - corpus.means[scale] for scale in SCALES})
    if name in _component_names(corpus):
        number = int(name.split()[1])
        return _complete(
            corpus, name, {scale: _principal_axis(corpus.train[scale], number) for scale in SCALES}
        )
    labels = _label_names(corpus)
    if name in labels:
        column, value = labels[name]
        has_value = np.array([label == value for label in corpus.splits.train.labels[column]])
        axes = {scale: _discriminant_axis(corpus.train[scale], has_value) for scale in SCALES}
        return _complete(corpus, name, axes)
    known = list_coordinates(corpus)
    near = get_close_matches(str(name), known, n=1, cutoff=0.0)
    raise ConfigError(
        f"coordinate '{name}' came; did you mean '{near[0]}'? This study has {len(known)}: 'own', components, and "
        "'column=value' for labels of at least 10 training samples"
    )


def _component_names(corpus: StudyCorpus) -> tuple[str, ...]:
    most = min(N_COMPONENTS, corpus.states.d_model, corpus.splits.train.n_samples - 1)
    return tuple(f"component {number}" for number in range(1, most + 1))


def _label_names(corpus: StudyCorpus) -> dict[str, tuple[str, str]]:
    """Give column and value of each name; a column's name may itself hold '='."""
    found = {}
    for column, labels in corpus.splits.train.labels.items():
        if not all(label is None or isinstance(label, str) for label in labels):
            continue
        values = sorted({label for label in labels if label is not None})
        if len(values) > _MOST_VALUES:
            continue
        for value in values:
            count = labels.count(value)
            if min(count, len(labels) - count) >= _FEWEST_SAMPLES:
                found[f"{column}={value}"] = (column, value)
    return found


def _principal_axis(samples: Float[np.ndarray, "samples d"], number: int) -> Float[np.ndarray, " d"]:
    centred = samples - samples.mean(axis=0)
    width = centred.shape[1]
    _, vectors = eigh(symmetrise(centred.T @ centred), subset_by_index=[width - number, width - number])
    axis = vectors[:, 0]
    skew = ((centred @ axis) ** 3).sum()
    return np.asarray(axis if skew >= 0 else -axis)


def _discriminant_axis(
    samples: Float[np.ndarray, "samples d"], has_value: Bool[np.ndarray, " samples"]
) -> Float[np.ndarray, " d"]:
    """Whiten the difference of two means by what varies within the two."""
    inside, outside = samples[has_value].mean(axis=0), samples[~has_value].mean(axis=0)
    within = samples - np.where(has_value[:, None], inside, outside)
    sizes = np.sqrt((samples**2).mean(axis=0))
    # MiniLM's last layer has a dimension of 1e-32: its own size does not tell it from rounding, that of others does.
    whitening = Whitening.from_rows(within, sizes=np.maximum(sizes, np.median(sizes)))
    axis = np.zeros(samples.shape[1])
    axis[whitening.columns] = whitening.matrix @ (whitening.matrix.T @ (inside - outside)[whitening.columns])
    return axis


def _complete(corpus: StudyCorpus, name: str, axes: Mapping[Scale, Float[np.ndarray, " d"]]) -> Coordinate:
    """Bring axes to length 1 and measure how far the training samples spread along them."""
    units, spreads = {}, {}
    for scale in SCALES:
        samples, norm = corpus.train[scale], float(np.linalg.norm(axes[scale]))
        units[scale] = axes[scale] / (norm or 1.0)
        spreads[scale] = float((samples @ units[scale]).std())
        if spreads[scale] <= _ROUNDING * float(np.sqrt((samples**2).mean())):
            raise ShapeError(
                f"{len(samples)} training samples do not vary along '{name}' at the {scale} scale, so that there is no "
                "unit to measure it in; take another coordinate, or a study of more texts"
            )
    return Coordinate(name=name, axes=units, origins=corpus.means, spreads=spreads)
