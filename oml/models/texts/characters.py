"""An extractor for names: parts of words, weighted, added up, and a perceptron."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from oml.errors import check
from oml.functional.distances import normalise
from oml.interfaces.models import IExtractor
from oml.models.texts.tokens import read_tokens
from oml.transforms.texts.characters import CharTokenizer


class CharExtractor(IExtractor):
    """
    Gives embeddings (B, D) of names and other short texts by the groups of letters in them.

    Each group has a vector and a weight; their weighted sum, normalised (layer norm), goes through a residual block of
    two layers. It begins as good as counting common groups, and learns which groups mean the same, or nothing.
    It trains in a minute or two on a CPU. The idea of vectors for hashed groups of letters is that of fastText
    (Bojanowski et al., Enriching Word Vectors with Subword Information, 2017, section 3.2).

    Args:
        n_buckets: As in `CharTokenizer`.
        feat_dim: The number of features D.
        dropout: The share of groups that are left out in training.
        normalise_features: Whether embeddings are scaled to unit length.

    Raises:
        InvalidInputError: a number is out of its range.

    Example:
        >>> extractor = CharExtractor(n_buckets=100, feat_dim=8).eval()
        >>> extractor(extractor.get_tokenizer()(["Spain", "Espagne"])).shape
        torch.Size([2, 8])

    """

    def __init__(
        self, n_buckets: int = 2**15, feat_dim: int = 256, dropout: float = 0.2, normalise_features: bool = True
    ):
        super().__init__()
        check(feat_dim >= 1, f"`feat_dim` must be 1 at least, got {feat_dim}.")
        check(0 <= dropout < 1, f"`dropout` must be in [0, 1), got {dropout}.")
        self.tokenizer = CharTokenizer(n_buckets)
        self.normalise_features = normalise_features
        self.vectors = nn.Embedding(n_buckets, feat_dim, padding_idx=0)
        self.weights = nn.Embedding(n_buckets, 1)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(feat_dim)
        self.block = nn.Sequential(
            nn.Linear(feat_dim, 2 * feat_dim), nn.GELU(), nn.Dropout(dropout / 2), nn.Linear(2 * feat_dim, feat_dim)
        )
        for parameter in (self.weights.weight, self.block[-1].weight, self.block[-1].bias):
            nn.init.zeros_(parameter)  # type: ignore[arg-type]

    def get_init_args(self) -> dict[str, Any]:
        """Give the arguments of the constructor."""
        return {
            "n_buckets": self.vectors.num_embeddings,
            "feat_dim": self.feat_dim,
            "dropout": self.dropout.p,
            "normalise_features": self.normalise_features,
        }

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return self.vectors.embedding_dim

    def get_tokenizer(self) -> CharTokenizer:
        """Give the tokenizer whose tokens the extractor takes."""
        return self.tokenizer

    def forward(self, x: Mapping[str, Any]) -> Tensor:
        """
        Give the embeddings (B, D) of a batch of tokens; one without a token has the same as any other such.

        Raises:
            InvalidInputError: the batch is not what a tokenizer gives.

        """
        ids, mask = read_tokens(x, owner="CharExtractor")
        # three times as steep as plain logits: they have to move far in few steps
        weights = self.dropout(functional.softplus(3 * self.weights(ids)[..., 0]) * mask)
        features = self.norm(functional.embedding_bag(ids, self.vectors.weight, per_sample_weights=weights, mode="sum"))
        features = features + self.block(features)
        return normalise(features) if self.normalise_features else features
