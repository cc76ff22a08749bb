"""Schedulers of the learning rate by name."""

from typing import Any

from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from oml.const import TCfg
from oml.registry.registry import Registry

_TORCH = "torch.optim.lr_scheduler"


class ReduceLROnPlateauPatch(ReduceLROnPlateau):
    """PyTorch's scheduler, whose `get_last_lr()` works since PyTorch 2.4; the name is kept for scripts that have it."""


SCHEDULERS_REGISTRY = Registry(
    "scheduler",
    {
        "cosine_annealing": f"{_TORCH}:CosineAnnealingLR",
        "cyclic": f"{_TORCH}:CyclicLR",
        "exponential": f"{_TORCH}:ExponentialLR",
        "lambda": f"{_TORCH}:LambdaLR",
        "multi_step": f"{_TORCH}:MultiStepLR",
        "multiplicative": f"{_TORCH}:MultiplicativeLR",
        "one_cycle": f"{_TORCH}:OneCycleLR",
        "reduce_on_plateau": ReduceLROnPlateauPatch,
        "step": f"{_TORCH}:StepLR",
    },
)


def get_scheduler(name: str, **kwargs: Any) -> LRScheduler:
    """
    Build a scheduler by its name in `SCHEDULERS_REGISTRY`.

    Raises:
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the scheduler does not take an argument, or lacks one.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD(torch.nn.Linear(2, 1).parameters(), lr=0.1)
        >>> get_scheduler("step", optimizer=optimizer, step_size=30).get_last_lr()
        [0.1]

    """
    scheduler: LRScheduler = SCHEDULERS_REGISTRY.build(name, **kwargs)
    return scheduler


def get_scheduler_by_cfg(cfg: TCfg, **kwargs_runtime: Any) -> LRScheduler:
    """
    Build the scheduler that a config `{"name": ..., "args": {...}}` describes.

    Args:
        cfg: the config.
        kwargs_runtime: `optimizer`, and functions that no config can hold, such as `lr_lambda`; those that the
            scheduler does not take are left out.

    Raises:
        InvalidInputError: the config has other keys.
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the scheduler does not take an argument, or lacks one.

    """
    scheduler: LRScheduler = SCHEDULERS_REGISTRY.build_by_cfg(cfg, **kwargs_runtime)
    return scheduler
