import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from oml.const import MEAN, MEAN_CLIP, STD, STD_CLIP
from oml.errors import InvalidInputError
from oml.transforms.images.albumentations import (
    FitAndNormalise,
    get_normalisation_albu,
    get_normalisation_resize_albu,
    get_normalisation_resize_albu_clip,
)
from tests.reference.images import fit_and_normalise_plain


def make_noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(16, 16), (40, 25), (25, 41), (1, 1), (1, 60), (7, 3), (32, 16)])
@pytest.mark.parametrize("is_clip", [False, True])
def test_resize_agrees_with_the_definition_to_one_level(size: tuple[int, int], is_clip: bool) -> None:
    image = make_noise(*size)
    mean, std = (MEAN_CLIP, STD_CLIP) if is_clip else (MEAN, STD)
    transform = get_normalisation_resize_albu_clip(16) if is_clip else get_normalisation_resize_albu(16)

    expected = fit_and_normalise_plain(image, 16, mean, std)
    levels = (transform(image).numpy() - expected) * np.array(std).reshape(3, 1, 1) * 255
    assert np.abs(levels).max() <= 1.01
    assert (np.abs(levels) > 0.01).mean() < 0.01  # only ties of rounding may differ


@pytest.mark.parametrize("size", [(5, 8), (1, 1)])
def test_normalisation_keeps_the_size(size: tuple[int, int]) -> None:
    image = make_noise(*size)
    tensor = get_normalisation_albu(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))(image)
    assert tensor.dtype == torch.float32
    assert tensor.shape == (3, *size)
    for channel in range(3):
        expected = (image[:, :, channel] / 255 - (0.1, 0.2, 0.3)[channel]) / (0.5, 0.6, 0.7)[channel]
        np.testing.assert_allclose(tensor[channel].numpy(), expected, atol=1e-6)


def test_all_ways_of_calling_give_the_same() -> None:
    image = make_noise(9, 12)
    transform = get_normalisation_resize_albu(8)
    expected = transform(image)
    assert expected.is_contiguous()
    assert torch.equal(transform(image=image)["image"], expected)
    assert torch.equal(transform(Image.fromarray(image)), expected)
    assert torch.equal(pickle.loads(pickle.dumps(transform))(image), expected)
    assert torch.equal(FitAndNormalise(**transform.to_dict())(image), expected)


def test_greyscale_gives_three_channels() -> None:
    grey = make_noise(6, 6)[:, :, 0]
    expected = get_normalisation_albu()(np.repeat(grey[:, :, None], 3, axis=2))
    assert torch.equal(get_normalisation_albu()(grey), expected)
    assert torch.equal(get_normalisation_albu()(Image.fromarray(grey)), expected)


def test_wrong_pictures_and_sizes_are_refused() -> None:
    transform = get_normalisation_albu()
    with pytest.raises(InvalidInputError, match=r"must be \(H, W, 3\) or \(H, W\) of uint8.*got float64 \(2, 2, 3\)"):
        transform(np.zeros((2, 2, 3)))
    with pytest.raises(TypeError, match="must be a PIL image or an array, got Tensor"):
        transform(torch.zeros(3, 2, 2))  # type: ignore[arg-type]
    for args, kwargs in [((), {}), ((make_noise(2, 2),), {"image": make_noise(2, 2)})]:
        with pytest.raises(TypeError, match=r"Give one picture.*got (0|2)"):
            transform(*args, **kwargs)
    with pytest.raises(InvalidInputError, match="`im_size` must be at least 1 pixel, got 0"):
        get_normalisation_resize_albu(0)
