import builtins
from pathlib import Path

import pandas as pd
import pyarrow
import pytest

from oml.utils.tables import read_table

DF = pd.DataFrame({"label": [1, 2], "text": ["a", "b"], "split": ["train", "train"]})


@pytest.mark.parametrize("name", ["t.parquet", "t.PQ", "t.csv", "t.csv.gz", "t.txt"])
@pytest.mark.parametrize("kind", [Path, str])
def test_files(tmp_path: Path, name: str, kind: type) -> None:
    path = tmp_path / name
    DF.to_parquet(path) if "p" in path.suffix.lower() else DF.to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_table(kind(path)), DF)


def test_lists_of_labels_survive_parquet(tmp_path: Path) -> None:
    DF.assign(label=[["a", "b"], []]).to_parquet(tmp_path / "t.parquet")
    assert [list(cell) for cell in read_table(tmp_path / "t.parquet")["label"]] == [["a", "b"], []]


def test_datasets_of_hugging_face_and_tables_of_arrow() -> None:
    datasets = pytest.importorskip("datasets")
    dataset = datasets.Dataset.from_pandas(DF).filter(lambda row: row["label"] == 2)
    assert read_table(dataset).to_dict("list") == {"label": [2], "text": ["b"], "split": ["train"]}
    pd.testing.assert_frame_equal(read_table(pyarrow.Table.from_pandas(DF)), DF)
    assert read_table(DF) is DF


class Wrong:
    def to_pandas(self) -> int:
        return 3


@pytest.mark.parametrize("given", [[1], None, pd.DataFrame, {"label": [1]}])
def test_other_things_are_refused(given: object) -> None:
    with pytest.raises(TypeError, match=r"df must be a DataFrame, the path of .* or a `datasets.Dataset`, got \w+\."):
        read_table(given)


def test_to_pandas_must_give_a_frame() -> None:
    with pytest.raises(TypeError, match=r"`to_pandas\(\)` of Wrong must give a DataFrame, got int"):
        read_table(Wrong())


def test_parquet_needs_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "pyarrow":
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"x\.parquet needs pyarrow: pip install open-metric-learning\[data\]"):
        read_table("x.parquet")
