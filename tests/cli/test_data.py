from importlib import import_module

import pytest

from oml.cli.data import DATASETS
from oml.cli.main import main
from oml.utils.dataframe_format import check_retrieval_dataframe_format


def test_a_data_set_is_written(tmp_path, capsys):
    root = tmp_path / "deep" / "mock"
    assert main(["data", "mock-images", str(root)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "train: 24 items of 4 labels",
        "validation: 24 items of 4 labels",
        "The tables are df.csv, df_with_bboxes.csv, df_with_category.csv, df_with_sequence.csv in the folder.",
    ]
    check_retrieval_dataframe_format(root / "df.csv", root)


@pytest.mark.parametrize("name", DATASETS)
def test_each_name_leads_to_a_function(name):
    module, _, function = DATASETS[name].rpartition(".")
    assert callable(getattr(import_module(module), function))


def test_unknown_name(tmp_path, capsys):
    assert main(["data", "glyph", str(tmp_path)]) == 1
    assert "Unknown data set 'glyph'. Did you mean 'glyphs'?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["data", "mock-images", str(tmp_path / "file")]) == 1
    assert "Cannot write the data set to the folder" in capsys.readouterr().err
