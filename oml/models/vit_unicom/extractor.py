"""Extractors on the vision transformers of UNICOM."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from oml.errors import check, unknown_name_message
from oml.functional.distances import normalise
from oml.interfaces.models import IExtractor
from oml.models.building import build_network
from oml.models.checkpoints import find_weights, load_weights
from oml.models.zoo import get_pretrained_models


def _build_unicom(size: str, patch_size: int, out_dim: int, using_checkpoint: bool, img_size: int = 224) -> nn.Module:
    from oml.models.vit_unicom.network import UnicomVisionTransformer

    dim, depth, n_heads = {"b": (768, 12, 12), "l": (1024, 24, 16)}[size]
    network = UnicomVisionTransformer(
        img_size=img_size, patch_size=patch_size, embed_dim=dim, depth=depth, num_heads=n_heads, out_dim=out_dim
    )
    network.set_grad_checkpointing(using_checkpoint)
    return network


def unicom_vitb32(using_checkpoint: bool = True) -> nn.Module:
    """Make ViT-B/32, with 512 features of images of 224 pixels."""
    return _build_unicom("b", 32, 512, using_checkpoint)


def unicom_vitb16(using_checkpoint: bool = True) -> nn.Module:
    """Make ViT-B/16, with 768 features of images of 224 pixels."""
    return _build_unicom("b", 16, 768, using_checkpoint)


def unicom_vitl14(using_checkpoint: bool = True) -> nn.Module:
    """Make ViT-L/14, with 768 features of images of 224 pixels."""
    return _build_unicom("l", 14, 768, using_checkpoint)


def unicom_vitl14_336px(using_checkpoint: bool = True) -> nn.Module:
    """Make ViT-L/14, with 768 features of images of 336 pixels."""
    return _build_unicom("l", 14, 768, using_checkpoint, img_size=336)


class ViTUnicomExtractor(IExtractor):
    """
    Gives the embedding (B, D) of a vision transformer of UNICOM.

    Images are (B, 3, S, S), S being 336 for `vitl14_336px_unicom` and 224 for the others, normalised with the
    statistics of `get_transforms_for_pretrained`.

    Args:
        weights: The path of a checkpoint, or None for random weights. The checkpoint is a state dict in the published
            naming, bare or in a training checkpoint (`{"state_dict": ...}`) with any prefix.
        arch: One of `constructors`. D is 512 for `vitb32_unicom`, 768 for the others.
        normalise_features: Whether embeddings are scaled to unit length; a zero embedding stays zero.
        use_gradient_ckpt: Whether a training step keeps the inputs of blocks only and calculates the rest again in the
            backward pass: less memory, more time, equal results.

    Raises:
        InvalidInputError: the architecture is unknown, the checkpoint does not fit it, or images are of another size.
        FileNotFoundError: there is no such checkpoint.

    Example:
        >>> ViTUnicomExtractor.constructors["vitb32_unicom"]().num_classes
        512

    """

    model: Any  # a UnicomVisionTransformer, or what a constructor added by a user makes
    pretrained_models: ClassVar[dict[str, Any]] = get_pretrained_models("ViTUnicomExtractor")

    constructors: ClassVar[dict[str, Callable[..., nn.Module]]] = {
        "vitb32_unicom": unicom_vitb32,
        "vitb16_unicom": unicom_vitb16,
        "vitl14_unicom": unicom_vitl14,
        "vitl14_336px_unicom": unicom_vitl14_336px,
    }

    def __init__(
        self,
        weights: str | Path | None = None,
        arch: str = "vitb32_unicom",
        normalise_features: bool = True,
        use_gradient_ckpt: bool = True,
    ):
        super().__init__()
        check(
            arch in self.constructors, unknown_name_message("arch of ViTUnicomExtractor", arch, list(self.constructors))
        )
        path = None if weights is None else find_weights(weights, owner=type(self))
        self.arch = arch
        self.normalise_features = normalise_features
        self.use_gradient_ckpt = use_gradient_ckpt
        make = partial(self.constructors[arch], using_checkpoint=use_gradient_ckpt)
        self.model = build_network(make, is_filled_later=path is not None)
        if path is not None:
            load_weights(self.model, path, "blocks.", constructors=self.constructors)

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return int(self.model.num_classes)

    def get_init_args(self) -> dict[str, Any]:
        """Give the arguments of the constructor, apart from the weights."""
        own = {"arch": self.arch, "normalise_features": self.normalise_features}
        return {**own, "use_gradient_ckpt": bool(self.model.grad_checkpointing)}

    def forward(self, x: Tensor) -> Tensor:
        """Give the embeddings (B, D) of the images (B, 3, S, S)."""
        features: Tensor = self.model(x)
        return normalise(features) if self.normalise_features else features
