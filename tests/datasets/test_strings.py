import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oml.datasets import strings
from oml.datasets.strings import PackedStrings


@given(texts=st.lists(st.text(st.characters(exclude_categories=[]))))
def test_texts_come_back(texts: list[str]) -> None:
    packed = PackedStrings(texts)
    assert len(packed) == len(texts)
    assert list(packed) == texts
    assert [packed[-i - 1] for i in range(len(texts))] == texts[::-1]
    assert list(pickle.loads(pickle.dumps(packed))) == texts


@pytest.mark.parametrize(
    "values",
    [
        ["a", "bc", ""],
        ("a", "bc", ""),
        np.array(["a", "bc", ""]),
        np.array(["a", "bc", ""], dtype=object),
        pd.Series(["a", "bc", ""], index=[5, 5, 0]),
        pd.Series(["a", "bc", ""], index=[2.5, 1.5, 0.5]),
        pd.Series(["a", "bc", ""], index=["x", "y", "z"], dtype=object),
    ],
)
def test_any_sequence_is_taken_by_position(values: object) -> None:
    assert list(PackedStrings(values)) == ["a", "bc", ""]  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["str", "string[pyarrow]", "string[python]", "object"])
@pytest.mark.parametrize("rows", [slice(None), slice(2, 5), slice(0, 0), slice(None, None, 2)])
def test_columns_of_texts(dtype: str, rows: slice) -> None:
    column = pd.Series(["a", "äö", "", "d", "e e", "f"], index=range(6, 0, -1)).astype(dtype)
    for values in (column.iloc[rows], pd.concat([column.iloc[rows]] * 2)):
        packed = PackedStrings(values)
        assert list(packed) == values.tolist()
        assert list(pickle.loads(pickle.dumps(packed))) == values.tolist()


def test_columns_in_arrow_s_memory_are_not_copied() -> None:
    column = pd.Series(["a", "b"] * 1000)
    if str(column.dtype) == "str":  # since pandas 3
        assert np.shares_memory(PackedStrings(column)._bytes, PackedStrings(column)._bytes)
    with pytest.raises(TypeError, match=r"must be strings or paths, got .* in row 1"):
        PackedStrings(pd.Series(["a", None]))


def test_more_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strings, "BLOCK", 3)
    texts = [str(i) * i for i in range(10)]
    assert list(PackedStrings(pd.Series(texts, index=np.arange(10) / 10))) == texts
    assert list(PackedStrings(texts)) == list(PackedStrings(pd.Series(texts, index=range(10, 0, -1)))) == texts


def test_paths_and_names_that_are_no_text() -> None:
    odd = os.fsdecode(b"\xff.jpg")
    assert list(PackedStrings([Path("a") / "b.jpg", odd])) == [os.path.join("a", "b.jpg"), odd]


@pytest.mark.parametrize("value", [None, 3, float("nan"), b"bytes"])
def test_other_values_are_refused(value: object) -> None:
    message = f"`paths` must be strings or paths, got {type(value).__name__} .* in row 1"
    with pytest.raises(TypeError, match=message):
        PackedStrings(["a", value], name="paths")


def test_positions_outside_are_refused() -> None:
    with pytest.raises(IndexError, match="Item 2 does not exist: there are 2 items"):
        PackedStrings(["a", "b"])[2]
    with pytest.raises(IndexError, match="Item -1 does not exist: there are 0 items"):
        PackedStrings([])[-1]
