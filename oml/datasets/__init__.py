"""Datasets; each is loaded when asked for, so that importing one does not import what the others need."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oml.datasets.images import (
        ImageBaseDataset,
        ImageLabeledDataset,
        ImageQueryGalleryDataset,
        ImageQueryGalleryLabeledDataset,
    )
    from oml.datasets.pairs import PairDataset

__all__ = [
    "ImageBaseDataset",
    "ImageLabeledDataset",
    "ImageQueryGalleryDataset",
    "ImageQueryGalleryLabeledDataset",
    "PairDataset",
]

_MODULES = {
    "ImageBaseDataset": "oml.datasets.images",
    "ImageLabeledDataset": "oml.datasets.images",
    "ImageQueryGalleryDataset": "oml.datasets.images",
    "ImageQueryGalleryLabeledDataset": "oml.datasets.images",
    "PairDataset": "oml.datasets.pairs",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
