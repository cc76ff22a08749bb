"""Rows of a padded array, seen as a sequence of tensors of different lengths."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import overload

from torch import Tensor

from oml.functional.ragged import mask_lengths


class PaddedRows(Sequence[Tensor]):
    """
    A view of an array (Q, K) as Q one-dimensional tensors; writing into one of them writes into the array.

    Args:
        values: (Q, K); what lies beyond the length of a row is padding.
        lengths: (Q,).

    Example:
        >>> import torch
        >>> rows = PaddedRows(torch.tensor([[1, 2], [3, -1]]), torch.tensor([2, 1]))
        >>> rows[1][:] = 7
        >>> rows, rows.values.tolist()
        ((tensor([1, 2]), tensor([7])), [[1, 2], [7, -1]])

    """

    def __init__(self, values: Tensor, lengths: Tensor):
        self.values = values
        self.lengths = lengths

    @cached_property
    def _lengths(self) -> list[int]:
        return self.lengths.tolist()

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, item: int) -> Tensor: ...
    @overload
    def __getitem__(self, item: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, item: int | slice) -> Tensor | Sequence[Tensor]:
        if isinstance(item, slice):
            return PaddedRows(self.values[item], self.lengths[item])
        return self.values[item][: self._lengths[item]]

    def __iter__(self) -> Iterator[Tensor]:
        return (row[:n] for row, n in zip(self.values.unbind(), self._lengths, strict=True))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def flatten(self) -> Tensor:
        """Give the values without padding, one row after another; a copy."""
        return self.values[mask_lengths(self.lengths, self.values.shape[1])]


class ConcatenatedRows(Sequence[Tensor]):
    """
    A view of the values of rows laid one after another as one-dimensional tensors; writing into them writes into the
    values.

    Args:
        values: (n,).
        offsets: row i is `values[offsets[i] : offsets[i + 1]]`, (Q + 1,).

    """

    def __init__(self, values: Tensor, offsets: Tensor):
        self.values = values
        self._offsets = offsets.tolist()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, item: int) -> Tensor: ...
    @overload
    def __getitem__(self, item: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, item: int | slice) -> Tensor | Sequence[Tensor]:
        i = range(len(self))[item]  # knows negative positions, and when to stop
        if isinstance(i, range):
            return tuple(self[j] for j in i)
        return self.values[self._offsets[i] : self._offsets[i + 1]]

    def __repr__(self) -> str:
        return repr(tuple(self))
