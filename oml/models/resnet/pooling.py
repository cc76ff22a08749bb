"""Pooling of a map of features into one vector."""

import torch
from torch import Tensor, nn

from oml.errors import check


class GEM(nn.Module):
    """
    Generalised mean over the image: `mean(x ** p) ** (1 / p)` per channel, from (B, C, H, W) to (B, C, 1, 1).

    `p=1` is the average of the positive part, `p -> inf` is the maximum. Source: Radenovic et al., "Fine-tuning CNN
    Image Retrieval with No Human Annotation", 2018, equation 3; here `p` is a constant.

    Args:
        p: The power, positive.
        eps: Smaller values are raised to it, since the formula wants positive ones.

    Raises:
        InvalidInputError: `p` or `eps` is not positive.

    Example:
        >>> round(GEM(p=2)(torch.tensor([3.0, 4.0]).reshape(1, 1, 1, 2)).item() ** 2, 4)
        12.5

    """

    def __init__(self, p: float, eps: float = 1e-6):
        super().__init__()
        check(p > 0, f"The power p of GEM must be positive, got {p}. 1 is the average, 3 is usual.")
        check(eps > 0, f"eps of GEM must be positive, got {eps}.")
        self.p = p
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, C, H, W) to (B, C, 1, 1)."""
        values = (x if x.dtype == torch.float64 else x.float()).clamp(min=self.eps)
        # The mean is homogeneous: dividing by the maximum changes nothing but keeps the powers of small values from
        # vanishing, which would make the gradient infinite (1e-6 to the power 8 is zero in float32).
        scale = values.detach().amax(dim=(-2, -1), keepdim=True)
        pooled = (values / scale).pow(self.p).mean(dim=(-2, -1), keepdim=True).pow(1 / self.p) * scale
        return pooled.to(x.dtype)

    def extra_repr(self) -> str:
        """Give the options for printing."""
        return f"p={self.p}, eps={self.eps}"
