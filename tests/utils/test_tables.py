import builtins
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow
import pytest

from oml.errors import InvalidInputError
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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "csv, in UTF-8 and with ',' between columns.: No columns to parse"),
        ("t.csv", "é".encode("latin1"), "csv, in UTF-8 .*can't decode byte 0xe9"),
        ("t.csv", "label,text\n1,a".encode("utf-16"), "csv, in UTF-8 .*can't decode byte 0xff"),
        ("t.csv", b"a,b\n1,2\n1,2,3,4\n", "Expected 2 fields in line 3, saw 4"),
        ("t.parquet", b"abc", r"\(parquet\): .*Parquet"),
    ],
)
def test_files_that_are_no_tables_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError, match=rf"{name} cannot be read as a table .*{message}"):
        read_table(tmp_path / name)


@pytest.mark.parametrize("rewrite", [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n")])
def test_tables_of_other_systems(tmp_path: Path, rewrite: Callable[[str], str]) -> None:
    (tmp_path / "t.csv").write_bytes(rewrite(DF.to_csv(index=False)).encode())
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), DF)
