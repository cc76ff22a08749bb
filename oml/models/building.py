"""Networks that are about to be filled from a checkpoint: made without random weights, filled without a second copy."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


def build_network(constructor: Callable[[], nn.Module], is_filled_later: bool) -> nn.Module:
    """
    Make a network; where all its weights come from a checkpoint anyway, without drawing random ones, which takes longer
    than reading the file.

    Buffers are calculated as ever, also those that no checkpoint holds.

    Args:
        constructor: Makes the network.
        is_filled_later: Whether `load_weights` or `fill` follows.

    """
    if not is_filled_later:
        return constructor()
    with _NoInitialisation():
        return constructor()


class _NoInitialisation(TorchFunctionMode):
    """What changes parameters in place, as initialisation does, does nothing; new memory holds zeros."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        target = args[0] if args else kwargs.get("tensor")
        if isinstance(target, nn.Parameter) and _changes_in_place(getattr(func, "__name__", "")):
            return target
        if func is torch.empty and "memory_format" not in kwargs:
            # With zeros, draws that are repeated until all values are within limits end at once.
            func = _make_zeros
        return func(*args, **kwargs)


def _make_zeros(*args: Any, **kwargs: Any) -> Tensor:
    """Do as `torch.zeros`, but on the processor take pages of memory only when they are written to, as numpy does."""
    plan = torch.empty(*args, **{**kwargs, "device": "meta"})
    if torch.device(kwargs.get("device") or torch.get_default_device()).type != "cpu":
        return torch.zeros(*args, **kwargs)
    memory = torch.from_numpy(np.zeros(max(plan.nbytes, 1), dtype=np.uint8))[: plan.nbytes]
    return memory.view(plan.dtype).view(plan.shape).requires_grad_(plan.requires_grad)


def _changes_in_place(name: str) -> bool:
    return name.endswith("_") and not name.endswith("__") and name != "requires_grad_"


def take_tensors(network: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """
    Make the tensors the network's own, in its dtypes, layouts and on its devices; copied only where these differ.

    Parameters keep their `requires_grad`. Tensors that share memory with others, or are a part of a larger one, are
    copied, so that training one never changes another. Names that the network has under two names stay tied.

    Args:
        network: What to fill, in place.
        state_dict: Tensors by the network's own names, which nobody else uses; names may be missing.

    """
    own = network.state_dict(keep_vars=True)
    is_tied = len({id(tensor) for tensor in own.values()}) < len(own)
    if is_tied:  # putting tensors in place of others would untie them
        network.load_state_dict(state_dict, strict=False)
        return
    taken: set[int] = set()
    fitting = {}
    for name, tensor in state_dict.items():
        if name in own:
            fitting[name] = _fit(tensor, own[name], taken)
            taken.add(fitting[name].untyped_storage().data_ptr())
    network.load_state_dict(fitting, strict=False, assign=True)


def _fit(tensor: Tensor, like: Tensor, taken: set[int]) -> Tensor:
    storage = tensor.untyped_storage()
    is_alone = storage.data_ptr() not in taken and storage.nbytes() == tensor.numel() * tensor.element_size()
    is_alike = (tensor.dtype, tensor.device, tensor.stride()) == (like.dtype, like.device, like.stride())
    if is_alone and is_alike:
        return tensor.detach()
    return torch.empty_like(like, requires_grad=False).copy_(tensor.detach())
