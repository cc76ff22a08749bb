import os

import pytest
import torch
from hypothesis import settings

settings.register_profile("oml", deadline=None)  # a busy machine is no failure
settings.load_profile("oml")
os.environ.setdefault("MPLBACKEND", "agg")
torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
