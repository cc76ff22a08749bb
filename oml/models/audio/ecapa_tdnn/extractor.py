"""The extractor on ECAPA-TDNN, for voices."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from oml.errors import check, unknown_name_message
from oml.functional.distances import normalise
from oml.interfaces.models import IExtractor
from oml.models.building import build_network
from oml.models.checkpoints import find_weights, load_weights
from oml.models.zoo import get_pretrained_models


def ecapa_tdnn_taoruijie() -> nn.Module:
    """Make ECAPA-TDNN as published by TaoRuijie, with 1024 channels."""
    from oml.models.audio.ecapa_tdnn.network import EcapaTdnn

    return EcapaTdnn(n_channels=1024, feat_dim=192)


class ECAPATDNNExtractor(IExtractor):
    """
    Gives the embedding (B, D) of a voice: ECAPA-TDNN on a log-mel spectrogram, which is calculated inside.

    Sounds are (B, T) or (B, 1, T), at 16 kHz, T more than 256 samples.

    Args:
        weights: The path of a checkpoint, or None for random weights. The checkpoint is a state dict in the published
            naming, bare or in a training checkpoint (`{"state_dict": ...}`) with any prefix.
        arch: One of `constructors`; D is 192.
        normalise_features: Whether embeddings are scaled to unit length; a zero embedding stays zero.

    Raises:
        InvalidInputError: the architecture is unknown, the checkpoint does not fit it, or sounds are of another shape.
        FileNotFoundError: there is no such checkpoint.

    Example:
        >>> import torch
        >>> extractor = ECAPATDNNExtractor(weights=None, arch="ecapa_tdnn_taoruijie").eval()
        >>> extractor(torch.zeros(2, 1, 1600)).shape, extractor.feat_dim
        (torch.Size([2, 192]), 192)

    """

    model: Any  # an EcapaTdnn, or what a constructor added by a user makes
    pretrained_models: ClassVar[dict[str, Any]] = get_pretrained_models("ECAPATDNNExtractor")

    constructors: ClassVar[dict[str, Callable[[], nn.Module]]] = {"ecapa_tdnn_taoruijie": ecapa_tdnn_taoruijie}

    def __init__(
        self,
        weights: str | Path | None = None,
        arch: str = "ecapa_tdnn_taoruijie",
        normalise_features: bool = False,
    ):
        super().__init__()
        check(
            arch in self.constructors, unknown_name_message("arch of ECAPATDNNExtractor", arch, list(self.constructors))
        )
        path = None if weights is None else find_weights(weights, owner=type(self))
        self.arch = arch
        self.normalise_features = normalise_features
        self.model = build_network(self.constructors[arch], is_filled_later=path is not None)
        if path is not None:
            load_weights(self.model, path, "layer1.conv1.bias", constructors=self.constructors)

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return int(self.model.feat_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Give the embeddings (B, D) of the sounds (B, T) or (B, 1, T)."""
        features: Tensor = self.model(x)
        return normalise(features) if self.normalise_features else features
