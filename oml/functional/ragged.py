"""Rows of different lengths as arrays: padded to one width, or one after another with offsets."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from oml.errors import check, show_some


class Ragged(NamedTuple):
    """Rows one after another: row i is `values[offsets[i] : offsets[i + 1]]`."""

    values: Tensor  # (n,)
    offsets: Tensor  # (number of rows + 1,)

    @property
    def lengths(self) -> Tensor:
        """Give the length of each row."""
        return self.offsets.diff()


def concat_rows(rows: Sequence[Tensor], name: str, dtype: torch.dtype | None = None) -> Ragged:
    """
    Lay 1-D tensors one after another.

    Args:
        rows: tensors of any lengths, 0 included, on one device.
        name: what error messages call them.
        dtype: of the values; that of the rows by default.

    Raises:
        InvalidInputError: a row is not 1-D; the first ones are named.

    """
    bad = [i for i, row in enumerate(rows) if row.ndim != 1]
    check(not bad, f"`{name}` must hold 1-D tensors, but those at positions {show_some(bad)} have another shape.")
    lengths = torch.tensor([0, *(row.numel() for row in rows)])
    if dtype is not None:
        rows = [row if row.dtype == dtype else row.to(dtype) for row in rows]
    values = torch.cat(list(rows)) if len(rows) else torch.empty(0, dtype=dtype)
    return Ragged(values, lengths.cumsum(0).to(values.device))


def pad_rows(rows: Ragged, fill: float) -> Tensor:
    """
    Give a matrix with the rows at the left and `fill` at the right, as wide as the longest; a view if none is shorter.

    Example:
        >>> pad_rows(concat_rows([torch.tensor([1, 2]), torch.tensor([3])], "x"), fill=-1)
        tensor([[ 1,  2],
                [ 3, -1]])

    """
    lengths = rows.lengths
    width = int(lengths.max()) if len(lengths) else 0
    if len(rows.values) == len(lengths) * width:
        return rows.values.view(len(lengths), width)
    padded = rows.values.new_full((len(lengths), width), fill)
    padded[mask_lengths(lengths, width)] = rows.values
    return padded


def mask_lengths(lengths: Tensor, width: int) -> Tensor:
    """Give a mask (len(lengths), width) of the places that the rows occupy."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]
