"""Extractors on the vision transformers of DINO and DINOv2."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oml.const import MEAN, STD
from oml.errors import check, unknown_name_message
from oml.functional.distances import normalise
from oml.interfaces.models import IExtractor
from oml.models.building import build_network
from oml.models.checkpoints import find_weights, load_weights
from oml.models.zoo import get_pretrained_models

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

_SIZES = {"s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16)}  # D, number of blocks, number of heads
_SCALES = (1.0, 2**-0.5, 0.5)  # of the image's side


def build_dino(size: str, patch_size: int) -> nn.Module:
    """Make the network of DINO: `size` is s or b, pre-trained at 224 pixels."""
    from oml.models.vit_dino.network import DinoVisionTransformer

    dim, depth, n_heads = _SIZES[size]
    return DinoVisionTransformer(
        floor_sizes=True,
        position_offset=0.1,
        img_size=224,
        patch_size=patch_size,
        embed_dim=dim,
        depth=depth,
        num_heads=n_heads,
    )


def build_dinov2(size: str, n_registers: int = 0) -> nn.Module:
    """Make the network of DINOv2: `size` is s, b or l, patches of 14 pixels, pre-trained at 518 pixels."""
    from oml.models.vit_dino.network import DinoVisionTransformer

    dim, depth, n_heads = _SIZES[size]
    return DinoVisionTransformer(
        floor_sizes=False,
        position_offset=0.0 if n_registers else 0.1,
        img_size=518,
        patch_size=14,
        embed_dim=dim,
        depth=depth,
        num_heads=n_heads,
        init_values=1.0,
        reg_tokens=n_registers,
        no_embed_class=n_registers > 0,
    )


class ViTExtractor(IExtractor):
    """
    Gives the CLS token of a vision transformer of DINO or DINOv2 (with or without registers) as the embedding (B, D).

    Images are (B, 3, H, W), normalised with ImageNet's statistics. H and W are at least one patch: the architectures
    of DINO cut them to a multiple of the patch, those of DINOv2 (patch 14) want a multiple.

    Args:
        weights: The path of a checkpoint, or None for random weights. The checkpoint is a state dict in the published
            naming or the extractor's own, bare or in a training checkpoint (`{"state_dict": ...}`) with any prefix.
        arch: One of `constructors`. D is 384 for `vits*`, 768 for `vitb*`, 1024 for `vitl*`.
        normalise_features: Whether embeddings are scaled to unit length; a zero embedding stays zero.
        use_multi_scale: Whether the embedding is the mean over the image at the scales 1, 1/sqrt(2) and 1/2.

    Raises:
        InvalidInputError: the architecture is unknown, or the checkpoint does not fit it.
        FileNotFoundError: there is no such checkpoint.

    Example:
        >>> extractor = ViTExtractor(weights=None, arch="vits16").eval()
        >>> extractor(torch.zeros(1, 3, 32, 32)).shape, extractor.feat_dim
        (torch.Size([1, 384]), 384)

    """

    model: Any  # a DinoVisionTransformer, or what a constructor added by a user makes
    pretrained_models: ClassVar[dict[str, Any]] = get_pretrained_models("ViTExtractor")

    constructors: ClassVar[dict[str, Callable[[], nn.Module]]] = {
        "vits8": partial(build_dino, "s", 8),
        "vits16": partial(build_dino, "s", 16),
        "vitb8": partial(build_dino, "b", 8),
        "vitb16": partial(build_dino, "b", 16),
        "vits14": partial(build_dinov2, "s"),
        "vitb14": partial(build_dinov2, "b"),
        "vitl14": partial(build_dinov2, "l"),
        "vits14_reg": partial(build_dinov2, "s", n_registers=4),
        "vitb14_reg": partial(build_dinov2, "b", n_registers=4),
        "vitl14_reg": partial(build_dinov2, "l", n_registers=4),
    }

    def __init__(
        self,
        weights: str | Path | None = None,
        arch: str = "vits16",
        normalise_features: bool = False,
        use_multi_scale: bool = False,
    ):
        super().__init__()
        check(arch in self.constructors, unknown_name_message("arch of ViTExtractor", arch, list(self.constructors)))
        path = None if weights is None else find_weights(weights, owner=type(self))
        self.arch = arch
        self.normalise_features = normalise_features
        self.mscale = use_multi_scale
        self.model = build_network(self.constructors[arch], is_filled_later=path is not None)
        if path is not None:
            from oml.models.vit_dino.network import published_to_timm

            load_weights(self.model, path, "blocks.", published_to_timm, self.constructors)

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return int(self.model.embed_dim)

    def get_init_args(self) -> dict[str, Any]:
        """Give the arguments of the constructor, apart from the weights."""
        return {"arch": self.arch, "normalise_features": self.normalise_features, "use_multi_scale": self.mscale}

    def forward(self, x: Tensor) -> Tensor:
        """Give the embeddings (B, D) of the images (B, 3, H, W)."""
        features: Tensor = self._forward_multi_scale(x) if self.mscale else self.model(x)
        return normalise(features) if self.normalise_features else features

    def _forward_multi_scale(self, x: Tensor) -> Tensor:
        patch_h, patch_w = self.model.patch_embed.patch_size
        features = []
        for scale in _SCALES:
            image = x
            if scale != 1:
                image = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
                h, w = image.shape[-2:]
                image = image[..., : h // patch_h * patch_h, : w // patch_w * patch_w]
            features.append(self.model(image))
        return torch.stack(features).mean(dim=0)

    def draw_attention(self, image: "Image | np.ndarray") -> "Image | np.ndarray":
        """
        Give a picture with what the CLS token attends to in the last block laid over it, see `vis_vit`.

        Args:
            image: A picture of Pillow, or an array (H, W, 3) or (H, W) of 0..255.

        """
        return vis_vit(self, image)


def vis_vit(
    vit: ViTExtractor, image: "Image | np.ndarray", mean: Sequence[float] = MEAN, std: Sequence[float] = STD
) -> "Image | np.ndarray":
    """
    Give a picture with what the CLS token of a vision transformer attends to laid over it, from blue to red.

    It is the attention of the last block to the patches, as the mean over heads.

    Args:
        vit: The extractor, or another one whose `model` is a vision transformer of timm with a class token.
        image: A picture of Pillow, or an array (H, W, 3) or (H, W) of 0..255, of any size: for the network it is made
            smaller to whole patches.
        mean: Means of the channels that the network was trained with.
        std: Their deviations.

    Returns:
        A picture of Pillow, or an array (H, W, 3), uint8: what the image was.

    Raises:
        InvalidInputError: the image has another shape, or values outside of 0..255.

    Example:
        >>> import numpy as np
        >>> picture = np.zeros((40, 50, 3), dtype=np.uint8)
        >>> ViTExtractor(weights=None, arch="vits16").draw_attention(picture).shape
        (40, 50, 3)

    """
    from oml.models.attention import calc_attention, fit_to_patches, read_picture
    from oml.visualization.heatmap import draw_heatmap

    network = vit.model
    batch = read_picture(image, like=network.cls_token, mean=mean, std=std)
    attention = calc_attention(network, fit_to_patches(batch, network.patch_embed.patch_size))
    return draw_heatmap(image, attention[0])
