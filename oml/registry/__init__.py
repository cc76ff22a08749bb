"""Everything that can be named in a config; loaded when asked for."""

from typing import TYPE_CHECKING

from oml.lazy import load_when_asked

if TYPE_CHECKING:
    from oml.registry.registry import Registry as Registry
    from oml.registry.transforms import TRANSFORMS_REGISTRY as TRANSFORMS_REGISTRY
    from oml.registry.transforms import get_transforms_for_pretrained as get_transforms_for_pretrained

__getattr__, __dir__, __all__ = load_when_asked(
    __name__,
    {
        "oml.registry.registry": ["Registry"],
        "oml.registry.transforms": ["TRANSFORMS_REGISTRY", "get_transforms_for_pretrained"],
    },
)
