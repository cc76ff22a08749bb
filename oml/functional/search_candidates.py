"""The candidates of a block of queries: what the scores seen so far leave possible as an answer."""

import numpy as np
import torch
from torch import Tensor

from oml.functional.search_exact import NO_ID

_SPARE = 64  # room beyond a multiple of k
_WORD = 8  # marks looked at together


def get_capacity(k: int) -> int:
    """Give the number of candidates that are held per query; half of it may be in doubt at the end."""
    return 4 * k + _SPARE


class Candidates:
    """
    Scores (the larger the better) and ids of the galleries that may be among the k best of each query.

    Everything that scores at most the k-th best seen, less the `band` (twice the bound of the error of a score), is
    ruled out, most of it by one comparison before anything is selected. Queries with more candidates than there is room
    for, because of many equal or nearly equal distances, are given up: `is_given_up` marks them.
    """

    def __init__(self, n_queries: int, k: int, capacity: int, band: Tensor):
        self.k, self.capacity, self.band = k, capacity, band
        self.scores = torch.full((n_queries, capacity), -torch.inf, dtype=band.dtype, device=band.device)
        self.ids = torch.full((n_queries, capacity), NO_ID, dtype=torch.int64, device=band.device)
        self.counts = torch.zeros(n_queries, dtype=torch.int64, device=band.device)
        self.limits = torch.full((n_queries,), -torch.inf, dtype=band.dtype, device=band.device)

    @property
    def is_given_up(self) -> Tensor:
        """Tell which queries are given up, (q,)."""
        return self.limits == torch.inf

    def add(self, scores: Tensor, start: int, first_row: int = 0) -> None:
        """
        Take what may be an answer out of the scores (q, g) of the galleries that begin with `start`.

        Args:
            scores: of a run of the queries; minus infinity for what is no answer.
            start: id of the first gallery.
            first_row: the first of the queries.

        """
        part = slice(first_row, first_row + len(scores))
        limits = self.limits[part]  # a view: raising it raises the limits
        is_open = limits == -torch.inf
        if bool(is_open.all()):
            limits.copy_(_bound_kth_largest(scores, self.k) - self.band[part])
        elif bool(is_open.any()):
            limits[is_open] = _bound_kth_largest(scores[is_open], self.k) - self.band[part][is_open]
        rows, columns = find_above(scores, limits)
        counts = torch.bincount(rows, minlength=len(scores))
        crowded = (counts > self.capacity // 2).nonzero()[:, 0]
        if len(crowded):
            kth = _find_kth_largest(scores[crowded], self.k)
            better = torch.maximum(limits[crowded], kth - self.band[part][crowded])
            n_left = (scores[crowded] > better[:, None]).sum(1)
            limits[crowded] = better.masked_fill(n_left > self.capacity // 2, torch.inf)
        values = scores.flatten()[rows * scores.shape[1] + columns]
        full = self.counts[part] + counts > self.capacity
        if bool(full.any()):
            self._rule_out(full.nonzero()[:, 0] + first_row)
            kept = values > limits[rows]
            rows, columns, values = rows[kept], columns[kept], values[kept]
            counts = torch.bincount(rows, minlength=len(scores))
        ranks = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts - self.counts[part])[rows]
        places = (rows + first_row) * self.capacity + ranks
        self.scores.view(-1)[places] = values
        self.ids.view(-1)[places] = columns + start
        self.counts[part] += counts

    def finish(self) -> None:
        """Rule out all that can be, once everything has been added."""
        for rows in torch.arange(len(self.counts), device=self.counts.device).split(1024):
            self._rule_out(rows)

    def _rule_out(self, rows: Tensor) -> None:
        """Drop the candidates of these queries that the k-th best rules out; afterwards half of the room is free."""
        width = int(self.counts[rows].max())
        scores, ids = self.scores[rows, :width], self.ids[rows, :width]
        limits = torch.maximum(self.limits[rows], _find_kth_largest(scores, self.k) - self.band[rows])
        kept = scores > limits[:, None]
        counts = kept.sum(1)
        is_crowded = counts > self.capacity // 2
        self.limits[rows] = limits.masked_fill(is_crowded, torch.inf)
        kept &= ~is_crowded[:, None]
        counts = counts.masked_fill(is_crowded, 0)
        places, columns = kept.nonzero().unbind(1)
        ranks = torch.arange(len(places), device=rows.device) - (counts.cumsum(0) - counts)[places]
        self.scores[rows, :width] = -torch.inf
        self.ids[rows, :width] = NO_ID
        self.scores[rows[places], ranks] = scores[places, columns]
        self.ids[rows[places], ranks] = ids[places, columns]
        self.counts[rows] = counts


def find_above(scores: Tensor, limits: Tensor) -> tuple[Tensor, Tensor]:
    """
    Give the rows and columns of the scores (q, g) above the limit of their row, (q,), row by row.

    Example:
        >>> find_above(torch.tensor([[1.0, 5.0], [2.0, 3.0]]), torch.tensor([4.0, 2.5]))
        (tensor([0, 1]), tensor([1, 1]))

    """
    width = scores.shape[1]
    if scores.device.type != "cpu" or width % _WORD or not scores.is_contiguous():
        return (scores > limits[:, None]).nonzero().unbind(1)  # type: ignore[return-value]
    # numpy compares several times as fast as torch here, and few of the words of eight marks hold any
    marks = np.greater(scores.numpy(), limits.numpy()[:, None])
    words = torch.from_numpy(np.flatnonzero(marks.view(np.int64) != 0))
    inside = torch.from_numpy(marks).view(-1, _WORD)[words]
    of_word, column = inside.nonzero().unbind(1)
    places = words[of_word] * _WORD + column
    rows = places // width
    return rows, places - rows * width


def _bound_kth_largest(scores: Tensor, k: int) -> Tensor:
    """
    Give a number that is at most the k-th largest of each row, (q,), and near it, at a fraction of its cost.

    The k-th largest of the maxima of groups is such a number: k groups hold at least k scores that are no smaller.
    """
    n_groups = 4 * k
    size = scores.shape[1] // n_groups
    if size < 2:
        return _find_kth_largest(scores, k)
    groups = scores[:, : size * n_groups].unflatten(1, (size, n_groups)).amax(1)
    return _find_kth_largest(groups, k)


def _find_kth_largest(scores: Tensor, k: int) -> Tensor:
    n = scores.shape[1]
    if n < k:
        return scores.new_full((len(scores),), -torch.inf)
    if scores.device.type != "cpu":
        return scores.topk(k, dim=1).values[:, -1]
    return torch.from_numpy(np.partition(scores.numpy(), n - k, axis=1)[:, n - k].copy())
