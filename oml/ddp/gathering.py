"""Rows of all processes with gradients: what a loss of the whole batch needs where each process has a part of it."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from oml.ddp.utils import is_ddp
from oml.errors import check


def gather_rows(own: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """
    Give the rows of all processes, (sum of B, ...), those of the first process first; gradients flow to one's own rows.

    All processes must call it. The numbers of rows may differ, and be 0. Where every process computes the same loss of
    the gathered rows, the gradient of one's own rows is that of this loss, times the number of processes: taking the
    mean over the processes, as `DistributedDataParallel` does, then gives the gradient of one process that has all
    rows. Nothing is sent in the backward pass.

    Args:
        own: rows of this process, (B, ...), of the same dtype and shape of a row in all processes.
        group: the processes; all by default.

    Raises:
        InvalidInputError: the processes differ in the shape of a row or in the dtype.

    """
    if not is_ddp() or dist.get_world_size(group) == 1:
        return own
    sizes = _gather_sizes(own, group)
    gathered: Tensor = _Gather.apply(own, sizes, group)
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, sizes: list[int], group: dist.ProcessGroup | None) -> Tensor:
        rank = dist.get_rank(group)
        ctx.place = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
        ctx.n_processes = len(sizes)
        # the collective takes parts of one size only
        padded = own.new_zeros(max(sizes), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded, group=group)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][ctx.place] * ctx.n_processes, None, None


def _gather_sizes(own: Tensor, group: dist.ProcessGroup | None) -> list[int]:
    width = own[0].numel() if len(own) else own.new_empty(1, *own.shape[1:]).numel()
    layout = torch.tensor([len(own), own.ndim, width, own.dtype.itemsize, own.dtype.is_floating_point])
    layout = layout.to(own.device, torch.int64)
    layouts = [torch.empty_like(layout) for _ in range(dist.get_world_size(group))]
    dist.all_gather(layouts, layout, group=group)
    found = torch.stack(layouts).tolist()
    check(
        all(other[1:] == found[0][1:] for other in found),
        "All processes must gather rows of one shape and dtype, got rows of "
        + ", ".join(f"{width} numbers of {itemsize} bytes" for _, _, width, itemsize, _ in found)
        + " in the order of their ranks.",
    )
    return [size for size, *_ in found]
