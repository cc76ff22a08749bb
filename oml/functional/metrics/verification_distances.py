"""What is kept of the distances of pairs: all of them, sorted, or how many fall into narrow bins."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from oml.errors import check
from oml.functional.metrics.verification import Rate, VerificationCurve
from oml.functional.metrics.verification_pairs import Pairs
from oml.functional.relevance import count_relevant

N_BINS = 2**16  # at least so many up to the largest distance
_EXACT_BLOCK = 512, 2048
_BLOCK = 1024, 4096  # large enough for a fast product
_BYTES_PER_PAIR = 24  # of a block: float32 distances, what is compared with them, bins as int32 and as int64
_LEAST_MEMORY = 2**23


@dataclass(frozen=True)
class SortedDistances:
    """All distances, float32, ascending: of pairs that match, and of those that do not."""

    pos: np.ndarray
    neg: np.ndarray
    bin_width: float = 0.0

    @property
    def n_pos(self) -> int:
        """Number of pairs that match."""
        return len(self.pos)

    @property
    def n_neg(self) -> int:
        """Number of pairs that do not."""
        return len(self.neg)

    def make_curve(self) -> VerificationCurve:
        """Give all corners: each distance of the smaller set, and the last one of the other set before it."""
        few, many = (self.pos, self.neg) if self.n_pos <= self.n_neg else (self.neg, self.pos)
        few = np.unique(few)
        before = np.searchsorted(many, few)
        thresholds = np.unique(np.concatenate([few, many[before[before > 0] - 1], many[-1:]]))
        counts = [np.searchsorted(values, thresholds, side="right") for values in (self.pos, self.neg)]
        return VerificationCurve(
            np.append(-np.inf, thresholds), np.append(0, counts[0]), np.append(0, counts[1]), is_exact=True
        )

    def calc_fnmr(self, fmr_vals: Sequence[float], n_each: int = 1) -> list[Rate]:
        """Give what `calc_fnmr_at_fmr` defines, as if each distance occurred `n_each` times."""
        found = []
        for fmr in fmr_vals:
            place = fmr * (n_each * self.n_neg - 1)
            low, high = (float(self.neg[int(k) // n_each]) for k in (np.floor(place), np.ceil(place)))
            threshold = low + (high - low) * (place - np.floor(place))
            value = float(1 - np.searchsorted(self.pos, threshold) / self.n_pos)
            found.append(Rate(value, threshold, value, value))
        return found


@dataclass(frozen=True)
class BinnedDistances:
    """Numbers of distances in bins, bin i from `i * bin_width` up to but without the next one: int64 (n_bins,)."""

    pos: np.ndarray
    neg: np.ndarray
    bin_width: float

    @property
    def n_pos(self) -> int:
        """Number of pairs that match."""
        return int(self.pos.sum())

    @property
    def n_neg(self) -> int:
        """Number of pairs that do not."""
        return int(self.neg.sum())

    def make_curve(self) -> VerificationCurve:
        """Give the points at the ends of the bins that are not empty."""
        filled = np.flatnonzero(self.pos + self.neg)
        # the end itself is in the next bin; distances are float32
        ends = np.nextafter(((filled + 1) * self.bin_width).astype(np.float32), np.float32(0))
        n_pos, n_neg = (np.append(0, values[filled].cumsum()) for values in (self.pos, self.neg))
        return VerificationCurve(np.append(-np.inf, ends), n_pos, n_neg, is_exact=False)

    def calc_fnmr(self, fmr_vals: Sequence[float], n_each: int = 1) -> list[Rate]:
        """Give what `calc_fnmr_at_fmr` defines, up to the bins that hold the quantile; the middle of its bounds."""
        found = []
        pos, neg = self.pos.cumsum(), self.neg.cumsum()
        for fmr in fmr_vals:
            place = fmr * (n_each * self.n_neg - 1)
            ranks = [int(np.floor(place)) // n_each, int(np.ceil(place)) // n_each]
            first, last = (int(i) for i in np.searchsorted(neg, ranks, side="right"))
            # of the matching pairs in these bins it is not known on which side of the quantile they are
            low = 1 - int(pos[last]) / int(pos[-1])
            high = 1 - (int(pos[first - 1]) if first else 0) / int(pos[-1])
            threshold = (first + last + 1) / 2 * self.bin_width
            found.append(Rate((low + high) / 2, threshold, low, high))
        return found


def collect_distances(pairs: Pairs, max_memory: int) -> SortedDistances | BinnedDistances:
    """
    Give all distances if they fit into the memory, sorted; how many fall into each bin otherwise.

    Args:
        pairs: what to compare.
        max_memory: bytes, beyond the input, 8 MiB at least.

    Raises:
        InvalidInputError: too little memory.

    """
    check(max_memory >= _LEAST_MEMORY, f"`max_memory` must be at least {_LEAST_MEMORY} bytes, got {max_memory}.")
    n_pairs = pairs.count_at_most()
    n_matching = int(count_relevant(*pairs.labels).sum())
    fewest = min(n_matching, max(0, n_pairs - n_matching)) + 1
    rows, columns = _EXACT_BLOCK
    fits = 12 * n_pairs + 64 * fewest + 40 * rows * columns <= max_memory
    return _sort(pairs) if fits else _count(pairs, max_memory)


def _sort(pairs: Pairs) -> SortedDistances:
    neg, n_neg, pos = np.empty(pairs.count_at_most(), dtype=np.float32), 0, [np.empty(0, dtype=np.float32)]
    for distances, matching in pairs.split(*_EXACT_BLOCK, dtype=torch.float64):
        flat = distances.view(-1)
        of_matching = flat[matching]
        pos.append(of_matching[of_matching.isfinite()].float().cpu().numpy())
        flat[matching] = torch.inf
        others = flat[flat.isfinite()].float().cpu().numpy()
        neg[n_neg : n_neg + len(others)] = others
        n_neg += len(others)
    all_pos, neg = np.concatenate(pos), neg[:n_neg]
    for values in (all_pos, neg):
        values.sort()
    return SortedDistances(all_pos, neg)


def _count(pairs: Pairs, max_memory: int) -> BinnedDistances:
    largest = pairs.calc_largest_distance() * 1.001 or 1.0
    # a power of 2: dividing by it rounds nothing, so that the ends of the bins are what they are said to be
    width = 2.0 ** np.floor(np.log2(largest / N_BINS))
    n_bins = int(largest / width) + 2  # the last one takes the pairs that do not count
    total, matched = (np.zeros(n_bins, dtype=np.int64) for _ in range(2))
    is_double = "float64" in str(pairs.queries.dtype) + str(pairs.galleries.dtype)
    rows, columns = _BLOCK
    while rows * columns * _BYTES_PER_PAIR * (1 + is_double) > max_memory // 2:
        rows, columns = (rows, columns // 2) if columns > rows else (rows // 2, columns)
    for distances, matching in pairs.split(rows, columns, dtype=torch.float64 if is_double else torch.float32):
        bins = distances.float().mul_(1 / width).clamp_(max=n_bins - 1).int().view(-1)
        total += _count_bins(bins, n_bins)
        matched += _count_bins(bins[matching], n_bins)
    return BinnedDistances(matched[:-1], (total - matched)[:-1], width)


def _count_bins(bins: torch.Tensor, n_bins: int) -> np.ndarray:
    if bins.is_cuda:
        return torch.bincount(bins, minlength=n_bins).cpu().numpy()
    return np.bincount(bins.numpy(), minlength=n_bins)
