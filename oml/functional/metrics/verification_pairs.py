"""Distances of all pairs of two sets of rows, a block at a time; which of them match, which do not count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oml.functional.search_exclusion import TKeys, expand_counts

TMatrix = Tensor | np.ndarray

_NEAR = 2.0**-10  # squared distances below this share of |a|^2 + |b|^2 lose too many digits in the product
_CHUNK = 2**20  # numbers compared at once from the vectors


@dataclass(frozen=True)
class Pairs:
    """
    Pairs of a query and a gallery, which match if their labels are equal.

    Args:
        queries: (Q, D), tensor or array, a memory-mapped one too.
        galleries: (G, D).
        labels: integers of the queries, (Q,), and of the galleries, (G,).
        exclude: pairs of integer keys (Q,) and (G,); a pair with an equal key does not count.
        query_rows: rows of `queries` to take, all by default; labels and keys belong to the rows taken.
        gallery_rows: likewise of `galleries`.
        is_symmetric: both sides are the same rows: each pair of two different rows counts once.

    """

    queries: TMatrix
    galleries: TMatrix
    labels: TKeys
    exclude: Sequence[TKeys] = ()
    query_rows: Tensor | None = None
    gallery_rows: Tensor | None = None
    is_symmetric: bool = False

    @property
    def n_queries(self) -> int:
        """Q."""
        return len(self.labels[0])

    @property
    def n_galleries(self) -> int:
        """G."""
        return len(self.labels[1])

    @property
    def device(self) -> torch.device:
        """Where distances are computed."""
        return self.queries.device if isinstance(self.queries, Tensor) else torch.device("cpu")

    def count_at_most(self) -> int:
        """Give the number of pairs without looking at exclusions."""
        return self.n_queries * (self.n_queries - 1) // 2 if self.is_symmetric else self.n_queries * self.n_galleries

    def split(self, n_rows: int, n_columns: int, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
        """
        Give for each block the distances (q, g), with infinity where a pair does not count, and the places, in the
        flattened block, of pairs that match.

        The distances come from products in `dtype`, of features less the mean of the galleries; where cancellation
        would spoil them, from the differences of the vectors in float64.

        Args:
            n_rows: queries in a block.
            n_columns: galleries in a block.
            dtype: float32 or float64.

        """
        centre = self._calc_centre()
        labels, *keys = [(q.to(self.device), g.to(self.device)) for q, g in (self.labels, *self.exclude)]
        for start in range(0, self.n_queries, n_rows):
            queries = self._read(self.queries, self.query_rows, start, start + n_rows, dtype) - centre.to(dtype)
            for first in range(start if self.is_symmetric else 0, self.n_galleries, n_columns):
                galleries = self._read(self.galleries, self.gallery_rows, first, first + n_columns, dtype)
                distances = calc_distances(queries, galleries - centre.to(dtype))
                ends = slice(start, start + n_rows), slice(first, first + n_columns)
                flat = distances.view(-1)
                for of_query, of_gallery in keys:
                    flat[find_equal(of_query[ends[0]], of_gallery[ends[1]])] = torch.inf
                if self.is_symmetric and first < start + n_rows:
                    is_done = torch.ones_like(distances, dtype=torch.bool).tril_(start - first)
                    distances.masked_fill_(is_done, torch.inf)
                yield distances, find_equal(labels[0][ends[0]], labels[1][ends[1]])

    def calc_largest_distance(self) -> float:
        """Give an upper bound of the distances: the sum of the greatest lengths, less the mean, of both sides."""
        sides = ((self.queries, self.query_rows, self.n_queries), (self.galleries, self.gallery_rows, self.n_galleries))
        centre, largest = self._calc_centre(), 0.0
        for matrix, rows, n in sides:
            blocks = (self._read(matrix, rows, start, start + 4096, torch.float64) for start in range(0, n, 4096))
            largest += max((float((block - centre).norm(dim=1).max()) for block in blocks), default=0.0)
        return largest

    def _calc_centre(self) -> Tensor:
        step = max(1, self.n_galleries // 1024)  # a sample will do: any point may be the origin
        rows = torch.arange(self.n_galleries) if self.gallery_rows is None else self.gallery_rows.cpu()
        sample = self._read(self.galleries, rows[::step], 0, len(rows), torch.float64)
        return sample.mean(0) if len(sample) else torch.zeros(sample.shape[1], dtype=torch.float64, device=self.device)

    def _read(self, matrix: TMatrix, rows: Tensor | None, start: int, stop: int, dtype: torch.dtype) -> Tensor:
        if isinstance(matrix, Tensor):
            block = matrix.detach()[start:stop] if rows is None else matrix.detach()[rows[start:stop].to(matrix.device)]
            return block.to(self.device, dtype)
        part = matrix[start:stop] if rows is None else matrix[rows[start:stop].cpu().numpy()]
        return torch.from_numpy(np.array(part)).to(self.device, dtype)


def calc_distances(x: Tensor, y: Tensor) -> Tensor:
    """
    Give the L2 distances of the rows of x (N, D) to those of y (M, D): (N, M).

    A squared distance from the product is off by at most about `(D + 4) u (|a| + |b|)^2`, u being the unit roundoff of
    the dtype (in practice by a hundredth of that). Those below 2^-10 (|a|^2 + |b|^2) are taken from the differences in
    float64 instead, so that equal rows are at distance 0. This costs D per such pair, which are few unless rows lie in
    narrow bunches far from the origin.

    Example:
        >>> calc_distances(torch.tensor([[0.0, 3.0]]), torch.tensor([[4.0, 0.0], [0.0, 3.0]]))
        tensor([[5., 0.]])

    """
    sums = x.square().sum(1)[:, None] + y.square().sum(1)
    with torch.autocast(x.device.type, enabled=False):
        squares = torch.addmm(sums, x, y.T, alpha=-2)
    near = (squares <= sums.mul_(_NEAR)).view(-1).nonzero()[:, 0]
    distances = squares.clamp_(min=0).sqrt_()
    for part in near.split(max(1, _CHUNK // max(1, x.shape[1]))):
        rows, columns = part // y.shape[0], part % y.shape[0]
        distances.view(-1)[part] = (x[rows].double() - y[columns]).norm(dim=1).to(distances.dtype)
    return distances


def find_equal(query_keys: Tensor, gallery_keys: Tensor) -> Tensor:
    """
    Give the places of equal keys in the flattened matrix (q, g) of all pairs.

    Example:
        >>> find_equal(torch.tensor([5, 6]), torch.tensor([6, 5, 6]))
        tensor([1, 3, 5])

    """
    sorted_keys, order = gallery_keys.sort(stable=True)
    first = torch.searchsorted(sorted_keys, query_keys)
    rows, ranks = expand_counts(torch.searchsorted(sorted_keys, query_keys, right=True) - first)
    return rows * len(gallery_keys) + order[first[rows] + ranks]
