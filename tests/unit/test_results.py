"""Results keep every number with its context and return from disk as they were."""

import math

import pytest

from msma.errors import ConfigError, MissingExtraError, StorageError
from msma.results import Result, Row, concatenate, format_cell

ROWS = (
    Row(metric="r2", value=0.5, low=0.4, high=0.6, null=-1.0, units="1", better="higher", source="global"),
    Row(metric="kl", value=1.5, floor=0.1, units="nats", better="lower", target="local", n=12),
    Row(metric="kl", value=None, note="infinite: <rank>", target="global"),
)
RESULT = Result("evaluation", ROWS, {"seed": 0, "model": "m"})


def test_save_and_load_are_lossless(tmp_path):
    assert Result.load(RESULT.save(tmp_path / "r.json")) == RESULT


def test_frame_has_the_columns_in_order():
    frame = RESULT.to_frame()
    expected = ["metric", "value", "low", "high", "null", "floor", "units", "better"]
    expected += ["source", "target", "layer", "split"]
    assert list(frame.columns[:12]) == expected
    assert frame.loc[0, "value"] == 0.5
    assert len(frame) == 3


def test_where_row_value():
    assert len(RESULT.where(metric="kl")) == 2
    assert RESULT.value("kl", target="local") == 1.5
    assert [row.metric for row in RESULT] == ["r2", "kl", "kl"]
    with pytest.raises(ConfigError, match="no column 'colour'"):
        RESULT.where(colour="red")
    with pytest.raises(ConfigError, match="2 rows match metric 'kl'"):
        RESULT.row("kl")
    with pytest.raises(ConfigError, match="metrics kl, r2"):
        RESULT.row("absent")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["value", "low", "high", "null", "floor", "ceiling"])
def test_no_silent_nan(name, bad):
    with pytest.raises(ConfigError, match=name):
        Row(**{"metric": "m", "value": 1.0, name: bad})


def test_html_is_escaped_and_leaves_empty_columns_out():
    page = RESULT._repr_html_()
    assert "&lt;rank&gt;" in page
    assert "<th>layer</th>" not in page


def test_load_refuses_other_files(tmp_path):
    (tmp_path / "x.json").write_text('{"rows": [{"metrik": 1}], "name": "", "provenance": {}}')
    with pytest.raises(StorageError, match="does not hold a result"):
        Result.load(tmp_path / "x.json")


def test_concatenate():
    both = concatenate("both", [RESULT, RESULT])
    assert (both.name, len(both), both.provenance) == ("both", 6, RESULT.provenance)
    with pytest.raises(ConfigError, match="0 results"):
        concatenate("none", [])


def test_a_missing_pandas_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"msma\[report\]"):
        RESULT.to_frame()


def test_cells_for_people():
    assert [format_cell(v) for v in (0.0, -0.5, 1e-9, 3e7, True, "x")] == [
        "0",
        "-0.5",
        "1.00e-09",
        "3.00e+07",
        "True",
        "x",
    ]
