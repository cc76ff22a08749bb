"""How sure a mean is: bootstrap intervals and permutation tests, in bounded memory."""

from collections.abc import Iterator

import numpy as np

_BLOCK = 2**20  # random numbers held at once


def calc_bootstrap_interval(
    sums: np.ndarray, sizes: np.ndarray, n_boot: int, rng: np.random.Generator, level: float = 0.95
) -> np.ndarray:
    """
    Give percentile intervals of means over units drawn with replacement, float64 (2, M): the lower and the upper ends.

    A unit is a query, or all queries of a label: where queries of a label resemble one another, only labels are
    independent draws. The mean of a draw is the sum over its units divided by their size (Efron, Tibshirani: An
    Introduction to the Bootstrap, 1993, section 13.3; Field, Welsh: Bootstrapping clustered data, JRSS B 2007). Counts
    of how often each unit was drawn stand for the draws: no values are copied. With less than two units the ends are
    NaN.

    Args:
        sums: sum of M quantities over each unit, (n, M).
        sizes: number of values in each unit, (n,).
        n_boot: number of draws.
        rng: source of randomness.
        level: share of the draws' means within the interval.

    Example:
        >>> values = np.arange(100.0)[:, None]
        >>> calc_bootstrap_interval(values, np.ones(100), 1000, np.random.default_rng(0)).round(0)
        array([[44.],
               [55.]])

    """
    n, n_metrics = sums.shape
    if n < 2:
        return np.full((2, n_metrics), np.nan)
    means = np.empty((n_boot, n_metrics))
    for part in _list_blocks(n_boot, n):
        n_draws = part.stop - part.start
        # the draws of each row get numbers of their own, so that all are counted at once
        drawn = rng.integers(0, n, (n_draws, n)) + n * np.arange(n_draws)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=n_draws * n).reshape(n_draws, n).astype(np.float64)
        means[part] = (counts @ sums) / (counts @ sizes)[:, None]
    tail = (1 - level) / 2
    return np.quantile(means, (tail, 1 - tail), axis=0)


def calc_sign_flip_p_value(differences: np.ndarray, n_permutations: int, rng: np.random.Generator) -> float:
    """
    Give the two-sided p-value of paired differences whose signs are exchangeable if nothing differs.

    It is the share of assignments of signs for which the sum is as far from 0 as the one seen or farther. All of them
    are tried if there are no more than `n_permutations`, else so many random ones, with the one seen among them, so
    that the test holds its level (Phipson, Smyth: Permutation p-values should never be zero, 2010).

    Args:
        differences: one per unit, (n,).
        n_permutations: number of assignments.
        rng: source of randomness.

    Example:
        >>> calc_sign_flip_p_value(np.array([1.0, 2.0, 0.0, 3.0]), 1000, np.random.default_rng(0))
        0.25

    """
    values = differences[differences != 0]  # a 0 adds nothing whatever its sign
    n, total = len(values), values.sum()
    seen = abs(total) - 1e-9 * np.abs(values).sum()  # the order of a sum changes its last digits
    is_exact = n < 63 and 2**n <= n_permutations
    n_tried = 2**n if is_exact else n_permutations
    n_as_far = 0
    for part in _list_blocks(n_tried, n):
        if is_exact:
            are_kept = (np.arange(part.start, part.stop)[:, None] >> np.arange(n) & 1).astype(np.float64)
        else:
            drawn = rng.integers(0, 256, (part.stop - part.start, (n + 7) // 8), dtype=np.uint8)
            are_kept = np.unpackbits(drawn, axis=1, count=n).astype(np.float64)
        n_as_far += int((np.abs(2 * (are_kept @ values) - total) >= seen).sum())
    return float(n_as_far / n_tried if is_exact else (n_as_far + 1) / (n_tried + 1))


def _list_blocks(n_rows: int, width: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(1, width))
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))
