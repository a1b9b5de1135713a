"""Every architecture family, and the real small models, go through `msma analyze` to the end."""

import json

import pytest

from families import ALL_FAMILIES
from msma.cli import run
from study_inputs import save_model, write_texts

pytestmark = pytest.mark.slow


def check(out):
    assert (out / "report.html").stat().st_size > 10_000
    rows = json.loads((out / "results.json").read_text())["rows"]
    assert sum(row["value"] is not None for row in rows) > 0.9 * len(rows)


@pytest.mark.parametrize("family", ALL_FAMILIES, ids=lambda family: family.name)
def test_family(family, tmp_path):
    save_model(family.name, tmp_path / "model")
    texts = write_texts(tmp_path / "texts.jsonl")
    command = ["analyze", str(tmp_path / "model"), str(texts), "--column", "text", "--label-column", "topic"]
    command += ["--stack", family.stack, "--n-votes", "10", "--map", "ridge", "--map", "procrustes"]
    assert run([*command, "--out", str(tmp_path / "out")]) == 0
    check(tmp_path / "out")


@pytest.mark.parametrize("name", ["stories260K-hf", "babyllama-tok105-hf"])
def test_real_small_models(name, tmp_path, shared_dir):
    texts = shared_dir / "data" / "tinystories" / "tinystories_500.json"
    command = ["analyze", str(shared_dir / "models" / name), str(texts), "--n-votes", "20"]
    command += ["--max-tokens", "128", "--max-documents", "400", "--out", str(tmp_path / "out")]
    assert run(command) == 0
    check(tmp_path / "out")
