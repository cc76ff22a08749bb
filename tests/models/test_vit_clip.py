from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from oml.errors import InvalidInputError
from oml.models import ViTCLIPExtractor
from oml.models.vit_clip.extractor import take_visual_part_of_vit_clip
from oml.models.vit_clip.network import ClipVisionTransformer, published_to_timm


def make_tiny() -> nn.Module:
    return ClipVisionTransformer(img_size=8, patch_size=4, embed_dim=8, depth=2, num_heads=2, out_dim=5)


def list_published(size: int, patch: int, dim: int, depth: int, out: int) -> dict[str, list[int]]:
    """Give names and shapes of a visual tower as OpenAI publishes it."""
    shapes = {
        "class_embedding": [dim],
        "positional_embedding": [(size // patch) ** 2 + 1, dim],
        "proj": [dim, out],
        "conv1.weight": [dim, 3, patch, patch],
    }
    norms = ["ln_pre", "ln_post"]
    for i in range(depth):
        block = f"transformer.resblocks.{i}"
        shapes |= {f"{block}.attn.in_proj_weight": [3 * dim, dim], f"{block}.attn.in_proj_bias": [3 * dim]}
        shapes |= {f"{block}.attn.out_proj.weight": [dim, dim], f"{block}.attn.out_proj.bias": [dim]}
        shapes |= {f"{block}.mlp.c_fc.weight": [4 * dim, dim], f"{block}.mlp.c_fc.bias": [4 * dim]}
        shapes |= {f"{block}.mlp.c_proj.weight": [dim, 4 * dim], f"{block}.mlp.c_proj.bias": [dim]}
        norms += [f"{block}.ln_1", f"{block}.ln_2"]
    return shapes | {f"{norm}.{last}": [dim] for norm in norms for last in ("weight", "bias")}


def make_published(device: str = "cpu", **sizes: int) -> dict[str, Tensor]:
    return {name: torch.randn(shape, device=device) for name, shape in list_published(**sizes).items()}


TINY = {"size": 8, "patch": 4, "dim": 8, "depth": 2, "out": 5}


@pytest.fixture(autouse=True)
def tiny_archs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ViTCLIPExtractor, "constructors", {**ViTCLIPExtractor.constructors, "tiny": make_tiny})


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("n_images", [0, 1, 3])
def test_output(normalise: bool, n_images: int) -> None:
    extractor = ViTCLIPExtractor(None, "tiny", normalise).eval()
    embeddings = extractor.extract(torch.randn(n_images, 3, 8, 8))
    assert embeddings.shape == (n_images, extractor.feat_dim) == (n_images, 5)
    if normalise:
        torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(n_images))
    assert (extractor.arch, extractor.normalise_features) == ("tiny", normalise)


@pytest.mark.parametrize(
    ("arch", "size", "patch", "dim", "depth", "out"),
    [
        ("vitb16_224", 224, 16, 768, 12, 512),
        ("vitb32_224", 224, 32, 768, 12, 512),
        ("vitl14_224", 224, 14, 1024, 24, 768),
        ("vitl14_336", 336, 14, 1024, 24, 768),
    ],
)
def test_documented_archs(arch: str, size: int, patch: int, dim: int, depth: int, out: int) -> None:
    with torch.device("meta"):
        extractor = ViTCLIPExtractor(None, arch)
        assert extractor(torch.zeros(2, 3, size, size)).shape == (2, extractor.feat_dim) == (2, out)
    published = make_published("meta", size=size, patch=patch, dim=dim, depth=depth, out=out)
    converted = {name: tensor.shape for name, tensor in published_to_timm(published).items()}
    assert converted == {name: tensor.shape for name, tensor in extractor.model.state_dict().items()}
    assert all(block.attn.head_dim == 64 for block in extractor.model.blocks)


