import copy
from functools import partial

import pytest
import torch
from torch import nn

from oml.errors import InvalidInputError
from oml.models import ConvExtractor, ExtractorWithMLP, ViTExtractor
from oml.models.vit_dino.network import DinoVisionTransformer
from oml.models.zoo import get_checkpoint

KEY = "vits16_224_mlp_384_inshop"


def test_it_is_the_backbone_and_a_perceptron(backbone, images):
    extractor = ExtractorWithMLP(backbone, [8, 5]).eval()
    first, second = [layer for layer in extractor.projection if isinstance(layer, nn.Linear)]
    expected = second(first(backbone(images)).relu())
    assert extractor.extract(images).shape == (4, extractor.feat_dim) == (4, 5)
    torch.testing.assert_close(extractor(images), expected)


@pytest.mark.parametrize("optimizer_type", [torch.optim.SGD, torch.optim.AdamW])
def test_a_frozen_backbone_does_not_move(backbone, images, optimizer_type):
    extractor = ExtractorWithMLP(backbone, [5])
    optimizer = optimizer_type(extractor.parameters(), lr=0.1, weight_decay=0.1)

    def find_moved() -> set[str]:
        before = {name: parameter.detach().clone() for name, parameter in extractor.named_parameters()}
        optimizer.zero_grad()
        extractor(images).square().sum().backward()
        optimizer.step()
        moved = {name for name, value in extractor.named_parameters() if not torch.equal(value, before[name])}
        return {name.split(".")[0] for name in moved}

    assert find_moved() == {"projection"}
    extractor.unfreeze()
    assert find_moved() == {"projection", "extractor"}
    extractor.freeze()
    assert find_moved() == {"projection"}


@pytest.mark.parametrize("train_backbone", [True, False])
def test_no_graph_where_none_is_wanted(backbone, images, train_backbone):
    extractor = ExtractorWithMLP(backbone, [5], train_backbone=train_backbone)
    states = []
    backbone.register_forward_hook(lambda _module, _inputs, output: states.append(output.requires_grad))
    with torch.no_grad():
        assert not extractor(images).requires_grad
    extractor(images)
    assert states == [False, train_backbone]


@pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
def test_reload_gives_identical_outputs(backbone, images, prefix, tmp_path):
    extractor = ExtractorWithMLP(backbone, [8, 5]).eval()
    state = {f"{prefix}{name}": value for name, value in extractor.state_dict().items()}
    torch.save({"state_dict": {**state, "criterion.weight": torch.zeros(1)}}, tmp_path / "own.ckpt")
    other = ConvExtractor(im_size=16, channels=(4, 8), feat_dim=6, normalise_features=False)
    loaded = ExtractorWithMLP(other, [8, 5], weights=tmp_path / "own.ckpt").eval()
    assert torch.equal(loaded(images), extractor(images))


def test_published_names_of_the_network_inside(monkeypatch, tmp_path):
    small = {"patch_size": 14, "embed_dim": 8, "depth": 1, "num_heads": 1, "init_values": 1.0, "reg_tokens": 4}
    make = partial(
        DinoVisionTransformer, floor_sizes=False, position_offset=0.0, img_size=28, no_embed_class=True, **small
    )
    monkeypatch.setitem(ViTExtractor.constructors, "small", make)
    extractor = ExtractorWithMLP(ViTExtractor(None, "small"), [5]).eval()
    state, network = dict(extractor.state_dict()), "extractor.model."
    state[f"{network}register_tokens"] = state.pop(f"{network}reg_token")
    state[f"{network}pos_embed"] = torch.cat([torch.zeros(1, 1, 8), state[f"{network}pos_embed"]], dim=1)
    state[f"{network}mask_token"] = torch.zeros(1, 8)
    torch.save({"state_dict": {f"model.{name}": value for name, value in state.items()}}, tmp_path / "published.ckpt")
    loaded = ExtractorWithMLP(ViTExtractor(None, "small"), [5], weights=tmp_path / "published.ckpt").eval()
    images = torch.randn(2, 3, 28, 28)
    assert torch.equal(loaded(images), extractor(images))


def test_errors(backbone, tmp_path):
    with pytest.raises(InvalidInputError, match=r"at least one layer.*the layers \[\]"):
        ExtractorWithMLP(backbone, [])
    with pytest.raises(FileNotFoundError, match=rf"neither a key of ExtractorWithMLP\.pretrained_models.*{KEY}"):
        ExtractorWithMLP(backbone, [5], weights="nothing")
    torch.save(ExtractorWithMLP(backbone, [5]).state_dict(), tmp_path / "own.pth")
    with pytest.raises(
        InvalidInputError, match=r"Other shape: projection\.0\.weight is \[5, 6\] in the file, \[4, 6\]"
    ):
        ExtractorWithMLP(backbone, [4], weights=tmp_path / "own.pth")
    torch.save(backbone.state_dict(), tmp_path / "bare.pth")
    with pytest.raises(InvalidInputError, match=r"No name of the state dict contains 'extractor\.'"):
        ExtractorWithMLP(backbone, [5], weights=tmp_path / "bare.pth")


def test_from_pretrained_any_number_of_times(monkeypatch):
    record = copy.deepcopy(ExtractorWithMLP.pretrained_models)
    loaded = []
    monkeypatch.setattr(ExtractorWithMLP, "load", lambda self, weights: loaded.append(weights))
    for kwargs in ({}, {}, {"train_backbone": False}):
        with torch.device("meta"):
            extractor = ExtractorWithMLP.from_pretrained(KEY, **kwargs)
        assert isinstance(extractor.extractor, ViTExtractor)
        assert (extractor.extractor.arch, extractor.feat_dim) == ("vits16", 384)
        assert extractor.train_backbone == kwargs.get("train_backbone", True)
    backbone = ConvExtractor(im_size=16, channels=(4, 8))
    assert ExtractorWithMLP.from_pretrained(KEY, extractor=backbone).extractor is backbone
    assert loaded == [KEY] * 4
    assert record == ExtractorWithMLP.pretrained_models
    assert get_checkpoint(KEY).extractor == "ExtractorWithMLP"
    with pytest.raises(KeyError, match=rf"Did you mean '{KEY}'"):
        ExtractorWithMLP.from_pretrained("vits16_mlp_384_inshop")
