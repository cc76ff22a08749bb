"""Small documented tools for tensors and models."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from oml.errors import check
from oml.functional.distances import elementwise_dist, normalise, pairwise_dist
from oml.functional.pca import PCA
from oml.utils.online import AvgOnline, OnlineAvgDict, OnlineCalc, OnlineDict, OnlineSumDict, SumOnline

__all__ = [
    "PCA",
    "AvgOnline",
    "OnlineAvgDict",
    "OnlineCalc",
    "OnlineDict",
    "OnlineSumDict",
    "SumOnline",
    "assign_2d",
    "cat_two_sorted_tensors_and_keep_it_sorted",
    "elementwise_dist",
    "get_device",
    "is_sorted_tensor",
    "normalise",
    "pairwise_dist",
    "take_2d",
    "temporary_setting_model_mode",
    "unique_by_ids",
]


def take_2d(x: Tensor, indices: Tensor) -> Tensor:
    """
    Give from each row of x (N, M) the elements at the positions in the same row of the indices (N, P): (N, P).

    Raises:
        InvalidInputError: one of them is not 2-D, or the numbers of rows differ.

    Example:
        >>> take_2d(torch.tensor([[10, 11, 12], [20, 21, 22]]), torch.tensor([[2, 0], [1, 1]]))
        tensor([[12, 10],
                [21, 21]])

    """
    _check_rows(x, indices, "x", "indices")
    return x.gather(1, indices)


def assign_2d(x: Tensor, indices: Tensor, new_values: Tensor) -> Tensor:
    """
    Write in each row of x (N, M), in place, the new values (N, P) at the positions in the row of the indices (N, P).

    The result is x itself. Where a position occurs twice in a row, one of its values is written.

    Raises:
        InvalidInputError: one of them is not 2-D, or the sizes do not fit.

    Example:
        >>> assign_2d(torch.zeros(2, 3), torch.tensor([[2, 0], [1, 2]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([[2., 0., 1.],
                [0., 3., 4.]])

    """
    _check_rows(x, indices, "x", "indices")
    check(
        indices.shape == new_values.shape,
        f"indices and new_values must have one shape, got {tuple(indices.shape)} and {tuple(new_values.shape)}.",
    )
    return x.scatter_(1, indices, new_values.to(x.dtype))


def cat_two_sorted_tensors_and_keep_it_sorted(x1: Tensor, x2: Tensor, eps: float = 1e-6) -> Tensor:
    """
    Give (N, P + R), each row of which is a row of x1 (N, P) followed by the row of x2 (N, R), still ascending.

    Where the last value a of a row of x1 is above the first value b of x2, that row of x1 becomes `x1 * (b / a) - eps`:
    the order within it stays. Where b / a is not a positive number, so that scaling would lose the order, the row is
    moved instead: `x1 - (a - b) - eps`. The other rows, and x1 itself, stay as they are.

    Args:
        x1: Ascending rows.
        x2: Ascending rows.
        eps: The gap left between the two parts.

    Raises:
        InvalidInputError: one of them is not 2-D, or the numbers of rows differ.

    Example:
        >>> cat_two_sorted_tensors_and_keep_it_sorted(torch.tensor([[2.0, 4.0]]), torch.tensor([[3.0, 5.0]]), eps=0.5)
        tensor([[1.0000, 2.5000, 3.0000, 5.0000]])

    """
    _check_rows(x1, x2, "x1", "x2")
    if x1.shape[1] == 0 or x2.shape[1] == 0:
        return torch.cat([x1, x2], dim=1)
    a, b = x1[:, -1:], x2[:, :1]
    ratio = b / a
    moved = torch.where(ratio.isfinite() & (ratio > 0), x1 * ratio, x1 - (a - b)) - eps
    moved = torch.minimum(moved, b)  # eps may be less than the rounding
    return torch.cat([torch.where(a > b, moved, x1), x2], dim=1)


def _check_rows(x1: Tensor, x2: Tensor, name1: str, name2: str) -> None:
    check(x1.ndim == x2.ndim == 2, f"{name1} and {name2} must be 2-D, got {x1.ndim} and {x2.ndim} dimensions.")
    check(len(x1) == len(x2), f"{name1} and {name2} must have the same number of rows, got {len(x1)} and {len(x2)}.")


def is_sorted_tensor(x: Tensor) -> bool:
    """
    Tell whether a 1-D tensor is ascending; steps down of less than 10 machine epsilons of its dtype count as level.

    Raises:
        InvalidInputError: it is not 1-D.

    Example:
        >>> is_sorted_tensor(torch.tensor([1.0, 1.0, 2.0]))
        True

    """
    check(x.ndim == 1, f"x must be 1-D, got {x.ndim} dimensions.")
    if not x.is_floating_point():
        return bool((x[1:] >= x[:-1]).all())
    return bool((x[1:] - x[:-1] > -10 * torch.finfo(x.dtype).eps).all() or (x[1:] >= x[:-1]).all())


def unique_by_ids(ids: Sequence[int], data: Any) -> tuple[list[int], Any]:
    """
    Give the different ids, ascending, and what stands in the data at the first occurrence of each.

    Args:
        ids: One id for each row of the data.
        data: A list, tuple, array or tensor; the result is of the same kind.

    Raises:
        InvalidInputError: the lengths differ.
        TypeError: the data is of another kind.

    Example:
        >>> unique_by_ids([3, 1, 3], ["a", "b", "c"])
        ([1, 3], ['b', 'a'])

    """
    check(len(ids) == len(data), f"ids and data must have one length, got {len(ids)} and {len(data)}.")
    first: dict[int, int] = {}
    for position, i in enumerate(ids):
        first.setdefault(int(i), position)
    unique = sorted(first)
    positions = [first[i] for i in unique]
    if isinstance(data, (np.ndarray, Tensor)):
        return unique, data[positions]
    if isinstance(data, (list, tuple)):
        return unique, type(data)([data[p] for p in positions])
    raise TypeError(f"data must be a list, tuple, array or tensor, got {type(data).__name__}.")


def get_device(model: nn.Module) -> str:
    """
    Give the device of the model's first parameter, or else of its first buffer; `"cpu"` if it has neither.

    Example:
        >>> get_device(nn.Linear(1, 1))
        'cpu'

    """
    for tensors in (model.parameters(), model.buffers()):
        for tensor in tensors:
            return str(tensor.device)
    return "cpu"


@contextmanager
def temporary_setting_model_mode(model: nn.Module, set_train: bool) -> Iterator[nn.Module]:
    """
    Put the model in training or evaluation mode inside the block; give each of its parts its former mode after it.

    Also after an error, and also where only some parts were training (frozen batch normalisation, say).

    Example:
        >>> model = nn.Dropout()
        >>> with temporary_setting_model_mode(model, set_train=False):
        ...     model.training
        False
        >>> model.training
        True

    """
    former = {module: module.training for module in model.modules()}
    model.train(set_train)
    try:
        yield model
    finally:
        for module, mode in former.items():
            module.training = mode
