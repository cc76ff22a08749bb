"""Selecting in the rows of a matrix of scores: the k-th largest of each, and all above a limit."""

import numpy as np
import torch
from torch import Tensor

_WORD = 8  # marks looked at together


def make_room(n_scores: int) -> Tensor:
    """Give room for the marks of so many scores in `find_above`."""
    n_words = -(-n_scores // _WORD)
    return torch.empty(n_words * (_WORD + 1), dtype=torch.bool)


def find_above(scores: Tensor, limits: Tensor, room: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """
    Give the rows and columns of the scores (q, g) above the limit of their row, (q,), row by row.

    Args:
        scores: float64, float32 or bfloat16.
        limits: float64 or float32.
        room: see `make_room`; memory used again is faster than what the system gives anew.

    Example:
        >>> find_above(torch.tensor([[1.0, 5.0], [2.0, 3.0]]), torch.tensor([4.0, 2.5]))
        (tensor([0, 1]), tensor([1, 1]))

    """
    if scores.device.type != "cpu" or not scores.is_contiguous():
        return (scores > limits[:, None]).nonzero().unbind(1)  # type: ignore[return-value]
    # numpy compares several times as fast as torch here, and few of the words of eight marks hold any
    n_scores, width = scores.numel(), max(1, scores.shape[1])
    n_words = -(-n_scores // _WORD)
    room = make_room(n_scores) if room is None else room
    marks, has_marks = room[: n_words * _WORD], room[n_words * _WORD : n_words * (_WORD + 1)]
    marks[n_scores:] = False  # what fills the last word
    _mark_above(scores, limits, marks[:n_scores].view(scores.shape).numpy())
    np.not_equal(marks.numpy().view(np.int64), 0, out=has_marks.numpy())
    words = np.flatnonzero(has_marks.numpy())
    inside = np.flatnonzero(marks.numpy().reshape(-1, _WORD).take(words, axis=0))
    places = words[inside // _WORD] * _WORD + inside % _WORD
    rows = places // width
    return torch.from_numpy(rows), torch.from_numpy(places - rows * width)


def bound_kth_largest(scores: Tensor, k: int) -> Tensor:
    """
    Give a number that is at most the k-th largest of each row, (q,), and near it, at a fraction of its cost.

    The k-th largest of the maxima of groups is such a number: k groups hold at least k scores that are no smaller.
    """
    # of the bits of negative numbers it is not the larger that is taken, but one of the two, which is enough
    groups = _view(scores)
    while groups.shape[1] >= 8 * k and groups.shape[1] % 2 == 0:
        halves = groups.reshape(len(groups), 2, -1)
        groups = halves.amax(1) if isinstance(halves, Tensor) else np.maximum(halves[:, 0], halves[:, 1])
    return _select(groups, k, scores.dtype)


def find_kth_largest(scores: Tensor, k: int) -> Tensor:
    """Give the k-th largest of each row, (q,), float32 for bfloat16; minus infinity if there are fewer than k."""
    return _select(_view(scores), k, scores.dtype)


def _view(scores: Tensor) -> Tensor | np.ndarray:
    """Give the scores themselves, on a CPU as an array, the bits of bfloat16 as whole numbers."""
    if scores.device.type != "cpu":
        return scores
    return scores.view(torch.int16).numpy() if scores.dtype == torch.bfloat16 else scores.numpy()


def _select(values: Tensor | np.ndarray, k: int, dtype: torch.dtype) -> Tensor:
    """Give the k-th largest of each row of what `_view` gives for scores of the dtype."""
    if values.shape[1] < k:
        missing = torch.full((len(values),), -torch.inf, dtype=torch.float32 if dtype == torch.bfloat16 else dtype)
        return missing.to(values.device) if isinstance(values, Tensor) else missing
    if isinstance(values, Tensor):
        kth = values.topk(k, dim=1).values[:, -1]
        return kth.float() if dtype == torch.bfloat16 else kth
    if dtype != torch.bfloat16:
        return torch.from_numpy(np.partition(values, values.shape[1] - k, axis=1)[:, -k].copy())
    keys = np.partition(_order_bits(values, 15), values.shape[1] - k, axis=1)[:, -k]
    return torch.from_numpy(_order_bits(keys, 15)).view(dtype).float()


def _mark_above(scores: Tensor, limits: Tensor, marks: np.ndarray) -> None:
    if scores.dtype != torch.bfloat16:
        np.greater(scores.numpy(), limits.numpy()[:, None], out=marks)
        return
    wide = _order_bits((limits.float() + 0.0).view(torch.int32).numpy(), 31)  # no minus zero
    # rounded down: the bits that bfloat16 lacks are zeros in numbers that are not negative, ones in the order of others
    limit_keys = (wide - (wide < 0) * 0xFFFF) >> 16
    bits = scores.view(torch.int16).numpy()
    # the bits of numbers that are not negative are in their order, and below them all are those of negative ones
    keys = bits if not limits.numel() or limit_keys.min() >= 0 else _order_bits(bits, 15)
    np.greater(keys, limit_keys.astype(np.int16)[:, None], out=marks)


def _order_bits(bits: np.ndarray, sign: int) -> np.ndarray:
    """Give whole numbers in the order of the floating point numbers of these bits."""
    keys: np.ndarray = bits ^ ((bits >> sign) & (2**sign - 1))
    return keys