@pytest.mark.parametrize("prefix", ["", "visual.", "model.model.", "model.model.visual.", "visual.model."])
def test_the_tower_of_a_whole_clip_under_any_prefix(prefix: str, tmp_path: Path) -> None:
    tower = make_published(**TINY)
    state_dict = {prefix + name: tensor for name, tensor in tower.items()}
    if "visual." in prefix:  # the text tower has the same names without `visual.`
        text = {"positional_embedding": torch.randn(77, 16), "transformer.resblocks.0.ln_1.weight": torch.randn(16)}
        text |= {"logit_scale": torch.tensor(1.0), "input_resolution": torch.tensor(8), "ln_final.bias": torch.randn(2)}
        state_dict |= {prefix.partition("visual.")[0] + name: tensor for name, tensor in text.items()}
    torch.save({"state_dict": {**state_dict, "criterion.weight": torch.zeros(2)}}, tmp_path / "clip.ckpt")
    loaded = ViTCLIPExtractor(tmp_path / "clip.ckpt", "tiny").model
    direct = make_tiny()
    direct.load_state_dict(tower)
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in direct.state_dict().items())
    assert torch.equal(loaded.blocks[1].attn.qkv.weight, tower["transformer.resblocks.1.attn.in_proj_weight"])
    assert torch.equal(loaded.head.weight, tower["proj"].T)


def test_half_precision_files_give_float32(tmp_path: Path) -> None:
    torch.save({name: tensor.half() for name, tensor in make_published(**TINY).items()}, tmp_path / "clip.pt")
    assert {p.dtype for p in ViTCLIPExtractor(tmp_path / "clip.pt", "tiny").parameters()} == {torch.float32}


def test_reload_gives_identical_outputs(tmp_path: Path) -> None:
    extractor = ViTCLIPExtractor(None, "tiny").eval()
    torch.save({"state_dict": extractor.state_dict()}, tmp_path / "own.ckpt")
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(ViTCLIPExtractor(tmp_path / "own.ckpt", "tiny").eval()(images), extractor(images))
    bigger = nn.ModuleDict({"extractor": ViTCLIPExtractor(None, "tiny")}).eval()
    bigger.load_state_dict({f"extractor.{name}": tensor for name, tensor in extractor.state_dict().items()})
    assert torch.equal(bigger["extractor"](images), extractor(images))


def test_visual_part() -> None:
    whole = {"visual.proj": 1, "visual.conv1.weight": 2, "proj": 3, "ln_final.bias": 4}
    assert take_visual_part_of_vit_clip(dict(whole), {"proj"}) == {"proj": 1}
    assert take_visual_part_of_vit_clip(dict(whole), ["visual.proj"]) == {"visual.proj": 1}
    changed = dict(whole)
    assert take_visual_part_of_vit_clip(changed, {"conv1.weight", "ln_final.bias"}) is changed
    assert changed == {"conv1.weight": 2, "ln_final.bias": 4}


@pytest.mark.parametrize("size", [(16, 16), (8, 4)])
def test_wrong_size(size: tuple[int, int]) -> None:
    with pytest.raises(AssertionError, match=rf"exactly 8x8 pixels, got {size[0]}x{size[1]}\. Resize them"):
        ViTCLIPExtractor(None, "tiny")(torch.zeros(1, 3, *size))


def test_wrong_channels() -> None:
    with pytest.raises(InvalidInputError, match=r"takes images with 3 channel\(s\)"):
        ViTCLIPExtractor(None, "tiny")(torch.zeros(1, 1, 8, 8))


def test_unknown_arch() -> None:
    with pytest.raises(KeyError, match=r"Unknown arch of ViTCLIPExtractor 'vitb23_224'\. Did you mean 'vitb32_224'"):
        ViTCLIPExtractor(None, "vitb23_224")


def test_checkpoint_of_another_arch(tmp_path: Path) -> None:
    torch.save(make_published(**{**TINY, "depth": 1}), tmp_path / "clip.pt")
    with pytest.raises(InvalidInputError, match=r"Missing: blocks\.1\.norm1\.weight.*fits no known architecture"):
        ViTCLIPExtractor(tmp_path / "clip.pt", "tiny")
