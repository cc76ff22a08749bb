"""The multilayer perceptron of heads and projections."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

from oml.errors import check


def make_mlp(
    in_features: int,
    widths: Sequence[int],
    activation: Callable[[], nn.Module] = nn.ReLU,
    dropout: float = 0.0,
    last_bias: bool = True,
) -> nn.Sequential:
    """
    Give linear layers with an activation and dropout between each two. Names in its state are those of torchvision's.

    Args:
        in_features: The width of the input.
        widths: Of what each layer gives.
        activation: Makes an activation.
        dropout: The share of activations that are zero in training.
        last_bias: Whether the last layer has a bias.

    Raises:
        InvalidInputError: there are no layers, or one has no features.

    Example:
        >>> [name for name in make_mlp(4, [8, 1], last_bias=False).state_dict()]
        ['0.weight', '0.bias', '3.weight']

    """
    check(
        len(widths) > 0 and min(in_features, *widths) >= 1,
        f"A perceptron must have at least one layer, and each at least one feature, got {in_features} features in and "
        f"the layers {list(widths)}.",
    )
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise((in_features, *widths)):
        layers += [activation(), nn.Dropout(dropout)] if layers else []
        layers += [nn.Linear(n_in, n_out, bias=last_bias or len(layers) // 3 + 1 < len(widths))]
    return nn.Sequential(*layers)
