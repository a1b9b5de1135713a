"""An extraction that is killed at random moments ends, when it is run again, with every byte as if never killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
@pytest.mark.parametrize(("kind", "n_kills"), [("states", 40), ("scales", 15), ("moments", 20)])
def test_killed_runs_resume_to_the_same_bytes(tmp_path, kind, n_kills):
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).parents[1] / "killing.py"),
            str(tmp_path),
            kind,
            str(n_kills),
            "0",
        ],
        capture_output=True,
        text=True,
        timeout=1200,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] >= n_kills
    assert found["different"] == []
    # The kills fell at different stages of the work, not all before it or after it.
    assert found["stages"] >= 5
