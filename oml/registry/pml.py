"""Parts of pytorch-metric-learning by name: `pml.MultiSimilarityLoss`, with its distances, reducers and miners."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from oml.registry.registry import TConstructor, get_parameters

PREFIX = "pml."
_MODULES = ("losses", "miners", "distances", "reducers", "regularizers")
_MINER = "miner"


class LossWithPMLMiner(nn.Module):
    """
    A loss of pytorch-metric-learning together with one of its miners, called as our criteria are.

    Args:
        loss: Called with embeddings, labels and what the miner gives.
        miner: Called with embeddings and labels.

    """

    def __init__(self, loss: nn.Module, miner: nn.Module):
        super().__init__()
        self.loss, self.miner = loss, miner

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Give the loss of the features (B, D) with the labels (B,)."""
        loss: Tensor = self.loss(features, labels, self.miner(features, labels))
        return loss


def get_pml_constructor(name: str) -> TConstructor:
    """
    Give what builds a part of pytorch-metric-learning.

    Its arguments are those of the class and of its parents; those that are mappings `{"name": "pml....", "args": ...}`
    are built first. A loss takes a `miner` beside.

    Args:
        name: `pml.` and the name of a class of `losses`, `miners`, `distances`, `reducers` or `regularizers`.

    Raises:
        ImportError: pytorch-metric-learning is not installed.
        KeyError: there is no such class; the message names the nearest ones.

    """
    try:
        modules = [import_module(f"pytorch_metric_learning.{module}") for module in _MODULES]
    except ImportError as error:
        raise ImportError(f"{name!r} needs pytorch-metric-learning: pip install pytorch-metric-learning.") from error
    wanted = name.removeprefix(PREFIX)
    module = next((module for module in modules if inspect.isclass(getattr(module, wanted, None))), None)
    if module is None:
        known = [key for m in modules for key, value in vars(m).items() if inspect.isclass(value)]
        nearest = ", ".join(f"{PREFIX}{key}" for key in get_close_matches(wanted, known, n=3))
        raise KeyError(f"pytorch-metric-learning has no {wanted!r}." + (f" Did you mean {nearest}?" if nearest else ""))
    found = getattr(module, wanted)
    is_loss = module is modules[0]

    def build(**kwargs: Any) -> Any:
        kwargs = {key: _build_nested(value) for key, value in kwargs.items()}
        miner = kwargs.pop(_MINER, None) if is_loss else None
        part = found(**kwargs)
        return part if miner is None else LossWithPMLMiner(part, miner)

    parameters = _find_parameters(found)
    if is_loss:
        parameters[_MINER] = inspect.Parameter(_MINER, inspect.Parameter.KEYWORD_ONLY, default=None)
    build.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    return build


def _find_parameters(found: type) -> dict[str, inspect.Parameter]:
    """Give the arguments of a class that hands on to its parents those that it does not know itself."""
    parameters: dict[str, inspect.Parameter] = {}
    for parent in found.__mro__:
        if parent in (nn.Module, object) or "__init__" not in vars(parent):
            continue
        own = list(inspect.signature(vars(parent)["__init__"]).parameters.items())[1:]
        for key, parameter in own:
            is_named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            # what a parent needs and the class does not name, the class gives itself
            is_open = parent is found or parameter.default is not parameter.empty
            if is_named and is_open and key not in parameters:
                parameters[key] = parameter.replace(kind=parameter.KEYWORD_ONLY)
    return parameters


def _build_nested(value: Any) -> Any:
    if not (isinstance(value, Mapping) and str(value.get("name", "")).startswith(PREFIX)):
        return value
    constructor, args = get_pml_constructor(value["name"]), dict(value.get("args") or {})
    unknown = sorted(set(args) - set(get_parameters(constructor) or args))
    if unknown:
        raise TypeError(f"{value['name']!r} has no argument {unknown[0]!r}.")
    return constructor(**args)
