"""What every test shares: offline hub, seeds, and where real data lies."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Workers share the cores: threads of their own would fight over them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path

import numpy as np
import pytest

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
