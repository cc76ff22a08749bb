"""The zoo: one record per published checkpoint. What is said about checkpoints elsewhere is a view of this table."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from oml.const import STORAGE_CKPTS
from oml.errors import unknown_name_message

# Name in the registry of transforms, and its arguments.
TTransform = tuple[str, dict[str, Any]]

_FACEBOOK = "https://dl.fbaipublicfiles.com"
_OPENAI = "https://openaipublic.azureedge.net/clip/models"
_HUGGING_FACE = "https://huggingface.co"
_GITHUB = "https://github.com"


@dataclass(frozen=True)
class Checkpoint:
    """
    What is known about a published checkpoint.

    Args:
        key: Its name, unique in the zoo, such as `"vits16_dino"`.
        extractor: The name of the class in `oml.models` that it belongs to.
        init_args: Arguments of the constructor that fit the weights. An extractor among them is described as in
            configs, `{"name": ..., "args": {...}}`.
        sources: Where the file can be had, tried in this order: addresses, or ids of files at Google Drive.
        fname: The name of the file in the cache folder.
        hash: The beginning of the MD5 hash of the file, or of its SHA-256 hash behind `"sha256:"`.
        transform: The preprocessing that the weights were trained for; None where there are no images.
        licence: Its SPDX identifier, as stated by the authors; None where they do not state one clearly.
        metrics: Published results, as their authors calculated them, in percent.

    """

    key: str
    extractor: str
    init_args: dict[str, Any]
    sources: tuple[str, ...]
    fname: str
    hash: str
    transform: TTransform | None
    licence: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


def get_checkpoint(key: str) -> Checkpoint:
    """
    Give the record of a checkpoint.

    Raises:
        KeyError: the key is unknown; the message names the nearest ones.

    Example:
        >>> get_checkpoint("vits16_cub").licence
        'Apache-2.0'

    """
    if key not in ZOO:
        raise KeyError(unknown_name_message("checkpoint", key, list(ZOO)))
    return ZOO[key]


def get_pretrained_models(extractor: str) -> dict[str, dict[str, Any]]:
    """
    Give an extractor's checkpoints in the form of its `pretrained_models`: keys to sources, hashes and arguments.

    Example:
        >>> get_pretrained_models("ECAPATDNNExtractor")["ecapa_tdnn_taoruijie"]["fname"]
        'ecapa_tdnn_taoruijie.pth'

    """
    return {
        key: {"url": list(one.sources), "hash": one.hash, "fname": one.fname, "init_args": deepcopy(one.init_args)}
        for key, one in ZOO.items()
        if one.extractor == extractor
    }


def _hypvit(im_size: int) -> TTransform:
    return "norm_resize_hypvit_torch", {"im_size": im_size, "crop_size": 224}


def _list_dino() -> Iterator[Checkpoint]:
    for arch, published, md5 in (
        ("vits16", "deitsmall16", "cf0f22"),
        ("vits8", "deitsmall8", "230cd5"),
        ("vitb16", "vitbase16", "552daf"),
        ("vitb8", "vitbase8", "556550"),
    ):
        yield Checkpoint(
            key=f"{arch}_dino",
            extractor="ViTExtractor",
            init_args={"arch": arch, "normalise_features": False},
            sources=(f"{_FACEBOOK}/dino/dino_{published}_pretrain/dino_{published}_pretrain.pth",),
            fname=f"{arch}_dino.ckpt",
            hash=md5,
            transform=("norm_resize_torch", {"im_size": 224}),
            licence="Apache-2.0",
        )


def _list_dinov2() -> Iterator[Checkpoint]:
    for arch, published, md5 in (
        ("vits14", "vits14", "2e405c"),
        ("vitb14", "vitb14", "8635e7"),
        ("vitl14", "vitl14", "19a02c"),
        ("vits14_reg", "vits14_reg4", "2a50c5"),
        ("vitb14_reg", "vitb14_reg4", "13d13c"),
        ("vitl14_reg", "vitl14_reg4", "8b6364"),
    ):
        folder = published.removesuffix("_reg4")
        yield Checkpoint(
            key=f"{arch}_dinov2",
            extractor="ViTExtractor",
            init_args={"arch": arch, "normalise_features": False},
            sources=(f"{_FACEBOOK}/dinov2/dinov2_{folder}/dinov2_{published}_pretrain.pth",),
            fname=f"dinov2_{published}.ckpt",
            hash=md5,
            transform=_hypvit(224),
            licence="Apache-2.0",
        )


def _list_fine_tuned() -> Iterator[Checkpoint]:
    fit: TTransform = ("norm_resize_albu", {"im_size": 224})
    for dataset, file, google_drive_id, md5, is_normalised, transform in (
        ("inshop", "vits16_inshop_a76b85", "1niX-TC8cj6j369t7iU2baHQSVN3MVJbW", "a76b85", False, _hypvit(224)),
        ("sop", "vits16_sop_21e743", "1zuGRHvF2KHd59aw7i7367OH_tQNOGz7A", "21e743", True, _hypvit(224)),
        ("cub", "vits16_cub", "1p2tUosFpGXh5sCCdzlXtjV87kCDfG34G", "e82633", False, fit),
        ("cars", "vits16_cars", "1hcOxDRRXrKr6ZTCyBauaY8Ue-pok4Icg", "9f1e59", False, fit),
    ):
        yield Checkpoint(
            key=f"vits16_{dataset}",
            extractor="ViTExtractor",
            init_args={"arch": "vits16", "normalise_features": is_normalised},
            sources=(f"{STORAGE_CKPTS}/{dataset}/{file}.ckpt", google_drive_id),
            fname=f"vits16_{dataset}.ckpt",
            hash=md5,
            transform=transform,
            licence="Apache-2.0",
        )
    yield Checkpoint(
        key="vits16_224_mlp_384_inshop",
        extractor="ExtractorWithMLP",
        init_args={
            "extractor": {"name": "vit", "args": {"weights": None, "arch": "vits16", "normalise_features": False}},
            "mlp_features": [384],
            "train_backbone": True,
        },
        sources=(f"{STORAGE_CKPTS}/inshop/vits16_224_mlp_384_inshop.ckpt",),
        fname="vits16_224_mlp_384_inshop.ckpt",
        hash="35244966",
        transform=_hypvit(256),
        licence="Apache-2.0",
    )


def _list_clip() -> Iterator[Checkpoint]:
    # OpenAI keeps each file in a folder that is called by the file's SHA-256 hash.
    openai = {
        "vitb16_224": "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f/ViT-B-16.pt",
        "vitb32_224": "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
        "vitl14_224": "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836/ViT-L-14.pt",
    }
    sber = {"vitb16_224": "base-patch16", "vitb32_224": "base-patch32", "vitl14_224": "large-patch14"}
    for arch, md5_openai, md5_sber in (
        ("vitb16_224", "44c3d804ecac03d9545ac1a3adbca3a6", "7882e07674d78c674e33cb892a68bbfc"),
        ("vitb32_224", "3ba34e387b24dfe590eeb1ae6a8a122b", "e2c4dab46a3cfa608bdd762973e90d32"),
        ("vitl14_224", "096db1af569b284eb76b3881534822d9", "9b4a1cd25d15bad4ffd2ba6e34b8a67c"),
    ):
        ruclip = f"{_HUGGING_FACE}/sberbank-ai/ruclip-vit-{sber[arch]}-224/resolve/main/pytorch_model.bin"
        for origin, source, md5 in (
            ("openai", f"{_OPENAI}/{openai[arch]}", md5_openai),
            ("sber", ruclip, md5_sber),
        ):
            yield Checkpoint(
                key=f"{origin}_{arch}",
                extractor="ViTCLIPExtractor",
                init_args={"arch": arch, "normalise_features": False},
                sources=(source,),
                fname=f"{origin}_{arch}.ckpt",
                hash=md5,
                transform=("norm_resize_albu_clip", {"im_size": 224}),
                licence="MIT",
            )


def _list_unicom() -> Iterator[Checkpoint]:
    for arch, release, file, sha256, im_size in (
        ("vitb32_unicom", "b32", "FP16-ViT-B-32", "f9d5696a", 224),
        ("vitb16_unicom", "b16", "FP16-ViT-B-16", "c04f324f", 224),
        ("vitl14_unicom", "l14", "FP16-ViT-L-14", "ff3ab62f", 224),
        ("vitl14_336px_unicom", "l14_336px", "FP16-ViT-L-14-336px", "3916ab5a", 336),
    ):
        yield Checkpoint(
            key=arch,
            extractor="ViTUnicomExtractor",
            init_args={"arch": arch, "normalise_features": True},
            sources=(f"{_GITHUB}/deepglint/unicom/releases/download/{release}/{file}.pt",),
            fname=f"{arch}.ckpt",
            hash=f"sha256:{sha256}",
            transform=("unicom_transforms", {"im_size": im_size}),
            licence="MIT",
        )


def _list_resnet() -> Iterator[Checkpoint]:
    yield Checkpoint(
        key="resnet50_moco_v2",
        extractor="ResnetExtractor",
        init_args={"arch": "resnet50_projector", "normalise_features": False, "gem_p": 5.0, "remove_fc": True},
        sources=(f"{_FACEBOOK}/moco/moco_checkpoints/moco_v2_800ep/moco_v2_800ep_pretrain.pth.tar",),
        fname="resnet50_moco_v2.ckpt",
        hash="a04e12f8",
        transform=_hypvit(256),
    )
    # torchvision names its files by the beginning of their SHA-256 hash; a test compares addresses and metrics with it.
    for arch, sha256, top_1, top_5 in (
        ("resnet18", "f37072fd", 69.758, 89.078),
        ("resnet34", "b627a593", 73.314, 91.420),
        ("resnet50", "0676ba61", 76.130, 92.862),
        ("resnet101", "63fe2227", 77.374, 93.546),
        ("resnet152", "394f9c45", 78.312, 94.046),
    ):
        yield Checkpoint(
            key=f"{arch}_imagenet1k_v1",
            extractor="ResnetExtractor",
            init_args={"arch": arch, "normalise_features": False, "gem_p": None, "remove_fc": True},
            sources=(f"https://download.pytorch.org/models/{arch}-{sha256}.pth",),
            fname=f"{arch}_imagenet1k_v1.ckpt",
            hash=f"sha256:{sha256}",
            transform=_hypvit(256),
            licence="BSD-3-Clause",
            metrics={"ImageNet-1K acc@1": top_1, "ImageNet-1K acc@5": top_5},
        )


def _list_ecapa() -> Iterator[Checkpoint]:
    yield Checkpoint(
        key="ecapa_tdnn_taoruijie",
        extractor="ECAPATDNNExtractor",
        init_args={"arch": "ecapa_tdnn_taoruijie", "normalise_features": False},
        sources=(f"{_GITHUB}/TaoRuijie/ECAPA-TDNN/raw/main/exps/pretrain.model",),
        fname="ecapa_tdnn_taoruijie.pth",
        hash="2bbc0ea09a41217eaff16b676ecb63d7",
        transform=None,
        licence="MIT",
    )


_FAMILIES = (_list_dino, _list_dinov2, _list_fine_tuned, _list_clip, _list_unicom, _list_resnet, _list_ecapa)

ZOO: dict[str, Checkpoint] = {one.key: one for list_family in _FAMILIES for one in list_family()}
