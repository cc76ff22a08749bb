"""An extractor with a perceptron on top."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from oml.interfaces.models import IExtractor
from oml.models.meta.backbone import WithBackbone
from oml.models.vit_dino.extractor import ViTExtractor
from oml.models.zoo import get_pretrained_models
from oml.utils.mlp import make_mlp


class ExtractorWithMLP(WithBackbone, IExtractor):
    """
    Gives the embeddings (B, D) of an extractor projected by linear layers with ReLU between them.

    Args:
        extractor: Its embeddings are projected.
        mlp_features: The width of each layer; the last one is D.
        weights: None, or the path of a checkpoint of the whole model: a state dict, bare or in a training checkpoint
            (`{"state_dict": ...}`) with any prefix.
        train_backbone: Whether the extractor is trained, too; otherwise it is calculated without gradients, see
            `freeze` and `unfreeze`.

    Raises:
        InvalidInputError: there are no layers, or the checkpoint does not fit.
        FileNotFoundError: there is no such checkpoint.

    Example:
        >>> import torch
        >>> from oml.models import ConvExtractor
        >>> extractor = ExtractorWithMLP(ConvExtractor(im_size=16), mlp_features=[32, 5])
        >>> extractor(torch.zeros(2, 3, 16, 16)).shape, extractor.feat_dim
        (torch.Size([2, 5]), 5)

    """

    pretrained_models: ClassVar[dict[str, Any]] = get_pretrained_models("ExtractorWithMLP")

    def __init__(
        self,
        extractor: IExtractor,
        mlp_features: Sequence[int],
        weights: str | Path | None = None,
        train_backbone: bool = False,
    ):
        super().__init__(extractor, train_backbone)
        self.mlp_features = list(mlp_features)
        self.projection = make_mlp(extractor.feat_dim, self.mlp_features)
        self.load(weights)

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return self.mlp_features[-1]

    def forward(self, x: Any) -> Tensor:
        """Give the embeddings (B, D) of what the extractor takes."""
        features: Tensor = self.projection(self.extract_by_backbone(x))
        return features

    @classmethod
    def from_pretrained(cls, weights: str, **kwargs: Any) -> "IExtractor":
        """
        Make the model with published weights and the constructor's arguments that belong to them.

        Args:
            weights: A key of `pretrained_models`.
            **kwargs: Arguments of the constructor that override the ones of the record.

        Raises:
            KeyError: the key is unknown.

        """
        record = cls.pretrained_models.get(weights)
        if record is not None and "extractor" not in kwargs:  # in the record it is described as in configs
            kwargs["extractor"] = ViTExtractor(**record["init_args"]["extractor"]["args"])
        return super().from_pretrained(weights, **kwargs)
