"""Labels of other kinds than integers, and several of them per item, through datasets, losses and results."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from oml.datasets import ImageLabeledDataset, ImageQueryGalleryLabeledDataset
from oml.datasets.labels import SeveralLabels, read_labels_of_any_kind
from oml.errors import InvalidInputError
from oml.functional.relations import find_same
from oml.metrics import evaluate
from oml.retrieval import RetrievalResults
from oml.utils.labels import LabelMapping

SETS = [["red", "dress"], ["red"], ["coat"], [], ["coat", "blue"], ["dress"]]


@pytest.fixture
def several(df: pd.DataFrame) -> pd.DataFrame:
    return df.assign(label=SETS, is_query=True, is_gallery=True)


@pytest.mark.parametrize("cls", [ImageLabeledDataset, ImageQueryGalleryLabeledDataset])
def test_names(images_root: Path, df: pd.DataFrame, cls: type) -> None:
    df = df.assign(label=["x", "y", "x", "z", "y", "y"], category=list("aababb"))
    dataset = cls(df, dataset_root=images_root)
    assert dataset.get_labels().tolist() == [0, 1, 0, 2, 1, 1]
    assert dataset.label_mapping.decode(dataset.get_labels()) == df["label"].tolist()
    assert dataset.get_label2category() == {0: "b", 1: "b", 2: "a"}
    assert next(iter(DataLoader(dataset, batch_size=6)))["labels"].tolist() == [0, 1, 0, 2, 1, 1]

    again = cls(df.iloc[3:], dataset_root=images_root, label_mapping=dataset.label_mapping)
    assert again.get_labels().tolist() == [2, 1, 1]
    with pytest.raises(InvalidInputError, match="mapping of 1 labels does not have 'y', 'z'"):
        cls(df, label_mapping=LabelMapping(["x"]))


def test_integers_stay(images_root: Path, df: pd.DataFrame) -> None:
    dataset = ImageLabeledDataset(df, dataset_root=images_root)
    assert dataset.label_mapping is None
    assert dataset.get_labels().tolist() == [0, 0, 1, 1, 7, 7]
    mapped = ImageLabeledDataset(df, dataset_root=images_root, label_mapping=LabelMapping([7, 1, 0]))
    assert mapped.get_labels().tolist() == [2, 2, 1, 1, 0, 0]


def test_several_labels_in_batches(images_root: Path, several: pd.DataFrame) -> None:
    dataset = ImageLabeledDataset(several.assign(category=list("abcdef")), dataset_root=images_root)
    assert dataset.label_mapping == LabelMapping(["red", "dress", "coat", "blue"])
    labels = next(iter(DataLoader(dataset, batch_size=6)))["labels"]
    assert labels.dtype == torch.bool
    assert labels.int().tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0] * 4, [0, 0, 1, 1], [0, 1, 0, 0]]
    assert np.array_equal(dataset.get_labels(), labels.numpy())
    assert dataset.get_label2category() == {0: "b", 1: "f", 2: "e", 3: "e"}
    features = torch.zeros(6, 2)
    assert torch.equal(find_same(labels, features), find_same([set(s) for s in SETS], features))


def test_several_labels_in_results(images_root: Path, several: pd.DataFrame, generator: torch.Generator) -> None:
    embeddings = torch.randn(6, 4, generator=generator)
    sequences = ["s", "s", "t", "u", "v", "w"]
    expected = [
        [j for j in range(6) if j != i and sequences[i] != sequences[j] and set(SETS[i]) & set(SETS[j])]
        for i in range(6)
    ]
    dataset = ImageQueryGalleryLabeledDataset(several.assign(sequence=sequences), dataset_root=images_root)
    lonely = r"available gts\. These are 2 of 6: 1, 3"
    with pytest.warns(UserWarning, match=lonely):
        rr = RetrievalResults.from_embeddings(embeddings, dataset)
    assert [ids.tolist() for ids in rr.gt_ids] == expected == [[5], [], [4], [], [2], [0]]
    assert 0 < float(evaluate(rr, ["map@r"])["map@r"]) < 1

    with pytest.warns(UserWarning, match=lonely):
        between = RetrievalResults.from_embeddings_qg(embeddings, embeddings, dataset, dataset)
    assert [ids.tolist() for ids in between.gt_ids] == expected
    other = ImageQueryGalleryLabeledDataset(several.assign(label=[["x"]] * 6), dataset_root=images_root)
    with pytest.raises(InvalidInputError, match=r"labels of one width, got the shapes \(6, 4\) and \(6, 1\)"):
        RetrievalResults.from_embeddings_qg(embeddings, embeddings, dataset, other)


def test_sets_and_arrays() -> None:
    cells = pd.DataFrame({"label": [{"b", "a"}, np.array(["c"]), ("a",)][:2]})
    labels, mapping = read_labels_of_any_kind(cells)
    assert isinstance(labels, SeveralLabels)
    assert mapping is not None
    assert (mapping.names, labels.values.tolist(), labels.offsets.tolist()) == (["a", "b", "c"], [0, 1, 2], [0, 2, 3])
    single, mapping = read_labels_of_any_kind(pd.DataFrame({"label": [("a", 1), ("b", 2), ("a", 1)]}))
    assert (single.tolist(), mapping.names) == ([0, 1, 0], [("a", 1), ("b", 2)])  # type: ignore[union-attr]


def test_empty_labels_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"'label' must not be empty, 1 rows are, at the positions 1"):
        read_labels_of_any_kind(pd.DataFrame({"label": ["a", None]}))
    with pytest.raises(InvalidInputError, match="lacks the columns label"):
        read_labels_of_any_kind(pd.DataFrame({"a": [1]}))
    labels, mapping = read_labels_of_any_kind(pd.DataFrame({"label": pd.Series([], dtype=object)}))
    assert (len(labels), mapping) == (0, None)
