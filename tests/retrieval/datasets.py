"""Small datasets that implement the interfaces and nothing else."""

import numpy as np
import torch

from oml.interfaces.datasets import (
    IBaseDataset,
    IHTMLVisualizableDataset,
    ILabeledDataset,
    IQueryGalleryDataset,
    IQueryGalleryLabeledDataset,
    IVisualizableDataset,
)


class Items(IBaseDataset):
    input_tensors_key, index_key = "input_tensors", "idx"

    def __init__(self, n, sequences=None):
        self.n = n
        self.extra_data = {} if sequences is None else {"sequence": sequences}

    def __getitem__(self, item):
        return {"idx": item}

    def __len__(self):
        return self.n


class Labelled(Items, ILabeledDataset):
    def __init__(self, labels, sequences=None):
        super().__init__(len(labels), sequences)
        self.labels = np.asarray(labels)

    def get_labels(self):
        return self.labels


class Split(Items, IQueryGalleryDataset):
    def __init__(self, n, query_ids, gallery_ids, sequences=None):
        super().__init__(n, sequences)
        self.query_ids, self.gallery_ids = torch.tensor(query_ids), torch.tensor(gallery_ids)

    def get_query_ids(self):
        return self.query_ids

    def get_gallery_ids(self):
        return self.gallery_ids


class LabelledSplit(Split, IQueryGalleryLabeledDataset):
    def __init__(self, labels, query_ids, gallery_ids, sequences=None):
        super().__init__(len(labels), query_ids, gallery_ids, sequences)
        self.labels = np.asarray(labels)

    def get_labels(self):
        return self.labels


class Pictured(IVisualizableDataset, IHTMLVisualizableDataset):
    """Remembers what it was asked to draw."""

    drawn: list

    def visualize(self, item, color=(0, 0, 0)):
        self.__dict__.setdefault("drawn", []).append((item, color))
        return np.zeros((4, 4, 3), dtype=np.uint8)

    def visualize_as_html(self, item, title, color=(0, 0, 0)):
        return f"<p style='color: rgb{color}'>{title} = item {item}</p>"


class PicturedSplit(LabelledSplit, Pictured):
    pass


class PicturedLabelled(Labelled, Pictured):
    pass
