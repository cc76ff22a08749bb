"""What a process knows about the group of processes it works in, and how a group puts together what each one has."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from oml.errors import check, show_some


class WarningDDP(UserWarning):
    """
    Something that needs a group of processes was called without one, and does nothing.

    Args:
        function_name: What was called.

    """

    def __init__(self, function_name: str):
        self.function_name = function_name
        super().__init__(
            f"`{function_name}` was called for several processes, but this process belongs to no group: it does "
            "nothing. Call torch.distributed.init_process_group first if there are others."
        )


def is_ddp() -> bool:
    """Tell whether this process belongs to a group of processes."""
    return dist.is_available() and dist.is_initialized()


def get_world_size_safe() -> int:
    """Give the number of processes in the group; 0 without a group."""
    return dist.get_world_size() if is_ddp() else 0


def is_main_process() -> bool:
    """Tell whether this process is the first of its group, or the only one."""
    return not is_ddp() or dist.get_rank() == 0


def get_share(n_items: int) -> range:
    """
    Give the positions that are this process's part of `n_items`: a piece without overlaps or gaps, maybe empty.

    Example:
        >>> get_share(5)
        range(0, 5)

    """
    return _share_of(dist.get_rank(), n_items) if is_ddp() else range(n_items)


def fill_from_all(own: Tensor | None, n_items: int) -> Tensor | None:
    """
    Give every process all rows (n_items, ...), where each has calculated the rows of its own share.

    All processes of the group must call it. Without a group the given rows come back.

    Args:
        own: The rows of `get_share(n_items)`; None if the share is empty, so that nothing is known about the rows.
        n_items: The number of rows of all processes together.

    Returns:
        The rows on the device of `own` (the CPU where that is None); None if no process has any.

    """
    if not is_ddp():
        return own
    world_size = dist.get_world_size()
    layouts: list[tuple[torch.Size, torch.dtype] | None] = [None] * world_size
    dist.all_gather_object(layouts, None if own is None else (own.shape[1:], own.dtype))
    known = [layout for layout in layouts if layout is not None]
    if not known:
        return None
    (shape, dtype), device = known[0], "cpu" if own is None else own.device
    rows = torch.empty((n_items, *shape), dtype=dtype, device=device)
    # NCCL moves only what lies on the GPU; one share at a time keeps the need for memory there small.
    wire = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
    for rank in range(world_size):
        share = _share_of(rank, n_items)
        if not len(share):
            continue
        part = rows[share.start : share.stop]
        if rank == dist.get_rank() and own is not None:
            part.copy_(own)
        moved = part.to(wire)
        dist.broadcast(moved, src=rank)
        if moved.data_ptr() != part.data_ptr():
            part.copy_(moved)
    return rows


def merge_list_of_dicts(
    list_of_dicts: Sequence[Mapping[str, Any]], device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """
    Give one dictionary whose values are those of the given ones, one after another.

    Args:
        list_of_dicts: Dictionaries with the same keys, at least one. The values of a key are all lists, all tuples, all
            tensors or all arrays; tensors and arrays are joined along their first dimension.
        device: Where tensors are joined, and stay.

    Raises:
        InvalidInputError: no dictionaries, keys that differ, or values that cannot be joined.

    Example:
        >>> merge_list_of_dicts([{"ids": [1], "x": torch.tensor([0.5])}, {"ids": [2, 3], "x": torch.tensor([1.5])}])
        {'ids': [1, 2, 3], 'x': tensor([0.5000, 1.5000])}

    """
    check(len(list_of_dicts) > 0, "`list_of_dicts` must hold at least one dictionary, got none.")
    keys = list(list_of_dicts[0])
    for position, part in enumerate(list_of_dicts):
        check(
            set(part) == set(keys),
            f"All dictionaries must have the same keys, but that at position {position} has {show_some(part)}, and the "
            f"first one has {show_some(keys)}.",
        )
    return {key: _join(key, [part[key] for part in list_of_dicts], device) for key in keys}


def sync_dicts_ddp(
    outputs_from_device: Mapping[str, Any], world_size: int, device: torch.device | str = "cpu"
) -> Mapping[str, Any]:
    """
    Give every process the values of all of them, in the order of ranks.

    All processes of the group must call it. Without a group the given dictionary comes back.

    Args:
        outputs_from_device: What this process has: lists, tuples, tensors or arrays, as in `merge_list_of_dicts`.
        world_size: The number of processes in the group; at most 1 without one.
        device: Where tensors are joined, and stay.

    Raises:
        InvalidInputError: the group has another number of processes, or what they have cannot be joined.

    Warns:
        WarningDDP: more than one process is expected, but there is no group.

    """
    if not is_ddp():
        if world_size > 1:
            warnings.warn(WarningDDP("sync_dicts_ddp"), stacklevel=2)
        return outputs_from_device
    check(
        world_size == dist.get_world_size(),
        f"`world_size` must be the number of processes in the group, {dist.get_world_size()}, got {world_size}.",
    )
    # what lies on a GPU would be unpickled there, once per process
    own = {k: v.detach().cpu() if isinstance(v, Tensor) else v for k, v in outputs_from_device.items()}
    parts: list[Any] = [None] * world_size
    dist.all_gather_object(parts, own)
    return merge_list_of_dicts(parts, device)


def _join(key: str, values: list[Any], device: torch.device | str) -> Any:
    kinds = {next((kind for kind in (list, tuple, Tensor, np.ndarray) if isinstance(v, kind)), type(v)) for v in values}
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    check(len(kinds) == 1, f"The values of {key!r} must be of one type to be joined, got {names}.")
    if isinstance(values[0], Tensor):
        return torch.cat([value.to(device) for value in values])
    if isinstance(values[0], np.ndarray):
        return np.concatenate(values)
    check(
        isinstance(values[0], (list, tuple)),
        f"The values of {key!r} must be lists, tuples, tensors or arrays to be joined, got {names}.",
    )
    return type(values[0])([element for value in values for element in value])


def _share_of(rank: int, n_items: int) -> range:
    world_size = dist.get_world_size()
    return range(n_items * rank // world_size, n_items * (rank + 1) // world_size)
