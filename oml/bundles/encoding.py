"""Objects as plain JSON: what a bundle says about classes and their arguments. `decoding` reads it."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oml.bundles.pretrained import MODEL, encode_model, is_transformers_model
from oml.errors import InvalidInputError, check
from oml.interfaces.models import IExtractor

CLASS, ENUM, DTYPE, TENSOR, TUPLE, ITEMS = "$class", "$enum", "$dtype", "$tensor", "$tuple", "$items"
_OBJECTS = (CLASS, ENUM, MODEL)
_MARKS = (*_OBJECTS, DTYPE, TENSOR, TUPLE, ITEMS)
_MAX_NUMBERS = 10_000
_MAX_NAME = 500  # characters: of names of items inside of items
_KEEP = "Keep it as a buffer or a parameter of the extractor, whose weights are saved."
# Arguments that a class takes as text and keeps as a value of an enumeration.
_TAKEN_AS_TEXT = {("timm.data.transforms", "ResizeKeepRatio"): ("interpolation",)}


def encode(value: Any, where: str) -> Any:
    """
    Give a value as what `json` can write.

    Args:
        value: Plain values and containers of them, dtypes, enumerations, small tensors, and objects of importable
            classes that keep the arguments of their constructors as attributes.
        where: The name of the value, for errors.

    Raises:
        InvalidInputError: the value cannot be written; the message tells what to do.

    Example:
        >>> encode({"size": (2, 3), "dtype": torch.float32}, "options")
        {'size': {'$tuple': [2, 3]}, 'dtype': {'$dtype': 'float32'}}

    """
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, Enum)):
        return value
    check(
        len(where) <= _MAX_NAME,
        f"{where[:40]}... goes on too deep for a text. Does a container hold itself? Give a copy without that.",
    )
    if isinstance(value, np.generic):
        return encode(value.item(), where)
    if isinstance(value, Enum):
        return {ENUM: find_path(type(value), where), "value": encode(value.value, where)}
    if isinstance(value, torch.dtype):
        return {DTYPE: str(value).removeprefix("torch.")}
    if isinstance(value, (Tensor, np.ndarray)):
        tensor = torch.as_tensor(value)
        check(tensor.numel() <= _MAX_NUMBERS, f"{where} has {tensor.numel()} numbers, too many for a text. {_KEEP}")
        return {TENSOR: tensor.tolist(), "dtype": str(tensor.dtype).removeprefix("torch.")}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and key not in _MARKS for key in value):
            return {key: encode(item, f"{where}[{key!r}]") for key, item in value.items()}
        return {ITEMS: [[encode(key, where), encode(item, f"{where}[{key!r}]")] for key, item in value.items()]}
    if isinstance(value, Sequence):
        items = [encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
        return {TUPLE: items} if isinstance(value, tuple) else items
    return encode_object(value, where)


def encode_plain(value: Any, where: str) -> Any:
    """
    Give a value as what `json` can write, if it is made of plain values only.

    Raises:
        InvalidInputError: there is an object in it.

    """
    encoded = encode(value, where)
    check(
        not has_objects(encoded),
        f"{where} must be made of numbers, texts, lists and mappings, but has an object in it: {value!r}. Turn it into "
        "a plain value, for example with str().",
    )
    return encoded


def encode_object(value: Any, where: str) -> dict[str, Any]:
    """Give the class of an object and its constructor's arguments, read back as `IExtractor.get_init_args` does it."""
    owner = type(value)
    if is_transformers_model(value):
        return encode_model(value)
    if isinstance(value, IExtractor):
        path = find_path(owner, where)
        return {CLASS: path, "args": {k: encode(v, f"{where}.{k}") for k, v in value.get_init_args().items()}}
    if owner.__name__ == "Lambda" or inspect.isroutine(value) or isinstance(value, type):
        raise InvalidInputError(
            f"{where} is {value!r}, a function; a bundle carries no code. Write it as a class of an importable module, "
            "which keeps its options as attributes, and load with trusted_modules=[that module]."
        )
    check(
        owner.__module__ != "builtins",
        f"{where} is of the type {owner.__name__}, which has no text of its own: {value!r}. Use numbers, texts, lists "
        "and mappings.",
    )
    path = find_path(owner, where)
    args = {}
    for name, parameter in inspect.signature(owner).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        check(
            hasattr(value, name),
            f"{where} is a {owner.__name__}, which does not keep the argument {name!r} of its constructor as an "
            f"attribute, so it cannot be read back. Wrap it in a class of yours that keeps it (self.{name} = {name}).",
        )
        argument = getattr(value, name)
        if argument is None and parameter.default is not None:
            continue  # an option that was normalised away, such as a strength of zero
        if name in _TAKEN_AS_TEXT.get((owner.__module__, owner.__name__), ()) and isinstance(argument, Enum):
            argument = argument.value
        args[name] = encode(_to_list(argument), f"{where}.{name}")
    return {CLASS: path, "args": args}


def find_path(owner: type, where: str) -> str:
    """
    Give where a class can be imported from, `"package.module:Name"`, by the most public way.

    Raises:
        InvalidInputError: it lives in the running script, or inside a function or another class.

    Example:
        >>> from torchvision.transforms import v2
        >>> find_path(v2.Compose, "transform")
        'torchvision.transforms.v2:Compose'

    """
    module, name = owner.__module__, owner.__qualname__
    check(
        module != "__main__" and "." not in name,
        f"{where} is of the class {name} of {module}, which a program that loads the bundle cannot import. Move the "
        "class to the top of a module of its own, import it from there, and save again.",
    )
    parts = module.split(".")
    public = next((i for i, part in enumerate(parts) if part.startswith("_")), len(parts))
    for end in range(public, 0, -1):
        if getattr(sys.modules.get(".".join(parts[:end])), name, None) is owner:
            return f"{'.'.join(parts[:end])}:{name}"
    return f"{module}:{name}"


def has_objects(encoded: Any) -> bool:
    """Tell whether there is an object in what `encode` has given: a class, an enumeration, a model."""
    if isinstance(encoded, dict):
        return any(mark in encoded for mark in _OBJECTS) or any(map(has_objects, encoded.values()))
    return isinstance(encoded, list) and any(map(has_objects, encoded))


def _to_list(value: Any) -> Any:
    return list(value) if isinstance(value, torch.nn.ModuleList) else value
