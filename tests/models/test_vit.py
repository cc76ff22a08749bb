import copy
import io
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oml.errors import InvalidInputError
from oml.models import ViTExtractor
from oml.models.vit_dino.network import DinoVisionTransformer, published_to_timm, resample_positions


def make_tiny(patch_size: int = 4, floor_sizes: bool = False, n_registers: int = 0, offset: float = 0.1) -> nn.Module:
    return DinoVisionTransformer(
        floor_sizes=floor_sizes,
        position_offset=0.0 if n_registers else offset,
        img_size=16,
        patch_size=patch_size,
        embed_dim=16,
        depth=2,
        num_heads=2,
        init_values=1.0,
        reg_tokens=n_registers,
        no_embed_class=n_registers > 0,
    )


@pytest.fixture(autouse=True)
def tiny_archs(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = {
        "tiny": make_tiny,
        "tiny_floor": lambda: make_tiny(floor_sizes=True),
        "tiny_reg": lambda: make_tiny(n_registers=2),
        "tiny_8": lambda: make_tiny(patch_size=8),
    }
    monkeypatch.setattr(ViTExtractor, "constructors", {**ViTExtractor.constructors, **tiny})


TINY = ["tiny", "tiny_floor", "tiny_reg"]


def make_published_registers(network: nn.Module) -> dict[str, Tensor]:
    state_dict = dict(network.state_dict())
    state_dict["register_tokens"] = state_dict.pop("reg_token")
    cls_position = torch.randn(1, 1, 16)
    state_dict["cls_token"] = state_dict["cls_token"] - cls_position
    state_dict["pos_embed"] = torch.cat([cls_position, state_dict["pos_embed"]], dim=1)
    state_dict["mask_token"] = torch.randn(1, 16)
    return state_dict


@pytest.mark.parametrize("arch", TINY)
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("mscale", [True, False])
@pytest.mark.parametrize("n_images", [0, 1, 3])
def test_output(arch: str, normalise: bool, mscale: bool, n_images: int) -> None:
    extractor = ViTExtractor(None, arch, normalise, mscale).eval()
    embeddings = extractor.extract(torch.randn(n_images, 3, 16, 24))
    assert embeddings.shape == (n_images, extractor.feat_dim) == (n_images, 16)
    if normalise:
        torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(n_images))


def test_documented_archs_and_sizes() -> None:
    dims = {"s": 384, "b": 768, "l": 1024}
    for arch in [a for a in ViTExtractor.constructors if not a.startswith("tiny")]:
        with torch.device("meta"):
            extractor = ViTExtractor(None, arch)
            assert extractor.feat_dim == dims[arch[3]]
            assert extractor(torch.zeros(1, 3, 28 * 2, 28 * 4)).shape == (1, dims[arch[3]])


def test_arguments_are_kept() -> None:
    extractor = ViTExtractor(None, "tiny", normalise_features=True, use_multi_scale=True)
    assert (extractor.arch, extractor.normalise_features, extractor.mscale) == ("tiny", True, True)


@pytest.mark.parametrize("arch", TINY)
def test_reload_gives_identical_outputs(arch: str, tmp_path: Path) -> None:
    extractor = ViTExtractor(None, arch).eval()
    torch.save({"state_dict": extractor.state_dict()}, tmp_path / "own.ckpt")
    other = ViTExtractor(tmp_path / "own.ckpt", arch).eval()
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(extractor(images), other(images))
    twice = ViTExtractor(None, arch).eval()
    twice.load_state_dict(extractor.state_dict())
    assert torch.equal(extractor(images), twice(images))


def test_copies_and_whole_model_files() -> None:
    extractor = ViTExtractor(None, "tiny").eval()
    images = torch.randn(1, 3, 16, 16)
    file = io.BytesIO()
    torch.save(extractor, file)
    file.seek(0)
    for other in (copy.deepcopy(extractor), torch.load(file, weights_only=False)):
        assert torch.equal(other(images), extractor(images))


def test_published_names_load_as_a_part_of_a_bigger_model() -> None:
    source = make_tiny(n_registers=2).eval()
    nn.init.normal_(source.cls_token)  # not tiny, so that adding and subtracting a position does not round it away
    published = make_published_registers(source)
    bigger = nn.ModuleDict({"extractor": ViTExtractor(None, "tiny_reg"), "head": nn.Linear(16, 2)}).eval()
    state = {f"extractor.model.{n}": t for n, t in published.items()}
    bigger.load_state_dict({**state, "head.weight": torch.zeros(2, 16), "head.bias": torch.zeros(2)})
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(bigger["extractor"](images), source(images), atol=1e-5, rtol=1e-5)


def test_conversion_of_what_is_converted() -> None:
    converted = published_to_timm(make_published_registers(make_tiny(n_registers=2)))
    assert converted.keys() == make_tiny(n_registers=2).state_dict().keys()
    again = published_to_timm(converted)
    assert all(torch.equal(again[n], converted[n]) for n in converted)


def test_sizes_are_cut_to_whole_patches() -> None:
    extractor = ViTExtractor(None, "tiny_floor").eval()
    images = torch.randn(1, 3, 19, 17)
    assert torch.equal(extractor(images), extractor(images[..., :16, :16]))


