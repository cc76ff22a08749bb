"""A small convolutional extractor for small pictures: trains from scratch in a minute on a laptop."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from oml.errors import check
from oml.functional.distances import normalise
from oml.interfaces.models import IExtractor


class ConvExtractor(IExtractor):
    """
    Gives embeddings (B, feat_dim) of small square pictures (B, in_channels, im_size, im_size), float32.

    Each stage is a 3 x 3 convolution, batch normalisation and ReLU; a 2 x 2 max-pooling stands between two stages. The
    last map is flattened, not averaged, because in small pictures the place of a stroke matters; so `im_size` is fixed.

    Args:
        im_size: Side of the pictures in pixels; must be divisible by 2 for each pooling.
        in_channels: Channels of the pictures.
        channels: Channels of the stages.
        feat_dim: Number of features of an embedding.
        normalise_features: Whether embeddings have unit L2 norm.

    Raises:
        ValueError: `im_size` is not divisible as often as needed, or an input has another size.

    Example:
        >>> ConvExtractor(im_size=16, channels=(4, 8), feat_dim=5)(torch.ones(2, 3, 16, 16)).shape
        torch.Size([2, 5])

    """

    def __init__(
        self,
        im_size: int = 32,
        in_channels: int = 3,
        channels: Sequence[int] = (24, 48, 96, 128),
        feat_dim: int = 128,
        normalise_features: bool = True,
    ):
        super().__init__()
        shrink = 2 ** (len(channels) - 1)
        check(len(channels) > 0, "channels must name at least one stage, got none.")
        check(
            im_size > 0 and im_size % shrink == 0,
            f"im_size must be divisible by {shrink}, since {len(channels)} stages halve the picture "
            f"{len(channels) - 1} times, got {im_size}. Resize the pictures, or give fewer channels.",
        )
        self.im_size = im_size
        self.in_channels = in_channels
        self.channels = tuple(channels)
        self.normalise_features = normalise_features
        self._feat_dim = feat_dim

        layers: list[nn.Module] = []
        for n_in, n_out in pairwise((in_channels, *channels)):
            layers += [nn.MaxPool2d(2)] if layers else []
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
        self.backbone = nn.Sequential(*layers)
        self.projection = nn.Linear(channels[-1] * (im_size // shrink) ** 2, feat_dim)
        # convolutions of this size take a sixth to a quarter less time on a processor with the channels last
        self.to(memory_format=torch.channels_last)

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return self._feat_dim

    def forward(self, x: Tensor) -> Tensor:
        """Give the embeddings (B, D) of the pictures (B, C, H, W)."""
        check(
            tuple(x.shape[-2:]) == (self.im_size, self.im_size),
            f"ConvExtractor was made for pictures of {self.im_size} x {self.im_size} pixels (im_size), got a batch of "
            f"shape {tuple(x.shape)}. Resize in the transform, or make the extractor with another im_size.",
        )
        features = self.projection(self.backbone(x).flatten(start_dim=1))
        return normalise(features) if self.normalise_features else features
