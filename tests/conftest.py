"""What every test shares: offline hub, seeds, and where real data lies."""

import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Workers share the cores: threads of their own would fight over them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path

import numpy as np
import pytest

# Where no bytecode is kept, every worker rewrites the assertions of every test file, and every process
# that a test starts compiles the library anew: a minute of each run. Git ignores these files.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def shared_dir():
    """Folder of real texts and models beside the checkout; not part of the repository."""
    if not SHARED.is_dir():
        pytest.skip("no folder 'shared' with real texts and models beside this checkout")
    return SHARED
