"""Palettes hold for every colour vision: distances, lightness and contrast, on light and on dark pages."""

from itertools import combinations, pairwise

import pytest

from colour_vision import VISIONS, ciede2000, contrast, see
from msma._types import SCALES
from msma.plotting import CATEGORIES, CATEGORY_MARKERS, SCALE_COLOURS
from msma.plotting.inline import DARK, LIGHT
from msma.plotting.style import DIVERGING, RAMP, SCALE_MARKERS, SURFACE

PAGES = {"light": LIGHT, "dark": DARK}
#: Least distance (CIEDE2000) of two colours that mean different things, in whatever vision.
APART = {"scales": 9.5, "labels": 10.0}
#: Least distance of one step of colour to the next, and to the page.
STEP, FROM_PAGE = {"ramp": 2.5, "change": 5.0}, 25.0
#: Least contrast of a mark with the page (WCAG 2.2, 1.4.11) and of text (1.4.3).
MARK, TEXT = 3.0, 4.5


def _palette(page, name):
    keys = {
        "scales": SCALES,
        "labels": [f"label-{number}" for number in range(len(CATEGORIES))],
        "ramp": [f"ramp-{number}" for number in range(len(RAMP))],
        "change": [f"change-{number}" for number in range(len(DIVERGING))],
    }
    return [PAGES[page][key] for key in keys[name]]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [  # from the test data of Sharma, Wu and Dalal (2005)
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_distances_are_those_of_the_standard(first, second, expected):
    assert ciede2000(first, second) == pytest.approx(expected, abs=1e-4)


def test_greys_look_the_same_to_everyone_and_red_and_green_do_not():
    for vision, matrix in VISIONS.items():
        assert matrix.sum(axis=1) == pytest.approx([1.0, 1.0, 1.0], abs=1e-5)
        assert see("#808080", vision) == pytest.approx(see("#808080"), abs=0.01)
    usual = ciede2000(see("#b05020"), see("#6a7a10"))
    assert ciede2000(see("#b05020", "deuteranopia"), see("#6a7a10", "deuteranopia")) < usual / 3


def test_the_light_page_has_the_colours_of_print():
    assert _palette("light", "scales") == list(SCALE_COLOURS.values())
    assert _palette("light", "labels") == list(CATEGORIES)
    assert _palette("light", "ramp") == list(RAMP)
    assert _palette("light", "change") == list(DIVERGING)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", APART)
def test_what_means_different_things_looks_different(name, page, vision):
    seen = [see(colour, vision) for colour in _palette(page, name)]
    assert min(ciede2000(a, b) for a, b in combinations(seen, 2)) >= APART[name]
    surface = see(PAGES[page]["surface"], vision)
    assert min(ciede2000(colour, surface) for colour in seen) >= FROM_PAGE


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("page", PAGES)
def test_a_ramp_goes_one_way_in_lightness(page, vision):
    seen = [see(colour, vision) for colour in _palette(page, "ramp")]
    steps = [b[0] - a[0] for a, b in pairwise(seen)]
    assert all(step < -3 for step in steps) if page == "light" else all(step > 3 for step in steps)
    assert min(ciede2000(a, b) for a, b in combinations(seen, 2)) >= STEP["ramp"]


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("page", PAGES)
def test_both_arms_of_what_goes_either_way_leave_the_middle_and_each_other(page, vision):
    seen = [see(colour, vision) for colour in _palette(page, "change")]
    middle = len(seen) // 2
    sign = 1 if page == "light" else -1
    for arm in (seen[: middle + 1], seen[middle:][::-1]):
        assert all(sign * (b[0] - a[0]) > 3 for a, b in pairwise(arm))
    assert min(ciede2000(a, b) for a, b in combinations(seen, 2)) >= STEP["change"]


@pytest.mark.parametrize("page", PAGES)
def test_marks_and_text_stand_out(page):
    surface = PAGES[page]["surface"]
    for name in APART:
        assert min(contrast(colour, surface) for colour in _palette(page, name)) >= MARK
    assert min(contrast(PAGES[page]["ink"], colour) for colour in _palette(page, "change")) >= TEXT
    assert min(contrast(PAGES[page][name], surface) for name in ("ink", "muted")) >= TEXT


def test_in_print_marks_stand_out_on_white():
    assert min(contrast(colour, SURFACE) for colour in (*SCALE_COLOURS.values(), *CATEGORIES)) >= MARK


def test_colour_is_never_the_only_sign():
    assert len(set(SCALE_MARKERS.values())) == len(SCALES)
    assert len(set(CATEGORY_MARKERS)) == len(CATEGORIES)
