"""Gradient checkpointing: less memory for a training step, for about a third more time."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from oml.errors import InvalidInputError, check
from oml.models.tuning.blocks import find_backbones, find_blocks


def set_gradient_checkpointing(extractor: nn.Module, enable: bool = True) -> None:
    """
    Let training keep the inputs of each block only, and calculate the rest again in the backward pass, or stop that.

    Embeddings and gradients are the same. Networks of timm and transformers use their own way of it. Others are treated
    block by block, statistics of batch normalisation being updated once per batch; timm's convolutional networks update
    theirs twice.

    Args:
        extractor: Any extractor, or a module that has some in it; changed in place, names of weights stay.
        enable: Whether to do so, or to undo it.

    Raises:
        InvalidInputError: a network does not support it.

    Example:
        >>> from oml.models import ResnetExtractor
        >>> extractor = ResnetExtractor(weights=None, arch="resnet18")
        >>> set_gradient_checkpointing(extractor)

    """
    for path, network in find_backbones(extractor):
        if hasattr(network, "set_grad_checkpointing"):
            _set_of_timm(network, enable)
        elif hasattr(network, "gradient_checkpointing_enable"):
            _set_of_transformers(network, enable)
        else:
            _set_of_blocks(network, path or type(network).__name__, enable)


def _set_of_timm(network: Any, enable: bool) -> None:
    try:
        network.set_grad_checkpointing(enable)
    except AssertionError as error:
        raise InvalidInputError(f"{type(network).__name__} of timm cannot be checkpointed: {error}.") from error


def _set_of_transformers(network: Any, enable: bool) -> None:
    # Newer versions have another name for it, and warn of the old one.
    name = "activation" if hasattr(network, "activation_checkpointing_enable") else "gradient"
    try:
        if enable:
            getattr(network, f"{name}_checkpointing_enable")({"use_reentrant": False})
        else:
            getattr(network, f"{name}_checkpointing_disable")()
    except ValueError as error:
        raise InvalidInputError(f"{type(network).__name__} of transformers cannot be checkpointed: {error}") from error


def _set_of_blocks(network: nn.Module, name: str, enable: bool) -> None:
    # A network without blocks is one itself, if it has more than one layer.
    blocks = [block for _, block in find_blocks(network)] or [network] * (next(network.children(), None) is not None)
    check(bool(blocks), f"{name} has no blocks to be checkpointed: it is a single {type(network).__name__}.")
    for block in blocks:
        vars(block).pop("forward", None)
        if enable:
            block.forward = _CheckpointedForward(block)


class _CheckpointedForward:
    """Stands in for the method `forward` of a block; an object, so that models can be copied and saved whole."""

    def __init__(self, block: nn.Module):
        self.block = block

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        forward = type(self.block).forward
        if not torch.is_grad_enabled():
            return forward(self.block, *args, **kwargs)

        def get_contexts() -> tuple[Any, Any]:
            return nullcontext(), _keep_statistics(self.block)

        return checkpoint(forward, self.block, *args, use_reentrant=False, context_fn=get_contexts, **kwargs)


@contextmanager
def _keep_statistics(block: nn.Module) -> Iterator[None]:
    tracking = [m for m in block.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    kept = [(module, module.momentum, module.num_batches_tracked) for module in tracking]
    for module, _, n_batches in kept:
        module.momentum, module.num_batches_tracked = 0.0, None if n_batches is None else n_batches.clone()
    try:
        yield
    finally:
        for module, momentum, n_batches in kept:
            module.momentum, module.num_batches_tracked = momentum, n_batches
