"""What is relevant to each query: labels, from which lists are made when asked for, or the lists themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from torch import Tensor

from oml.functional.ragged import Ragged
from oml.functional.relevance import count_relevant, is_listed, is_relevant, list_relevant
from oml.functional.search_exclusion import TKeys
from oml.retrieval.rows import ConcatenatedRows


class GroundTruth(Protocol):
    """Knows the relevant galleries of Q queries."""

    def __len__(self) -> int:
        """Give the number of queries."""

    def count(self) -> Tensor:
        """Give the number of relevant galleries of each query, (Q,)."""

    def mark(self, ids: Tensor) -> Tensor:
        """Tell which answers (Q, K) are relevant; negative ids are absent answers."""

    def get(self, query: int) -> Tensor:
        """Give the ids of the galleries that are relevant to one query."""

    def to_list(self) -> "ListedGroundTruth":
        """Give the same as lists."""

    def clone(self) -> "GroundTruth":
        """Give a copy that shares nothing which may be written to."""


@dataclass(frozen=True)
class LabelGroundTruth:
    """
    A gallery is relevant if it has the query's label and shares none of the excluded keys. Takes memory linear in Q +
    G.

    Attributes:
        labels_query: integers (Q,).
        labels_gallery: integers (G,).
        exclude: pairs of integer keys (Q,) and (G,).

    """

    labels_query: Tensor
    labels_gallery: Tensor
    exclude: Sequence[TKeys] = field(default=())

    def __len__(self) -> int:
        return len(self.labels_query)

    def count(self) -> Tensor:
        """Give the number of relevant galleries of each query, (Q,)."""
        return count_relevant(self.labels_query, self.labels_gallery, self.exclude)

    def mark(self, ids: Tensor) -> Tensor:
        """Tell which answers (Q, K) are relevant; negative ids are absent answers."""
        return is_relevant(ids, self.labels_query, self.labels_gallery, self.exclude)

    def get(self, query: int) -> Tensor:
        """Give the ids of the galleries that are relevant to one query, ascending."""
        is_gt = self.labels_gallery == self.labels_query[query]
        for query_keys, gallery_keys in self.exclude:
            is_gt &= gallery_keys != query_keys[query]
        return is_gt.nonzero()[:, 0]

    def to_list(self) -> "ListedGroundTruth":
        """Give the same as lists."""
        return ListedGroundTruth(list_relevant(self.labels_query, self.labels_gallery, self.exclude))

    def clone(self) -> "LabelGroundTruth":
        """Give the same object: nothing writes to it."""
        return self


@dataclass(frozen=True)
class ListedGroundTruth:
    """
    The relevant galleries of each query, listed; an item may have several labels, or none.

    Attributes:
        relevant: gallery ids, one query after another.

    """

    relevant: Ragged

    @cached_property
    def rows(self) -> ConcatenatedRows:
        """The lists as a sequence of tensors, which can be written to."""
        return ConcatenatedRows(*self.relevant)

    def __len__(self) -> int:
        return len(self.relevant.offsets) - 1

    def count(self) -> Tensor:
        """Give the number of relevant galleries of each query, (Q,)."""
        return self.relevant.lengths

    def mark(self, ids: Tensor) -> Tensor:
        """Tell which answers (Q, K) are relevant; negative ids are absent answers."""
        return is_listed(ids, self.relevant)

    def get(self, query: int) -> Tensor:
        """Give the ids of the galleries that are relevant to one query."""
        return self.relevant.values[self.relevant.offsets[query] : self.relevant.offsets[query + 1]]

    def to_list(self) -> "ListedGroundTruth":
        """Give the same object."""
        return self

    def clone(self) -> "ListedGroundTruth":
        """Give a copy."""
        return ListedGroundTruth(Ragged(self.relevant.values.clone(), self.relevant.offsets))
