import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms as v1
from torchvision.transforms import v2

from oml.const import GREEN
from oml.datasets import ImageBaseDataset
from oml.errors import InvalidInputError
from oml.transforms.images.albumentations import get_normalisation_albu
from oml.transforms.images.torchvision import get_normalisation_torch
from oml.utils.images.images import imread_cv2, imread_pillow
from tests.datasets.conftest import make_pixels

PATHS = [f"images/{i}.png" for i in range(6)]


class LikeAlbumentations:
    def __call__(self, *args: Any, force_apply: bool = False, **data: Any) -> dict[str, Any]:
        assert not args
        assert isinstance(data["image"], np.ndarray)
        return {"image": torch.from_numpy(np.array(data["image"])).permute(2, 0, 1)}


def to_pixels(tensor: torch.Tensor) -> np.ndarray:
    return (tensor.float() * (255 if tensor.is_floating_point() else 1)).round().byte().permute(1, 2, 0).numpy()


TRANSFORMS = [
    v1.Compose([v1.ToTensor()]),
    v1.ToTensor(),
    v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
    v2.PILToTensor(),
    LikeAlbumentations(),
    get_normalisation_albu(mean=(0, 0, 0), std=(1, 1, 1)),
    get_normalisation_torch(mean=(0, 0, 0), std=(1, 1, 1)),
    lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1),
]


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("cache_size", [0, 2])
def test_any_transform_gets_the_pixels(images_root: Path, transform: Any, cache_size: int) -> None:
    bboxes = [None, (2, 3, 10, 9), None, (8, 0, 40, 5), None, None]
    dataset = ImageBaseDataset(PATHS, images_root, bboxes, transform=transform, cache_size=cache_size)
    assert len(dataset) == 6
    for i in [0, 1, 2, 3, 0]:
        expected = make_pixels(i)
        if bboxes[i] is not None:
            left, top, right, bottom = bboxes[i]
            expected = expected[top:bottom, left:right]
        item = dataset[i]
        assert set(item) == {"input_tensors", "idx"}
        assert item["idx"] == i
        assert np.array_equal(to_pixels(item["input_tensors"]), expected)


def test_default_transform_normalises(images_root: Path) -> None:
    dataset = ImageBaseDataset(PATHS, images_root)
    torch.testing.assert_close(dataset[1]["input_tensors"], get_normalisation_albu()(make_pixels(1)))


@pytest.mark.parametrize(
    "paths",
    [
        tuple(PATHS),
        np.array(PATHS),
        [Path(path) for path in PATHS],
        pd.Series(PATHS, index=[5, 4, 3, 2, 1, 0]),
        pd.Series(PATHS + PATHS).iloc[6:],
    ],
)
def test_paths_of_any_kind(images_root: Path, paths: Any) -> None:
    dataset = ImageBaseDataset(paths, str(images_root), transform=v2.PILToTensor())
    for i in range(6):
        assert dataset.get_path(i) == images_root / "images" / f"{i}.png"
        assert np.array_equal(to_pixels(dataset[i]["input_tensors"]), make_pixels(i))


def test_absolute_paths_need_no_root(images_root: Path) -> None:
    paths = [images_root / path for path in PATHS]
    for root in (None, images_root, "elsewhere"):
        assert ImageBaseDataset(paths, root).get_path(2) == paths[2]


def test_keys_extra_data_and_batches(images_root: Path) -> None:
    dataset = ImageBaseDataset(
        PATHS,
        images_root,
        extra_data={"name": pd.Series(list("abcdef"), index=range(10, 16)), "vector": torch.eye(6)},
        input_tensors_key="x",
        index_key="i",
    )
    batch = next(iter(DataLoader(dataset, batch_size=6)))
    assert set(batch) == {"x", "i", "name", "vector"}
    assert batch["x"].shape == (6, 3, 12, 16)
    assert batch["i"].tolist() == list(range(6))
    assert batch["name"] == list("abcdef")
    assert torch.equal(batch["vector"], torch.eye(6))


@pytest.mark.parametrize("key", ["input_tensors", "idx"])
def test_clashes_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"has the key '{key}', but items have it already"):
        ImageBaseDataset(PATHS, extra_data={key: list(range(6))})
    with pytest.raises(InvalidInputError, match="`input_tensors_key` and `index_key` are both 'x'"):
        ImageBaseDataset(PATHS, input_tensors_key="x", index_key="x")


def test_lengths_must_agree() -> None:
    with pytest.raises(InvalidInputError, match="There are 6 `paths`, but 1 `bboxes`"):
        ImageBaseDataset(PATHS, bboxes=[None])
    with pytest.raises(AssertionError, match="for each of the 6 items, 'a' has 1"):
        ImageBaseDataset(PATHS, extra_data={"a": [1]})


def test_transform_must_be_callable() -> None:
    with pytest.raises(AssertionError, match=r"A transform must be a function of an image.*got str: 'norm_albu'"):
        ImageBaseDataset(PATHS, transform="norm_albu")  # type: ignore[arg-type]


