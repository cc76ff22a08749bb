"""Items that are the same, or nearly the same, on both sides of the border between training and validation."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

N_BITS = 128
MAX_DIFFERENT_BITS = 10  # of pictures resized and compressed anew; different ones differ in 40 and more
MIN_SET_BITS = 12  # of fewer, a picture is nearly flat, and looks like all other flat ones
BLOCK = 200_000  # pairs compared at once: they stay in the cache


def find_equal(keys: np.ndarray, other_keys: np.ndarray) -> np.ndarray:
    """
    Give for each key the position of an equal one among the others, or -1, (N,).

    Args:
        keys: (N,) or (N, C).
        other_keys: (M,) or (M, C).

    Example:
        >>> find_equal(np.array([5, 6, 7]), np.array([7, 5])).tolist()
        [1, -1, 0]

    """
    if not len(keys) or not len(other_keys):
        return np.full(len(keys), -1, dtype=np.int64)
    codes = number_rows(np.concatenate([keys, other_keys]))
    positions = np.full(codes.max() + 1, -1, dtype=np.int64)
    positions[codes[len(keys) :]] = np.arange(len(other_keys))
    return np.asarray(positions[codes[: len(keys)]])


def number_rows(rows: Any) -> np.ndarray:
    """
    Give a number for each row of an array (N,) or (N, C) or a frame, the same for equal rows, (N,).

    Example:
        >>> number_rows([[5, 6], [7, 6], [5, 6]]).tolist()
        [0, 1, 0]

    """
    frame = pd.DataFrame(rows)  # by hashing, which takes a fraction of the time of sorting
    numbers: np.ndarray = frame.groupby(list(frame.columns), dropna=False, sort=False).ngroup().to_numpy()
    return numbers


def find_similar(looks: np.ndarray, other_looks: np.ndarray) -> np.ndarray:
    """
    Give for each hash of looks the position of one among the others that differs in few bits, or -1, (N,).

    Hashes that differ in at most n bits agree completely in one of n + 1 groups of bits, so only those that do are
    compared. Nearly flat pictures are left out.

    Args:
        looks: (N, 2), uint64.
        other_looks: (M, 2), uint64.

    """
    found = np.full(len(looks), -1, dtype=np.int64)
    own, others = (np.flatnonzero(_count_bits(x) >= MIN_SET_BITS) for x in (looks, other_looks))
    for own_keys, other_keys in _take_groups(looks[own], other_looks[others]):
        is_open = found[own] < 0  # one is enough
        order = np.argsort(own_keys[is_open], kind="stable")  # neighbours are compared with the same others, in cache
        rows, places = own[is_open][order], others[np.argsort(other_keys, kind="stable")]
        n_equal = np.bincount(other_keys, minlength=2**16)
        first, counts = (np.cumsum(n_equal) - n_equal)[own_keys[is_open][order]], n_equal[own_keys[is_open][order]]
        words, other_words = looks[rows].T.copy(), other_looks[places].T.copy()
        ends = np.cumsum(counts)
        start = 0
        while start < len(rows):
            done = ends[start - 1] if start else 0
            stop = max(int(np.searchsorted(ends, done + BLOCK, side="right")), start + 1)
            n = counts[start:stop]
            theirs = np.arange(n.sum()) + np.repeat(first[start:stop] - (np.cumsum(n) - n), n)
            different = np.repeat(words[0, start:stop], n) ^ other_words[0, theirs]
            near = np.flatnonzero(_count_bits(different[:, None]) <= MAX_DIFFERENT_BITS)  # few are asked about the rest
            mine, theirs = np.repeat(np.arange(start, stop), n)[near], theirs[near]
            different = words[:, mine] ^ other_words[:, theirs]
            is_near = _count_bits(different.T) <= MAX_DIFFERENT_BITS
            found[rows[mine[is_near]]] = places[theirs[is_near]]
            start = stop
    return found


def _take_groups(looks: np.ndarray, others: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give groups of bits of both as integers, one group after another; no bit is in two groups."""
    n_groups = MAX_DIFFERENT_BITS + 1
    for word, n in enumerate((n_groups - n_groups // 2, n_groups // 2)):
        for i in range(n):
            low, high = N_BITS // 2 * i // n, N_BITS // 2 * (i + 1) // n
            shift, mask = np.uint64(low), np.uint64(2 ** (high - low) - 1)
            own_keys, other_keys = (((x[:, word] >> shift) & mask).astype(np.uint16) for x in (looks, others))
            yield own_keys, other_keys


def _count_bits(looks: np.ndarray) -> np.ndarray:
    if hasattr(np, "bitwise_count"):  # since numpy 2
        return np.asarray(sum(np.bitwise_count(looks).T))  # numpy's own sum of short rows is slow
    return np.asarray(np.unpackbits(np.ascontiguousarray(looks).view(np.uint8), axis=1).sum(axis=1, dtype=np.int64))
