"""Labels that are numbers of classes."""

import torch
from torch import Tensor

from oml.errors import check, show_some


def check_class_labels(labels: Tensor, num_classes: int) -> None:
    """
    Raise unless the labels (B,) are integers in [0, num_classes).

    On a device other than the processor nothing waits for the device: labels out of range fail there as an assertion of
    the device, which is reported some operations later.

    Raises:
        InvalidInputError: another shape or type, or labels out of range.

    Example:
        >>> check_class_labels(torch.tensor([0, 2]), num_classes=3)

    """
    check(labels.ndim == 1, f"Labels must have the shape (B,), got {tuple(labels.shape)}.")
    is_integer = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    check(
        is_integer or not len(labels),  # an empty list gives an empty tensor of float32
        f"Labels must be integers, the numbers of classes, got {labels.dtype}. Convert with .long().",
    )
    is_inside = (labels >= 0) & (labels < num_classes)
    if labels.device.type == "cpu":
        check(
            bool(is_inside.all()),
            f"You should provide labels between 0 and num_classes - 1. With num_classes={num_classes} these are out of "
            f"range: {show_some(sorted(set(labels[~is_inside].tolist())))}. Number the training labels 0, 1, 2, ... or "
            f"raise num_classes.",
        )
    elif labels.device.type != "meta":
        torch._assert_async(is_inside.all(), f"labels must be between 0 and num_classes - 1 = {num_classes - 1}")
