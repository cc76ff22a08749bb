"""
What retrieval metrics are computed from: which answers are relevant, how many there are, how many there should be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from oml.errors import check
from oml.functional.metrics.hit_bytes import pack_bytes, sum_weights
from oml.functional.ragged import concat_rows, mask_lengths, pad_rows


@dataclass(frozen=True, eq=False)
class Hits:
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
        n_relevant = torch.as_tensor(n_gts, dtype=torch.int64, device=rows.values.device)
        return cls(pad_rows(rows, False), rows.lengths, n_relevant)

    @cached_property
    def codes(self) -> np.ndarray:
        """`is_hit` as bytes of eight answers, uint8 (ceil(K / 8), Q); made once."""
        return pack_bytes(self.is_hit)

    @cached_property
    def n_relevant(self) -> np.ndarray:
        """`n_gts` as an array, (Q,)."""
        return self.n_gts.cpu().numpy()

    @cached_property
    def n_answers(self) -> np.ndarray:
        """`lengths` as an array, (Q,)."""
        return self.lengths.cpu().numpy()

    def count_first(self, top_k: Sequence[int]) -> list[np.ndarray]:
        """Give the number of hits among the first k answers of each query, float64 (Q,), for each k."""
        return sum_weights(self.codes, np.ones(8 * len(self.codes)), top_k)

    def keep_first_r(self) -> "Hits":
        """Give the same with the hits beyond rank R taken away, R being the number of relevant galleries of a query."""
        width = min(self.is_hit.shape[1], int(self.n_gts.max()) if len(self.n_gts) else 0)
        return Hits(self.is_hit[:, :width] & mask_lengths(self.n_gts, width), self.lengths, self.n_gts)

    def judge_empty(self, values: np.ndarray) -> Tensor:
        """
        Give the values (Q,), as a float32 tensor, with the rule for queries without answers applied.

        No answer is right (1) if nothing is relevant and wrong (0) otherwise.
        """
        judged = np.where(self.n_answers == 0, self.n_relevant == 0, values).astype(np.float32)
        return torch.from_numpy(judged).to(self.is_hit.device)


def check_top_k(top_k: Sequence[int]) -> None:
    """
    Raise `ValueError` unless there is at least one cut-off and all are positive integers.

    Example:
        >>> check_top_k((1, 5))

    """
    is_fine = len(top_k) > 0 and all(isinstance(k, int) and not isinstance(k, bool) and k > 0 for k in top_k)
    if not is_fine:
        raise ValueError(f"`top_k` must be one or more positive integers, got {top_k!r}.")
