import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import oml.registry
from oml.const import MEAN_CLIP, STD_CLIP
from oml.models.zoo import ZOO
from oml.registry.transforms import (
    TRANSFORMS_ALBU,
    TRANSFORMS_REGISTRY,
    TRANSFORMS_TORCH,
    get_transforms,
    get_transforms_by_cfg,
    get_transforms_for_pretrained,
    save_transforms_as_files,
)
from oml.transforms.images.albumentations import FitAndNormalise
from oml.utils.images.images import imread_cv2, imread_pillow

NAMES = {
    "norm_albu": {},
    "norm_resize_albu": {"im_size": 8},
    "norm_resize_albu_clip": {"im_size": 8},
    "augs_torch": {"im_size": 8},
    "norm_torch": {},
    "norm_resize_torch": {"im_size": 8},
    "augs_hypvit_torch": {"im_size": 8},
    "norm_resize_hypvit_torch": {"im_size": 8, "crop_size": 8},
    "unicom_transforms": {"im_size": 8},
}


def make_noise(height: int = 30, width: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_names_are_the_documented_ones() -> None:
    assert set(TRANSFORMS_REGISTRY) == set(NAMES)
    assert set(TRANSFORMS_ALBU) == {name for name in NAMES if "albu" in name}
    assert set(TRANSFORMS_TORCH) == set(NAMES) - set(TRANSFORMS_ALBU)


@pytest.mark.parametrize("name", list(NAMES))
def test_every_transform_gives_a_tensor_of_any_picture(name: str) -> None:
    for transform in (get_transforms(name, **NAMES[name]), get_transforms_by_cfg({"name": name, "args": NAMES[name]})):
        for image in (make_noise(), Image.fromarray(make_noise())):
            tensor = transform(image)
            assert tensor.dtype == torch.float32
            assert tensor.shape == ((3, 8, 8) if NAMES[name] else (3, 30, 20))


def test_own_transforms_can_be_added() -> None:
    TRANSFORMS_REGISTRY["mine"] = lambda value=1: lambda image: value
    try:
        assert get_transforms("mine", value=5)(None) == 5
    finally:
        del TRANSFORMS_REGISTRY["mine"]


def test_unknown_names_and_arguments() -> None:
    with pytest.raises(KeyError, match=r"Unknown transform 'norm_resize_abu'. Did you mean 'norm_resize_albu'"):
        get_transforms("norm_resize_abu")
    with pytest.raises(TypeError, match=r"'norm_resize_torch' has no argument 'im_siz'\. Did you mean 'im_size'"):
        get_transforms_by_cfg({"name": "norm_resize_torch", "args": {"im_siz": 4}})
    with pytest.raises(TypeError, match="'norm_resize_torch' needs the arguments: im_size"):
        get_transforms("norm_resize_torch")


# name of the checkpoint, size of the result, size of the shorter side before the crop (None: square at once), is albu
DOCUMENTED = [
    *[(f"resnet{depth}_imagenet1k_v1", 224, 256, False) for depth in (18, 34, 50, 101, 152)],
    ("resnet50_moco_v2", 224, 256, False),
    *[(f"{arch}_dino", 224, None, False) for arch in ("vits16", "vits8", "vitb16", "vitb8")],
    *[(f"{arch}_dinov2", 224, 224, False) for arch in ("vits14", "vitb14", "vitl14")],
    *[(f"{arch}_reg_dinov2", 224, 224, False) for arch in ("vits14", "vitb14", "vitl14")],
    *[(f"{by}_{arch}_224", 224, None, True) for by in ("sber", "openai") for arch in ("vitb16", "vitb32", "vitl14")],
    ("vits16_inshop", 224, 224, False),
    ("vits16_sop", 224, 224, False),
    ("vits16_cars", 224, None, True),
    ("vits16_cub", 224, None, True),
    ("vits16_224_mlp_384_inshop", 224, 256, False),
    *[(f"{arch}_unicom", 224, 224, False) for arch in ("vitb32", "vitb16", "vitl14")],
    ("vitl14_336px_unicom", 336, 336, False),
]


def test_all_documented_checkpoints_have_a_transform() -> None:
    assert {key for key, checkpoint in ZOO.items() if checkpoint.transform} == {weights for weights, *_ in DOCUMENTED}


@pytest.mark.parametrize(("weights", "size", "short_side", "is_albu"), DOCUMENTED)
def test_transforms_of_checkpoints(weights: str, size: int, short_side: int | None, is_albu: bool) -> None:
    transform, im_reader = get_transforms_for_pretrained(weights)
    assert im_reader is (imread_cv2 if is_albu else imread_pillow)

    # a white picture with a black frame of 20 pixels: what is left of the frame tells how it was resized and cut
    pixels = np.zeros((300, 600, 3), dtype=np.uint8)
    pixels[20:-20, 20:-20] = 255
    tensor = transform(pixels if is_albu else Image.fromarray(pixels))
    assert tensor.shape == (3, size, size)
    is_clip = weights.startswith(("sber", "openai")) or weights.endswith("unicom")
    if is_clip:
        brightest = (1 - np.array(MEAN_CLIP)) / STD_CLIP
        np.testing.assert_allclose(tensor.amax(dim=(1, 2)).numpy(), brightest, atol=1e-4)

    black = tensor[0] < 0
    n_left, n_top = int(black[size // 2].sum()) / 2, int(black[:, size // 2].sum()) / 2
    if is_albu:
        assert n_left == pytest.approx(20 * size / 600, abs=1.5)
        assert n_top == pytest.approx(20 * size / 600, abs=1.5)
        assert not black[0].any()  # white margins
    elif short_side is None:
        assert n_left == pytest.approx(20 * size / 600, abs=1.5)
        assert n_top == pytest.approx(20 * size / 300, abs=1.5)
    else:
        assert n_left == 0  # cut off
        assert n_top == pytest.approx(20 * short_side / 300 - (short_side - size) / 2, abs=1.5)


def test_transforms_are_built_when_asked_for() -> None:
    first, _ = get_transforms_for_pretrained("vits16_dino")
    second, _ = get_transforms_for_pretrained("vits16_dino")
    assert first is not second
    code = (
        "import sys; from oml.registry import get_transforms_for_pretrained; assert 'torchvision' not in sys.modules; "
        "get_transforms_for_pretrained('vits16_cub'); assert 'torchvision' not in sys.modules; "
        "get_transforms_for_pretrained('vits16_dino'); assert 'torchvision' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_checkpoint() -> None:
    with pytest.raises(KeyError, match=r"Unknown checkpoint of images 'vits16_dyno'. Did you mean 'vits16_dino'"):
        get_transforms_for_pretrained("vits16_dyno")


class LikeAlbumentations:
    def __call__(self, *args: Any, force_apply: bool = False, **data: Any) -> dict[str, Any]:
        return data

    def to_dict(self) -> dict[str, Any]:
        return {"transform": {"p": 0.5}}


class WithToDict:
    def __call__(self, image: Any) -> Any:
        return image

    def to_dict(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("has_hydra", [False, True])
def test_transforms_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_hydra: bool) -> None:
    monkeypatch.chdir(tmp_path)
    if has_hydra:
        (tmp_path / ".hydra").mkdir()
    TRANSFORMS_REGISTRY.update({"mine": LikeAlbumentations, "positional": WithToDict})
    try:
        files = save_transforms_as_files(
            {
                "seed": 1,
                "transforms_train": {"name": "mine"},
                "transforms_val": {"name": "norm_resize_albu", "args": {"im_size": 8}},
                "transforms_torch": {"name": "norm_torch"},
                "transforms_positional": {"name": "positional"},
            }
        )
    finally:
        del TRANSFORMS_REGISTRY["mine"], TRANSFORMS_REGISTRY["positional"]
    assert [key for key, _ in files] == ["transforms_train", "transforms_val"]
    folder = tmp_path / ".hydra" if has_hydra else tmp_path
    assert sorted(path.name for path in folder.glob("*.yaml")) == ["transforms_train.yaml", "transforms_val.yaml"]
    saved = [json.loads(Path(path).read_text()) for _, path in files]
    assert saved[0] == {"transform": {"p": 0.5}}
    restored = FitAndNormalise(**saved[1])
    assert torch.equal(restored(make_noise()), get_transforms("norm_resize_albu", im_size=8)(make_noise()))


def test_names_of_the_package() -> None:
    assert oml.registry.TRANSFORMS_REGISTRY is TRANSFORMS_REGISTRY
    assert oml.registry.get_transforms_for_pretrained is get_transforms_for_pretrained
    assert set(oml.registry.__all__) <= set(dir(oml.registry))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        oml.registry.nothing  # noqa: B018
