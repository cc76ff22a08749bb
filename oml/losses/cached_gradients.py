"""Large batches in little memory: features first, their gradients next, the network chunk by chunk at last."""

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import get_device_states, set_device_states

from oml.errors import check

TInputs = Any  # a tensor whose rows are items, or tuples, lists and dicts of such


class CachedGradients(nn.Module):
    """
    The loss of a large batch whose gradients need the memory of a chunk of it: gradient caching.

    Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup". Features of all chunks
    are computed without a graph; the loss of all of them is an ordinary one; in the backward pass each chunk is
    computed once more, with the same random numbers and the same autocast, and its share of the gradients flows into
    the weights. So a step takes one forward pass more.

    The gradients are those of the whole batch, for any criterion, unless items of a batch influence each other inside
    the extractor, as batch normalisation does in training: `check_equivalence` tells. Weights that are shared with the
    criterion are fine. The inputs themselves get no gradients.

    Args:
        extractor: Gives features (B, D) for inputs of B items. Inside `DistributedDataParallel` gradients are exchanged
            once, with the last chunk.
        loss: Any criterion, called with the features and the further arguments.
        chunk_size: The most items in a chunk, at least 1.

    Raises:
        InvalidInputError: the chunk size is below 1.

    Example:
        >>> from oml.losses import TripletLossWithMiner
        >>> extractor = nn.Linear(8, 4)
        >>> step = CachedGradients(extractor, TripletLossWithMiner(margin=0.5), chunk_size=2)
        >>> loss = step(torch.randn(6, 8), torch.tensor([0, 0, 1, 1, 2, 2]))
        >>> loss.backward()
        >>> extractor.weight.grad.shape
        torch.Size([4, 8])

    """

    def __init__(self, extractor: nn.Module, loss: nn.Module, chunk_size: int) -> None:
        check(chunk_size >= 1, f"`chunk_size` must be at least 1, got {chunk_size}.")
        super().__init__()
        self.extractor = extractor
        self.loss = loss
        self.chunk_size = chunk_size

    def forward(self, inputs: TInputs, *args: Any) -> Tensor:
        """
        Give the loss.

        Args:
            inputs: A tensor (B, ...), or a tuple, list or dict of such, for the extractor.
            args: What else the criterion takes: labels.

        """
        loss: Tensor = self.loss(self.extract(inputs), *args)
        return loss

    def extract(self, inputs: TInputs) -> Tensor:
        """Give the features (B, D), whose backward pass goes through the chunks; for losses of several extractions."""
        anchor = torch.zeros((), device=_find_tensor(inputs).device, requires_grad=torch.is_grad_enabled())
        features: Tensor = _Extract.apply(anchor, self.extractor, list(_split(inputs, self.chunk_size)))
        return features

    def check_equivalence(self, inputs: TInputs, *args: Any) -> dict[str, float]:
        """
        Compare loss and gradients with those of the whole batch at once, which must fit into the memory.

        Gradients that are there are put back, and the state, such as a memory bank or running means. Layers that draw
        at random, such as dropout, draw other numbers for a whole batch than for its chunks: switch them off by eval().

        Returns:
            "loss": the difference of the losses; and for each parameter of the extractor and the criterion the largest
            difference of its gradients, as a share of the largest gradient of all.

        """
        parameters = {name: p for name, p in self.named_parameters() if p.requires_grad}
        kept = {name: p.grad for name, p in parameters.items()}
        state, random_states = copy.deepcopy(self.state_dict()), (torch.get_rng_state(), np.random.get_state())
        losses, gradients = [], []
        for is_cached in (True, False):
            for parameter in parameters.values():
                parameter.grad = None
            torch.set_rng_state(random_states[0])
            np.random.set_state(random_states[1])
            features = self.extract(inputs) if is_cached else _call(self.extractor, inputs)
            loss = self.loss(features, *args).sum()  # the gradients of a loss for each item are those of their sum
            loss.backward()
            self.load_state_dict(state)
            losses.append(float(loss.detach()))
            gradients.append({n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in parameters.items()})
        for name, parameter in parameters.items():
            parameter.grad = kept[name]
        largest = max((float(g.abs().max()) for g in gradients[1].values() if g.numel()), default=0.0) or 1.0
        found = {n: float((g - gradients[1][n]).abs().max()) / largest for n, g in gradients[0].items() if g.numel()}
        return {"loss": abs(losses[0] - losses[1]), **found}

    @property
    def last_logs(self) -> dict[str, float]:
        """The logs of the criterion."""
        logs: dict[str, float] = getattr(self.loss, "last_logs", {})
        return logs


class _Extract(torch.autograd.Function):
    """Features of all chunks; the first argument is there for its gradient to be asked for."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, extractor: nn.Module, chunks: list[TInputs]) -> Tensor:
        ctx.extractor, ctx.chunks = extractor, chunks
        device = anchor.device.type
        ctx.autocast = device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
        ctx.random_states, features = [], []
        for chunk in chunks:
            ctx.random_states.append((torch.get_rng_state(), *get_device_states(_find_tensor(chunk))))
            features.append(_call(extractor, chunk))
        ctx.sizes = [len(part) for part in features]
        return torch.cat(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        extractor, n_chunks = ctx.extractor, len(ctx.chunks)
        device, dtype, is_enabled = ctx.autocast
        for i, (chunk, gradient) in enumerate(zip(ctx.chunks, torch.split(gradients[0], ctx.sizes), strict=True)):
            state, devices, device_states = ctx.random_states[i]
            with ExitStack() as stack:
                stack.enter_context(torch.random.fork_rng(devices=devices, device_type=device if devices else "cuda"))
                stack.enter_context(torch.enable_grad())
                stack.enter_context(_wait_with_exchange(extractor, is_last=i == n_chunks - 1))
                torch.set_rng_state(state)
                set_device_states(devices, device_states)
                with torch.autocast(device, dtype=dtype, enabled=is_enabled):
                    features = _call(extractor, chunk)
                if features.requires_grad:
                    torch.autograd.backward(features, gradient)
        return gradients[0].new_zeros(()), None, None


def _wait_with_exchange(extractor: nn.Module, is_last: bool) -> AbstractContextManager[Any]:
    no_sync = getattr(extractor, "no_sync", None)
    return nullcontext() if is_last or no_sync is None else no_sync()


def _call(extractor: nn.Module, inputs: TInputs) -> Tensor:
    features: Tensor = extractor(inputs)
    return features


def _split(inputs: TInputs, size: int) -> Iterator[TInputs]:
    """Give the inputs of chunks of like sizes; one, maybe empty, at least."""
    n = len(_find_tensor(inputs))
    n_chunks = max(1, -(-n // size))
    for i in range(n_chunks):
        yield _slice(inputs, slice(n * i // n_chunks, n * (i + 1) // n_chunks))


def _slice(inputs: TInputs, place: slice) -> TInputs:
    if isinstance(inputs, Tensor):
        return inputs[place]
    if isinstance(inputs, dict):
        return type(inputs)({name: _slice(value, place) for name, value in inputs.items()})
    return type(inputs)([_slice(value, place) for value in inputs])


def _find_tensor(inputs: TInputs) -> Tensor:
    found = inputs
    while not isinstance(found, Tensor):
        check(
            isinstance(found, dict | list | tuple) and len(found) > 0,
            f"`inputs` must be a tensor (B, ...), or a tuple, list or dict of tensors, got {type(found).__name__}.",
        )
        found = next(iter(found.values() if isinstance(found, dict) else found))
    return found
