"""Everything that can be named in a config; loaded when asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oml.registry.registry import Registry
    from oml.registry.transforms import TRANSFORMS_REGISTRY, get_transforms_for_pretrained

__all__ = ["TRANSFORMS_REGISTRY", "Registry", "get_transforms_for_pretrained"]

_MODULES = {
    "TRANSFORMS_REGISTRY": "oml.registry.transforms",
    "Registry": "oml.registry.registry",
    "get_transforms_for_pretrained": "oml.registry.transforms",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
