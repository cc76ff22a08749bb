import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as v1

from oml.const import MEAN, MEAN_CLIP, STD, STD_CLIP
from oml.transforms.images.torchvision import (
    get_augs_hypvit,
    get_augs_torch,
    get_normalisation_resize_hypvit,
    get_normalisation_resize_torch,
    get_normalisation_resize_unicom,
    get_normalisation_torch,
)

BICUBIC = v1.InterpolationMode.BICUBIC


def make_noise(height: int, width: int) -> Image.Image:
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def finish(mean: tuple, std: tuple) -> list:
    return [v1.ToTensor(), v1.Normalize(mean, std)]


PLAIN = [
    (get_normalisation_torch, {}, finish(MEAN, STD)),
    (get_normalisation_torch, {"mean": (0, 0, 0), "std": (1, 1, 2)}, finish((0, 0, 0), (1, 1, 2))),
    (get_normalisation_resize_torch, {"im_size": 12}, [v1.Resize((12, 12)), *finish(MEAN, STD)]),
    (
        get_normalisation_resize_hypvit,
        {"im_size": 16, "crop_size": 12},
        [v1.Resize(16, BICUBIC), v1.CenterCrop(12), *finish(MEAN, STD)],
    ),
    (
        get_normalisation_resize_hypvit,
        {},
        [v1.Resize(224, BICUBIC), v1.CenterCrop(224), *finish(MEAN, STD)],
    ),
    (
        get_normalisation_resize_unicom,
        {"im_size": 14},
        [v1.Resize(14, BICUBIC), v1.CenterCrop(14), *finish(MEAN_CLIP, STD_CLIP)],
    ),
]


@pytest.mark.parametrize(("get", "kwargs", "steps"), PLAIN)
@pytest.mark.parametrize("size", [(20, 30), (31, 17), (12, 12), (1, 1), (1, 9)])
def test_steps_are_the_documented_ones(get: Callable, kwargs: dict, steps: list, size: tuple[int, int]) -> None:
    image = make_noise(*size)
    tensor = get(**kwargs)(image)
    torch.testing.assert_close(tensor, v1.Compose(steps)(image), atol=1e-5, rtol=0)
    assert type(tensor) is torch.Tensor
    assert tensor.dtype == torch.float32


def test_flip_and_resize_of_augs_torch() -> None:
    image = make_noise(20, 30)
    plain = v1.Compose([v1.Resize((8, 8)), *finish(MEAN, STD)])(image)
    seen = set()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(20):
            tensor = get_augs_torch(8)(image)
            is_same = torch.allclose(tensor, plain, atol=1e-5)
            assert is_same or torch.allclose(tensor, plain.flip(-1), atol=1e-5)
            seen.add(is_same)
    assert seen == {True, False}


def test_crops_of_augs_hypvit() -> None:
    image = make_noise(40, 40)
    whole = v1.Compose([v1.Resize((24, 24), BICUBIC), *finish(MEAN, STD)])(image)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        crops = [get_augs_hypvit(24, min_scale=0.2)(image) for _ in range(10)]
    assert all(crop.shape == (3, 24, 24) for crop in crops)
    assert len({crop.sum().item() for crop in crops}) == len(crops)
    assert not any(torch.allclose(crop, whole, atol=1e-3) for crop in crops)


@pytest.mark.parametrize(("get", "kwargs"), [(get, kwargs) for get, kwargs, _ in PLAIN])
def test_arrays_greyscale_and_pickles_give_the_same(get: Callable, kwargs: dict) -> None:
    image = make_noise(20, 30)
    transform = get(**kwargs)
    assert torch.equal(transform(np.asarray(image)), transform(image))
    assert torch.equal(pickle.loads(pickle.dumps(transform))(image), transform(image))
    grey = image.convert("L")
    assert torch.equal(transform(grey), transform(grey.convert("RGB")))
