"""Old names of the two labelled datasets of images, for scripts that import them."""

from oml.datasets.images import ImageLabeledDataset, ImageQueryGalleryLabeledDataset


class DatasetWithLabels(ImageLabeledDataset):
    """The old name of `ImageLabeledDataset`."""


class DatasetQueryGallery(ImageQueryGalleryLabeledDataset):
    """The old name of `ImageQueryGalleryLabeledDataset`."""
