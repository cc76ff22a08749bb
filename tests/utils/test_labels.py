from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from oml.errors import InvalidInputError
from oml.utils.labels import LabelMapping, find_label_names, find_no_labels

KINDS: list[list[Any]] = [
    ["b", "a", "c"],
    [7, -1, 3],
    [0.5, 2.0],
    [True, False],
    [("shop", 1), ("shop", 2), "x"],
    [date(2026, 1, 1), date(2025, 1, 1)],
    ["1", 1],
]


@pytest.mark.parametrize("names", KINDS)
def test_there_and_back(names: list[Any]) -> None:
    mapping = LabelMapping(names)
    drawn = [names[i] for i in np.random.default_rng(0).integers(len(names), size=50)]
    series = pd.Series(drawn) if len({type(n) for n in names}) == 1 and not isinstance(names[0], tuple) else drawn
    for given in (drawn, series):
        ids = mapping.encode(given)
        assert ids.dtype == np.int64
        assert [names[i] for i in ids] == drawn
    assert mapping.decode(ids) == mapping.decode(torch.from_numpy(ids)) == mapping.decode(ids.tolist()) == drawn
    assert mapping.encode([]).tolist() == []


def test_numbers_of_numpy_become_plain() -> None:
    mapping = LabelMapping(np.array([5, 6]))
    assert [type(name) for name in mapping.names] == [int, int]
    assert mapping == LabelMapping([5, 6]) != LabelMapping([6, 5])


@pytest.mark.parametrize("names", [["b", "ä"], [3, 1], [0.5], [("shop", ("x", 1)), "y"], []])
def test_round_trip_through_a_file(tmp_path: Path, names: list[Any]) -> None:
    LabelMapping(names).save(tmp_path / "labels.json")
    assert LabelMapping.load(tmp_path / "labels.json") == LabelMapping(names)


def test_what_cannot_be_saved_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="Only texts, numbers and tuples of them can be saved as names of labels"):
        LabelMapping([date(2026, 1, 1)]).save(tmp_path / "labels.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "message"), [("{", "is no mapping that"), ("{}", "must hold a list of names")])
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(InvalidInputError, match=f"labels.json .*{message}"):
        LabelMapping.load(tmp_path / "labels.json")


def test_errors_name_the_labels() -> None:
    mapping = LabelMapping(["a", "b"])
    with pytest.raises(InvalidInputError, match="mapping of 2 labels does not have 'x', 'y': it begins with 'a', 'b'"):
        mapping.encode(["a", "x", "y", "x"])
    with pytest.raises(InvalidInputError, match="does not have empty labels"):
        mapping.encode(["a", None])
    with pytest.raises(InvalidInputError, match="labels from 0 to 1, got 2, -1"):
        mapping.decode([0, 2, -1])
    with pytest.raises(InvalidInputError, match="must be distinct, got 3 names, 2 of them different"):
        LabelMapping(["a", "b", "a"])


@pytest.mark.parametrize(
    ("cells", "wrong"),
    [
        (["a", "b"], []),
        ([1.0, float("nan")], [1]),
        (["a", None, ["a"], {}, ("b", 1), ([],), pd.NaT], [1, 2, 3, 5, 6]),
        ([["a"], [], "a", {"b"}, ["a", None], None, np.array([1, 2]), [["x"]]], [2, 4, 5, 7]),
        ([], []),
    ],
)
def test_cells_without_a_label(cells: list[Any], wrong: list[int]) -> None:
    assert np.flatnonzero(find_no_labels(pd.Series(cells))).tolist() == wrong


def test_names_in_the_order_of_appearance() -> None:
    assert find_label_names(pd.Series(["b", "a", "b"])) == ["b", "a"]
    assert find_label_names(pd.Series([["b", "a"], [], {"d", "c"}])) == ["b", "a", "c", "d"]
    assert find_label_names(pd.Series([("x", 1), ("x",)])) == [("x", 1), ("x",)]
    with pytest.raises(InvalidInputError, match=r"must not be empty, 1 rows are, at the positions 1\. Give"):
        find_label_names(pd.Series(["b", None]))
    with pytest.raises(InvalidInputError, match=r"holds lists of labels, but not in 1 rows, at the positions 1\."):
        find_label_names(pd.Series([["b"], "b"]))
    with pytest.raises(InvalidInputError, match="has empty labels within its lists"):
        find_label_names(pd.Series([["b", None]]))
    with pytest.raises(InvalidInputError, match="one kind of labels: hashable values, or only lists of them"):
        find_label_names(pd.Series(["b", {}]))
