import pytest

import oml
from oml.models import ConvExtractor
from oml.transforms.images.torchvision import get_normalisation_resize_torch
from tests.full_disk import limit_files


@pytest.mark.parametrize("n_bytes", [200, 10_000], ids=["of the description", "of the weights"])
def test_a_bundle_without_space_leaves_the_old_one(n_bytes, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    extractor = ConvExtractor(im_size=8, channels=(64, 64), feat_dim=5)
    with (
        limit_files(n_bytes),
        pytest.raises(OSError, match=r"There is no space for .*shoes \(.*\), so it is as it was"),
    ):
        oml.save_bundle(folder, extractor, get_normalisation_resize_torch(8), overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["shoes"]
    assert oml.load_bundle(folder).card.threshold == 0.5
