"""Scores of blocks of queries and galleries: what a product gives, and what that says about the distances."""

from dataclasses import dataclass

import torch
from torch import Tensor

from oml.functional.search_metric import Metric
from oml.functional.search_product import Product, calc_loss_error, calc_score_error
from oml.functional.search_rows import Sizes

_N_NORM_PARTS = 3  # numbers of bfloat16 whose sum has the precision of float32
_UNIT_LOSS = 2.0**-24  # what rounding to float32 takes from a vector of length 1, at most
_COARSE_WIDTH = 32  # units for bfloat16 take so many features at once


@dataclass(frozen=True)
class Scorer:
    """
    Computes scores, the larger the nearer: q.g - (|g|^2 - shift) / 2, or q.g where inner products are wanted.

    The length of a gallery comes in through further features: the queries have ones there. `shift` makes the scores of
    the nearest small beside the lengths, which keeps their rounding small.
    """

    product: Product
    centre: Tensor  # taken from all vectors, (D,), float32 or float64
    shift: float
    is_product: bool
    band: Tensor  # how much worse than the k-th best a score may be without being ruled out, (Q,)
    error: Tensor  # how wrong a score may be, (Q,), float64
    offset: Tensor  # the score of a gallery at the query itself, (Q,), float64

    @property
    def width(self) -> int:
        """Give the number of features with those for the lengths."""
        dim = len(self.centre)
        return -(-(dim + _N_NORM_PARTS) // _COARSE_WIDTH) * _COARSE_WIDTH if self.product.is_coarse else dim + 1

    def make_room(self, n_rows: int) -> Tensor:
        """Give room for rows of galleries, (n_rows, width)."""
        return self.centre.new_zeros(n_rows, self.width, dtype=self.product.dtype)

    def extend_queries(self, queries: Tensor) -> Tensor:
        """Give the queries (Q, D) as they are multiplied, (Q, width)."""
        extended = self.make_room(len(queries))
        torch.sub(queries, self.centre, out=extended[:, : len(self.centre)])
        extended[:, len(self.centre) : len(self.centre) + _N_NORM_PARTS] = 1
        return extended

    def extend_galleries(self, galleries: Tensor, room: Tensor) -> Tensor:
        """Give the galleries (G, D) as they are multiplied, (G, width), in the room made for them."""
        dim, room = len(self.centre), room[: len(galleries)]
        vectors = torch.sub(galleries, self.centre)
        room[:, :dim] = vectors
        if not self.is_product:
            left = (self.shift - vectors.square_().sum(1)) / 2
            for column in range(dim, dim + (_N_NORM_PARTS if self.product.is_coarse else 1)):
                room[:, column] = left
                left = left - room[:, column]
        return room

    def score(self, queries: Tensor, galleries: Tensor, out: Tensor) -> Tensor:
        """Give the scores (Q, G) of extended queries and galleries, in `out` (numbers, Q * G at least) or beside it."""
        shape = len(queries), len(galleries)
        return self.product.multiply(queries, galleries, out[: shape[0] * shape[1]].view(shape))

    def calc_limits(self, values: Tensor, metric: Metric, positions: Tensor) -> Tensor:
        """Give what the scores of galleries are at least whose values are at most these, (n,), of the queries there."""
        costs = metric.to_cost(torch.nextafter(values, values.new_tensor(torch.inf)))  # values are rounded
        exact = -costs if self.is_product else self.offset[positions] - costs / 2
        limits = exact - self.error[positions]
        return limits - limits.abs() * self.product.roundoff if self.product.roundoff else limits


def make_scorer(
    product: Product, metric: Metric, dtype: torch.dtype, centre: Tensor, queries: Sizes, galleries: Sizes
) -> Scorer:
    """
    Give the scorer with the band that its errors and the rounding of distances to `dtype` ask for.

    Args:
        product: how to multiply.
        metric: what is near.
        dtype: of the distances.
        centre: taken from all vectors, (D,).
        queries: sizes of the queries less the centre.
        galleries: likewise.

    """
    dim, wide = len(centre), torch.float32 if product.is_coarse else product.dtype
    largest = galleries.square_norms.max() if len(galleries.square_norms) else centre.new_zeros((), dtype=torch.float64)
    error = calc_score_error(queries.square_norms, largest, dim, wide)
    if product.is_coarse:
        loss = galleries.losses.max() if len(galleries.losses) else largest
        error *= 4  # its units may round the sums less carefully
        error += calc_loss_error(queries.square_norms, queries.losses, largest, loss)
    if metric.is_unit and wide == torch.float32:  # unit vectors are rounded before the centre is taken; so are lengths
        loss = torch.full_like(largest, 2 * _UNIT_LOSS)
        error += calc_loss_error(queries.square_norms, loss, largest, loss)
    band = 2 * error + metric.calc_rounding_band(queries.square_norms, largest, dtype)
    shift = 0.0 if metric.is_product or not len(galleries.square_norms) else float(galleries.square_norms.mean())
    offset = (queries.square_norms + shift) / 2
    if not metric.is_product:
        band = band / 2  # a score is minus half a cost there, less what is the same for all galleries
        # the lengths of the queries themselves are as wrong as sums in float32 are
        error = error / 2 + (dim + 10) * torch.finfo(wide).eps * queries.square_norms
    return Scorer(product, centre.to(wide), shift, metric.is_product, band.to(wide), error, offset)
