"""
The vision transformer of UNICOM: no class token, and an embedding made of all tokens.

Source: An et al., "Unicom: Universal and Compact Representation Learning for Image Retrieval", 2023. The blocks are
timm's; the original differs from them in the options below and in its head.
"""

from functools import partial
from typing import Any

from timm.layers.norm import LayerNorm
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from oml.errors import check
from oml.models.inputs import check_images

_EPS = 2e-5  # of batch normalisation


class UnicomVisionTransformer(VisionTransformer):
    """
    A vision transformer that gives the embedding (B, out_dim) of images (B, 3, img_size, img_size).

    Names of weights are the published ones.
    """

    def __init__(self, img_size: int, patch_size: int, embed_dim: int, depth: int, num_heads: int, out_dim: int):
        super().__init__(
            img_size=img_size,
            patch_size=patch_size,
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            num_classes=0,
            global_pool="",
            class_token=False,
            qkv_bias=False,
            drop_path_rate=0.1,
            norm_layer=partial(LayerNorm, eps=1e-5),
            act_layer="relu6",
        )
        self.num_classes = out_dim
        self.feature = nn.Sequential(
            nn.Linear(embed_dim * self.patch_embed.num_patches, embed_dim, bias=False),
            nn.BatchNorm1d(embed_dim, eps=_EPS),
            nn.Linear(embed_dim, out_dim, bias=False),
            nn.BatchNorm1d(out_dim, eps=_EPS),
        )

    def forward_features(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Give all tokens (B, T, D) of the images (B, 3, H, W), after the final norm."""
        check_images(x, self.in_chans, owner="The vision transformer of UNICOM")
        h, w = self.patch_embed.img_size
        check(
            tuple(x.shape[-2:]) == (h, w),
            f"This vision transformer of UNICOM takes images of exactly {h}x{w} pixels, got "
            f"{x.shape[-2]}x{x.shape[-1]}. Resize them in the transform, or take another arch.",
        )
        return super().forward_features(x, *args, **kwargs)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Give the embeddings (B, out_dim) of the tokens (B, T, D)."""
        flat = x.flatten(start_dim=1)
        features: Tensor = flat if pre_logits else self.feature(flat)
        return features
