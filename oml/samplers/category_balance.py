"""Batches with the same number of labels of each of several categories."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from oml.samplers.category_groups import CategoryGroups
from oml.samplers.resumable import ResumableBatchSampler, make_generator


class CategoryBalanceSampler(ResumableBatchSampler):
    """
    Gives batches of `n_categories` categories with `n_labels` labels of each and `n_instances` items of each label.

    Each batch is drawn on its own, so labels may come again within an epoch; `DistinctCategoryBalanceSampler` avoids
    that. An epoch has `number of labels / n_labels` batches, rounded up. Labels of a category and items of a label are
    drawn without repetition if there are enough of them; otherwise all of them are there and some repeat. Batches are
    formed one by one, when asked for. What categories are called has no influence on what is drawn.

    Args:
        labels: Labels (N,) of the items: a list, an array, a tensor or a column of a table.
        label2category: The category of each label; anything hashable.
        n_categories: Categories in a batch. By default 2, or the one there is.
        n_labels: Labels of each category in a batch, at least 2. By default 8, or what the smallest category has.
        n_instances: Items of each label in a batch, at least 2.
        resample_labels: Let labels repeat in a batch where a category has fewer than `n_labels`.
        weight_categories: Draw a category as often as it has labels, rather than each equally often.
        seed: Makes epoch e the same in each run. By default each epoch takes a number from numpy's global generator.

    Raises:
        TypeError: a size is no whole number.
        InvalidInputError: a size is out of range; a label has no category or one item only; `label2category` has
            labels that no item has; a category has too few labels, unless they may repeat.

    Example:
        >>> labels, label2category = [0, 0, 1, 1, 2, 2, 3, 3], {0: "cat", 1: "cat", 2: "dog", 3: "dog"}
        >>> sampler = CategoryBalanceSampler(labels, label2category, 1, n_labels=2, n_instances=2, seed=0)
        >>> len(sampler), sampler.batch_size, [sorted(batch) for batch in sampler]
        (2, 4, [[4, 5, 6, 7], [4, 5, 6, 7]])

    """

    def __init__(
        self,
        labels: Sequence[int] | np.ndarray,
        label2category: Mapping[Any, Hashable],
        n_categories: int | None = None,
        n_labels: int | None = None,
        n_instances: int = 4,
        resample_labels: bool = False,
        weight_categories: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self._groups = CategoryGroups(labels, label2category, n_categories, n_labels, n_instances, resample_labels)
        self.resample_labels = resample_labels
        self.weight_categories = weight_categories

    @property
    def batch_size(self) -> int:
        """Give the number of items in a batch."""
        return self._groups.batch_size

    def __len__(self) -> int:
        """Give the number of batches in an epoch."""
        return math.ceil(len(self._groups.labels) / self._groups.n_labels)

    def _iterate(self, epoch_seed: list[int], start: int) -> Iterator[list[int]]:
        groups = self._groups
        shares = groups.sizes / groups.sizes.sum() if self.weight_categories else None
        for number in range(start, len(self)):
            # a generator of its own lets a resumed epoch start at any batch
            rng = make_generator(epoch_seed, number)
            categories = rng.choice(len(groups), size=groups.n_categories, replace=False, p=shares)
            yield groups.draw_items([groups.draw_labels(category, rng) for category in categories], rng)
