import copy

import pandas as pd
import pytest
import torch

from oml.bundles import Bundle, Card
from oml.bundles.preprocessing import make_picture
from oml.models import ConvExtractor
from oml.transforms.images.torchvision import get_normalisation_resize_hypvit

SIZES = [(40, 30), (33, 57), (64, 64), (21, 28), (90, 50), (45, 45)]


@pytest.fixture(scope="package")
def small():
    """A bundle of pictures that is exported in no time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        extractor = ConvExtractor(im_size=16, channels=(4, 8), feat_dim=8).eval()
    return Bundle(extractor, get_normalisation_resize_hypvit(18, 16), Card("image", extractor.feat_dim))


@pytest.fixture
def bundle(small):
    return Bundle(copy.deepcopy(small.extractor), small.transform, small.card)


@pytest.fixture(scope="package")
def table(tmp_path_factory):
    """A table of pictures of several sizes, two of each label."""
    root = tmp_path_factory.mktemp("pictures")
    rows = []
    for i, (height, width) in enumerate(SIZES * 2):
        picture = make_picture(height, width)
        picture.rotate(15 * i).save(root / f"{i}.png")
        rows.append({"path": f"{i}.png", "label": i % len(SIZES), "is_query": True, "is_gallery": True})
    df = pd.DataFrame(rows).assign(split="validation")
    df.to_csv(root / "df.csv", index=False)
    return root / "df.csv"
