"""
What retrieval metrics are computed from: which answers are relevant, how many there are, how many there should be.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from oml.errors import check
from oml.functional.ragged import concat_rows, pad_rows


class Hits(NamedTuple):
    """
    The answers to Q queries as a metric sees them.

    Attributes:
        is_hit: the j-th answer is relevant, bool (Q, K), False where there is no answer.
        lengths: number of answers of each query, (Q,).
        n_gts: number of relevant galleries of each query, (Q,).

    """

    is_hit: Tensor
    lengths: Tensor
    n_gts: Tensor

    @classmethod
    def from_rows(cls, gt_tops: Sequence[Tensor], n_gts: Sequence[int] | Tensor) -> "Hits":
        """
        Take one bool tensor per query, of any lengths.

        Raises:
            InvalidInputError: the numbers of queries differ.

        """
        check(
            len(gt_tops) == len(n_gts),
            f"`gt_tops` and `n_gts` must have one value per query, got {len(gt_tops)} and {len(n_gts)}.",
        )
        rows = concat_rows(gt_tops, "gt_tops", torch.bool)
        return cls(pad_rows(rows, False), rows.lengths, torch.as_tensor(n_gts, device=rows.values.device))

    def count_first(self, k: int) -> Tensor:
        """Give the number of hits among the first k answers, float32 (Q,)."""
        return self.is_hit[:, :k].float().sum(1)

    def judge_empty(self, values: Tensor) -> Tensor:
        """
        Give the values (Q,) with the rule for queries without answers applied.

        No answer is right (1) if nothing is relevant and wrong (0) otherwise.
        """
        return torch.where(self.lengths == 0, (self.n_gts == 0).to(values), values)


def check_top_k(top_k: Sequence[int]) -> None:
    """
    Raise `ValueError` unless there is at least one cut-off and all are positive integers.

    Example:
        >>> check_top_k((1, 5))

    """
    is_fine = len(top_k) > 0 and all(isinstance(k, int) and not isinstance(k, bool) and k > 0 for k in top_k)
    if not is_fine:
        raise ValueError(f"`top_k` must be one or more positive integers, got {top_k!r}.")
