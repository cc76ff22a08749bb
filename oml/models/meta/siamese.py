"""Models that compare two items."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oml.errors import check
from oml.functional.distances import elementwise_dist
from oml.interfaces.models import IExtractor, IPairwiseModel
from oml.models.meta.backbone import WithBackbone
from oml.models.vit_dino.extractor import ViTExtractor
from oml.utils.mlp import make_mlp


class LinearTrivialDistanceSiamese(IPairwiseModel):
    """
    Gives the L2 distance of two embeddings after one linear projection of both, without a bias of the projection.

    Args:
        feat_dim: The number of features of an embedding.
        identity_init: Whether the projection begins as the identity; otherwise it begins at random.
        output_bias: Added to the distance.

    Example:
        >>> model = LinearTrivialDistanceSiamese(feat_dim=2, identity_init=True, output_bias=1)
        >>> model.predict(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2)).tolist()
        [6.0]

    """

    def __init__(self, feat_dim: int, identity_init: bool, output_bias: float = 0):
        super().__init__()
        self.feat_dim = feat_dim
        self.output_bias = output_bias
        self.proj = nn.Linear(feat_dim, feat_dim, bias=False)
        if identity_init:
            nn.init.eye_(self.proj.weight)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Give the distances (B,) of the embeddings (B, D)."""
        return elementwise_dist(self.proj(x1), self.proj(x2)) + self.output_bias

    def predict(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Give the same as `forward`."""
        return self.forward(x1, x2)


class TrivialDistanceSiamese(IPairwiseModel):
    """
    Gives the L2 distance of what an extractor gives for two items: re-ranking by it repeats the search.

    Args:
        extractor: Gives the embeddings.
        output_bias: Added to the distance.

    """

    def __init__(self, extractor: IExtractor, output_bias: float = 0):
        super().__init__()
        self.extractor = extractor
        self.output_bias = output_bias

    def forward(self, x1: Any, x2: Any) -> Tensor:
        """Give the distances (B,) of two batches of what the extractor takes."""
        return elementwise_dist(self.extractor(x1), self.extractor(x2)) + self.output_bias

    def predict(self, x1: Any, x2: Any) -> Tensor:
        """Give the same as `forward`."""
        return self.forward(x1, x2)


class ConcatSiamese(WithBackbone, IPairwiseModel):
    """
    Puts two pictures one above the other, and lets an extractor with a perceptron tell whether they differ.

    The perceptron has sigmoids and dropout 0.5 between its linear layers, and the last of these has no bias.

    Args:
        extractor: Takes pictures of twice the height; None takes a `ViTExtractor` with random weights.
        mlp_hidden_dims: The widths of the perceptron's hidden layers.
        use_tta: Whether `predict` takes the mean over both orders of the two pictures.
        weights: None, or the path of a checkpoint of the whole model: a state dict, bare or in a training checkpoint
            (`{"state_dict": ...}`) with any prefix.

    Raises:
        InvalidInputError: the checkpoint does not fit.
        FileNotFoundError: there is no such checkpoint.

    Example:
        >>> from oml.models import ResnetExtractor
        >>> model = ConcatSiamese(ResnetExtractor(None, "resnet18"), mlp_hidden_dims=[20], use_tta=True).eval()
        >>> picture_1, picture_2 = torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)
        >>> torch.equal(model.predict(picture_1, picture_2), model.predict(picture_2, picture_1))
        True

    """

    def __init__(
        self,
        extractor: IExtractor | None = None,
        mlp_hidden_dims: Sequence[int] = (192,),
        use_tta: bool = False,
        weights: str | Path | None = None,
    ):
        super().__init__(ViTExtractor() if extractor is None else extractor, train_backbone=True)
        self.use_tta = use_tta
        widths = [*mlp_hidden_dims, 1]
        self.head = make_mlp(self.extractor.feat_dim, widths, nn.Sigmoid, dropout=0.5, last_bias=False)
        self.load(weights)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """
        Give logits of being different (B,), as `BCEWithLogitsLoss` takes them.

        Args:
            x1: Pictures (B, C, H, W).
            x2: Pictures of the same shape.

        Raises:
            InvalidInputError: the shapes differ, or are not those of pictures.

        """
        check(
            x1.ndim == 4 and x1.shape == x2.shape,
            f"ConcatSiamese takes two batches of pictures (B, C, H, W) of one shape, got {tuple(x1.shape)} and "
            f"{tuple(x2.shape)}. Resize all pictures to one size in the transform.",
        )
        logits: Tensor = self.head(self.extract_by_backbone(torch.cat([x1, x2], dim=2)))
        return logits[:, 0]

    def predict(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Give probabilities of being different (B,) for pictures (B, C, H, W)."""
        probabilities = self.forward(x1, x2).sigmoid()
        if self.use_tta:
            probabilities = (probabilities + self.forward(x2, x1).sigmoid()) / 2
        return probabilities
