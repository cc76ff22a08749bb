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

# numbers of a block: few enough for the cache of a processor, many enough to fill an accelerator
CPU_BLOCK = 2**21
DEVICE_BLOCK = 2**24


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


def calc_products(made: ClassLogits, block: ClassBlock) -> Tensor:
    """Give the products (n, K, K) of the centres of each class of a block with one another."""
    centres = split_centres(made.weight[block.rows].to(made.directions.dtype), made.n_centres)
    return torch.bmm(centres, centres.transpose(1, 2))


def split_centres(logits: Tensor, n_centres: int) -> Tensor:
    """Give logits (n * K, B), or anything else with a row for each centre, as (n, K, B)."""
    return logits.view(len(logits) // n_centres, n_centres, logits.shape[1])


def split_classes(made: ClassLogits) -> Iterator[ClassBlock]:
    """Give all the classes, block after block."""
    n_classes, size = len(made.weight) // made.n_centres, _get_block_size(made)
    for first in range(0, n_classes, size):
        last = min(first + size, n_classes)
        places = made.labels - first
        is_here = (places >= 0) & (places < last - first)
        rows = slice(first * made.n_centres, last * made.n_centres)
        yield ClassBlock(slice(first, last), rows, is_here, places.clamp_(0, last - first - 1)[None])


def make_room(made: ClassLogits) -> Tensor:
    """Give room for as many numbers as the largest block has, (r, B): new memory for each block would take time."""
    n_rows = min(len(made.weight), _get_block_size(made) * made.n_centres)
    return made.directions.new_empty(n_rows, len(made.directions))


def _get_block_size(made: ClassLogits) -> int:
    n_numbers = CPU_BLOCK if made.weight.device.type == "cpu" else DEVICE_BLOCK
    return max(1, n_numbers // (made.n_centres * max(1, made.weight.shape[1], len(made.directions))))


def calc_gradients(
    made: ClassLogits,
    calc_slopes: Callable[[ClassBlock, Tensor], Tensor],
    needs: tuple[bool, bool],
    grad_products: Tensor | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """
    Give the gradients of the normalised items (B, D) and of the weight (R, D).

    Args:
        made: The logits and what they were made of.
        calc_slopes: Gives the gradients of the logits of a block (r, B), which are overwritten; it may put them into
            the room that it is given, (r, B).
        needs: Whether the items, and whether the weight, need a gradient.
        grad_products: Gradient of the products of the centres of each class, (C, K, K), if they were given away.

    Raises:
        RuntimeError: called with `create_graph=True`.

    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            "Losses of classifiers and proxies have no second derivative (create_graph=True): to save memory, their "
            "first one is computed in place."
        )
    logits, factors, directions, weight, _, scale, n_centres = made
    grad_weight = torch.empty_like(weight, memory_format=torch.contiguous_format) if needs[1] else None
    grad_directions = torch.zeros_like(directions) if needs[0] else None
    room = make_room(made)
    with torch.autocast(weight.device.type, enabled=False):
        for block in split_classes(made):
            rows, row_factors = weight[block.rows].to(directions.dtype), factors[block.rows]
            slopes = calc_slopes(block, room[: len(rows)]).mul_(row_factors[:, None])
            if grad_directions is not None:
                grad_directions.addmm_(slopes.T, rows)
            if grad_weight is not None:
                out = grad_weight[block.rows]
                is_direct = out.dtype == directions.dtype
                gradient = torch.mm(slopes, directions, out=out if is_direct else None)
                # what points along a row changes its length only, not its cosines
                along = slopes.mul_(logits[block.rows]).sum(dim=1).mul_(row_factors)
                if grad_products is None:
                    gradient.addcmul_(rows, along[:, None], value=-1 / scale**2)
                else:
                    shares = grad_products[block.classes]
                    shares = shares + shares.mT
                    shares.diagonal(dim1=1, dim2=2).sub_(along.view(-1, n_centres), alpha=1 / scale**2)
                    split_centres(gradient, n_centres).baddbmm_(shares, split_centres(rows, n_centres))
                if not is_direct:
                    out.copy_(gradient)
    return grad_directions, grad_weight
