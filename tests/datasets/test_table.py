import numpy as np
import pandas as pd
import pytest

from oml.datasets.table import check_bboxes, check_columns, read_bboxes, read_flags, read_labels, read_values
from oml.errors import InvalidInputError

NAN = float("nan")


def test_missing_columns_are_named() -> None:
    with pytest.raises(
        AssertionError, match=r"lacks the columns b, d: this dataset needs a, b, d.* Its columns: a, c\."
    ):
        check_columns(pd.DataFrame({"a": [1], "c": [1]}), ["a", "b", "d"])
    with pytest.raises(InvalidInputError, match="Its columns: none"):
        check_columns(pd.DataFrame(), ["a"])


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "Int64"])
def test_labels_are_int64(dtype: str) -> None:
    labels = read_labels(pd.DataFrame({"label": pd.Series([3, 1, 2], index=[9, 9, 9], dtype=dtype)}))
    assert labels.dtype == np.int64
    assert labels.tolist() == [3, 1, 2]
    assert labels.flags.writeable


def test_labels_do_not_share_memory_with_the_table() -> None:
    df = pd.DataFrame({"label": np.arange(3)})
    read_labels(df)[0] = 100
    assert df["label"].tolist() == [0, 1, 2]


def test_empty_table() -> None:
    df = pd.DataFrame({"label": [], "is_query": [], "category": [], "x_1": [], "x_2": [], "y_1": [], "y_2": []})
    assert read_labels(df).dtype == np.int64
    assert read_flags(df, "is_query").dtype == bool
    assert len(read_values(df, "category")) == 0
    boxes = read_bboxes(df)
    assert boxes is not None
    assert boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["cat", "dog"], r"must be integers, its dtype is \w+, it begins with 'cat', 'dog'.*pd.factorize"),
        ([1.0, 2.0], r"must be integers, its dtype is float64.*astype\(int\)"),
        ([True, False], "must be integers, its dtype is bool"),
        ([1.0, NAN, 3.0], "must not be empty, 1 rows break this; the first: .*nan.* in row 1. Give each item a label"),
    ],
)
def test_labels_of_other_kinds_are_refused(values: list, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_labels(pd.DataFrame({"label": values}))


@pytest.mark.parametrize(
    "values",
    [
        [True, False, True],
        [1, 0, 1],
        [1.0, 0.0, 1.0],
        pd.Series([True, False, True], dtype=object),
        pd.Series([1, False, 1.0], dtype=object),
        pd.Series([True, False, True], dtype="boolean"),
    ],
)
def test_flags(values: object) -> None:
    flags = read_flags(pd.DataFrame({"is_query": values}), "is_query")
    assert flags.dtype == bool
    assert flags.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2], r"Column 'is_query' must be True or False, 1 rows break this; the first: .*2.* in row 1"),
        (["True", "False"], r"2 rows break this; the first: 'True' in row 0, 'False' in row 1"),
        ([True, None], r"1 rows break this; the first: None in row 1.*leave rows of the train split out"),
        ([NAN] * 9, r"9 rows break this; the first: .* in row 4\. Query"),
    ],
)
def test_other_flags_are_refused(values: list, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_flags(pd.DataFrame({"is_query": values}), "is_query")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3, 1, 3], [3, 1, 3]),
        ([0.5, 1.5], [0.5, 1.5]),
        ([True, False], [True, False]),
        (["b", "a", "b"], ["b", "a", "b"]),
        (["b", None, "b"], ["b", "nan", "b"]),
        (["b", NAN], ["b", "nan"]),
        ([None, None], ["nan", "nan"]),
        (pd.Series([1, 2, 1], dtype=object), [1, 2, 1]),
        (pd.Series([1, "a", None], dtype=object), ["1", "a", "nan"]),
        (pd.Series([4, 5], dtype="Int64"), [4, 5]),
        (pd.Series(["x", "y", "x"], dtype="category"), ["x", "y", "x"]),
    ],
)
def test_values_that_can_be_batched(values: object, expected: list) -> None:
    array = read_values(pd.DataFrame({"category": values}), "category")
    assert isinstance(array, np.ndarray)
    assert array.tolist() == expected
    assert len({type(value) for value in array.tolist()}) == 1


@pytest.mark.parametrize(
    "values", [[1.0, NAN], pd.Series([1, None], dtype="Int64"), pd.Series([1, None], dtype=object)]
)
def test_missing_numbers_are_nan(values: object) -> None:
    array = read_values(pd.DataFrame({"category": values}), "category")
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, [1.0, NAN])


def test_equal_texts_are_one_object() -> None:
    array = read_values(pd.DataFrame({"category": ["".join(["a", "b"]) for _ in range(3)]}), "category")
    assert len({id(value) for value in array}) == 1


def test_boxes_of_columns() -> None:
    df = pd.DataFrame({"x_1": [1, NAN, 0.9], "x_2": [10, NAN, 8.7], "y_1": [2, NAN, 0], "y_2": [20, NAN, 4]})
    boxes = check_bboxes(read_bboxes(df))  # type: ignore[arg-type]
    assert boxes.dtype == np.int32
    assert boxes.tolist() == [[1, 2, 10, 20], [0, 0, 0, 0], [0, 0, 8, 4]]
    assert read_bboxes(pd.DataFrame({"path": ["a"]})) is None
    nullable = df.iloc[:2].astype("Int64")
    assert np.array_equal(check_bboxes(read_bboxes(nullable)), boxes[:2])  # type: ignore[arg-type]


def test_a_box_that_ends_far_outside_stays_a_box() -> None:
    assert check_bboxes([(0, 1, 1e12, float("inf"))]).tolist() == [[0, 1, 2**31 - 1, 2**31 - 1]]


def test_some_of_the_box_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="x_1, x_2, y_1, y_2 or none, the table has only x_1, y_2"):
        read_bboxes(pd.DataFrame({"x_1": [1], "y_2": [2]}))


def test_box_columns_of_texts_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"x_1, x_2, y_1, y_2 must be numbers: .*left"):
        read_bboxes(pd.DataFrame({"x_1": ["left"], "x_2": [2], "y_1": [1], "y_2": [2]}))


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([None, (1, 2, 3)], r"must be four numbers, 1 rows break this; the first: \(1.0, 2.0, 3.0\) in row 1"),
        ([(1, 2, NAN, 5)], r"must have all four numbers or none.*\(1.0, 2.0, nan, 5.0\) in row 0"),
        ([(1, 2, 1, 5)], r"left < right and top < bottom.* in row 0"),
        ([(1, 6, 2, 5), None, (1, 5, 2, 5)], r"top < bottom, 2 rows .* in row 0, .* in row 2"),
        ([(0.1, 0, 0.9, 5)], r"left < right"),
        ([(5e9, 0, 6e9, 5)], r"left < right"),
        ([(-1, 2, 3, 5)], r"must not begin outside the picture.*\(-1.0, 2.0, 3.0, 5.0\) in row 0"),
        (np.array([[0, 0, 1, 1]] * 3 + [[0, -2, 1, 1]] * 9), r"9 rows break this.* in row 7\.$"),
    ],
)
def test_wrong_boxes_are_refused(boxes: list, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        check_bboxes(boxes)
