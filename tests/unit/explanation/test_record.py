"""An explanation as rows, as words, as a file, as a page."""

import json

import pytest

from explained_study import HOSTILE, make_explanation
from msma.errors import ConfigError, StorageError
from msma.explanation import Explanation
from msma.reporting import write_explanation


@pytest.fixture(scope="module")
def explanation():
    return make_explanation()


def test_saved_and_loaded_it_is_the_same(explanation, tmp_path):
    path = explanation.save(tmp_path / "explanation.json")
    assert Explanation.load(path) == explanation


@pytest.mark.parametrize("change", [{"tokens": 3}, {"places": [{}]}, {"departures": [{"pair": 1}]}])
def test_a_damaged_record_is_refused(explanation, tmp_path, change):
    path = explanation.save(tmp_path / "explanation.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(StorageError, match="no record of an explanation"):
        Explanation.load(path)


def test_what_is_no_object_is_no_record(tmp_path):
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(StorageError, match="no record of an explanation"):
        Explanation.load(tmp_path / "list.json")


def test_rows_hold_value_and_control(explanation):
    result = explanation.to_result()
    row = result.row("comprehensiveness", target="local")
    assert (row.value, row.null, row.units) == (2.0, 0.25, "standard deviations")
    assert result.value("decoding_auc", source="global", target="intermediate") == 0.8
    assert result.value("sentence_departure_p", target="local") == 0.01
    assert result.value("near_label topic=first", target="global") == 0.9
    assert len(explanation.to_frame()) == len(result)


def test_words_say_what_is_no_more_than_chance(explanation):
    said = explanation.describe()
    assert "At the intermediate scale the text is untypical for the corpus (p 0.02)" in said
    assert "At the global scale the text is typical of the corpus (p 0.9)" in said
    assert "The local scale is driven by '.', 'snow', '&', '>'" in said
    assert "Which tokens drive the intermediate scale cannot be said" in said
    assert "so the scores are not shown to be better than chance." in said
    assert f"At the local scale the sentence '{HOSTILE}' departs" in said  # p 0.01 of two sentences
    assert "(p 0.04; of 2 sentences, so no more than a hint)" in said  # 0.04 x 2 > 0.05


def test_the_page_shows_every_part_and_no_text_becomes_code(explanation, tmp_path):
    page = write_explanation(explanation, tmp_path / "page.html").read_text()
    assert "<b>rain" not in page
    assert page.count("&lt;b&gt;rain") >= 5
    for word in ("topic first: 90%, 50%", "global → intermediate", "layers 3–8", "rain, snow", "0.025"):
        assert word in page.replace("\u2060", ""), word
    assert page.count('class="c8 up"') == 3  # the strongest token, once a scale
    assert page.count('class="c0 down"') == 3


def test_the_figure_has_one_block_a_scale(explanation):
    axes = explanation.plot()
    drawn = " ".join(text.get_text() for text in axes.figure.findobj(lambda a: hasattr(a, "get_text")))
    for scale in ("local", "intermediate", "global"):
        assert scale in drawn


def test_an_unknown_method_is_refused(explanation):
    with pytest.raises(ConfigError, match="method 'saliency' came; this explanation has occlusion"):
        explanation.plot(method="saliency")
