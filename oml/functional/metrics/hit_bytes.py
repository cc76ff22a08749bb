"""
Sums over the hits among the first answers, eight answers at a time.

A byte holds whether each of eight answers is relevant; what it adds to a sum is read from a table of 256 values. This
takes a few passes over Q x K / 8 bytes, however many hits there are: ten times less than cumulative sums over Q x K.
It is done by numpy, for results on a GPU too (only the bytes move): operations this short do not gain from threads,
and lose a lot where other processes keep the cores busy.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(np.float64)


def pack_bytes(is_hit: Tensor) -> np.ndarray:
    """
    Give eight answers per byte, the first in the lowest bit, uint8 (ceil(K / 8), Q), for bool (Q, K).

    Example:
        >>> pack_bytes(torch.tensor([[True, False, True], [False, True, False]]))
        array([[5, 2]], dtype=uint8)

    """
    if is_hit.is_cuda:
        n_queries, width = is_hit.shape
        padded = torch.nn.functional.pad(is_hit, (0, -width % 8)).view(n_queries, (width + 7) // 8, 8)
        powers = 2 ** torch.arange(8, device=is_hit.device)
        packed = (padded * powers).sum(-1).to(torch.uint8).cpu().numpy()
    else:
        packed = np.packbits(is_hit.cpu().numpy(), axis=1, bitorder="little")
    return np.ascontiguousarray(packed.T)


def sum_weights(codes: np.ndarray, weights: np.ndarray, top_k: Sequence[int]) -> list[np.ndarray]:
    """
    Give the sum over the hits among the first k answers of the weights of their ranks, for each k, float64 (Q,).

    Args:
        codes: hits as `pack_bytes` gives them, (ceil(K / 8), Q).
        weights: (8 * ceil(K / 8),) or more.
        top_k: cut-offs, in any order; beyond K there are no hits.

    Example:
        >>> sum_weights(pack_bytes(torch.tensor([[True, False, True]])), np.ones(8), (1, 3))
        [array([1.]), array([2.])]

    """
    ends = [min(k, 8 * len(codes)) for k in top_k]
    total = np.zeros(codes.shape[1])
    sums = {0: total.copy()}
    for start, end, bits in _list_parts(ends):
        total += (bits @ weights[start:end]).take(codes[start // 8])
        if end in ends:
            sums[end] = total.copy()
    return [sums[end] for end in ends]


def sum_precisions(codes: np.ndarray, top_k: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """
    Give, for each k, the number of hits among the first k, and the sum over them of hits so far / rank, float64 (Q,).

    Args:
        codes: hits as `pack_bytes` gives them, (ceil(K / 8), Q).
        top_k: cut-offs, in any order; beyond K there are no hits.

    Example:
        >>> sum_precisions(pack_bytes(torch.tensor([[False, True, True, True]])), (2,))
        [(array([1.]), array([0.5]))]

    """
    ends = [min(k, 8 * len(codes)) for k in top_k]
    n_found, total = np.zeros(codes.shape[1]), np.zeros(codes.shape[1])
    sums = {0: (n_found.copy(), total.copy())}
    for start, end, bits in _list_parts(ends):
        shares = 1 / np.arange(start + 1, end + 1)
        of_part = codes[start // 8]
        # a hit counts those of the part up to itself, and those before the part
        total += (bits * bits.cumsum(1) @ shares).take(of_part)
        total += n_found * (bits @ shares).take(of_part)
        n_found += bits.sum(1).take(of_part)
        if end in ends:
            sums[end] = n_found.copy(), total.copy()
    return [sums[end] for end in ends]


def _list_parts(ends: Sequence[int]) -> Iterator[tuple[int, int, np.ndarray]]:
    """Give ranges of ranks, none across bytes, up to each end, and the bits of their ranks in each code, float64."""
    for start, end in pairwise(sorted({0, *ends, *range(0, max(ends), 8)})):
        yield start, end, _BITS[:, start % 8 : start % 8 + end - start]
