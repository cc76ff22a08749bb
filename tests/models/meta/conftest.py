import pytest
import torch

from oml.models import ConvExtractor


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return ConvExtractor(im_size=16, channels=(4, 8), feat_dim=6, normalise_features=False)


@pytest.fixture
def images(generator):
    return torch.rand(4, 3, 16, 16, generator=generator)
