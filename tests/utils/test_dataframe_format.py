"""Every rule of the format: broken in one table at a time, with the column, the rows and the cure in the message."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from oml.errors import InvalidInputError
from oml.utils.dataframe_format import check_retrieval_dataframe_format, find_format_violations, read_table

N_TRAIN, N_VAL = 4, 5


def make_table(folder: Path) -> pd.DataFrame:
    """Nine correct rows with everything that is optional; positions 0-3 are train."""
    n = N_TRAIN + N_VAL
    (folder / "images").mkdir(exist_ok=True)
    for i in range(n):
        (folder / "images" / f"{i}.png").touch()
    return pd.DataFrame(
        {
            "label": [0, 0, 1, 1, 2, 2, 3, 3, 3],
            "split": ["train"] * N_TRAIN + ["validation"] * N_VAL,
            "is_query": [None] * N_TRAIN + [True, False, True, True, False],
            "is_gallery": [None] * N_TRAIN + [False, True, True, True, True],
            "path": [f"images/{i}.png" for i in range(n)],
            "category": ["a", "a", "b", "b", "a", "a", "b", "b", "b"],
            "sequence": ["s"] * n,
            "x_1": [0.0, 1, 2, None, 0, 0, 0, 0, 0],
            "x_2": [5.0, 5, 5, None, 5, 5, 5, 5, 5],
            "y_1": [0.0, 1, 2, None, 0, 0, 0, 0, 0],
            "y_2": [5.0, 5, 5, None, 5, 5, 5, 5, 5],
            "text": [f"text {i}" for i in range(n)],
        }
    )


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    return make_table(tmp_path)


def set_cells(column: str, rows: list[int], value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(df: pd.DataFrame) -> pd.DataFrame:
        values = df[column].astype(object)
        values.iloc[rows] = value
        dtype = pd.Series(values.tolist()).dtype  # as a reader of files would infer it
        return df.assign(**{column: values.astype(dtype) if value is not None else values})

    return change


def drop(*columns: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda df: df.drop(columns=list(columns))


BROKEN: list[tuple[str, Callable[[pd.DataFrame], pd.DataFrame], str, list[int]]] = [
    ("columns", drop("label"), r"Column 'label': obligatory, but missing. The table has \['split'.*Add or rename", []),
    ("columns", drop("is_query", "split"), "Columns 'split', 'is_query': obligatory, but missing", []),
    ("columns", drop("path", "text"), "Columns 'path', 'text': one of them must be there.*Add the one", []),
    ("columns", lambda df: pd.concat([df, df[["label"]]], axis=1), "'label': must not occur twice. Drop or rename", []),
    (
        "split",
        set_cells("split", [1, 8], "test"),
        r"Column 'split': must be one of \['train', 'validation'\]. Wrong in 2 of 9 rows, "
        r"at the positions \(values\): 1 \('test'\), 8 \('test'\). Write one",
        [1, 8],
    ),
    ("split", set_cells("split", [2], None), r"'split'.*2 \(.*\)\. Write", [2]),
    (
        "train_flags",
        set_cells("is_query", [0], False),
        r"'is_query': must be empty in train.*0 \(False\).*Empty",
        [0],
    ),
    ("train_flags", set_cells("is_gallery", [3], True), r"'is_gallery': must be empty in train rows.*3 \(True\)", [3]),
    (
        "validation_flags",
        set_cells("is_query", [7], None),
        r"'is_query': must be True or.*7 \(.*Say of each",
        [7],
    ),
    ("validation_flags", set_cells("is_gallery", [7], "True"), r"'is_gallery'.*not text.*7 \('True'\)", [7]),
    ("validation_flags", set_cells("is_gallery", [7], 2), r"'is_gallery'.*7 \(2\)", [7]),
    (
        "validation_flags",
        set_cells("is_gallery", [4, 8], False),
        r"Columns 'is_query', 'is_gallery': each validation row must be a query or a gallery.*8 \(False, False\). Set",
        [8],
    ),
    (
        "label",
        lambda df: df.assign(label=df.label.astype(float)),
        r"'label'.*integer dtype.*got float64.*0 \(0.0\)",
        [*range(9)],
    ),
    ("label", set_cells("label", [6], float("nan")), r"'label'.*nowhere empty.*6 \(nan\).*drop rows", [6]),
    (
        "label",
        lambda df: df.assign(label=df.label.map("class {}".format)),
        "'label'.*and 4 more.*pandas.factorize",
        [*range(9)],
    ),
    ("label", lambda df: df.assign(label=df.label > 0), "'label'.*got bool", [*range(9)]),
    ("label", lambda df: df.assign(label=df.label.astype("Int64").where(df.index != 2)), r"'label'.*2 \(<NA>\)", [2]),
    (
        "query_labels",
        set_cells("label", [4], 9),
        r"'label': each label of a query.*4 \(9\)\. Make one of",
        [4],
    ),
    (
        "path",
        set_cells("path", [2, 7], "images/none.png"),
        r"'path'.*from the folder '.*2 \('images/none",
        [2, 7],
    ),
    ("path", set_cells("path", [2], None), "'path'.*Wrong in 1 of 9", [2]),
    ("path", set_cells("path", [2], ""), r"'path'.*2 \(''\)", [2]),
    ("path", set_cells("path", [2], "images"), r"'path'.*existing file.*2 \('images'\)", [2]),
    (
        "sequence",
        set_cells("sequence", [0, 4, 6], None),
        r"'sequence': must not be empty in validation.*2 of 9 rows.*4 \(.*, 6 \(.*a name that no other row has",
        [4, 6],
    ),
    (
        "bboxes",
        drop("x_1", "y_2"),
        r"Columns 'x_1', 'y_2': boxes need all of \['x_1', .*\], or none",
        [],
    ),
    (
        "bboxes",
        set_cells("x_2", [1], float("nan")),
        r"all four must be filled, or none.*1 \(1.0, nan, 1.0, 5.0\)",
        [1],
    ),
    ("bboxes", set_cells("x_2", [1], 4.5), r"whole numbers of pixels.*1 \(1.0, 4.5, 1.0, 5.0\). Round", [1]),
    ("bboxes", set_cells("x_2", [1], float("inf")), "whole numbers of pixels", [1]),
    ("bboxes", set_cells("x_2", [1], "5 px"), "whole numbers of pixels.*'5 px'", [1]),
    ("bboxes", set_cells("y_1", [5], -1), "must not be negative.*Cut the box", [5]),
    ("bboxes", set_cells("x_1", [5], 5), "'x_1' must be less than 'x_2'.*Swap", [5]),
    ("bboxes", set_cells("y_2", [5], 0), "'y_1' must be less than 'y_2'", [5]),
    ("text", set_cells("text", [3], ""), r"'text': must be a non-empty text.*3 \(''\).*Fill", [3]),
    ("text", set_cells("text", [3], " \n"), r"'text': must be a non-empty text", [3]),
    ("text", lambda df: set_cells("text", [0], 5)(set_cells("text", [3], " ")(df)), r"0 \(5\), 3 \(' '\)", [0, 3]),
    ("text", set_cells("text", [3], None), "'text': must be a non-empty text", [3]),
    ("text", set_cells("text", [0, 3], 5), r"'text'.*0 \(5\), 3 \(5\)", [0, 3]),
]


@pytest.mark.parametrize(("rule", "change", "match", "rows"), BROKEN, ids=[f"{b[0]}-{i}" for i, b in enumerate(BROKEN)])
@pytest.mark.parametrize("index", ["reset", "not reset"])
def test_broken_rule(
    tmp_path: Path, table: pd.DataFrame, rule: str, change: Any, match: str, rows: list[int], index: str
) -> None:
    df = change(table)
    if index == "not reset":
        df.index = [7] * len(df)
    with pytest.raises(AssertionError, match=match):
        check_retrieval_dataframe_format(df, tmp_path)
    violations = [v for v in find_format_violations(df, tmp_path) if v.is_error]
    assert [v.rule for v in violations] == [rule]
    assert violations[0].rows.tolist() == rows


def test_all_rules_at_once(tmp_path: Path, table: pd.DataFrame) -> None:
    df = table
    for column, row, value in [
        ("split", 0, "test"),
        ("is_query", 1, True),
        ("is_gallery", 4, "yes"),
        ("label", 4, 9),
        ("path", 5, "none"),
        ("x_1", 6, -1),
        ("text", 7, ""),
        ("category", 8, "a"),
    ]:
        df = set_cells(column, [row], value)(df)
    found = [(v.rule, v.rows.tolist()) for v in find_format_violations(df, tmp_path)]
    rules = ["split", "train_flags", "validation_flags", "query_labels", "path", "bboxes", "text"]
    assert found == [
        *((rule, [row]) for rule, row in zip(rules, [0, 1, 4, 4, 5, 6, 7], strict=True)),
        ("category", [6, 8]),
    ]
    with pytest.raises(InvalidInputError, match="Column 'split'"):
        check_retrieval_dataframe_format(df, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda df: df,
        lambda df: df[df.split == "train"],
        lambda df: df[df.split == "validation"],
        lambda df: df[:0],
        lambda df: df.drop(columns=["category", "sequence", "x_1", "x_2", "y_1", "y_2", "text"]),
        lambda df: df.drop(columns=["path"]),
        lambda df: df.sample(frac=1, random_state=0),
        lambda df: df.assign(is_query=df.is_query.astype(float), is_gallery=df.is_gallery.astype(float)),
        lambda df: df.assign(is_query=df.is_query.astype("boolean"), is_gallery=df.is_gallery.astype("Int64")),
        lambda df: df[4:].assign(is_query=[1, 0, 1, 1, 0], is_gallery=True),
        lambda df: df.assign(**{c: df[c].astype("Int64") for c in ("x_1", "x_2", "y_1", "y_2")}),
        lambda df: df.assign(x_1=None, x_2=None, y_1=None, y_2=None),
        lambda df: df.assign(label=df.label.astype(np.uint8), split=df.split.astype("category")),
        lambda df: df.assign(text=df.text.astype(object), path=df.path.map(Path)),
        lambda df: df.convert_dtypes(),
    ],
)
def test_correct_tables(tmp_path: Path, table: pd.DataFrame, change: Any) -> None:
    check_retrieval_dataframe_format(change(table), tmp_path)
    assert list(find_format_violations(change(table), tmp_path)) == []


def test_one_row(tmp_path: Path, table: pd.DataFrame) -> None:
    check_retrieval_dataframe_format(table[7:8], tmp_path)  # a query that is also a gallery
    with pytest.raises(ValueError, match="each label of a query"):
        check_retrieval_dataframe_format(table[4:5], tmp_path)


@pytest.mark.parametrize("sep", [",", ";"])
def test_files(tmp_path: Path, table: pd.DataFrame, sep: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "df.csv"
    table.to_csv(path, index=False, sep=sep)
    for given in (path, str(path)):
        check_retrieval_dataframe_format(given, str(tmp_path), sep=sep)
    monkeypatch.chdir(tmp_path)
    check_retrieval_dataframe_format(path, sep=sep)  # without a root: from the working folder
    monkeypatch.chdir("/")
    with pytest.raises(ValueError, match=r"from the folder '\.' on"):
        check_retrieval_dataframe_format(path, sep=sep)
    absolute = table.assign(path=[str(tmp_path / p) for p in table.path])
    check_retrieval_dataframe_format(absolute)


def test_flags_of_a_file(tmp_path: Path, table: pd.DataFrame) -> None:
    """`True` beside empty cells, and 1 beside empty cells, are what csv files really hold."""
    path = tmp_path / "df.csv"
    table.assign(is_query=table.is_query.astype("Int64")).to_csv(path, index=False)
    assert ",True," in path.read_text()
    check_retrieval_dataframe_format(path, tmp_path)


def test_not_a_table() -> None:
    with pytest.raises(TypeError, match=r"must be a DataFrame, the path of a csv or parquet file, .* got list"):
        check_retrieval_dataframe_format([1])  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        read_table("nowhere.csv")


def test_ambiguous_category_is_a_warning(tmp_path: Path, table: pd.DataFrame) -> None:
    df = set_cells("category", [5], "b")(table).set_index("label", drop=False)
    with pytest.warns(UserWarning, match=r"'label', 'category'.*4 \(2, 'a'\), 5 \(2, 'b'\)\. Give each label one"):
        check_retrieval_dataframe_format(df, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_retrieval_dataframe_format(df, tmp_path, verbose=False)


def test_the_table_is_left_as_it_is(tmp_path: Path, table: pd.DataFrame) -> None:
    before = table.copy(deep=True)
    check_retrieval_dataframe_format(table, tmp_path)
    pd.testing.assert_frame_equal(table, before)


def test_a_message_shows_five_rows_at_most(tmp_path: Path, table: pd.DataFrame) -> None:
    df = pd.concat([table] * 100, ignore_index=True).assign(split="test")
    (violation,) = find_format_violations(df, tmp_path)
    assert violation.rows.tolist() == list(range(900))
    assert violation.message.count("('test')") == 5
    assert "Wrong in 900 of 900 rows" in violation.message
    assert "and 895 more" in violation.message


def test_each_file_is_looked_up_once(tmp_path: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    from oml.utils import format_items

    looked_up: list[Path] = []
    is_there = format_items._is_there
    monkeypatch.setattr(format_items, "_is_there", lambda root, p: looked_up.append(p) or is_there(root, p))
    check_retrieval_dataframe_format(pd.concat([table] * 50), tmp_path)
    assert len(looked_up) == len(table)


@pytest.mark.parametrize(
    ("values", "rows"),
    [([0.5, None, 0, 3.25] + [None] * 5, []), ([-1, None, "x", float("inf")] + [0.0] * 5, [0, 2, 3])],
)
def test_start_times(tmp_path: Path, table: pd.DataFrame, values: list[Any], rows: list[int]) -> None:
    violations = list(find_format_violations(table.assign(start_time=values), tmp_path))
    assert [v.rows.tolist() for v in violations] == ([rows] if rows else [])
    assert all("'start_time': must be seconds, 0 or more, or empty" in v.message for v in violations)


def test_labels_of_any_kind_where_allowed(tmp_path: Path, table: pd.DataFrame) -> None:
    names = table.assign(label=table["label"].map("class {}".format))
    assert [v.rule for v in find_format_violations(names, tmp_path)] == ["label"]
    assert list(find_format_violations(names, tmp_path, any_labels=True)) == []
    lists = table.assign(label=[[label, "all"] for label in table["label"]])
    assert list(find_format_violations(lists, tmp_path, any_labels=True)) == []
    lists["label"] = [*lists["label"][:4], ["lonely"], "text", *lists["label"][6:]]
    found = {v.rule: v.rows.tolist() for v in find_format_violations(lists, tmp_path, any_labels=True)}
    assert found == {"label": [5], "query_labels": [4]}


def test_files_need_not_be_there_where_said(table: pd.DataFrame) -> None:
    assert [v.rule for v in find_format_violations(table, "nowhere")] == ["path"]
    assert list(find_format_violations(table, "nowhere", check_files=False)) == []


def test_paths_outside_the_root(tmp_path: Path, table: pd.DataFrame) -> None:
    table.loc[[1, 2], "path"] = ["../a.png", f"{tmp_path}x/b.png"]
    options = {"check_files": False, "allow_outside_root": False}
    (violation,) = find_format_violations(table, tmp_path, **options)
    assert violation.rows.tolist() == [1, 2]
    assert "must not lead out of the folder" in violation.message
    assert "`allow_outside_root=True`" in violation.message
    inside = table.assign(path=[f"{tmp_path}/images/../{i}.png" for i in range(len(table))])
    assert list(find_format_violations(inside, tmp_path, **options)) == []


def test_a_file_with_a_column_twice(tmp_path: Path) -> None:
    """pandas calls the second one `label.1` and `split.1` without a word."""
    (tmp_path / "df.csv").write_text(
        "label,split,label,is_query,is_gallery,text,split,own,own.1\n0,train,1,,,a,validation,,\n"
    )
    with pytest.raises(InvalidInputError, match="Columns 'label', 'split': must not occur twice"):
        check_retrieval_dataframe_format(tmp_path / "df.csv")


def test_a_file_with_a_column_of_a_name_that_pandas_gives(tmp_path: Path) -> None:
    (tmp_path / "df.csv").write_text("label,split,is_query,is_gallery,text,label.1\n0,train,,,a,mine\n")
    check_retrieval_dataframe_format(tmp_path / "df.csv")


NESTED = {"path": ["a.png"], "is_query": [True], "category": {"a": 1}, "sequence": ["a"], "x_1": [1], "text": ["a"]}


@pytest.mark.parametrize("column", NESTED)
def test_nested_cells(table: pd.DataFrame, column: str) -> None:
    """As parquet files have them. They cannot be compared, so that other rules would fail."""
    cells = table[column].astype(object) if column in table.columns else pd.Series([None] * len(table))
    rows = [len(table) - 2, len(table) - 1]
    cells = pd.Series([NESTED[column] if i in rows else cell for i, cell in enumerate(cells)], dtype=object)
    violations = list(find_format_violations(table.assign(**{column: cells}), check_files=False))
    assert (violations[0].rule, violations[0].columns, violations[0].rows.tolist()) == ("nested", (column,), rows)
    assert "must hold one value, not several. Wrong in 2 of" in violations[0].message
    with pytest.raises(
        InvalidInputError, match=f"Column '{column}': must hold one value.*Take out the one that counts"
    ):
        check_retrieval_dataframe_format(table.assign(**{column: cells}))
