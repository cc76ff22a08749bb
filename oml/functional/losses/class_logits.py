"""
Logits `scale * cos` of classes and items, and their gradients, in blocks of classes.

The loss of a classifier looks at each of C * B logits, and C may be a million. Here they lie as (C, B), so that a block
of classes is one piece of memory, and all that is done with it is done while it is in the cache of a processor. The
weight is not normalised: the norms of its rows divide the logits, and its gradient is projected where it is written. So
there is one array of C * B numbers beside the weight and its gradient, and no other of their sizes.

A class may have several centres, K rows of the weight one after another: then there are R = C * K rows of logits.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from oml.functional.search_threads import get_n_workers, run_in_threads

# numbers of a block: few enough for the cache of a processor, many enough to fill an accelerator
CPU_BLOCK = 2**20
DEVICE_BLOCK = 2**24
_NO_LIMIT = 2**62


class ClassBlock(NamedTuple):
    """
    Some classes, the rows of the weight that are theirs, and where among them the items' own classes are.

    `is_here` (B,) tells whose class is in the block; `places` (1, B) are their places, or any place if it is elsewhere.
    """

    classes: slice
    rows: slice
    is_here: Tensor
    places: Tensor

    def put_(self, values: Tensor, new: Tensor | float, old: Tensor | None = None) -> None:
        """Set the values (n, B) of the items' own classes, where they are here, to new ones (B,)."""
        old = values.gather(0, self.places) if old is None else old
        values.scatter_(0, self.places, torch.where(self.is_here, new, old))


class ClassLogits(NamedTuple):
    """
    Logits of the rows of `weight` (R, D), not normalised, and of `directions` (B, D), normalised.

    They are `factors * (weight @ directions.T)`, (R, B), with the factors (R,) `scale / |row|`; a row of zeros counts
    as of the norm 1. `logits` has R = 0 rows if they are not kept.
    """

    logits: Tensor
    factors: Tensor
    directions: Tensor
    weight: Tensor
    labels: Tensor
    scale: float
    n_centres: int


def make_logits(
    directions: Tensor, weight: Tensor, labels: Tensor, scale: float, n_centres: int, keep: bool
) -> ClassLogits:
    """Give room for the logits of the items (B, D), with the labels (B,), which `calc_block` fills."""
    logits = directions.new_empty(len(weight) if keep else 0, len(directions))
    return ClassLogits(logits, directions.new_empty(len(weight)), directions, weight, labels, scale, n_centres)


def calc_block(made: ClassLogits, block: ClassBlock, turned: Tensor) -> Tensor:
    """Give the logits (r, B) of a block, written where they are kept; `turned` are the directions as (D, B)."""
    weight = made.weight[block.rows].to(turned.dtype)
    factors = made.factors[block.rows]
    norms = torch.linalg.vector_norm(weight, dim=1)
    torch.div(made.scale, norms + (norms == 0), out=factors)
    if not len(made.logits):
        return torch.mm(weight, turned).mul_(factors[:, None])
    return torch.mm(weight, turned, out=made.logits[block.rows]).mul_(factors[:, None])


def split_centres(logits: Tensor, n_centres: int) -> Tensor:
    """Give logits (n * K, B) as (n, K, B)."""
    return logits.view(len(logits) // n_centres, n_centres, logits.shape[1])


def work_by_parts(
    made: ClassLogits, work: Callable[[Iterator[ClassBlock], Tensor], tuple[Tensor, ...]]
) -> tuple[Tensor, ...]:
    """
    Let threads work on parts of the classes, block after block; give what they give, stacked by parts.

    The threads are our own: on a processor that others use, too, threads that share each operation on a block spend
    their time on waiting for each other. Elsewhere than on a processor, and if there is little to do, there is one
    part.

    Args:
        made: Says what the classes are.
        work: Takes the blocks of a part and room for two matrices of the size of a block, (2, r, B).

    """
    weight, n_items, n_centres = made.weight, len(made.directions), made.n_centres
    n_classes = len(weight) // n_centres
    n_parts = min(n_classes, get_n_workers(weight.device, weight.numel() * n_items, _NO_LIMIT))
    n_numbers = CPU_BLOCK if weight.device.type == "cpu" else DEVICE_BLOCK
    size = min(n_classes, max(1, n_numbers // (n_centres * max(1, weight.shape[1], n_items))))
    # room taken by the threads themselves would be new memory in each step
    room = made.directions.new_empty(n_parts, 2, size * n_centres, n_items)
    mode = torch.inference_mode if torch.is_inference_mode_enabled() else torch.no_grad  # new threads know of neither
    found: list[tuple[Tensor, ...]] = [()] * n_parts

    def work_on(part: int) -> None:
        start, stop = part * n_classes // n_parts, (part + 1) * n_classes // n_parts
        with mode(), torch.autocast(weight.device.type, enabled=False):
            found[part] = work(_split_classes(made, start, stop, size), room[part])

    run_in_threads(work_on, range(n_parts), n_parts, on_done=lambda part: None)
    return tuple(torch.stack(parts) for parts in zip(*found, strict=True))


def _split_classes(made: ClassLogits, start: int, stop: int, size: int) -> Iterator[ClassBlock]:
    for first in range(start, stop, size):
        last = min(first + size, stop)
        places = made.labels - first
        is_here = (places >= 0) & (places < last - first)
        rows = slice(first * made.n_centres, last * made.n_centres)
        yield ClassBlock(slice(first, last), rows, is_here, places.clamp_(0, last - first - 1)[None])


def calc_gradients(
    made: ClassLogits, calc_slopes: Callable[[ClassBlock, Tensor], Tensor], needs: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """
    Give the gradients of the normalised items (B, D) and of the weight (R, D).

    Args:
        made: The logits and what they were made of.
        calc_slopes: Gives the gradients of the logits of a block (r, B), which are overwritten; it may put them into
            the room that it is given, (r, B).
        needs: Whether the items, and whether the weight, need a gradient.

    Raises:
        RuntimeError: called with `create_graph=True`.

    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            "Losses of classifiers and proxies have no second derivative (create_graph=True): to save memory, their "
            "first one is computed in place."
        )
    logits, factors, directions, weight, _, scale, _ = made
    grad_weight = torch.empty_like(weight, memory_format=torch.contiguous_format) if needs[1] else None

    def work(blocks: Iterator[ClassBlock], room: Tensor) -> tuple[Tensor]:
        grad_directions = torch.zeros_like(directions)
        for block in blocks:
            rows, row_factors = weight[block.rows].to(directions.dtype), factors[block.rows]
            slopes = calc_slopes(block, room[0, : len(rows)]).mul_(row_factors[:, None])
            if needs[0]:
                grad_directions.addmm_(slopes.T, rows)
            if grad_weight is not None:
                # what points along a row changes its length only, not its cosines
                products = torch.mul(slopes, logits[block.rows], out=room[1, : len(rows)])
                along = products.sum(dim=1).mul_(row_factors).mul_(-1 / scale**2)
                out = grad_weight[block.rows]
                if out.dtype == directions.dtype:
                    torch.addmm(torch.mul(rows, along[:, None], out=out), slopes, directions, out=out)
                else:
                    out.copy_(torch.addmm(rows * along[:, None], slopes, directions))
        return (grad_directions,)

    (grad_directions,) = work_by_parts(made, work)
    return grad_directions.sum(dim=0) if needs[0] else None, grad_weight
