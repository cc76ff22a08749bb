"""The products of the search: which is the fastest here, and how wrong what they give may be."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

_REDUCED_ROUNDOFF = 2.0**-8  # bfloat16, the coarsest that float32 products may be lowered to
_TRIAL = (512, 2048, 256)  # queries, galleries and features of the product that is timed: some milliseconds
_N_TRIALS = 3
_N_PICTURES = 16
_COARSE_GAIN = 1.5  # how many times as fast a coarse product has to be, since it leaves more in doubt


@dataclass(frozen=True)
class Product:
    """
    A way to compute the inner products of the rows of queries (Q, D) and galleries (G, D), in `out`, (Q, G), or beside.

    Both have to be of `dtype`. Sums are taken at least in float32; a result is rounded by at most the share `roundoff`.
    """

    name: str
    dtype: torch.dtype
    multiply: Callable[[Tensor, Tensor, Tensor], Tensor]
    roundoff: float = 0.0

    @property
    def is_coarse(self) -> bool:
        """Tell whether vectors of float32 are rounded for it."""
        return self.dtype == torch.bfloat16


def multiply(queries: Tensor, galleries: Tensor, out: Tensor) -> Tensor:
    """Give the inner products of rows, (Q, G), by the matrix product of torch, in `out`."""
    return torch.mm(queries, galleries.T, out=out)


def multiply_as_layer(queries: Tensor, galleries: Tensor, out: Tensor) -> Tensor:
    """Give the inner products of rows, (Q, G), by a linear layer; `out` is not used."""
    return F.linear(queries, galleries)


def multiply_as_convolution(queries: Tensor, galleries: Tensor, out: Tensor) -> Tensor:
    """
    Give the inner products of rows, (Q, G), by a 1 x 1 convolution of pictures in channels-last memory.

    `out` is not used. There are 16 pictures, since torch hands fewer to oneDNN only where it has several threads.
    """
    n_queries, dim = queries.shape
    queries = F.pad(queries, (0, 0, 0, -n_queries % _N_PICTURES))
    pictures = queries.view(_N_PICTURES, -1, 1, dim).permute(0, 3, 1, 2)
    scores = F.conv2d(pictures, galleries.view(*galleries.shape, 1, 1)).permute(0, 2, 3, 1)
    return scores.reshape(len(queries), -1)[:n_queries]


PRODUCTS = {
    product.name: product
    for product in (
        Product("matrix", torch.float32, multiply),
        Product("layer", torch.float32, multiply_as_layer),
        Product("convolution", torch.float32, multiply_as_convolution),
        Product("bfloat16", torch.bfloat16, multiply, roundoff=_REDUCED_ROUNDOFF),
    )
}


def get_products(device: torch.device, dtype: torch.dtype, is_large: bool) -> list[Product]:
    """
    Give the products to search by, the fastest first, the last one of the dtype itself.

    On a CPU those of float32 are timed once per process for some milliseconds, since which library is the fastest
    differs from machine to machine; a product in bfloat16 comes first where the processor has units for it.

    Args:
        device: where is computed.
        dtype: float32 or float64.
        is_large: whether there is enough to do for the choice to matter.

    """
    if device.type != "cpu" or dtype != torch.float32:
        return [Product("matrix", dtype, multiply)]
    return list(_choose_products()) if is_large else [PRODUCTS["matrix"]]


@lru_cache
def _choose_products() -> tuple[Product, ...]:
    times = time_products()
    times["matrix"] *= 0.95  # it writes where it is told to; the others have to be clearly faster
    fine = min((product for product in PRODUCTS.values() if not product.is_coarse), key=lambda p: times[p.name])
    coarse = PRODUCTS["bfloat16"]
    is_worth_it = times[coarse.name] * _COARSE_GAIN < times[fine.name] and sums_in_float32(coarse)
    return (coarse, fine) if is_worth_it else (fine,)


def time_products() -> dict[str, float]:
    """Give the seconds that each product takes in one thread, the best of a few trials."""
    n_threads = torch.get_num_threads()
    n_queries, n_galleries, dim = _TRIAL
    times = dict.fromkeys(PRODUCTS, float("inf"))
    torch.set_num_threads(1)
    try:
        for _ in range(_N_TRIALS):
            for name, product in PRODUCTS.items():
                queries = torch.ones(n_queries, dim, dtype=product.dtype)
                galleries = torch.ones(n_galleries, dim, dtype=product.dtype)
                out = torch.empty(n_queries, n_galleries, dtype=product.dtype)
                start = time.perf_counter()
                product.multiply(queries, galleries, out)
                times[name] = min(times[name], time.perf_counter() - start)
    finally:
        torch.set_num_threads(n_threads)
    return times


def sums_in_float32(product: Product, dim: int = 4096) -> bool:
    """Tell whether the sums of the product go on where those of its dtype would stand still: at 256 in bfloat16."""
    ones = torch.ones(32, dim, dtype=product.dtype)
    out = product.multiply(ones, ones, torch.empty(32, 32, dtype=product.dtype))
    return bool((out == dim).all())


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


def calc_loss_error(
    query_norms: Tensor, query_losses: Tensor, max_gallery_norm: Tensor, max_gallery_loss: Tensor
) -> Tensor:
    """
    Give a bound of the error of a cost where the product is not of the vectors but of rounded ones, (Q,).

    With q = q' + a and g = g' + b, q.g - q'.g' = a.g' + q.b, which is at most |a||g'| + |q||b|.

    Args:
        query_norms: squared lengths of the queries, (Q,), float64.
        query_losses: lengths of what the rounding takes from them, |a|, (Q,) or 0-d, float64.
        max_gallery_norm: largest squared length of a gallery, 0-d, float64.
        max_gallery_loss: largest |b|, 0-d, float64.

    """
    rounded = max_gallery_norm.sqrt() + max_gallery_loss
    return 2.02 * (query_losses * rounded + query_norms.sqrt() * max_gallery_loss)


def _is_full_precision() -> bool:
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # torch refuses to say where its older and newer switches were mixed
        return False
