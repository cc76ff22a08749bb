"""Extractors on residual networks of torchvision, and on those of MoCo."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from oml.errors import check, unknown_name_message
from oml.functional.distances import normalise
from oml.interfaces.models import IExtractor
from oml.models.building import build_network
from oml.models.checkpoints import TStateDict, find_weights, load_weights, read_state_dict
from oml.models.inputs import check_images
from oml.models.resnet.pooling import GEM
from oml.models.zoo import get_pretrained_models

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

_MOCO_PREFIX = "module.encoder_q."


def build_resnet(name: str) -> nn.Module:
    """Make a residual network of torchvision by its name, with random weights."""
    import torchvision

    network: nn.Module = torchvision.models.get_model(name, weights=None)
    return network


def resnet50_projector() -> nn.Module:
    """Make the network of MoCo v2: ResNet-50 whose `fc` is a projector, 2048 -> 2048 -> 128 features."""
    network = build_resnet("resnet50")
    network.fc = nn.Sequential(nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, 128))
    return network


def load_moco_weights(path_to_model: str | Path) -> TStateDict:
    """Read a published checkpoint of MoCo and give the weights of its query encoder under torchvision's names."""
    return take_query_encoder(read_state_dict(Path(path_to_model)))


def take_query_encoder(state_dict: TStateDict) -> TStateDict:
    """
    Keep the query encoder of a training checkpoint of MoCo; any other state dict stays as it is.

    Example:
        >>> take_query_encoder({"module.encoder_q.fc.bias": 1, "module.encoder_k.fc.bias": 2, "module.queue": 3})
        {'fc.bias': 1}

    """
    query = {n[len(_MOCO_PREFIX) :]: tensor for n, tensor in state_dict.items() if n.startswith(_MOCO_PREFIX)}
    return query or state_dict


class ResnetExtractor(IExtractor):
    """
    Gives the pooled features of a residual network as the embedding (B, D).

    Images are (B, 3, H, W) of any size, normalised with ImageNet's statistics.

    Args:
        weights: The path of a checkpoint, or None for random weights. The checkpoint is a state dict in torchvision's
            naming, bare or in a training checkpoint (`{"state_dict": ...}`) with any prefix, or a file of MoCo.
        arch: One of `constructors`.
        gem_p: The power of the generalised mean that replaces the average pooling; None keeps the average.
        remove_fc: Whether the last layers `fc` are removed. D is then the number of channels of the last convolution,
            otherwise the number of outputs of `fc`.
        normalise_features: Whether embeddings are scaled to unit length; a zero embedding stays zero.

    Raises:
        InvalidInputError: the architecture is unknown, or the checkpoint does not fit it.
        FileNotFoundError: there is no such checkpoint.

    Example:
        >>> import torch
        >>> extractor = ResnetExtractor(weights=None, arch="resnet18", gem_p=3.0).eval()
        >>> extractor(torch.zeros(1, 3, 32, 32)).shape, extractor.feat_dim
        (torch.Size([1, 512]), 512)

    """

    model: Any  # a ResNet of torchvision
    pretrained_models: ClassVar[dict[str, Any]] = get_pretrained_models("ResnetExtractor")

    constructors: ClassVar[dict[str, Callable[[], nn.Module]]] = {
        **{f"resnet{depth}": partial(build_resnet, f"resnet{depth}") for depth in (18, 34, 50, 101, 152)},
        "resnet50_projector": resnet50_projector,
    }

    def __init__(
        self,
        weights: str | Path | None = None,
        arch: str = "resnet50",
        gem_p: float | None = None,
        remove_fc: bool = True,
        normalise_features: bool = False,
    ):
        super().__init__()
        check(arch in self.constructors, unknown_name_message("arch of ResnetExtractor", arch, list(self.constructors)))
        path = None if weights is None else find_weights(weights, owner=type(self))
        self.arch = arch
        self.gem_p = gem_p
        self.remove_fc = remove_fc
        self.normalise_features = normalise_features
        self.model = build_network(partial(self._build, arch), is_filled_later=path is not None)
        if path is not None:
            options = {name: partial(self._build, name) for name in self.constructors}
            load_weights(self.model, path, "layer4.", self._drop_fc if remove_fc else None, options, take_query_encoder)

    def _build(self, arch: str) -> nn.Module:
        network = self.constructors[arch]()
        if self.gem_p is not None:
            network.avgpool = GEM(p=self.gem_p)
        if self.remove_fc:
            network.fc = nn.Identity()
        return network

    @staticmethod
    def _drop_fc(state_dict: TStateDict) -> TStateDict:
        return {name: tensor for name, tensor in state_dict.items() if not name.startswith("fc.")}

    def get_last_conv_channels(self) -> int:
        """Give the number of channels of the last convolution."""
        convolutions = [layer for layer in self.model.layer4[-1].modules() if isinstance(layer, nn.Conv2d)]
        return convolutions[-1].out_channels

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        linear = [layer for layer in self.model.fc.modules() if isinstance(layer, nn.Linear)]
        return linear[-1].out_features if linear else self.get_last_conv_channels()

    def forward(self, x: Tensor) -> Tensor:
        """Give the embeddings (B, D) of the images (B, 3, H, W)."""
        check_images(x, n_channels=3, owner="ResnetExtractor")
        features: Tensor = self.model(x)
        return normalise(features) if self.normalise_features else features

    def draw_gradcam(self, image: "Image | np.ndarray") -> "Image | np.ndarray":
        """
        Give a picture with Grad-CAM laid over it: where the last block speaks for the highest output of `fc`.

        Args:
            image: A picture of Pillow, or an array (H, W, 3) or (H, W) of 0..255.

        Returns:
            A picture of Pillow, or an array (H, W, 3), uint8: what the image was.

        Raises:
            InvalidInputError: the extractor was made with `remove_fc=True`, or the image has another shape.

        """
        from oml.models.attention import calc_gradcam, read_picture
        from oml.visualization.heatmap import draw_heatmap

        check(
            not self.remove_fc,
            "draw_gradcam looks at the outputs of `fc`, which the extractor has removed. Make it with remove_fc=False.",
        )
        batch = read_picture(image, like=self.model.conv1.weight)
        return draw_heatmap(image, calc_gradcam(self.model, self.model.layer4[-1], batch)[0])
