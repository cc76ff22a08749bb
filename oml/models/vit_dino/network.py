"""
The vision transformer of DINO and DINOv2: timm's network, with sizes, positions and names as in the published ones.

Sources: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", 2021; Oquab et al., "DINOv2:
Learning Robust Visual Features without Supervision", 2023; Darcet et al., "Vision Transformers Need Registers", 2023.
"""

from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from oml.errors import check
from oml.models.inputs import check_images


class DinoVisionTransformer(VisionTransformer):
    """
    A vision transformer without a head that gives the CLS token (B, D) after the final norm.

    It takes images (B, 3, H, W) of any size: positions are resampled as the original networks do it. `load_state_dict`
    takes both the published names and the network's own ones (timm's), also as a part of a bigger model.

    Args:
        floor_sizes: H and W that are no multiples of the patch are cut (right and bottom); otherwise they are an error.
        position_offset: What is added to the new size when the scale of positions is calculated, in patches; if zero,
            positions are resampled to the size itself, with antialiasing.
        **kwargs: Arguments of timm's `VisionTransformer`.

    """

    cls_token: Any
    reg_token: Any
    pos_embed: Any

    def __init__(self, floor_sizes: bool, position_offset: float, **kwargs: Any):
        super().__init__(num_classes=0, dynamic_img_size=True, **kwargs)
        self.floor_sizes = floor_sizes
        self.position_offset = position_offset

    def forward_features(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Give all tokens (B, T, D) of the images (B, 3, H, W), after the final norm."""
        check_images(x, self.in_chans, owner="The vision transformer")
        patch_h, patch_w = self.patch_embed.patch_size
        h, w = x.shape[-2:]
        check(
            h >= patch_h and w >= patch_w,
            f"An image must have at least one patch of {patch_h}x{patch_w} pixels, got {h}x{w}. Resize the images.",
        )
        new_h, new_w = h // patch_h * patch_h, w // patch_w * patch_w
        check(
            self.floor_sizes or (new_h, new_w) == (h, w),
            f"Height and width of the images must be multiples of the patch size {patch_h}, got {h}x{w}. "
            f"Resize them, for example to {new_h}x{new_w}.",
        )
        return super().forward_features(x[..., :new_h, :new_w], *args, **kwargs)

    def _pos_embed(self, x: Tensor) -> Tensor:
        b, h, w, d = x.shape
        grid_hw, n_special = self.patch_embed.grid_size, 0 if self.no_embed_class else 1
        positions = resample_positions(self.pos_embed, grid_hw, (h, w), n_special, self.position_offset)
        patches, cls = x.reshape(b, h * w, d), self.cls_token.expand(b, -1, -1)
        if self.no_embed_class:  # with registers: CLS has no position of its own
            tokens = torch.cat([cls, self.reg_token.expand(b, -1, -1), patches + positions], dim=1)
        else:
            tokens = torch.cat([cls, patches], dim=1) + positions
        dropped: Tensor = self.pos_drop(tokens)
        return dropped

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        names = [name for name in state_dict if name.startswith(prefix)]
        converted = published_to_timm({name[len(prefix) :]: state_dict.pop(name) for name in names})
        state_dict.update({prefix + name: tensor for name, tensor in converted.items()})
        super()._load_from_state_dict(state_dict, prefix, *args)


def resample_positions(
    positions: Tensor, grid_hw: tuple[int, int], new_hw: tuple[int, int], n_special: int, offset: float
) -> Tensor:
    """
    Resample positional embeddings (1, n_special + H * W, D) to another grid of patches, bicubically.

    The original networks do it in two ways, and their published weights expect theirs.

    Args:
        positions: The embeddings of special tokens, which stay as they are, and of the patches, row by row.
        grid_hw: The grid H, W that the embeddings belong to.
        new_hw: The grid to resample to.
        n_special: The number of special tokens in front.
        offset: If positive, the scale is `(new + offset) / old`, so that the sampling points differ a little from those
            of a plain resize, without antialiasing. If zero, a plain resize with antialiasing.

    Example:
        >>> resample_positions(torch.zeros(1, 1 + 4, 8), (2, 2), (3, 5), n_special=1, offset=0.1).shape
        torch.Size([1, 16, 8])

    """
    if new_hw == grid_hw:
        return positions
    (h, w), (new_h, new_w) = grid_hw, new_hw
    special, patches = positions[:, :n_special], positions[:, n_special:]
    grid = patches.reshape(1, h, w, -1).permute(0, 3, 1, 2)  # (1, D, H, W)
    if offset:
        scale = ((new_h + offset) / h, (new_w + offset) / w)
        grid = F.interpolate(grid.float(), scale_factor=scale, mode="bicubic")
    else:
        grid = F.interpolate(grid.float(), size=new_hw, mode="bicubic", antialias=True)
    assert grid.shape[-2:] == (new_h, new_w)
    return torch.cat([special, grid.flatten(2).transpose(1, 2).to(positions.dtype)], dim=1)


def published_to_timm(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """
    Give the weights under timm's names; what is already named so stays as it is.

    Published names differ in two things. `mask_token` serves pre-training only and is dropped. Networks with registers
    have `register_tokens` and a position for CLS, which timm keeps as `reg_token` and as a part of `cls_token`.
    """
    converted = {name: tensor for name, tensor in state_dict.items() if name != "mask_token"}
    if "register_tokens" in converted:
        converted["reg_token"] = converted.pop("register_tokens")
        if "pos_embed" in converted and "cls_token" in converted:
            positions = converted["pos_embed"]
            converted["cls_token"] = converted["cls_token"] + positions[:, :1]
            converted["pos_embed"] = positions[:, 1:]
    return converted
