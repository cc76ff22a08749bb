"""Two extractors with one space of embeddings: texts find pictures, drawings find photos."""

from typing import Any

from torch import Tensor, nn

from oml.errors import check
from oml.functional.distances import normalise
from oml.interfaces.models import IExtractor


class Tower(IExtractor):
    """
    Gives the embeddings (B, D) of an extractor, of unit length, after a linear projection if there is one.

    Args:
        extractor: The extractor.
        projection: The number of features D of a linear layer without bias; None puts none.

    """

    def __init__(self, extractor: IExtractor, projection: int | None = None):
        super().__init__()
        self.extractor = extractor
        self.projection = nn.Linear(extractor.feat_dim, projection, bias=False) if projection else nn.Identity()
        self._feat_dim = projection or extractor.feat_dim

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return self._feat_dim

    def get_init_args(self) -> dict[str, Any]:
        """Give the arguments of the constructor, apart from the weights."""
        projection = self._feat_dim if isinstance(self.projection, nn.Linear) else None
        return {"extractor": self.extractor, "projection": projection}

    def forward(self, x: Any) -> Tensor:
        """Give the embeddings (B, D) of what the extractor takes; a zero embedding stays zero."""
        return normalise(self.projection(self.extractor(x)))


class TwoTowerExtractor(nn.Module):
    """
    Gives embeddings of queries and of galleries, which are of different kinds, in one space.

    Its two towers are extractors: each one alone embeds a dataset of its kind, `inference(towers.query, texts)`, and
    `RetrievalResults.from_embeddings_qg` searches between them. All embeddings have unit length, so the order by L2 is
    that by the cosine, which the losses of two towers (`InfoNCE`, `SigLIPLoss`) compare; the temperature is theirs.

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, section 2.3.

    Args:
        query: The extractor of queries, such as texts.
        gallery: The extractor of galleries, such as pictures.
        projection: The number of features D of a linear layer without bias on top of each extractor; None puts none.

    Raises:
        InvalidInputError: there is no projection, and the extractors differ in their numbers of features; or the number
            is not positive.

    Example:
        >>> import torch
        >>> from oml.losses import InfoNCE
        >>> from oml.models import ConvExtractor
        >>> towers = TwoTowerExtractor(query=ConvExtractor(16, in_channels=1), gallery=ConvExtractor(32), projection=5)
        >>> drawings, photos = torch.rand(2, 1, 16, 16), torch.rand(2, 3, 32, 32)
        >>> loss = InfoNCE()(*towers(drawings, photos))
        >>> towers.query(drawings).shape, towers.feat_dim
        (torch.Size([2, 5]), 5)

    """

    def __init__(self, query: IExtractor, gallery: IExtractor, projection: int | None = None):
        super().__init__()
        check(
            projection is None or projection > 0,
            f"projection must be a positive number of features, or None to have none, got {projection}.",
        )
        check(
            projection is not None or query.feat_dim == gallery.feat_dim,
            f"Without a projection both extractors must have the same number of features, got {query.feat_dim} of the "
            f"query and {gallery.feat_dim} of the gallery. Give projection={min(query.feat_dim, gallery.feat_dim)}.",
        )
        self.query = Tower(query, projection)
        self.gallery = Tower(gallery, projection)

    @property
    def feat_dim(self) -> int:
        """Give the number of features D of both towers."""
        return self.query.feat_dim

    def forward(self, queries: Any, galleries: Any) -> tuple[Tensor, Tensor]:
        """Give the embeddings (Q, D) of a batch of queries and (G, D) of a batch of galleries."""
        return self.query(queries), self.gallery(galleries)
