from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pandas as pd
import pytest

from oml.cli.main import main
from oml.utils import get_names_dataset, names
from oml.utils.dataframe_format import check_retrieval_dataframe_format
from oml.utils.io import calc_hash
from oml.utils.names import LANGUAGES, MIN_NAMES, collect_names, is_latin


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names")
    assert main(["data", "names", str(folder)]) == 0
    return folder


def test_tables_are_in_the_documented_format(root: Path) -> None:
    check_retrieval_dataframe_format(root / "df.csv")
    df_train, df_val = get_names_dataset(root)
    assert list(df_train) == list(df_val) == ["label", "text", "split", "category", "is_query", "is_gallery"]
    assert not set(df_train["label"]) & set(df_val["label"])
    assert df_val["is_query"].all()
    assert df_val["is_gallery"].all()
    df = pd.concat([df_train, df_val])
    assert not df["text"].str.casefold().duplicated().any()
    assert df["text"].map(is_latin).all()
    assert df["label"].value_counts().min() >= MIN_NAMES
    assert len(df[["label", "category"]].drop_duplicates()) == df["label"].nunique()
    assert set(df["category"]) == {"currency", "language", "territory"}


def test_counts_of_the_pinned_babel(root: Path) -> None:
    """The numbers that the documentation states."""
    df_train, df_val = get_names_dataset(root)
    assert (len(df_train), len(df_val)) == (12_248, 12_210)
    assert (df_train["label"].nunique(), df_val["label"].nunique()) == (617, 618)


def test_it_is_written_the_same_again(root: Path, tmp_path: Path) -> None:
    get_names_dataset(tmp_path)
    assert calc_hash(tmp_path / "df.csv") == calc_hash(root / "df.csv")


def test_names_of_one_country() -> None:
    found = collect_names()
    assert {"Germany", "Deutschland", "Saksamaa", "Þýskaland", "Alemania"} <= set(found["territory", "DE"])
    assert len(found["territory", "DE"]) <= len(LANGUAGES.split())
    assert "euro" in {name.casefold() for name in found["currency", "EUR"]}


def test_another_version_of_babel_writes_it_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "LANGUAGES", "en de fr es fi")
    get_names_dataset(tmp_path)
    before = (tmp_path / "df.csv").read_bytes()
    monkeypatch.setattr(names, "LANGUAGES", "en de fr es tr")
    get_names_dataset(tmp_path)
    assert (tmp_path / "df.csv").read_bytes() == before
    monkeypatch.setattr(names, "version", lambda package: "0.0")
    get_names_dataset(tmp_path)
    assert (tmp_path / "df.csv").read_bytes() != before


def test_babel_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(names, "version", fail)
    with pytest.raises(ImportError, match=r"pip install open-metric-learning\[data\]"):
        get_names_dataset(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Åland", True), ("São Tomé & Príncipe", True), ("Việt", True), ("Ελλάδα", False), ("Kr", True), ("K", False)],
)
def test_script(text: str, expected: bool) -> None:
    assert is_latin(text) is expected
    assert not is_latin(text + "я")
