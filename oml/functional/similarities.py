"""Cosine similarities between rows of features."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from oml.errors import check
from oml.functional.distances import at_least_float32, normalise


def cosine_similarities(x1: Tensor, x2: Tensor | None = None) -> Tensor:
    """
    Give the cosine of each row of x1 (N, D) and each row of x2 (M, D), or of x1 if x2 is None: (N, M).

    A row of zeros has the similarity 0 to everything. Half precision is computed, and given back, in float32, also
    inside autocast. Within x1 the gradient takes one product instead of two, and can not be differentiated again.

    Raises:
        InvalidInputError: an argument is not 2-D, or the widths differ.

    Example:
        >>> cosine_similarities(torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 0.0], [0.0, 5.0]]))
        tensor([[1., 0.]])

    """
    shapes = [tuple(x.shape) for x in (x1, x2) if x is not None]
    check(
        all(len(shape) == 2 for shape in shapes) and len({shape[-1] for shape in shapes}) == 1,
        f"cosine_similarities takes matrices (N, D) and (M, D) of one width, got the shapes {shapes}.",
    )
    wide = at_least_float32(x1)
    if x2 is None:
        similarities: Tensor = _CosineWithin.apply(wide)
        return similarities
    with torch.autocast(x1.device.type, enabled=False):
        return normalise(wide) @ normalise(at_least_float32(x2)).T


class _CosineWithin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        scales = torch.where(norms > 0, norms, 1).reciprocal()
        unit = x * scales
        with torch.autocast(x.device.type, enabled=False):
            similarities = unit @ unit.T
        ctx.save_for_backward(unit, scales, similarities)
        return similarities

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        unit, scales, similarities = ctx.saved_tensors
        # copying a transposed matrix is five times as fast as adding one
        weights = grad.T.clone(memory_format=torch.contiguous_format).add_(grad)
        # what is left of the gradient across the vector itself: along it nothing changes
        along = (weights * similarities).sum(dim=1, keepdim=True)
        with torch.autocast(grad.device.type, enabled=False):
            grad_x: Tensor = weights @ unit
        return grad_x.addcmul_(unit, along, value=-1).mul_(scales)
