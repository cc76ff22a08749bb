"""What losses and miners ask of the numbers in features."""

import math

import torch
from torch import Tensor

from oml.errors import check, show_some


def check_finite(features: Tensor, name: str = "features") -> None:
    """
    Raise if a row of the features (B, ...) has NaN or infinity.

    This is looked at on the processor only, and not under `torch.compile`: elsewhere finding out would mean waiting for
    the device in each step, so that there the loss is NaN, and `oml.losses.TrainingMonitor` names the items.

    Raises:
        InvalidInputError: there are such rows.

    Example:
        >>> check_finite(torch.zeros(2, 4))

    """
    if features.device.type != "cpu" or torch.compiler.is_compiling():
        return
    # the sum of all is a fifth of the work, but a sum of large numbers may overflow
    if math.isfinite(features.detach().sum()):
        return
    is_bad = ~features.detach().isfinite().reshape(len(features), -1).all(dim=1)
    bad = is_bad.nonzero()[:, 0].tolist()
    check(
        not bad,
        f"{name} must be finite numbers, but these rows have NaN or infinity: {show_some(bad)}. Look at these inputs "
        "first; if they are sound the training has diverged: lower the learning rate, clip gradients, or take "
        "bfloat16 in place of float16.",
    )
