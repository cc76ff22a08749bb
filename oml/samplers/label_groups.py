"""Items grouped by their labels, for drawing some of each."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from oml.errors import check, show_some


class LabelGroups:
    """
    Positions of the items of each label, kept as one sorted array with offsets.

    Args:
        labels: Labels (N,): a list, an array, a tensor or a column of a table.

    Raises:
        InvalidInputError: the labels are not one-dimensional, are fractions, or there are none.

    Example:
        >>> groups = LabelGroups([7, 5, 7])
        >>> groups.values, groups.counts
        (array([5, 7]), array([1, 2]))

    """

    def __init__(self, labels: Sequence[int] | np.ndarray) -> None:
        array = _to_array(labels)
        check(array.ndim == 1, f"labels must be one-dimensional, got the shape {array.shape}.")
        check(len(array) > 0, "labels must not be empty: a sampler has nothing to draw from.")
        check(array.dtype.kind not in "fc", f"labels must be whole numbers, got {array.dtype}. Convert them first.")
        self._order = np.argsort(array, kind="stable")
        ordered = array[self._order]
        self._starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self.values: np.ndarray = ordered[self._starts]
        self.counts: np.ndarray = np.diff(np.append(self._starts, len(array)))

    def __len__(self) -> int:
        """Give the number of different labels."""
        return len(self.values)

    def check_no_singles(self) -> None:
        """
        Raise if a label has one item only, which then has no positive.

        Raises:
            InvalidInputError: naming these labels.

        """
        singles = self.values[self.counts < 2].tolist()
        check(
            not singles,
            f"Each label should contain at least 2 samples, but {len(singles)} of {len(self)} contain one: "
            f"{show_some(singles)}. Drop these labels, or add items to them.",
        )

    def get_items(self, group: int) -> np.ndarray:
        """Give the positions of all the items of a label, ascending, where `group` is its place in `values`."""
        start = self._starts[group]
        return self._order[start : start + self.counts[group]]

    def draw(self, group: int, n_instances: int, rng: np.random.Generator) -> np.ndarray:
        """
        Give positions of random items of a label (n_instances,), where `group` is the label's place in `values`.

        They differ if the label has enough items; otherwise each of its items is there once and the rest repeats.
        """
        start, count = self._starts[group], self.counts[group]
        places = rng.choice(count, size=min(n_instances, count), replace=False)
        if n_instances > count:
            places = np.concatenate([places, rng.integers(count, size=n_instances - count)])
        items: np.ndarray = self._order[start + places]
        return items


def _to_array(labels: Any) -> np.ndarray:
    # a tensor may live on an accelerator
    return np.asarray(labels.cpu() if hasattr(labels, "cpu") else labels)
