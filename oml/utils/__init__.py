"""Data sets to try things on; loaded when asked for, so that importing any tool of this folder stays cheap."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oml.utils.download_mock_dataset import get_mock_images_dataset
    from oml.utils.glyphs import get_glyphs_dataset

__all__ = ["get_glyphs_dataset", "get_mock_images_dataset"]

_MODULES = {"get_glyphs_dataset": "oml.utils.glyphs", "get_mock_images_dataset": "oml.utils.download_mock_dataset"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
