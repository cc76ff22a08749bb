"""Where a network looks: attention of the class token of a transformer, Grad-CAM of a convolutional network."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oml.const import MEAN, STD
from oml.utils.misc_torch import temporary_setting_model_mode
from oml.visualization.heatmap import to_rgb_array

if TYPE_CHECKING:
    from PIL.Image import Image


def calc_attention(network: Any, images: Tensor) -> Tensor:
    """
    Give how much the class token attends to each patch in the last block, as the mean over heads: (B, h, w).

    Args:
        network: A vision transformer of timm with a class token; special tokens are left out of the map.
        images: Images (B, C, H, W) of whole patches.

    """
    attention = network.blocks[-1].attn
    seen: list[Tensor] = []
    hook = attention.qkv.register_forward_hook(lambda _, __, output: seen.append(output))
    try:
        with torch.no_grad(), temporary_setting_model_mode(network, set_train=False):
            network(images)
    finally:
        hook.remove()
    qkv = seen[0].reshape(*seen[0].shape[:2], 3, attention.num_heads, -1)  # (B, T, 3, heads, d)
    query, keys = attention.q_norm(qkv[:, 0, 0]), attention.k_norm(qkv[:, :, 1])  # (B, heads, d), (B, T, heads, d)
    scores = torch.einsum("bhd,bthd->bht", query.float() * attention.scale, keys.float())
    weights = scores.softmax(dim=-1).mean(dim=1)[:, network.num_prefix_tokens :]
    patch_h, patch_w = network.patch_embed.patch_size
    return weights.reshape(-1, images.shape[-2] // patch_h, images.shape[-1] // patch_w)


def calc_gradcam(network: nn.Module, layer: nn.Module, images: Tensor) -> Tensor:
    """
    Give where a layer speaks for the highest output of the network: (B, h, w), not negative.

    It is the positive part of the layer's channels, weighted by the means of their gradients. Source: Selvaraju et al.,
    "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017, equations 1 and 2.

    Args:
        network: It gives scores (B, N).
        layer: A part of it that gives maps (B, C, h, w).
        images: Images (B, 3, H, W).

    """
    seen: list[Tensor] = []

    def start_here(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        # The gradient goes down to this map and no further, whether weights are frozen or not.
        seen.append(output.detach().requires_grad_())
        return seen[0]

    hook = layer.register_forward_hook(start_here)
    try:
        with torch.enable_grad(), temporary_setting_model_mode(network, set_train=False):
            score = network(images).amax(dim=1).sum()
            (gradient,) = torch.autograd.grad(score, seen[0])
    finally:
        hook.remove()
    weights = gradient.mean(dim=(-2, -1), keepdim=True)
    return (seen[0].detach() * weights).sum(dim=1).relu()


def read_picture(
    image: "Image | np.ndarray", like: Tensor, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
) -> Tensor:
    """
    Give a picture as a normalised batch of one, (1, 3, H, W), of the device and dtype of another tensor.

    Args:
        image: A picture of Pillow, or an array (H, W, 3) or (H, W) of 0..255.
        like: A parameter of the network that the batch is for.
        mean: Means of the three channels, of 0..1.
        std: Deviations of the three channels.

    """
    pixels = torch.from_numpy(to_rgb_array(image).copy()).permute(2, 0, 1).float() / 255
    normalised = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    return normalised[None].to(like)


def fit_to_patches(images: Tensor, patch_hw: Sequence[int]) -> Tensor:
    """
    Resize images (B, C, H, W) to whole patches, at least one, by the least change downwards.

    Example:
        >>> fit_to_patches(torch.zeros(1, 3, 30, 5), (14, 14)).shape
        torch.Size([1, 3, 28, 14])

    """
    new = [max(side // patch, 1) * patch for side, patch in zip(images.shape[-2:], patch_hw, strict=True)]
    if new == list(images.shape[-2:]):
        return images
    return F.interpolate(images, size=new, mode="bilinear", antialias=True)
