"""
The visual tower of CLIP: timm's vision transformer, with the projection and the names of the published networks.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021.
"""

from functools import partial
from typing import Any

from timm.layers.norm import LayerNorm
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from oml.errors import check
from oml.models.inputs import check_images

# Parts of published names and timm's words for them; each stands between dots, or ends with the dot it replaces.
_RENAMED = (
    ("transformer.resblocks.", "blocks."),
    ("attn.in_proj_", "attn.qkv."),
    ("attn.out_proj.", "attn.proj."),
    ("mlp.c_fc.", "mlp.fc1."),
    ("mlp.c_proj.", "mlp.fc2."),
    ("ln_pre.", "norm_pre."),
    ("ln_post.", "norm."),
    ("ln_1.", "norm1."),
    ("ln_2.", "norm2."),
    ("conv1.", "patch_embed.proj."),
)


class ClipVisionTransformer(VisionTransformer):
    """
    A vision transformer that gives the projected CLS token (B, out_dim) of images (B, 3, img_size, img_size).

    `load_state_dict` takes both the published names, without `visual.`, and the network's own ones (timm's), also as a
    part of a bigger model.
    """

    def __init__(self, img_size: int, patch_size: int, embed_dim: int, depth: int, num_heads: int, out_dim: int):
        super().__init__(
            img_size=img_size,
            patch_size=patch_size,
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            num_classes=0,
            pre_norm=True,
            norm_layer=partial(LayerNorm, eps=1e-5),
            act_layer="quick_gelu",
        )
        self.num_classes = out_dim
        self.head = nn.Linear(embed_dim, out_dim, bias=False)

    def forward_features(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Give all tokens (B, T, D) of the images (B, 3, H, W), after the final norm."""
        check_images(x, self.in_chans, owner="The visual tower of CLIP")
        h, w = self.patch_embed.img_size
        check(
            tuple(x.shape[-2:]) == (h, w),
            f"This visual tower of CLIP takes images of exactly {h}x{w} pixels, got {x.shape[-2]}x{x.shape[-1]}. "
            f"Resize them in the transform, or take another arch.",
        )
        return super().forward_features(x, *args, **kwargs)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        names = [name for name in state_dict if name.startswith(prefix)]
        converted = published_to_timm({name[len(prefix) :]: state_dict.pop(name) for name in names})
        state_dict.update({prefix + name: tensor for name, tensor in converted.items()})
        super()._load_from_state_dict(state_dict, prefix, *args)


def published_to_timm(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """
    Give the weights of a visual tower under timm's names, in its shapes; what is already named so stays as it is.

    Names may have any prefix.

    Example:
        >>> import torch
        >>> published = {"proj": torch.zeros(8, 2), "transformer.resblocks.0.ln_1.bias": torch.ones(8)}
        >>> converted = published_to_timm(published)
        >>> {name: list(tensor.shape) for name, tensor in converted.items()}
        {'head.weight': [2, 8], 'blocks.0.norm1.bias': [8]}

    """
    return dict(_convert(name, tensor) for name, tensor in state_dict.items())


def _convert(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    prefix, dot, last = name.rpartition(".")
    if last == "class_embedding":
        return f"{prefix}{dot}cls_token", tensor.reshape(1, 1, -1)
    if last == "positional_embedding":
        return f"{prefix}{dot}pos_embed", tensor[None]
    if last == "proj":  # the parameter of the tower; a layer of this name ends with its weight or bias
        return f"{prefix}{dot}head.weight", tensor.T
    dotted = f".{name}"
    for published, own in _RENAMED:
        dotted = dotted.replace(f".{published}", f".{own}")
    return dotted[1:], tensor
