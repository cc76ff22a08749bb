"""Which transform each published checkpoint was made for: (name in the registry of transforms, its arguments)."""

from typing import Any

_HYPVIT = "norm_resize_hypvit_torch"

_RESNETS = [f"resnet{depth}_imagenet1k_v1" for depth in (18, 34, 50, 101, 152)]
_DINO = ["vits16_dino", "vits8_dino", "vitb16_dino", "vitb8_dino"]
_DINO_V2 = [f"vit{size}14{suffix}_dinov2" for size in "sbl" for suffix in ("", "_reg")]
_CLIP = [f"{source}_{arch}" for source in ("openai", "sber") for arch in ("vitb16_224", "vitb32_224", "vitl14_224")]
_UNICOM = ["vitb32_unicom", "vitb16_unicom", "vitl14_unicom"]

PREPROCESSING: dict[str, tuple[str, dict[str, Any]]] = {
    **dict.fromkeys(["resnet50_moco_v2", *_RESNETS], (_HYPVIT, {"im_size": 256, "crop_size": 224})),
    **dict.fromkeys(_DINO, ("norm_resize_torch", {"im_size": 224})),
    **dict.fromkeys(_DINO_V2, (_HYPVIT, {"im_size": 224, "crop_size": 224})),
    **dict.fromkeys(["vits16_inshop", "vits16_sop"], (_HYPVIT, {"im_size": 224, "crop_size": 224})),
    **dict.fromkeys(["vits16_cars", "vits16_cub"], ("norm_resize_albu", {"im_size": 224})),
    "vits16_224_mlp_384_inshop": (_HYPVIT, {"im_size": 256, "crop_size": 224}),
    **dict.fromkeys(_CLIP, ("norm_resize_albu_clip", {"im_size": 224})),
    **dict.fromkeys(_UNICOM, ("unicom_transforms", {"im_size": 224})),
    "vitl14_336px_unicom": ("unicom_transforms", {"im_size": 336}),
}
