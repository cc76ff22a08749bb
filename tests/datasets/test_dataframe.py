from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from oml.datasets.dataframe import (
    DFLabeledDataset,
    DFQueryGalleryDataset,
    DFQueryGalleryLabeledDataset,
    build_label2category,
    update_extra_data,
)
from oml.errors import InvalidInputError
from oml.interfaces.datasets import (
    IBaseDataset,
    ILabeledDataset,
    IQueryGalleryDataset,
    IQueryGalleryLabeledDataset,
    IVisualizableDataset,
)


class Numbers(IBaseDataset):
    input_tensors_key = "input_tensors"
    index_key = "idx"

    def __init__(self, n: int, extra_data: dict[str, Any] | None = None):
        self.n = n
        self.extra_data = extra_data or {}

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, item: int) -> dict[str, Any]:
        values = {key: record[item] for key, record in self.extra_data.items()}
        return {"input_tensors": torch.full((2,), float(item)), "idx": item, **values}


def make_df(n: int = 4) -> pd.DataFrame:
    flags = {"is_query": [i % 2 == 0 for i in range(n)], "is_gallery": [i > 0 for i in range(n)]}
    return pd.DataFrame({"label": [10 * (i // 2) for i in range(n)], **flags}, index=range(100, 100 - n, -1))


CLASSES = [DFLabeledDataset, DFQueryGalleryDataset, DFQueryGalleryLabeledDataset]


@pytest.mark.parametrize(
    ("cls", "interface", "others"),
    [
        (DFLabeledDataset, ILabeledDataset, [IQueryGalleryDataset, IVisualizableDataset]),
        (DFQueryGalleryDataset, IQueryGalleryDataset, [ILabeledDataset]),
        (DFQueryGalleryLabeledDataset, IQueryGalleryLabeledDataset, [IVisualizableDataset]),
    ],
)
def test_views_are_what_they_give(cls: type, interface: type, others: list[type]) -> None:
    dataset = cls(Numbers(4), make_df())
    assert isinstance(dataset, interface)
    assert not any(isinstance(dataset, other) for other in others)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("n", [0, 1, 4])
def test_items_and_ids(cls: type, n: int) -> None:
    df = make_df(n)
    dataset = cls(Numbers(n), df)
    assert len(dataset) == n
    assert dataset.df is df
    has_labels = cls is not DFQueryGalleryDataset
    for i in range(n):
        item = dataset[i]
        assert item["idx"] == i
        assert item["input_tensors"].tolist() == [i, i]
        assert set(item) == {"input_tensors", "idx"} | ({"labels"} if has_labels else set())
        if has_labels:
            assert item["labels"] == 10 * (i // 2)
            assert type(item["labels"]) is np.int64
    if has_labels:
        assert dataset.get_labels().dtype == np.int64
        assert dataset.get_labels().tolist() == df["label"].tolist()
        assert dataset.get_label2category() is None
    if cls is not DFLabeledDataset:
        for ids, column in [(dataset.get_query_ids(), "is_query"), (dataset.get_gallery_ids(), "is_gallery")]:
            assert ids.dtype == torch.int64
            assert ids.ndim == 1
            assert ids.tolist() == [i for i in range(n) if df[column].iloc[i]]
    with pytest.raises(IndexError, match=f"Item {n} does not exist: there are {n} items"):
        dataset[n]


def test_iteration_ends_and_negative_positions_count_from_the_end() -> None:
    dataset = DFLabeledDataset(Numbers(3), make_df(3))
    assert [item["idx"] for item in dataset] == [0, 1, 2]
    assert dataset[-1]["idx"] == 2
    assert dataset[-1]["labels"] == 10


def test_given_arrays_are_copies() -> None:
    dataset = DFQueryGalleryLabeledDataset(Numbers(4), make_df())
    dataset.get_labels()[:] = 99
    dataset.get_query_ids()[:] = 99
    dataset.get_gallery_ids()[:] = 99
    assert dataset.get_labels().max() == 10
    assert dataset.get_query_ids().tolist() == [0, 2]
    assert dataset.get_gallery_ids().tolist() == [1, 2, 3]


def test_labels_key() -> None:
    dataset = DFLabeledDataset(Numbers(4), make_df(), labels_key="y")
    assert dataset.labels_key == "y"
    assert dataset[2]["y"] == 10
    assert "labels" not in dataset[2]
    with pytest.raises(InvalidInputError, match="`labels_key` is 'idx', but items have that key already"):
        DFLabeledDataset(Numbers(4), make_df(), labels_key="idx")
    with pytest.raises(InvalidInputError, match="`labels_key` is 'labels', but items have that key already"):
        DFLabeledDataset(Numbers(4), make_df(), extra_data={"labels": [1, 2, 3, 4]})


@pytest.mark.parametrize("cls", CLASSES)
def test_category_sequence_and_extra_data_join_batches(cls: type) -> None:
    df = make_df().assign(category=["a", "b", None, "a"], sequence=[5, 5, 6, 7])
    embeddings = torch.arange(8.0).view(4, 2)
    extra = {"embeddings": embeddings, "weight": pd.Series([0.1, 0.2, 0.3, 0.4], index=[3, 2, 1, 0])}
    dataset = cls(Numbers(4), df, extra)
    assert set(dataset.extra_data) == {"category", "sequence", "embeddings", "weight"}

    batch = next(iter(DataLoader(dataset, batch_size=4)))
    assert batch["category"] == ["a", "b", "nan", "a"]
    assert batch["sequence"].tolist() == [5, 5, 6, 7]
    assert torch.equal(batch["embeddings"], embeddings)
    assert batch["weight"].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert df["category"].isna().tolist() == [False, False, True, False]


def test_records_added_later_join_items() -> None:
    dataset = DFLabeledDataset(Numbers(4), make_df())
    dataset.extra_data["later"] = [5, 6, 7, 8]
    assert dataset[1]["later"] == 6


def test_records_of_the_base_dataset_are_kept() -> None:
    base = Numbers(4, {"colour": ["r", "g", "b", "r"]})
    dataset = DFLabeledDataset(base, make_df().assign(category=[1, 2, 3, 4]), {"size": [1, 2, 3, 4]})
    assert set(dataset.extra_data) == {"colour", "category", "size"}
    assert dataset[2] | {"input_tensors": None} == {
        "input_tensors": None,
        "idx": 2,
        "colour": "b",
        "category": 3,
        "size": 3,
        "labels": 10,
    }
    assert set(base.extra_data) == {"colour"}


def test_given_category_is_taken_before_the_column() -> None:
    df = make_df().assign(category=list("abcd"))
    assert update_extra_data(Numbers(4), df, {"category": [1, 2, 3, 4]}) == {"category": [1, 2, 3, 4]}


@pytest.mark.parametrize("key", ["input_tensors", "idx", "colour"])
def test_clashes_of_extra_data_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"`extra_data` has the key '{key}', but items have it already"):
        DFLabeledDataset(Numbers(4, {"colour": [1, 2, 3, 4]}), make_df(), {key: [1, 2, 3, 4]})


def test_label2category() -> None:
    df = pd.DataFrame({"label": [5, 3, 5, 3], "category": ["old", "b", "new", "b"]})
    assert DFLabeledDataset(Numbers(4), df).get_label2category() == {3: "b", 5: "new"}
    numbers = DFLabeledDataset(Numbers(4), df.assign(category=[1, 2, 3, 2])).get_label2category()
    assert numbers == {3: 2, 5: 3}
    assert all(type(value) is int for pair in numbers.items() for value in pair)
    assert build_label2category(df) == {3: "b", 5: "new"}
    assert build_label2category(df.drop(columns="category")) is None
    empty = DFLabeledDataset(Numbers(0), df.iloc[:0])
    assert empty.get_label2category() == {}


@pytest.mark.parametrize(
    ("cls", "missing"),
    [
        (DFLabeledDataset, ["label"]),
        (DFQueryGalleryDataset, ["is_query"]),
        (DFQueryGalleryLabeledDataset, ["label", "is_gallery"]),
    ],
)
def test_missing_columns(cls: type, missing: list[str]) -> None:
    with pytest.raises(AssertionError, match=f"lacks the columns {', '.join(missing)}: this dataset needs"):
        cls(Numbers(4), make_df().drop(columns=missing))


def test_labels_are_not_needed_for_prediction() -> None:
    dataset = DFQueryGalleryDataset(Numbers(4), make_df().drop(columns="label"))
    assert set(dataset[0]) == {"input_tensors", "idx"}


@pytest.mark.parametrize("cls", CLASSES)
def test_lengths_must_agree(cls: type) -> None:
    with pytest.raises(InvalidInputError, match="it has 4 rows, the dataset has 3 items"):
        cls(Numbers(3), make_df())
    with pytest.raises(InvalidInputError, match="for each of the 4 items, 'a' has 2"):
        cls(Numbers(4), make_df(), {"a": [1, 2]})


def test_missing_sequences_are_refused_where_they_would_count() -> None:
    df = make_df().assign(sequence=["a", None, "b", None])
    assert DFLabeledDataset(Numbers(4), df)[1]["sequence"] == "nan"
    for cls in (DFQueryGalleryDataset, DFQueryGalleryLabeledDataset):
        with pytest.raises(InvalidInputError, match=r"'sequence' has no value in 2 rows \(positions 1, 3\)"):
            cls(Numbers(4), df)
