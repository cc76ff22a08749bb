"""What a dataset must offer at each step of the way: items, labels, queries and galleries, pictures."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import LongTensor
from torch.utils.data import Dataset

from oml.const import BLACK, LABELS_KEY, TColor


class IIndexedDataset(Dataset, ABC):
    """A dataset whose items know their position."""

    index_key: str

    @abstractmethod
    def __getitem__(self, item: int) -> dict[str, Any]:
        """Give the item as a dictionary that has at least `{self.index_key: item}`."""

    @abstractmethod
    def __len__(self) -> int:
        """Give the number of items."""


class IBaseDataset(IIndexedDataset, ABC):
    """A dataset of model inputs, which is all that inference needs."""

    input_tensors_key: str
    extra_data: dict[str, Sequence[Any]]  # every record has the length of the dataset

    @abstractmethod
    def __getitem__(self, item: int) -> dict[str, Any]:
        """Give `{self.input_tensors_key: model input, self.index_key: item}` and a value of each extra record."""


class ILabeledDataset(IBaseDataset, ABC):
    """A dataset with a label per item, which is what training needs."""

    labels_key: str = LABELS_KEY

    @abstractmethod
    def __getitem__(self, item: int) -> dict[str, Any]:
        """Give the item of the base dataset plus `{self.labels_key: label}`."""

    @abstractmethod
    def get_labels(self) -> np.ndarray:
        """Give the labels in the order of the items: integers (N,), or multi-hot (N, L) where an item has several."""

    def get_label2category(self) -> dict[int, str | int] | None:
        """Give the category of each label, or None if the dataset has no categories."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_label2category().")


class IQueryGalleryDataset(IBaseDataset, ABC):
    """A dataset of queries and galleries without labels, which is what prediction needs."""

    @abstractmethod
    def get_query_ids(self) -> LongTensor:
        """Give the positions of the queries in the dataset, (Q,). They may overlap with the galleries."""

    @abstractmethod
    def get_gallery_ids(self) -> LongTensor:
        """Give the positions of the galleries in the dataset, (G,). They may overlap with the queries."""


class IQueryGalleryLabeledDataset(IQueryGalleryDataset, ILabeledDataset, ABC):
    """A dataset of queries and galleries with labels, which is what validation needs."""


class IPairDataset(IIndexedDataset, ABC):
    """A dataset of pairs, which is what pairwise models take."""

    input_tensors_key_1: str
    input_tensors_key_2: str

    @abstractmethod
    def __getitem__(self, item: int) -> dict[str, Any]:
        """Give `{self.input_tensors_key_1: first, self.input_tensors_key_2: second, self.index_key: item}`."""


class IVisualizableDataset(Dataset, ABC):
    """A dataset whose items can be drawn."""

    @abstractmethod
    def visualize(self, item: int, color: TColor = BLACK) -> np.ndarray:
        """Draw the item as an RGB picture (H, W, 3), uint8, with a frame of the given colour."""


class IHTMLVisualizableDataset(Dataset, ABC):
    """A dataset whose items can be shown on a page."""

    @abstractmethod
    def visualize_as_html(self, item: int, title: str, color: TColor = BLACK) -> str:
        """Give a block of HTML that shows the item under the title, framed in the given colour."""
