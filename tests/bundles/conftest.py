import json

import pytest
import torch

import oml
from oml.bundles import Bundle
from oml.metrics import Estimate, Interval
from oml.models import ConvExtractor
from oml.transforms.images.torchvision import get_normalisation_resize_torch

METRICS = {"cmc@1": Estimate(0.75, Interval(0.5, 1.0), Interval(0.25, 1.0)), "map@5": 0.5}


def make_bundle() -> Bundle:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        extractor = ConvExtractor(im_size=8, channels=(3, 4), feat_dim=5).eval()
    return Bundle(extractor, get_normalisation_resize_torch(im_size=8), None)


def rewrite(folder, **changes):
    """Change entries of the description of a bundle."""
    path = folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def folder(tmp_path):
    """A bundle on disk that a test may damage."""
    extractor, transform, _ = make_bundle()
    return oml.save_bundle(tmp_path / "shoes", extractor, transform, METRICS, threshold=0.5)
