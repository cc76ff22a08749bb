"""Extractors on the visual towers of CLIP, as published by OpenAI and by the authors of ruCLIP."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from oml.errors import unknown_name_message
from oml.functional.distances import normalise
from oml.interfaces.models import IExtractor
from oml.models.building import build_network
from oml.models.checkpoints import TStateDict, find_weights, load_weights
from oml.models.utils import filter_state_dict
from oml.models.zoo import get_pretrained_models

_TOWER = "visual."


def _build_clip(size: str, patch_size: int, img_size: int = 224) -> nn.Module:
    from oml.models.vit_clip.network import ClipVisionTransformer

    dim, depth, n_heads, out_dim = {"b": (768, 12, 12, 512), "l": (1024, 24, 16, 768)}[size]
    return ClipVisionTransformer(
        img_size=img_size, patch_size=patch_size, embed_dim=dim, depth=depth, num_heads=n_heads, out_dim=out_dim
    )


def vitb16_224() -> nn.Module:
    """Make the visual tower ViT-B/16, for images of 224 pixels."""
    return _build_clip("b", patch_size=16)


def vitb32_224() -> nn.Module:
    """Make the visual tower ViT-B/32, for images of 224 pixels."""
    return _build_clip("b", patch_size=32)


def vitl14_224() -> nn.Module:
    """Make the visual tower ViT-L/14, for images of 224 pixels."""
    return _build_clip("l", patch_size=14)


def vitl14_336() -> nn.Module:
    """Make the visual tower ViT-L/14, for images of 336 pixels."""
    return _build_clip("l", patch_size=14, img_size=336)


class ViTCLIPExtractor(IExtractor):
    """
    Gives the projected CLS token of the visual tower of CLIP as the embedding (B, D).

    Images are (B, 3, S, S), S being the number at the end of the architecture's name, normalised with CLIP's
    statistics: see `get_transforms_for_pretrained`.

    Args:
        weights: The path of a checkpoint, or None for random weights. The checkpoint is a state dict of the visual
            tower or of the whole CLIP in the published naming, or the extractor's own, bare or in a training checkpoint
            (`{"state_dict": ...}`) with any prefix.
        arch: One of `constructors`. D is 512 for `vitb*`, 768 for `vitl*`.
        normalise_features: Whether embeddings are scaled to unit length; a zero embedding stays zero.

    Raises:
        KeyError: the architecture is unknown.
        InvalidInputError: the checkpoint does not fit the architecture; images are of another size.
        FileNotFoundError: there is no such checkpoint.

    Example:
        >>> import torch
        >>> extractor = ViTCLIPExtractor(weights=None, arch="vitb32_224").eval()
        >>> extractor(torch.zeros(1, 3, 224, 224)).shape, extractor.feat_dim
        (torch.Size([1, 512]), 512)

    """

    model: Any  # a ClipVisionTransformer, or what a constructor added by a user makes
    pretrained_models: ClassVar[dict[str, Any]] = get_pretrained_models("ViTCLIPExtractor")

    constructors: ClassVar[dict[str, Callable[[], nn.Module]]] = {
        "vitb16_224": vitb16_224,
        "vitb32_224": vitb32_224,
        "vitl14_224": vitl14_224,
        "vitl14_336": vitl14_336,
    }

    def __init__(self, weights: str | Path | None = None, arch: str = "vitb32_224", normalise_features: bool = True):
        super().__init__()
        if arch not in self.constructors:
            raise KeyError(unknown_name_message("arch of ViTCLIPExtractor", arch, list(self.constructors)))
        path = None if weights is None else find_weights(weights, owner=type(self))
        self.arch = arch
        self.normalise_features = normalise_features
        self.model = build_network(self.constructors[arch], is_filled_later=path is not None)
        if path is not None:
            from oml.models.vit_clip.network import published_to_timm

            def select(state_dict: TStateDict) -> TStateDict:
                # The tower first: names within the text tower are the same.
                return published_to_timm(_cut_tower(state_dict))

            load_weights(self.model, path, "blocks.", None, self.constructors, select)

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return int(self.model.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Give the embeddings (B, D) of the images (B, 3, S, S)."""
        features: Tensor = self.model(x)
        return normalise(features) if self.normalise_features else features


def take_visual_part_of_vit_clip(state_dict: TStateDict, needed_keys: Collection[str]) -> TStateDict:
    """
    Keep the needed names of a state dict of the whole CLIP, with or without `visual.` before them; changed in place.

    Example:
        >>> take_visual_part_of_vit_clip({"visual.proj": 1, "proj": 2, "ln_final.bias": 3}, needed_keys={"proj"})
        {'proj': 1}

    """
    found = {name.removeprefix(_TOWER): name for name in state_dict if name.startswith(_TOWER)}
    for name in needed_keys:
        if name in found:
            state_dict[name] = state_dict.pop(found[name])
    return filter_state_dict(state_dict, needed_keys)


def _cut_tower(state_dict: TStateDict) -> TStateDict:
    """Give the part of the state dict that lies under `visual.`, without it; all if there is none."""
    tower = {}
    for name, tensor in state_dict.items():
        before, found, after = f".{name}".partition(f".{_TOWER}")
        if found:
            tower[f"{before}.{after}".removeprefix(".")] = tensor
    return tower or state_dict
