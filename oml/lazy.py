"""How a package gives its names without loading their modules before they are asked for."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def load_when_asked(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """
    Give the `__getattr__`, `__dir__` and `__all__` of a package whose names come from other modules.

    Args:
        package: The package's `__name__`.
        names: What to take from each module, by the module's full name.

    Example:
        >>> __getattr__, _, __all__ = load_when_asked("numbers_of_mine", {"fractions": ["Fraction"]})
        >>> __getattr__("Fraction"), __all__
        (<class 'fractions.Fraction'>, ['Fraction'])

    """
    module_of = {name: module for module, taken in names.items() for name in taken}

    def __getattr__(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(module_of[name]), name)

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of})

    return __getattr__, __dir__, sorted(module_of)
