import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from oml.errors import InvalidInputError
from oml.models import ResnetExtractor, ViTExtractor
from oml.models.attention import calc_attention, calc_gradcam, fit_to_patches, read_picture
from oml.models.vit_dino.extractor import vis_vit
from oml.models.vit_dino.network import DinoVisionTransformer


def make_tiny(floor_sizes: bool, n_registers: int) -> nn.Module:
    return DinoVisionTransformer(
        floor_sizes=floor_sizes,
        position_offset=0.0 if n_registers else 0.1,
        img_size=16,
        patch_size=4,
        embed_dim=16,
        depth=2,
        num_heads=2,
        init_values=1.0,
        reg_tokens=n_registers,
        no_embed_class=n_registers > 0,
    )


@pytest.fixture(params=[(True, 0), (False, 0), (False, 2)], ids=["dino", "dinov2", "registers"])
def vit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ViTExtractor:
    torch.manual_seed(0)
    monkeypatch.setattr(ViTExtractor, "constructors", {"tiny": lambda: make_tiny(*request.param)})
    extractor = ViTExtractor(None, "tiny")
    for block in extractor.model.blocks:  # attention far from uniform
        nn.init.normal_(block.attn.qkv.weight, std=0.5)
    return extractor.train()


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(21, 30, 3), dtype=np.uint8)


def attend_plainly(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Attention of the class token by a loop over heads, on what the last block takes."""
    taken = []
    hook = network.blocks[-1].register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    network.eval()(images)
    hook.remove()
    block = network.blocks[-1]
    qkv = block.attn.qkv(block.norm1(taken[0]))[0]  # (T, 3 * D)
    query, key, _ = qkv.chunk(3, dim=1)
    maps = []
    for head in (slice(0, 8), slice(8, 16)):
        maps.append((query[0, head] @ key[:, head].T / 8**0.5).softmax(dim=0))
    return torch.stack(maps).mean(dim=0)[network.num_prefix_tokens :]


def test_attention_is_the_formula(vit: ViTExtractor) -> None:
    images = torch.randn(1, 3, 16, 24)
    attention = calc_attention(vit.model, images)
    assert attention.shape == (1, 4, 6)
    assert vit.training
    torch.testing.assert_close(attention.flatten(), attend_plainly(vit.model, images))
    assert 0 < attention.sum() < 1  # the special tokens have the rest


def test_draw_attention(vit: ViTExtractor, picture: np.ndarray) -> None:
    drawn = vit.draw_attention(picture)
    assert (drawn.shape, drawn.dtype) == (picture.shape, np.uint8)
    assert not np.array_equal(drawn, picture)
    from_pillow = vit.draw_attention(Image.fromarray(picture))
    assert isinstance(from_pillow, Image.Image)
    assert np.array_equal(np.asarray(from_pillow), drawn)
    assert np.array_equal(vis_vit(vit, picture), drawn)
    assert not np.array_equal(vis_vit(vit, picture, mean=(0.9, 0.1, 0.5), std=(0.1, 2, 0.5)), drawn)


def test_small_and_greyscale_pictures(vit: ViTExtractor) -> None:
    assert vit.draw_attention(np.zeros((2, 3), dtype=np.uint8)).shape == (2, 3, 3)


def test_picture_becomes_a_normalised_batch(picture: np.ndarray) -> None:
    batch = read_picture(picture, like=torch.zeros(1, dtype=torch.float64))
    assert (batch.shape, batch.dtype) == ((1, 3, 21, 30), torch.float64)
    assert batch[0, 1, 2, 3].item() == pytest.approx((picture[2, 3, 1] / 255 - 0.456) / 0.224, abs=1e-6)
    assert fit_to_patches(batch, (3, 5)).data_ptr() == batch.data_ptr()


class Linear(nn.Module):
    """Two maps and linear scores of their means, so that the answer of Grad-CAM is known."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Identity()
        self.weight = nn.Parameter(torch.tensor([[2.0, -1.0], [-9.0, -9.0]]), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.maps(x).mean(dim=(-2, -1)) @ self.weight.T


def test_gradcam_is_the_formula() -> None:
    network, images = Linear(), torch.rand(2, 2, 3, 4)
    images[:, 1] /= 10
    with torch.no_grad():
        cam = calc_gradcam(network, network.maps, images)
    expected = ((2 * images[:, 0] - images[:, 1]) / 12).clamp_min(0)
    torch.testing.assert_close(cam, expected)


@pytest.mark.parametrize("is_frozen", [True, False])
def test_draw_gradcam(is_frozen: bool, picture: np.ndarray) -> None:
    extractor = ResnetExtractor(None, "resnet18", gem_p=3.0, remove_fc=False).requires_grad_(not is_frozen)
    drawn = extractor.draw_gradcam(picture)
    assert (drawn.shape, drawn.dtype) == (picture.shape, np.uint8)
    assert np.array_equal(np.asarray(extractor.draw_gradcam(Image.fromarray(picture))), drawn)
    assert extractor.training
    assert all(p.grad is None for p in extractor.parameters())


def test_gradcam_needs_scores(picture: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match=r"draw_gradcam.*remove_fc=False"):
        ResnetExtractor(None, "resnet18", remove_fc=True).draw_gradcam(picture)
