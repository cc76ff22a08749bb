"""The table of published checkpoints against the documented one, written down here a second time."""

import dataclasses
import re

import pytest
import torchvision

from oml import models
from oml.models.zoo import ZOO, get_checkpoint, get_pretrained_models

# key: extractor, architecture, whether features are normalised, hash
DOCUMENTED = {
    "vits16_dino": ("ViTExtractor", "vits16", False, "cf0f22"),
    "vits8_dino": ("ViTExtractor", "vits8", False, "230cd5"),
    "vitb16_dino": ("ViTExtractor", "vitb16", False, "552daf"),
    "vitb8_dino": ("ViTExtractor", "vitb8", False, "556550"),
    "vits14_dinov2": ("ViTExtractor", "vits14", False, "2e405c"),
    "vitb14_dinov2": ("ViTExtractor", "vitb14", False, "8635e7"),
    "vitl14_dinov2": ("ViTExtractor", "vitl14", False, "19a02c"),
    "vits14_reg_dinov2": ("ViTExtractor", "vits14_reg", False, "2a50c5"),
    "vitb14_reg_dinov2": ("ViTExtractor", "vitb14_reg", False, "13d13c"),
    "vitl14_reg_dinov2": ("ViTExtractor", "vitl14_reg", False, "8b6364"),
    "vits16_inshop": ("ViTExtractor", "vits16", False, "a76b85"),
    "vits16_sop": ("ViTExtractor", "vits16", True, "21e743"),
    "vits16_cub": ("ViTExtractor", "vits16", False, "e82633"),
    "vits16_cars": ("ViTExtractor", "vits16", False, "9f1e59"),
    "openai_vitb16_224": ("ViTCLIPExtractor", "vitb16_224", False, "44c3d804ecac03d9545ac1a3adbca3a6"),
    "openai_vitb32_224": ("ViTCLIPExtractor", "vitb32_224", False, "3ba34e387b24dfe590eeb1ae6a8a122b"),
    "openai_vitl14_224": ("ViTCLIPExtractor", "vitl14_224", False, "096db1af569b284eb76b3881534822d9"),
    "sber_vitb16_224": ("ViTCLIPExtractor", "vitb16_224", False, "7882e07674d78c674e33cb892a68bbfc"),
    "sber_vitb32_224": ("ViTCLIPExtractor", "vitb32_224", False, "e2c4dab46a3cfa608bdd762973e90d32"),
    "sber_vitl14_224": ("ViTCLIPExtractor", "vitl14_224", False, "9b4a1cd25d15bad4ffd2ba6e34b8a67c"),
    "vitb32_unicom": ("ViTUnicomExtractor", "vitb32_unicom", True, "sha256:f9d5696a"),
    "vitb16_unicom": ("ViTUnicomExtractor", "vitb16_unicom", True, "sha256:c04f324f"),
    "vitl14_unicom": ("ViTUnicomExtractor", "vitl14_unicom", True, "sha256:ff3ab62f"),
    "vitl14_336px_unicom": ("ViTUnicomExtractor", "vitl14_336px_unicom", True, "sha256:3916ab5a"),
    "resnet50_moco_v2": ("ResnetExtractor", "resnet50_projector", False, "a04e12f8"),
    **{
        f"resnet{depth}_imagenet1k_v1": ("ResnetExtractor", f"resnet{depth}", False, None)
        for depth in (18, 34, 50, 101, 152)
    },
    "ecapa_tdnn_taoruijie": (
        "ECAPATDNNExtractor",
        "ecapa_tdnn_taoruijie",
        False,
        "2bbc0ea09a41217eaff16b676ecb63d7",
    ),
    "vits16_224_mlp_384_inshop": ("ExtractorWithMLP", None, None, "35244966"),
}


def test_keys_are_the_documented_ones() -> None:
    assert set(ZOO) == set(DOCUMENTED)
    assert all(key == checkpoint.key for key, checkpoint in ZOO.items())


