"Shared by all tests: one thread each, since several run at once, and the scripts of tools/ importable."
import os, sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; the kernels of notebooks inherit it
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/"tools"))


@pytest.fixture(scope="session")
def root() -> Path:
    "The repository."
    return ROOT
