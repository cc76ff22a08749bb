"""What losses share."""

from torch import Tensor

from oml.errors import InvalidInputError, check

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction: str) -> None:
    """
    Raise unless the name is one of the known reductions.

    Raises:
        InvalidInputError: the name is unknown.

    """
    if reduction not in REDUCTIONS:
        raise InvalidInputError(f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}.")


def get_reduced(tensor: Tensor, reduction: str) -> Tensor:
    """
    Give the mean or the sum of the losses, or the losses as they are. Of no losses both the mean and the sum are 0.

    Args:
        tensor: Losses of any shape.
        reduction: "mean", "sum" or "none".

    Raises:
        InvalidInputError: another reduction.

    Example:
        >>> import torch
        >>> get_reduced(torch.tensor([1.0, 2.0]), "mean"), get_reduced(torch.tensor([]), "mean")
        (tensor(1.5000), tensor(0.))

    """
    check_reduction(reduction)
    if reduction == "none":
        return tensor
    total = tensor.sum()
    return total / max(1, tensor.numel()) if reduction == "mean" else total


def check_temperatures(**temperatures: float) -> None:
    """
    Raise unless all the named temperatures are above 0.

    Raises:
        InvalidInputError: one is not.

    """
    for name, temperature in temperatures.items():
        check(temperature > 0, f"{name} must be above 0, got {temperature}.")
