import numpy as np
import pandas as pd
import pytest
import torch

from oml.datasets.items import add_extra_data, check_extra_data, check_position
from oml.errors import InvalidInputError


@pytest.mark.parametrize("item", [3, np.int64(3), torch.tensor(3), -2])
def test_positions_become_plain_integers(item: object) -> None:
    position = check_position(item, 5)
    assert position == 3
    assert type(position) is int


@pytest.mark.parametrize(("item", "length"), [(5, 5), (-6, 5), (0, 0)])
def test_positions_outside(item: int, length: int) -> None:
    with pytest.raises(IndexError, match=f"Item {item} does not exist: there are {length} items"):
        check_position(item, length)


def test_position_must_be_an_integer() -> None:
    with pytest.raises(TypeError):
        check_position(1.0, 5)


def test_records_of_any_type_are_read_by_position() -> None:
    records = check_extra_data(
        {
            "list": ["a", "b"],
            "series": pd.Series([1.5, 2.5], index=[1, 0]),
            "embeddings": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
            "array": np.array([7, 8]),
        },
        length=2,
        taken_keys=["idx"],
    )
    item = {"idx": 0}
    add_extra_data(item, 0, records)
    assert item["embeddings"].tolist() == [1.0, 2.0]  # type: ignore[attr-defined]
    del item["embeddings"]
    assert item == {"idx": 0, "list": "a", "series": 1.5, "array": 7}
    assert check_extra_data(None, 2, []) == {}


def test_wrong_length_and_clashes_are_refused() -> None:
    with pytest.raises(AssertionError, match="a value for each of the 3 items, 'a' has 2"):
        check_extra_data({"a": [1, 2]}, 3, [])
    with pytest.raises(ValueError, match=r"has the key 'idx', but items have it already \(their keys: x, idx\)"):
        check_extra_data({"idx": [1]}, 1, ["x", "idx"])
    with pytest.raises(InvalidInputError, match="has the key 'idx', but items have it already"):
        add_extra_data({"idx": 0}, 0, {"idx": [1]})
