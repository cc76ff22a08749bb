"""Datasets; each is loaded when asked for, so that importing one does not import what the others need."""

from typing import TYPE_CHECKING

from oml.lazy import load_when_asked

if TYPE_CHECKING:
    from oml.datasets.audios import AudioBaseDataset as AudioBaseDataset
    from oml.datasets.audios import AudioLabeledDataset as AudioLabeledDataset
    from oml.datasets.audios import AudioQueryGalleryDataset as AudioQueryGalleryDataset
    from oml.datasets.audios import AudioQueryGalleryLabeledDataset as AudioQueryGalleryLabeledDataset
    from oml.datasets.images import ImageBaseDataset as ImageBaseDataset
    from oml.datasets.images import ImageLabeledDataset as ImageLabeledDataset
    from oml.datasets.images import ImageQueryGalleryDataset as ImageQueryGalleryDataset
    from oml.datasets.images import ImageQueryGalleryLabeledDataset as ImageQueryGalleryLabeledDataset
    from oml.datasets.pairs import PairDataset as PairDataset
    from oml.datasets.retrieval import get_retrieval_datasets as get_retrieval_datasets
    from oml.datasets.texts import TextBaseDataset as TextBaseDataset
    from oml.datasets.texts import TextLabeledDataset as TextLabeledDataset
    from oml.datasets.texts import TextQueryGalleryDataset as TextQueryGalleryDataset
    from oml.datasets.texts import TextQueryGalleryLabeledDataset as TextQueryGalleryLabeledDataset

__getattr__, __dir__, __all__ = load_when_asked(
    __name__,
    {
        "oml.datasets.audios": [
            "AudioBaseDataset",
            "AudioLabeledDataset",
            "AudioQueryGalleryDataset",
            "AudioQueryGalleryLabeledDataset",
        ],
        "oml.datasets.images": [
            "ImageBaseDataset",
            "ImageLabeledDataset",
            "ImageQueryGalleryDataset",
            "ImageQueryGalleryLabeledDataset",
        ],
        "oml.datasets.pairs": ["PairDataset"],
        "oml.datasets.texts": [
            "TextBaseDataset",
            "TextLabeledDataset",
            "TextQueryGalleryDataset",
            "TextQueryGalleryLabeledDataset",
        ],
        "oml.datasets.retrieval": ["get_retrieval_datasets"],
    },
)
