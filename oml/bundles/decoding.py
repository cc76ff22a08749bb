"""
Objects made again from what a bundle says about them.

A bundle may come from a stranger. So nothing is unpickled, only classes of trusted modules are constructed, and nothing
is fetched or read that is not of the bundle.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from importlib import import_module
from typing import Any

import torch

from oml.bundles.encoding import CLASS, DTYPE, ENUM, ITEMS, TENSOR, TUPLE, has_objects
from oml.bundles.pretrained import CONSTRUCTION_ERRORS, MODEL, decode_model
from oml.errors import InvalidInputError, check
from oml.interfaces.models import IExtractor

# Their classes only calculate with the arguments they are given; those of oml.models that would open or fetch something
# by its name refuse that in `from_init_args`.
TRUSTED_MODULES = ("oml.models", "oml.transforms", "torchvision.transforms", "timm.data.transforms")
_MAX_CHARACTERS = 300  # of arguments in errors
_CHANGED = "The bundle was changed or is damaged: fetch or save it again."


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


def decode_plain(value: Any, where: str) -> Any:
    """
    Give back what `encode_plain` has written.

    Raises:
        InvalidInputError: there is an object in it, or it does not make sense.

    """
    check(not has_objects(value), f"{where} must be made of plain values, but names an object. {_CHANGED}")
    return decode(value, Trust([]), where)


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
    if TUPLE in value:
        return tuple(decode(item, trust, where) for item in _get_list(value, TUPLE, where))
    if ITEMS in value:
        pairs = [decode(_get_list({ITEMS: p}, ITEMS, where), trust, where) for p in _get_list(value, ITEMS, where)]
        return _calculate(dict, where, pairs)
    if DTYPE in value:
        return _get_dtype(value[DTYPE], where)
    if TENSOR in value:
        return _calculate(torch.tensor, where, value[TENSOR], dtype=_get_dtype(value.get("dtype"), where))
    if ENUM in value:
        owner = import_class(value[ENUM], trust, where)
        check(issubclass(owner, Enum), f"{where} names {value[ENUM]!r}, which is no enumeration.")
        return _calculate(owner, where, value.get("value"))
    if MODEL in value:
        return decode_model(value, where)
    if CLASS in value:
        return construct(import_class(value[CLASS], trust, where), value.get("args", {}), trust, where)
    return {key: decode(item, trust, where) for key, item in value.items()}


def construct(owner: type, args: Any, trust: Trust, where: str) -> Any:
    """Make an object of the class, an extractor without weights; errors of its constructor say what was made."""
    check(isinstance(args, dict), f"{where}: the arguments of {owner.__name__} must be a mapping, got {args!r}.")
    check("weights" not in args, f"{where} must not name weights: those of a bundle are in its own file.")
    arguments = decode(args, trust, where)
    make = owner.from_init_args if issubclass(owner, IExtractor) else owner
    try:
        return make(**arguments)
    except CONSTRUCTION_ERRORS as error:
        raise InvalidInputError(
            f"{where}: {owner.__name__} cannot be made with the arguments {str(args)[:_MAX_CHARACTERS]}: {error}. The "
            "bundle was written for another version of the library, or changed; its bundle.json has the versions."
        ) from error


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


def _get_dtype(name: Any, where: str) -> torch.dtype:
    dtype = getattr(torch, str(name), None)
    if not isinstance(dtype, torch.dtype):
        raise InvalidInputError(f"{where} names the dtype {name!r}, which torch does not have.")
    return dtype


def _get_list(value: dict[str, Any], mark: str, where: str) -> list[Any]:
    items = value[mark]
    if not isinstance(items, list):
        raise InvalidInputError(f"{where} has {mark} with {items!r} instead of a list. {_CHANGED}")
    return items


def _calculate(function: Any, where: str, *args: Any, **options: Any) -> Any:
    try:
        return function(*args, **options)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InvalidInputError(
            f"{where} has {str(args)[:_MAX_CHARACTERS]}, which makes no sense: {error}. {_CHANGED}"
        ) from error