def test_sizes_must_be_multiples() -> None:
    extractor = ViTExtractor(None, "tiny")
    with pytest.raises(
        AssertionError, match=r"multiples of the patch size 4, got 19x16\. Resize them, for example to 16x16"
    ):
        extractor(torch.randn(1, 3, 19, 16))


def test_multi_scale_is_the_mean_over_scales() -> None:
    extractor = ViTExtractor(None, "tiny", use_multi_scale=True).eval()
    images = torch.randn(2, 3, 32, 16)
    scaled = [images]
    for size in ((22, 11), (16, 8)):  # 32 / sqrt(2) = 22.6, 16 / sqrt(2) = 11.3
        scale = size[0] / 32 if size[0] == 16 else 2**-0.5
        image = F.interpolate(images, scale_factor=scale, mode="bilinear")
        assert tuple(image.shape[-2:]) == size
        scaled.append(image[..., : size[0] // 4 * 4, : size[1] // 4 * 4])
    expected = sum(extractor.model(image) for image in scaled) / 3
    torch.testing.assert_close(extractor(images), expected)


@pytest.mark.parametrize("size", [(3, 16), (16, 0)])
def test_too_small_image(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidInputError, match="at least one patch of 4x4 pixels"):
        ViTExtractor(None, "tiny_floor")(torch.randn(1, 3, *size))


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 1, 16, 16), r"images with 3 channel\(s\), got the shape \[1, 1, 16, 16\]"), ((3, 16, 16), r"image\[None\]")],
)
def test_wrong_images(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        ViTExtractor(None, "tiny")(torch.zeros(shape))


def test_unknown_arch() -> None:
    with pytest.raises(AssertionError, match=r"Unknown arch of ViTExtractor 'vits61'\. Did you mean 'vits16'"):
        ViTExtractor(None, "vits61")


def test_missing_file() -> None:
    with pytest.raises(
        FileNotFoundError, match=r"'nowhere\.ckpt' is neither a key of ViTExtractor\.pretrained_models nor"
    ):
        ViTExtractor("nowhere.ckpt", "tiny")


def test_checkpoint_of_another_arch(tmp_path: Path) -> None:
    path = tmp_path / "published.pth"
    torch.save(make_published_registers(make_tiny(n_registers=2)), path)
    with pytest.raises(InvalidInputError, match=r"Unexpected: reg_token.*Other shape: pos_embed.*fits arch='tiny_reg'"):
        ViTExtractor(path, "tiny")


def test_positions_of_the_native_size_stay() -> None:
    positions = torch.randn(1, 1 + 6, 8)
    assert resample_positions(positions, (2, 3), (2, 3), n_special=1, offset=0.1) is positions


def interpolate_plainly(values: list[float], n_new: int, offset: float) -> list[float]:
    """Cubic convolution (Keys, 1981) with a = -0.75 at the points that the scale gives; the border is repeated."""

    def weight(t: float) -> float:
        t, a = abs(t), -0.75
        if t <= 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0

    n_old, result = len(values), []
    for i in range(n_new):
        point = (i + 0.5) * n_old / (n_new + offset) - 0.5
        near = range(math.floor(point) - 1, math.floor(point) + 3)
        result.append(sum(weight(point - j) * values[min(max(j, 0), n_old - 1)] for j in near))
    return result


@pytest.mark.parametrize("n_new", [1, 3, 6, 8, 20])
def test_positions_are_sampled_by_scale(n_new: int) -> None:
    row = torch.randn(7)
    positions = torch.cat([torch.full((1, 1, 1), 7.0), row.repeat(5, 1).reshape(1, 35, 1)], dim=1)
    sampled = resample_positions(positions, (5, 7), (4, n_new), n_special=1, offset=0.1)
    assert sampled[0, 0, 0] == 7
    expected = torch.tensor(interpolate_plainly(row.tolist(), n_new, offset=0.1)).repeat(4, 1)
    torch.testing.assert_close(sampled[0, 1:, 0].reshape(4, n_new), expected, atol=1e-4, rtol=0)


def test_positions_with_registers_are_averaged_when_made_smaller() -> None:
    # Cubic convolution between 4 neighbours would look at 2..5 and 10..13 only; antialiasing sees the corner.
    corner = torch.zeros(1, 256, 1)
    corner[0, 0, 0] = 1
    assert resample_positions(corner, (16, 16), (2, 2), n_special=0, offset=0.0)[0, 0, 0] > 0
    assert resample_positions(corner, (16, 16), (2, 2), n_special=0, offset=0.1)[0, 0, 0] == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_follows_the_network(dtype: torch.dtype) -> None:
    extractor = ViTExtractor(None, "tiny", normalise_features=True).eval().to(dtype)
    assert extractor(torch.randn(1, 3, 24, 24, dtype=dtype)).dtype == dtype


def test_positions_get_gradients() -> None:
    extractor = ViTExtractor(None, "tiny")
    extractor(torch.randn(1, 3, 24, 24))[0, 0].backward()
    assert extractor.model.pos_embed.grad.abs().sum() > 0
