import pickle
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import Tensor, nn

from oml.errors import InvalidInputError
from oml.models import TimmExtractor

NAMES = ["test_vit", "test_vit2", "test_resnet", "test_efficientnet", "test_convnext", "test_mambaout"]


def make_image(mode: str = "RGB", h: int = 50, w: int = 70) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, size=(h, w, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pooling", [None, "avg", "max"])
def test_output_is_that_of_timm(name: str, pooling: str | None) -> None:
    extractor = TimmExtractor(name, pooling=pooling).eval()
    plain = timm.create_model(name, num_classes=0, **({} if pooling is None else {"global_pool": pooling})).eval()
    plain.load_state_dict(extractor.model.state_dict())
    images = torch.randn(2, 3, 160, 160)
    embeddings = extractor.extract(images)
    assert embeddings.shape == (2, extractor.feat_dim)
    assert torch.equal(embeddings, plain(images))


@pytest.mark.parametrize(
    ("name", "pooling"),
    [("test_vit", "token"), ("test_vit", "map"), ("test_resnet", "catavgmax"), ("test_vit", "avgmax")],
)
def test_other_poolings(name: str, pooling: str) -> None:
    extractor = TimmExtractor(name, pooling=pooling).eval()
    assert extractor(torch.randn(1, 3, 160, 160)).shape == (1, extractor.feat_dim)


@pytest.mark.parametrize("n_images", [0, 1, 3])
def test_projection_and_length(n_images: int) -> None:
    extractor = TimmExtractor("test_resnet", projection=7, normalise_features=True).eval()
    embeddings = extractor(torch.randn(n_images, 3, 32, 32))
    assert embeddings.shape == (n_images, 7) == (n_images, extractor.feat_dim)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(n_images))


def test_arguments_of_timm() -> None:
    extractor = TimmExtractor("test_vit", in_chans=1, img_size=48).eval()
    assert extractor(torch.randn(2, 1, 48, 48)).shape == (2, 64)
    assert extractor.timm_kwargs == {"in_chans": 1, "img_size": 48}
    dynamic = TimmExtractor("test_vit", dynamic_img_size=True).eval()
    assert dynamic(torch.randn(1, 3, 64, 32)).shape == (1, 64)


@pytest.mark.parametrize("name", ["test_vit2", "test_resnet"])
@pytest.mark.parametrize("projection", [None, 5])
@pytest.mark.parametrize("wrap", ["", "model.", "module."])
def test_reload_gives_identical_outputs(name: str, projection: int | None, wrap: str, tmp_path: Path) -> None:
    extractor = TimmExtractor(name, projection=projection).eval()
    state = {f"{wrap}{n}": t for n, t in extractor.state_dict().items()}
    torch.save({"state_dict": {**state, "criterion.weight": torch.zeros(1)}}, tmp_path / "own.ckpt")
    other = TimmExtractor(name, tmp_path / "own.ckpt", projection=projection).eval()
    images = torch.randn(2, 3, 160, 160)
    assert torch.equal(extractor(images), other(images))


def test_projection_without_weights_stays_random(tmp_path: Path) -> None:
    torch.save(TimmExtractor("test_resnet").model.state_dict(), tmp_path / "backbone.pth")
    torch.manual_seed(0)
    expected = torch.nn.Linear(96, 5).weight  # nothing is drawn for a backbone that a file fills
    torch.manual_seed(0)
    extractor = TimmExtractor("test_resnet", tmp_path / "backbone.pth", projection=5)
    assert torch.equal(extractor.projection.weight, expected)


def test_projection_of_another_size(tmp_path: Path) -> None:
    torch.save(TimmExtractor("test_resnet", projection=5).state_dict(), tmp_path / "own.pth")
    with pytest.raises(
        InvalidInputError, match=r"Other shape: weight is \[5, 96\] in the file, \[6, 96\] in the model"
    ):
        TimmExtractor("test_resnet", tmp_path / "own.pth", projection=6)
    with pytest.raises(InvalidInputError, match=r"share the prefix 'model\.', these do not: projection\.weight"):
        TimmExtractor("test_resnet", tmp_path / "own.pth")


def test_classifier_of_a_published_file_is_dropped(tmp_path: Path) -> None:
    published = timm.create_model("test_efficientnet").eval()
    torch.save(published.state_dict(), tmp_path / "published.pth")
    extractor = TimmExtractor("test_efficientnet", tmp_path / "published.pth").eval()
    images = torch.randn(1, 3, 64, 64)
    expected = published.forward_head(published.forward_features(images), pre_logits=True)
    assert torch.equal(extractor(images), expected)


def test_published_colours_and_size_are_adapted(tmp_path: Path) -> None:
    published = timm.create_model("test_vit", num_classes=0)
    torch.save({"model": published.state_dict()}, tmp_path / "published.pth")
    extractor = TimmExtractor("test_vit", tmp_path / "published.pth", in_chans=1, img_size=80)
    expected = published.patch_embed.proj.weight.sum(dim=1, keepdim=True)
    torch.testing.assert_close(extractor.model.patch_embed.proj.weight, expected)
    assert extractor.model.pos_embed.shape == (1, 1 + 25, 64)