@pytest.mark.parametrize("key", list(DOCUMENTED))
def test_record(key: str) -> None:
    checkpoint = get_checkpoint(key)
    extractor, arch, is_normalised, hash_ = DOCUMENTED[key]
    assert checkpoint.extractor == extractor
    assert checkpoint.init_args.get("arch") == arch
    assert checkpoint.init_args.get("normalise_features") == is_normalised
    if hash_ is not None:
        assert checkpoint.hash == hash_
    assert re.fullmatch(r"(sha256:)?[0-9a-f]{6,64}", checkpoint.hash)
    assert all(re.fullmatch(r"https://[\w./-]+\.\w+|[\w-]{33}", source) for source in checkpoint.sources)
    assert checkpoint.sources


def test_files_do_not_overwrite_each_other() -> None:
    names = [checkpoint.fname for checkpoint in ZOO.values()]
    assert len(set(names)) == len(names)
    assert ZOO["vitl14_reg_dinov2"].fname == "dinov2_vitl14_reg4.ckpt"
    assert ZOO["vits16_dino"].fname == "vits16_dino.ckpt"
    assert ZOO["ecapa_tdnn_taoruijie"].fname == "ecapa_tdnn_taoruijie.pth"


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_torchvision_says_the_same(depth: int) -> None:
    published = torchvision.models.get_model_weights(f"resnet{depth}").IMAGENET1K_V1
    checkpoint = ZOO[f"resnet{depth}_imagenet1k_v1"]
    assert checkpoint.sources == (published.url,)
    assert checkpoint.hash == "sha256:" + published.url.split("-")[-1].removesuffix(".pth")
    assert checkpoint.metrics == {f"ImageNet-1K {k}": v for k, v in published.meta["_metrics"]["ImageNet-1K"].items()}


def test_sources_in_order() -> None:
    assert ZOO["vits8_dino"].sources == (
        "https://dl.fbaipublicfiles.com/dino/dino_deitsmall8_pretrain/dino_deitsmall8_pretrain.pth",
    )
    assert ZOO["vitb14_reg_dinov2"].sources == (
        "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_reg4_pretrain.pth",
    )
    assert ZOO["vits16_sop"].sources == (
        "https://oml.daloroserver.com/download/checkpoints/sop/vits16_sop_21e743.ckpt",
        "1zuGRHvF2KHd59aw7i7367OH_tQNOGz7A",
    )


def test_records_cannot_be_changed() -> None:
    get_pretrained_models("ExtractorWithMLP")["vits16_224_mlp_384_inshop"]["init_args"]["extractor"]["args"].clear()
    assert ZOO["vits16_224_mlp_384_inshop"].init_args["extractor"]["args"]["arch"] == "vits16"
    with pytest.raises(dataclasses.FrozenInstanceError):
        ZOO["vits16_dino"].hash = "0"  # type: ignore[misc]


def test_unknown_key() -> None:
    with pytest.raises(KeyError, match=r"Unknown checkpoint 'vits16_dyno'\. Did you mean 'vits16_dino'"):
        get_checkpoint("vits16_dyno")


EXTRACTORS = [getattr(models, name) for name in models.__all__ if name in {c.extractor for c in ZOO.values()}]


@pytest.mark.parametrize("extractor", EXTRACTORS, ids=lambda e: e.__name__)
def test_extractors_show_their_records(extractor: type[models.ViTExtractor]) -> None:
    shown = extractor.pretrained_models
    assert shown == get_pretrained_models(extractor.__name__)
    assert set(shown) == {key for key, checkpoint in ZOO.items() if checkpoint.extractor == extractor.__name__}
    for key, entry in shown.items():
        assert set(entry) == {"url", "hash", "fname", "init_args"}
        assert entry["url"] == list(ZOO[key].sources)
        if hasattr(extractor, "constructors"):
            assert entry["init_args"]["arch"] in extractor.constructors
