"""Batches with the same number of items of each of several labels."""

from collections.abc import Iterator, Sequence
from numbers import Integral

import numpy as np

from oml.errors import check
from oml.samplers.label_groups import LabelGroups
from oml.samplers.resumable import ResumableBatchSampler, make_generator

DEFAULT_N_LABELS = 16


class BalanceSampler(ResumableBatchSampler):
    """
    Gives batches of `n_labels` labels with `n_instances` items of each.

    A label occurs in one batch of an epoch at most. An epoch has `number of labels // n_labels` batches, and the labels
    that do not fill a batch wait for another epoch.
    The items of a label are drawn without repetition if it has enough of them; otherwise all of them are there and some
    repeat. Batches are formed one by one, when asked for.

    Args:
        labels: Labels (N,) of the items: a list, an array, a tensor or a column of a table.
        n_labels: Labels in a batch, at least 2. By default 16, or all if there are fewer.
        n_instances: Items of each label in a batch, at least 2.
        seed: Makes epoch e the same in each run. By default each epoch takes a number from numpy's global generator.

    Raises:
        InvalidInputError: a size is no whole number or out of range, or a label has one item only.

    Example:
        >>> sampler = BalanceSampler([0, 0, 1, 1, 2, 2], n_labels=2, n_instances=2, seed=0)
        >>> len(sampler), sampler.batch_size, [sorted(batch) for batch in sampler]
        (1, 4, [[0, 1, 2, 3]])

    """

    def __init__(
        self,
        labels: Sequence[int] | np.ndarray,
        n_labels: int | None = None,
        n_instances: int = 4,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self._groups = LabelGroups(labels)
        n_known = len(self._groups)
        if n_labels is None:
            n_labels = min(DEFAULT_N_LABELS, n_known)
        for name, size in (("n_labels", n_labels), ("n_instances", n_instances)):
            check(
                isinstance(size, Integral) and not isinstance(size, bool),
                f"{name} must be a whole number, got {size!r} of the type {type(size).__name__}.",
            )
        check(
            1 < n_labels <= n_known,
            f"n_labels must be above 1 and at most the number of different labels, which is {n_known}, got {n_labels}.",
        )
        check(n_instances > 1, f"n_instances must be above 1, so that each item has a positive, got {n_instances}.")
        self._groups.check_no_singles()
        self.n_labels = int(n_labels)
        self.n_instances = int(n_instances)

    @property
    def batch_size(self) -> int:
        """Give the number of items in a batch."""
        return self.n_labels * self.n_instances

    def __len__(self) -> int:
        """Give the number of batches in an epoch."""
        return len(self._groups) // self.n_labels

    def _iterate(self, epoch_seed: list[int], start: int) -> Iterator[list[int]]:
        shuffled = make_generator(epoch_seed, 0).permutation(len(self._groups))
        for number in range(start, len(self)):
            # a generator of its own lets a resumed epoch start at any batch
            rng = make_generator(epoch_seed, 1, number)
            groups = shuffled[number * self.n_labels : (number + 1) * self.n_labels]
            items = [self._groups.draw(group, self.n_instances, rng) for group in groups]
            yield np.concatenate(items).tolist()
