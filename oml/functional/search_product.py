"""The product of the search: scores that order galleries like their distances, and how wrong they may be."""

import torch
from torch import Tensor

_REDUCED_ROUNDOFF = 2.0**-8  # bfloat16, the coarsest that float32 products may be lowered to


def calc_scores(queries: Tensor, galleries: Tensor, gallery_norms: Tensor) -> Tensor:
    """
    Give |g|^2 - 2 q.g, (Q, G): the squared distance less |q|^2, which is the same for all galleries of a query.

    Args:
        queries: (Q, D).
        galleries: (G, D).
        gallery_norms: squared lengths of the galleries, (G,).

    """
    with torch.autocast(queries.device.type, enabled=False):
        return torch.addmm(gallery_norms, queries, galleries.T, alpha=-2)


def calc_score_error(query_norms: Tensor, max_gallery_norm: Tensor, dim: int, dtype: torch.dtype) -> Tensor:
    """
    Give a bound of the rounding error of `calc_scores`, (Q,), whatever the order of summation.

    A sum of n products in floating point is off by at most n u times the sum of their magnitudes (Higham, Accuracy and
    Stability of Numerical Algorithms, section 3.1), which Cauchy-Schwarz bounds by |q||g|.

    Args:
        query_norms: squared lengths of the queries, (Q,), float64.
        max_gallery_norm: largest squared length of a gallery, 0-d, float64.
        dim: number of features.
        dtype: what the product is computed in.

    """
    roundoff = torch.finfo(dtype).eps / 2
    cross = 2 * query_norms.sqrt() * max_gallery_norm.sqrt()
    error = (dim + 4) * roundoff * (max_gallery_norm + cross) + dim * torch.finfo(dtype).tiny
    if dtype == torch.float32 and not _is_full_precision():
        error = error + 2 * _REDUCED_ROUNDOFF * cross
    return 1.01 * error  # the norms themselves are rounded


def calc_rounding_band(query_norms: Tensor, max_gallery_norm: Tensor, dtype: torch.dtype) -> Tensor:
    """Give how far apart squared distances may be whose square roots round to the same number of `dtype`, (Q,)."""
    return 2.02 * torch.finfo(dtype).eps * (query_norms.sqrt() + max_gallery_norm.sqrt()).square()


def _is_full_precision() -> bool:
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # torch refuses to say where its older and newer switches were mixed
        return False
