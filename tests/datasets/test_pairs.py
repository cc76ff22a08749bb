from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from oml.datasets import PairDataset
from oml.errors import InvalidInputError
from oml.interfaces.datasets import IBaseDataset


class Numbers(IBaseDataset):
    def __init__(self, n: int, input_tensors_key: str = "input_tensors"):
        self.n = n
        self.input_tensors_key = input_tensors_key
        self.index_key = "idx"
        self.extra_data = {}

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, item: int) -> dict[str, Any]:
        return {self.input_tensors_key: torch.full((2,), item), "idx": item}


PAIRS = [(0, 3), (2, 2), (3, 1)]


@pytest.mark.parametrize("pair_ids", [PAIRS, np.array(PAIRS), torch.tensor(PAIRS), tuple(PAIRS)])
def test_items_are_the_inputs_of_both(pair_ids: Any) -> None:
    dataset = PairDataset(Numbers(4, "images"), pair_ids, "left", "right", "i")
    assert len(dataset) == 3
    for i, (first, second) in enumerate(PAIRS):
        item = dataset[i]
        assert set(item) == {"left", "right", "i"}
        assert (item["left"][0], item["right"][0], item["i"]) == (first, second, i)
    assert dataset[-1]["i"] == 2
    batch = next(iter(DataLoader(dataset, batch_size=3)))
    assert batch["left"][:, 0].tolist() == [0, 2, 3]


def test_default_keys() -> None:
    assert set(PairDataset(Numbers(1), [(0, 0)])[0]) == {"input_tensors_1", "input_tensors_2", "idx"}


@pytest.mark.parametrize("pair_ids", [[], np.zeros((0, 2), dtype=int), torch.zeros(0, 2)])
def test_no_pairs(pair_ids: Any) -> None:
    dataset = PairDataset(Numbers(0), pair_ids)
    assert len(dataset) == 0
    with pytest.raises(IndexError, match="Item 0 does not exist: there are 0 items"):
        dataset[0]


@pytest.mark.parametrize(
    ("pair_ids", "message"),
    [
        ([(0, 1), (0, 4)], r"which has 4 items; 1 pairs are not, the first: \(0, 4\) in row 1"),
        ([(-1, 0)] * 7, r"7 pairs are not, the first: .*\(-1, 0\) in row 4\.$"),
        ([(0, 1, 2)], r"integers of the shape \(P, 2\), got int64 \(1, 3\)"),
        ([0, 1], r"got int64 \(2,\)"),
        ([(0.0, 1.0)], r"got float64 \(1, 2\)"),
    ],
)
def test_wrong_pairs_are_refused(pair_ids: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        PairDataset(Numbers(4), pair_ids)


def test_equal_keys_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"must differ, got \('a', 'a', 'idx'\)"):
        PairDataset(Numbers(4), PAIRS, "a", "a")
