"""Labels grouped by their categories, for drawing some of each."""

from collections.abc import Hashable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from oml.errors import check, show_some
from oml.samplers.label_groups import LabelGroups

DEFAULT_N_CATEGORIES = 2
DEFAULT_N_LABELS = 8  # in a category


class CategoryGroups:
    """
    Which items are of which label and which labels of which category, with the sizes of a batch.

    A label is known by its place in `labels.values`. Categories are numbered in the order of their lowest labels, so
    their names may be anything hashable and say nothing about what is drawn.

    Args:
        labels: Labels (N,) of the items: a list, an array, a tensor or a column of a table.
        label2category: The category of each label, and of no other one.
        n_categories: Categories in a batch. By default 2, or the one there is.
        n_labels: Labels of each category in a batch, at least 2. By default 8, or what the smallest category has.
        n_instances: Items of each label in a batch, at least 2.
        may_repeat_labels: Whether a category may have fewer labels than `n_labels`.

    Raises:
        TypeError: a size is no whole number.
        InvalidInputError: a size is out of range; a label has no category or one item only; `label2category` has
            labels that no item has; a category has too few labels.

    """

    def __init__(
        self,
        labels: Sequence[int] | np.ndarray,
        label2category: Mapping[Any, Hashable],
        n_categories: int | None,
        n_labels: int | None,
        n_instances: int,
        may_repeat_labels: bool = False,
    ) -> None:
        self.labels = LabelGroups(labels)
        self.names, places = _number_categories(self.labels.values.tolist(), label2category)
        self._members = LabelGroups(places)
        self.sizes = self._members.counts
        """The number of labels of each category (C,)."""

        if n_categories is None:
            n_categories = min(DEFAULT_N_CATEGORIES, len(self))
        if n_labels is None:
            n_labels = DEFAULT_N_LABELS if may_repeat_labels else max(2, min(DEFAULT_N_LABELS, self.sizes.min()))
            n_labels = min(n_labels, max(2, len(self.labels)))
        self.n_categories = check_size("n_categories", n_categories, 1, len(self), "categories")
        self.n_labels = check_size("n_labels", n_labels, 2, len(self.labels), "different labels")
        self.n_instances = check_size("n_instances", n_instances, 2)
        self.labels.check_no_singles()
        if not may_repeat_labels:
            self._check_no_small_categories()

    def __len__(self) -> int:
        """Give the number of categories."""
        return len(self.names)

    @property
    def batch_size(self) -> int:
        """Give the number of items in a batch."""
        return self.n_categories * self.n_labels * self.n_instances

    def get_labels(self, category: int) -> np.ndarray:
        """Give the places of the labels of a category, in their order."""
        return self._members.get_items(category)

    def draw_labels(self, category: int, rng: np.random.Generator) -> np.ndarray:
        """Give the places of random labels of a category (n_labels,): different ones as far as they suffice."""
        return self._members.draw(category, self.n_labels, rng)

    def draw_items(self, labels: Sequence[np.ndarray], rng: np.random.Generator) -> list[int]:
        """Give the positions of random items of each of the labels, given by their places."""
        items = [self.labels.draw(label, self.n_instances, rng) for label in np.concatenate(labels)]
        positions: list[int] = np.concatenate(items).tolist()
        return positions

    def _check_no_small_categories(self) -> None:
        small = [f"{self.names[i]} ({self.sizes[i]})" for i in np.flatnonzero(self.sizes < self.n_labels)]
        check(
            not small,
            f"All the categories must have at least {self.n_labels} unique labels, but {len(small)} of {len(self)} "
            f"have fewer: {show_some(small)}. Lower n_labels, drop these categories, or let CategoryBalanceSampler "
            "repeat labels with resample_labels=True.",
        )


def _number_categories(labels: list[Any], label2category: Mapping[Any, Hashable]) -> tuple[list[Hashable], np.ndarray]:
    """Give the names of the categories, and the number of the category of each label."""
    missing = [label for label in labels if _is_missing(label2category.get(label))]
    check(
        not missing,
        f"Each label must have a category in label2category, but {len(missing)} of {len(labels)} have none: "
        f"{show_some(missing)}. Add them.",
    )
    if len(label2category) > len(labels):
        unknown = sorted(set(label2category) - set(labels), key=str)
        check(
            False,
            f"label2category must only have labels of the items, but {len(unknown)} of its {len(label2category)} "
            f"labels have no item: {show_some(unknown)}. Drop them, or pass the labels of all the items.",
        )
    numbers: dict[Hashable, int] = {}
    places = np.array([numbers.setdefault(label2category[label], len(numbers)) for label in labels])
    return list(numbers), places


def _is_missing(category: Any) -> bool:
    # tables mark what is missing with NaN, the only number that differs from itself
    return category is None or (isinstance(category, float) and category != category)


def check_size(name: str, size: Any, low: int, high: int | None = None, what: str = "") -> int:
    """
    Give the size as a plain number.

    Raises:
        TypeError: it is no whole number.
        InvalidInputError: it is below `low` or above `high`, the number of `what`.

    Example:
        >>> check_size("n_labels", 3, low=2, high=5, what="different labels")
        3

    """
    if not isinstance(size, Integral) or isinstance(size, bool):
        raise TypeError(f"{name} must be a whole number, got {size!r} of the type {type(size).__name__}.")
    whole = int(size)
    limit = "" if high is None else f" and at most the number of {what}, which is {high}"
    check(low <= whole and (high is None or whole <= high), f"{name} must be at least {low}{limit}, got {size}.")
    return whole
