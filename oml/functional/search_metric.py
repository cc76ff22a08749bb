"""What may be searched by: L2, cosine and inner product, each as a cost that a product gives and a value of pairs."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from oml.errors import check, unknown_name_message

TMetric = Literal["l2", "cosine", "ip"]


@dataclass(frozen=True)
class Metric:
    """
    How near a gallery is to a query; the lower the nearer.

    Three steps lead from a pair to what the user sees: vectors (made unit where `is_unit`), their cost in float64
    (|q - g|^2, or -q.g where `is_product`), the value: the root of the cost, half of it, or the cost itself.
    """

    name: TMetric
    is_unit: bool = False
    is_product: bool = False

    @property
    def least(self) -> float:
        """Give the least value that there can be."""
        return -torch.inf if self.is_product else 0.0

    def calc_values(self, queries: Tensor, galleries: Tensor, room: Tensor) -> Tensor:
        """
        Give the values of pairs, (..., n).

        Args:
            queries: float64 (..., 1, D).
            galleries: float64 (..., n, D).
            room: float64 (..., n, D) to be written to; may be the galleries.

        """
        if self.is_product:
            return -torch.mul(galleries, queries, out=room).sum(-1)
        lengths: Tensor = torch.linalg.vector_norm(torch.sub(galleries, queries, out=room), dim=-1)
        return lengths.square_().div_(2) if self.is_unit else lengths

    def to_cost(self, values: Tensor) -> Tensor:
        """Give the costs of values."""
        if self.is_product:
            return values.double()
        return 2 * values.double() if self.is_unit else values.double().square()

    def calc_rounding_band(self, query_norms: Tensor, max_gallery_norm: Tensor, dtype: torch.dtype) -> Tensor:
        """Give how far apart costs may be whose values round to the same number of `dtype`, (Q,)."""
        eps = torch.finfo(dtype).eps
        if self.is_product:
            return 1.01 * eps * query_norms.sqrt() * max_gallery_norm.sqrt()
        return 2.02 * eps * (query_norms.sqrt() + max_gallery_norm.sqrt()).square()


_METRICS = {
    "l2": Metric("l2"),
    "cosine": Metric("cosine", is_unit=True),
    "ip": Metric("ip", is_product=True),
}


def get_metric(name: str) -> Metric:
    """Give the metric of this name: `l2`, `cosine` or `ip`; an `InvalidInputError` names the known ones."""
    check(name in _METRICS, unknown_name_message("metric", name, list(_METRICS)))
    return _METRICS[name]
