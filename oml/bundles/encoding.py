"""
Objects as plain JSON and back: what a bundle says about classes and their arguments.

A bundle may come from a stranger. So nothing is unpickled, and only classes of trusted modules are constructed.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oml.bundles.pretrained import MODEL, decode_model, encode_model, is_transformers_model
from oml.errors import InvalidInputError, check
from oml.interfaces.models import IExtractor

# Their classes only calculate with the arguments they are given.
TRUSTED_MODULES = ("oml", "torchvision.transforms", "timm.data.transforms")
_CLASS, _ENUM, _DTYPE, _TENSOR, _TUPLE, _ITEMS = "$class", "$enum", "$dtype", "$tensor", "$tuple", "$items"
_OBJECTS = (_CLASS, _ENUM, MODEL)
_MARKS = (*_OBJECTS, _DTYPE, _TENSOR, _TUPLE, _ITEMS)
_MAX_NUMBERS = 10_000
_KEEP = "Keep it as a buffer or a parameter of the extractor, whose weights are saved."
# Arguments that a class takes as text and keeps as a value of an enumeration.
_TAKEN_AS_TEXT = {("timm.data.transforms", "ResizeKeepRatio"): ("interpolation",)}


class Trust:
    """
    The modules whose classes a bundle may name.

    Args:
        modules: Names of modules and packages, in addition to `TRUSTED_MODULES`; `None` trusts all, for what the
            running program itself has made.

    Example:
        >>> Trust(["shop"]).covers("shop.models"), Trust([]).covers("os")
        (True, False)

    """

    def __init__(self, modules: Iterable[str] | None):
        check(not isinstance(modules, str), f"trusted_modules must be a list of names, got the text {modules!r}.")
        self.modules = None if modules is None else (*TRUSTED_MODULES, *modules)

    def covers(self, module: str) -> bool:
        """Tell whether classes of the module may be constructed."""
        return self.modules is None or any(module == m or module.startswith(f"{m}.") for m in self.modules)


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
    if isinstance(value, np.generic):
        return encode(value.item(), where)
    if isinstance(value, Enum):
        return {_ENUM: find_path(type(value), where), "value": encode(value.value, where)}
    if isinstance(value, torch.dtype):
        return {_DTYPE: str(value).removeprefix("torch.")}
    if isinstance(value, (Tensor, np.ndarray)):
        tensor = torch.as_tensor(value)
        check(tensor.numel() <= _MAX_NUMBERS, f"{where} has {tensor.numel()} numbers, too many for a text. {_KEEP}")
        return {_TENSOR: tensor.tolist(), "dtype": str(tensor.dtype).removeprefix("torch.")}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and key not in _MARKS for key in value):
            return {key: encode(item, f"{where}[{key!r}]") for key, item in value.items()}
        return {_ITEMS: [[encode(key, where), encode(item, f"{where}[{key!r}]")] for key, item in value.items()]}
    if isinstance(value, Sequence):
        items = [encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
        return {_TUPLE: items} if isinstance(value, tuple) else items
    return encode_object(value, where)


def encode_plain(value: Any, where: str) -> Any:
    """
    Give a value as what `json` can write, if it is made of plain values only.

    Raises:
        InvalidInputError: there is an object in it.

    """
    encoded = encode(value, where)
    check(
        not _has_objects(encoded),
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
        return {_CLASS: path, "args": {k: encode(v, f"{where}.{k}") for k, v in value.get_init_args().items()}}
    if owner.__name__ == "Lambda" or inspect.isroutine(value) or isinstance(value, type):
        raise InvalidInputError(
            f"{where} is {value!r}, a function; a bundle carries no code. Write it as a class of an importable module, "
            "which keeps its options as attributes, and load with trusted_modules=[that module]."
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
    return {_CLASS: path, "args": args}


def decode(value: Any, trust: Trust, where: str) -> Any:
    """
    Give back what `encode` has written.

    Raises:
        InvalidInputError: the text names a class of a module that is not trusted, or does not make sense.

    Example:
        >>> decode({"size": {"$tuple": [2, 3]}}, Trust([]), "options")
        {'size': (2, 3)}

    """
    if isinstance(value, list):
        return [decode(item, trust, where) for item in value]
    if not isinstance(value, dict):
        return value
    if _TUPLE in value:
        return tuple(decode(item, trust, where) for item in value[_TUPLE])
    if _ITEMS in value:
        return {decode(key, trust, where): decode(item, trust, where) for key, item in value[_ITEMS]}
    if _DTYPE in value:
        return _get_dtype(value[_DTYPE], where)
    if _TENSOR in value:
        return torch.tensor(value[_TENSOR], dtype=_get_dtype(value.get("dtype"), where))
    if _ENUM in value:
        owner = import_class(value[_ENUM], trust, where)
        check(issubclass(owner, Enum), f"{where} names {value[_ENUM]!r}, which is no enumeration.")
        return owner(value.get("value"))
    if MODEL in value:
        return decode_model(value, where)
    if _CLASS in value:
        owner = import_class(value[_CLASS], trust, where)
        return construct(owner, decode(value.get("args", {}), trust, where), where)
    return {key: decode(item, trust, where) for key, item in value.items()}


def construct(owner: type, args: dict[str, Any], where: str) -> Any:
    """Make an object of the class, an extractor without weights; errors of its constructor say what was made."""
    check(isinstance(args, dict), f"{where}: the arguments of {owner.__name__} must be a mapping, got {args!r}.")
    if issubclass(owner, IExtractor):
        check("weights" not in args, f"{where} must not name weights: those of a bundle are in its own file.")
        args = {**args, **({"weights": None} if "weights" in inspect.signature(owner).parameters else {})}
    try:
        return owner(**args)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidInputError(
            f"{where}: {owner.__name__} cannot be made with the arguments {args}: {error}. The bundle was written for "
            "another version of the library, or changed; its bundle.json has the versions."
        ) from error


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


def import_class(path: Any, trust: Trust, where: str) -> type:
    """
    Import a class by `"package.module:Name"` if its module is trusted.

    Raises:
        InvalidInputError: the module is not trusted or not installed, or has no such class.

    """
    is_path = isinstance(path, str) and path.count(":") == 1
    check(is_path, f"{where} must name a class as 'package.module:Name', got {path!r}.")
    module, name = path.split(":")
    if trust.covers(module):
        try:
            owner = getattr(import_module(module), name, None)
        except ImportError as error:
            raise InvalidInputError(
                f"{where} needs the module {module!r}, which cannot be imported: {error}. Install it."
            ) from error
        if not isinstance(owner, type):
            raise InvalidInputError(f"{where} names {path!r}, but {module} has no such class.")
        if trust.covers(owner.__module__):
            return owner
    raise InvalidInputError(
        f"{where} names the class {path!r}, whose module is not trusted, so nothing of it was imported. If you "
        f"know where the bundle comes from, load it with trusted_modules=[{module!r}]."
    )


def _has_objects(encoded: Any) -> bool:
    if isinstance(encoded, dict):
        return any(mark in encoded for mark in _OBJECTS) or any(map(_has_objects, encoded.values()))
    return isinstance(encoded, list) and any(map(_has_objects, encoded))


def _get_dtype(name: Any, where: str) -> torch.dtype:
    dtype = getattr(torch, str(name), None)
    if not isinstance(dtype, torch.dtype):
        raise InvalidInputError(f"{where} names the dtype {name!r}, which torch does not have.")
    return dtype


def _to_list(value: Any) -> Any:
    return list(value) if isinstance(value, torch.nn.ModuleList) else value
