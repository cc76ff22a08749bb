"""What is relevant to each query: labels, from which lists are made when asked for, or the lists themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.ragged import Ragged
from oml.functional.relevance import count_relevant, is_listed, is_relevant, list_relevant
from oml.functional.search_exclusion import TKeys, expand_counts
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

    def take(self, queries: Tensor) -> "GroundTruth":
        """Give that of the queries at these positions, (n,)."""

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
        return self._counts

    @cached_property
    def _counts(self) -> Tensor:
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

    def take(self, queries: Tensor) -> "LabelGroundTruth":
        """Give that of the queries at these positions, (n,)."""
        exclude = [(query_keys[queries], gallery_keys) for query_keys, gallery_keys in self.exclude]
        return LabelGroundTruth(self.labels_query[queries], self.labels_gallery, exclude)

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

    def take(self, queries: Tensor) -> "ListedGroundTruth":
        """Give that of the queries at these positions, (n,)."""
        lengths = self.relevant.lengths[queries]
        rows, ranks = expand_counts(lengths)
        values = self.relevant.values[self.relevant.offsets[queries][rows] + ranks]
        return ListedGroundTruth(Ragged(values, torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])))

    def to_list(self) -> "ListedGroundTruth":
        """Give the same object."""
        return self

    def clone(self) -> "ListedGroundTruth":
        """Give a copy."""
        return ListedGroundTruth(Ragged(self.relevant.values.clone(), self.relevant.offsets))


def concat_ground_truth(parts: Sequence[GroundTruth | None]) -> GroundTruth | None:
    """
    Give the ground truth of all queries of the parts, one part after another; labels stay labels.

    Raises:
        InvalidInputError: only some parts have ground truth, or they belong to different galleries.

    """
    known = [part for part in parts if part is not None]
    check(
        len(known) in (0, len(parts)), f"Only {len(known)} of {len(parts)} parts have ground truth: give all or none."
    )
    if not known:
        return None
    labelled = [part for part in known if isinstance(part, LabelGroundTruth)]
    if len(labelled) == len(known):
        pairs = [[(part.labels_query, part.labels_gallery), *part.exclude] for part in labelled]
        check(
            len({(len(part), len(part[0][1])) for part in pairs}) == 1,
            "The parts were searched in different galleries or with different exclusions, so that their ids differ in "
            "meaning. Search each part in all galleries.",
        )
        labels, *exclude = [_concat_keys(same) for same in zip(*pairs, strict=True)]
        return LabelGroundTruth(*labels, exclude)
    lists = [part.to_list().relevant for part in known]
    lengths = torch.cat([part.lengths for part in lists])
    offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    return ListedGroundTruth(Ragged(torch.cat([part.values for part in lists]), offsets))


def is_same_ground_truth(one: GroundTruth | None, other: GroundTruth | None) -> bool:
    """Tell whether the same galleries are relevant to each query, in whatever form; unknown equals unknown only."""
    if one is None or other is None or one is other:
        return one is other
    if isinstance(one, LabelGroundTruth) and isinstance(other, LabelGroundTruth) and _has_same_keys(one, other):
        return True
    if not torch.equal(one.count(), other.count()):
        return False
    return torch.equal(_sort_lists(one.to_list().relevant), _sort_lists(other.to_list().relevant))


def _has_same_keys(one: LabelGroundTruth, other: LabelGroundTruth) -> bool:
    pairs = [[(gts.labels_query, gts.labels_gallery), *gts.exclude] for gts in (one, other)]
    return len(pairs[0]) == len(pairs[1]) and all(
        torch.equal(a, b) for left, right in zip(*pairs, strict=True) for a, b in zip(left, right, strict=True)
    )


def _sort_lists(lists: Ragged) -> Tensor:
    values, order = lists.values.sort()
    rows = expand_counts(lists.lengths)[0][order]
    return values[rows.sort(stable=True).indices]


def _concat_keys(parts: Sequence[TKeys]) -> TKeys:
    """Join the queries' keys where the galleries have the same ones, be it under other numbers."""
    first = parts[0][1]
    if not all(gallery is first or torch.equal(gallery, first) for _, gallery in parts):
        parts = [_number_by_gallery(*keys) for keys in parts]
        first = parts[0][1]
        check(
            all(torch.equal(gallery, first) for _, gallery in parts),
            "The parts were searched in different galleries, so that their ids differ in meaning. Search each part in "
            "all galleries.",
        )
    return torch.cat([query for query, _ in parts]), first


def _number_by_gallery(query_keys: Tensor, gallery_keys: Tensor) -> TKeys:
    """Give each key the position of the first gallery that has it, or -1."""
    values, inverse = torch.unique(gallery_keys, return_inverse=True)
    positions = torch.arange(len(gallery_keys), device=gallery_keys.device)
    first = positions.new_full((len(values),), len(positions)).scatter_reduce(0, inverse, positions, "amin")
    if not len(values):
        return torch.full_like(query_keys, -1), positions
    places = torch.searchsorted(values, query_keys).clamp(max=len(values) - 1)
    return torch.where(values[places] == query_keys, first[places], -1), first[inverse]
