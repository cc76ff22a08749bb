"""One type for all registries: names of constructors, and how things are built from names and configs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from oml.errors import InvalidInputError, check, unknown_name_message

TConstructor = Callable[..., Any]


class Registry(MutableMapping[str, TConstructor]):
    """
    Constructors by name, open to additions by assignment: `REGISTRY["name"] = constructor`.

    A constructor may be given as text, `"package.module:name"`, which is imported when it is asked for.

    Args:
        kind: What is registered, as errors should call it: "miner", "loss", ...
        entries: Constructors, or where to import them from, by name.
        nested: Registries of arguments: where such an argument is a mapping `{"name": ..., "args": ...}`, its registry
            builds it first. Open to additions, so a registry may be nested in itself. Arguments with names of a library
            are left to it.
        libraries: What gives the constructors of names with a prefix, such as "pml.", by the prefix.

    Example:
        >>> registry = Registry("number", {"int": int, "fraction": "fractions:Fraction"})
        >>> registry["complex"] = complex
        >>> registry.build("fraction", numerator=1, denominator=2)
        Fraction(1, 2)
        >>> registry.build_by_cfg({"name": "complex", "args": {"real": 2}})
        (2+0j)
        >>> registry.build("fraktion")
        Traceback (most recent call last):
        KeyError: "Unknown number 'fraktion'. Did you mean 'fraction'? Known: complex, fraction, int."

    """

    def __init__(
        self,
        kind: str,
        entries: Mapping[str, TConstructor | str] | None = None,
        nested: Mapping[str, Registry] | None = None,
        libraries: Mapping[str, Callable[[str], TConstructor]] | None = None,
    ):
        self.kind = kind
        self.nested = dict(nested or {})
        self.libraries = dict(libraries or {})
        self._entries: dict[str, TConstructor | str] = dict(entries or {})

    def __getitem__(self, name: str) -> TConstructor:
        if (prefix := self._find_prefix(name)) is not None:
            return self.libraries[prefix](name)
        if name not in self._entries:
            raise KeyError(unknown_name_message(self.kind, name, list(self._entries)))
        entry = self._entries[name]
        if isinstance(entry, str):
            module, attribute = entry.split(":")
            entry = self._entries[name] = getattr(import_module(module), attribute)
        return entry

    def __setitem__(self, name: str, constructor: TConstructor | str) -> None:
        check(
            callable(constructor) or (isinstance(constructor, str) and constructor.count(":") == 1),
            f"The {self.kind} {name!r} must be a constructor or its place as 'package.module:name'; "
            f"got {constructor!r}.",
        )
        self._entries[name] = constructor

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}, names: {', '.join(sorted(self._entries)) or 'none'})"

    def build(self, name: str, /, **kwargs: Any) -> Any:
        """
        Call the constructor of the name with the arguments.

        Raises:
            KeyError: the name is unknown; the message names the nearest ones.
            TypeError: the constructor does not take an argument, or lacks one; the message names it and the nearest.

        """
        constructor = self[name]
        self._check_arguments(name, constructor, kwargs)
        for key, registry in self.nested.items():
            if isinstance(kwargs.get(key), Mapping) and self._find_prefix(name) is None:
                kwargs[key] = registry.build_by_cfg(kwargs[key])
        return constructor(**kwargs)

    def build_by_cfg(self, cfg: Mapping[str, Any], **kwargs_runtime: Any) -> Any:
        """
        Build what a config `{"name": ..., "args": {...}}` describes.

        Args:
            cfg: A dict, or a mapping such as OmegaConf's; `args` may be left out or None.
            kwargs_runtime: What only the running program knows, such as the parameters for an optimiser. Unlike `args`,
                what the constructor does not take is left out, since programs offer the same to all of a kind.

        Raises:
            InvalidInputError: the config is not a mapping with `name` and, maybe, `args`.
            KeyError: the name is unknown; the message names the nearest ones.
            TypeError: the constructor does not take an argument, or lacks one; the message names it and the nearest.

        """
        check(
            isinstance(cfg, Mapping) and "name" in cfg and set(cfg) <= {"name", "args"},
            f"The config of the {self.kind} must have the keys `name` and, if needed, `args`, got {cfg!r}.",
        )
        args = _to_plain(cfg.get("args")) or {}
        if not isinstance(args, dict):
            raise InvalidInputError(f"`args` in the config of the {self.kind} must be a mapping, got {args!r}.")
        taken = get_parameters(self[cfg["name"]])
        runtime = {k: v for k, v in kwargs_runtime.items() if taken is None or k in taken}
        return self.build(cfg["name"], **{**runtime, **args})

    def _find_prefix(self, name: str) -> str | None:
        return next((prefix for prefix in self.libraries if name.startswith(prefix)), None)

    def _check_arguments(self, name: str, constructor: TConstructor, kwargs: dict[str, Any]) -> None:
        taken = get_parameters(constructor)
        if taken is None:
            return
        for key in kwargs:
            if key not in taken:
                nearest = get_close_matches(key, taken, n=1)
                hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
                known = ", ".join(taken) or "none"
                raise TypeError(f"The {self.kind} {name!r} has no argument {key!r}.{hint} Its arguments: {known}.")
        missing = [
            key for key, parameter in taken.items() if parameter.default is parameter.empty and key not in kwargs
        ]
        if missing:
            raise TypeError(f"The {self.kind} {name!r} needs the arguments: {', '.join(missing)}.")


def get_parameters(constructor: TConstructor) -> dict[str, inspect.Parameter] | None:
    """
    Give the named parameters of a constructor; None if it takes any, or (some functions in C) does not tell.

    Example:
        >>> list(get_parameters(lambda a, b=2: a))
        ['a', 'b']

    """
    try:
        parameters = inspect.signature(constructor).parameters
    except ValueError:
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    return {key: p for key, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _to_plain(value: Any) -> Any:
    """Turn containers of any config library into dicts and lists."""
    if isinstance(value, Mapping):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | tuple):
        return [_to_plain(item) for item in value]
    return value
