"""What a process knows about the group of processes it works in, and how a group fills one tensor together."""

import torch
import torch.distributed as dist
from torch import Tensor


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


def _share_of(rank: int, n_items: int) -> range:
    world_size = dist.get_world_size()
    return range(n_items * rank // world_size, n_items * (rank + 1) // world_size)
