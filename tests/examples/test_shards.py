import gc
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from examples.shards import N_INSTANCES, main, read_shards, write_shards
from oml.transforms.images.torchvision import get_normalisation_resize_torch
from oml.utils import get_mock_images_dataset
from oml.utils.images.images import imread_pillow

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the files that webdataset leaves open


@pytest.fixture(autouse=True)
def _close_shards() -> Iterator[None]:
    """Collect the open files while warnings of them are ignored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def test_shards_hold_the_table(tmp_path: Path) -> None:
    df, _ = get_mock_images_dataset(tmp_path / "mock")
    shards = write_shards(df, tmp_path / "mock", tmp_path / "shards", max_samples=3)
    assert [Path(shard).name for shard in shards] == ["train-000000.tar", "train-000001.tar", "train-000002.tar"]
    with tarfile.open(shards[0]) as tar:
        assert sorted(tar.getnames())[:4] == [
            "000000000.0.image",
            "000000000.1.image",
            "000000000.2.image",
            "000000000.cls",
        ]

    transform = get_normalisation_resize_torch(8)
    expected = {
        (label, transform(imread_pillow(tmp_path / "mock" / path)).numpy().tobytes())
        for label, path in zip(df["label"], df["path"], strict=True)
    }
    batches = list(read_shards(shards, transform, n_labels=4))
    assert [pictures.shape for pictures, _ in batches] == [(4 * N_INSTANCES, 3, 8, 8)] * 2
    found = [
        (int(y), x.numpy().tobytes()) for pictures, labels in batches for x, y in zip(pictures, labels, strict=True)
    ]
    assert len(found) == len(df) == 24
    assert set(found) == expected
    for _, labels in batches:
        assert (torch.bincount(labels) % N_INSTANCES == 0).all()  # each picture has its pairs in the batch


def test_training(tmp_path: Path) -> None:
    assert 0 <= main(tmp_path, n_epochs=1)["cmc@1"] <= 1
