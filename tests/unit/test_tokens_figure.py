"""The figure of a text by its tokens: what stands where, in which colour, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_hex

from msma.errors import ShapeError
from msma.plotting import COLUMN, PAGE, plot_tokens, save_figure, to_inline_svg
from msma.plotting.style import DIVERGING

WORDS = ["The", "harbour", "lay", "quiet"]


def _grounds(ax):
    return [patch for patch in ax.patches if abs(patch.get_height() - 0.175) < 1e-9]


def _texts(ax):
    return [text.get_text() for text in ax.texts]


def test_colours_follow_the_scores_on_one_range_for_all_scales():
    ax = plot_tokens(WORDS, {"global": [0.0, 0.5, 1.0, 2.0], "local": [-2.0, -0.1, 0.0, 0.1]})
    colours = [DIVERGING.index(to_hex(ground.get_facecolor())) for ground in _grounds(ax)]
    assert colours == [0, 4, 4, 4, 4, 5, 6, 8]  # local first, whatever the order given
    assert _texts(ax)[0] == "local"
    assert "+2 score" in _texts(ax)


def test_the_strongest_are_underlined_solid_above_and_dashed_below():
    ax = plot_tokens(WORDS, {"local": [-2.0, 0.0, 0.0, 2.0]})
    key = 2
    lines = [line for line in ax.lines if line.get_marker() == "None"][:-key]
    assert [line.is_dashed() for line in lines] == [True, False]
    left, right = _grounds(ax)[0].get_x(), _grounds(ax)[3].get_x()
    assert left < lines[0].get_xdata()[0] < right < lines[1].get_xdata()[0]


def test_parts_of_a_word_stand_together():
    def gaps(ax):
        own = _grounds(ax)
        return [b.get_x() - a.get_x() - a.get_width() for a, b in pairwise(own)]

    scores = {"local": [0.0, 0.0, 1.0]}
    assert np.diff(gaps(plot_tokens(["un", "##tie", "it"], scores)))[0] > 0.03
    assert np.diff(gaps(plot_tokens(["un", "tie", "Ġit"], scores)))[0] > 0.03
    assert np.diff(gaps(plot_tokens(["un", "tie", " it"], scores)))[0] > 0.03
    assert np.diff(gaps(plot_tokens(["un", "tie", "it"], scores)))[0] == pytest.approx(0.0)
    glued = plot_tokens(["un", "tie", "it"], scores, is_glued=[False, True, False])
    assert np.diff(gaps(glued))[0] > 0.03
    assert _texts(plot_tokens(["un", "##tie", "##"], scores))[1:4] == ["un", "tie", "##"]


@pytest.mark.slow
@pytest.mark.parametrize("width", [COLUMN, PAGE])
def test_long_texts_wrap_within_the_figure_and_are_cut_with_a_word(width):
    tokens = [f"word{number}" for number in range(400)] + ["w" * 200]
    ax = plot_tokens(tokens, {"intermediate": np.linspace(-1, 1, 401).tolist()}, width=width)
    own = _grounds(ax)
    assert all(ground.get_x() + ground.get_width() <= width - 0.07 for ground in own)
    assert len({round(ground.get_y(), 6) for ground in own}) == 12
    assert f"… and {401 - len(own)} more tokens" in _texts(ax)
    ax.figure.canvas.draw()
    edge = ax.figure.bbox.width
    assert all(text.get_window_extent().x1 <= edge for text in ax.texts)


def test_a_token_wider_than_a_line_is_cut():
    ax = plot_tokens(["w" * 300], {"local": [1.0]}, width=COLUMN)
    assert _texts(ax)[1].endswith("…")
    assert _grounds(ax)[0].get_width() <= COLUMN


def test_hostile_tokens_are_shown_as_they_are(tmp_path):
    tokens = ["$\\frac$", "$", "\\frac", "\n", "\t", "\x00", "", "<b>"]
    ax = plot_tokens(tokens, {"local": [0.0] * 8}, title="cost $5 and $\\frac$6", units="$")
    assert _texts(ax)[1:9] == ["$\\frac$", "$", "\\frac", "↵", "→", "·", "␣", "<b>"]
    assert len(save_figure(ax, tmp_path / "x")) == 3
    svg = to_inline_svg(ax, name="t", title="t", description="d")
    assert "&lt;b&gt;" in svg
    assert "#" not in svg.replace("#t-", "")  # every colour is a variable of the page


def test_letters_the_font_lacks_are_measured_without_a_word():
    ax = plot_tokens(["海は", "静か"], {"local": [0.0, 1.0]})
    assert _texts(ax)[1:3] == ["海は", "静か"]


def test_it_draws_on_the_axes_given():
    given = plot_tokens(WORDS, {"local": [0.0] * 4}).figure.add_axes((0.0, 0.0, 0.5, 1.0))
    assert plot_tokens(WORDS, {"local": [0.0] * 4}, ax=given) is given
    assert given.get_xlim() == (0.0, PAGE / 2)


@pytest.mark.parametrize(
    ("tokens", "scores", "options", "words"),
    [
        ([], {"local": []}, {}, "0 tokens and scores of 1 scales came"),
        (["a"], {}, {}, "1 tokens and scores of 0 scales came"),
        (["a"], {"middle": [1.0]}, {}, "scores of 'middle' came"),
        (["a"], {"local": [1.0, 2.0]}, {}, "2 entries of 'local' came for 1 tokens"),
        (["a"], {"local": [1.0]}, {"is_glued": [True, False]}, "2 entries of 'is_glued' came"),
        (["a"], {"local": [float("nan")]}, {}, "a score of 'local' is not finite"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(tokens, scores, options, words):
    with pytest.raises(ShapeError, match=words):
        plot_tokens(tokens, scores, **options)
