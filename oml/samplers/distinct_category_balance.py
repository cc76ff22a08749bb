"""Batches with the same number of labels of each of several categories, labels not coming again too soon."""

import itertools
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from oml.samplers.category_groups import CategoryGroups, check_size
from oml.samplers.resumable import ResumableBatchSampler, make_generator


class DistinctCategoryBalanceSampler(ResumableBatchSampler):
    """
    Gives batches of `n_categories` categories with `n_labels` labels of each, using up labels before they come again.

    Categories are drawn equally often among those that have labels left. When a category has fewer labels left than
    `n_labels`, all these come together with random ones of its labels that were used. As soon as fewer categories than
    `n_categories` have labels left, all labels are available again; so they are at the start of each epoch. No label
    occurs twice in a batch. Items of a label are drawn without repetition if there are enough of them; otherwise all of
    them are there and some repeat. Batches are formed one by one, when asked for; going on in the middle of an epoch
    draws the categories of the batches before again, some 10 microseconds for each.

    Args:
        labels: Labels (N,) of the items: a list, an array, a tensor or a column of a table.
        label2category: The category of each label; anything hashable.
        n_categories: Categories in a batch. By default 2, or the one there is.
        n_labels: Labels of each category in a batch, at least 2. By default 8, or what the smallest category has.
        n_instances: Items of each label in a batch, at least 2.
        epoch_size: Batches in an epoch. By default so many that they have room for each label once.
        seed: Makes epoch e the same in each run. By default each epoch takes a number from numpy's global generator.

    Raises:
        TypeError: a size is no whole number.
        InvalidInputError: a size is out of range; a label has no category or one item only; `label2category` has
            labels that no item has; a category has too few labels.

    Example:
        >>> labels, label2category = [0, 0, 1, 1, 2, 2, 3, 3], {0: "cat", 1: "cat", 2: "dog", 3: "dog"}
        >>> sampler = DistinctCategoryBalanceSampler(labels, label2category, 1, n_labels=2, n_instances=2, seed=0)
        >>> len(sampler), sampler.batch_size, sorted(sorted(batch) for batch in sampler)
        (2, 4, [[0, 1, 2, 3], [4, 5, 6, 7]])

    """

    def __init__(
        self,
        labels: Sequence[int] | np.ndarray,
        label2category: Mapping[Any, Hashable],
        n_categories: int | None = None,
        n_labels: int | None = None,
        n_instances: int = 4,
        epoch_size: int | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self._groups = CategoryGroups(labels, label2category, n_categories, n_labels, n_instances)
        if epoch_size is None:
            epoch_size = math.ceil(len(self._groups.labels) / (self._groups.n_categories * self._groups.n_labels))
        self.epoch_size = check_size("epoch_size", epoch_size, low=1)

    @property
    def batch_size(self) -> int:
        """Give the number of items in a batch."""
        return self._groups.batch_size

    def __len__(self) -> int:
        """Give the number of batches in an epoch."""
        return self.epoch_size

    def _iterate(self, epoch_seed: list[int], start: int) -> Iterator[list[int]]:
        orders: dict[tuple[int, int], np.ndarray] = {}  # of the labels of a category, in a turn
        plan = enumerate(self._draw_categories(make_generator(epoch_seed, 0)))
        for number, (turn, categories, visits) in itertools.islice(plan, start, self.epoch_size):
            # a generator of its own lets a resumed epoch start at any batch
            rng = make_generator(epoch_seed, 1, number)
            labels = []
            for category, visit in zip(categories, visits, strict=True):
                if (turn, category) not in orders:
                    orders = {key: order for key, order in orders.items() if key[0] == turn}
                    order = self._groups.get_labels(category)
                    orders[turn, category] = make_generator(epoch_seed, 2, turn, category).permutation(order)
                labels.append(self._take_labels(orders[turn, category], visit, rng))
            yield self._groups.draw_items(labels, rng)

    def _draw_categories(self, rng: np.random.Generator) -> Iterator[tuple[int, list[int], list[int]]]:
        """
        Give for each batch its turn, its categories, and how often each of them was drawn before in this turn.

        A turn ends when the labels are made available again.
        """
        n_categories = self._groups.n_categories
        n_visits = -(-self._groups.sizes // self._groups.n_labels)  # until the labels of a category are used up
        for turn in itertools.count():
            visited = np.zeros(len(n_visits), dtype=np.int64)
            left = list(range(len(n_visits)))
            while len(left) >= n_categories:
                places = rng.choice(len(left), size=n_categories, replace=False).tolist()
                categories = [left[place] for place in places]
                yield turn, categories, visited[categories].tolist()
                visited[categories] += 1
                for place in sorted(places, reverse=True):
                    if visited[left[place]] == n_visits[left[place]]:
                        left[place] = left[-1]  # the order does not matter: no need to shift the rest
                        left.pop()

    def _take_labels(self, order: np.ndarray, visit: int, rng: np.random.Generator) -> np.ndarray:
        """Give the next labels in the category's random order, filled up with those before."""
        start, n_labels = visit * self._groups.n_labels, self._groups.n_labels
        fresh = order[start : start + n_labels]
        return np.concatenate([fresh, rng.choice(order[:start], size=n_labels - len(fresh), replace=False)])
