"""The product of the search: the fastest one here, the scores it gives, and how wrong they may be."""

import time
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

TProduct = Callable[[Tensor, Tensor, Tensor], Tensor]

_REDUCED_ROUNDOFF = 2.0**-8  # bfloat16, the coarsest that float32 products may be lowered to
_TRIAL = (256, 2048, 256)  # queries, galleries and features of the product that is timed: about two milliseconds
_N_TRIALS = 3


def extend_queries(queries: Tensor) -> Tensor:
    """Give the queries (Q, D) with a column of ones, (Q, D + 1), for `extend_galleries`."""
    return F.pad(queries, (0, 1), value=1.0)


def extend_galleries(galleries: Tensor, centre: Tensor, out: Tensor, is_product: bool = False) -> Tensor:
    """
    Give the galleries (G, D) less the centre (D,), with a column of -|g|^2 / 2, (G, D + 1), in `out`.

    The product with extended queries is then q.g - |g|^2 / 2: the larger, the nearer. Where inner products are wanted
    themselves, the column is 0.
    """
    vectors = torch.sub(galleries, centre, out=out[:, :-1])
    if is_product:
        out[:, -1] = 0
    else:
        out[:, -1] = vectors.square().sum(1).div_(-2)
    return out


def multiply(queries: Tensor, galleries: Tensor, out: Tensor) -> Tensor:
    """Give the inner products of rows, (Q, G), by the matrix product of torch, in `out`."""
    return torch.mm(queries, galleries.T, out=out)


def multiply_as_layer(queries: Tensor, galleries: Tensor, out: Tensor) -> Tensor:
    """Give the inner products of rows, (Q, G), by a linear layer; `out` is not used."""
    return F.linear(queries, galleries)


def multiply_as_convolution(queries: Tensor, galleries: Tensor, out: Tensor) -> Tensor:
    """Give the inner products of rows, (Q, G), by a 1 x 1 convolution of a picture in channels-last memory."""
    picture = queries.view(1, len(queries), 1, -1).permute(0, 3, 1, 2)
    return F.conv2d(picture, galleries.view(*galleries.shape, 1, 1)).permute(0, 2, 3, 1).reshape(len(queries), -1)


PRODUCTS: dict[str, TProduct] = {
    "matrix": multiply,
    "layer": multiply_as_layer,
    "convolution": multiply_as_convolution,
}


def get_product(device: torch.device, dtype: torch.dtype, n_threads: int) -> TProduct:
    """
    Give the fastest product here; all are exact up to the order of summation.

    On a CPU they are timed once per process for each number of threads, for some milliseconds: which library is the
    fastest differs from machine to machine. Elsewhere it is the matrix product.
    """
    if device.type != "cpu" or dtype != torch.float32:
        return multiply
    return PRODUCTS[_choose_product(n_threads)]


@lru_cache
def _choose_product(n_threads: int) -> str:
    n_queries, n_galleries, dim = _TRIAL
    queries, galleries = torch.ones(n_queries, dim), torch.ones(n_galleries, dim)
    out = torch.empty(n_queries, n_galleries)
    times = dict.fromkeys(PRODUCTS, float("inf"))
    for _ in range(_N_TRIALS):
        for name, product in PRODUCTS.items():
            start = time.perf_counter()
            product(queries, galleries, out)
            times[name] = min(times[name], time.perf_counter() - start)
    times["matrix"] *= 0.95  # it writes where it is told to; the others have to be clearly faster
    return min(times, key=times.__getitem__)


def calc_score_error(query_norms: Tensor, max_gallery_norm: Tensor, dim: int, dtype: torch.dtype) -> Tensor:
    """
    Give a bound of the rounding error of twice a score, so of a cost, (Q,), whatever the order of summation.

    A sum of n products in floating point is off by at most n u times the sum of their magnitudes (Higham, Accuracy and
    Stability of Numerical Algorithms, section 3.1), which Cauchy-Schwarz bounds by |q||g|. The vectors themselves may
    be rounded once more, when they are centred or made unit.

    Args:
        query_norms: squared lengths of the queries as they are multiplied, (Q,), float64.
        max_gallery_norm: largest squared length of a gallery, 0-d, float64.
        dim: number of features.
        dtype: what the product is computed in.

    """
    roundoff = torch.finfo(dtype).eps / 2
    cross = 2 * query_norms.sqrt() * max_gallery_norm.sqrt()
    error = (dim + 10) * roundoff * (2 * max_gallery_norm + cross) + dim * torch.finfo(dtype).tiny
    if dtype == torch.float32 and not _is_full_precision():
        error = error + 2 * _REDUCED_ROUNDOFF * (max_gallery_norm + cross)
    return 1.01 * error  # the norms themselves are rounded


def _is_full_precision() -> bool:
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # torch refuses to say where its older and newer switches were mixed
        return False
