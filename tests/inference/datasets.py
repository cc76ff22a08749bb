"""Datasets that implement only the documented interfaces."""

from typing import Any

import torch
from torch import Tensor

from oml.interfaces.datasets import IBaseDataset


class EmbeddedDataset(IBaseDataset):
    """The model input of an item is a row of a matrix; each item also holds a value that cannot be put in a batch."""

    def __init__(self, inputs: Tensor, index_shift: int = 0):
        self.inputs = inputs
        self.index_shift = index_shift
        self.index_key = "idx"
        self.input_tensors_key = "input_tensors"
        self.extra_data = {"note": [None] * len(inputs)}
        self.n_reads = 0

    def __getitem__(self, item: int) -> dict[str, Any]:
        self.n_reads += 1
        return {"input_tensors": self.inputs[item], "idx": item + self.index_shift, "note": None}

    def __len__(self) -> int:
        return len(self.inputs)


def make_dataset(n_items: int, dim: int = 3) -> EmbeddedDataset:
    return EmbeddedDataset(torch.randn(n_items, dim, generator=torch.Generator().manual_seed(n_items)))
