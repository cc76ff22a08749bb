"""Learning rates that get smaller from the top of a network to its bottom."""

from collections import defaultdict
from typing import Any

from torch import nn

from oml.errors import check
from oml.models.tuning.blocks import find_backbones, find_blocks, join


def get_layer_decay_groups(
    extractor: nn.Module, lr: float, decay: float = 0.75, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """
    Give groups of parameters for an optimiser, where layers nearer to the input learn more slowly.

    A layer that is `d` layers below the top has the rate `lr * decay ** d`. Heads beside the network have `lr`. What
    the layers are, timm says for its networks; in others they are the stem, each block, and what follows the blocks.
    Vectors and scalars (biases, norms) get no weight decay. Every parameter is in exactly one group, frozen ones too,
    so that they can be unfrozen later. Source: Clark et al., "ELECTRA", 2020, section 3.1; Bao et al., "BEiT", 2021.

    Args:
        extractor: Any extractor, or a module that has some in it.
        lr: The learning rate of the top.
        decay: What each layer multiplies it with, in (0, 1]; 1 gives all the same.
        weight_decay: For matrices and kernels.

    Raises:
        InvalidInputError: a number is out of its range.

    Example:
        >>> from oml.models import TimmExtractor
        >>> groups = get_layer_decay_groups(TimmExtractor("test_vit", projection=8), lr=1.0, decay=0.5)
        >>> sorted({group["lr"] for group in groups})
        [0.015625, 0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0]

    """
    check(lr >= 0, f"lr must not be negative, got {lr}.")
    check(0 < decay <= 1, f"decay must lie in (0, 1]: each layer multiplies the rate with it, got {decay}.")
    check(weight_decay >= 0, f"weight_decay must not be negative, got {weight_decay}.")
    depths = {name: 0 for name, _ in extractor.named_parameters()}
    for path, network in find_backbones(extractor):
        layers = _number_layers(network)
        top = max(layers.values(), default=0)
        # A name may be missing where parameters are shared: they count where they come first.
        depths |= {n: top - i for name, i in layers.items() if (n := join(path, name)) in depths}
    groups: dict[tuple[int, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in extractor.named_parameters():
        groups[depths[name], parameter.ndim > 1].append(parameter)
    return [
        {"params": parameters, "lr": lr * decay**depth, "weight_decay": weight_decay if is_decayed else 0.0}
        for (depth, is_decayed), parameters in sorted(groups.items(), key=lambda item: item[0], reverse=True)
    ]


def _number_layers(network: Any) -> dict[str, int]:
    """Give the layer of each parameter, counted from the input."""
    if hasattr(network, "group_matcher"):
        from timm.models import group_parameters

        numbered: dict[str, int] = group_parameters(network, network.group_matcher(coarse=False), reverse=True)
        return numbered
    names = [name for name, _ in network.named_parameters()]
    blocks = [f"{name}." for name, _ in find_blocks(network)]
    if not blocks:  # each layer is one
        owners = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
        return {name: owners.index(name.rpartition(".")[0]) for name in names}
    numbers, reached = {}, 0
    for name in names:
        block = next((i for i, prefix in enumerate(blocks, start=1) if name.startswith(prefix)), None)
        # Behind a block, what is in none belongs to it (a pooling of a stage), and behind the last one to the top.
        reached = reached if block is None else max(reached, block)
        numbers[name] = block or (reached if reached < len(blocks) else len(blocks) + 1)
    return numbers
