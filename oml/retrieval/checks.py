"""The rules that retrieval results keep, checked for all queries at once."""

import warnings

import numpy as np
import torch
from torch import Tensor

from oml.errors import InvalidInputError, check, show_some
from oml.functional.ragged import mask_lengths

_BLOCK = 2**22  # numbers checked at once
_N_CHECKED_IDS = 100


class InvalidResultsError(InvalidInputError, RuntimeError):
    """
    Retrieval results that break a rule; also a `RuntimeError`, which scripts written for Open Metric Learning catch.
    """


def check_answers(distances: Tensor, ids: Tensor, lengths: Tensor) -> None:
    """
    Check answers, padded on the right: distances ascend, up to 10 eps; the ids of a query are unique and not negative.

    Of the ids, the first 100 of each query are checked.

    Args:
        distances: (Q, K).
        ids: (Q, K).
        lengths: (Q,).

    Raises:
        InvalidResultsError: a rule is broken; the first queries are named.

    """
    width = distances.shape[1]
    step = max(1, _BLOCK // max(1, width))
    for start in range(0, len(distances), step):
        part = slice(start, start + step)
        # the slower ways tell which queries it is, and know of padding and tolerance
        if not _is_ascending(distances[part]):
            _raise_at(
                _find_unsorted(distances[part], mask_lengths(lengths[part], width)),
                start,
                "Distances must be in ascending order and hold no NaN. Sort the answers of each query by distance",
            )
        is_full = bool((lengths[part] == width).all())
        if not (is_full and bool((ids[part] >= 0).all())):
            _raise_at(
                ((ids[part] < 0) & mask_lengths(lengths[part], width)).any(1),
                start,
                "Ids of retrieved items must not be negative",
            )
        first = ids[part, :_N_CHECKED_IDS]
        _raise_at(
            _find_repeated(first, None if is_full else mask_lengths(lengths[part], first.shape[1])),
            start,
            "Ids of retrieved items must be unique for each query",
        )


def check_ground_truth(n_gts: Tensor, n_queries: int) -> None:
    """
    Check that there is ground truth for each query, and warn once about those to which nothing is relevant.

    Args:
        n_gts: number of relevant galleries of each query.
        n_queries: Q.

    Raises:
        InvalidInputError: the numbers of queries differ.

    """
    check(
        len(n_gts) == n_queries, f"`gt_ids` must have one tensor per query, got {len(n_gts)} for {n_queries} queries."
    )
    lonely = (n_gts == 0).nonzero()[:, 0].tolist()
    if lonely:
        warnings.warn(
            f"Some of the queries don't have available gts. These are {len(lonely)} of {n_queries}: "
            f"{show_some(lonely)}. Metrics count them as 0, or as 1 where nothing was retrieved.",
            UserWarning,
            stacklevel=5,
        )


def _find_unsorted(distances: Tensor, is_answer: Tensor) -> Tensor:
    tolerance = 10 * torch.finfo(distances.dtype).eps
    left, right = distances[:, :-1], distances[:, 1:]
    is_fine = right + tolerance * left.abs().clamp(min=1) >= left
    return (~is_fine & is_answer[:, 1:]).any(1) | (distances.isnan() & is_answer).any(1)


def _is_ascending(distances: Tensor) -> bool:
    if distances.shape[1] < 2:
        return not bool(distances.isnan().any())
    return bool((distances[:, 1:] >= distances[:, :-1]).all())  # False where there is NaN


def _find_repeated(ids: Tensor, is_answer: Tensor | None) -> Tensor:
    if is_answer is not None:
        # the padding gets unique numbers below zero
        ids = torch.where(is_answer, ids, -1 - torch.arange(ids.shape[1], device=ids.device))
    if ids.is_cuda:
        ids = ids.sort(dim=1).values
    else:  # numpy sorts integers several times faster than torch on a CPU, and narrow ones twice as fast as wide ones
        narrow = np.int32 if ids.numel() and int(ids.max()) < 2**31 else np.int64
        ids = torch.from_numpy(np.sort(ids.numpy().astype(narrow), axis=1))
    is_repeated = ids[:, 1:] == ids[:, :-1]
    return is_repeated.any(1) if bool(is_repeated.any()) else is_repeated.new_zeros(len(ids))


def _raise_at(is_bad: Tensor, start: int, rule: str) -> None:
    bad = is_bad.nonzero()[:, 0]
    if len(bad):
        raise InvalidResultsError(f"{rule}. Broken for the queries {show_some((bad + start).tolist())}.")
