import os

import pytest
import torch

os.environ.setdefault("MPLBACKEND", "agg")
torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
