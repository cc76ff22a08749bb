"""PCF: how many principal axes the variance of embeddings needs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from oml.functional.metrics.fnmr import check_shares

_BLOCK = 8192  # rows turned to float64 at once
_ROUNDING = 1e-9  # shares of variance closer than this are equal


def calc_pcf(embeddings: Tensor, pcf_variance: Sequence[float]) -> list[Tensor]:
    """
    Give the principal component fraction for each share of variance, as 0-d float tensors.

    The value is n / D, where n is the number of principal axes that together explain no more than the share, plus one.
    Embeddings that have no variance need one axis; those with NaN or infinity, and an empty set, give NaN.

    Args:
        embeddings: (N, D).
        pcf_variance: shares from 0 to 1.

    Raises:
        ValueError: no shares, or shares outside [0, 1].

    Example:
        >>> calc_pcf(torch.eye(4, 10), pcf_variance=(0.5, 1))
        [tensor(0.2000), tensor(0.5000)]

    """
    check_shares("pcf_variance", pcf_variance)
    n, dim = embeddings.shape
    if not n or not bool(embeddings.isfinite().all()):
        return [torch.tensor(torch.nan) for _ in pcf_variance]
    variances = _calc_axis_variances(embeddings)
    explained = variances.cumsum(0) / variances.sum()  # NaN without variance: compares as False below
    return [((explained <= share + _ROUNDING).sum() + 1).float().cpu() / dim for share in pcf_variance]


def _calc_axis_variances(embeddings: Tensor) -> Tensor:
    """Give the squared singular values of the centred embeddings, descending, float64 (min(N, D),)."""
    n, dim = embeddings.shape
    mean = embeddings.mean(0, dtype=torch.float64)
    if n <= dim:
        centred = embeddings.double() - mean
        gram = centred @ centred.T
    else:
        gram = torch.zeros(dim, dim, dtype=torch.float64, device=embeddings.device)
        for block in embeddings.split(_BLOCK):
            centred = block.double() - mean
            gram.addmm_(centred.T, centred)
    variances: Tensor = torch.linalg.eigvalsh(gram)
    return variances.flip(0).clamp(min=0)
