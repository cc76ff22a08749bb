"""The candidates of a block of queries: what the scores seen so far leave possible as an answer."""

from collections.abc import Iterator

import torch
from torch import Tensor

from oml.functional.search_exact import NO_ID
from oml.functional.search_selection import bound_kth_largest, find_above, find_kth_largest, make_room

_SPARE = 64  # room beyond a multiple of k
_PART = 1536  # queries looked at together at the end
_REFRESH = 0.5  # new candidates, as a share of k, after which limits are worth raising


def get_capacity(k: int) -> int:
    """Give the number of candidates that are held per query; half of it may be in doubt at the end."""
    return 4 * k + _SPARE


class Candidates:
    """
    Scores (the larger the better) and ids of the galleries that may be among the k best of each query.

    Everything that scores at most the k-th best seen, less the `band` (twice the bound of the error of a score), is
    ruled out, most of it by one comparison before anything is selected. Queries with more candidates than there is room
    for, because of many equal or nearly equal distances, are given up: `is_given_up` marks them.

    Args:
        n_queries: q.
        k: answers wanted.
        capacity: see `get_capacity`.
        band: of each query, (q,).
        roundoff: the share by which scores may be rounded as they are written.

    """

    def __init__(self, n_queries: int, k: int, capacity: int, band: Tensor, roundoff: float = 0.0):
        self.k, self.capacity, self.band, self.roundoff = k, capacity, band, roundoff
        self.scores = torch.full((n_queries, capacity), -torch.inf, dtype=band.dtype, device=band.device)
        self.ids = torch.full((n_queries, capacity), NO_ID, dtype=torch.int64, device=band.device)
        self.counts = torch.zeros(n_queries, dtype=torch.int64, device=band.device)
        self.limits = torch.full((n_queries,), -torch.inf, dtype=band.dtype, device=band.device)
        self.n_new = 0  # candidates since the limits were brought up to the best so far
        self.room = make_room(0)  # for marks, as large as has been needed

    @property
    def is_given_up(self) -> Tensor:
        """Tell which queries are given up, (q,)."""
        return self.limits == torch.inf

    def add(self, scores: Tensor, start: int, first_row: int = 0) -> None:
        """
        Take what may be an answer out of the scores (q, g) of the galleries that begin with `start`.

        Args:
            scores: of a run of the queries, contiguous; minus infinity for what is no answer.
            start: id of the first gallery.
            first_row: the first of the queries.

        """
        part = slice(first_row, first_row + len(scores))
        limits = self.limits[part]  # a view: raising it raises the limits
        is_open = limits == -torch.inf
        if bool(is_open.all()):
            limits.copy_(self._calc_limits(bound_kth_largest(scores, self.k), self.band[part]))
        elif bool(is_open.any()):
            limits[is_open] = self._calc_limits(bound_kth_largest(scores[is_open], self.k), self.band[part][is_open])
        if len(self.room) < scores.numel():
            self.room = make_room(scores.numel())
        rows, columns = find_above(scores, limits, self.room)
        counts = torch.bincount(rows, minlength=len(scores))
        crowded = (counts > self.capacity // 2).nonzero()[:, 0]
        if len(crowded):
            kth = find_kth_largest(scores[crowded], self.k)
            better = torch.maximum(limits[crowded], self._calc_limits(kth, self.band[part][crowded]))
            n_left = (scores[crowded] > better[:, None]).sum(1)
            limits[crowded] = better.masked_fill(n_left > self.capacity // 2, torch.inf)
        values = scores.view(-1).index_select(0, rows * scores.shape[1] + columns).to(self.scores.dtype)
        full = self.counts[part] + counts > self.capacity
        if bool(full.any()):
            self._rule_out(full.nonzero()[:, 0] + first_row)
            kept = values > limits[rows]
            rows, columns, values = rows[kept], columns[kept], values[kept]
            counts = torch.bincount(rows, minlength=len(scores))
        first_places = torch.arange(first_row, first_row + len(scores), device=rows.device) * self.capacity
        offsets = first_places + self.counts[part] - (counts.cumsum(0) - counts)
        places = torch.arange(len(rows), device=rows.device) + offsets.repeat_interleave(counts)
        self.scores.view(-1)[places] = values
        self.ids.view(-1)[places] = columns + start
        self.counts[part] += counts
        self.n_new += len(rows)
        if self.n_new > _REFRESH * self.k * len(self.counts):
            self._raise_limits()

    def _raise_limits(self) -> None:
        """Bring the limits up to the k-th best so far."""
        self.n_new = 0
        width = int(self.counts.max())
        kth = find_kth_largest(self.scores[:, :width], self.k)
        torch.maximum(self.limits, self._calc_limits(kth, self.band), out=self.limits)

    def give_up(self) -> None:
        """Give up all queries."""
        self.limits.fill_(torch.inf)
        self.ids.fill_(NO_ID)
        self.counts.zero_()

    def parts(self) -> Iterator[slice]:
        """Give the queries in parts that are worth looking at together."""
        return (slice(start, start + _PART) for start in range(0, len(self.counts), _PART))

    def best(self, part: slice) -> tuple[Tensor, Tensor]:
        """Give the ids of the k best by score of these queries, (n, k or more), `NO_ID` at the right; and the k-th."""
        width = max(1, int(self.counts[part].max()))
        scores = self.scores[part, :width]
        kth = find_kth_largest(scores, self.k)
        is_best = (scores >= kth[:, None]) & (scores > self.limits[part, None])
        return pack(self.ids[part, :width], is_best, NO_ID, self.k), kth

    def others(self, part: slice, limits: Tensor, kth: Tensor) -> Tensor:
        """Give the ids of these queries' candidates that score less than the k-th, and not less than the limits."""
        width = max(1, int(self.counts[part].max()))
        scores = self.scores[part, :width]
        kept = (scores >= limits[:, None]) & (scores < kth[:, None]) & (scores > self.limits[part, None])
        return pack(self.ids[part, :width], kept, NO_ID)

    def _calc_limits(self, kth: Tensor, band: Tensor) -> Tensor:
        """Give what a score has to be above, (q,): the k-th best and the score itself may have been rounded."""
        if not self.roundoff:
            return kth - band
        limits = kth - kth.abs() * self.roundoff - band
        return limits - limits.abs() * self.roundoff

    def _rule_out(self, rows: Tensor) -> None:
        """Drop the candidates of these queries that the k-th best rules out; afterwards half of the room is free."""
        width = int(self.counts[rows].max())
        scores, ids = self.scores[rows, :width], self.ids[rows, :width]
        kth = find_kth_largest(scores, self.k)
        limits = torch.maximum(self.limits[rows], self._calc_limits(kth, self.band[rows]))
        kept = scores > limits[:, None]
        counts = kept.sum(1)
        is_crowded = counts > self.capacity // 2
        self.limits[rows] = limits.masked_fill(is_crowded, torch.inf)
        kept &= ~is_crowded[:, None]
        counts = counts.masked_fill(is_crowded, 0)
        self.scores[rows, :width] = pack(scores, kept, -torch.inf, width)
        self.ids[rows, :width] = pack(ids, kept, NO_ID, width)
        self.counts[rows] = counts


def pack(values: Tensor, kept: Tensor, fill: float, least_width: int = 0) -> Tensor:
    """
    Move what is kept of each row to the left, (n, width), as wide as the fullest row or wider.

    Example:
        >>> pack(torch.tensor([[5, 6, 7]]), torch.tensor([[False, False, True]]), fill=-1, least_width=2)
        tensor([[ 7, -1]])

    """
    counts = kept.sum(1)
    width = max(least_width, int(counts.max()))
    is_left = torch.arange(width, device=counts.device) < counts[:, None]
    return values.new_full((len(values), width), fill).masked_scatter_(is_left, values.masked_select(kept))