def test_published_names_are_converted_by_timm(tmp_path: Path) -> None:
    # The published layout of a transformer with registers: other names, and a position for CLS.
    arguments = {"img_size": 56, "embed_dim": 24, "depth": 1, "num_heads": 2}
    name = "vit_small_patch14_reg4_dinov2"
    source = TimmExtractor(name, **arguments).eval()
    state: dict[str, Tensor] = dict(source.model.state_dict())
    state["register_tokens"] = state.pop("reg_token")
    state["pos_embed"] = torch.cat([torch.zeros(1, 1, 24), state["pos_embed"]], dim=1)
    state["mask_token"] = torch.zeros(1, 24)
    torch.save(state, tmp_path / "published.pth")
    loaded = TimmExtractor(name, tmp_path / "published.pth", **arguments).eval()
    images = torch.randn(1, 3, 56, 56)
    assert torch.equal(loaded(images), source(images))


def test_checkpoint_of_another_model(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_efficientnet").state_dict(), tmp_path / "other.pth")
    with pytest.raises(
        InvalidInputError, match=r"Cannot load .*other\.pth\. No name of the state dict contains 'cls_token'"
    ):
        TimmExtractor("test_vit", tmp_path / "other.pth")
    torch.save(timm.create_model("test_vit", embed_dim=32).state_dict(), tmp_path / "other.pth")
    with pytest.raises(InvalidInputError, match=r"Other shape: cls_token is \[1, 1, 32\] in the file, \[1, 1, 64\]"):
        TimmExtractor("test_vit", tmp_path / "other.pth")


def test_unknown_names_and_arguments() -> None:
    with pytest.raises(InvalidInputError, match=r"Unknown model of timm 'test_vitt'\. Did you mean 'test_vit'"):
        TimmExtractor("test_vitt")
    with pytest.raises(InvalidInputError, match=r"test_vit\.nope.*Names with weights: test_vit\.r160_in1k"):
        TimmExtractor("test_vit.nope")
    with pytest.raises(
        InvalidInputError, match=r"cannot make 'test_resnet' with the arguments .*Invalid pool type: map"
    ):
        TimmExtractor("test_resnet", pooling="map")
    with pytest.raises(InvalidInputError, match="unexpected keyword argument 'in_channels'"):
        TimmExtractor("test_resnet", in_channels=1)
    with pytest.raises(InvalidInputError, match="would give no embeddings but a map of features"):
        TimmExtractor("test_resnet", pooling="")
    with pytest.raises(InvalidInputError, match="positive number of features, or None to have none, got 0"):
        TimmExtractor("test_resnet", projection=0)
    with pytest.raises(FileNotFoundError, match=r"'tim' is neither a key of TimmExtractor\.pretrained_models nor"):
        TimmExtractor("test_resnet", weights="tim")


def test_weights_of_timm_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OSError, match=r"weights of 'test_vit' could not be downloaded .* give its path as weights="):
        TimmExtractor("test_vit", weights="timm")


def test_wrong_channels() -> None:
    with pytest.raises(InvalidInputError, match=r"1 channel\(s\), got the shape \[1, 3, 32, 32\].*convert\('L'\)"):
        TimmExtractor("test_resnet", in_chans=1)(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize("name", NAMES)
def test_transform_is_that_of_timm(name: str) -> None:
    extractor = TimmExtractor(name)
    plain = timm.data.create_transform(**timm.data.resolve_model_data_config(extractor.model))
    image = make_image()
    assert torch.equal(extractor.get_transforms()(image), plain(image))


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "1"])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_transform_fits_the_model(is_training: bool, mode: str, n_channels: int) -> None:
    extractor = TimmExtractor("test_vit", in_chans=n_channels, img_size=48).eval()
    transform = pickle.loads(pickle.dumps(extractor.get_transforms(is_training)))  # as workers of a loader get it
    tensor = transform(make_image(mode))
    assert tensor.shape == (n_channels, 48, 48)
    assert extractor(tensor[None]).shape == (1, 64)


def test_greyscale_is_normalised_with_the_average_statistics() -> None:
    extractor = TimmExtractor("resnet18", in_chans=1)  # its statistics differ between the channels
    mean, std = extractor.model.pretrained_cfg["mean"], extractor.model.pretrained_cfg["std"]
    black = extractor.get_transforms()(Image.new("RGB", (200, 200)))
    assert black.mean().item() == pytest.approx(-(sum(mean) / 3) / (sum(std) / 3), rel=1e-5)


def test_size_of_the_transform() -> None:
    extractor = TimmExtractor("test_resnet")
    assert extractor.get_transforms()(make_image()).shape == (3, 160, 160)
    assert extractor.get_transforms(im_size=64)(make_image()).shape == (3, 64, 64)
    wide = TimmExtractor("test_vit", img_size=(32, 64))
    assert wide.get_transforms()(make_image()).shape == (3, 32, 64)


def test_transform_for_other_channels() -> None:
    with pytest.raises(InvalidInputError, match="takes 6 channels, but preprocessing is known for 1 and 3 only"):
        TimmExtractor("test_resnet", in_chans=6).get_transforms()


def test_parts_are_modules() -> None:
    extractor = TimmExtractor("test_resnet", projection=3)
    assert isinstance(extractor.projection, nn.Linear)
    extractor(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None for p in extractor.parameters())