def test_own_reader_is_used(images_root: Path) -> None:
    def read_inverted(source: Any) -> np.ndarray:
        return 255 - imread_cv2(source)

    as_arrays = ImageBaseDataset(PATHS, images_root, transform=v1.ToTensor(), f_imread=read_inverted)
    assert np.array_equal(to_pixels(as_arrays[1]["input_tensors"]), 255 - make_pixels(1))
    from_pillow = ImageBaseDataset(PATHS, images_root, transform=LikeAlbumentations(), f_imread=imread_pillow)
    assert np.array_equal(to_pixels(from_pillow[1]["input_tensors"]), make_pixels(1))
    cropped = ImageBaseDataset(PATHS, images_root, [(1, 2, 4, 8)] * 6, transform=v1.ToTensor(), f_imread=read_inverted)
    assert np.array_equal(to_pixels(cropped[1]["input_tensors"]), 255 - make_pixels(1)[2:8, 1:4])


def test_cache_holds_contents_of_files(images_root: Path) -> None:
    dataset = ImageBaseDataset(PATHS, images_root, transform=v2.PILToTensor(), cache_size=1)
    first = dataset[0]["input_tensors"]
    (images_root / PATHS[0]).unlink()
    assert torch.equal(dataset[0]["input_tensors"], first)
    dataset[1]
    with pytest.raises(FileNotFoundError, match="Item 0: there is no file"):
        dataset[0]


def test_missing_files_are_named(images_root: Path) -> None:
    dataset = ImageBaseDataset(["images/0.png", "images/none.png"], images_root)
    with pytest.raises(
        FileNotFoundError, match=r"Item 1: there is no file .*none\.png.*`dataset_root`.*find_broken_images"
    ) as info:
        dataset[1]
    assert isinstance(info.value.__cause__, FileNotFoundError)
    with pytest.raises(FileNotFoundError, match="Item 1"):
        dataset.visualize(1)


@pytest.mark.parametrize("cache_size", [0, 3])
def test_broken_files_are_named(images_root: Path, cache_size: int) -> None:
    content = (images_root / PATHS[2]).read_bytes()
    (images_root / PATHS[2]).write_bytes(content[: len(content) // 2])
    dataset = ImageBaseDataset(PATHS, images_root, cache_size=cache_size)
    with pytest.raises(
        OSError, match=r"Item 2: the file .*2\.png cannot be read as a picture: .*truncated.*find_broken"
    ) as info:
        dataset[2]
    assert isinstance(info.value.__cause__, OSError)
    (images_root / PATHS[3]).unlink()
    (images_root / PATHS[3]).mkdir()
    with pytest.raises(OSError, match=r"Item 3: the file .* cannot be read as a picture: .*directory"):
        dataset[3]


def test_reader_that_gives_none(images_root: Path) -> None:
    dataset = ImageBaseDataset(PATHS, images_root, f_imread=lambda source: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(OSError, match=r"Item 4: the file .* cannot be read as a picture: the reader gave None"):
        dataset[4]


def test_box_outside_the_picture(images_root: Path) -> None:
    dataset = ImageBaseDataset(PATHS, images_root, [(16, 0, 20, 5)] * 6)
    with pytest.raises(
        InvalidInputError, match=r"Item 5: the box \(16, 0, 20, 5\).*5\.png, which is 16 wide and 12 high"
    ):
        dataset[5]


@pytest.mark.parametrize("transform", [None, v2.PILToTensor()])
def test_visualize(images_root: Path, transform: Any) -> None:
    dataset = ImageBaseDataset(PATHS, images_root, [None, (4, 2, 16, 12), *[None] * 4], transform=transform)
    for i, (left, top, right, bottom) in [(0, (0, 0, 16, 12)), (1, (4, 2, 16, 12))]:
        image = dataset.visualize(i, color=GREEN)
        expected = make_pixels(i)
        inside = expected[top + 3 : bottom - 3, left + 3 : right - 3].copy()
        expected[top:bottom, left:right] = GREEN
        expected[top + 3 : bottom - 3, left + 3 : right - 3] = inside
        assert image.dtype == np.uint8
        assert np.array_equal(image, expected)
    assert (dataset.visualize(-1)[0] == 0).all()


def test_empty_dataset() -> None:
    dataset = ImageBaseDataset([], bboxes=[])
    assert len(dataset) == 0
    assert list(dataset) == []


def test_loader_processes(images_root: Path) -> None:
    dataset = ImageBaseDataset(PATHS, images_root, transform=get_normalisation_torch(), cache_size=6)
    expected = torch.stack([dataset[i]["input_tensors"] for i in range(6)])
    copy = pickle.loads(pickle.dumps(dataset))  # what a started process gets
    assert torch.equal(torch.stack([copy[i]["input_tensors"] for i in range(6)]), expected)


def test_rotated_photos_are_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(make_pixels(0), 1).copy()).save(tmp_path / "photo.png", exif=exif)
    dataset = ImageBaseDataset(["photo.png"], tmp_path, [(2, 3, 10, 9)], transform=v2.PILToTensor())
    assert np.array_equal(to_pixels(dataset[0]["input_tensors"]), make_pixels(0)[3:9, 2:10])
