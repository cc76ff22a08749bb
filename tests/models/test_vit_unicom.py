from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from oml.errors import InvalidInputError
from oml.models import ViTUnicomExtractor
from oml.models.vit_unicom.network import UnicomVisionTransformer


def make_tiny(using_checkpoint: bool = True) -> nn.Module:
    network = UnicomVisionTransformer(img_size=8, patch_size=4, embed_dim=8, depth=2, num_heads=2, out_dim=5)
    network.set_grad_checkpointing(using_checkpoint)
    return network


@pytest.fixture(autouse=True)
def tiny_archs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ViTUnicomExtractor, "constructors", {**ViTUnicomExtractor.constructors, "tiny": make_tiny})


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("n_images", [0, 1, 3])
def test_output(normalise: bool, n_images: int) -> None:
    extractor = ViTUnicomExtractor(None, "tiny", normalise).eval()
    embeddings = extractor.extract(torch.randn(n_images, 3, 8, 8))
    assert embeddings.shape == (n_images, extractor.feat_dim) == (n_images, 5)
    if normalise:
        torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(n_images))
    assert (extractor.arch, extractor.normalise_features) == ("tiny", normalise)


@pytest.mark.parametrize(
    ("arch", "size", "n_tokens", "dim", "depth", "out"),
    [
        ("vitb32_unicom", 224, 49, 768, 12, 512),
        ("vitb16_unicom", 224, 196, 768, 12, 768),
        ("vitl14_unicom", 224, 256, 1024, 24, 768),
        ("vitl14_336px_unicom", 336, 576, 1024, 24, 768),
    ],
)
def test_documented_archs(arch: str, size: int, n_tokens: int, dim: int, depth: int, out: int) -> None:
    with torch.device("meta"):
        extractor = ViTUnicomExtractor(None, arch).eval()
        assert extractor.model.grad_checkpointing
        assert not ViTUnicomExtractor(None, arch, use_gradient_ckpt=False).model.grad_checkpointing
        assert extractor(torch.zeros(2, 3, size, size)).shape == (2, extractor.feat_dim) == (2, out)
    shapes = {
        "pos_embed": [1, n_tokens, dim],
        "patch_embed.proj.bias": [dim],
        "feature.0.weight": [dim, n_tokens * dim],
    }
    patch = size // round(n_tokens**0.5)
    shapes |= {"patch_embed.proj.weight": [dim, 3, patch, patch], "feature.2.weight": [out, dim]}
    norms = {"norm": dim, "feature.1": dim, "feature.3": out}
    for i in range(depth):
        shapes |= {f"blocks.{i}.attn.qkv.weight": [3 * dim, dim], f"blocks.{i}.attn.proj.weight": [dim, dim]}
        shapes |= {f"blocks.{i}.mlp.fc1.weight": [4 * dim, dim], f"blocks.{i}.mlp.fc2.weight": [dim, 4 * dim]}
        shapes |= {f"blocks.{i}.{name}.bias": [dim] for name in ("attn.proj", "mlp.fc2")}
        shapes |= {f"blocks.{i}.mlp.fc1.bias": [4 * dim]}
        norms |= {f"blocks.{i}.norm1": dim, f"blocks.{i}.norm2": dim}
    shapes |= {f"{norm}.{last}": [width] for norm, width in norms.items() for last in ("weight", "bias")}
    for norm in ("feature.1", "feature.3"):
        shapes |= {f"{norm}.{last}": [norms[norm]] for last in ("running_mean", "running_var")}
        shapes |= {f"{norm}.num_batches_tracked": []}
    assert {name: list(tensor.shape) for name, tensor in extractor.model.state_dict().items()} == shapes
    assert all(block.attn.head_dim == 64 for block in extractor.model.blocks)
    rates = [block.drop_path1.drop_prob for block in extractor.model.blocks if hasattr(block.drop_path1, "drop_prob")]
    assert rates == pytest.approx([0.1 * i / (depth - 1) for i in range(1, depth)])  # there is none in the first block


def test_checkpointing_changes_no_outputs_and_no_gradients() -> None:
    results = []
    images = torch.randn(3, 3, 8, 8)
    weights = make_tiny().state_dict()
    for use in (True, False):
        extractor = ViTUnicomExtractor(None, "tiny", use_gradient_ckpt=use).train()
        assert extractor.model.grad_checkpointing is use
        extractor.model.load_state_dict(weights)
        torch.manual_seed(0)  # of the drop path
        embeddings = extractor(images)
        embeddings[:, 0].sum().backward()
        results.append((embeddings, *(p.grad for p in extractor.parameters())))
    for with_it, without in zip(*results, strict=True):
        torch.testing.assert_close(with_it, without)


def test_reload_gives_identical_outputs(tmp_path: Path) -> None:
    extractor = ViTUnicomExtractor(None, "tiny").eval()
    torch.save({"state_dict": extractor.state_dict()}, tmp_path / "own.ckpt")
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(ViTUnicomExtractor(tmp_path / "own.ckpt", "tiny").eval()(images), extractor(images))


def test_arguments_are_kept() -> None:
    arguments = {"arch": "tiny", "normalise_features": False, "use_gradient_ckpt": False}
    assert ViTUnicomExtractor(None, **arguments).get_init_args() == arguments


def make_narrow() -> Callable[..., nn.Module]:
    return lambda using_checkpoint=True: UnicomVisionTransformer(8, 4, embed_dim=4, depth=2, num_heads=2, out_dim=5)


def test_checkpoint_of_another_arch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ViTUnicomExtractor, "constructors", {"tiny": make_tiny, "narrow": make_narrow()})
    torch.save(make_tiny().state_dict(), tmp_path / "tiny.pt")
    with pytest.raises(InvalidInputError, match=r"Other shape: pos_embed is \[1, 4, 8\].*It fits arch='tiny'"):
        ViTUnicomExtractor(tmp_path / "tiny.pt", "narrow")


def test_wrong_images() -> None:
    with pytest.raises(AssertionError, match=r"exactly 8x8 pixels, got 8x12\. Resize them"):
        ViTUnicomExtractor(None, "tiny")(torch.zeros(1, 3, 8, 12))
    with pytest.raises(InvalidInputError, match=r"takes images with 3 channel\(s\)"):
        ViTUnicomExtractor(None, "tiny")(torch.zeros(1, 1, 8, 8))


def test_unknown_arch() -> None:
    with pytest.raises(
        InvalidInputError, match=r"Unknown arch of ViTUnicomExtractor 'vitb32'\. Did you mean 'vitb32_u"
    ):
        ViTUnicomExtractor(None, "vitb32")
