"""Optimisers by name."""

from typing import Any

from torch.optim import Optimizer

from oml.const import TCfg
from oml.registry.registry import Registry

OPTIMIZERS_REGISTRY = Registry(
    "optimizer",
    {
        "adadelta": "torch.optim:Adadelta",
        "adagrad": "torch.optim:Adagrad",
        "adam": "torch.optim:Adam",
        "adamax": "torch.optim:Adamax",
        "adamw": "torch.optim:AdamW",
        "asgd": "torch.optim:ASGD",
        "lbfgs": "torch.optim:LBFGS",
        "rmsprop": "torch.optim:RMSprop",
        "rprop": "torch.optim:Rprop",
        "sgd": "torch.optim:SGD",
    },
)


def get_optimizer(name: str, **kwargs: Any) -> Optimizer:
    """
    Build an optimiser by its name in `OPTIMIZERS_REGISTRY`.

    Raises:
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the optimiser does not take an argument, or lacks one.

    Example:
        >>> import torch
        >>> type(get_optimizer("adamw", params=torch.nn.Linear(2, 1).parameters(), lr=1e-3)).__name__
        'AdamW'

    """
    optimizer: Optimizer = OPTIMIZERS_REGISTRY.build(name, **kwargs)
    return optimizer


def get_optimizer_by_cfg(cfg: TCfg, **kwargs_runtime: Any) -> Optimizer:
    """
    Build the optimiser that a config `{"name": ..., "args": {...}}` describes.

    Args:
        cfg: the config.
        kwargs_runtime: `params`, what to optimise.

    Raises:
        InvalidInputError: the config has other keys.
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the optimiser does not take an argument, or lacks one.

    """
    optimizer: Optimizer = OPTIMIZERS_REGISTRY.build_by_cfg(cfg, **kwargs_runtime)
    return optimizer
