"""Coordinates run along what they say they do, in units of the training samples."""

from types import SimpleNamespace

import numpy as np
import pytest

from msma.errors import ConfigError, ShapeError
from msma.explanation.coordinates import list_coordinates, make_coordinate
from planted_explanation import SCALES, make_array_corpus


@pytest.fixture
def corpus(rng):
    """Ten dimensions of unequal spread, the first skewed; "sea" is one step along the last, which is small."""
    n = 200
    states = rng.normal(size=(3, n, 10)) * np.linspace(3.0, 0.5, 10)
    states[..., 0] = 4.0 * rng.exponential(size=(3, n))
    topics = rng.choice(["sea", "law", "sky"], size=n, p=[0.5, 0.48, 0.02])
    states[:, topics == "sea", 9] += 3.0
    return make_array_corpus(
        states,
        topic=topics.tolist(),
        length=list(range(n)),
        name=[f"text {k}" for k in range(n)],
        **{"a=b": rng.choice(["x", "c=d"], size=n).tolist()},
    )


def read_as(corpus, row):
    return SimpleNamespace(pooled={scale: corpus.validation[scale][row] for scale in SCALES})


def test_coordinates_listed_are_those_that_can_be_made(corpus):
    names = list_coordinates(corpus)
    assert names == (
        "own",
        *(f"component {k}" for k in range(1, 6)),
        "topic=law",
        "topic=sea",
        "a=b=c=d",
        "a=b=x",
    )
    for name in names:
        assert make_coordinate(corpus, name, read_as(corpus, 0)).name == name


@pytest.mark.parametrize("name", ["own", "component 2", "topic=sea", "a=b=c=d"])
def test_the_unit_is_a_standard_deviation_of_the_training_samples(corpus, name):
    made = make_coordinate(corpus, name, read_as(corpus, 3))
    for scale in SCALES:
        values = made.value(scale, corpus.train[scale])
        assert np.allclose([values.mean(), values.std(), np.linalg.norm(made.axes[scale])], [0.0, 1.0, 1.0])


def test_own_runs_along_the_text_itself(corpus):
    made = make_coordinate(corpus, "own", read_as(corpus, 1))
    for scale in SCALES:
        departure = corpus.validation[scale][1] - corpus.means[scale]
        length = np.linalg.norm(departure)
        assert np.allclose(made.axes[scale], departure / length)
        value = made.value(scale, corpus.validation[scale][1:2])[0]
        assert np.isclose(value, length / made.spreads[scale])


def test_components_are_principal_axes_whose_sign_no_text_decides(corpus):
    for number in range(1, 6):
        made = [make_coordinate(corpus, f"component {number}", read_as(corpus, row)) for row in (0, 1)]
        for scale in SCALES:
            centred = corpus.train[scale] - corpus.means[scale]
            expected = np.linalg.svd(centred, full_matrices=False)[2][number - 1]
            assert np.isclose(abs(made[0].axes[scale] @ expected), 1.0)
            assert np.array_equal(made[0].axes[scale], made[1].axes[scale])
            assert (made[0].value(scale, corpus.train[scale]) ** 3).sum() > 0


def test_a_label_is_told_by_the_dimension_that_holds_it(corpus):
    made = make_coordinate(corpus, "topic=sea", read_as(corpus, 0))
    is_sea = np.array(corpus.splits.validation.labels["topic"]) == "sea"
    for scale in SCALES:
        assert abs(made.axes[scale]).argmax() == 9
        values = made.value(scale, corpus.validation[scale])
        assert values[is_sea].mean() > 0.5 > -0.5 > values[~is_sea].mean()


def test_a_dimension_of_rounding_tells_no_label(rng):
    states = rng.normal(size=(3, 100, 4))
    states[..., 2] = 1e-30 * rng.normal(size=(3, 100))
    labels = ["sea" if value > 0 else "law" for value in states[2, :, 0]]
    made = make_coordinate(make_array_corpus(states, topic=labels), "topic=sea", None)
    assert all(made.axes[scale][2] == 0.0 for scale in SCALES)
    assert made.axes["global"][0] > 0.9


def test_an_unknown_name_is_answered_with_the_nearest(corpus):
    with pytest.raises(ConfigError, match="'topic=see' came; did you mean 'topic=sea'"):
        make_coordinate(corpus, "topic=see", read_as(corpus, 0))
    with pytest.raises(ConfigError, match="did you mean"):
        make_coordinate(corpus, "topic=sky", read_as(corpus, 0))  # too few samples
    with pytest.raises(ConfigError, match="did you mean 'component"):
        make_coordinate(corpus, "component 6", read_as(corpus, 0))


def test_what_does_not_vary_has_no_unit(rng):
    states = np.zeros((3, 60, 3))
    states[..., :2] = rng.normal(size=(3, 60, 2))
    away = SimpleNamespace(pooled={scale: np.array([0.0, 0.0, 1e12]) for scale in SCALES})
    with pytest.raises(ShapeError, match="do not vary along 'own' at the local scale"):
        make_coordinate(make_array_corpus(states), "own", away)
