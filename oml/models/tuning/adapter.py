"""A linear layer trained on embeddings that are calculated once."""

from typing import Any

import torch
from torch import Tensor, nn

from oml.errors import check
from oml.functional.distances import normalise
from oml.interfaces.models import IExtractor


class LinearAdapter(IExtractor):
    """
    Gives embeddings (B, out_dim) of embeddings (B, feat_dim): one linear layer, without a bias.

    It trains in seconds on the embeddings of `inference`, which are calculated once. It starts as the identity (its
    first rows, if it makes embeddings smaller), so that it is as good as the extractor from the first step on.

    Args:
        in_dim: Number of features of the given embeddings.
        out_dim: Number of features of the embeddings; as many by default, and at most.
        normalise_features: Whether embeddings are scaled to unit length; a zero embedding stays zero.

    Raises:
        InvalidInputError: a number of features is out of its range, or the input has another shape.

    Example:
        >>> LinearAdapter(in_dim=3, out_dim=2)(torch.tensor([[3.0, 4.0, 12.0]]))
        tensor([[3., 4.]], grad_fn=<MmBackward0>)

    """

    def __init__(self, in_dim: int, out_dim: int | None = None, normalise_features: bool = False):
        super().__init__()
        out_dim = in_dim if out_dim is None else out_dim
        check(
            0 < out_dim <= in_dim,
            f"An adapter keeps the number of features or makes it smaller: out_dim must lie in 1..{in_dim} (in_dim), "
            f"got {out_dim}.",
        )
        self.in_dim = in_dim
        self.out_dim = out_dim
        self.normalise_features = normalise_features
        self.weight = nn.Parameter(torch.eye(out_dim, in_dim))

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return self.weight.shape[0]

    def get_init_args(self) -> dict[str, Any]:
        """Give the arguments of the constructor, apart from the weights."""
        out_dim, in_dim = self.weight.shape
        return {"in_dim": in_dim, "out_dim": out_dim, "normalise_features": self.normalise_features}

    def forward(self, x: Tensor) -> Tensor:
        """Give the embeddings (B, out_dim) of the embeddings (B, in_dim)."""
        check(
            x.ndim == 2 and x.shape[1] == self.weight.shape[1],
            f"The adapter takes embeddings (B, {self.weight.shape[1]}), got the shape {list(x.shape)}.",
        )
        features = x @ self.weight.T
        return normalise(features) if self.normalise_features else features


class AdaptedExtractor(IExtractor):
    """
    Gives embeddings (B, D) of an extractor that does not train, changed by an adapter that does.

    Args:
        extractor: Any extractor; it is used without gradients and stays in evaluation mode.
        adapter: A `LinearAdapter`, or another extractor that takes embeddings.

    Raises:
        InvalidInputError: the adapter takes another number of features.

    Example:
        >>> from oml.models import ConvExtractor
        >>> extractor = ConvExtractor(im_size=8, channels=(4,), feat_dim=6)
        >>> adapted = AdaptedExtractor(extractor, LinearAdapter(in_dim=6, out_dim=2))
        >>> adapted(torch.zeros(1, 3, 8, 8)).shape, adapted.feat_dim
        (torch.Size([1, 2]), 2)

    """

    def __init__(self, extractor: IExtractor, adapter: IExtractor):
        super().__init__()
        taken = adapter.weight.shape[1] if isinstance(adapter, LinearAdapter) else extractor.feat_dim
        check(
            taken == extractor.feat_dim,
            f"The adapter takes {taken} features, but the extractor gives {extractor.feat_dim}.",
        )
        self.extractor = extractor
        self.adapter = adapter
        self.extractor.eval()

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return self.adapter.feat_dim

    def forward(self, x: Any) -> Tensor:
        """Give the embeddings (B, D) of the batch."""
        with torch.no_grad():
            embeddings = self.extractor(x)
        features: Tensor = self.adapter(embeddings)
        return features

    def train(self, mode: bool = True) -> "AdaptedExtractor":
        """Set the mode of the adapter; the extractor stays in evaluation mode."""
        super().train(mode)
        self.extractor.eval()
        return self
