"""Items that are the same, or nearly the same, on both sides of the border between training and validation."""

from collections.abc import Iterator

import numpy as np

N_BITS = 128
MAX_DIFFERENT_BITS = 10  # of pictures resized and compressed anew; different ones differ in 40 and more
MIN_SET_BITS = 12  # of fewer, a picture is nearly flat, and looks like all other flat ones
BLOCK = 4_000_000  # pairs compared at once


def find_equal(keys: np.ndarray, other_keys: np.ndarray) -> np.ndarray:
    """
    Give for each key the position of an equal one among the others, or -1, (N,).

    Args:
        keys: (N,) or (N, C), integers or texts.
        other_keys: (M,) or (M, C).

    Example:
        >>> find_equal(np.array([5, 6, 7]), np.array([7, 5])).tolist()
        [1, -1, 0]

    """
    if not len(keys) or not len(other_keys):
        return np.full(len(keys), -1, dtype=np.int64)
    _, codes = np.unique(np.concatenate([keys, other_keys]), axis=0, return_inverse=True)
    codes = codes.reshape(-1)
    positions = np.full(codes.max() + 1, -1, dtype=np.int64)
    positions[codes[len(keys) :]] = np.arange(len(other_keys))
    return positions[codes[: len(keys)]]


def find_similar(looks: np.ndarray, other_looks: np.ndarray, max_bits: int = MAX_DIFFERENT_BITS) -> np.ndarray:
    """
    Give for each hash of looks the position of one among the others that differs in few bits, or -1, (N,).

    Hashes that differ in at most `max_bits` of their bits agree completely in one of `max_bits + 1` groups of bits, so
    only those that do are compared. Nearly flat pictures are left out.

    Args:
        looks: (N, 2), uint64.
        other_looks: (M, 2), uint64.
        max_bits: How many of the 128 bits may differ.

    """
    found = np.full(len(looks), -1, dtype=np.int64)
    own, others = (np.flatnonzero(_count_bits(x) >= MIN_SET_BITS) for x in (looks, other_looks))
    for own_keys, other_keys in _take_groups(looks[own], other_looks[others], max_bits + 1):
        order = np.argsort(other_keys, kind="stable")
        first = np.searchsorted(other_keys[order], own_keys)
        counts = np.searchsorted(other_keys[order], own_keys, side="right") - first
        counts[found[own] >= 0] = 0  # one is enough
        ends = np.cumsum(counts)
        start = 0
        while start < len(own):
            done = ends[start - 1] if start else 0
            stop = max(int(np.searchsorted(ends, done + BLOCK, side="right")), start + 1)
            n = counts[start:stop]
            rows = np.repeat(np.arange(start, stop), n)
            ranks = np.arange(len(rows)) - np.repeat(np.cumsum(n) - n, n)
            places = order[first[rows] + ranks]
            is_near = _count_bits(looks[own[rows]] ^ other_looks[others[places]]) <= max_bits
            found[own[rows[is_near]]] = others[places[is_near]]
            start = stop
    return found


def _take_groups(looks: np.ndarray, others: np.ndarray, n_groups: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the groups of bits of both as integers, one group after another."""
    bits, other_bits = (np.unpackbits(np.ascontiguousarray(x).view(np.uint8), axis=1) for x in (looks, others))
    for places in np.array_split(np.arange(N_BITS), n_groups):
        powers = 1 << np.arange(len(places), dtype=np.int64)
        yield bits[:, places] @ powers, other_bits[:, places] @ powers


def _count_bits(looks: np.ndarray) -> np.ndarray:
    if hasattr(np, "bitwise_count"):  # since numpy 2
        return np.asarray(np.bitwise_count(looks).sum(axis=1, dtype=np.int64))
    return np.asarray(np.unpackbits(np.ascontiguousarray(looks).view(np.uint8), axis=1).sum(axis=1, dtype=np.int64))
