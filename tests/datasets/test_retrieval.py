from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from oml.datasets.retrieval import MODALITIES, get_retrieval_datasets
from oml.errors import InvalidInputError
from oml.models import CharExtractor
from oml.utils.labels import LabelMapping

TRANSFORMS = {"train": {"transform": v2.PILToTensor()}, "val": {"transform": v2.ToImage()}}


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": [40, 7, 40, 7, 40, 9],
            "path": [f"images/{i}.png" for i in range(6)],
            "split": ["validation", "train", "train", "train", "validation", "validation"],
            "is_query": [True, None, None, None, False, True],
            "is_gallery": [False, None, None, None, True, True],
        }
    )


def write(table: pd.DataFrame, folder: Path, kind: str) -> Any:
    if kind == "frame":
        return table
    if kind == "datasets":
        return pytest.importorskip("datasets").Dataset.from_pandas(table, preserve_index=False)
    path = folder / f"table.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["frame", "csv", "parquet", "datasets"])
def test_tables_of_any_kind(images_root: Path, table: pd.DataFrame, kind: str) -> None:
    given = write(table, images_root, kind)
    train, val = get_retrieval_datasets("images", given, images_root, **TRANSFORMS, cache_size=2)
    assert train.get_labels().tolist() == train.df["label"].tolist() == [0, 1, 0]
    assert train.label_mapping == LabelMapping([7, 40])
    assert (val.get_labels().tolist(), val.label_mapping) == ([40, 40, 9], None)
    assert val.get_query_ids().tolist() == [0, 2]
    assert train[1]["input_tensors"].shape == val[2]["input_tensors"].shape == (3, 12, 16)
    assert train.dataset.transform is TRANSFORMS["train"]["transform"]
    assert val.dataset.transform is TRANSFORMS["val"]["transform"]


@pytest.mark.parametrize("kind", ["frame", "csv", "parquet", "datasets"])
def test_names_are_numbered_over_both_splits(images_root: Path, table: pd.DataFrame, kind: str) -> None:
    given = write(table.assign(label=["c", "b", "c", "b", "c", "a"]), images_root, kind)
    train, val = get_retrieval_datasets("images", given, images_root)
    assert train.label_mapping == val.label_mapping == LabelMapping(["b", "c", "a"])
    assert train.get_labels().tolist() == [0, 1, 0]
    assert val.get_labels().tolist() == [1, 1, 2]


@pytest.mark.parametrize("kind", ["frame", "parquet", "datasets"])
def test_several_labels(images_root: Path, table: pd.DataFrame, kind: str) -> None:
    cells = [["c"], ["b"], ["c", "b"], [], ["c", "x"], ["a"]]
    given = write(table.assign(label=cells, category="same"), images_root, kind)
    train, val = get_retrieval_datasets("images", given, images_root)
    assert train.label_mapping == val.label_mapping == LabelMapping(["b", "c", "x", "a"])
    assert train.get_labels().tolist() == [[True, False, False, False], [True, True, False, False], [False] * 4]
    with pytest.raises(
        InvalidInputError, match=r"each label of a query .* 0 \(\['q'\]\)\. Make one .*`oml check` lists"
    ):
        get_retrieval_datasets("images", table.assign(label=[["q"], *cells[1:]]), images_root)


def test_paths_outside_the_root_are_refused_unless_allowed(images_root: Path, table: pd.DataFrame) -> None:
    root = images_root / "images"
    df = table.assign(path=[f"../images/{i}.png" for i in range(5)] + [str(images_root / "images" / "5.png")])
    get_retrieval_datasets("images", df, root)  # they come back into it
    (images_root / "other").mkdir()
    for path in ("../other/a.png", str(images_root / "other" / "a.png"), "x/../../other/a.png"):
        (images_root / "other" / "a.png").write_bytes((root / "0.png").read_bytes())
        (root / "x").mkdir(exist_ok=True)
        changed = df.assign(path=[path, *df["path"][1:]])
        with pytest.raises(
            InvalidInputError, match=r"must not lead out of the folder .*1 of 6 rows.* 0 \('.*a\.png'\)"
        ):
            get_retrieval_datasets("images", changed, root)
        _, val = get_retrieval_datasets("images", changed, root, allow_outside_root=True)
        assert val[0]["input_tensors"].shape == (3, 12, 16)


def test_bad_input(images_root: Path, table: pd.DataFrame) -> None:
    with pytest.raises(InvalidInputError, match=r"Unknown modality 'image'\. Did you mean 'images'"):
        get_retrieval_datasets("image", table)
    with pytest.raises(TypeError, match="tranform"):
        get_retrieval_datasets("images", table, images_root, tranform=None)
    with pytest.raises(InvalidInputError, match=r"must be a number, a text or another hashable .* 1 \(\{\}\)"):
        get_retrieval_datasets("images", table.assign(label=[1, {}, 2, 3, 4, 5]), images_root)
    with pytest.warns(UserWarning, match="expected to be of one category"):
        get_retrieval_datasets("images", table.assign(category=list("abcdef")), images_root)


def test_texts(table: pd.DataFrame) -> None:
    def tokenize(text: str, **kwargs: Any) -> dict[str, Any]:
        return {"input_ids": torch.tensor([[len(text)]]), "attention_mask": torch.tensor([[1]])}

    df = table.drop(columns="path").assign(text=list("abcdef"), label=list("xyxyxz"))
    with pytest.warns(UserWarning, match="okenizer"):
        train, val = get_retrieval_datasets("texts", df, tokenizer=tokenize)
    assert train.label_mapping == val.label_mapping == LabelMapping(["y", "x", "z"])
    assert train[0]["input_tensors"]["input_ids"].tolist() == [1]
    assert val.get_labels().tolist() == [1, 1, 2]


def test_modalities_have_the_documented_names() -> None:
    assert list(MODALITIES) == ["images", "texts", "audios"]


@pytest.mark.parametrize("modality", ["images", "texts"])
def test_labels_of_any_kind(images_root: Path, table: pd.DataFrame, any_labels: tuple, modality: str) -> None:
    labels, names, expected = any_labels
    split = ["train"] * 4 + ["validation"] * 2
    flag = [None] * 4 + [True] * 2
    df = table.assign(label=labels, split=split, is_query=flag, is_gallery=flag)
    if modality == "texts":
        df = df.drop(columns="path").assign(text=list("abcdef"))
    options = {"tokenizer": CharExtractor(feat_dim=8).get_tokenizer()} if modality == "texts" else {}
    train, val = get_retrieval_datasets(modality, df, images_root, **options)
    assert train.label_mapping.names == val.label_mapping.names == names
    assert (train.get_labels().tolist(), val.get_labels().tolist()) == (expected[:4], expected[4:])
    batch = next(iter(DataLoader(train, batch_size=4)))
    assert batch["labels"].tolist() == expected[:4]
